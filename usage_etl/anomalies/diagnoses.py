"""Rules of thumb of a month, each with its numbers: slow users, heavy prompts, odd ratios, unusual cost, missing users.

A user is compared with the others only: never with a group below the minimum, and a user whose requests are too few is not
judged. Latency is compared at the user's own mix of models, so whoever uses slow models is not called slow.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from usage_etl.keys import fingerprint
from usage_etl.periods import Month
from usage_etl.schemas.anomalies import MART_DIAGNOSES
from usage_etl.units import INPUT_TOKEN_CLASSES

if TYPE_CHECKING:
    from usage_etl.config.anomalies import AnomalySettings

Row = dict[str, Any]
_SILENCE_WEEKS = 4


@dataclass(frozen=True)
class Clinic:
    """What the rules need besides the rows."""

    month: Month
    through_date: dt.date
    currency: str
    settings: AnomalySettings
    names: Mapping[str, str]
    """User id to name."""


def diagnoses(detail: pl.DataFrame, sources: pl.DataFrame, *, clinic: Clinic) -> pl.DataFrame:
    """One (rule, user or source) of which a rule speaks (mart_diagnoses).

    ``detail`` is ``series.detail_rows`` of the month and of the days before it; ``sources`` has source, requests_count and
    unnamed_count (requests without a user) of the month.
    """
    month = detail.filter(pl.col("usage_date").is_between(clinic.month.first_day, clinic.through_date))
    users = _users(month)
    found: list[Row] = []
    for rule in (_slow, _heavy, _few, _dear):
        found += rule(users, clinic)
    found += _odd_ratios(month, users, clinic)
    found += [*_missing(sources, clinic), *_silent(detail, clinic)]
    rows = [_row(one, clinic) for one in found]
    frame = pl.DataFrame(rows, schema=MART_DIAGNOSES.polars_schema, orient="row")
    return MART_DIAGNOSES.validate(frame.sort(MART_DIAGNOSES.sort_by))


def _users(month: pl.DataFrame) -> pl.DataFrame:
    """One user: sums of the month, and the latency that the others have on the user's models."""
    cost = pl.col("effective_cost")
    named = month.filter(pl.col("user_id").is_not_null())
    sums = named.group_by("user_id").agg(
        pl.col("requests_count", "total_tokens", "latency_ms_sum", "latency_count").sum(),
        pl.when(cost.count() > 0).then(cost.sum()).alias("effective_cost"),
    )
    per_model = named.group_by("user_id", "provider", "model_id").agg(pl.col("latency_ms_sum", "latency_count").sum())
    whole = pl.col("latency_ms_sum", "latency_count").sum().over("provider", "model_id")
    others = per_model.with_columns(whole.name.prefix("all_")).with_columns(
        other_sum=pl.col("all_latency_ms_sum") - pl.col("latency_ms_sum"),
        other_count=pl.col("all_latency_count") - pl.col("latency_count"),
    )
    expected = (
        others.filter(pl.col("other_count") > 0)
        .group_by("user_id")
        .agg(
            compared_sum=pl.col("latency_ms_sum").sum(),
            compared_count=pl.col("latency_count").sum(),
            usual_sum=(pl.col("other_sum") / pl.col("other_count") * pl.col("latency_count")).sum(),
        )
    )
    return sums.join(expected, on="user_id", how="left").sort("user_id")


def _slow(users: pl.DataFrame, clinic: Clinic) -> Iterator[Row]:
    settings = clinic.settings
    judged = users.filter(pl.col("compared_count") >= settings.minimum_requests)
    if judged.height < settings.minimum_group:
        return
    for row in judged.iter_rows(named=True):
        observed, usual = row["compared_sum"] / row["compared_count"], row["usual_sum"] / row["compared_count"]
        if usual > 0 and observed > float(settings.slow_ratio) * usual:
            text = f"Answers take {observed / 1000:.1f} s on average; others wait {usual / 1000:.1f} s on the same models"
            yield _found("slow_user", row, observed, usual, settings.slow_ratio, judged.height - 1, text)


def _heavy(users: pl.DataFrame, clinic: Clinic) -> Iterator[Row]:
    ratio = clinic.settings.tokens_per_request_ratio
    for row, observed, middle, others in _above(users, clinic, _tokens_per_request, float(ratio)):
        text = f"{observed:,.0f} tokens per request, {observed / middle:.1f} times the median of {middle:,.0f}"
        yield _found("tokens_per_request", row, observed, middle, ratio, others, text)


def _dear(users: pl.DataFrame, clinic: Clinic) -> Iterator[Row]:
    settings = clinic.settings
    priced = users.drop_nulls("effective_cost")
    for row, observed, middle, others in _above(
        priced, clinic, lambda one: float(one["effective_cost"]), float(settings.cost_ratio)
    ):
        if row["effective_cost"] >= settings.minimum_excess:
            text = f"Cost {observed:,.2f} {clinic.currency}, {observed / middle:.1f} times the median user's {middle:,.2f}"
            yield _found("unusual_cost", row, observed, middle, settings.cost_ratio, others, text)


def _few(users: pl.DataFrame, clinic: Clinic) -> Iterator[Row]:
    """Few requests that carry more than the median user's tokens; these may be below the minimum of requests."""
    settings = clinic.settings
    if users.height <= settings.minimum_group:
        return
    for row in users.iter_rows(named=True):
        others = users.filter(pl.col("user_id") != row["user_id"])
        requests, tokens = _median(others["requests_count"]), _median(others["total_tokens"])
        if row["requests_count"] < float(settings.few_requests_share) * requests and row["total_tokens"] > tokens > 0:
            text = (
                f"{row['requests_count']:,} requests carry {row['total_tokens']:,} tokens;"
                f" the median user has {requests:,.0f} requests and {tokens:,.0f} tokens"
            )
            threshold = settings.few_requests_share
            yield _found("few_requests_many_tokens", row, row["requests_count"], requests, threshold, others.height, text)


def _odd_ratios(month: pl.DataFrame, users: pl.DataFrame, clinic: Clinic) -> Iterator[Row]:
    """Input per output token of a user on a feature, against the others on it; the user's largest such feature is told."""
    settings, by_user = clinic.settings, {row["user_id"]: row for row in users.iter_rows(named=True)}
    used = (
        month.drop_nulls(["user_id", "feature_id"])
        .group_by("feature_id", "user_id")
        .agg(pl.col("requests_count", "output_tokens").sum(), input_tokens=pl.sum_horizontal(INPUT_TOKEN_CLASSES).sum())
        .filter(pl.col("requests_count") >= settings.minimum_requests, pl.col("output_tokens") > 0)
        .with_columns(level=pl.col("input_tokens") / pl.col("output_tokens"))
        .sort("requests_count", "feature_id", descending=[True, False])
    )
    told: set[str] = set()
    for row in used.iter_rows(named=True):
        others = used.filter(pl.col("feature_id") == row["feature_id"], pl.col("user_id") != row["user_id"])
        middle, limit = _median(others["level"]), float(settings.input_output_ratio)
        if others.height < settings.minimum_group - 1 or row["user_id"] in told or middle <= 0:
            continue
        if row["level"] > limit * middle or row["level"] < middle / limit:
            told.add(row["user_id"])
            text = (
                f"{row['level']:,.1f} input tokens per output token on {row['feature_id']};"
                f" the median of its other users is {middle:,.1f}"
            )
            threshold = settings.input_output_ratio
            yield _found("input_output_ratio", by_user[row["user_id"]], row["level"], middle, threshold, others.height, text)


def _missing(sources: pl.DataFrame, clinic: Clinic) -> Iterator[Row]:
    limit = clinic.settings.missing_user_share
    for row in sources.iter_rows(named=True):
        share = row["unnamed_count"] / row["requests_count"] if row["requests_count"] else 0.0
        if share > float(limit):
            text = f"{row['unnamed_count']:,} of {row['requests_count']:,} requests name no user ({share:.0%})".replace("%", " %")
            subject = {"source": row["source"], "requests_count": row["requests_count"], "effective_cost": None}
            yield _found("missing_users", subject, share, float(limit), limit, 0, text)


def _silent(detail: pl.DataFrame, clinic: Clinic) -> Iterator[Row]:
    """Users with a request in each of the four weeks before they stopped; missing data or a person who left."""
    last_known = detail.filter(pl.col("usage_date") <= clinic.through_date)["usage_date"].max()
    if not isinstance(last_known, dt.date):
        return
    days = detail.drop_nulls("user_id").filter(pl.col("requests_count") > 0, pl.col("usage_date") <= last_known)
    for (user,), rows in days.sort("user_id").group_by("user_id", maintain_order=True):
        last = rows["usage_date"].max()
        assert isinstance(last, dt.date)
        silent = (last_known - last).days
        weeks = {(last - day).days // 7 for day in rows["usage_date"]} & set(range(_SILENCE_WEEKS))
        was_told = silent - clinic.settings.silent_days >= clinic.month.days_count
        if silent >= clinic.settings.silent_days and len(weeks) == _SILENCE_WEEKS and not was_told:
            subject = {"user_id": user, "requests_count": 0, "effective_cost": None}
            text = f"No request since {last}, after some in every week before"
            limit = clinic.settings.silent_days
            yield _found("gone_silent", subject, silent, limit, limit, 0, text)


def _tokens_per_request(row: Row) -> float:
    return float(row["total_tokens"] / row["requests_count"]) if row["requests_count"] else 0.0


def _above(
    users: pl.DataFrame, clinic: Clinic, level: Callable[[Row], float], ratio: float
) -> Iterator[tuple[Row, float, float, int]]:
    """Users above ``ratio`` times the median of the others, who are at least the minimum group."""
    judged = [row for row in users.iter_rows(named=True) if row["requests_count"] >= clinic.settings.minimum_requests]
    levels = [level(row) for row in judged]
    for place, row in enumerate(judged):
        others = levels[:place] + levels[place + 1 :]
        middle = _median(pl.Series(others, dtype=pl.Float64))
        if len(others) >= clinic.settings.minimum_group - 1 and 0 < ratio * middle < levels[place]:
            yield row, levels[place], middle, len(others)


def _median(values: pl.Series) -> float:
    middle = values.median()
    return float(middle) if isinstance(middle, int | float) else 0.0


def _found(rule: str, subject: Row, observed: float, reference: float, threshold: object, group: int, text: str) -> Row:  # noqa: PLR0917
    return {
        "rule": rule,
        "subject": subject,
        "observed_level": float(observed),
        "reference_level": float(reference),
        "threshold_ratio": float(str(threshold)),
        "group_size_count": group,
        "diagnosis_text": text,
    }


def _row(one: Row, clinic: Clinic) -> Row:
    subject = one.pop("subject")
    kind = "user" if "user_id" in subject else "source"
    member = subject[f"{kind}_id" if kind == "user" else kind]
    reference = one["reference_level"]
    key = {"month": clinic.month.first_day, "rule": one["rule"], "subject": [kind, member]}
    return {
        "month": clinic.month.first_day,
        "diagnosis_id": fingerprint(key)[:32],
        "scope_kind": kind,
        "scope_id": member,
        "scope_name": clinic.names.get(member, member) if kind == "user" else member,
        "times_ratio": one["observed_level"] / reference if reference else None,
        "requests_count": subject["requests_count"],
        "effective_cost": subject["effective_cost"],
        "currency": clinic.currency,
        **one,
    }
