"""Figures of usage from mart_summary: of the month so far, of its last day, and rates over a window of days."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, get_args

import polars as pl

from usage_etl.alerts.looked_up import Watch, percent, quotient
from usage_etl.alerts.observation import Observation
from usage_etl.alerts.wording import quantity_text
from usage_etl.config.alerts import Window
from usage_etl.periods import Month
from usage_etl.schemas.alert_measures import ALERT_MEASURES, MEMBER_SCOPES

_SUMS = {
    "effective_cost": "spend of the month",
    "total_tokens": "tokens of the month",
    "requests_count": "requests of the month",
    "errors_count": "failed requests of the month",
}
_WINDOWS = {"day_24h": "24 hours", "days_7": "7 days", "days_14": "14 days", "days_30": "30 days"}


def _known(column: str) -> Callable[[Mapping[str, Any]], Decimal | None]:
    def read(row: Mapping[str, Any]) -> Decimal | None:
        found = row.get(column)
        return None if found is None else Decimal(str(found))

    return read


_RATES: dict[str, tuple[str, Callable[[Mapping[str, Any]], Decimal | None]]] = {
    "error_ratio": ("error rate", lambda row: percent(row["errors_count"], row["requests_count"] or None)),
    "latency_p95_ms": ("95th percentile of the duration", _known("latency_p95_ms")),
    "latency_average_ms": ("average duration", lambda row: quotient(row["latency_ms_sum"], row["latency_count"])),
    "tokens_per_request_ratio": ("tokens per request", lambda row: quotient(row["total_tokens"], row["requests_count"])),
    "cache_read_ratio": ("cache share of input", lambda row: percent(row["cache_read_tokens"], row["input_tokens"] or None)),
    "active_users_count": ("active users", _known("active_users_count")),
    "unpriced_requests_ratio": (
        "share of requests without a price",
        lambda row: percent(row["unpriced_requests_count"], row["requests_count"] or None),
    ),
}


def summary_rows(watch: Watch, frame: pl.DataFrame) -> Iterator[Observation]:
    """mart_summary, whatever windows it holds; one without windows holds months."""
    if "window" not in frame.columns:
        frame = frame.with_columns(window=pl.lit("month"))
    frame = frame.with_columns(pl.col("window", "dimension").cast(pl.String)).with_columns(pl.col("window").fill_null("month"))
    frame = frame.filter(pl.col("dimension").is_in(MEMBER_SCOPES))
    newest_month = frame["month"].max()
    for row in frame.filter(pl.col("window").is_in(["month", *get_args(Window)])).iter_rows(named=True):
        if row["window"] == "month":
            yield from _sums(watch, row)
        elif row["month"] == newest_month:
            yield from _rates(watch, row)
            if row["window"] == "day_24h":
                yield from _days(watch, row)


def _sums(watch: Watch, row: Mapping[str, Any]) -> Iterator[Observation]:
    month = Month.of(row["month"])
    for column, what in _SUMS.items():
        yield _observation(
            watch,
            row,
            column,
            _known(column)(row),
            what,
            period_start=month.first_day,
            period_end=month.last_day,
            watch_until=watch.until(month.last_day),
        )


def _days(watch: Watch, row: Mapping[str, Any]) -> Iterator[Observation]:
    day = row["through_date"]
    for column, what in _SUMS.items():
        measure = f"daily_{column}"
        if measure in ALERT_MEASURES:
            text = what.replace("of the month", f"of {day}")
            period = {"period_start": day, "period_end": day, "watch_until": watch.until(day)}
            yield _observation(watch, row, measure, _known(column)(row), text, **period)


def _rates(watch: Watch, row: Mapping[str, Any]) -> Iterator[Observation]:
    for measure, (what, read) in _RATES.items():
        yield _observation(watch, row, measure, read(row), f"{what} ({_WINDOWS[row['window']]})", window=row["window"])


def _observation(
    watch: Watch, row: Mapping[str, Any], measure: str, quantity: Decimal | None, what: str, **changes: Any
) -> Observation:
    printed = "unknown" if quantity is None else quantity_text(quantity, ALERT_MEASURES[measure].unit, row["currency"])
    facts = {"observed": printed, "requests": quantity_text(Decimal(row["requests_count"]), "count")}
    return Observation(
        measure=measure,
        scope_kind=row["dimension"],
        scope_id=row["member_id"],
        scope_name=row["member_name"],
        as_of=row["through_date"],
        observed_quantity=quantity,
        what=what,
        printed=printed,
        is_stale=watch.is_late,
        currency=row["currency"],
        facts=facts,
        **changes,
    )
