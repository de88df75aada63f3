"""Every asset check passes on a good lake, and each one fails once the stored data is wrong in the way that it looks for."""

import dataclasses
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import sqlalchemy as sa

from assets import tie_out
from tests.assets.conftest import DEMO_MONTH
from tests.assets.installation import Installation
from tests.assets.test_code_location import CHECKED_TABLES, CLOSING, JOBS, OTHER_CHECKS
from usage_etl.keys import sha256_hex
from usage_etl.lake import tables as lake_tables
from usage_etl.schemas import (
    BILLING_CHARGES,
    FACT_CHARGES_DAILY,
    FACT_CHARGES_MONTHLY,
    FACT_DELIVERIES_DAILY,
    FACT_USAGE_DAILY,
    FACT_USAGE_HOURLY,
    FACT_USAGE_MONTHLY,
    MART_ADOPTION,
    MART_ALLOCATION_MONTHLY,
    MART_COHORTS,
    MART_SUMMARY,
    MART_UNIT_COSTS,
    TABLES,
    USAGE_EVENTS,
    Table,
)
from usage_etl.schemas.state import deliveries
from usage_etl.schemas.summary import SUMMARY_DIMENSIONS, SUMMARY_WINDOWS

DAY, MONTH = "2026-11-12", DEMO_MONTH
USAGE_MEASURES = {
    "requests_count",
    "errors_count",
    "input_uncached_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "effective_cost",
}
Change = Callable[[pl.DataFrame], pl.DataFrame]


@pytest.fixture(scope="module")
def broken(demo: Installation, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """A copy of the demo's lake; each test mends what it broke."""
    return demo.copied_to(tmp_path_factory.mktemp("broken"))


def evaluate(
    installation: Installation, instance: dg.DagsterInstance, *names: str, span: str | None = None
) -> dict[str, dg.AssetCheckEvaluation]:
    """Runs checks alone, over one partition or, as the UI does, over none in particular."""
    keys = {dg.AssetCheckKey(dg.AssetKey(asset), check) for asset, check in (name.split(":") for name in names)}
    job = next(job for job, assets in JOBS.items() if names[0].split(":")[0] in assets) if span else "__ASSET_JOB"
    whole = installation.definitions.get_repository_def().get_job(job)
    subset = whole.get_subset(asset_selection=set(), asset_check_selection=keys)
    result = installation.execute(subset, instance, {"dagster/partition": span} if span else {})
    found = {item.asset_check_key.to_user_string(): item for item in result.get_asset_check_evaluations()}
    assert found.keys() == set(names), "every check gives a verdict"
    return found


@contextmanager
def changed(installation: Installation, table: Table, partition: str, change: Change) -> Iterator[None]:
    """The partition with other rows, committed in due form; put right afterwards."""
    lake = installation.workspace.lake
    good = lake.scan(table, [partition]).collect()
    assert good.height, "there is something to break"
    lake.commit(table, partition, change(good))
    try:
        yield
    finally:
        lake.commit(table, partition, good)


@contextmanager
def forged(installation: Installation, table: Table, partition: str, change: Change) -> Iterator[None]:
    """The partition with rows that no commit would take, under a manifest that fits them."""
    lake = installation.workspace.lake
    head = lake.head(table, partition)
    assert head is not None
    good = installation.workspace.store.read(head.key)
    with io.BytesIO() as file:
        change(lake.scan(table, [partition]).collect()).write_parquet(file)
        content = file.getvalue()
    stored = installation.workspace.store.upload(head.key, content)
    lake._manifests.write(dataclasses.replace(head, sha256=sha256_hex(content), object_version=stored.version))
    try:
        yield
    finally:
        stored = installation.workspace.store.upload(head.key, good)
        lake._manifests.write(dataclasses.replace(head, object_version=stored.version))


def raised(*measures: str) -> Change:
    """Adds one to measures of the first row that has them all."""

    def change(frame: pl.DataFrame) -> pl.DataFrame:
        is_known = pl.all_horizontal(pl.col(measures).is_not_null())
        is_first = is_known & (is_known.cum_sum() == 1)
        return frame.with_columns(
            pl.when(is_first).then(pl.col(name) + 1).otherwise(pl.col(name)).alias(name) for name in measures
        )

    return change


def test_all_checks_pass_on_a_good_lake(demo: Installation, instance: dg.DagsterInstance) -> None:
    names = {f"{table}:keeps_contract" for table in CHECKED_TABLES} | OTHER_CHECKS
    found = evaluate(demo, instance, *names)
    assert [name for name, item in found.items() if not item.passed] == []
    rows = {name: item.metadata["rows"].value for name, item in found.items() if name.endswith(":keeps_contract")}
    empty = (
        "mart_anomalies",
        "mart_anomaly_factors",
        "mart_diagnoses",
        "fact_restatements",
        "mart_chargeback_closed",
        "mart_outcomes",
        "mart_projection_accuracy",  # no month of the short demo is over
        "mart_recommendations",  # nor has it days enough to recommend anything
        "mart_recommendation_verdicts",
    )
    may_be_empty = {f"{name}:keeps_contract" for name in empty}
    assert {name for name, count in rows.items() if not count} <= may_be_empty, "they have seen rows"
    assert found["staged_usage:records_accounted_for"].metadata["deliveries"].value > 10
    by_day = {name for name in names if name.split(":")[0] in JOBS["daily"]}
    by_month = {name for name in names if name.split(":")[0] in JOBS["monthly"]}
    for some, span in ((by_day, DAY), (by_month, MONTH)):
        assert all(item.passed for item in evaluate(demo, instance, *some, span=span).values())


@pytest.mark.parametrize(
    "table", [table for table in TABLES if table.name in CHECKED_TABLES - CLOSING], ids=lambda table: table.name
)
def test_a_row_against_the_contract_is_seen(broken: Installation, instance: dg.DagsterInstance, table: Table) -> None:
    partition = MONTH if table.partition == "month" else DAY
    column = next(name for name, item in table.columns.items() if not item.nullable and name != table.partition)
    name = f"{table.name}:keeps_contract"
    with forged(broken, table, partition, lambda rows: pl.concat([rows, rows.clear(1)])):
        verdict = evaluate(broken, instance, name, span=partition)[name]
    assert not verdict.passed
    assert verdict.metadata["failed_rules"].value[f"{column}|nullability"] == 1


@pytest.mark.parametrize(
    ("name", "table", "measures"),
    [
        ("fact_usage_hourly:equals_events", FACT_USAGE_HOURLY, USAGE_MEASURES),
        ("fact_usage_hourly:equals_events", USAGE_EVENTS, USAGE_MEASURES),
        ("fact_usage_daily:equals_hourly", FACT_USAGE_DAILY, USAGE_MEASURES),
        ("fact_usage_daily:equals_hourly", FACT_USAGE_HOURLY, USAGE_MEASURES),
        ("fact_usage_monthly:equals_daily", FACT_USAGE_MONTHLY, USAGE_MEASURES),
        ("fact_usage_monthly:equals_daily", FACT_USAGE_DAILY, USAGE_MEASURES),
        ("fact_charges_daily:equals_charge_lines", FACT_CHARGES_DAILY, {"billed_cost", "effective_cost"}),
        ("fact_charges_daily:equals_charge_lines", BILLING_CHARGES, {"billed_cost", "effective_cost"}),
        ("fact_charges_monthly:equals_daily", FACT_CHARGES_MONTHLY, {"billed_cost", "effective_cost"}),
        ("fact_charges_monthly:equals_daily", FACT_CHARGES_DAILY, {"billed_cost", "effective_cost"}),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "name", ""),
)
def test_sums_that_differ_are_seen_measure_by_measure(
    broken: Installation, instance: dg.DagsterInstance, name: str, table: Table, measures: set[str]
) -> None:
    checked = MONTH if "monthly" in name else DAY
    with changed(broken, table, MONTH if table.partition == "month" else DAY, raised(*measures)):
        verdict = evaluate(broken, instance, name, span=checked)[name]
    assert not verdict.passed
    assert verdict.metadata["unequal"].value.keys() == measures


def test_the_smallest_amount_that_can_be_stored_is_seen(broken: Installation, instance: dg.DagsterInstance) -> None:
    name = "fact_usage_daily:equals_hourly"
    tiny = pl.lit(Decimal("1e-18"), pl.Decimal(38, 18))

    def change(rows: pl.DataFrame) -> pl.DataFrame:
        is_first = pl.col("effective_cost").is_not_null().cum_sum() == 1
        cost = pl.when(is_first).then(pl.col("effective_cost") + tiny).otherwise(pl.col("effective_cost"))
        return rows.with_columns(cost.alias("effective_cost"))

    with changed(broken, FACT_USAGE_DAILY, DAY, change):
        verdict = evaluate(broken, instance, name, span=DAY)[name]
    assert not verdict.passed
    assert verdict.metadata["unequal"].value.keys() == {"effective_cost"}


def test_usage_of_one_account_from_two_sources_is_warned_of(broken: Installation, instance: dg.DagsterInstance) -> None:
    name = "fact_usage_daily:counted_once"

    def twice(rows: pl.DataFrame, **other: str) -> pl.DataFrame:
        changes = [pl.lit(text).cast(pl.Categorical).alias(column) for column, text in other.items()]
        return pl.concat([rows, rows.filter(pl.col("host").cast(pl.String) == "openai").with_columns(changes)])

    with changed(broken, FACT_USAGE_DAILY, DAY, lambda rows: twice(rows, source="spans")):
        verdict = evaluate(broken, instance, name, span=DAY)[name]
    assert (verdict.passed, verdict.severity) == (False, dg.AssetCheckSeverity.WARN)
    [found] = verdict.metadata["counted_twice"].value
    assert found.startswith("openai of account ")
    assert found.endswith("spans on 1 day(s)")
    with changed(broken, FACT_USAGE_DAILY, DAY, lambda rows: twice(rows, source="spans", source_account="another")):
        assert evaluate(broken, instance, name, span=DAY)[name].passed


def test_a_check_that_is_run_alone_looks_at_every_stored_partition(broken: Installation, instance: dg.DagsterInstance) -> None:
    name = "fact_usage_daily:equals_hourly"
    with changed(broken, FACT_USAGE_DAILY, DAY, lambda rows: rows.head(-1)):
        assert evaluate(broken, instance, name, span="2026-11-13")[name].passed
        assert not evaluate(broken, instance, name)[name].passed


@pytest.mark.parametrize(
    "change",
    [
        raised("loaded_count"),
        raised("staged_count"),
        raised("staged_count", "loaded_count"),
        lambda rows: rows.head(-1),
    ],
    ids=["too_many_loaded", "too_many_staged", "both", "delivery_lost"],
)
def test_rows_that_appear_or_disappear_are_seen(broken: Installation, instance: dg.DagsterInstance, change: Change) -> None:
    name = "fact_deliveries_daily:rows_conserved"
    with changed(broken, FACT_DELIVERIES_DAILY, DAY, change):
        assert not evaluate(broken, instance, name, span=DAY)[name].passed


def test_a_lost_event_is_seen(broken: Installation, instance: dg.DagsterInstance) -> None:
    name = "fact_deliveries_daily:rows_conserved"
    with changed(broken, USAGE_EVENTS, DAY, lambda rows: rows.head(-1)):
        verdict = evaluate(broken, instance, name, span=DAY)[name]
    assert not verdict.passed
    assert verdict.metadata["events"].value == verdict.metadata["loaded"].value - 1


def test_an_allocation_that_is_a_cent_off_the_bill_is_seen(broken: Installation, instance: dg.DagsterInstance) -> None:
    name = "mart_allocation_monthly:equals_the_bill"
    is_billed = pl.col("charge_basis") == "billed"

    def change(rows: pl.DataFrame) -> pl.DataFrame:
        is_first = is_billed & (is_billed.cum_sum() == 1)
        cost = pl.when(is_first).then(pl.col("allocated_cost") + Decimal("0.01")).otherwise(pl.col("allocated_cost"))
        return rows.with_columns(cost.cast(pl.Decimal(38, 18)).alias("allocated_cost"))

    with changed(broken, MART_ALLOCATION_MONTHLY, MONTH, change):
        verdict = evaluate(broken, instance, name, span=MONTH)[name]
    assert not verdict.passed
    assert len(verdict.metadata["unequal"].value) == 1
    with changed(broken, MART_ALLOCATION_MONTHLY, MONTH, lambda rows: rows.filter(~is_billed)):
        verdict = evaluate(broken, instance, name, span=MONTH)[name]
    assert not verdict.passed, "a bill that nobody is charged for"


def test_unit_costs_and_cohorts_that_lost_someone_are_seen(broken: Installation, instance: dg.DagsterInstance) -> None:
    name = "mart_unit_costs:requests_equal_facts"
    of_team = (pl.col("scope_kind") == "team") & (pl.col("unit_kind") == "request")
    with changed(broken, MART_UNIT_COSTS, MONTH, lambda rows: rows.filter(~of_team)):
        verdict = evaluate(broken, instance, name, span=MONTH)[name]
    assert verdict.metadata["unequal"].value.keys() == {f"{MONTH} team {one}" for one in ("requests_count", "effective_cost")}
    name = "mart_cohorts:people_counted_once"
    with (
        changed(broken, MART_COHORTS, MONTH, raised("cohort_users_count")),
        changed(broken, MART_ADOPTION, MONTH, lambda rows: rows.clear()),
    ):
        verdict = evaluate(broken, instance, name, span=MONTH)[name]
    assert verdict.metadata["unequal"].value.keys() >= {f"{MONTH} active"}
    assert not verdict.passed


def test_a_histogram_that_lost_a_request_is_seen(broken: Installation, instance: dg.DagsterInstance) -> None:
    for table in (FACT_USAGE_HOURLY, FACT_USAGE_DAILY):
        name = f"{table.name}:latency_conserved"
        with changed(broken, table, DAY, raised("latency_count")):
            verdict = evaluate(broken, instance, name, span=DAY)[name]
        assert verdict.metadata["unequal_rows"].value == 1
        assert not verdict.passed


def test_dimensions_that_do_not_add_up_are_seen_one_by_one(broken: Installation, instance: dg.DagsterInstance) -> None:
    name, measures = "mart_summary:every_dimension_adds_up", ("requests_count", "output_tokens", "effective_cost")
    of_team = pl.col("dimension").cast(pl.String) == "team"
    with changed(broken, MART_SUMMARY, MONTH, lambda rows: rows.filter(~of_team)):
        verdict = evaluate(broken, instance, name, span=MONTH)[name]
    places = [MONTH, *(f"{MONTH} {window}" for window in SUMMARY_WINDOWS if window != "month")]
    assert verdict.metadata["unequal"].value.keys() == {f"{place} team {measure}" for place in places for measure in measures}
    with changed(broken, MART_SUMMARY, MONTH, lambda rows: rows.clear()):
        verdict = evaluate(broken, instance, name, span=MONTH)[name]
    assert not verdict.passed
    expected = {
        f"{place} {dimension} {measure}"
        for place in places
        for dimension in SUMMARY_DIMENSIONS
        for measure in measures
        if dimension != "day" or place == MONTH
    }
    assert verdict.metadata["unequal"].value.keys() == expected


def test_a_record_that_is_neither_staged_nor_quarantined_is_seen(broken: Installation, instance: dg.DagsterInstance) -> None:
    name, column = "staged_usage:records_accounted_for", deliveries.c.records_staged_count
    delivery = next(item for item in broken.workspace.index.deliveries() if item.status == "staged")
    engine, own = broken.workspace.engine, deliveries.c.delivery_id == delivery.delivery_id
    with engine.begin() as connection:
        connection.execute(sa.update(deliveries).where(own).values({column.name: column - 1}))
    verdict = evaluate(broken, instance, name)[name]
    with engine.begin() as connection:
        connection.execute(sa.update(deliveries).where(own).values({column.name: column + 1}))
    assert not verdict.passed
    assert verdict.metadata["unequal"].value == [delivery.delivery_id]


def test_what_fails_its_check_stops_the_run_before_anything_is_made_of_it(
    built: Installation, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = tie_out.tie_out_month

    def forgetful(*frames: pl.LazyFrame, **settings: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
        daily, monthly = honest(*frames, **settings)
        return daily, monthly.head(-1)

    monkeypatch.setattr(tie_out, "tie_out_month", forgetful)
    monkeypatch.setattr(lake_tables, "__version__", "another")
    before = built.fingerprints("lake/mart_invoice_tie_out")
    result = built.run("monthly", instance, "2026-10-01", "2026-11-01")
    assert not result.success
    verdicts = {item.asset_check_key.to_user_string(): item.passed for item in result.get_asset_check_evaluations()}
    assert verdicts["mart_reconciliation_monthly:equals_days"] is False
    made = {event.asset_key.to_user_string() for event in result.get_asset_materialization_events() if event.asset_key}
    assert "mart_reconciliation_monthly" in made
    assert "mart_invoice_tie_out" not in made
    assert built.fingerprints("lake/mart_invoice_tie_out") == before
    assert Path(built.folder / "out").exists() is False
