"""Price files that a person brings: contract columns as CSV, or a newer snapshot of genai-prices or of LiteLLM as JSON.

A file is known by its content. Of snapshots of one list the newest replaces the older ones and the bundled one.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import polars as pl
from genai_prices.types import _providers_from_raw  # what the package itself reads a fetched snapshot with
from pydantic import ValidationError

from usage_etl.config.contract_files import CONTRACT_COLUMNS, CONTRACT_KEY
from usage_etl.errors import PriceBookError
from usage_etl.keys import sha256_hex
from usage_etl.pricing.catalog import ModelCatalog
from usage_etl.pricing.contract import contract_prices
from usage_etl.pricing.layers import layered
from usage_etl.pricing.lists import LIST_SOURCES, ListPrices, PriceList, genai_list, litellm_list
from usage_etl.pricing.litellm_file import flatten_litellm
from usage_etl.pricing.price import Price


@dataclass(frozen=True)
class PriceFile:
    """A price file that was understood: hand-kept prices, or a snapshot of a published list."""

    name: str
    kind: str
    """manual, genai-prices or litellm."""
    prices: tuple[Price, ...]
    list: PriceList | None = None


def parse_price_file(name: str, content: bytes) -> PriceFile:
    """The prices of a file. Raises PriceBookError saying what is wrong with it, all faults at once."""
    text = _decoded(name, content)
    version = f"{name} {sha256_hex(content)[:8]}"
    if text.lstrip()[:1] not in ("[", "{"):
        return PriceFile(name, "manual", tuple(_manual_prices(name, text)))
    try:
        document = json.loads(text, parse_float=Decimal)
    except (json.JSONDecodeError, RecursionError) as error:
        raise PriceBookError(f"{name}: not valid JSON ({error})") from error
    if isinstance(document, list):
        return _genai_file(name, document, version)
    if isinstance(document, dict) and any(isinstance(entry, dict) and "litellm_provider" in entry for entry in document.values()):
        return _litellm_file(name, document, version)
    raise PriceBookError(
        f"{name}: neither a list of providers (genai-prices) nor a mapping of models with litellm_provider (LiteLLM); "
        f"a price file of your own is CSV with the columns {', '.join(CONTRACT_KEY)} and rates"
    )


def with_files(listed: ListPrices, files: Sequence[PriceFile]) -> ListPrices:
    """``listed`` under the accepted ``files``, the newest first. A list that is switched off stays so."""
    sources = {one.source for one in listed.lists}
    newer = [file.list for file in files if file.list is not None and file.list.source in sources]
    lists = sorted((*newer, *listed.lists), key=lambda one: LIST_SOURCES.index(one.source))
    manual = list(listed.manual)
    for file in reversed(files):
        manual = _over(manual, file.prices) if file.kind == "manual" else manual
    return replace(listed, lists=tuple(lists), manual=tuple(manual))


def _over(older: Sequence[Price], newer: Sequence[Price]) -> list[Price]:
    """Hand-kept prices of a newer file over those of an older one, key by key."""
    found: dict[tuple[str | None, ...], tuple[list[Price], list[Price]]] = {}
    for place, prices in ((0, older), (1, newer)):
        for price in prices:
            key = (price.provider, price.model_id, price.processing, price.region, price.unit)
            found.setdefault(key, ([], []))[place].append(price)
    return [price for old, new in found.values() for price in (layered(old, new) if old and new else old or new)]


def _decoded(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PriceBookError(f"{name}: not UTF-8 text ({error})") from error


def _manual_prices(name: str, text: str) -> list[Price]:
    try:
        header, *lines = list(csv.reader(io.StringIO(text), strict=True)) or [[]]
    except csv.Error as error:
        raise PriceBookError(f"{name}: not a CSV file ({error})") from error
    faults = [f"column {column} is missing" for column in CONTRACT_KEY if column not in header]
    faults += [f"column {column!r} is not known" for column in header if column not in CONTRACT_COLUMNS]
    faults += [f"column {column} stands twice" for column in sorted({column for column in header if header.count(column) > 1})]
    faults += [f"line {line}: {len(cells)} cells, the header has {len(header)}"
               for line, cells in enumerate(lines, start=2) if cells and len(cells) != len(header)]  # fmt: skip
    if faults:
        raise PriceBookError(f"{name}: " + "; ".join(faults))
    rows = [dict(zip(header, (cell.strip() or None for cell in cells), strict=True)) if cells else {} for cells in lines]
    complete = [{column: row.get(column) for column in CONTRACT_COLUMNS} for row in rows if any(row.values())]
    frame = pl.DataFrame(complete, schema=dict.fromkeys(CONTRACT_COLUMNS, pl.String), orient="row")
    return contract_prices(frame, price_source="manual", origin=name)


def _genai_file(name: str, document: list[Any], version: str) -> PriceFile:
    try:
        providers = _providers_from_raw(document)
        found = genai_list(providers, version)
    except (ValidationError, ValueError, ArithmeticError, TypeError, AttributeError) as error:
        raise PriceBookError(f"{name}: not a genai-prices snapshot ({' '.join(str(error).split())[:300]})") from error
    if not found.prices:
        raise PriceBookError(f"{name}: the snapshot holds no price")
    return PriceFile(name, "genai-prices", found.prices, found)


def _litellm_file(name: str, document: Mapping[str, Any], version: str) -> PriceFile:
    try:
        prices, surcharges = flatten_litellm(document)
    except (ValueError, ArithmeticError) as error:
        raise PriceBookError(f"{name}: {error}") from error
    found = litellm_list(prices, surcharges, version, ModelCatalog())
    if not found.prices:
        raise PriceBookError(f"{name}: the file holds no price")
    return PriceFile(name, "litellm", found.prices, found)
