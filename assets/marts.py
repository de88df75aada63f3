"""Marts: rollups, anomalies, source costs and data quality; each one month, from facts only."""

import datetime as dt
from collections.abc import Mapping

import dagster as dg
import polars as pl

from assets.derive import commit_derived, day_keys
from assets.monthly import MonthBuilder, monthly_asset, through_date
from assets.resources import Workspace
from assets.summary import build_summary, summary_reads
from usage_etl.config import Settings
from usage_etl.facts.quality import data_quality_month
from usage_etl.facts.spend import spend_daily
from usage_etl.lake import WHOLE, Commit
from usage_etl.periods import Month, days_between
from usage_etl.pricing import explain_source_costs, source_cost_summary, summed_source_costs
from usage_etl.schemas import (
    BILLING_CHARGES,
    DIM_PRICE,
    FACT_DELIVERIES_DAILY,
    FACT_USAGE_DAILY,
    MART_DATA_QUALITY,
    MART_SOURCE_COSTS,
    MART_SPEND_DAILY,
    MART_SUMMARY,
    USAGE_EVENTS,
    Table,
)

HISTORY_DAYS = 120
"""Days before the month that projections and anomalies learn from."""


def mart_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Definitions of every mart, in the order of the data's way."""
    builders: list[tuple[Table, tuple[Table, ...], MonthBuilder]] = [
        (MART_SUMMARY, summary_reads(settings), build_summary),
        (MART_SPEND_DAILY, (FACT_USAGE_DAILY,), _spend_daily),
        (MART_DATA_QUALITY, (FACT_DELIVERIES_DAILY, BILLING_CHARGES), _data_quality),
    ]
    if settings.keep_usage_events:
        builders.append((MART_SOURCE_COSTS, (USAGE_EVENTS, DIM_PRICE), _source_costs))
    return [monthly_asset(settings, [table], reads, builder) for table, reads, builder in builders]


def _spend_daily(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    key, currency = month.first_day.isoformat(), workspace.settings.organization.currency

    def build(daily: pl.LazyFrame) -> pl.LazyFrame | pl.DataFrame:
        return spend_daily(daily, month=month, currency=currency)

    return commit_derived(
        workspace, MART_SPEND_DAILY, key, {FACT_USAGE_DAILY: day_keys(key)}, build, settings={"currency": currency}
    )


def history_keys(workspace: Workspace, month: Month) -> list[str]:
    """Days of the month that can have data, and those before it that its projections and anomalies learn from."""
    first = max(workspace.settings.start_date, month.first_day - dt.timedelta(days=HISTORY_DAYS))
    return [day.isoformat() for day in days_between(first, through_date(workspace, month) + dt.timedelta(days=1))]


def _data_quality(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    key, through = month.first_day.isoformat(), through_date(workspace, month)
    sources = {source.name: source.kind for source in workspace.settings.sources}
    deliveries, staged = workspace.deliveries(), workspace.staged_rows()

    def build(daily: pl.LazyFrame, charges: pl.LazyFrame) -> pl.DataFrame:
        charge_days = (
            charges.group_by("source", "charge_date")
            .agg(rows=pl.len().cast(pl.Int64), unmapped=(pl.col("meter_mapping") == "unmapped").sum().cast(pl.Int64))
            .collect()
        )
        return data_quality_month(
            deliveries, staged, daily.collect(), charge_days, month=month, through_date=through, sources=sources
        )

    reads = {FACT_DELIVERIES_DAILY: day_keys(key), BILLING_CHARGES: day_keys(key)}
    used = {"through_date": through, "sources": sources, "deliveries": deliveries.write_json(), "staged": staged.write_json()}
    return commit_derived(workspace, MART_DATA_QUALITY, key, reads, build, settings=used)


def _source_costs(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    """Day by day: a month of requests need not stand in memory."""
    key = month.first_day.isoformat()

    def build(events: pl.LazyFrame, prices: pl.LazyFrame) -> pl.DataFrame:
        book, days = prices.collect(), [MART_SOURCE_COSTS.empty()]
        for day in month.days():
            requests = events.filter((pl.col("usage_date") == day) & pl.col("source_cost_usd").is_not_null()).collect()
            if requests.height:
                days.append(source_cost_summary(explain_source_costs(requests, book=book), month=month))
        return summed_source_costs(pl.concat(days))

    return commit_derived(workspace, MART_SOURCE_COSTS, key, {USAGE_EVENTS: day_keys(key), DIM_PRICE: [WHOLE]}, build)
