"""The cube behind every report: usage in each window by each dimension, beside the period before.

Days are cut into pieces wherever a window begins or ends; usage is summed once per piece and combination of members, and
each window is then a set of pieces. What is distinct (users, sessions, models) is counted anew from the pieces of a window.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from usage_etl.facts.latency import merged_histogram, percentile_name
from usage_etl.facts.measures import READ_COLUMNS, measured, merged, ratio_of, ratios
from usage_etl.facts.members import (
    CUBE_COLUMNS,
    Organization,
    member_names,
    member_of,
    with_business_unit,
    with_names,
)
from usage_etl.facts.rollup import COMPARED, KEYS, PERCENTILES, distinct, rolled_up
from usage_etl.facts.windows import DAY, Segments, Window, segments
from usage_etl.periods import Month, day_start
from usage_etl.schemas.summary import MART_SUMMARY, SUMMARY_DIMENSIONS
from usage_etl.units import TOKEN_CLASSES


@dataclass(frozen=True)
class Usage:
    """Stored usage: fact_usage_daily of every window and of the periods before, fact_usage_hourly of windows of hours."""

    daily: pl.LazyFrame
    hourly: pl.LazyFrame
    first_covered: dt.date | None
    """First day of the lake that has data; None in an empty lake."""
    sessions: pl.LazyFrame | None = None
    """fact_sessions_daily of the same days; None where request-level records are not kept."""


def summarise(
    usage: Usage,
    *,
    windows: Sequence[Window],
    directories: Mapping[str, pl.DataFrame],
    organization: Organization,
    month: Month,
    through_date: dt.date,
    dimensions: Sequence[str] = SUMMARY_DIMENSIONS,
) -> pl.DataFrame:
    """One (window, dimension, member) per row (mart_summary), from usage facts.

    In every window each dimension's requests, tokens and cost add up to the organization's, but for ``tag``. Distinct
    users are counted anew in every row. Usage without a member is ``(none)``. A model's member id is ``provider/model_id``, a
    day's its ISO date. Members of one period only have zeros in the other; previous values are null with
    ``previous_has_data`` false unless data begins on or before the first day of the period before.

    ``directories`` are frames by table name; names are those valid on ``through_date``. Cost in another currency than the
    organization's is never added: such usage counts as unpriced.
    """
    pieces = segments([window if _is_compared(window, usage.first_covered) else window.alone() for window in windows])
    reduced = _reduced(usage, pieces, directories, organization.currency)
    parts = [_of_dimension(dimension, reduced, pieces, organization) for dimension in dimensions if dimension != "day"]
    if "day" in dimensions and any(window.name == "month" for window in windows):
        parts.append(_of_days(usage, pieces, directories, organization, month))
    cube = pl.concat(parts, how="diagonal") if parts else pl.DataFrame()
    if usage.sessions is not None and cube.height:
        counted = _sessions(usage.sessions, pieces, directories, organization, dimensions)
        kept = pieces.windows.join(pieces.whole_days().select("segment"), on="segment", how="semi")
        is_kept = pl.col("window").is_in(kept["window"].unique().implode())
        cube = cube.join(counted, on=["dimension", *KEYS], how="left").with_columns(
            pl.when(is_kept).then(pl.col("sessions_count").fill_null(0)).alias("sessions_count")
        )
    else:
        cube = cube.with_columns(sessions_count=pl.lit(None, pl.Int64))
    return _finished(cube, usage, windows, names=member_names(directories, organization, through_date),
                     organization=organization, month=month, through_date=through_date)  # fmt: skip


def _reduced(usage: Usage, pieces: Segments, directories: Mapping[str, pl.DataFrame], currency: str) -> pl.DataFrame:
    """Usage summed by piece of time and combination of members: what every dimension is made from."""
    keys = ["segment", *CUBE_COLUMNS]
    rows = _placed(usage, pieces, directories, currency)
    return (
        rows.group_by(keys)
        .agg(merged(with_latency=True))
        .with_columns(merged_histogram(pl.col("latency_buckets")))
        .collect(engine="streaming")
    )


def _sessions(
    sessions: pl.LazyFrame,
    pieces: Segments,
    directories: Mapping[str, pl.DataFrame],
    organization: Organization,
    dimensions: Sequence[str],
) -> pl.DataFrame:
    """Distinct sessions per dimension, window and member; of windows that begin within a day none, for days are all we have."""
    days, windows = pieces.whole_days(), pieces.windows.lazy().filter(~pl.col("is_previous"))
    columns = ["usage_date", "session_key", *(name for name in CUBE_COLUMNS if name != "business_unit_id"), *TOKEN_CLASSES]
    placed = _with_unit(sessions.select(columns).join(days.lazy(), on="usage_date"), directories, days)
    reduced = placed.group_by("segment", "session_key", *CUBE_COLUMNS).agg(pl.col(TOKEN_CLASSES).sum()).collect().lazy()
    counted = []
    for dimension in dimensions:
        among = windows
        if dimension == "day":
            among = windows.filter(pl.col("window") == "month")
            rows = placed.with_columns(member_id=pl.col("usage_date").cast(pl.String))
        else:
            rows = reduced.with_columns(member_id=member_of(dimension, organization))
        rows = rows.explode("member_id") if dimension == "tag" else rows
        counted.append(distinct(rows, among, "session_key", "sessions_count").with_columns(dimension=pl.lit(dimension)))
    return pl.concat(pl.collect_all(counted))


def _placed(usage: Usage, pieces: Segments, directories: Mapping[str, pl.DataFrame], currency: str) -> pl.LazyFrame:
    """Rows of usage that lie in any window, with their piece of time and what is summed."""
    columns = ["usage_date", *(name for name in CUBE_COLUMNS if name != "business_unit_id"), *READ_COLUMNS]
    daily = usage.daily.select(columns).join(pieces.days.lazy(), on="usage_date")
    hourly = usage.hourly.select("hour_start_at", *columns).join(pieces.hours.lazy(), on="hour_start_at").drop("hour_start_at")
    hour_days = pieces.hours.select(pl.col("hour_start_at").dt.date().alias("usage_date"))
    days = pl.concat([pieces.days.select("usage_date"), hour_days]).unique()
    return measured(_with_unit(pl.concat([daily, hourly]), directories, days), currency)


def _with_unit(rows: pl.LazyFrame, directories: Mapping[str, pl.DataFrame], days: pl.DataFrame) -> pl.LazyFrame:
    departments = directories.get("dim_department")
    if departments is None or departments.is_empty():
        return rows.with_columns(business_unit_id=pl.lit(None, pl.Categorical))
    return with_business_unit(rows, departments, days)


def _of_dimension(dimension: str, reduced: pl.DataFrame, pieces: Segments, organization: Organization) -> pl.DataFrame:
    rows = reduced.lazy().with_columns(member_id=member_of(dimension, organization))
    if dimension == "tag":
        rows = rows.explode("member_id")
    return rolled_up(dimension, rows, pieces)


def _of_days(
    usage: Usage, pieces: Segments, directories: Mapping[str, pl.DataFrame], organization: Organization, month: Month
) -> pl.DataFrame:
    """Days of the month; those of the month before stand under the day of ``month`` with their number."""
    monthly = pieces.windows.filter(pl.col("window") == "month")
    only = Segments(pieces.days.join(monthly.select("segment"), on="segment", how="semi"), pieces.hours.clear(), monthly)
    rows = _placed(usage, only, directories, organization.currency)
    member = pl.format("{}-{}", pl.lit(str(month)), pl.col("usage_date").dt.strftime("%d"))
    return rolled_up("day", rows.with_columns(member_id=member), only, with_gone=False)


def _finished(
    cube: pl.DataFrame,
    usage: Usage,
    windows: Sequence[Window],
    *,
    names: pl.DataFrame,
    organization: Organization,
    month: Month,
    through_date: dt.date,
) -> pl.DataFrame:
    """The cube in the shape of mart_summary."""
    if cube.is_empty():
        return MART_SUMMARY.empty()
    spans = _spans(windows, usage.first_covered)
    has_previous = pl.col("previous_has_data")
    previous = [f"previous_{name}" for name in COMPARED]
    first_seen = cube.filter(pl.col("window") == "all").select("dimension", "member_id", first_seen_date="first_active_date")
    is_told = pl.col("buckets_count") == pl.col("latency_count")
    whole = cube.filter(pl.col("dimension") == "organization").select("window", whole_cost=pl.col("effective_cost"))
    found = (
        cube.join(spans, on="window").join(first_seen, on=["dimension", "member_id"], how="left")
        .join(whole, on="window", how="left")
        .with_columns(
            *(pl.when(has_previous).then(name).alias(name) for name in previous),
            *(pl.when(is_told).then(name).alias(name) for name in map(percentile_name, PERCENTILES)),
            *ratios(),
            pl.col("investigations_count", "models_count").fill_null(0),
            ratio_of("primary_requests_count", "requests_count").alias("primary_provider_ratio"),
            ratio_of("effective_cost", "whole_cost").alias("cost_share_ratio"),
            month=pl.lit(month.first_day), through_date=pl.lit(through_date), currency=pl.lit(organization.currency),
        )
    )  # fmt: skip
    summary = MART_SUMMARY.conform(with_names(found, names).lazy()).collect().sort(*MART_SUMMARY.sort_by)
    return MART_SUMMARY.validate(summary)


def _is_compared(window: Window, first_covered: dt.date | None) -> bool:
    """Whether data covers the period before from its first day on."""
    return window.previous_start is not None and first_covered is not None and day_start(first_covered) <= window.previous_start


def _spans(windows: Sequence[Window], first_covered: dt.date | None) -> pl.DataFrame:
    """One row per window: its instants, where data begins in it, and the period before with whether data covers it."""
    rows = [
        (
            window.name,
            window.start.date(),
            window.start,
            window.end,
            max(window.start.date(), first_covered or window.start.date()),
            _is_compared(window, first_covered),
            window.previous_start.date() if window.previous_start else None,
            (window.previous_end - DAY / 24).date() if window.previous_end else None,
        )
        for window in windows
    ]
    schema: dict[str, Any] = {
        "window": pl.String, "window_start": pl.Date, "window_start_at": pl.Datetime("us", "UTC"),
        "window_end_at": pl.Datetime("us", "UTC"), "first_covered_date": pl.Date, "previous_has_data": pl.Boolean,
        "previous_start_date": pl.Date, "previous_end_date": pl.Date,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")
