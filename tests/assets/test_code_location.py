"""What the code location offers. Names are a frozen API: a renamed asset loses its history, a renamed sensor its state."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from tests.assets.installation import Installation, write_small
from usage_etl.schemas import TABLES

ROOT = Path(__file__).parents[2]

GROUPS = {
    "1_land": {
        "landed/gateway",
        "landed/openai",
        "staged_usage",
        "staged_charges",
        "usage_events__quarantine",
        "billing_charges__quarantine",
        "dim_user",
        "dim_team",
        "dim_api_key",
        "dim_feature",
        "dim_budget",
        "dim_quota",
        "dim_entitlement",
        "dim_business_unit",
        "dim_department",
        "dim_cost_center",
        "dim_project",
        "dim_investigation",
        "dim_invoice",
        "dim_fx_rate",
        "dim_dispute",
        "dim_outcome",
        "dim_price",
    },
    "2_facts": {
        "usage_events",
        "fact_deliveries_daily",
        "fact_usage_hourly",
        "fact_usage_daily",
        "fact_usage_monthly",
        "fact_provider_usage_daily",
        "fact_sessions_daily",
        "billing_charges",
        "fact_charges_daily",
        "fact_charges_monthly",
        "fact_invoice_lines_monthly",
        "fact_restatements",
        "fact_user_tokens_monthly",
        "fact_team_tokens_daily",
    },
    "3_allocate": {
        "mart_reconciliation_daily",
        "mart_reconciliation_monthly",
        "mart_invoice_tie_out",
        "mart_allocation_monthly",
        "mart_chargeback_closed",
        "mart_chargeback_monthly",
        "mart_journal_monthly",
    },
    "4_insights": {
        "mart_summary",
        "mart_unit_costs",
        "mart_outcomes",
        "mart_cohorts",
        "mart_adoption",
        "mart_peers",
        "mart_spend_daily",
        "mart_projection",
        "mart_projection_accuracy",
        "mart_anomalies",
        "mart_anomaly_factors",
        "mart_seasonality",
        "mart_diagnoses",
        "mart_recommendations",
        "mart_recommendation_verdicts",
        "mart_quota_status",
        "mart_accounts",
        "mart_pools",
        "mart_tokens_monthly",
        "mart_users_daily",
        "mart_source_costs",
        "mart_data_quality",
    },
    "5_reports": {
        "report_executive",
        "report_chargeback",
        "report_changes",
        "mail_executive",
        "mail_chargeback",
        "mail_statements",
        "mail_changes",
    },
    "6_limits": {"limit_state", "gateway_limits"},
}
MONTHLY_FACTS = {
    "fact_usage_monthly",
    "fact_charges_monthly",
    "fact_invoice_lines_monthly",
    "fact_restatements",
    "fact_user_tokens_monthly",
    "fact_team_tokens_daily",
}
CLOSING = {"mart_chargeback_closed"}
JOBS = {
    "land": GROUPS["1_land"],
    "daily": GROUPS["2_facts"] - MONTHLY_FACTS,
    "monthly": (MONTHLY_FACTS | GROUPS["3_allocate"] | GROUPS["4_insights"]) - CLOSING,
    "reports": GROUPS["5_reports"],
    "limits": GROUPS["6_limits"],
    "close": {name for name in GROUPS["1_land"] if name.startswith("dim_")}
    | {"fact_invoice_lines_monthly"}
    | GROUPS["3_allocate"]
    | (GROUPS["5_reports"] - {"mail_executive"}),
    "alerts": set(),
    "alerts_delivery": set(),
}
SCHEDULES = {
    "land_daily": "land",
    "daily_trailing_window": "daily",
    "executive_report": "reports",
    "monthly_chargeback": "close",
    "close_month": "close",
    "limits_hourly": "limits",
}
SENSORS = {
    "new_deliveries": {"land"},
    "touched_days": {"daily"},
    "touched_months": {"monthly"},
    "failure_mail": set(),
    "judged_limits": {"limits"},
    "alerts_evaluate": {"alerts"},
    "alerts_deliver": {"alerts_delivery"},
}
CHECKED_TABLES = GROUPS["2_facts"] | GROUPS["3_allocate"] | GROUPS["4_insights"]
OTHER_CHECKS = {
    "staged_usage:records_accounted_for",
    "fact_deliveries_daily:rows_conserved",
    "fact_usage_hourly:equals_events",
    "fact_usage_daily:equals_hourly",
    "fact_usage_hourly:latency_conserved",
    "fact_usage_daily:latency_conserved",
    "fact_usage_daily:counted_once",
    "fact_usage_monthly:equals_daily",
    "fact_charges_daily:equals_charge_lines",
    "fact_charges_monthly:equals_daily",
    "fact_restatements:chain_ends_at_what_is_stored",
    "mart_summary:every_dimension_adds_up",
    "mart_unit_costs:requests_equal_facts",
    "mart_cohorts:people_counted_once",
    "mart_allocation_monthly:equals_the_bill",
    "mart_journal_monthly:journal_balances",
    "mart_chargeback_closed:equals_the_period_book",
    "mart_chargeback_monthly:closed_lines_never_change",
    "mart_chargeback_monthly:own_lines_equal_allocation",
    "mart_chargeback_monthly:corrections_conserve",
    "mart_chargeback_monthly:disputes_add_up_to_nothing",
    "mart_chargeback_monthly:open_disputes_can_be_accepted",
    "mart_reconciliation_daily:causes_add_up",
    "mart_reconciliation_monthly:causes_add_up",
    "mart_reconciliation_monthly:equals_days",
    "mart_reconciliation_monthly:equals_facts",
}


@pytest.fixture(scope="module")
def location(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return write_small(tmp_path_factory.mktemp("location"))


@pytest.fixture(scope="module")
def specs(location: Installation) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in location.definitions.resolve_all_asset_specs()}


def test_asset_keys_and_groups_are_these(specs: dict[str, dg.AssetSpec]) -> None:
    found = {group: {name for name, spec in specs.items() if spec.group_name == group} for group in GROUPS}
    assert found == GROUPS
    assert specs.keys() == set.union(*GROUPS.values())


def test_every_dependency_is_an_asset_of_ours(location: Installation, specs: dict[str, dg.AssetSpec]) -> None:
    graph = location.definitions.resolve_asset_graph()
    assert not graph.external_asset_keys
    assert not graph.unexecutable_asset_keys
    assert {dep.asset_key.to_user_string() for spec in specs.values() for dep in spec.deps} <= specs.keys()


def test_jobs_hold_each_asset_once_but_for_closing_and_may_not_run_for_ever(location: Installation) -> None:
    repository = location.definitions.get_repository_def()
    jobs = {job.name: job for job in repository.get_all_jobs() if not job.name.startswith("__")}
    found = {name: {key.to_user_string() for key in job.asset_layer.executable_asset_keys} for name, job in jobs.items()}
    assert found == JOBS
    others = [keys for name, keys in found.items() if name != "close"]
    assert sum(map(len, others)) == len(set.union(*others))
    assert found["close"] - set.union(*others) == CLOSING
    assert all(0 < int(job.tags["dagster/max_runtime"]) <= 24 * 3600 for job in jobs.values())


def test_every_asset_check_runs_in_the_job_of_its_asset(location: Installation) -> None:
    graph = location.definitions.resolve_asset_graph()
    expected = {f"{name}:keeps_contract" for name in CHECKED_TABLES} | OTHER_CHECKS
    assert {key.to_user_string() for key in graph.asset_check_keys} == expected
    in_jobs = [
        key.to_user_string()
        for name in JOBS
        for key in location.definitions.resolve_job_def(name).asset_layer.asset_graph.asset_check_keys
        if key.asset_key.to_user_string() in JOBS[name]
    ]
    assert set(in_jobs) == expected


def test_every_check_stops_what_lies_right_of_it(location: Installation) -> None:
    graph = location.definitions.resolve_asset_graph()
    lenient = {key.to_user_string() for key in graph.asset_check_keys if not graph.get_check_spec(key).blocking}
    assert lenient == {
        "fact_usage_daily:counted_once",  # two sources may rightly share a name of account
        "mart_chargeback_monthly:open_disputes_can_be_accepted",  # an open dispute books nothing
    }


def test_schedules_and_sensors_run_unless_somebody_stops_them(location: Installation) -> None:
    repository = location.definitions.get_repository_def()
    assert {item.name: item.job_name for item in repository.schedule_defs} == SCHEDULES
    assert {item.name: {target.job_name for target in item.targets} for item in repository.sensor_defs} == SENSORS
    assert all(item.default_status == dg.DefaultScheduleStatus.RUNNING for item in repository.schedule_defs)
    assert all(item.default_status == dg.DefaultSensorStatus.RUNNING for item in repository.sensor_defs)
    assert {item.execution_timezone for item in repository.schedule_defs} == {"America/New_York"}


def test_every_asset_says_what_it_is_and_whose(specs: dict[str, dg.AssetSpec]) -> None:
    for name, spec in specs.items():
        assert len(spec.description or "") > 20, name
        assert [owner for owner in spec.owners if owner.startswith("team:")], name
        assert spec.kinds, name


def test_every_table_asset_shows_its_columns(specs: dict[str, dg.AssetSpec]) -> None:
    for table in TABLES:
        spec = specs[table.name]
        columns = spec.metadata["dagster/column_schema"].columns
        assert spec.metadata["dagster/table_name"] == table.name
        assert [column.name for column in columns] == list(table.columns)
        assert all(column.description and column.type for column in columns), table.name
        assert spec.owners == [table.owner]
        assert {"polars", "parquet"} <= spec.kinds


def test_partitions_are_utc_days_and_months_up_to_the_as_of_day(location: Installation) -> None:
    graph = location.definitions.resolve_asset_graph()
    found = {
        key.to_user_string(): definition.get_partition_keys()
        for key in graph.get_all_asset_keys()
        if (definition := graph.get(key).partitions_def) is not None
    }
    days, months = found["fact_usage_hourly"], found["mart_summary"]
    assert (days[0], days[-1], len(days)) == ("2026-10-01", "2026-11-02", 33)
    assert months == ["2026-10-01", "2026-11-01"]
    assert found == dict.fromkeys(JOBS["daily"], days) | dict.fromkeys(JOBS["monthly"] | JOBS["reports"] | CLOSING, months)


def test_events_that_are_not_kept_have_no_asset(location: Installation, tmp_path: Path) -> None:
    text = location.config.read_text(encoding="utf-8") + "keep_usage_events: false\n"
    (tmp_path / "usage_etl.yaml").write_text(text, encoding="utf-8")
    graph = Installation(tmp_path).definitions.resolve_asset_graph()
    assert dg.AssetKey("usage_events") not in graph.get_all_asset_keys()
    assert not [key for key in graph.asset_check_keys if "events" in key.name]
    assert not graph.external_asset_keys


def test_the_module_that_the_workspace_file_names_is_ours(location: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USAGE_ETL_CONFIG", str(location.config))
    module = importlib.import_module("assets.definitions")
    assert Path(str(module.__file__)) == ROOT / "assets" / "definitions.py"
    assert isinstance(module.defs, dg.Definitions)
    assert (ROOT / "assets" / "__init__.py").read_bytes() == b""


def test_dagster_loads_the_workspace_file(location: Installation, tmp_path: Path) -> None:
    environment = os.environ | {"USAGE_ETL_CONFIG": str(location.config), "DAGSTER_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Validation successful for code location usage_etl" in done.stdout + done.stderr
