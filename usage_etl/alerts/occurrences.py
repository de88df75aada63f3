"""What happened or did not arrive: anomalies that alert, and sources that are late or have gaps."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Literal

import polars as pl

from usage_etl.alerts.looked_up import Watch, newest, words
from usage_etl.alerts.observation import Observation
from usage_etl.alerts.wording import quantity_text

_RATIO_UNITS = {"error_ratio": "percent", "latency_average_ms": "ms", "latency_p95_ms": "ms"}


def anomaly_rows(watch: Watch, frame: pl.DataFrame, handled: Mapping[str, tuple[str, str]]) -> Iterator[Observation]:
    """mart_anomalies: each episode that alerts, by its largest day. ``handled``: id to status and reason.

    A day of an episode is no alert of its own: who handles the first day handles the episode. Without episodes, each anomaly
    is one.
    """
    if "episode_id" not in frame.columns:
        frame = frame.with_columns(episode_id="anomaly_id")
    since = watch.instant.date() - dt.timedelta(days=watch.anomaly_days)
    known = frame.filter((pl.col("usage_date") >= since) & (pl.col("is_alerting") | pl.col("suppressed_by").is_not_null()))
    ranked = [row | {"rank": (row["is_alerting"], row["excess_cost"] or Decimal(0))} for row in known.iter_rows(named=True)]
    for row in newest(ranked, "episode_id", by="rank"):
        status, reason = handled.get(row["episode_id"]) or handled.get(row["anomaly_id"]) or ("open", "")
        handling: Literal["open", "acknowledged", "resolved", "suppressed"] = "open"
        if row["suppressed_by"] is not None and not row["is_alerting"]:
            handling, reason = "suppressed", row["suppressed_by"]
        elif status == "acknowledged":
            handling = "acknowledged"
        elif status == "resolved":
            handling = "resolved"
        yield _anomaly(watch, row, handling, reason)


def _anomaly(
    watch: Watch, row: Mapping[str, Any], handling: Literal["open", "acknowledged", "resolved", "suppressed"], reason: str
) -> Observation:
    first = row.get("episode_start_date") or row["usage_date"]
    excess, currency, measure = row["excess_cost"], row["currency"], str(row["measure"])
    observed, expected = (_figure(row[name], measure, currency) for name in ("observed_quantity", "expected_quantity"))
    return Observation(
        measure="anomaly",
        scope_kind=str(row["scope_kind"]),
        scope_id=row["scope_id"],
        scope_name=row["scope_name"],
        subject=row["episode_id"],
        period_start=first.replace(day=1),
        period_end=None,
        watch_until=row["usage_date"] + dt.timedelta(days=watch.anomaly_days),
        as_of=row["usage_date"],
        observed_quantity=Decimal(0) if excess is None else excess,
        what=f"unusual {words(measure)} on {row['usage_date']}",
        printed=f"{observed} where {expected} was expected",
        handling=handling,
        handling_reason=reason,
        currency=currency,
        lines=(row["cause_text"],) if row.get("cause_text") else (),
        facts={
            "day": row["usage_date"].isoformat(),
            "observed": observed,
            "expected": expected,
            **({} if excess is None else {"excess": quantity_text(excess, "currency", currency)}),
            "anomaly": row["episode_id"][:12],
        },
    )


def _figure(quantity: Decimal, measure: str, currency: str | None) -> str:
    if measure == "error_ratio":
        return quantity_text(quantity * 100, "percent")
    unit = "currency" if measure == "effective_cost" else "tokens" if measure == "total_tokens" else ""
    return quantity_text(quantity, _RATIO_UNITS.get(measure, unit or "count"), currency)


def source_rows(watch: Watch, frame: pl.DataFrame) -> Iterator[Observation]:
    """mart_data_quality: how late each source is, and the days of its newest month that it has nothing of."""
    arrivals = dict(frame.select("source", "last_received_at").drop_nulls().sort("last_received_at").iter_rows())
    for row in newest(frame.iter_rows(named=True), "source", by="month"):
        base: dict[str, Any] = {
            "scope_kind": "source",
            "scope_id": row["source"],
            "scope_name": row["source"],
            "as_of": watch.instant.date(),
        }
        received = arrivals.get(row["source"])
        facts = {"last day with data": str(row["last_date"] or "none"), "newest delivery": received or "none"}
        if received is not None:
            arrived = dt.datetime.fromisoformat(received)
            hours = Decimal(max(int((watch.instant - arrived).total_seconds()), 0)) / 3600
            yield Observation(
                measure="data_late_hours",
                observed_quantity=hours,
                what="time since the newest delivery",
                printed=quantity_text(hours, "hours"),
                facts=facts,
                **base,
            )
        missing = Decimal(row["days_missing_count"])
        yield Observation(
            measure="days_missing_count",
            observed_quantity=missing,
            what="days without any row this month",
            printed=quantity_text(missing, "count"),
            facts=facts,
            **base,
        )
