"""The price book: genai-prices flattened into dated rows, with negotiated prices laid on top.

Source of list prices: the data bundled with the genai-prices package (MIT). Its rules are followed exactly: the last
active condition wins, a context band is a cliff on one request's whole input, a missing cache price means the input
price. What it cannot say (audio and image rates, time-of-day rates) is listed in docs/reference/prices.md.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Context, Decimal

import polars as pl
from genai_prices import __version__ as genai_version
from genai_prices import data_snapshot
from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, StartDateConstraint, TieredPrices

from usage_etl.errors import PriceBookError
from usage_etl.keys import fingerprint
from usage_etl.schemas import DIM_PRICE

BEGINNING = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
RATE_COLUMNS = (
    "input_uncached_per_mtok",
    "cache_read_per_mtok",
    "cache_write_5m_per_mtok",
    "cache_write_1h_per_mtok",
    "output_per_mtok",
)
_CONTEXTS: Mapping[str, Mapping[str, str]] = {
    "standard": {},
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
}
_SIGNIFICANT = Context(prec=12)
"""List prices carry at most 12 significant digits; what goes beyond is float noise of their origin."""


@dataclass(frozen=True)
class Price:
    """One row of dim_price before it has an id. Rates are per million tokens; None is "no such rate"."""

    provider: str
    model_id: str
    processing: str
    context_min_tokens: int
    valid_from: dt.datetime
    valid_to: dt.datetime | None
    rates: tuple[Decimal | None, ...]
    currency: str
    price_source: str
    price_source_version: str
    is_processing_assumed: bool = False

    def row(self) -> dict[str, object]:
        """The row with its stable id: the key's words plus a hash of everything that decides an amount."""
        content = fingerprint({"rates": self.rates, "from": self.valid_from, "currency": self.currency, "by": self.price_source})
        name = f"{self.price_source}:{self.provider}/{self.model_id}:{self.processing}:{self.context_min_tokens}"
        return {
            "price_id": f"{name}:{self.valid_from:%Y-%m-%d}:{content[:8]}",
            "provider": self.provider,
            "model_id": self.model_id,
            "processing": self.processing,
            "context_min_tokens": self.context_min_tokens,
            "valid_from": self.valid_from,
            "valid_to": self.valid_to,
            **dict(zip(RATE_COLUMNS, self.rates, strict=True)),
            "currency": self.currency,
            "price_source": self.price_source,
            "price_source_version": self.price_source_version,
            "is_processing_assumed": self.is_processing_assumed,
        }


@dataclass(frozen=True)
class ListPrices:
    """List prices of every provider: the flattened genai-prices snapshot."""

    prices: tuple[Price, ...]
    version: str

    @classmethod
    def bundled(cls) -> ListPrices:
        """The snapshot inside the installed genai-prices package; never fetched."""
        snapshot = data_snapshot.get_snapshot()
        prices = tuple(
            price for provider in snapshot.providers for model in provider.models for price in _model_prices(provider.id, model)
        )
        return cls(prices=prices, version=f"genai-prices {genai_version}")


def price_book(list_prices: ListPrices, contract: pl.DataFrame) -> pl.DataFrame:
    """One row per model, processing class, context band and span of time: DIM_PRICE.

    ``contract`` has the columns of the contract file (docs/reference/prices.md), all text. Where a contract row is in
    force it replaces the list price of its model and processing class; what it leaves empty stays at list.
    Raises PriceBookError naming every unreadable or overlapping contract row.
    """
    by_key: dict[tuple[str, str, str], list[Price]] = {}
    for price in list_prices.prices:
        by_key.setdefault((price.provider, price.model_id, price.processing), []).append(price)
    for key, agreed in _contract_prices(contract).items():
        by_key[key] = list(_layered(by_key.get(key) or _standard(by_key, key), agreed))
    rows = [price.row() for prices in by_key.values() for price in prices]
    frame = pl.DataFrame(rows, schema=DIM_PRICE.polars_schema, orient="row")
    return DIM_PRICE.validate(frame.sort(DIM_PRICE.sort_by))


def _model_prices(provider: str, model: ModelInfo) -> Iterator[Price]:
    """Dated rows of one model for each processing class its list names."""
    variants = model.price_variants or []
    for processing, context in _CONTEXTS.items():
        named = [variant for variant in variants if context and all(context.get(k) == v for k, v in variant.when.items())]
        if context and not named:
            continue
        starts = _start_instants([*_conditions(model), *named])
        for start, end in zip(starts, [*starts[1:], None], strict=True):
            midday = max(start, dt.datetime(2001, 1, 1, tzinfo=dt.UTC)) + dt.timedelta(hours=12)
            rates = model.get_prices(midday, context or None)
            is_assumed = bool(context) and rates == model.get_prices(midday)
            for band, band_rates in _bands(rates):
                if any(rate is not None for rate in band_rates):
                    yield Price(
                        provider,
                        model.id,
                        processing,
                        band,
                        start,
                        end,
                        band_rates,
                        "USD",
                        "genai-prices",
                        genai_version,
                        is_assumed,
                    )


def _conditions(model: ModelInfo) -> list[ConditionalPrice]:
    return model.prices if isinstance(model.prices, list) else [ConditionalPrice(prices=model.prices)]


def _start_instants(dated: Iterable[object]) -> list[dt.datetime]:
    dates = {
        constraint.start_date
        for item in dated
        if isinstance(constraint := getattr(item, "constraint", None), StartDateConstraint)
    }
    return [BEGINNING, *(dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC) for day in sorted(dates))]


def _bands(price: ModelPrice) -> Iterator[tuple[int, tuple[Decimal | None, ...]]]:
    """Base band, then one band per threshold. Missing cache prices fall back to the wider class, as the provider does."""
    stated = [
        getattr(price, key) for key in ("input_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok", "output_mtok")
    ]
    thresholds = {tier.start for value in stated if isinstance(value, TieredPrices) for tier in value.tiers}
    for threshold in (0, *sorted(thresholds)):
        fresh, read, write, write_1h, output = (_rate_in_band(value, threshold) for value in stated)
        write = fresh if write is None else write
        yield threshold, (fresh, fresh if read is None else read, write, write if write_1h is None else write_1h, output)


def _rate_in_band(value: Decimal | TieredPrices | None, threshold: int) -> Decimal | None:
    if isinstance(value, TieredPrices):
        reached = [tier.price for tier in value.tiers if tier.start <= threshold]
        value = reached[-1] if reached and threshold else value.base
    return None if value is None else _SIGNIFICANT.plus(value)


def _standard(by_key: Mapping[tuple[str, str, str], list[Price]], key: tuple[str, str, str]) -> list[Price]:
    provider, model_id, processing = key
    prices = by_key.get((provider, model_id, "standard"), [])
    return [replace(price, processing=processing, is_processing_assumed=True) for price in prices]


def _contract_prices(contract: pl.DataFrame) -> dict[tuple[str, str, str], list[Price]]:
    agreed: dict[tuple[str, str, str], list[Price]] = {}
    problems: list[str] = []
    for line, row in enumerate(contract.iter_rows(named=True), start=2):
        try:
            price = _contract_price(row)
        except (ValueError, ArithmeticError) as error:
            problems.append(f"line {line}: {error}")
            continue
        others = agreed.setdefault((price.provider, price.model_id, price.processing), [])
        if any(_overlap(price, other) and other.context_min_tokens == price.context_min_tokens for other in others):
            problems.append(f"line {line}: {price.provider}/{price.model_id} overlaps an earlier line")
        others.append(price)
    if problems:
        raise PriceBookError("contract prices: " + "; ".join(problems))
    return agreed


def _contract_price(row: Mapping[str, str | None]) -> Price:
    def required(name: str) -> str:
        cell = row.get(name)
        if not cell:
            raise ValueError(f"{name} is empty")
        return cell

    processing = row.get("processing") or "standard"
    if processing not in _CONTEXTS:
        raise ValueError(f"processing {processing!r}: allowed are {', '.join(_CONTEXTS)}")
    valid_to = row.get("valid_to")
    rates = tuple(Decimal(cell) if (cell := row.get(name)) else None for name in RATE_COLUMNS)
    if any(rate is not None and (not rate.is_finite() or rate < 0 or rate != round(rate, 12)) for rate in rates):
        raise ValueError("rates must be finite, not negative, with at most 12 decimals")
    price = Price(
        provider=required("provider"),
        model_id=required("model_id"),
        processing=processing,
        context_min_tokens=int(row.get("context_min_tokens") or 0),
        valid_from=_midnight(required("valid_from")),
        valid_to=_midnight(valid_to) if valid_to else None,
        rates=rates,
        currency=required("currency"),
        price_source="contract",
        price_source_version=row.get("note") or "contract",
    )
    if price.valid_to is not None and price.valid_to <= price.valid_from:
        raise ValueError("valid_to must be after valid_from")
    return price


def _midnight(text: str) -> dt.datetime:
    return dt.datetime.combine(dt.date.fromisoformat(text), dt.time(), tzinfo=dt.UTC)


def _overlap(left: Price, right: Price) -> bool:
    return left.valid_from < (right.valid_to or dt.datetime.max.replace(tzinfo=dt.UTC)) and right.valid_from < (
        left.valid_to or dt.datetime.max.replace(tzinfo=dt.UTC)
    )


def _layered(listed: list[Price], agreed: list[Price]) -> Iterator[Price]:
    """List and contract prices of one key as spans that do not overlap.

    Where the contract is in force it replaces the list from its lowest context band on; lower bands stay at list.
    """
    edges = sorted({edge for price in (*listed, *agreed) for edge in (price.valid_from, price.valid_to) if edge is not None})
    for start, end in zip(edges, [*edges[1:], None], strict=True):
        at_list = [price for price in listed if _in_force(price, start)]
        at_contract = [price for price in agreed if _in_force(price, start)]
        first_band = min((price.context_min_tokens for price in at_contract), default=None)
        kept = [price for price in at_list if first_band is None or price.context_min_tokens < first_band]
        for price in kept:
            yield replace(price, valid_from=start, valid_to=end)
        for price in at_contract:
            beside = zip(price.rates, _rates_of_band(at_list, price.context_min_tokens), strict=True)
            rates = tuple(at_list_rate if own is None else own for own, at_list_rate in beside)
            yield replace(price, valid_from=start, valid_to=end, rates=rates)


def _rates_of_band(prices: list[Price], context_min_tokens: int) -> tuple[Decimal | None, ...]:
    """Rates that requests of the band have; none where nothing is listed."""
    reached = [price for price in prices if price.context_min_tokens <= context_min_tokens]
    return max(reached, key=lambda price: price.context_min_tokens).rates if reached else (None,) * len(RATE_COLUMNS)


def _in_force(price: Price, instant: dt.datetime) -> bool:
    return price.valid_from <= instant and (price.valid_to is None or instant < price.valid_to)
