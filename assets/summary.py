"""The cube of usage: which partitions it reads, and how a month of it is committed."""

import datetime as dt
from collections.abc import Mapping, Sequence

import polars as pl

from assets.derive import commit_derived
from assets.monthly import through_date
from assets.resources import Workspace
from usage_etl.config import Settings
from usage_etl.facts.members import Organization
from usage_etl.facts.summary import Usage, summarise
from usage_etl.facts.windows import Window, custom_window, month_windows
from usage_etl.lake import WHOLE, Commit
from usage_etl.periods import Month, day_start, days_between
from usage_etl.schemas import (
    DIM_API_KEY,
    DIM_BUSINESS_UNIT,
    DIM_DEPARTMENT,
    DIM_FEATURE,
    DIM_INVESTIGATION,
    DIM_PROJECT,
    DIM_TEAM,
    DIM_USER,
    FACT_SESSIONS_DAILY,
    FACT_USAGE_DAILY,
    FACT_USAGE_HOURLY,
    MART_SUMMARY,
    Table,
)
from usage_etl.schemas.summary import CUSTOM_WINDOW

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


def summary_reads(settings: Settings) -> tuple[Table, ...]:
    """Tables that the cube is made from; sessions only where request-level records are kept."""
    sessions = (FACT_SESSIONS_DAILY,) if settings.keep_usage_events else ()
    return (FACT_USAGE_DAILY, FACT_USAGE_HOURLY, *NAME_TABLES, *sessions)


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

    def build(*frames: pl.LazyFrame) -> pl.DataFrame:
        usage, directories = opened_usage(workspace, frames, covered)
        return summarise(
            usage,
            windows=windows,
            directories=directories,
            organization=organization,
            month=month,
            through_date=through,
        )

    used = {"through_date": through, "organization": organization, "first_covered": covered}
    reads = cube_partitions(workspace, windows, through)
    return commit_derived(workspace, MART_SUMMARY, month.first_day.isoformat(), reads, build, settings=used)


def custom_summary(workspace: Workspace, first: dt.date, last: dt.date, *, dimensions: Sequence[str]) -> pl.DataFrame:
    """MART_SUMMARY rows of the days ``first`` to ``last``, in the window ``custom``; nothing is stored."""
    covered, organization = first_covered_day(workspace), organization_of(workspace)
    whole = Window("all", day_start(min(covered or first, last)), day_start(last + dt.timedelta(days=1)))
    windows = [custom_window(CUSTOM_WINDOW, first, last), whole]
    reads = cube_partitions(workspace, windows, last)
    frames = [workspace.lake.scan(table, partitions) for table, partitions in reads.items()]
    usage, directories = opened_usage(workspace, frames, covered)
    found = summarise(
        usage,
        windows=windows,
        directories=directories,
        organization=organization,
        month=Month.of(last),
        through_date=last,
        dimensions=list(dict.fromkeys(["organization", *dimensions])),
    )
    asked = pl.col("dimension").cast(pl.String).is_in(list(dimensions))
    return found.filter(asked, pl.col("window").cast(pl.String) == CUSTOM_WINDOW)


def cube_partitions(workspace: Workspace, windows: Sequence[Window], through: dt.date) -> dict[Table, list[str]]:
    """Which partitions of ``summary_reads`` the windows are made from."""
    days = day_partitions(workspace, windows, through)
    wanted = {FACT_USAGE_DAILY: days, FACT_USAGE_HOURLY: hour_partitions(windows), FACT_SESSIONS_DAILY: days}
    return {table: wanted.get(table, [WHOLE]) for table in summary_reads(workspace.settings)}


def opened_usage(
    workspace: Workspace, frames: Sequence[pl.LazyFrame], covered: dt.date | None
) -> tuple[Usage, dict[str, pl.DataFrame]]:
    """Frames of ``summary_reads``, in order, as usage and directories by table name."""
    by_table = dict(zip(summary_reads(workspace.settings), frames, strict=True))
    directories = {table.name: by_table[table].collect() for table in NAME_TABLES}
    usage = Usage(by_table[FACT_USAGE_DAILY], by_table[FACT_USAGE_HOURLY], covered, by_table.get(FACT_SESSIONS_DAILY))
    return usage, directories


def day_partitions(workspace: Workspace, windows: Sequence[Window], through: dt.date) -> list[str]:
    """Days of the windows and of the periods before, from the lake's first day on."""
    first = min(window.previous_start or window.start for window in windows).date()
    return _keys(max(first, workspace.settings.start_date), through + dt.timedelta(days=1))


def hour_partitions(windows: Sequence[Window]) -> list[str]:
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
