"""What each billing provider charges for the traffic: exact sums by day, project, model, processing class and context band."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from usage_etl.demo.hours import is_weekend
from usage_etl.demo.models import BILLED_PROVIDERS, MODELS, Model
from usage_etl.demo.rates import PICO, TOKEN_CLASSES, RateCard, Rates
from usage_etl.demo.requests import Request
from usage_etl.demo.scenario import Scenario
from usage_etl.demo.sizes import log_normal
from usage_etl.periods import Month

INTERACTIVE = "interactive"
SANDBOX = "sandbox"
_BYPASS_SHARE = Decimal("0.011")
_ANTHROPIC_WINDOW = 200_000


@dataclass(frozen=True, order=True)
class BillKey:
    """What providers tell apart on a bill."""

    day: dt.date
    provider: str
    project: str
    """A product's id, ``interactive`` or ``sandbox``; providers have their own ids for it."""
    model_key: str
    processing: str
    is_long: bool
    """Whether the requests' input is in the provider's long-context band."""

    @property
    def model(self) -> Model:
        """The model that the key names."""
        return MODELS[self.model_key]


@dataclass
class BillLine:
    """Tokens of one key with the rates that hold for it."""

    rates: Rates
    tokens: list[int] = field(default_factory=lambda: [0] * len(TOKEN_CLASSES))
    requests_count: int = 0

    def amount(self, index: int) -> Decimal:
        """Dollars of one token class, by its place in TOKEN_CLASSES."""
        return self.tokens[index] * self.rates.micro_usd_per_mtok[index] * PICO

    @property
    def total(self) -> Decimal:
        """Dollars of all token classes."""
        return sum((self.amount(index) for index in range(len(TOKEN_CLASSES))), Decimal(0))

    def half(self) -> BillLine:
        """What the provider would have shown around noon of the same day."""
        return BillLine(self.rates, [count // 2 for count in self.tokens], (self.requests_count + 1) // 2)


Lines = list[tuple[BillKey, BillLine]]


class Bill:
    """Charges of all providers that bill, growing request by request."""

    def __init__(self, card: RateCard) -> None:
        self._card = card
        self._lines: dict[BillKey, BillLine] = {}

    def add(self, model: Model, day: dt.date, project: str, processing: str, tokens: tuple[int, int, int, int, int]) -> None:
        """One more request."""
        input_tokens = sum(tokens[:4])
        rates = self._card.rates(model, day, processing, input_tokens)
        threshold = _ANTHROPIC_WINDOW if model.provider == "anthropic" else rates.threshold
        key = BillKey(day, model.provider, project, model.key, processing, threshold is not None and input_tokens > threshold)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = BillLine(rates)
        line.requests_count += 1
        for index, count in enumerate(tokens):
            line.tokens[index] += count

    def add_all(self, requests: Iterable[Request]) -> None:
        """Requests that reached a provider that bills; the others cost nothing there."""
        for request in requests:
            if request.is_billed and request.model.provider in BILLED_PROVIDERS:
                self.add(request.model, request.day, project_of(request), request.processing, request.tokens)

    def by_day(self, provider: str) -> dict[dt.date, Lines]:
        """The provider's lines of each day, in a fixed order; days without charges are absent."""
        days: dict[dt.date, Lines] = {}
        for key in sorted(key for key in self._lines if key.provider == provider):
            days.setdefault(key.day, []).append((key, self._lines[key]))
        return days

    def total(self, provider: str, month: Month, *, project: str | None = None) -> Decimal:
        """What the provider charges for one month, credits apart; of one project where it is named."""
        return sum(
            (
                line.total
                for key, line in self._lines.items()
                if key.provider == provider and Month.of(key.day) == month and project in (None, key.project)
            ),
            Decimal(0),
        )


def project_of(request: Request) -> str:
    """Projects follow the product whose service asks; what people do is one project of its own."""
    if request.user_id or request.feature is None:
        return INTERACTIVE
    return request.feature.product_id


def add_bypass(bill: Bill, scenario: Scenario) -> None:
    """Notebooks that call OpenAI with a key of their own in the previous month: billed, and in no gateway log."""
    random = scenario.random("bypass")
    month = scenario.previous_month
    workdays = [day for day in month.days() if scenario.covers(day) and not is_weekend(day)]
    wanted = bill.total("openai", month) * _BYPASS_SHARE
    while workdays and bill.total("openai", month, project=SANDBOX) < wanted:
        for _ in range(10):
            size = (log_normal(random, 30_000, 0.7), 0, 0, 0, log_normal(random, 2500, 0.6))
            bill.add(MODELS[random.choice(("gpt-5.6-sol", "gpt-5.2"))], random.choice(workdays), SANDBOX, "standard", size)
