"""Metered usage: what each owner used of each model at each host, and what it costs at our prices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from usage_etl.allocation.remainder import to_attos
from usage_etl.periods import Month
from usage_etl.units import TOKEN_CLASSES, UNALLOCATED

_OWNER = ("department_id", "team_id", "cost_center_id")


@dataclass(frozen=True, order=True)
class Owner:
    """Who answers for usage: all three ids are ``unallocated`` where the directories know nobody."""

    department_id: str
    team_id: str
    cost_center_id: str

    @property
    def is_known(self) -> bool:
        """Whether the directories knew the owner."""
        return self.team_id != UNALLOCATED


@dataclass(frozen=True)
class Activity:
    """An owner's requests and tokens, whether or not they have a price."""

    requests_count: int
    total_tokens: int


Weights = Mapping[Owner, int]
"""Metered cost of each owner in attos of one currency; only owners with a positive cost."""


@dataclass
class Meter:
    """A month of usage by host and model. Costs of different currencies are kept apart."""

    by_model: dict[tuple[str, str, str], dict[Owner, int]] = field(default_factory=lambda: defaultdict(dict))
    """(host, model_id, currency) to the owners' metered cost in attos."""
    activity: dict[tuple[str, str], dict[Owner, Activity]] = field(default_factory=lambda: defaultdict(dict))
    """(host, model_id) to the owners' requests and tokens."""

    def model_weights(self, host: str, model_id: str, currency: str) -> Weights:
        """Owners' metered cost of one model at one host; empty where nothing is priced in ``currency``."""
        return self.by_model.get((host, model_id, currency), {})

    def host_weights(self, host: str, currency: str) -> Weights:
        """Owners' metered cost of all models at one host."""
        weights: dict[Owner, int] = defaultdict(int)
        for (known_host, _, known_currency), owners in self.by_model.items():
            if (known_host, known_currency) == (host, currency):
                for owner, cost in owners.items():
                    weights[owner] += cost
        return weights

    def model_costs(self, host: str, model_id: str) -> dict[str, int]:
        """Metered cost of one model at one host by currency; empty where none of it has a price."""
        return {
            currency: sum(owners.values())
            for (known_host, known_model, currency), owners in self.by_model.items()
            if (known_host, known_model) == (host, model_id)
        }

    def models(self, host: str) -> list[str]:
        """Models used at one host, priced or not, in order."""
        return sorted(model_id for known_host, model_id in self.activity if known_host == host)

    def currencies(self, host: str) -> set[str]:
        """Currencies in which usage of one host is priced."""
        return {currency for known_host, _, currency in self.by_model if known_host == host}


def meter_usage(usage: pl.LazyFrame | pl.DataFrame, *, month: Month) -> Meter:
    """The month's rows of fact_usage_monthly, summed by host, model, owner and currency. Unpriced rows have no weight."""
    keys = ("host", "model_id", *_OWNER)
    grouped = (
        usage.lazy()
        .filter(pl.col("month") == month.first_day)
        .group_by(pl.col(*keys).cast(pl.String), pl.col("currency").cast(pl.String))
        .agg(
            pl.col("requests_count").sum(),
            pl.sum_horizontal(pl.col(*TOKEN_CLASSES).sum()).alias("total_tokens"),
            pl.col("effective_cost").sum(),
        )
        .collect()
        .sort(*keys, "currency")
    )
    meter = Meter()
    costs = to_attos(grouped["effective_cost"])
    for row, cost in zip(grouped.iter_rows(named=True), costs, strict=True):
        owner = Owner(row["department_id"], row["team_id"], row["cost_center_id"])
        seen = meter.activity[row["host"], row["model_id"]].get(owner, Activity(0, 0))
        meter.activity[row["host"], row["model_id"]][owner] = Activity(
            seen.requests_count + row["requests_count"], seen.total_tokens + row["total_tokens"]
        )
        if cost:
            meter.by_model[row["host"], row["model_id"], row["currency"]][owner] = cost
    return meter
