"""The interval that a line of DeepSeek's exports is about: a UTC day by its date, or a start and an end with offsets."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.rows.mapping import instant_rules, value

INTERVAL_NAMES: Mapping[str, tuple[str, ...]] = {
    "utc_date": ("utc_date", "date"),
    "start_time_iso": ("start_time_iso",),
    "end_time_iso": ("end_time_iso",),
}
INSTANTS = ("utc_date", "start_time_iso", "end_time_iso")
SPELLINGS = ("%Y-%m-%d", "%Y%m%d", "%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z")


def started_at() -> pl.Expr:
    """Start of the interval."""
    return pl.coalesce(value("start_time_iso"), value("utc_date"))


def ended_at() -> pl.Expr:
    """Exclusive end of the interval."""
    return pl.coalesce(value("end_time_iso"), started_at() + pl.duration(days=1))


def bucket_key(context: ParseContext, dataset: str) -> pl.Expr:
    """``account/dataset/start``: what a later export replaces."""
    return pl.concat_str(pl.lit(f"{context.source_account}/{dataset}/"), started_at().dt.strftime("%Y-%m-%dT%H:%M:%SZ"))


def interval_rules(context: ParseContext) -> dict[str, pl.Expr]:
    """Rules of the interval: it is there, it ends after its start, and it began before the export."""
    of_date = {name: rule for name, rule in instant_rules("utc_date", context).items() if not name.endswith("__missing")}
    of_start = {name: rule for name, rule in instant_rules("start_time_iso", context).items() if not name.endswith("__missing")}
    return {
        "utc_date__missing": pl.coalesce("start_time_iso", "utc_date").is_null(),
        **of_date,
        **of_start,
        "end_time_iso__not_after_start": ended_at() <= started_at(),
    }
