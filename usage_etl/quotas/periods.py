"""Periods of quotas: UTC days, calendar months, and billing months that begin on a chosen day."""

from __future__ import annotations

import datetime as dt

import polars as pl

from usage_etl.periods import Month


def period_of(day: dt.date, *, period_kind: str, billing_day: int) -> tuple[dt.date, dt.date]:
    """First and last day of the period that ``day`` is in. ``billing_day`` is 1 to 28, so every month has it."""
    if period_kind == "day":
        return day, day
    first = 1 if period_kind == "calendar_month" else billing_day
    month = Month.of(day) if day.day >= first else Month.of(day).previous
    return month.first_day.replace(day=first), month.next.first_day.replace(day=first) - dt.timedelta(days=1)


def with_periods(frame: pl.DataFrame, *, day: str, billing_day: int) -> pl.DataFrame:
    """``frame`` with period_start and period_end of each row's ``period_kind``, as ``period_of`` gives them."""
    days = frame.select(pl.col("period_kind").cast(pl.String), day).unique().sort("period_kind", day)
    spans = [period_of(at, period_kind=kind, billing_day=billing_day) for kind, at in days.iter_rows()]
    known = days.with_columns(
        pl.Series("period_start", [start for start, _ in spans], dtype=pl.Date),
        pl.Series("period_end", [end for _, end in spans], dtype=pl.Date),
    )
    return frame.join(known, on=["period_kind", day], how="left", maintain_order="left")
