"""The cube of usage: which partitions it reads, and how a month of it is committed."""

import datetime as dt
from collections.abc import Mapping

import polars as pl

from assets.derive import commit_derived
from assets.monthly import through_date
from assets.resources import Workspace
from usage_etl.facts.members import Organization
from usage_etl.facts.summary import Usage, summarise
from usage_etl.facts.windows import Window, month_windows
from usage_etl.lake import WHOLE, Commit
from usage_etl.periods import Month, days_between
from usage_etl.schemas import (
    DIM_API_KEY,
    DIM_BUSINESS_UNIT,
    DIM_DEPARTMENT,
    DIM_FEATURE,
    DIM_INVESTIGATION,
    DIM_PROJECT,
    DIM_TEAM,
    DIM_USER,
    FACT_USAGE_DAILY,
    FACT_USAGE_HOURLY,
    MART_SUMMARY,
    Table,
)

NAME_TABLES = (
    DIM_USER,
    DIM_TEAM,
    DIM_API_KEY,
    DIM_FEATURE,
    DIM_PROJECT,
    DIM_INVESTIGATION,
    DIM_DEPARTMENT,
    DIM_BUSINESS_UNIT,
)
"""Directories that name members."""

SUMMARY_READS = (FACT_USAGE_DAILY, FACT_USAGE_HOURLY, *NAME_TABLES)
"""Tables that the cube is made from."""


def organization_of(workspace: Workspace) -> Organization:
    """Whose usage it is."""
    settings = workspace.settings.organization
    return Organization(settings.id, settings.name, settings.currency)


def first_covered_day(workspace: Workspace) -> dt.date | None:
    """First day of the lake with usage; None in an empty lake."""
    filled = workspace.lake.filled_partitions(FACT_USAGE_DAILY)
    return dt.date.fromisoformat(filled[0]) if filled else None


def summary_windows(workspace: Workspace, month: Month) -> list[Window]:
    """Windows of the month, as they end now."""
    through = through_date(workspace, month)
    return month_windows(month, through_date=through, first_covered=first_covered_day(workspace) or month.first_day)


def window_facts(workspace: Workspace, window: Window) -> pl.LazyFrame:
    """Rows of the facts that a window is made of."""
    if window.is_hourly:
        hours = workspace.lake.scan(FACT_USAGE_HOURLY, hour_partitions([window]))
        return hours.filter((pl.col("hour_start_at") >= window.start) & (pl.col("hour_start_at") < window.end))
    first = max(window.start.date(), workspace.settings.start_date)
    return workspace.lake.scan(FACT_USAGE_DAILY, _keys(first, window.end.date()))


def build_summary(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    """Builds and commits the month's windows."""
    through, organization, covered = through_date(workspace, month), organization_of(workspace), first_covered_day(workspace)
    windows = summary_windows(workspace, month)
    reads: dict[Table, list[str]] = {
        FACT_USAGE_DAILY: day_partitions(workspace, windows, through),
        FACT_USAGE_HOURLY: hour_partitions(windows),
        **{table: [WHOLE] for table in NAME_TABLES},
    }

    def build(daily: pl.LazyFrame, hourly: pl.LazyFrame, *directories: pl.LazyFrame) -> pl.DataFrame:
        frames = {table.name: frame.collect() for table, frame in zip(NAME_TABLES, directories, strict=True)}
        usage = Usage(daily, hourly, covered)
        return summarise(usage, windows=windows, directories=frames, organization=organization, month=month, through_date=through)

    used = {"through_date": through, "organization": organization, "first_covered": covered}
    return commit_derived(workspace, MART_SUMMARY, month.first_day.isoformat(), reads, build, settings=used)


def day_partitions(workspace: Workspace, windows: list[Window], through: dt.date) -> list[str]:
    """Days of the windows and of the periods before, from the lake's first day on."""
    first = min(window.previous_start or window.start for window in windows).date()
    return _keys(max(first, workspace.settings.start_date), through + dt.timedelta(days=1))


def hour_partitions(windows: list[Window]) -> list[str]:
    """Days whose hours windows of hours are made of."""
    wanted: set[str] = set()
    for window in windows:
        if window.is_hourly:
            for start, end in ((window.start, window.end), (window.previous_start, window.previous_end)):
                if start and end:
                    wanted |= set(_keys(start.date(), end.date() + dt.timedelta(days=1)))
    return sorted(wanted)


def _keys(first: dt.date, end: dt.date) -> list[str]:
    return [day.isoformat() for day in days_between(first, end)]
