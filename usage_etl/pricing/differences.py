"""Where two published price lists disagree: model by model, price class by price class, rate by rate."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from usage_etl.money import MONEY
from usage_etl.pricing.lists import ModelKey, PriceList
from usage_etl.pricing.price import RATE_COLUMNS, SUBSET_RATES, Price, exact_rate

ROUNDING_PCT = Decimal(4)
"""Differences up to this share are called rounding where the other list's rate has two digits or fewer."""

_Class = tuple[str, str | None, int]
"""Price class, unit and context band."""

_TEXT, _COUNT = pl.String(), pl.Int64()
DIFFERENCE_SCHEMA: dict[str, pl.DataType] = {
    "provider": _TEXT, "model_id": _TEXT, "spelling": _TEXT, "processing": _TEXT, "unit": _TEXT, "context_min_tokens": _COUNT,
    "rate": _TEXT, "strong_rate": MONEY, "weak_rate": MONEY, "difference": MONEY, "difference_pct": MONEY, "note": _TEXT,
}  # fmt: skip
COVERAGE_SCHEMA: dict[str, pl.DataType] = {"provider": _TEXT} | dict.fromkeys(
    ("compared_count", "agreeing_count", "differing_count", "only_strong_count", "only_weak_count"), _COUNT
)


@dataclass(frozen=True)
class Disagreements:
    """``differences``: one row per rate that both lists state and state differently. ``coverage``: models per provider.

    Rates are per million tokens, per request or per unit. A model is compared where both lists know it; it agrees where
    every rate that both state is the same.
    """

    strong: str
    weak: str
    differences: pl.DataFrame
    coverage: pl.DataFrame


def disagreements(strong: PriceList, weak: PriceList, *, at: dt.datetime) -> Disagreements:
    """What two lists say otherwise of the prices in force at ``at``; ``strong`` is the one that counts."""
    left, right = _in_force(strong.prices, at), _in_force(weak.prices, at)
    spellings: dict[ModelKey, list[str]] = {}
    for listed in weak.spellings:
        spellings.setdefault(listed.key, []).append(listed.spelling)
    rows = [row for key in left.keys() & right.keys() for row in _model_rows(key, left[key], right[key], spellings.get(key, []))]
    frame = pl.DataFrame(rows, schema=DIFFERENCE_SCHEMA, orient="row")
    order = ("provider", "model_id", "processing", "unit", "context_min_tokens", "rate")
    return Disagreements(strong.title, weak.title, frame.sort(order), _coverage(left, right, frame))


def _in_force(prices: Iterable[Price], at: dt.datetime) -> dict[ModelKey, dict[_Class, Price]]:
    found: dict[ModelKey, dict[_Class, Price]] = {}
    for price in prices:
        if price.is_in_force(at, at.hour * 60 + at.minute) and not price.is_processing_assumed:
            by_class = found.setdefault((price.provider, price.model_id), {})
            by_class[price.processing, price.unit, price.context_min_tokens] = price
    return found


def _model_rows(
    key: ModelKey, left: Mapping[_Class, Price], right: Mapping[_Class, Price], spellings: list[str]
) -> Iterator[dict[str, object]]:
    for of_class in left.keys() & right.keys():
        processing, unit, band = of_class
        ours, theirs = left[of_class], right[of_class]
        spelling = (theirs.provenance or "").partition(",")[0]
        for column, strong_rate, weak_rate in _stated(ours, theirs):
            if strong_rate != weak_rate:
                difference = weak_rate - strong_rate
                share = (difference / strong_rate * 100) if strong_rate else None
                yield {
                    "provider": key[0], "model_id": key[1], "spelling": spelling, "processing": processing, "unit": unit,
                    "context_min_tokens": band, "rate": column, "strong_rate": strong_rate, "weak_rate": weak_rate,
                    "difference": difference, "difference_pct": None if share is None else round(share, 2),
                    "note": _note(key, spelling, spellings, (ours, column, weak_rate), share),
                }  # fmt: skip


def _stated(ours: Price, theirs: Price) -> Iterator[tuple[str, Decimal, Decimal]]:
    """Rates that both state; of a part of a class, what the stronger list's silence means is stated too."""
    pairs = zip((*RATE_COLUMNS, "per_unit"), (*ours.rates, _each(ours)), (*theirs.rates, _each(theirs)), strict=True)
    for column, stated, right in pairs:
        left = ours.rate(SUBSET_RATES[column]) if stated is None and column in SUBSET_RATES else stated
        if left is not None and right is not None:
            yield column, left, right


def _each(price: Price) -> Decimal | None:
    """What one unit costs, as far as twelve decimals tell."""
    return None if price.per_unit is None else exact_rate(price.per_unit / price.unit_count)


def _note(key: ModelKey, spelling: str, spellings: list[str], rates: tuple[Price, str, Decimal], share: Decimal | None) -> str:
    ours, column, weak_rate = rates
    notes = []
    if column in SUBSET_RATES and ours.rate(column) is None:
        notes.append("the first list names no rate of its own for this part")
    if share is not None and abs(share) <= ROUNDING_PCT and len(weak_rate.normalize().as_tuple().digits) <= 2:
        notes.append("rounded in the other list")
    if share is not None and round(share, 1) == Decimal("-9.1"):
        notes.append("the id matched a regional price, ten per cent above the global one")
    if share is not None and round(share, 1) == Decimal(10):
        notes.append("the other list's id is a regional price, ten per cent above the global one")
    if len(spellings) > 1:
        notes.append(f"one of {len(spellings)} spellings there")
    if spelling.rsplit("/", 1)[-1] != key[1]:
        notes.append("matched by rule, not by name")
    return "; ".join(notes)


def _coverage(left: Mapping[ModelKey, object], right: Mapping[ModelKey, object], differences: pl.DataFrame) -> pl.DataFrame:
    differing = set(differences.select("provider", "model_id").unique().iter_rows())
    rows = []
    for provider in sorted({provider for provider, _ in (*left, *right)}):
        ours = {model for by, model in left if by == provider}
        theirs = {model for by, model in right if by == provider}
        both = ours & theirs
        differs = sum((provider, model) in differing for model in both)
        rows.append((provider, len(both), len(both) - differs, differs, len(ours - theirs), len(theirs - ours)))
    return pl.DataFrame(rows, schema=COVERAGE_SCHEMA, orient="row")
