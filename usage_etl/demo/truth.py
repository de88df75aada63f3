"""What the pipeline must find in the demo: totals of the traffic itself, summed before any file was written."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from usage_etl.demo.organization import RUNAWAY_ALIAS, owner_of
from usage_etl.demo.rates import PICO, RateCard
from usage_etl.demo.requests import Request
from usage_etl.periods import Month

MonthAmounts = Mapping[tuple[str, str], Decimal]
"""(provider, team, model or feature; month as YYYY-MM) to dollars."""


def _sums() -> dict[tuple[str, str], int]:
    return defaultdict(int)


@dataclass
class Truth:
    """Sums over all requests, each counted once. Costs are whole pico-dollars; see ``dollars``."""

    requests: Counter[dt.date] = field(default_factory=Counter)
    """By UTC day of their start."""
    kinds: Counter[str] = field(default_factory=Counter)
    providers: dict[tuple[str, str], int] = field(default_factory=_sums)
    teams: dict[tuple[str, str], int] = field(default_factory=_sums)
    models: dict[tuple[str, str], int] = field(default_factory=_sums)
    features: dict[tuple[str, str], int] = field(default_factory=_sums)
    runaway: int = 0
    runaway_requests: int = 0

    def add(self, requests: Iterable[Request], *, card: RateCard, day: dt.date) -> None:
        """One day's requests."""
        month = str(Month.of(day))
        calls: Counter[str] = Counter()
        for request in requests:
            self.requests[day] += 1
            calls[request.call_id] += 1
            self._count_kinds(request)
            if request.is_priced:
                self._add_cost(request, card, day, month)
        self.kinds["retried"] += sum(1 for attempts in calls.values() if attempts > 1)

    def _add_cost(self, request: Request, card: RateCard, day: dt.date, month: str) -> None:
        rates = card.rates(request.model, day, request.processing, request.input_tokens)
        cost = rates.cost(request.tokens)
        self.kinds["long_context"] += rates.threshold is not None and request.input_tokens > rates.threshold
        self.providers[request.model.provider, month] += cost
        self.teams[owner_of(request.person, request.key, day), month] += cost
        self.models[request.model.key, month] += cost
        self.features[request.feature.feature_id if request.feature else "", month] += cost
        if request.key.alias == RUNAWAY_ALIAS:
            self.runaway += cost
            self.runaway_requests += 1

    def _count_kinds(self, request: Request) -> None:
        self.kinds["failed"] += request.failure is not None
        self.kinds["failed_midway"] += request.failure is not None and request.is_billed
        self.kinds["cache_hits"] += request.is_cache_hit
        self.kinds["unpriced"] += request.is_billed and not request.is_priced
        self.kinds["without_usage"] += not request.has_usage
        self.kinds["batch"] += request.processing == "batch"


def dollars(pico: int) -> Decimal:
    """Exact dollars."""
    return pico * PICO


def by_key(amounts: dict[tuple[str, str], int]) -> MonthAmounts:
    """The same sums in dollars, in order of their keys."""
    return {key: dollars(amounts[key]) for key in sorted(amounts)}
