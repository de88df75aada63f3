"""How far past projections were off: finished months projected again from what was known on some of their days."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal

import numpy as np
import polars as pl

from usage_etl.periods import Month
from usage_etl.projections.fit import REPLAY_DAYS
from usage_etl.projections.forecast import Horizon
from usage_etl.projections.outlook import outlook
from usage_etl.projections.panel import Floats, Panel, panel_of
from usage_etl.schemas.projections import MART_PROJECTION_ACCURACY, PROJECTION_MONEY

ORIGIN_DAYS = (5, 10, 15, 20, 25)
ACTIVE_DAYS = 56
_DECIMALS = 6


def projection_accuracy(daily: pl.DataFrame, *, month: Month, currency: str) -> pl.DataFrame:
    """One (scope kind, measure, day of the month) per row (mart_projection_accuracy) of a finished month.

    ``daily`` has usage_date, scope_kind, scope_id, measure and quantity, of the month and of as much past as there is. On
    each of the days 5, 10, 15, 20 and 25 the month is projected from the days up to it only, as ``project_month`` does, and
    compared with what the month came to. The days are taken as the facts state them now: late rows and restatements that
    came after the day are in, so the numbers measure the method, not the feeds.
    """
    keys = ["scope_kind", "scope_id", "measure"]
    days_count = min(REPLAY_DAYS + month.days_count, _days_known(daily, month))
    whole = panel_of(daily, keys=keys, last_day=month.last_day, days_count=days_count)
    rows = [row for number in ORIGIN_DAYS for row in _of_origin(whole, month, number, currency)]
    frame = pl.DataFrame(rows, schema=MART_PROJECTION_ACCURACY.polars_schema)
    return MART_PROJECTION_ACCURACY.validate(frame.sort("scope_kind", "measure", "origin_day"))


def _days_known(daily: pl.DataFrame, month: Month) -> int:
    first = daily.filter(pl.col("usage_date") <= month.last_day)["usage_date"].min()
    return max(month.days_count, (month.last_day - first).days + 1) if isinstance(first, dt.date) else month.days_count


def _of_origin(whole: Panel, month: Month, number: int, currency: str) -> Iterator[dict[str, object]]:
    day = month.first_day.replace(day=number)
    horizon = Horizon(elapsed=number, skipped=0, ahead=month.days_count - number)
    panel = whole.until(day)
    active = (panel.ages > 0) & (np.abs(panel.days[:, -ACTIVE_DAYS:]).sum(axis=1) > 0)
    panel = panel.where(active)
    rest = whole.days[active, whole.days.shape[1] - horizon.ahead :].sum(axis=1)
    so_far = panel.days[:, -number:].sum(axis=1)
    found = outlook(panel, horizon)
    lower, upper = found.band()
    banded = np.array([found.has_band(row) for row in range(panel.ages.size)], dtype=np.bool_)
    held = banded & (rest >= lower - _slack(rest)) & (rest <= upper + _slack(rest))
    scores = panel.keys.with_columns(
        actual=pl.Series(so_far + rest),
        missed=pl.Series(np.abs(found.middle - rest)),
        linear_missed=pl.Series(np.abs(so_far / number * horizon.ahead - rest)),
        is_banded=pl.Series(banded),
        is_held=pl.Series(held),
    )
    for (kind, measure), part in scores.group_by("scope_kind", "measure", maintain_order=True):
        actual, missed, linear = (float(part[name].sum()) for name in ("actual", "missed", "linear_missed"))
        yield {
            "month": month.first_day,
            "scope_kind": kind,
            "measure": measure,
            "currency": currency if measure == PROJECTION_MONEY else None,
            "origin_day": number,
            "series_count": part.height,
            "actual_quantity": _exact(actual),
            "missed_quantity": _exact(missed),
            "linear_missed_quantity": _exact(linear),
            "missed_ratio": _ratio(missed, actual),
            "linear_missed_ratio": _ratio(linear, actual),
            "banded_count": int(part["is_banded"].sum()),
            "held_count": int(part["is_held"].sum()),
        }


def _slack(numbers: Floats) -> Floats:
    """Rounding of floats is no miss."""
    slack: Floats = 1e-9 * np.maximum(1.0, np.abs(numbers))
    return slack


def _exact(statistic: float) -> Decimal:
    return Decimal(repr(float(statistic))).quantize(Decimal(1).scaleb(-_DECIMALS))


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
