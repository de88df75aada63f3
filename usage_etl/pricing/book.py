"""The price book: list prices with hand-kept and negotiated ones on top, spread over units and regions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import polars as pl

from usage_etl.pricing.contract import contract_prices, contract_surcharges
from usage_etl.pricing.layers import layered, with_units
from usage_etl.pricing.lists import ListPrices, ModelKey
from usage_etl.pricing.price import Price
from usage_etl.pricing.surcharges import Surcharge, of_model, region_rows
from usage_etl.schemas import DIM_PRICE

_Key = tuple[str, str | None]
"""Price class and region."""


def price_book(list_prices: ListPrices, contract: pl.DataFrame, surcharges: pl.DataFrame | None = None) -> pl.DataFrame:
    """One row per model, price class, region, unit, context band, time of day and span of time: DIM_PRICE.

    ``contract`` and ``surcharges`` have the columns of their files (docs/reference/prices.md), all text. Where a contract
    row is in force it replaces the price of its model and price class; what it leaves empty stays.
    Raises PriceBookError naming every unreadable or overlapping row.
    """
    agreed = _by_model(contract_prices(contract))
    extra = [*(contract_surcharges(surcharges) if surcharges is not None else ()), *list_prices.surcharges]
    by_provider: dict[str, list[Surcharge]] = {}
    for surcharge in extra:
        by_provider.setdefault(surcharge.provider, []).append(surcharge)
    manual, listed = _by_model(list_prices.manual), _by_model(list_prices.prices)
    rows = [
        price.row()
        for key in dict.fromkeys([*listed, *manual, *agreed])
        for price in _model_rows(
            (listed.get(key, []), manual.get(key, []), agreed.get(key, [])), of_model(by_provider.get(key[0], ()), *key)
        )
    ]
    frame = pl.DataFrame(rows, schema=DIM_PRICE.polars_schema, orient="row")
    return DIM_PRICE.validate(frame.sort(DIM_PRICE.sort_by))


def _by_model(prices: Iterable[Price]) -> dict[ModelKey, list[Price]]:
    found: dict[ModelKey, list[Price]] = {}
    for price in prices:
        found.setdefault((price.provider, price.model_id), []).append(price)
    return found


def _model_rows(layers: Sequence[Sequence[Price]], surcharges: Sequence[Surcharge]) -> Iterator[Price]:
    """Rows of one model: its layers, the weakest first, laid over each other, then its regions and its units."""
    tokens = _grouped(price for price in layers[0] if price.unit is None)
    fees = _by_unit(layers[0])
    for layer in layers[1:]:
        for key, prices in _grouped(price for price in layer if price.unit is None).items():
            listed = tokens.get(key) or _stand_in(tokens, key)
            tokens[key] = list(layered(listed, prices)) if listed else prices
        for unit, prices in _by_unit(layer).items():
            fees[unit] = list(layered(fees[unit], prices)) if unit in fees else prices
    for processing in [processing for processing, region in tokens if region is None]:
        for region, prices in _grouped_by_region(region_rows(tokens[processing, None], surcharges)).items():
            tokens.setdefault((processing, region), prices)
    for (processing, _), prices in tokens.items():
        yield from with_units(prices, _fees_of(fees, processing))
    if not tokens:
        for processing in dict.fromkeys(processing for processing, _ in fees):
            yield from with_units((), [fee for (own, _), known in fees.items() if own == processing for fee in known])


def _grouped(prices: Iterable[Price]) -> dict[_Key, list[Price]]:
    found: dict[_Key, list[Price]] = {}
    for price in prices:
        found.setdefault((price.processing, price.region), []).append(price)
    return found


def _grouped_by_region(prices: Iterable[Price]) -> dict[str | None, list[Price]]:
    found: dict[str | None, list[Price]] = {}
    for price in prices:
        found.setdefault(price.region, []).append(price)
    return found


def _stand_in(tokens: dict[_Key, list[Price]], key: _Key) -> list[Price]:
    """What a stronger row of a price class or region that nobody lists lies on: the class without region, the standard."""
    processing, region = key
    for stand_in in ((processing, None), ("standard", region), ("standard", None)):
        if found := tokens.get(stand_in):
            is_assumed = stand_in[0] != processing
            return [replace(price, processing=processing, region=region, is_processing_assumed=is_assumed) for price in found]
    return []


def _by_unit(prices: Iterable[Price]) -> dict[tuple[str, str | None], list[Price]]:
    """Rates of units by price class and unit."""
    found: dict[tuple[str, str | None], list[Price]] = {}
    for price in prices:
        if price.unit is not None:
            found.setdefault((price.processing, price.unit), []).append(price)
    return found


def _fees_of(fees: dict[tuple[str, str | None], list[Price]], processing: str) -> list[Price]:
    """Rates of units for a price class; a unit without a rate for it costs what it costs in the standard class."""
    units = dict.fromkeys(unit for _, unit in fees)
    found = [fees.get((processing, unit)) or fees.get(("standard", unit)) or [] for unit in units]
    return [replace(fee, processing=processing) for known in found for fee in known]
