"""Why a request costs what it costs: the rows that may apply, the one that does, and the arithmetic digit by digit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal, localcontext
from typing import Any

import polars as pl

from usage_etl.errors import ConservationError
from usage_etl.money import MONEY, MONEY_SCALE
from usage_etl.pricing.catalog import ModelCatalog
from usage_etl.pricing.price import SUBSET_RATES, TOKEN_RATES
from usage_etl.pricing.rating import rate
from usage_etl.pricing.slots import SUBSET_TOKENS, DayPrices, day_prices
from usage_etl.schemas import DIM_PRICE
from usage_etl.units import MODAL_TOKENS, TOKEN_CLASSES

COUNTS = (*TOKEN_CLASSES, "reasoning_tokens", *MODAL_TOKENS)
_LABELS = ("host_raw", "model_raw", "region", "native_unit", "primitive", "processing", "grain", "rating")


@dataclass(frozen=True)
class Term:
    """One product of the sum: how much, of what, at which rate, for how many, and the exact amount."""

    what: str
    quantity: Decimal
    rate: Decimal
    per: int
    amount: Decimal


@dataclass(frozen=True)
class Explanation:
    """One request: the model it was taken for, rows in force for that model, the row that priced it, and the sum."""

    host: str
    model_id: str
    price_provider: str | None
    rows: pl.DataFrame
    price: dict[str, Any] | None
    price_status: str
    terms: tuple[Term, ...]
    cost: Decimal | None


def explain_request(
    book: pl.DataFrame,
    catalog: ModelCatalog,
    *,
    host: str | None,
    model: str,
    at: dt.datetime,
    counts: Mapping[str, int],
    words: Mapping[str, str | None],
    quantity: Decimal | None = None,
) -> Explanation:
    """Prices one request as the pipeline does and shows the work.

    ``counts``: disjoint token classes and their parts by column. ``words``: processing, region, native_unit, primitive.
    Raises ConservationError if the terms do not add up to what the pipeline says, which would be a fault of this program.
    """
    names = {"host_raw": host, "model_raw": model, **words}
    request = _request(names, at, counts=counts, quantity=quantity)
    logged = request.select("host_raw", "model_raw", "region", "native_unit", "primitive").collect()
    prices = day_prices(book, catalog.resolve(logged.cast(pl.String)), day=at.date())
    rated = rate(request.with_columns(prices.slot_columns()), prices=prices).collect().row(0, named=True)
    found = prices.models.row(0, named=True)
    rows = _rows_in_force(book, found["price_provider"], found["price_model"], at)
    price = rows.filter(pl.col("price_id") == rated["price_id"]).row(0, named=True) if rated["price_id"] else None
    terms = _terms(prices, price, rated) if price else ()
    with localcontext() as context:
        context.prec = 60
        total = sum((term.amount for term in terms), Decimal(0))
    if price and total != rated["effective_cost"]:
        raise ConservationError("the terms of the explanation", total, rated["effective_cost"])
    return Explanation(
        found["host"], found["model_id"], found["price_provider"], rows, price, rated["price_status"], terms,
        rated["effective_cost"],
    )  # fmt: skip


def _request(
    names: Mapping[str, str | None], at: dt.datetime, *, counts: Mapping[str, int], quantity: Decimal | None
) -> pl.LazyFrame:
    words = {"primitive": "ai.chat", "processing": "standard"} | {name: word for name, word in names.items() if word}
    labels = {name: words.get(name) for name in _LABELS} | {"grain": "request", "rating": "rate"}
    is_native = labels["native_unit"] is not None
    row = labels | {name: counts.get(name, 0) for name in COUNTS} | {
        "started_at": at, "ended_at": None, "context_min_tokens": None, "requests_count": 1,
        "native_quantity": quantity if is_native else None, "quantity": None if is_native else quantity,
    }  # fmt: skip
    schema = (
        dict.fromkeys(_LABELS, pl.String)
        | dict.fromkeys((*COUNTS, "context_min_tokens", "requests_count"), pl.Int64)
        | dict.fromkeys(("started_at", "ended_at"), pl.Datetime("us", "UTC"))
        | dict.fromkeys(("native_quantity", "quantity"), MONEY)
    )
    return pl.DataFrame([row], schema=schema, orient="row").lazy().with_columns(pl.col(_LABELS).cast(pl.Categorical))


def _rows_in_force(book: pl.DataFrame, provider: str | None, model: str | None, at: dt.datetime) -> pl.DataFrame:
    minute = at.hour * 60 + at.minute
    if provider is None or model is None:
        return book.clear()
    return book.filter(
        (pl.col("provider") == provider)
        & (pl.col("model_id") == model)
        & (pl.col("valid_from") <= at)
        & (pl.col("valid_to").is_null() | (pl.col("valid_to") > at))
        & (pl.col("from_minute") <= minute)
        & (pl.col("to_minute") > minute)
    ).sort(DIM_PRICE.sort_by)


def _terms(prices: DayPrices, price: Mapping[str, Any], rated: Mapping[str, Any]) -> tuple[Term, ...]:
    """Products of everything that the request used, in the order of the rate columns."""
    terms: list[Term] = []
    used: dict[str, int] = {column: rated[name] for column, name in zip(TOKEN_RATES, TOKEN_CLASSES, strict=True)}
    names = dict(zip(TOKEN_RATES, TOKEN_CLASSES, strict=True))
    for part in prices.parts:
        name = SUBSET_TOKENS[part]
        used[SUBSET_RATES[part]] -= rated[name]
        used[part], names[part] = rated[name], name
    for column, tokens in used.items():
        own = price[column] if price[column] is not None else price[SUBSET_RATES.get(column, column)]
        if tokens and own is not None:
            terms.append(_term(names[column], Decimal(tokens), own, 1_000_000))
    if price["per_request"]:
        terms.append(_term("requests", Decimal(1), price["per_request"], 1))
    quantity = rated["native_quantity"] if rated["native_quantity"] is not None else rated["quantity"]
    if price["per_unit"] is not None and quantity is not None:
        terms.append(_term(price["unit"], quantity, price["per_unit"], price["unit_count"]))
    return tuple(terms)


def _term(what: str, quantity: Decimal, own_rate: Decimal, per: int) -> Term:
    with localcontext() as context:
        context.prec, context.rounding = 60, ROUND_DOWN
        return Term(what, quantity, own_rate, per, (quantity * own_rate / per).quantize(Decimal(1).scaleb(-MONEY_SCALE)))
