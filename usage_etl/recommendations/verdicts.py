"""What became of last month's recommendations: how much moved, and what that saved, on this month's own rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl

from usage_etl.money import exact_sum
from usage_etl.periods import Month
from usage_etl.recommendations.caching import with_member
from usage_etl.recommendations.estimates import exactly, row_answers
from usage_etl.recommendations.judging import Measured, judged
from usage_etl.recommendations.processing import is_cheap_class
from usage_etl.recommendations.prompts import scaled_input
from usage_etl.recommendations.substitution import named_model
from usage_etl.recommendations.traffic import asks, is_night, is_priced, is_small_enough, last_days, of_scope
from usage_etl.schemas import MART_RECOMMENDATION_VERDICTS
from usage_etl.schemas.recommendations import USAGE_KINDS

Promise = Mapping[str, Any]
"""A row of MART_RECOMMENDATIONS."""


@dataclass(frozen=True)
class Check:
    """One promise, this month's traffic that it is about, and of that what moved, asked for as if it had not."""

    promise: Promise
    whole_count: int
    part_count: int
    asked: pl.DataFrame
    moved: tuple[int, int]
    """Part of the asked rows' cost that counts, as a fraction: others were so before."""


def checks(promises: pl.DataFrame, rows: pl.DataFrame, *, currency: str) -> list[Check]:
    """A check for each promise about usage. ``rows`` is the traffic (``traffic_rows``) of the month after the promises."""
    priced = rows.filter(is_priced(currency))
    makers = {
        "model_substitution": _substituted,
        "batch_processing": _processed,
        "flex_processing": _processed,
        "caching": _cached,
        "prompt_efficiency": _shortened,
    }
    return [
        makers[promise["recommendation_kind"]](promise, priced)
        for promise in promises.iter_rows(named=True)
        if promise["recommendation_kind"] in USAGE_KINDS
    ]


def asked_of(found: Sequence[Check], template: pl.DataFrame) -> pl.DataFrame:
    """All rows that are asked for, with the recommendation as ``case_id``."""
    named = [check.asked.with_columns(case_id=pl.lit(check.promise["recommendation_id"])) for check in found]
    return pl.concat([asks(template.clear()).with_columns(case_id=pl.lit(None, pl.String)), *named])


def _scope(promise: Promise, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(of_scope(promise["scope_kind"], promise["scope_id"], promise["feature_id"]))


def _requests(rows: pl.DataFrame) -> int:
    return int(rows["requests_count"].sum())


def _newly(promise: Promise, whole: int, part: int) -> tuple[int, int]:
    """Of the rows that are as recommended, the fraction that was not so before: (n - b) / n of the shares n now and b then."""
    then_whole, then_part = promise["whole_count"], promise["part_count"]
    if not part or not then_whole:
        return 0, 1
    return max(0, part * then_whole - then_part * whole), part * then_whole


def _substituted(promise: Promise, rows: pl.DataFrame) -> Check:
    current, target = promise["model_id"], promise["target_model_id"]
    own = _scope(promise, rows).filter(is_small_enough(promise["max_request_input_tokens"]))
    named = own.with_columns(class_model=named_model((current, target)))
    moved = named.filter(pl.col("class_model") == target).drop("class_model")
    whole, part = _requests(named.drop_nulls("class_model")), _requests(moved)
    return Check(promise, whole, part, asks(moved, model_id=current), _newly(promise, whole, part))


def _processed(promise: Promise, rows: pl.DataFrame) -> Check:
    own = _scope(promise, rows)
    if promise["night_from_hour"] is not None:
        own = own.filter(is_night((promise["night_from_hour"], promise["night_to_hour"])) & ~pl.col("is_person"))
    moved = own.filter(is_cheap_class())
    whole, part = _requests(own), _requests(moved)
    return Check(promise, whole, part, asks(moved, processing="standard"), _newly(promise, whole, part))


def _cached(promise: Promise, rows: pl.DataFrame) -> Check:
    own = with_member(_scope(promise, rows)).filter(
        (pl.col("member_kind") == promise["scope_kind"]) & (pl.col("model_key") == promise["model_id"])
    )
    whole, part = int(own["input_tokens"].sum()), int(own["cache_read_tokens"].sum())
    then_whole, then_part = promise["whole_count"], promise["part_count"]
    has_moved = part * then_whole > then_part * whole
    plain = own.drop("member_kind", "member_id")
    asked = asks(_cached_as_before(plain, then_part * whole, part * then_whole) if has_moved else plain.clear())
    return Check(promise, whole, part, asked, (1, 1))


def _cached_as_before(rows: pl.DataFrame, numerator: int, denominator: int) -> pl.DataFrame:
    """The rows with so much of what the cache was used for as other input that its share is that of before."""
    kept = {
        name: (pl.col(name) * numerator / denominator).floor().cast(pl.Int64)
        for name in ("cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "cache_read_audio_tokens",
                     "cache_read_image_tokens")
    }  # fmt: skip
    classes = ("cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
    freed = pl.sum_horizontal(pl.col(name) - kept[name] for name in classes)
    return rows.with_columns(
        input_uncached_tokens=pl.col("input_uncached_tokens") + freed,
        input_audio_tokens=pl.col("input_audio_tokens") + pl.col("cache_read_audio_tokens") - kept["cache_read_audio_tokens"],
        input_image_tokens=pl.col("input_image_tokens") + pl.col("cache_read_image_tokens") - kept["cache_read_image_tokens"],
        **kept,
    )


def _shortened(promise: Promise, rows: pl.DataFrame) -> Check:
    own = _scope(promise, rows).filter((pl.col("primitive") == "ai.chat") & (pl.col("input_tokens") > 0))
    whole, part = int(own["input_tokens"].sum()), _requests(own)
    before, now = promise["whole_count"] * part, whole * promise["part_count"]
    asked = asks(scaled_input(own, before / now) if now and before > now else own.clear())
    return Check(promise, whole, part, asked, (1, 1))


def measured(found: Sequence[Check], answered: pl.DataFrame, *, currency: str) -> Iterator[tuple[Promise, Measured]]:
    """Each promise with what was measured; costs are null where nothing that moved has a price to compare with."""
    answers = row_answers(answered, currency=currency)
    usable = answers.filter("is_usable")
    sums = {
        str(case_id): (Decimal(rows["expected_cost"].sum()), Decimal(rows["before_cost"].sum()))
        for (case_id,), rows in usable.group_by("case_id")
    }
    for check in found:
        former, actual = sums.get(check.promise["recommendation_id"], (None, None))
        if check.asked.is_empty():
            former = actual = Decimal(0)
        numerator, denominator = check.moved
        yield (
            check.promise,
            Measured(
                check.whole_count,
                check.part_count,
                None if former is None else exactly(former, numerator, denominator),
                None if actual is None else exactly(actual, numerator, denominator),
            ),
        )


def charges_measured(promises: pl.DataFrame, lines: pl.DataFrame, *, currency: str) -> Iterator[tuple[Promise, Measured]]:
    """Each promise about seats, commitments and capacity, with this month's charge lines (FACT_INVOICE_LINES_MONTHLY)."""
    billed = lines.filter(pl.col("billing_currency") == currency)
    for promise in promises.iter_rows(named=True):
        if promise["recommendation_kind"] not in USAGE_KINDS:
            provider, _, account = promise["scope_id"].partition("/")
            own = billed.filter((pl.col("provider_name") == provider) & (pl.col("billing_account_id") == account))
            yield promise, _of_lines(promise, own)


def _of_lines(promise: Promise, own: pl.DataFrame) -> Measured:
    if promise["recommendation_kind"] == "idle_seats":
        seats = own.filter((pl.col("charge_kind") == "seat") & (pl.col("effective_cost") > 0))
        count = seats["user_id"].count() + int(seats.filter(pl.col("user_id").is_null())["consumed_quantity"].sum() or 0)
        cost = exact_sum(seats["effective_cost"])
        former = exactly(cost, promise["whole_count"], count) if count else None
        return Measured(count, min(count, promise["part_count"]), former, cost if count else None)
    if promise["recommendation_kind"] == "unused_commitment":
        is_billed = own["commitment_discount_id"].count() > 0
        idle = exact_sum(own.filter(pl.col("commitment_discount_status") == "Unused")["effective_cost"])
        then = promise["window_cost"] - promise["window_target_cost"]
        return Measured(int(is_billed), 0, then if is_billed else None, idle if is_billed else None)
    capacity = own.filter(pl.col("charge_kind") == "capacity")
    if promise["model_id"] is not None:
        capacity = capacity.filter(pl.col("model_id") == promise["model_id"].partition("/")[2])
    return Measured(1, 0, promise["window_cost"], exact_sum(capacity["effective_cost"]))


def verdicts(
    of_usage: Iterator[tuple[Promise, Measured]],
    of_charges: Iterator[tuple[Promise, Measured]],
    *,
    month: Month,
    through_date: dt.date,
    minimum_days: int,
) -> pl.DataFrame:
    """MART_RECOMMENDATION_VERDICTS of ``month``: one row for each promise of the month before."""
    rows = [judged(promise, found, month=month, through_date=through_date, minimum_days=minimum_days)
            for promise, found in (*of_usage, *of_charges)]  # fmt: skip
    frame = pl.DataFrame(rows, schema=MART_RECOMMENDATION_VERDICTS.polars_schema, orient="row")
    return frame.sort(MART_RECOMMENDATION_VERDICTS.sort_by)


def month_rows(rows: pl.DataFrame, month: Month, through_date: dt.date) -> pl.DataFrame:
    """Traffic of the month that verdicts are about."""
    return last_days(rows, month.first_day, through_date)
