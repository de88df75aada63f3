"""What providers charge in the demo: genai-prices' list, and one negotiated discount. Whole numbers throughout.

Rates are micro-dollars per million tokens, so tokens times rate is a whole number of pico-dollars: exact at any size.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from genai_prices import Usage, calc_price
from genai_prices.types import TieredPrices

from usage_etl.demo.models import Model
from usage_etl.demo.scenario import Scenario

PICO = Decimal("1e-12")
"""One pico-dollar in dollars."""

DISCOUNTED_MODEL = "claude-sonnet-4-6"
DISCOUNT_PCT = 15
TOKEN_CLASSES = ("input_uncached", "cache_read", "cache_write_5m", "cache_write_1h", "output")
_PRICE_FIELDS = ("input_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok", "output_mtok")


@dataclass(frozen=True)
class Rates:
    """Prices of one model, day, processing class and context band."""

    micro_usd_per_mtok: tuple[int, int, int, int, int]
    """In the order of TOKEN_CLASSES."""
    threshold: int | None
    """A request with more input than this pays the long-context price; None where there is one price."""

    def cost(self, tokens: tuple[int, int, int, int, int]) -> int:
        """Cost in pico-dollars."""
        fresh, read, write_5m, write_1h, output = self.micro_usd_per_mtok
        return tokens[0] * fresh + tokens[1] * read + tokens[2] * write_5m + tokens[3] * write_1h + tokens[4] * output


@dataclass(frozen=True)
class ContractRate:
    """One negotiated price: micro-dollars per million tokens, from a day on."""

    provider: str
    model_id: str
    processing: str
    valid_from: dt.date
    micro_usd_per_mtok: tuple[int, int, int, int, int]


class RateCard:
    """Rates in force on each day. ``is_listed`` leaves the negotiated discount out, as a gateway's own estimate does."""

    def __init__(self, scenario: Scenario, *, is_listed: bool = False) -> None:
        self._discount_from = None if is_listed else scenario.contract_start
        self._known: dict[tuple[str, dt.date, str, bool], Rates] = {}

    def rates(self, model: Model, day: dt.date, processing: str, input_tokens: int) -> Rates:
        """Rates of one request: its day (UTC), processing class and whole input decide."""
        base = self._band(model, day, processing, is_long=False)
        if base.threshold is not None and input_tokens > base.threshold:
            return self._band(model, day, processing, is_long=True)
        return base

    def _band(self, model: Model, day: dt.date, processing: str, *, is_long: bool) -> Rates:
        key = (model.key, day, processing, is_long)
        if key not in self._known:
            listed = _list_rates(model, day, processing, is_long=is_long)
            if model.key == DISCOUNTED_MODEL and self._discount_from is not None and day >= self._discount_from:
                listed = Rates(_discounted(listed.micro_usd_per_mtok), listed.threshold)
            self._known[key] = listed
        return self._known[key]


def contract_rates(scenario: Scenario, model: Model) -> list[ContractRate]:
    """The negotiated prices that take effect within the demo."""
    start = scenario.contract_start
    return [
        ContractRate(
            model.provider,
            model.key,
            processing,
            start,
            _discounted(_list_rates(model, max(start, scenario.batch_start), processing, is_long=False).micro_usd_per_mtok),
        )
        for processing in ("standard", "batch")
    ]


def _discounted(rates: tuple[int, int, int, int, int]) -> tuple[int, int, int, int, int]:
    fresh, read, write_5m, write_1h, output = (rate * (100 - DISCOUNT_PCT) // 100 for rate in rates)
    return fresh, read, write_5m, write_1h, output


@cache
def _list_rates(model: Model, day: dt.date, processing: str, *, is_long: bool) -> Rates:
    """genai-prices' rates at noon UTC of the day. Raises LookupError for a model it does not know."""
    priced = calc_price(
        Usage(input_tokens=1000, output_tokens=0 if model.operation == "aembedding" else 10),
        model_ref=model.logged_name,
        provider_id=model.provider,
        genai_request_timestamp=dt.datetime.combine(day, dt.time(12), tzinfo=dt.UTC),
        price_context=None if processing == "standard" else {"processing": processing},
    ).model_price
    stated = [getattr(priced, field) for field in _PRICE_FIELDS]
    thresholds = {tier.start for price in stated if isinstance(price, TieredPrices) for tier in price.tiers}
    if len(thresholds) > 1:
        raise LookupError(f"{model.key} has {len(thresholds)} context bands; the demo bills at most two prices per model")
    fresh, read, write, write_1h, output = (_micro(price, is_long=is_long) for price in stated)
    assert fresh is not None
    read = fresh if read is None else read
    write = fresh if write is None else write
    return Rates((fresh, read, write, write if write_1h is None else write_1h, output or 0), next(iter(thresholds), None))


def _micro(price: Decimal | TieredPrices | None, *, is_long: bool) -> int | None:
    if isinstance(price, TieredPrices):
        price = price.tiers[0].price if is_long else price.base
    if price is None:
        return None
    micro = price * 1_000_000
    if micro != int(micro):
        raise LookupError(f"price {price} has more than 6 decimals")
    return int(micro)
