"""Figures that have a limit: quotas, budgets and pools of tokens."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import polars as pl

from usage_etl.alerts.looked_up import Watch, newest, percent, words
from usage_etl.alerts.observation import Observation
from usage_etl.alerts.wording import quantity_text
from usage_etl.periods import Month

_PERIOD_WORDS = {"day": "daily", "calendar_month": "monthly", "billing_month": "monthly"}


def quota_rows(watch: Watch, frame: pl.DataFrame) -> Iterator[Observation]:
    """mart_quota_status: each quota in each of its periods, as of the last day that is known of it."""
    day = watch.instant.date()
    live = frame.filter(pl.col("period_end") >= day - dt.timedelta(days=watch.settle_days))
    for row in newest(live.iter_rows(named=True), "quota_id", "period_start", by="status_date"):
        measure, currency = str(row["measure"]), row["currency"]
        unit = "currency" if measure == "effective_cost" else "tokens" if measure.endswith("tokens") else "count"
        is_hard = str(row["enforcement"]) == "hard"
        yield Observation(
            measure="quota_used_ratio",
            scope_kind=str(row["scope_kind"]),
            scope_id=row["scope_id"],
            scope_name=row["scope_name"],
            subject=row["quota_id"],
            period_start=row["period_start"],
            period_end=row["period_end"],
            watch_until=watch.until(row["period_end"]),
            as_of=row["status_date"],
            observed_quantity=percent(row["used_quantity"], row["limit_quantity"]),
            projected_percent=percent(row["projected_quantity"], row["limit_quantity"]),
            what=_quota_words(str(row["period_kind"]), measure, is_hard=is_hard),
            printed=_percent_text(row["used_quantity"], row["limit_quantity"]),
            is_stale=row["is_stale"],
            is_hard=is_hard,
            currency=currency,
            limit_measure=measure,
            period_kind=str(row["period_kind"]),
            lines=_limit_lines(row, row["used_quantity"], unit, currency),
            facts=_limit_facts(row, row["used_quantity"], unit, currency),
        )


def budget_rows(watch: Watch, frame: pl.DataFrame) -> Iterator[Observation]:
    """mart_projection: each budget of a month, as a share of it."""
    budgets = frame.filter((pl.col("measure") == "effective_cost") & pl.col("limit_quantity").is_not_null())
    for row in budgets.iter_rows(named=True):
        yield _of_month(
            watch,
            row,
            measure="budget_used_ratio",
            observed_quantity=percent(row["to_date_quantity"], row["limit_quantity"]),
            projected_percent=percent(row["projected_quantity"], row["limit_quantity"]),
            what="monthly budget",
            printed=_percent_text(row["to_date_quantity"], row["limit_quantity"]),
            lines=_limit_lines(row, row["to_date_quantity"], "currency", row["currency"]),
            facts=_limit_facts(row, row["to_date_quantity"], "currency", row["currency"]),
        )


def projected_cost_rows(watch: Watch, frame: pl.DataFrame) -> Iterator[Observation]:
    """mart_projection: the spend that a month is expected to end with."""
    for row in frame.filter(pl.col("measure") == "effective_cost").iter_rows(named=True):
        projected = quantity_text(row["projected_quantity"], "currency", row["currency"])
        lower, upper = row["projected_lower_quantity"], row["projected_upper_quantity"]
        lines = [f"So far {quantity_text(row['to_date_quantity'], 'currency', row['currency'])}."]
        if lower is not None and upper is not None:
            lines.append(
                f"With a chance of 80 % the month ends between {quantity_text(lower, 'currency', row['currency'])} "
                f"and {quantity_text(upper, 'currency', row['currency'])}."
            )
        yield _of_month(
            watch,
            row,
            measure="projected_cost",
            observed_quantity=row["projected_quantity"],
            what="spend expected at the end of the month",
            printed=projected,
            lines=tuple(lines),
            facts={"projected": projected},
        )


def pool_rows(watch: Watch, frame: pl.DataFrame) -> Iterator[Observation]:
    """mart_pools: what of the purchases in force is used and assigned, and how long the rest lasts."""
    latest = newest(frame.iter_rows(named=True), "pool_id", "token_kind", by="through_date")
    for row in latest:
        kind, name = str(row["token_kind"]), f"{row['pool_id']} ({row['token_kind']} tokens)"
        base: dict[str, Any] = {
            "scope_kind": "pool",
            "scope_id": row["pool_id"],
            "scope_name": name,
            "subject": kind,
            "as_of": row["through_date"],
            "is_stale": watch.is_late,
        }
        used, purchased, assigned = row["used_tokens"], row["purchased_tokens"], row["assigned_tokens"]
        facts = {"purchased": quantity_text(Decimal(purchased), "tokens")}
        if used is not None:
            facts["used"] = quantity_text(Decimal(used), "tokens")
        yield Observation(
            measure="pool_used_ratio",
            observed_quantity=percent(used, purchased),
            what="pool of purchased tokens",
            printed=_percent_text(used, purchased),
            facts=facts,
            **base,
        )
        monthly = row.get("purchased_monthly_tokens", purchased)
        yield Observation(
            measure="pool_assigned_ratio",
            observed_quantity=percent(assigned, monthly),
            what="assigned share of the pool",
            printed=_percent_text(assigned, monthly),
            facts={"purchased a month": quantity_text(Decimal(monthly), "tokens"),
                   "assigned": quantity_text(Decimal(assigned), "tokens")},
            **base,
        )  # fmt: skip
        if (runway := row.get("runway_date")) is not None:
            days = max((runway - row["through_date"]).days, 0)
            yield Observation(
                measure="pool_runway_days",
                observed_quantity=Decimal(days),
                what="runway of the pool",
                printed=quantity_text(Decimal(days), "days"),
                lines=(f"At this pace the pool is empty on {runway}.",),
                facts=facts | {"empty on": runway.isoformat()},
                **base,
            )


def _of_month(watch: Watch, row: Mapping[str, Any], **changes: Any) -> Observation:
    month = Month.of(row["month"])
    return Observation(
        scope_kind=str(row["scope_kind"]),
        scope_id=row["scope_id"],
        scope_name=watch.names.get((str(row["scope_kind"]), row["scope_id"])) or row["scope_id"],
        period_start=month.first_day,
        period_end=month.last_day,
        watch_until=watch.until(month.last_day),
        as_of=row["through_date"],
        is_stale=watch.is_late,
        currency=row["currency"],
        **changes,
    )


def _quota_words(period_kind: str, measure: str, *, is_hard: bool) -> str:
    """``monthly budget``, ``daily hard limit of total tokens``."""
    kind = "hard limit" if is_hard else "quota"
    thing = f"{kind} of {words(measure)}" if is_hard or measure != "effective_cost" else "budget"
    return f"{_PERIOD_WORDS[period_kind]} {thing}"


def _percent_text(used: Decimal | int | None, limit: Decimal | int | None) -> str:
    found = percent(used, limit)
    return "an unknown share" if found is None else quantity_text(found, "percent")


def _limit_lines(row: Mapping[str, Any], used: Decimal | None, unit: str, currency: str | None) -> tuple[str, ...]:
    limit, projected, breach = row["limit_quantity"], row["projected_quantity"], row["breach_date"]
    lines = []
    if used is not None:
        lines.append(f"{quantity_text(used, unit, currency)} of {quantity_text(limit, unit, currency)} are used.")
    if projected is not None:
        end = f"The period is expected to end at {quantity_text(projected, unit, currency)}"
        lines.append(f"{end}, {_percent_text(projected, limit)} of the limit.")
    if breach is not None and used is not None and used < limit:
        chance = row["breach_probability_ratio"]
        likely = "" if chance is None else f" (chance of passing it: {_chance_text(chance)})"
        lines.append(f"The limit is expected to be passed on {breach}{likely}: raise it, or move work, before that day.")
    elif breach is not None:
        lines.append(f"The limit was passed on {breach}.")
    return tuple(lines)


def _chance_text(chance: float) -> str:
    """A chance in whole percent; only what is certain is 0 or 100 %."""
    if 0.995 <= chance < 1:
        return "over 99 %"
    return "under 1 %" if 0 < chance < 0.005 else f"{chance * 100:.0f} %"


def _limit_facts(row: Mapping[str, Any], used: Decimal | None, unit: str, currency: str | None) -> dict[str, str]:
    facts = {} if used is None else {"used": quantity_text(used, unit, currency)}
    facts["limit"] = quantity_text(row["limit_quantity"], unit, currency)
    if row["projected_quantity"] is not None:
        facts["projected"] = quantity_text(row["projected_quantity"], unit, currency)
    return facts
