"""The assets of the allocation: built from stored tables, skipped when nothing changed, checked from what is stored."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets.allocation import allocation_assets, allocation_checks
from tests.assets.installation import Installation, write_small
from tests.unit.allocation.frames import directories, invoices, usage
from tests.unit.allocation.test_journal import booked
from tests.unit.facts.test_invoice_lines import charges
from usage_etl.lake import WHOLE
from usage_etl.schemas import (
    BILLING_CHARGES,
    DIM_INVOICE,
    DIM_TEAM,
    FACT_INVOICE_LINES_MONTHLY,
    FACT_USAGE_DAILY,
    MART_ALLOCATION_MONTHLY,
    MART_CHARGEBACK_MONTHLY,
    MART_JOURNAL_MONTHLY,
)

MONTH = "2026-11-01"
TABLES = (FACT_INVOICE_LINES_MONTHLY, MART_ALLOCATION_MONTHLY)


@pytest.fixture
def filled(tmp_path: Path) -> Installation:
    """A lake with a day of charges and of usage in November."""
    installation = write_small(tmp_path)
    lake = installation.workspace.lake
    day = dt.date(2026, 11, 2)
    bill = charges(
        {"charge_date": day, "model_id": "gpt-5", "billed_cost": Decimal("10.00")},
        {"charge_date": day, "charge_category": "Tax", "billed_cost": Decimal("1.005")},
    )
    lake.commit(BILLING_CHARGES, "2026-11-02", bill)
    rows = ({"effective_cost": Decimal(7)}, {"effective_cost": Decimal(3), "team_id": "b"})
    used = usage(*({"usage_date": day, **row} for row in rows))
    lake.commit(FACT_USAGE_DAILY, "2026-11-02", used)
    lake.commit(DIM_TEAM, WHOLE, directories(teams=[{"team_id": "vision"}]).teams)
    return installation


def built(installation: Installation, *tables: str, succeeds: bool = True) -> dg.ExecuteInProcessResult:
    """Materializes the assets of these tables for November, with their checks."""
    settings = installation.workspace.settings
    result = dg.materialize(
        [*allocation_assets(settings), *allocation_checks()],
        selection=dg.AssetSelection.assets(*tables),
        partition_key=MONTH,
        resources=installation.resources,
        raise_on_error=False,
    )
    assert result.success is succeeds
    return result


def test_invoice_lines_and_allocation_are_built_checked_and_built_once(filled: Installation) -> None:
    names = [table.name for table in TABLES]
    result = built(filled, *names)
    assert [check.passed for check in result.get_asset_check_evaluations()] == [True]
    lake = filled.workspace.lake
    lines = lake.scan(MART_ALLOCATION_MONTHLY, [MONTH]).collect()
    assert sum(lines["allocated_cost"]) == Decimal("11.00")
    assert lines.filter(pl.col("charge_kind") == "tax").height == 2
    heads = [lake.head(table, MONTH) for table in TABLES]
    built(filled, *names)
    assert [lake.head(table, MONTH) for table in TABLES] == heads


def test_an_allocation_that_is_not_the_bill_any_more_fails_its_check(filled: Installation) -> None:
    built(filled, *(table.name for table in TABLES))
    lake = filled.workspace.lake
    lines = lake.scan(MART_ALLOCATION_MONTHLY, [MONTH]).collect()
    is_first = pl.int_range(pl.len()) == 0
    cost = pl.when(is_first).then(pl.col("allocated_cost") + Decimal("0.01")).otherwise("allocated_cost")
    lake.commit(MART_ALLOCATION_MONTHLY, MONTH, lines.with_columns(cost.alias("allocated_cost")))
    [check] = _checks_alone(filled, MART_ALLOCATION_MONTHLY.name)
    assert not check.passed
    assert "allocation of ('openai', 'org-1', 'USD') in 2026-11" in str(check.metadata["unequal"].value)


def test_a_mismatched_invoice_stops_the_allocation_and_the_last_version_stays(filled: Installation) -> None:
    built(filled, *(table.name for table in TABLES))
    lake = filled.workspace.lake
    before = lake.head(MART_ALLOCATION_MONTHLY, MONTH)
    lake.commit(DIM_INVOICE, WHOLE, invoices({"invoice_id": "INV-1", "invoice_total": Decimal(12)}))
    failed = built(filled, MART_ALLOCATION_MONTHLY.name, succeeds=False)
    assert "INV-1 say 12 USD" in str([event.event_specific_data for event in failed.all_events if event.is_failure])
    assert lake.head(MART_ALLOCATION_MONTHLY, MONTH) == before


def test_the_journal_is_built_of_what_is_booked_and_checked(filled: Installation) -> None:
    built(filled, *(table.name for table in TABLES))
    lake = filled.workspace.lake
    lines = lake.scan(MART_ALLOCATION_MONTHLY, [MONTH]).collect()
    lake.commit(MART_CHARGEBACK_MONTHLY, MONTH, booked(lines))
    result = built(filled, MART_JOURNAL_MONTHLY.name)
    assert [check.passed for check in result.get_asset_check_evaluations()] == [True]
    journal = lake.scan(MART_JOURNAL_MONTHLY, [MONTH]).collect()
    assert sum(journal["debit_cost"].drop_nulls()) == Decimal("11.00")
    is_first = pl.int_range(pl.len()) == 0
    debit = pl.when(is_first & pl.col("debit_cost").is_not_null()).then(pl.col("debit_cost") + 1).otherwise("debit_cost")
    credit = pl.when(is_first & pl.col("credit_cost").is_not_null()).then(pl.col("credit_cost") + 1).otherwise("credit_cost")
    lake.commit(MART_JOURNAL_MONTHLY, MONTH, journal.with_columns(debit.alias("debit_cost"), credit.alias("credit_cost")))
    [check] = _checks_alone(filled, MART_JOURNAL_MONTHLY.name)
    assert not check.passed


def _checks_alone(installation: Installation, table: str) -> list[dg.AssetCheckEvaluation]:
    """Verdicts of the checks of a table, over all that is stored."""
    result = dg.materialize(
        [*allocation_assets(installation.workspace.settings), *allocation_checks()],
        selection=dg.AssetSelection.checks_for_assets(table),
        resources=installation.resources,
        raise_on_error=False,
    )
    return result.get_asset_check_evaluations()
