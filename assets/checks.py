"""Asset checks: every table keeps its contract, and nothing is lost between one table and the next."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal, localcontext

import dagster as dg
import polars as pl

from assets.derive import day_keys
from assets.ranges import checked_partitions
from assets.resources import WorkspaceResource
from assets.staged import StagedObjects
from assets.summary import summary_windows, window_facts
from usage_etl.money import exact_sum
from usage_etl.periods import Month
from usage_etl.schemas import (
    BILLING_CHARGES,
    FACT_CHARGES_DAILY,
    FACT_CHARGES_MONTHLY,
    FACT_DELIVERIES_DAILY,
    FACT_USAGE_DAILY,
    FACT_USAGE_HOURLY,
    FACT_USAGE_MONTHLY,
    MART_SUMMARY,
    STAGED_USAGE,
    USAGE_EVENTS,
    Table,
)
from usage_etl.schemas.summary import OVERLAPPING_DIMENSIONS, SUMMARY_DIMENSIONS, of_window

_USAGE_MEASURES = ("requests_count", "errors_count", "input_uncached_tokens", "cache_read_tokens", "cache_write_5m_tokens",
                   "cache_write_1h_tokens", "output_tokens", "effective_cost")  # fmt: skip
_CHARGE_MEASURES = ("billed_cost", "effective_cost")
_BATCH_ROWS = 100_000


def contract_check(table: Table) -> dg.AssetChecksDefinition:
    """Reads the stored partitions of the run again and applies every rule of the table's contract."""

    @dg.asset_check(asset=table.name, name="keeps_contract", blocking=True, description=f"Every rule of {table.name} holds.")
    def keeps_contract(context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource) -> dg.AssetCheckResult:
        lake, rows_count, failures = workspace.open().lake, 0, Counter[str]()
        for batch in _batches(lake.scan(table, checked_partitions(context, lake, table))):
            rows_count += batch.height
            failures.update(table.rule_failures(batch))
        return dg.AssetCheckResult(passed=not failures, metadata={"rows": rows_count, "failed_rules": dict(failures)})

    return keeps_contract


def conservation_checks(*, has_events: bool) -> list[dg.AssetChecksDefinition]:
    """Sum of events = hourly = daily = monthly = rollup, charge lines = facts, and every staged row accounted for."""
    checks = [
        _sums_check("equals_hourly", FACT_USAGE_DAILY, FACT_USAGE_HOURLY, _USAGE_MEASURES, _same),
        _sums_check("equals_daily", FACT_USAGE_MONTHLY, FACT_USAGE_DAILY, _USAGE_MEASURES, _days_of),
        _sums_check("equals_charge_lines", FACT_CHARGES_DAILY, BILLING_CHARGES, _CHARGE_MEASURES, _same),
        _sums_check("equals_daily", FACT_CHARGES_MONTHLY, FACT_CHARGES_DAILY, _CHARGE_MEASURES, _days_of),
        *(_latency_check(table) for table in (FACT_USAGE_HOURLY, FACT_USAGE_DAILY)),
        _rollup_check(),
        _rows_check(has_events=has_events),
        _once_check(),
    ]
    if has_events:
        checks.append(_sums_check("equals_events", FACT_USAGE_HOURLY, USAGE_EVENTS, _USAGE_MEASURES, _same))
    return checks


def delivery_check() -> dg.AssetChecksDefinition:
    """On every delivery: records read = records staged + records quarantined, counted apart."""

    @dg.asset_check(asset=STAGED_USAGE.name, name="records_accounted_for", blocking=True)
    def records_accounted_for(workspace: WorkspaceResource) -> dg.AssetCheckResult:
        deliveries = workspace.open().deliveries().filter(pl.col("status").is_in(["staged", "superseded"]))
        accounted = pl.col("records_staged_count") + pl.col("rows_quarantined_count")
        unequal = deliveries.filter(pl.col("rows_read_count").ne_missing(accounted))
        return dg.AssetCheckResult(
            passed=unequal.is_empty(),
            metadata={"deliveries": deliveries.height, "unequal": dg.MetadataValue.json(unequal["delivery_id"].to_list())},
        )

    return records_accounted_for


def _sums_check(
    name: str, table: Table, finer: Table, measures: Sequence[str], finer_partitions: Callable[[Sequence[str]], Sequence[str]]
) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=table.name, name=name, blocking=True, description=f"Sums of {table.name} equal those of {finer.name}.")
    def sums_equal(context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource) -> dg.AssetCheckResult:
        lake = workspace.open().lake
        partitions = checked_partitions(context, lake, table)
        left = exact_sums(lake.scan(table, partitions), measures)
        right = exact_sums(lake.scan(finer, finer_partitions(partitions)), measures)
        unequal = {measure: f"{left[measure]} != {right[measure]}" for measure in measures if left[measure] != right[measure]}
        return dg.AssetCheckResult(passed=not unequal, metadata={"unequal": unequal, "requests": str(left[measures[0]])})

    return sums_equal


def _latency_check(table: Table) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=table.name, name="latency_conserved", blocking=True)
    def latency_conserved(context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource) -> dg.AssetCheckResult:
        """In every row the buckets of the latency histogram hold as many requests as have a known duration."""
        lake = workspace.open().lake
        in_buckets = pl.col("latency_buckets").list.eval(pl.element().struct.field("requests_count")).list.sum()
        rows = lake.scan(table, checked_partitions(context, lake, table)).select("latency_count", in_buckets.alias("in_buckets"))
        unequal = rows.filter(pl.col("latency_count").ne_missing(pl.col("in_buckets"))).select(pl.len()).collect().item()
        return dg.AssetCheckResult(passed=not unequal, metadata={"unequal_rows": int(unequal)})

    return latency_conserved


def _rollup_check() -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=MART_SUMMARY.name, name="every_dimension_adds_up", blocking=True)
    def every_dimension_adds_up(context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource) -> dg.AssetCheckResult:
        """In every window each dimension's members add up to the window's facts, exactly; tags, which overlap, to no less."""
        opened = workspace.open()
        lake, in_currency = opened.lake, pl.col("currency").cast(pl.String) == opened.settings.organization.currency
        unequal: dict[str, str] = {}
        for key in checked_partitions(context, lake, MART_SUMMARY):
            summary = lake.scan(MART_SUMMARY, [key]).collect()
            for window in summary_windows(opened, Month.parse(key)):
                rows = of_window(summary, window.name)
                facts = window_facts(opened, window)
                wanted = exact_sums(facts, ("requests_count", "output_tokens"))
                wanted |= exact_sums(facts.filter(in_currency), ("effective_cost",))
                place = key if window.name == "month" else f"{key} {window.name}"
                unequal |= {f"{place} {name}": text for name, text in _unequal_sums(rows, wanted, window.name)}
        return dg.AssetCheckResult(passed=not unequal, metadata={"unequal": unequal})

    return every_dimension_adds_up


def _unequal_sums(rows: pl.DataFrame, wanted: Mapping[str, int | Decimal], window: str) -> Iterator[tuple[str, str]]:
    """Dimension and measure whose members do not add up to ``wanted``, with both sums."""
    by_dimension = {str(name): part for (name,), part in rows.group_by(pl.col("dimension").cast(pl.String))}
    for dimension in SUMMARY_DIMENSIONS:
        if dimension == "day" and window != "month":
            continue
        part = by_dimension.get(dimension, rows.clear())
        sums = exact_sums(part.lazy(), tuple(wanted))
        for name, whole in wanted.items():
            is_equal = sums[name] >= whole if dimension in OVERLAPPING_DIMENSIONS else sums[name] == whole
            if not is_equal:
                yield f"{dimension} {name}", f"{sums[name]} != {whole}"


def _rows_check(*, has_events: bool) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=FACT_DELIVERIES_DAILY.name, name="rows_conserved", blocking=True)
    def rows_conserved(context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource) -> dg.AssetCheckResult:
        """Staged rows of the index = loaded + duplicate + kept for comparison, and loaded rows = events where those are kept."""
        opened = workspace.open()
        partitions = checked_partitions(context, opened.lake, FACT_DELIVERIES_DAILY)
        columns = ("staged_count", "loaded_count", "duplicate_count", "reconciliation_count")
        staged, *fates = exact_sums(opened.lake.scan(FACT_DELIVERIES_DAILY, partitions), columns).values()
        days = [dt.date.fromisoformat(key) for key in partitions]
        indexed = sum(StagedObjects(opened, STAGED_USAGE, day).rows_count() for day in days)
        loaded = int(fates[0])
        events = opened.lake.scan(USAGE_EVENTS, partitions).select(pl.len()).collect().item() if has_events else loaded
        return dg.AssetCheckResult(
            passed=indexed == staged == sum(fates) and loaded == events,
            metadata={
                "indexed": indexed,
                "staged": int(staged),
                "accounted_for": int(sum(fates)),
                "loaded": loaded,
                "events": events,
            },
        )

    return rows_conserved


def _once_check() -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=FACT_USAGE_DAILY.name, name="counted_once")
    def counted_once(context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource) -> dg.AssetCheckResult:
        """No provider's usage of one account is counted from two sources on one day.

        A gateway and a provider's log show the same calls: one of them must have the role reconciliation.
        """
        lake = workspace.open().lake
        days = lake.scan(FACT_USAGE_DAILY, checked_partitions(context, lake, FACT_USAGE_DAILY))
        seen = days.select("usage_date", pl.col("host", "source_account", "source").cast(pl.String)).unique()
        twice = (
            seen.group_by("host", "source_account", "usage_date")
            .agg(sources=pl.col("source").sort())
            .filter(pl.col("sources").list.len() > 1)
            .group_by("host", "source_account", pl.col("sources").list.join(", "))
            .agg(days=pl.len())
            .sort("host", "source_account", "sources")
            .collect()
        )
        found = [f"{host} of account {account}: {sources} on {count} day(s)" for host, account, sources, count in twice.rows()]
        return dg.AssetCheckResult(
            passed=not found, severity=dg.AssetCheckSeverity.WARN, metadata={"counted_twice": dg.MetadataValue.json(found)}
        )

    return counted_once


def exact_sums(frame: pl.LazyFrame, measures: Sequence[str]) -> dict[str, int | Decimal]:
    """Sum of each measure; money is added in Python integers, not by the engine that made the table."""
    sums: dict[str, int | Decimal] = dict.fromkeys(measures, 0)
    with localcontext() as context:
        context.prec = 76
        for batch in _batches(frame.select(measures)):
            for name in measures:
                column = batch[name]
                sums[name] += exact_sum(column) if isinstance(column.dtype, pl.Decimal) else int(column.sum())
    return sums


def _batches(frame: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """The rows in pieces, so that a check of many days needs no more memory than one of a few."""
    yield from frame.collect_batches(chunk_size=_BATCH_ROWS, maintain_order=False)


def _same(partitions: Sequence[str]) -> Sequence[str]:
    return partitions


def _days_of(partitions: Sequence[str]) -> Sequence[str]:
    return [day for month in partitions for day in day_keys(month)]
