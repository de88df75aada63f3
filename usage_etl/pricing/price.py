"""One price before it is a row of dim_price, and the columns that hold its rates."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal

from usage_etl.keys import fingerprint

BEGINNING = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
WHOLE_DAY = 24 * 60
"""Minutes of a UTC day."""

TOKEN_RATES = (
    "input_uncached_per_mtok",
    "cache_read_per_mtok",
    "cache_write_5m_per_mtok",
    "cache_write_1h_per_mtok",
    "output_per_mtok",
)
"""Rates of the disjoint token classes. Null is "no such rate"."""

SUBSET_RATES: Mapping[str, str] = {
    "output_reasoning_per_mtok": "output_per_mtok",
    "input_audio_per_mtok": "input_uncached_per_mtok",
    "cache_read_audio_per_mtok": "cache_read_per_mtok",
    "output_audio_per_mtok": "output_per_mtok",
    "input_image_per_mtok": "input_uncached_per_mtok",
    "cache_read_image_per_mtok": "cache_read_per_mtok",
    "output_image_per_mtok": "output_per_mtok",
}
"""Rates of parts of a class, with the rate of the whole class, which holds where the part has none of its own."""

_CACHE_FALLBACKS: Mapping[str, str] = {
    "cache_read_audio_per_mtok": "input_audio_per_mtok",
    "cache_read_image_per_mtok": "input_image_per_mtok",
    "cache_read_per_mtok": "input_uncached_per_mtok",
    "cache_write_5m_per_mtok": "input_uncached_per_mtok",
    "cache_write_1h_per_mtok": "cache_write_5m_per_mtok",
}
"""Where a list that names no cache price means the price of the input, of each kind; in the order of application."""

RATE_COLUMNS = (*TOKEN_RATES, *SUBSET_RATES, "per_request")
RATE_DECIMALS = 12
"""So that tokens times a rate per million is exact at the lake's 18 decimals."""

_SIGNIFICANT = Context(prec=12, rounding=ROUND_HALF_EVEN)
_ONE = Decimal(1).scaleb(-RATE_DECIMALS)
_WIDE = Context(prec=60)


def clean_rate(rate: Decimal) -> Decimal:
    """``rate`` at 12 significant digits and 12 decimals: what list prices carry beyond is float noise of their origin.

    Raises ValueError for what is no price: infinite, not a number, or negative.
    """
    if not rate.is_finite() or rate < 0:
        raise ValueError(f"not a price: {rate}")
    return exact_rate(_SIGNIFICANT.plus(rate))


def exact_rate(rate: Decimal) -> Decimal:
    """``rate`` rounded to 12 decimals, half to even."""
    rounded = rate.quantize(_ONE, context=_WIDE)
    return Decimal(0) if not rounded else rounded.normalize(_WIDE) + 0


@dataclass(frozen=True)
class Price:
    """One row of dim_price before it has an id. ``rates`` stand in the order of RATE_COLUMNS; None is "no such rate"."""

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
    region: str | None = None
    unit: str | None = None
    per_unit: Decimal | None = None
    unit_count: int = 1
    """How many of ``unit`` the price buys."""
    from_minute: int = 0
    to_minute: int = WHOLE_DAY
    provenance: str | None = None
    surcharge_multiplier: Decimal | None = None
    is_processing_assumed: bool = False
    is_cache_at_input_rate: bool = False
    """The list means the input rate where it names none for the cache."""

    def rate(self, column: str) -> Decimal | None:
        """One rate by its column."""
        return self.rates[RATE_COLUMNS.index(column)]

    def is_in_force(self, instant: dt.datetime, minute: int) -> bool:
        """Whether it prices a request of the span that begins at ``instant``, at ``minute`` of the day."""
        is_valid = self.valid_from <= instant and (self.valid_to is None or instant < self.valid_to)
        return is_valid and self.from_minute <= minute < self.to_minute

    def row(self) -> dict[str, object]:
        """The row with its stable id: the key's words plus a hash of everything that decides an amount."""
        rates = self._effective_rates()
        content = fingerprint({
            "rates": rates, "from": self.valid_from, "currency": self.currency, "by": self.price_source,
            "unit": self.unit, "per_unit": self.per_unit, "unit_count": self.unit_count,
        })  # fmt: skip
        name = f"{self.price_source}:{self.provider}/{self.model_id}:{self.processing}:{self.context_min_tokens}"
        hour = "" if (self.from_minute, self.to_minute) == (0, WHOLE_DAY) else f"T{clock(self.from_minute)}"
        place = "".join(f":{word}" for word in (self.region, self.unit) if word is not None)
        return {
            "price_id": f"{name}{place}:{self.valid_from:%Y-%m-%d}{hour}:{content[:8]}",
            "provider": self.provider,
            "model_id": self.model_id,
            "processing": self.processing,
            "region": self.region,
            "unit": self.unit,
            "context_min_tokens": self.context_min_tokens,
            "from_minute": self.from_minute,
            "to_minute": self.to_minute,
            "valid_from": self.valid_from,
            "valid_to": self.valid_to,
            **dict(zip(RATE_COLUMNS, rates, strict=True)),
            "per_unit": self.per_unit,
            "unit_count": None if self.unit is None else self.unit_count,
            "currency": self.currency,
            "price_source": self.price_source,
            "price_source_version": self.price_source_version,
            "provenance": self.provenance,
            "surcharge_multiplier": self.surcharge_multiplier,
            "is_processing_assumed": self.is_processing_assumed,
        }

    def _effective_rates(self) -> tuple[Decimal | None, ...]:
        """Rates with what the list means by naming none for the cache."""
        if not self.is_cache_at_input_rate:
            return self.rates
        rates = dict(zip(RATE_COLUMNS, self.rates, strict=True))
        for column, wider in _CACHE_FALLBACKS.items():
            rates[column] = rates[wider] if rates[column] is None else rates[column]
        return tuple(rates.values())


def clock(minute: int) -> str:
    """``HH:MM`` of a minute of the day; 24:00 is the day's end."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def rates_of(found: Mapping[str, Decimal | None]) -> tuple[Decimal | None, ...]:
    """Rates by column as the tuple of a Price; what is not named is not known."""
    return tuple(found.get(column) for column in RATE_COLUMNS)
