"""What the pipeline must find in the demo: totals of the traffic itself, summed before any file was written."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from usage_etl.demo.organization import RUNAWAY_ALIAS, Organization, owner_of
from usage_etl.demo.rates import PICO, RateCard
from usage_etl.demo.requests import Request
from usage_etl.periods import Month


@dataclass
class Truth:
    """Sums over all requests, each counted once. Costs are pico-dollars; see ``dollars``."""

    requests: Counter[str] = field(default_factory=Counter)
    """By month."""
    kinds: Counter[str] = field(default_factory=Counter)
    """failed, cache_hits, unpriced, without_usage, batch, long_context, retried."""
    provider_pico: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    team_pico: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    runaway_pico: int = 0
    runaway_requests: int = 0

    def add(self, requests: Iterable[Request], *, organization: Organization, card: RateCard, day: dt.date) -> None:
        """One day's requests."""
        month = str(Month.of(day))
        calls: Counter[str] = Counter()
        for request in requests:
            self.requests[month] += 1
            calls[request.call_id] += 1
            self._count_kinds(request)
            if not request.is_billed or request.model.provider == "self-hosted":
                continue
            rates = card.rates(request.model, day, request.processing, request.input_tokens)
            cost = rates.cost(request.tokens)
            self.kinds["long_context"] += rates.threshold is not None and request.input_tokens > rates.threshold
            self.provider_pico[request.model.provider, month] += cost
            self.team_pico[owner_of(organization, request.person, request.key, day), month] += cost
            if request.key.alias == RUNAWAY_ALIAS:
                self.runaway_pico += cost
                self.runaway_requests += 1
        self.kinds["retried"] += sum(1 for attempts in calls.values() if attempts > 1)

    def _count_kinds(self, request: Request) -> None:
        self.kinds["failed"] += request.failure is not None
        self.kinds["failed_midway"] += request.failure is not None and request.is_billed
        self.kinds["cache_hits"] += request.is_cache_hit
        self.kinds["unpriced"] += request.model.provider == "self-hosted" and any(request.tokens)
        self.kinds["without_usage"] += not request.has_usage
        self.kinds["batch"] += request.processing == "batch"


def dollars(pico: int) -> Decimal:
    """Exact dollars."""
    return pico * PICO


def by_key(amounts: dict[tuple[str, str], int]) -> dict[tuple[str, str], Decimal]:
    """The same sums in dollars, in order of their keys."""
    return {key: dollars(amounts[key]) for key in sorted(amounts)}
