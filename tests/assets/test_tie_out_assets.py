"""The tie-out as assets: one run makes its three tables, nothing is made twice, and its checks find what is wrong."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets.resources import Workspace, WorkspaceResource, open_workspace
from assets.tie_out import tie_out_assets, tie_out_checks
from tests.assets.installation import SETTINGS
from tests.unit.allocation.tie_out_samples import causes, charges, day_of, invoices, line, prices, usage
from usage_etl.lake import WHOLE
from usage_etl.schemas import (
    BILLING_CHARGES,
    DIM_INVOICE,
    DIM_PRICE,
    FACT_USAGE_DAILY,
    MART_INVOICE_TIE_OUT,
    MART_RECONCILIATION_DAILY,
    MART_RECONCILIATION_MONTHLY,
    Table,
)

MONTH = "2026-11-01"
GATES = "reconciliation: {publish_gates: [{difference_pct: 1}]}\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """An installation with two billed days of November, of which the second is not in the logs, and an invoice."""
    file = tmp_path / "usage_etl.yaml"
    file.write_text(SETTINGS + GATES, encoding="utf-8")
    lake = workspace(file).lake
    bill = charges(line("output", 1, 40), line("output", 2, 80, day=2))
    for number in (1, 2):
        lake.commit(BILLING_CHARGES, str(day_of(number)), bill.filter(pl.col("charge_date") == day_of(number)), inputs={})
    lake.commit(FACT_USAGE_DAILY, str(day_of(1)), usage({"output": 1}), inputs={})
    lake.commit(DIM_PRICE, WHOLE, prices(), inputs={})
    lake.commit(DIM_INVOICE, WHOLE, invoices({"invoice_id": "A", "invoice_total": Decimal(120)}), inputs={})
    return file


def workspace(config: Path) -> Workspace:
    return open_workspace(str(config.resolve()))


def run(config: Path, *, only_checks: bool = False) -> dg.ExecuteInProcessResult:
    found = tie_out_assets(workspace(config).settings)
    selection = dg.AssetSelection.all_asset_checks() if only_checks else None
    return dg.materialize(
        [*found, *tie_out_checks()],
        selection=selection,
        resources={"workspace": WorkspaceResource(config_file=str(config.resolve()))},
        partition_key=None if only_checks else MONTH,
        raise_on_error=False,
    )


def stored(config: Path, table: Table) -> pl.DataFrame:
    return workspace(config).lake.scan(table, [MONTH]).collect()


def verdicts(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {item.asset_check_key.to_user_string(): item.passed for item in result.get_asset_check_evaluations()}


def changed(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    made = result.get_asset_materialization_events()
    return {event.asset_key.to_user_string(): bool(event.materialization.metadata["changed"].value) for event in made}


def test_one_run_makes_the_tie_out_and_proves_it(config: Path) -> None:
    result = run(config)
    assert result.success
    assert set(verdicts(result).values()) == {True}
    assert causes(stored(config, MART_RECONCILIATION_MONTHLY)) == {"missing_logs": Decimal(80)}
    assert stored(config, MART_RECONCILIATION_DAILY)["charge_date"].to_list() == [day_of(1), day_of(2)]
    row = stored(config, MART_INVOICE_TIE_OUT).row(0, named=True)
    assert (row["invoice_cost"], row["invoice_difference_cost"]) == (120, 0)
    assert row["gate"].startswith("openai, account org-1: billed and metered cost differ by 80.00 USD")


def test_a_second_run_changes_nothing_and_a_changed_bill_does(config: Path) -> None:
    assert set(changed(run(config)).values()) == {True}
    assert set(changed(run(config)).values()) == {False}
    more = charges(line("output", 3, 120, day=2))
    workspace(config).lake.commit(BILLING_CHARGES, str(day_of(2)), more, inputs={"delivery": "2"})
    assert set(changed(run(config)).values()) == {True}


@pytest.mark.parametrize(
    ("table", "column", "check"),
    [
        (MART_RECONCILIATION_DAILY, "unexplained_cost", "mart_reconciliation_daily:causes_add_up"),
        (MART_RECONCILIATION_MONTHLY, "missing_logs_cost", "mart_reconciliation_monthly:causes_add_up"),
        (MART_RECONCILIATION_MONTHLY, "metered_quantity", "mart_reconciliation_monthly:equals_days"),
        (MART_RECONCILIATION_MONTHLY, "metered_cost", "mart_reconciliation_monthly:equals_facts"),
    ],
)
def test_checks_find_an_attos_too_much(config: Path, table: Table, column: str, check: str) -> None:
    run(config)
    frame = stored(config, table)
    wrong = frame.with_columns((pl.col(column) + Decimal("0.000000000000000001")).cast(frame.schema[column]))
    workspace(config).lake.commit(table, MONTH, wrong, inputs={"broken": "yes"})
    found = verdicts(run(config, only_checks=True))
    assert found[check] is False


def test_a_month_without_bills_and_invoices_is_empty(tmp_path: Path) -> None:
    file = tmp_path / "usage_etl.yaml"
    file.write_text(SETTINGS, encoding="utf-8")
    assert run(file).success
    assert stored(file, MART_INVOICE_TIE_OUT).is_empty()
    assert stored(file, MART_RECONCILIATION_MONTHLY).is_empty()
