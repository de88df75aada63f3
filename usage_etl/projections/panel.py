"""Many daily series on one calendar, as numbers to compute with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Panel:
    """One row of ``days`` per series, one column per day; the last column is ``last_day``."""

    keys: pl.DataFrame
    """Key columns of the series, in the order of the rows."""
    days: Floats
    """What each day added; 0 on days without a row and before a series began."""
    ages: Counts
    """Days from a series' first row to ``last_day``, both included."""
    last_day: dt.date

    def until(self, day: dt.date) -> Panel:
        """The panel as it stood at the end of ``day``: later days are cut off, series that began later are aged 0 or less."""
        cut = (self.last_day - day).days
        return Panel(self.keys, self.days[:, : self.days.shape[1] - cut], self.ages - cut, day) if cut > 0 else self

    def where(self, mask: npt.NDArray[np.bool_]) -> Panel:
        """The series that ``mask`` marks."""
        return Panel(self.keys.filter(pl.Series(mask)), self.days[mask], self.ages[mask], self.last_day)


def panel_of(daily: pl.DataFrame, *, keys: Sequence[str], last_day: dt.date, days_count: int) -> Panel:
    """Series of ``daily`` (``keys``, usage_date, quantity) over the ``days_count`` days up to ``last_day``, by key in order.

    Rows outside these days are not read; null quantities count as absent. Series without a row in them are left out.
    """
    first_day = last_day - dt.timedelta(days=days_count - 1)
    known = (
        daily.filter(pl.col("usage_date").is_between(first_day, last_day), pl.col("quantity").is_not_null())
        .group_by(*(pl.col(key).cast(pl.String) for key in keys), "usage_date")
        .agg(pl.col("quantity").sum().cast(pl.Float64))
    )
    firsts = known.group_by(*keys).agg(pl.col("usage_date").min().alias("first_date")).sort(*keys).with_row_index("series_row")
    placed = known.join(firsts, on=list(keys))
    days = np.zeros((firsts.height, days_count))
    columns = (placed["usage_date"] - first_day).dt.total_days().to_numpy()
    days[placed["series_row"].to_numpy(), columns] = placed["quantity"].to_numpy()
    ages = (pl.Series(values=[last_day]) - firsts["first_date"]).dt.total_days().to_numpy().astype(np.int64) + 1
    return Panel(firsts.select(*keys), days, ages, last_day)
