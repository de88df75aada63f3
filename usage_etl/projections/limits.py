"""Where each period of a limit will end: used, straight line, projection with its band, chance and day of passing the limit."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from usage_etl.money import MONEY
from usage_etl.projections.fit import REPLAY_DAYS
from usage_etl.projections.forecast import LEVEL_DAYS, Horizon
from usage_etl.projections.outlook import Outlook, outlook
from usage_etl.projections.panel import Panel, panel_of

ACTIVE_DAYS = 56
"""A series that added nothing in this many days is not projected."""
DEFAULT_DECIMALS = 2
ROUNDING = 1e-9
"""Sums of floats that differ by less are the same."""

LIMIT_COLUMNS: dict[str, pl.DataType] = {
    "limit_id": pl.String(),
    "series_id": pl.String(),
    "period_start": pl.Date(),
    "period_end": pl.Date(),
    "limit_quantity": MONEY,
    "decimals": pl.Int32(),
}
PROJECTED_COLUMNS: dict[str, pl.DataType] = {
    "limit_id": pl.String(),
    "used_quantity": MONEY,
    "linear_quantity": MONEY,
    "projected_quantity": MONEY,
    "projected_lower_quantity": MONEY,
    "projected_upper_quantity": MONEY,
    "breach_probability_ratio": pl.Float64(),
    "breach_date": pl.Date(),
    "band_samples_count": pl.Int64(),
}


def project_limits(daily: pl.DataFrame, limits: pl.DataFrame, *, through_date: dt.date, settled_date: dt.date) -> pl.DataFrame:
    """One limit per row, in the order of ``limits``: where its period will end, as known at the end of ``through_date``.

    ``daily`` has series_id, usage_date and quantity (exact; null counts as nothing), of the periods and of as much past as
    there is; rows after ``through_date`` are never read, and a day without a row is a day without usage. Days after
    ``settled_date`` are still filling: they are projected, and what has arrived of them is the least that they will hold.
    All series of ``daily`` serve as the memory of errors, whether a limit names them or not.

    ``limits`` has limit_id (unique), series_id, period_start, period_end (last day, included) and limit_quantity (null: no
    limit, only a projection); optionally ``decimals``, to which what is expected is rounded (2 unless given).

    used_quantity is exact. The straight line goes through the settled days of the period; before there are any, through
    the last 28. The band holds four times in five; its ends are null where fewer than ten past projections measure it
    (band_samples_count 0). breach_probability_ratio is the share of past errors with which the period would end above the
    limit, breach_date the day on which the expected path passes it, null when that is not inside the period. A limit that
    is already passed has probability 1 and the day on which it was passed.
    """
    if settled_date > through_date:
        raise ValueError(f"days up to {settled_date} cannot be settled: data ends on {through_date}")
    wanted = _conformed(limits)
    known = daily.select(pl.col("series_id").cast(pl.String), "usage_date", pl.col("quantity").cast(MONEY)).filter(
        pl.col("usage_date") <= through_date
    )
    used = _used(known, wanted, settled_date)
    panel = panel_of(known, keys=["series_id"], last_day=settled_date, days_count=REPLAY_DAYS)
    rows_of = {series: row for row, series in enumerate(panel.keys["series_id"])}
    groups: dict[Horizon, list[dict[str, Any]]] = {}
    for limit in used.iter_rows(named=True):
        groups.setdefault(_horizon(limit["period_start"], limit["period_end"], settled_date), []).append(limit)
    rows = [row for horizon, group in groups.items() for row in _projected(panel, horizon, group, rows_of, settled_date)]
    frame = pl.DataFrame(rows, schema=PROJECTED_COLUMNS)
    return wanted.select("limit_id").join(frame, on="limit_id", how="left", validate="1:1", maintain_order="left")


def active_series(daily: pl.DataFrame, *, through_date: dt.date) -> pl.Series:
    """series_id of those that added something in the eight weeks up to ``through_date``, in order."""
    first_day = through_date - dt.timedelta(days=ACTIVE_DAYS - 1)
    recent = daily.filter(pl.col("usage_date").is_between(first_day, through_date), pl.col("quantity") != 0)
    return recent["series_id"].unique().sort()


def _conformed(limits: pl.DataFrame) -> pl.DataFrame:
    if "decimals" not in limits.columns:
        limits = limits.with_columns(decimals=pl.lit(DEFAULT_DECIMALS))
    return limits.select(pl.col(name).cast(dtype) for name, dtype in LIMIT_COLUMNS.items())


def _used(known: pl.DataFrame, limits: pl.DataFrame, settled_date: dt.date) -> pl.DataFrame:
    """Limits with their exact used_quantity, what of it is settled, and the day on which it passed the limit."""
    in_period = limits.join(known, on="series_id", how="inner").filter(
        pl.col("usage_date").is_between("period_start", "period_end")
    )
    by_day = in_period.group_by("limit_id", "limit_quantity", "usage_date").agg(pl.col("quantity").sum()).sort("usage_date")
    running = by_day.with_columns(running_quantity=pl.col("quantity").cum_sum().over("limit_id", order_by="usage_date"))
    nothing = pl.lit(Decimal(0), MONEY)
    sums = running.group_by("limit_id").agg(
        used_quantity=pl.col("quantity").sum(),
        settled_quantity=pl.col("quantity").filter(pl.col("usage_date") <= settled_date).sum(),
        passed_date=pl.col("usage_date").filter(pl.col("running_quantity") > pl.col("limit_quantity")).min(),
    )
    return limits.join(sums, on="limit_id", how="left", validate="1:1").with_columns(
        pl.col("used_quantity", "settled_quantity").fill_null(nothing)
    )


def _horizon(first_day: dt.date, last_day: dt.date, settled_date: dt.date) -> Horizon:
    return Horizon(
        elapsed=max(0, (min(settled_date, last_day) - first_day).days + 1),
        skipped=max(0, (first_day - settled_date).days - 1),
        ahead=max(0, (last_day - settled_date).days),
    )


def _projected(
    panel: Panel, horizon: Horizon, limits: list[dict[str, Any]], rows_of: dict[str, int], settled_date: dt.date
) -> list[dict[str, Any]]:
    found = outlook(panel, horizon)
    lower, upper = found.band()
    middle, level = found.middle, panel.days[:, -LEVEL_DAYS:].sum(axis=1) / np.clip(panel.ages, 1, LEVEL_DAYS)
    rows = []
    for limit in limits:
        index = rows_of.get(limit["series_id"])
        row = _unknown(limit) if index is None else _row(limit, found, index, (lower[index], middle[index], upper[index]))
        row["linear_quantity"] = _straight(limit, horizon, 0.0 if index is None else float(level[index]))
        if row["breach_date"] is None and index is not None:
            row["breach_date"] = _breach_date(limit, found.path[index], settled_date, horizon)
        rows.append(row)
    return rows


def _row(limit: dict[str, Any], found: Outlook, index: int, rest: tuple[float, float, float]) -> dict[str, Any]:
    used, settled, quantity = limit["used_quantity"], limit["settled_quantity"], limit["limit_quantity"]
    lower, middle, upper = (max(used, settled + _rounded(part, limit["decimals"])) for part in rest)
    probability = None
    if quantity is not None:
        probability = 1.0 if used > quantity else found.exceedance(index, float(quantity - settled))
    return {
        "limit_id": limit["limit_id"],
        "used_quantity": used,
        "projected_quantity": middle,
        "projected_lower_quantity": lower if found.has_band(index) else None,
        "projected_upper_quantity": upper if found.has_band(index) else None,
        "breach_probability_ratio": probability,
        "breach_date": limit["passed_date"],
        "band_samples_count": found.samples_count(index),
    }


def _unknown(limit: dict[str, Any]) -> dict[str, Any]:
    """A series without any usage in the days that are read: nothing is expected of it, and nothing measures that."""
    used, quantity = limit["used_quantity"], limit["limit_quantity"]
    return {
        "limit_id": limit["limit_id"],
        "used_quantity": used,
        "projected_quantity": used,
        "projected_lower_quantity": None,
        "projected_upper_quantity": None,
        "breach_probability_ratio": None if quantity is None else float(used > quantity),
        "breach_date": limit["passed_date"],
        "band_samples_count": 0,
    }


def _straight(limit: dict[str, Any], horizon: Horizon, level: float) -> Decimal:
    """The settled days of the period carried on; before there are any, the level of the last 28 days."""
    used: Decimal = limit["used_quantity"]
    settled: Decimal = limit["settled_quantity"]
    days = horizon.days_count
    if horizon.elapsed:
        unit = Decimal(1).scaleb(-int(limit["decimals"]))
        return max(used, settled + (settled * days / horizon.elapsed).quantize(unit))
    return max(used, _rounded(level * days, limit["decimals"]))


def _breach_date(limit: dict[str, Any], path: npt.NDArray[np.float64], settled_date: dt.date, horizon: Horizon) -> dt.date | None:
    quantity = limit["limit_quantity"]
    if quantity is None:
        return None
    room = float(quantity - limit["settled_quantity"])
    above = np.flatnonzero(np.cumsum(path) > room + ROUNDING * abs(room))
    return settled_date + dt.timedelta(days=horizon.skipped + int(above[0]) + 1) if above.size else None


def _rounded(statistic: float, decimals: int) -> Decimal:
    return Decimal(repr(float(statistic))).quantize(Decimal(1).scaleb(-decimals))
