"""Projections: where each month will end, for every owner, key and feature, and how far past projections were off."""

import datetime as dt
from collections.abc import Mapping

import dagster as dg
import polars as pl

from assets.derive import commit_derived
from assets.monthly import monthly_asset, through_date
from assets.resources import Workspace
from usage_etl.config import Settings
from usage_etl.lake import WHOLE, Commit
from usage_etl.periods import Month, days_between
from usage_etl.projections import project_month, projection_accuracy, scope_series, settled_dates, settled_series
from usage_etl.quotas.budgets import monthly_budgets
from usage_etl.schemas import (
    DIM_QUOTA,
    FACT_USAGE_DAILY,
    MART_PROJECTION,
    MART_PROJECTION_ACCURACY,
    STAGED_USAGE,
)
from usage_etl.schemas.projections import PROJECTION_KEYS

HISTORY_DAYS = 400
"""Days before a month that its projections learn from: a year and what the first of its replays needs."""


def projection_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Definitions of the projection and of its accuracy."""
    return [
        monthly_asset(settings, [MART_PROJECTION], (FACT_USAGE_DAILY, DIM_QUOTA), _projection),
        monthly_asset(settings, [MART_PROJECTION_ACCURACY], (FACT_USAGE_DAILY,), _accuracy),
    ]


def _projection(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    key, organization = month.first_day.isoformat(), workspace.settings.organization
    through = through_date(workspace, month)
    settled = settled_feeds(workspace, through)

    def build(daily: pl.LazyFrame, quotas: pl.LazyFrame) -> pl.DataFrame:
        series = scope_series(daily, organization_id=organization.id, currency=organization.currency)
        late = settled.filter(pl.col("settled_date") < through)
        of_late_feeds = scope_series(
            daily.filter(pl.col("source").cast(pl.String).is_in(late["source"].implode())),
            organization_id=organization.id,
            currency=organization.currency,
            by_feed=True,
        )
        days = settled_series(series, of_late_feeds, settled, keys=list(PROJECTION_KEYS), through_date=through)
        return project_month(
            series,
            monthly_budgets(quotas.collect()),
            month=month,
            through_date=through,
            currency=organization.currency,
            settled=days,
        )

    reads = {FACT_USAGE_DAILY: _days(workspace, month), DIM_QUOTA: [WHOLE]}
    used = {
        "through_date": through,
        "organization": organization.id,
        "currency": organization.currency,
        "settled": settled.write_json(),
    }
    return commit_derived(workspace, MART_PROJECTION, key, reads, build, settings=used)


def _accuracy(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    """Of a finished month; of the running one there is nothing to measure yet."""
    key, organization = month.first_day.isoformat(), workspace.settings.organization
    is_over = through_date(workspace, month) == month.last_day

    def build(daily: pl.LazyFrame) -> pl.DataFrame:
        if not is_over:
            return MART_PROJECTION_ACCURACY.empty()
        series = scope_series(daily, organization_id=organization.id, currency=organization.currency)
        return projection_accuracy(series, month=month, currency=organization.currency)

    reads = {FACT_USAGE_DAILY: _days(workspace, month) if is_over else []}
    used = {"is_over": is_over, "organization": organization.id, "currency": organization.currency}
    return commit_derived(workspace, MART_PROJECTION_ACCURACY, key, reads, build, settings=used)


def _days(workspace: Workspace, month: Month) -> list[str]:
    first = max(workspace.settings.start_date, month.first_day - dt.timedelta(days=HISTORY_DAYS))
    return [day.isoformat() for day in days_between(first, through_date(workspace, month) + dt.timedelta(days=1))]


def settled_feeds(workspace: Workspace, through: dt.date) -> pl.DataFrame:
    """Source and its last day that is complete."""
    return settled_dates(_arrivals(workspace), through_date=through)


def _arrivals(workspace: Workspace) -> pl.DataFrame:
    """When the staged rows of each day arrived, by source; only of sources whose usage counts."""
    counting = [source.name for source in workspace.settings.sources if source.role == "usage"]
    received = workspace.deliveries().select("delivery_id", received_date=pl.col("received_at").dt.date())
    return (
        workspace.staged_rows()
        .filter(pl.col("table_name") == STAGED_USAGE.name, pl.col("source").is_in(counting))
        .join(received, on="delivery_id", how="inner")
        .select(
            "source",
            "usage_date",
            "received_date",
            "rows_count",
            counted_count=pl.col("rows_count") - pl.col("lost_count"),
        )
        .sort("source", "usage_date", "received_date", "rows_count", "counted_count")
    )
