"""When a stock will be used up: the date with an 80 % band, from the same lines and errors as a period's end."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

from usage_etl.money import MONEY
from usage_etl.projections.fit import REPLAY_DAYS
from usage_etl.projections.forecast import Horizon
from usage_etl.projections.outlook import outlook
from usage_etl.projections.panel import Floats, panel_of

HORIZON_DAYS = (7, 28, 84)
"""Days ahead at which what will be used is projected and measured; between them it is drawn straight, after them carried on."""
YEAR_DAYS = 365
ROUNDING = 1e-9
"""Sums of floats that differ by less are the same."""
RUNWAY_COLUMNS: dict[str, pl.DataType] = {
    "stock_id": pl.String(),
    "runway_date": pl.Date(),
    "runway_lower_date": pl.Date(),
    "runway_upper_date": pl.Date(),
}


def runway(daily: pl.DataFrame, stocks: pl.DataFrame, *, settled_date: dt.date) -> pl.DataFrame:
    """One stock per row, in the order of ``stocks``: the day on which it will be used up.

    ``daily`` has series_id, usage_date and quantity of what draws on stocks; rows after ``settled_date`` are never read.
    ``stocks`` has stock_id (unique), series_id and remaining_quantity, what is left at the end of ``settled_date``.

    runway_date is the day on which the expected use reaches what is left; in four of five cases the day lies between
    runway_lower_date (use runs high) and runway_upper_date (use runs low). Null is not within a year of ``settled_date``;
    runway_lower_date and runway_upper_date are null as well where too little past measures a band. A stock of which nothing
    is left is used up on ``settled_date``.
    """
    panel = panel_of(daily, keys=["series_id"], last_day=settled_date, days_count=REPLAY_DAYS)
    rows_of = {series: row for row, series in enumerate(panel.keys["series_id"])}
    known = [outlook(panel, Horizon(elapsed=0, skipped=0, ahead=days)) for days in HORIZON_DAYS]
    points = [(*found.band(), found.middle) for found in known]
    rows = []
    for stock, series, left in stocks.select("stock_id", "series_id", pl.col("remaining_quantity").cast(MONEY)).iter_rows():
        row = rows_of.get(series)
        dates: list[dt.date | None] = [settled_date if left <= 0 else None] * 3
        if left > 0 and row is not None:
            low, high, middle = (np.array([point[part][row] for point in points]) for part in range(3))
            is_measured = all(found.has_band(row) for found in known)
            used = (middle, high if is_measured else None, low if is_measured else None)
            dates = [None if one is None else _day(one, float(left), settled_date) for one in used]
        rows.append((stock, *dates))
    return pl.DataFrame(rows, schema=RUNWAY_COLUMNS, orient="row")


def _day(used: Floats, left: float, settled_date: dt.date) -> dt.date | None:
    """First day on which what is used reaches ``left``."""
    days = np.arange(1, YEAR_DAYS + 1)
    within = np.interp(days, (0, *HORIZON_DAYS), (0.0, *np.maximum.accumulate(used)))
    later = days > HORIZON_DAYS[-1]
    curve = np.where(later, used[-1] / HORIZON_DAYS[-1] * days, within)
    reached = np.flatnonzero(curve >= left * (1 - ROUNDING))
    return settled_date + dt.timedelta(days=int(days[reached[0]])) if reached.size else None
