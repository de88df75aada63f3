"""The split rules: which owner pays which exact share of which bill, before anything is rounded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from usage_etl.allocation.metering import Meter, Owner, Weights
from usage_etl.allocation.remainder import Share
from usage_etl.units import UNALLOCATED, UNEXPLAINED

NOBODY_KNOWN = Owner(UNALLOCATED, UNALLOCATED, UNALLOCATED)
NOTHING_SEEN = Owner(UNEXPLAINED, UNEXPLAINED, UNEXPLAINED)


@dataclass(frozen=True)
class Pool:
    """Money that is split by one rule: one account's charges of one category and model in one currency.

    Estimates are pools as well: no account, and the metered cost itself in place of a bill.
    """

    provider_name: str
    billing_account_id: str | None
    charge_category: str
    model_id: str | None
    currency: str
    attos: int

    @property
    def is_usage(self) -> bool:
        """Whether metered usage bounds what owners pay of it."""
        return self.charge_category == "Usage"


@dataclass(frozen=True)
class ExactLine:
    """One owner's exact share of a pool.

    ``share`` is in attos; ``metered`` is the weight in attos that gave it, None where none did.
    """

    pool: Pool
    line_kind: str
    charge_basis: str
    owner: Owner
    share: Share
    metered: int | None
    rule: str


def split_bills(pools: Sequence[Pool], meter: Meter, *, tolerance_pct: Decimal) -> Iterator[ExactLine]:
    """Every pool of every bill as lines whose shares add up to it exactly.

    Usage charges of a model are split by the metered cost of that model at that provider. Owners (``unallocated``
    among them) together pay at most metered cost times one plus the tolerance, over all accounts of the provider;
    what a bill holds above that is ``unexplained``. Usage charges that name no model are split by the provider's whole
    metered cost, within what the named models left of the same limit. Other categories and credits are no usage and
    know no limit: they follow their model's metered cost, else the provider's, else they are ``unallocated``.
    """
    limit = 1 + Fraction(tolerance_pct) / 100
    room = _Room(meter, limit)
    ordered = sorted(pools, key=lambda pool: (not pool.is_usage, pool.model_id is None))
    families: dict[tuple[str, str, str | None, str], list[Pool]] = defaultdict(list)
    for pool in ordered:
        families[pool.provider_name, pool.charge_category, pool.model_id, pool.currency].append(pool)
    for family in families.values():
        if family[0].is_usage:
            yield from _split_usage(family, meter, room, tolerance_pct)
        else:
            for pool in family:
                yield from _split_other(pool, meter)


def split_estimates(meter: Meter, *, billed_hosts: Iterable[str]) -> Iterator[ExactLine]:
    """Metered cost of the hosts that sent no bill at all, line by line: an estimate, never part of a billed total."""
    billed = set(billed_hosts)
    for (host, model_id, currency), weights in sorted(meter.by_model.items()):
        if host not in billed:
            pool = Pool(host, None, "Usage", model_id, currency, sum(weights.values()))
            for owner, cost in weights.items():
                rule = "estimate: metered cost, no bill delivered"
                yield ExactLine(pool, "estimate", "priced_usage", owner, (cost, 1), cost, rule)


class _Room:
    """What owners may still be charged at each provider before they would pay more than metered plus tolerance."""

    def __init__(self, meter: Meter, limit: Fraction) -> None:
        self._meter = meter
        self._limit = limit
        self._taken: dict[tuple[str, str], Fraction] = defaultdict(Fraction)

    def left(self, pool: Pool) -> Fraction:
        if pool.model_id is not None:
            return self._limit * sum(self._meter.model_weights(pool.provider_name, pool.model_id, pool.currency).values())
        metered = sum(self._meter.host_weights(pool.provider_name, pool.currency).values())
        return max(Fraction(0), self._limit * metered - self._taken[pool.provider_name, pool.currency])

    def take(self, pool: Pool, attos: Fraction) -> None:
        self._taken[pool.provider_name, pool.currency] += attos


def _split_usage(family: Sequence[Pool], meter: Meter, room: _Room, tolerance_pct: Decimal) -> Iterator[ExactLine]:
    """Usage charges of one model (or of no model) over the provider's accounts; they share one limit."""
    first = family[0]
    if first.model_id is None:
        weights, what = meter.host_weights(first.provider_name, first.currency), "usage that names no model"
    else:
        weights, what = meter.model_weights(first.provider_name, first.model_id, first.currency), "the model's usage"
    if not weights:
        rule = f"unexplained: {_why_unmetered(first, meter)}"
        yield from (_rest(pool, Fraction(pool.attos), "unexplained", NOTHING_SEEN, rule) for pool in family)
        return
    charged = sum(pool.attos for pool in family if pool.attos > 0)
    paid_ratio = min(Fraction(1), room.left(first) / charged) if charged else Fraction(1)
    room.take(first, charged * paid_ratio)
    limit_text = f"metered cost plus {tolerance_pct.normalize():f} %"
    for pool in family:
        paid = pool.attos * paid_ratio if pool.attos > 0 else Fraction(pool.attos)
        capped = f", up to {limit_text}" if paid != pool.attos else ""
        if paid or not pool.attos:
            yield from _by_weight(pool, paid, weights, f"bill for {what} split by metered cost{capped}")
        if paid != pool.attos:
            yield _rest(pool, pool.attos - paid, "unexplained", NOTHING_SEEN, f"unexplained: billed above {limit_text}")


def _split_other(pool: Pool, meter: Meter) -> Iterator[ExactLine]:
    kind = pool.charge_category.lower()
    if pool.model_id is not None:
        weights = meter.model_weights(pool.provider_name, pool.model_id, pool.currency)
        if weights:
            yield from _by_weight(pool, Fraction(pool.attos), weights, f"{kind} split by the model's metered cost")
            return
    weights = meter.host_weights(pool.provider_name, pool.currency)
    if weights:
        yield from _by_weight(pool, Fraction(pool.attos), weights, f"{kind} split by the provider's metered cost")
    elif pool.attos:
        rule = f"unallocated: no metered usage of the provider to split {kind} by"
        yield _rest(pool, Fraction(pool.attos), "unallocated", NOBODY_KNOWN, rule)


def _by_weight(pool: Pool, paid: Fraction, weights: Weights, rule: str) -> Iterator[ExactLine]:
    denominator = paid.denominator * sum(weights.values())
    for owner, weight in sorted(weights.items()):
        kind = "allocated" if owner.is_known else "unallocated"
        yield ExactLine(pool, kind, "billed", owner, (paid.numerator * weight, denominator), weight, rule)


def _rest(pool: Pool, attos: Fraction, kind: str, owner: Owner, rule: str) -> ExactLine:
    return ExactLine(pool, kind, "billed", owner, (attos.numerator, attos.denominator), None, rule)


def _why_unmetered(pool: Pool, meter: Meter) -> str:
    host, currency = pool.provider_name, pool.currency
    others = meter.currencies(host) - {currency}
    if pool.model_id is None:
        seen, what = bool(meter.models(host)), "provider"
    else:
        seen, what = (host, pool.model_id) in meter.activity, "model"
        others = {other for other in others if meter.model_weights(host, pool.model_id, other)}
    if others:
        return f"usage is priced in {', '.join(sorted(others))}, the bill is in {currency}"
    return f"usage of the {what} has no price" if seen else f"the logs show no usage of the {what}"
