"""LiteLLM's price file (MIT) as flat text rows: one row per model, price class, context band and unit.

The rows have the columns of the contract file, so they can be read, compared and imported like it. Rates per token
become rates per million; whatever the file spells beside prices is left out. The copy under ``data/`` is written by
``scripts/vendor_litellm_prices.py`` with this very function.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from usage_etl.pricing.price import RATE_COLUMNS, clean_rate

_RATE_KEYS: Mapping[str, str] = {
    "input_cost_per_token": "input_uncached_per_mtok",
    "cache_read_input_token_cost": "cache_read_per_mtok",
    "input_cost_per_token_cache_hit": "cache_read_per_mtok",
    "cache_creation_input_token_cost": "cache_write_5m_per_mtok",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h_per_mtok",
    "output_cost_per_token": "output_per_mtok",
    "output_cost_per_reasoning_token": "output_reasoning_per_mtok",
    "input_cost_per_audio_token": "input_audio_per_mtok",
    "cache_read_input_audio_token_cost": "cache_read_audio_per_mtok",
    "output_cost_per_audio_token": "output_audio_per_mtok",
    "input_cost_per_image_token": "input_image_per_mtok",
    "cache_read_input_image_token_cost": "cache_read_image_per_mtok",
    "output_cost_per_image_token": "output_image_per_mtok",
}
_PROCESSINGS: Mapping[str, str] = {"": "standard", "_batches": "batch", "_flex": "flex", "_priority": "priority"}
_KEY = re.compile(r"(?P<base>.+?)(?:_above_(?P<k>\d+)k_tokens)?(?P<processing>_batches|_flex|_priority)?")
_UNIT_KEYS: Mapping[str, str] = {
    "input_cost_per_second": "seconds",
    "output_cost_per_second": "seconds",
    "input_cost_per_character": "characters",
    "output_cost_per_image": "images",
    "input_cost_per_image": "images",
    "ocr_cost_per_page": "pages",
    "annotation_cost_per_page": "annotated_pages",
    "input_cost_per_query": "searches",
}
_UNITS_OF_MODE: Mapping[str, tuple[str, ...]] = {
    "audio_transcription": ("input_cost_per_second", "output_cost_per_second"),
    "audio_speech": ("input_cost_per_character", "output_cost_per_second"),
    "image_generation": ("output_cost_per_image", "input_cost_per_image"),
    "image_edit": ("output_cost_per_image", "input_cost_per_image"),
    "ocr": ("ocr_cost_per_page", "annotation_cost_per_page"),
    "rerank": ("input_cost_per_query",),
    "search": ("input_cost_per_query",),
}
"""Units that a kind of model is billed by where it is not billed by tokens."""

LITELLM_COLUMNS = (
    "litellm_key", "litellm_provider", "processing", "unit", "context_min_tokens", *RATE_COLUMNS, "per_unit", "source"
)  # fmt: skip
LITELLM_SURCHARGE_COLUMNS = ("litellm_key", "litellm_provider", "region", "multiplier")

Rows = list[dict[str, str | None]]


def flatten_litellm(document: Mapping[str, Any]) -> tuple[Rows, Rows]:
    """(price rows, surcharge rows) of a parsed price file, as text in the order of its keys.

    ``document`` is parsed with exact decimals. The first row of an entry names where its prices are from. An entry whose
    every price is 0 is left out: it says "free" and "not known" in the same way. Raises ValueError naming every entry with
    a price that is none.
    """
    prices: Rows = []
    surcharges: Rows = []
    problems: list[str] = []
    for key, entry in document.items():
        if key == "sample_spec" or not isinstance(entry, Mapping) or not entry.get("litellm_provider"):
            continue
        identity: dict[str, str | None] = {"litellm_key": key, "litellm_provider": str(entry["litellm_provider"])}
        try:
            found = list(_entry_rows(entry))
        except (ValueError, ArithmeticError, TypeError) as error:
            problems.append(f"{key}: {error}")
            continue
        if any(Decimal(row.get(name) or 0) for row in found for name in (*RATE_COLUMNS, "per_unit")):
            found[0]["source"] = entry.get("source")
            prices += [identity | row for row in found]
            surcharges += [identity | row for row in _surcharges(entry)]
    if problems:
        raise ValueError("; ".join(problems))
    return prices, surcharges


def _entry_rows(entry: Mapping[str, Any]) -> Iterator[dict[str, str | None]]:
    by_class = _rates(entry)
    fee = entry.get("input_cost_per_request")
    per_request = text(clean_rate(Decimal(fee))) if isinstance(fee, Decimal | int) else None
    for (processing, threshold), rates in sorted(by_class.items(), key=lambda item: (item[0][0] != "standard", item[0])):
        yield {**_class_row(processing, threshold, by_class.get((processing, 0), {}) | rates), "per_request": per_request}
    multiplier = _own_multiplier(entry, "fast")
    for (processing, threshold), rates in by_class.items():
        if multiplier is not None and processing == "standard":
            listed = by_class["standard", 0] | rates
            yield _class_row("fast", threshold, {column: clean_rate(rate * multiplier) for column, rate in listed.items()})
    yield from _unit_rows(entry, is_by_token=any(rate for rates in by_class.values() for rate in rates.values()))


def _class_row(processing: str, threshold: int, rates: Mapping[str, Decimal]) -> dict[str, str | None]:
    written = {column: text(rate) for column, rate in rates.items()}
    return {"processing": processing, "context_min_tokens": str(threshold), **written}


def _rates(entry: Mapping[str, Any]) -> dict[tuple[str, int], dict[str, Decimal]]:
    """Rates of tokens by price class and context band, as far as the entry states them for the band."""
    found: dict[tuple[str, int], dict[str, Decimal]] = {}
    for name, cost in _costs(entry):
        if (parsed := _parsed_key(name)) is not None:
            column, threshold, processing = parsed
            found.setdefault((processing, threshold), {}).setdefault(column, clean_rate(cost * 1_000_000))
    for tier in entry.get("tiered_pricing") or ():
        if "range" in tier:
            rates = {_RATE_KEYS[name]: clean_rate(cost * 1_000_000) for name, cost in _costs(tier) if name in _RATE_KEYS}
            found.setdefault(("standard", int(tier["range"][0])), {}).update(rates)
    if entry.get("mode") == "embedding":
        for rates in found.values():
            rates.pop("output_per_mtok", None)
    return found


def _own_multiplier(entry: Mapping[str, Any], word: str) -> Decimal | None:
    """Anthropic's prices for the fast speed and for inference in one country are spelt as multipliers of the others."""
    own = entry.get("provider_specific_entry") if entry["litellm_provider"] == "anthropic" else None
    found = own.get(word) if isinstance(own, Mapping) else None
    return Decimal(found) if isinstance(found, Decimal | int) else None


def _costs(entry: Mapping[str, Any]) -> Iterator[tuple[str, Decimal]]:
    for name, cost in entry.items():
        if "cost" in name and isinstance(cost, Decimal | int) and not isinstance(cost, bool):
            yield name, Decimal(cost)


def _parsed_key(name: str) -> tuple[str, int, str] | None:
    """(rate column, context band, price class) of a cost key; None for what is no rate of tokens."""
    match = _KEY.fullmatch(name)
    if match is None or (column := _RATE_KEYS.get(match["base"])) is None:
        return None
    return column, int(match["k"] or 0) * 1000, _PROCESSINGS[match["processing"] or ""]


def _unit_rows(entry: Mapping[str, Any], *, is_by_token: bool) -> Iterator[dict[str, str | None]]:
    standard = {"processing": "standard", "context_min_tokens": "0"}
    seen: set[str] = set()
    names = () if is_by_token else _UNITS_OF_MODE.get(str(entry.get("mode")), ())
    for name in names:
        cost, unit = entry.get(name), _UNIT_KEYS[name]
        if isinstance(cost, Decimal | int) and cost and unit not in seen:
            seen.add(unit)
            yield {**standard, "unit": unit, "per_unit": text(clean_rate(Decimal(cost)))}
    by_size = entry.get("search_context_cost_per_query")
    sizes = set(by_size.values()) if isinstance(by_size, Mapping) else set()
    if len(sizes) == 1 and (cost := sizes.pop()):  # a price by size of the context cannot be told from a count of searches
        yield {**standard, "unit": "web_searches", "per_unit": text(clean_rate(Decimal(cost)))}


def _surcharges(entry: Mapping[str, Any]) -> Iterator[dict[str, str | None]]:
    """What the file says of regions: a name, or * for every named region but the global one."""
    if isinstance(multiplier := _own_multiplier(entry, "us"), Decimal):
        yield {"region": "us", "multiplier": text(multiplier)}
    for region in ("eu", "us"):
        if isinstance(multiplier := entry.get(f"regional_processing_uplift_multiplier_{region}"), Decimal):
            yield {"region": region, "multiplier": text(multiplier)}
    if isinstance(multiplier := entry.get("regional_endpoint_uplift_multiplier"), Decimal):
        yield {"region": "*", "multiplier": text(multiplier)}
        yield {"region": "global", "multiplier": "1"}


def text(number: Decimal) -> str:
    """A number in plain digits, without exponent or trailing zeros."""
    plain = f"{number:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain
