"""Recommendations as assets: three months on stored facts, advice priced by the stored book, and its verdict a month later."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from typer.testing import CliRunner

from assets.recommendations import recommendation_assets
from assets.resources import Workspace, WorkspaceResource, open_workspace
from tests.assets.installation import SETTINGS
from tests.unit.recommendations.hours import BOOK, hourly, request
from tests.unit.recommendations.test_charge_advice import lines
from usage_etl.cli.main import app
from usage_etl.facts.usage import usage_daily
from usage_etl.lake import WHOLE
from usage_etl.periods import Month
from usage_etl.schemas import (
    DIM_PRICE,
    DIM_USER,
    FACT_INVOICE_LINES_MONTHLY,
    FACT_USAGE_DAILY,
    FACT_USAGE_HOURLY,
    MART_RECOMMENDATION_VERDICTS,
    MART_RECOMMENDATIONS,
    Table,
)

OCTOBER, NOVEMBER = Month(2026, 10), Month(2026, 11)
ADVISED = """\
recommendations:
  minimum_monthly_savings: 0.001
  minimum_days: 10
  equivalence_classes:
    - {name: chat, models: [acme/big, acme/small]}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """An installation with October on the dear model, half of November on the cheap one, and four seats in October."""
    file = tmp_path / "usage_etl.yaml"
    file.write_text(SETTINGS.replace("2026-11-02", "2026-11-15") + ADVISED, encoding="utf-8")
    lake = workspace(file).lake
    for month, last, model in ((OCTOBER, 31, "big"), (NOVEMBER, 15, "small")):
        for day in range(1, last + 1):
            seat = {"user_id": "ada", "feature_id": None, "host_raw": "github_copilot", "model_raw": "x"}
            rows = hourly(request(day, month=month, model_raw=model), request(day, month=month, **seat))
            key = dt.date(month.year, month.number, day).isoformat()
            lake.commit(FACT_USAGE_HOURLY, key, rows, inputs={})
            daily = FACT_USAGE_DAILY.conform(usage_daily(rows.lazy())).collect()
            lake.commit(FACT_USAGE_DAILY, key, daily, inputs={})
    users = pl.DataFrame([{"user_id": "ada", "user_email": "ADA@example.com", "team_id": "t", "valid_from": dt.date(2026, 1, 1)}])
    wanted = {
        name: users[name] if name in users.columns else pl.lit(None, dtype) for name, dtype in DIM_USER.polars_schema.items()
    }
    people = users.select(**wanted).with_columns(split_pct=pl.lit(Decimal(100)).cast(DIM_USER.polars_schema["split_pct"]))
    lake.commit(DIM_USER, WHOLE, people, inputs={})
    lake.commit(DIM_PRICE, WHOLE, BOOK, inputs={})
    seats = lines(*({"user_id": user, "month": OCTOBER.first_day, "invoice_line_id": user, "service_name": "Copilot",
                     "charge_category": "Purchase", "charges_count": 1, "is_list_cost_estimated": True,
                     **dict.fromkeys(("billed_cost", "list_cost", "contracted_cost"), Decimal(39))}
                    for user in ("ada@example.com", "bob@example.com")))  # fmt: skip
    lake.commit(FACT_INVOICE_LINES_MONTHLY, OCTOBER.first_day.isoformat(), seats, inputs={})
    return file


def workspace(config: Path) -> Workspace:
    return open_workspace(str(config.resolve()))


def run(config: Path, month: Month) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        recommendation_assets(workspace(config).settings),
        resources={"workspace": WorkspaceResource(config_file=str(config.resolve()))},
        partition_key=month.first_day.isoformat(),
    )


def stored(config: Path, table: Table, month: Month) -> pl.DataFrame:
    return table.validate(workspace(config).lake.scan(table, [month.first_day.isoformat()]).collect())


def head(config: Path, table: Table) -> Any:
    return workspace(config).lake.head(table, OCTOBER.first_day.isoformat())


def test_advice_of_one_month_is_judged_by_the_next_from_stored_tables(config: Path) -> None:
    assert run(config, OCTOBER).success
    advice = stored(config, MART_RECOMMENDATIONS, OCTOBER)
    assert set(advice["recommendation_kind"]) == {"model_substitution", "idle_seats"}
    substitution = advice.row(by_predicate=pl.col("recommendation_kind") == "model_substitution", named=True)
    assert substitution["monthly_savings_cost"] == 31 * (1000 * Decimal(9) + 100 * Decimal(45)) / 10**6
    seats = advice.row(by_predicate=pl.col("recommendation_kind") == "idle_seats", named=True)
    assert (seats["monthly_savings_cost"], seats["whole_count"]) == (39, 2), "ada is found by her address, bob is idle"
    assert run(config, NOVEMBER).success
    verdicts = stored(config, MART_RECOMMENDATION_VERDICTS, NOVEMBER)
    told = {row["recommendation_kind"]: row for row in verdicts.iter_rows(named=True)}
    assert told["model_substitution"]["verdict"] == "kept"
    assert told["model_substitution"]["realised_savings_cost"] == 15 * (1000 * Decimal(9) + 100 * Decimal(45)) / 10**6
    assert told["model_substitution"]["is_preliminary"]
    assert told["idle_seats"]["verdict_reason"] == "the month's bill is not complete"
    assert stored(config, MART_RECOMMENDATION_VERDICTS, OCTOBER).is_empty(), "nothing was promised in September"


def test_a_second_run_changes_nothing_and_later_days_change_no_earlier_month(config: Path) -> None:
    run(config, OCTOBER)
    before = head(config, MART_RECOMMENDATIONS)
    late = hourly(request(16, month=NOVEMBER, count=900))
    workspace(config).lake.commit(FACT_USAGE_HOURLY, "2026-11-16", late, inputs={})
    run(config, OCTOBER)
    assert head(config, MART_RECOMMENDATIONS).sha256 == before.sha256


def test_the_command_prints_advice_verdicts_and_all_columns_as_csv(config: Path) -> None:
    def said(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["recommendations", "-c", str(config), *arguments])
        return done.exit_code, done.output

    assert said("--month", "2026-10")[0] == 1, "nothing is built yet"
    run(config, OCTOBER)
    run(config, NOVEMBER)
    code, text = said("--month", "2026-10")
    assert code == 0
    assert "2026-10: 2 recommendation(s)" in text
    assert "use acme/small instead of acme/big" in text
    code, text = said()
    assert "What became of the advice of 2026-10" in text
    assert "kept" in text
    code, text = said("--month", "2026-10", "--csv")
    assert text.splitlines()[0].split(",") == list(MART_RECOMMENDATIONS.columns)
    assert len(text.splitlines()) == 3
    code, text = said("--csv", "--verdicts")
    assert text.splitlines()[0].split(",") == list(MART_RECOMMENDATION_VERDICTS.columns)
    assert said("--month", "October")[0] == 2
