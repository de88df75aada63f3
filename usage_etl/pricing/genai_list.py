"""List prices of genai-prices (MIT), flattened into dated rows.

Its rules are followed exactly: the last active condition wins, a context band is a cliff on one request's whole input,
a missing cache price means the input price, audio and images cost what other tokens cost unless a price says otherwise.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from usage_etl.pricing.price import BEGINNING, RATE_COLUMNS, WHOLE_DAY, Price, clean_rate, rates_of

_CONTEXTS: Mapping[str, Mapping[str, str]] = {
    "standard": {},
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "fast": {"service_tier": "fast", "speed": "fast"},
}
"""Price class to the request context by which genai-prices selects its variants; makers name ``fast`` in two ways."""

_RATE_KEYS: Mapping[str, str] = {
    "input_uncached_per_mtok": "input_mtok",
    "cache_read_per_mtok": "cache_read_mtok",
    "cache_write_5m_per_mtok": "cache_write_mtok",
    "cache_write_1h_per_mtok": "cache_write_1h_mtok",
    "output_per_mtok": "output_mtok",
    "output_reasoning_per_mtok": "output_reasoning_mtok",
    "input_audio_per_mtok": "input_audio_mtok",
    "cache_read_audio_per_mtok": "cache_audio_read_mtok",
    "output_audio_per_mtok": "output_audio_mtok",
    "input_image_per_mtok": "input_image_mtok",
    "cache_read_image_per_mtok": "cache_image_read_mtok",
    "output_image_per_mtok": "output_image_mtok",
}
_UNIT_KEYS: Mapping[str, tuple[str, int]] = {
    "seconds": ("audio_hours", 3600),
    "characters": ("input_mchars", 10**6),
    "pages": ("input_document_kpages", 1000),
    "annotated_pages": ("input_annotated_document_kpages", 1000),
    "text_messages": ("input_text_messages_kcount", 1000),
    "web_searches": ("web_searches_kcount", 1000),
    "file_searches": ("storage_searches_kcount", 1000),
    "code_executions": ("code_executions_kcount", 1000),
}
"""Unit to its price key and to how many units that price buys."""


def genai_prices(providers: Iterable[Provider], version: str) -> Iterator[Price]:
    """Dated rows of every model for each price class its list names, then the rates of its units beside tokens."""
    for provider in providers:
        source = next(iter(provider.pricing_urls or ()), None)
        for model in provider.models:
            for processing, context in _CONTEXTS.items():
                for price in _model_prices(provider.id, model, processing, context):
                    yield replace(price, price_source_version=version, provenance=source)


def _model_prices(provider: str, model: ModelInfo, processing: str, context: Mapping[str, str]) -> Iterator[Price]:
    named = [
        variant for variant in model.price_variants or [] if context and all(context.get(k) == v for k, v in variant.when.items())
    ]
    if context and not named:
        return
    dated = [*_conditions(model), *named]
    starts = _start_instants(dated)
    minutes = _minutes(dated)
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        day = max(start, dt.datetime(2001, 1, 1, tzinfo=dt.UTC))
        slots = [(minute, day + dt.timedelta(minutes=minute)) for minute in minutes]
        found = [(minute, model.get_prices(at, context or None), model.get_prices(at)) for minute, at in slots]
        if all(rates == found[0][1] for _, rates, _ in found):
            found = found[:1]
        for (from_minute, rates, standard), to_minute in zip(found, [*(m for m, _, _ in found[1:]), WHOLE_DAY], strict=True):
            base = Price(
                provider, model.id, processing, 0, start, end, (), "USD", "genai-prices", "",
                from_minute=from_minute, to_minute=to_minute,
                is_processing_assumed=bool(context) and rates == standard, is_cache_at_input_rate=True,
            )  # fmt: skip
            yield from _bands(base, rates)
            yield from _units(base, rates)


def _conditions(model: ModelInfo) -> list[ConditionalPrice]:
    return model.prices if isinstance(model.prices, list) else [ConditionalPrice(prices=model.prices)]


def _start_instants(dated: Iterable[object]) -> list[dt.datetime]:
    dates = {
        constraint.start_date
        for item in dated
        if isinstance(constraint := getattr(item, "constraint", None), StartDateConstraint)
    }
    return [BEGINNING, *(dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC) for day in sorted(dates))]


def _minutes(dated: Iterable[object]) -> list[int]:
    """Minutes of the UTC day at which a price may change, the day's first always."""
    times = [
        time
        for item in dated
        if isinstance(constraint := getattr(item, "constraint", None), TimeOfDateConstraint)
        for time in (constraint.start_time, constraint.end_time)
    ]
    in_utc = [dt.datetime.combine(dt.date(2001, 1, 1), time) for time in times]
    aware = [time if time.tzinfo else time.replace(tzinfo=dt.UTC) for time in in_utc]
    return sorted({0, *(time.astimezone(dt.UTC).hour * 60 + time.astimezone(dt.UTC).minute for time in aware)})


def _bands(base: Price, price: ModelPrice) -> Iterator[Price]:
    """Base band, then one band per threshold of any rate."""
    stated = {column: getattr(price, key) for column, key in _RATE_KEYS.items()}
    per_kreq = getattr(price, "requests_kcount", None)
    fee = {"per_request": clean_rate(per_kreq / 1000)} if isinstance(per_kreq, Decimal) else {}
    thresholds = {tier.start for value in stated.values() if isinstance(value, TieredPrices) for tier in value.tiers}
    for threshold in (0, *sorted(thresholds)):
        rates = rates_of({column: _rate_in_band(value, threshold) for column, value in stated.items()} | fee)
        if any(rate is not None for rate in rates):
            yield replace(base, context_min_tokens=threshold, rates=rates)


def _rate_in_band(value: Decimal | TieredPrices | None, threshold: int) -> Decimal | None:
    if isinstance(value, TieredPrices):
        reached = [tier.price for tier in value.tiers if tier.start <= threshold]
        value = reached[-1] if reached and threshold else value.base
    return None if value is None else clean_rate(value)


def _units(base: Price, price: ModelPrice) -> Iterator[Price]:
    for unit, (key, per) in _UNIT_KEYS.items():
        listed = getattr(price, key, None)
        if isinstance(listed, Decimal):
            yield replace(base, unit=unit, per_unit=clean_rate(listed), unit_count=per, rates=(None,) * len(RATE_COLUMNS))
