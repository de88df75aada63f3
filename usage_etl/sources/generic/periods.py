"""From when to when a row counts, in UTC and half open, and which bucket it belongs to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import polars as pl

from usage_etl.sources.generic.settings import GenericSettings
from usage_etl.sources.parsed import CoveredBucket
from usage_etl.sources.rows.mapping import typed

_LENGTHS = {"hour": "1h", "day": "1d", "month": "1mo"}
_NO_INSTANT = pl.lit(None, pl.Datetime("us", "UTC"))


def instant(settings: GenericSettings, name: str) -> pl.Expr:
    """The instant of a field; null where it is not mapped."""
    return pl.col(typed(name)) if name in settings.mapped else _NO_INSTANT


def starts(settings: GenericSettings) -> pl.Expr:
    """When the request or the bucket began."""
    return instant(settings, "started_at" if settings.grain == "request" else "period_start")


def ends(settings: GenericSettings) -> pl.Expr:
    """When the request ended, or the bucket's exclusive end."""
    if settings.grain == "request":
        return instant(settings, "ended_at")
    named = instant(settings, "period_end")
    if settings.period_end_is == "inclusive":
        named = _later(named, "1d", settings)
    if settings.period is None:
        return named
    return pl.coalesce(named, _later(starts(settings), _LENGTHS[settings.period], settings))


def charge_starts(settings: GenericSettings) -> pl.Expr:
    """When the charge's period begins: its own, else the bucket's, else the day of the request."""
    own = instant(settings, "charge_start")
    return pl.coalesce(own, starts(settings) if settings.grain == "bucket" else starts(settings).dt.truncate("1d"))


def charge_ends(settings: GenericSettings) -> pl.Expr:
    """When the charge's period ends, exclusive."""
    own = instant(settings, "charge_end")
    if settings.period_end_is == "inclusive":
        own = _later(own, "1d", settings)
    length = _LENGTHS[settings.period] if settings.period else "1d"
    derived = ends(settings) if settings.grain == "bucket" else _NO_INSTANT
    return pl.coalesce(own, derived, _later(charge_starts(settings), length, settings))


def billing_end(settings: GenericSettings) -> pl.Expr:
    """The billing period's exclusive end."""
    named = instant(settings, "billing_period_end")
    return _later(named, "1d", settings) if settings.period_end_is == "inclusive" else named


def bucket_key(settings: GenericSettings, start: pl.Expr, end: pl.Expr) -> pl.Expr:
    """What a later file replaces: the period and the fields of ``bucket_by``; in grain request the row itself."""
    if settings.grain == "request":
        return pl.format("event:{}", event_id(settings))
    moments = [moment.dt.strftime("%Y-%m-%dT%H:%M:%SZ").fill_null("") for moment in (start, end)]
    return pl.concat_str([*moments, *(pl.col(name).fill_null("") for name in settings.bucket_by)], separator="/")


def event_id(settings: GenericSettings) -> pl.Expr:
    """The row's own id, else one made of what it says. Rows of a bucket may agree in everything; their place tells them apart."""
    if settings.grain == "bucket":
        return pl.format("{}:{}", pl.col("own_id"), pl.col("raw_ordinal"))
    return pl.col("event_id") if "event_id" in settings.mapped else pl.col("own_id")


def covered_buckets(frame: pl.DataFrame, table_name: str, bounds: tuple[str, str]) -> Iterable[CoveredBucket]:
    """The buckets that rows of a staged table belong to, each once."""
    version = pl.col("record_version_at").max() if "record_version_at" in frame.columns else _NO_INSTANT.first()
    start, end = bounds
    buckets = frame.group_by("bucket_key", maintain_order=True).agg(
        start=pl.col(start).min(), end=pl.col(end).max(), version=version
    )
    for key, begins, finishes, version_at in buckets.rows():
        last = finishes - dt.timedelta(microseconds=1) if finishes and finishes > begins else begins
        day = begins.date() if last.date() == begins.date() else None
        yield CoveredBucket(table_name, key, day=day, version_at=version_at)


def _later(moment: pl.Expr, length: str, settings: GenericSettings) -> pl.Expr:
    """``moment`` plus a length of local time: a day is 23 or 25 hours long where clocks are changed."""
    local = moment.dt.convert_time_zone(settings.time_zone).dt.offset_by(length)
    return local.dt.convert_time_zone("UTC")
