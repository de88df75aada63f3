"""What each owner used of each model at each host: the weights by which bills are divided."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import polars as pl

from usage_etl.allocation.owners import OWNER_COLUMNS, Owner
from usage_etl.allocation.usage_rows import UsageRows
from usage_etl.remainder import round_shares, to_attos

ALL_PROVIDERS = "*"
"""Host of the weights of all providers together."""

Converted = Callable[[str, str], Fraction | None]
"""(from, to) to the factor that turns costs of one currency into another's; None where no rate is known."""


class Owners:
    """Owners with a number each; weights and lines hold the numbers."""

    def __init__(self, owners: Sequence[Owner] = ()) -> None:
        self.list = list(owners)
        self._numbers = {owner: number for number, owner in enumerate(self.list)}

    def number(self, owner: Owner) -> int:
        """The owner's number; owners that have none get the next."""
        found = self._numbers.get(owner)
        if found is None:
            found = self._numbers[owner] = len(self.list)
            self.list.append(owner)
        return found


@dataclass(frozen=True, eq=False)
class Weights:
    """Owners' weights in one scope: whole positive numbers, ``scale`` of which make one unit (an atto, a token, a request)."""

    owners: Sequence[int] = ()
    weights: Sequence[int] = ()
    scale: int = 1

    @cached_property
    def total(self) -> int:
        """Sum of the weights."""
        return sum(self.weights)

    @cached_property
    def units(self) -> Sequence[int]:
        """The weights in whole units by largest remainder; their sum is that of the weights, rounded."""
        if self.scale == 1:
            return self.weights
        return round_shares([(weight, self.scale) for weight in self.weights], tie_keys=[str(owner) for owner in self.owners])

    @cached_property
    def by_owner(self) -> Mapping[int, int]:
        """Owner to whole units."""
        return dict(zip(self.owners, self.units, strict=True))

    def times(self, factor: Fraction) -> Weights:
        """The same weights with units worth ``factor`` of the old ones, as after a conversion."""
        if factor == 1:
            return self
        return Weights(self.owners, [weight * factor.numerator for weight in self.weights], self.scale * factor.denominator)


NO_WEIGHTS = Weights()


@dataclass(frozen=True)
class _Row:
    """Columns of the rows of one (host, model): as long as each other."""

    owners: list[int]
    currencies: list[str | None]
    shares: list[int]
    costs: list[int | None]
    requests: list[int]
    tokens: list[int]


class UsageWeights:
    """A month's usage by host and model. Costs of different currencies are kept apart unless ``converted`` knows a rate."""

    def __init__(self, rows: UsageRows, *, converted: Converted) -> None:
        self._rows = rows
        self._converted = converted
        grouped, self._parts = rows.grouped()
        self._scale = math.lcm(*(part.denominator for part in self._parts))
        self._multipliers = [part.numerator * (self._scale // part.denominator) for part in self._parts]
        owned = grouped.select(OWNER_COLUMNS).unique().sort(OWNER_COLUMNS)
        self.owners = Owners([Owner(*ids) for ids in owned.iter_rows()])
        numbered = grouped.join(owned.with_row_index("owner"), on=OWNER_COLUMNS, how="left", nulls_equal=True)
        self._grouped = numbered.sort("host", "model_id", "owner", "currency", "part")
        self._ranges = self._ranges_of(self._grouped)
        self._caches: dict[tuple[object, ...], Weights] = {}
        self._user_pairs: dict[tuple[str, str | None], Sequence[tuple[int, str]]] = {}
        self._tag_sums: dict[tuple[str, str | None, str, str], Mapping[tuple[int, str | None], Fraction]] = {}

    @property
    def hosts(self) -> set[str]:
        """Hosts with any usage."""
        return {host for host, _ in self._ranges}

    def models(self, host: str) -> list[str]:
        """Models used at one host, priced or not, in order."""
        return [model_id for known, model_id in self._ranges if known == host]

    def has_model(self, host: str, model_id: str) -> bool:
        """Whether any usage of the model at the host is known, priced or not."""
        return (host, model_id) in self._ranges

    def currencies(self, host: str, model_id: str | None) -> set[str]:
        """Currencies in which usage of a model, or of the host, has a price."""
        return {
            currency
            for key in self._keys(host, model_id)
            for currency, cost in zip(self._row(key).currencies, self._row(key).costs, strict=True)
            if currency is not None and cost
        }

    def costs(self, host: str, model_id: str | None, currency: str) -> Weights:
        """Metered cost in attos of ``currency`` by owner, of a model at a host, or without model of a host or ``ALL_PROVIDERS``.

        Usage priced in another currency counts where a rate is known. Empty where nothing is priced.
        """
        key = ("cost", host, model_id, currency)
        if key not in self._caches:
            self._caches[key] = self._cost_weights(host, model_id, currency)
        return self._caches[key]

    def priced(self) -> Sequence[tuple[str, str, str]]:
        """(host, model, currency) of all usage that has a price, in order."""
        return [
            (host, model_id, currency) for host, model_id in self._ranges for currency in sorted(self.currencies(host, model_id))
        ]

    def own_costs(self, host: str, model_id: str, currency: str) -> Weights:
        """Metered cost of a model by owner, of the usage that is priced in ``currency`` alone."""
        row, sums = self._row((host, model_id)), defaultdict[int, int](int)
        for owner, name, share, cost in zip(row.owners, row.currencies, row.shares, row.costs, strict=True):
            if cost is not None and name == currency:
                sums[owner] += cost * self._multipliers[share]
        return _weights(sums, self._scale)

    def counts(self, host: str, model_id: str | None, what: str) -> Weights:
        """Requests or tokens by owner, whether or not they have a price."""
        key = (what, host, model_id)
        if key not in self._caches:
            sums: dict[int, int] = defaultdict(int)
            for each in self._keys(host, model_id):
                row = self._row(each)
                for owner, share, count in zip(row.owners, row.shares, getattr(row, what), strict=True):
                    sums[owner] += count * self._multipliers[share]
            self._caches[key] = _weights(sums, self._scale)
        return self._caches[key]

    def users(self, host: str, model_id: str | None) -> Sequence[tuple[int, str]]:
        """Distinct (owner, user) pairs; a user who has several owners counts for each of them."""
        key = (host, model_id)
        if key not in self._user_pairs:
            asked = {} if host == ALL_PROVIDERS else {"host": host}
            asked |= {} if model_id is None else {"model_id": model_id}
            found = self._users.filter(**asked)
            pairs = found.select((*OWNER_COLUMNS, "user_id")).unique().sort((*OWNER_COLUMNS, "user_id"))
            self._user_pairs[key] = [(self.owners.number(Owner(*ids)), user) for *ids, user in pairs.iter_rows()]
        return self._user_pairs[key]

    def is_user_seen(self, host: str, user_id: str) -> bool | None:
        """Whether the user used anything at the host; None where no usage of the host names a user."""
        seen = self._users_of_hosts.get(host)
        return None if seen is None else user_id in seen

    def tagged(self, host: str, model_id: str | None, currency: str, tag_key: str) -> Mapping[tuple[int, str | None], Fraction]:
        """(owner, value of the tag or None) to metered cost; usage that names several values counts an equal part for each."""
        key = (host, model_id, currency, tag_key)
        if key not in self._tag_sums:
            sums: dict[tuple[int, str | None], Fraction] = defaultdict(Fraction)
            for owner, row_host, row_model, row_currency, values, cost in self._tag_rows(tag_key):
                if host not in (ALL_PROVIDERS, row_host) or model_id not in (None, row_model):
                    continue
                factor = self._converted(row_currency, currency)
                if factor is not None and cost > 0:
                    for value in values:
                        sums[owner, value] += cost * factor / len(values)
            self._tag_sums[key] = dict(sums)
        return self._tag_sums[key]

    @cached_property
    def _users(self) -> pl.DataFrame:
        return self._rows.users()

    @cached_property
    def _users_of_hosts(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for host, user in self._users.select("host", "user_id").unique().iter_rows():
            found[host].add(user)
        return dict(found)

    def _tag_rows(self, tag_key: str) -> Iterator[tuple[int, str, str, str, Sequence[str | None], Fraction]]:
        """(owner, host, model, currency, values or None, metered cost) of usage that has a price."""
        grouped, parts = self._rows.tagged(tag_key)
        costs = to_attos(grouped["effective_cost"])
        names = ("host", "model_id", "currency", "values", "part", *OWNER_COLUMNS)
        for (host, model_id, currency, values, part, *ids), cost in zip(grouped.select(names).iter_rows(), costs, strict=True):
            if currency is not None and cost is not None:
                yield self.owners.number(Owner(*ids)), host, model_id, currency, values or [None], cost * parts[part]

    def _cost_weights(self, host: str, model_id: str | None, currency: str) -> Weights:
        keys = self._keys(host, model_id)
        known = {name for key in keys for name in set(self._row(key).currencies) if name is not None}
        factors = {name: factor for name in known if (factor := self._converted(name, currency)) is not None}
        scale = math.lcm(*(factor.denominator for factor in factors.values()))
        multipliers = {name: factor.numerator * (scale // factor.denominator) for name, factor in factors.items()}
        sums: dict[int, int] = defaultdict(int)
        for key in keys:
            row = self._row(key)
            for owner, name, share, cost in zip(row.owners, row.currencies, row.shares, row.costs, strict=True):
                if cost is not None and name in multipliers:
                    sums[owner] += cost * self._multipliers[share] * multipliers[name]
        return _weights(sums, self._scale * scale)

    def _keys(self, host: str, model_id: str | None) -> list[tuple[str, str]]:
        if model_id is not None:
            return [(host, model_id)] if (host, model_id) in self._ranges else []
        return [key for key in self._ranges if host in (ALL_PROVIDERS, key[0])]

    def _row(self, key: tuple[str, str]) -> _Row:
        if key not in self._row_cache:
            offset, length = self._ranges[key]
            part = self._grouped.slice(offset, length)
            self._row_cache[key] = _Row(
                part["owner"].to_list(),
                part["currency"].to_list(),
                part["part"].to_list(),
                to_attos(part["effective_cost"]),
                part["requests_count"].to_list(),
                part["total_tokens"].to_list(),
            )
        return self._row_cache[key]

    @cached_property
    def _row_cache(self) -> dict[tuple[str, str], _Row]:
        return {}

    @staticmethod
    def _ranges_of(grouped: pl.DataFrame) -> dict[tuple[str, str], tuple[int, int]]:
        sizes = grouped.group_by("host", "model_id", maintain_order=True).len()
        ranges, offset = {}, 0
        for host, model_id, length in sizes.iter_rows():
            ranges[host, model_id] = (offset, length)
            offset += length
        return ranges


def _weights(sums: Mapping[int, int], scale: int) -> Weights:
    """Owners with a weight, in order of their number."""
    kept = [owner for owner in sorted(sums) if sums[owner] > 0]
    return Weights(kept, [sums[owner] for owner in kept], scale)
