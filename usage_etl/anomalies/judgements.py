"""Every day of any set of daily series beside its expectation: the detector of the marts, on plain numbers."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

from usage_etl.anomalies.detection import judge
from usage_etl.anomalies.series import Panel

_UNJUDGED = -1.0


def judge_series(daily: pl.DataFrame) -> pl.DataFrame:
    """One row per (series_id, usage_date) of ``daily``: is_flagged, score and expected (null: too little past).

    ``daily`` has series_id, usage_date and quantity; several rows of a day add up, a day without a row is a day without
    any, and a day of which no series has a row is unknown. A day is judged from rows up to and including it.

    The score of a flagged day is what it lies away from its expectation, in the unit of the series; that of another day is
    below zero, nearer to it the less is missing. So the largest score is the dearest anomaly.
    """
    sums = (
        daily.group_by("usage_date", scope_id="series_id")
        .agg(effective_cost=pl.col("quantity").sum())
        .sort("scope_id", "usage_date")
    )
    if sums.is_empty():
        return sums.select(series_id="scope_id", usage_date="usage_date").with_columns(
            is_flagged=pl.lit(None, pl.Boolean), score=pl.lit(None, pl.Float64), expected=pl.lit(None, pl.Float64)
        )
    first, last = sums["usage_date"].min(), sums["usage_date"].max()
    assert isinstance(first, dt.date)
    assert isinstance(last, dt.date)
    known = np.zeros((last - first).days + 1, dtype=bool)
    known[(sums["usage_date"].unique() - first).dt.total_days().to_numpy()] = True
    panel = Panel.of(sums, kind="series", first_day=first, known=known)
    values = panel.values("effective_cost")
    found = judge(values)
    distance = np.abs(values - found.expected)
    missing = np.minimum(distance / np.maximum(found.margin, 1e-300) - 1, 0)
    scores = np.where(found.is_flagged, distance, np.where(np.isnan(missing), _UNJUDGED, missing))
    rows = sums["scope_id"].replace_strict({scope: row for row, scope in enumerate(panel.ids)}, return_dtype=pl.Int64)
    days = (sums["usage_date"] - first).dt.total_days()
    places = rows.to_numpy(), days.to_numpy()
    return sums.select(series_id="scope_id", usage_date="usage_date").with_columns(
        is_flagged=pl.Series(found.is_flagged[places]),
        score=pl.Series(scores[places]),
        expected=pl.Series(found.expected[places]).fill_nan(None),
    )
