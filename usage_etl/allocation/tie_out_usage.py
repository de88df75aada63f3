"""Usage for the tie-out: what was used of each model, token class and price class on each day, at our prices."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import polars as pl

from usage_etl.periods import Month
from usage_etl.remainder import ATTOS, to_attos
from usage_etl.units import MODAL_TOKENS, TOKEN_CLASSES

Frame = pl.LazyFrame | pl.DataFrame

_SUBSETS = ("reasoning_tokens", *MODAL_TOKENS)
_RATES = {name: f"{name.removesuffix('_tokens')}_per_mtok" for name in TOKEN_CLASSES}
_SUBSET_RATES = {name: f"{name.removesuffix('_tokens')}_per_mtok" for name in MODAL_TOKENS} | {
    "reasoning_tokens": "output_reasoning_per_mtok"
}
_CLASS_OF = {
    "reasoning_tokens": "output_tokens",
    "input_audio_tokens": "input_uncached_tokens",
    "cache_read_audio_tokens": "cache_read_tokens",
    "output_audio_tokens": "output_tokens",
    "input_image_tokens": "input_uncached_tokens",
    "cache_read_image_tokens": "cache_read_tokens",
    "output_image_tokens": "output_tokens",
}
"""Parts of token classes that can have a rate of their own."""

_KEYS = ("host", "source_account", "model_id", "processing", "currency", "price_id", "price_status")
MTOK = 10**6


@dataclass(frozen=True)
class Used:
    """Usage of one day, model, token class and price.

    ``attos`` is its cost, None where it has no price; ``rate`` is the price of a token in currency units, None where none is
    known. ``token_class`` None is cost beside tokens (per request or unit), or usage whose price is no longer in the book.
    """

    day: dt.date
    host: str
    source_account: str
    model: str
    processing: str
    currency: str | None
    token_class: str | None
    tokens: int
    attos: int | None
    rate: Fraction | None


@dataclass(frozen=True)
class UsageDays:
    """Usage of a month, and on which days there is any at all."""

    used: tuple[Used, ...]
    days: frozenset[tuple[str, dt.date]]
    """(host, day) with at least one row, priced or not."""
    models: frozenset[tuple[str, str]]
    """(host, model) with at least one row, priced or not."""


def read_usage(usage: Frame, prices: PriceRates, *, month: Month, day: pl.Expr | None = None) -> UsageDays:
    """``usage`` is fact_usage_daily or a frame of its shape; ``day`` says on which day a row counts, if not on its own.

    Every priced attos stands in exactly one ``Used``. Free usage (answers of the gateway's cache, failed requests) is billed by
    nobody and shows only where its model has no other usage.
    """
    counted = pl.col("usage_date") if day is None else day
    grouped = (
        usage.lazy()
        .with_columns(counted_date=counted)
        .filter(pl.col("counted_date").is_between(month.first_day, month.last_day))
        .group_by("counted_date", pl.col(*_KEYS).cast(pl.String))
        .agg(
            pl.col(*TOKEN_CLASSES, *_SUBSETS).cast(pl.Int128).sum(),
            pl.col("effective_cost").sum(),
            priced_count=pl.col("effective_cost").count(),
        )
        .collect(engine="streaming")
        .sort("counted_date", *_KEYS)
    )
    rows = list(grouped.iter_rows(named=True))
    busy = {(row["host"], row["model_id"]) for row in rows if row["price_status"] != "free"}
    found: list[Used] = []
    for row, cost in zip(rows, to_attos(grouped["effective_cost"]), strict=True):
        if row["price_status"] != "free" or cost:
            found.extend(_by_class(row, cost if row["priced_count"] else None, prices))
        elif (row["host"], row["model_id"]) not in busy:
            found.append(_used(row, None, 0, 0, None))
    return UsageDays(
        used=tuple(found),
        days=frozenset((row["host"], row["counted_date"]) for row in rows),
        models=frozenset((row["host"], row["model_id"]) for row in rows),
    )


def _by_class(row: Mapping[str, Any], cost: int | None, prices: PriceRates) -> Iterator[Used]:
    """The row's cost by token class; what the classes do not come to, and a row whose rates are not in the book, have none."""
    rates = prices.rates.get(row["price_id"] or "", {})
    tokens = {name: int(row[name]) for name in TOKEN_CLASSES if row[name]}
    if cost is None:
        yield from (_used(row, name, count, None, None) for name, count in tokens.items())
        if not tokens:
            yield _used(row, None, 0, None, None)
        return
    amounts = {name: _class_cost(row, name, rates) for name in tokens}
    known = {name: amount for name, amount in amounts.items() if amount is not None}
    if len(known) < len(tokens):
        yield _used(row, None, sum(tokens.values()), cost, None)
        return
    for name, amount in known.items():
        yield _used(row, name, tokens[name], amount, Fraction(amount, tokens[name] * ATTOS))
    if left := cost - sum(known.values()):
        yield _used(row, None, 0, left, None)


def _class_cost(row: Mapping[str, Any], token_class: str, rates: Mapping[str, int]) -> int | None:
    """Tokens times rates per million, exact for the twelve decimals of the price book; None without a rate."""
    base = rates.get(_RATES[token_class])
    if base is None:
        return None
    amount = int(row[token_class]) * base
    for part, whole in _CLASS_OF.items():
        rate = rates.get(_SUBSET_RATES[part])
        if whole == token_class and rate is not None:
            amount += int(row[part]) * (rate - base)
    return amount // MTOK


def _used(row: Mapping[str, Any], token_class: str | None, tokens: int, attos: int | None, rate: Fraction | None) -> Used:
    return Used(
        day=row["counted_date"],
        host=row["host"],
        source_account=row["source_account"],
        model=row["model_id"],
        processing=row["processing"],
        currency=row["currency"],
        token_class=token_class,
        tokens=tokens,
        attos=attos,
        rate=rate,
    )


class PriceRates:
    """Token rates of the price book: of a stamped price, and of everything in force for a model on a day."""

    def __init__(self, prices: Frame) -> None:
        self.rates: dict[str, dict[str, int]] = {}
        """price_id to rate column to attos per million tokens; rates that are null are absent."""
        self._models: defaultdict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
        self._of_price: dict[str, tuple[str, str]] = {}
        self._stamped: defaultdict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
        columns = [*_RATES.values(), *_SUBSET_RATES.values()]
        book = prices.lazy().select("price_id", "provider", "model_id", "processing", "region", "context_min_tokens",
                                    "valid_from", "valid_to", "currency", *columns).collect()  # fmt: skip
        amounts = {name: to_attos(book[name]) for name in columns}
        for index, row in enumerate(book.iter_rows(named=True)):
            found = {name: amount for name in columns if (amount := amounts[name][index]) is not None}
            self.rates[row["price_id"]] = found
            self._models[row["provider"], row["model_id"]].append(row)
            self._of_price[row["price_id"]] = (row["provider"], row["model_id"])

    def learn(self, usages: Iterable[Frame]) -> None:
        """Remembers under which names of the price book each host's models are priced, from the stamps on usage."""
        for usage in usages:
            stamped = usage.lazy().select(pl.col("host", "model_id", "price_id").cast(pl.String)).unique().collect()
            for host, model, price_id in stamped.iter_rows():
                if price_id in self._of_price:
                    self._stamped[host, model].add(self._of_price[price_id])

    def in_force(
        self, host: str, model: str, token_class: str, *, processing: str | None, currency: str, first: dt.date, end: dt.date
    ) -> list[tuple[bool, Fraction]]:
        """Prices of a token in currency units in force between two days: (whether it is the base price, the price)."""
        names = self._stamped.get((host, model)) or {(host, model)}
        found = []
        for name in sorted(names):
            for row in self._models.get(name, ()):
                rate = self.rates[row["price_id"]].get(_RATES[token_class])
                is_wanted = row["currency"] == currency and processing in (None, row["processing"])
                if rate is not None and is_wanted and _overlaps(row, first, end):
                    is_base = row["region"] is None and not row["context_min_tokens"]
                    found.append((is_base, Fraction(rate, MTOK * ATTOS)))
        return found


def _overlaps(row: Mapping[str, Any], first: dt.date, end: dt.date) -> bool:
    return row["valid_from"].date() < end and (row["valid_to"] is None or row["valid_to"].date() > first)


def local_day(zone: str, *, is_hourly: bool) -> pl.Expr:
    """The day on which a provider whose billing days begin at midnight in ``zone`` counts a row of fact_usage_hourly.

    Lines of such a provider are counted on the UTC day on which they begin, moved into the billing month: the month is the
    zone's. Lines of hours (``is_hourly``) begin with their hour, lines of days with the zone's midnight.
    """
    local = pl.col("hour_start_at").dt.convert_time_zone(zone)
    first = local.dt.date().dt.month_start()
    last = local.dt.date().dt.month_end()
    begin = pl.col("hour_start_at") if is_hourly else local.dt.truncate("1d").dt.convert_time_zone("UTC")
    return pl.max_horizontal(pl.min_horizontal(begin.dt.date(), last), first)
