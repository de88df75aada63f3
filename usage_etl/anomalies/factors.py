"""A change divided exactly: users, volume, failures, cache, mix of models, tokens per request, price.

Cost of a day is

    users x requests per user x share that did not fail x share that the gateway's cache did not answer
    x sum over cells of (share of answers x (input per answer x sum over classes of (share of input x price)
                                             + output per answer x price + charge per answer))

plus what stands in cells without any answer. Each factor's part is its Shapley share: its effect averaged over all orders
in which the factors could have changed, so no order is preferred and the parts add up. Tokens are the same formula at
prices of one, requests are its first two factors. What exists on one side only (a new model, a first request) has no level
to compare: it takes the level of the other side, so all of it is volume or mix.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from functools import cache

from usage_etl.anomalies.profiles import ZERO, Cell, Profile
from usage_etl.anomalies.shares import Parts, exact_parts, precise, shapley

FACTORS = ("users", "volume", "failures", "cache_share", "model_mix", "tokens_per_request", "price")
WITHOUT_REQUESTS = "without_requests"
"""Cost or tokens of cells in which nothing was answered: corrections, failures that were billed."""
EXPECTATION = "expectation"
"""The comparison days' distance from the expectation that the day was judged by."""
OUTPUT = 4
"""Position of output among the token classes; the four before it are input."""


@dataclass(frozen=True)
class _Levels:
    """The factors of one side. Lists are per cell, in one order for both sides."""

    users: Decimal
    requests_per_user: Decimal
    not_failed: Decimal
    not_cached: Decimal
    mix: Sequence[Decimal]
    inputs: Sequence[Decimal]
    outputs: Sequence[Decimal]
    input_shares: Sequence[Sequence[Decimal]]
    prices: Sequence[Sequence[Decimal]]
    """Per token of each class, and the charge per answer."""


def additive_parts(observed: Profile, compared: Profile, *, measure: str, total: Decimal) -> Parts:
    """Parts of ``total`` (observed minus expected) of effective_cost, total_tokens or requests_count, adding up to it."""
    with localcontext(precise()):
        before, after = _levels(compared, observed, measure), _levels(observed, compared, measure)
        shares = dict(zip(FACTORS, shapley(_worth(before, after, measure), len(FACTORS)), strict=True))
        shares[WITHOUT_REQUESTS] = _loose(observed, measure) - _loose(compared, measure)
    return exact_parts(shares, total=total, rest=EXPECTATION)


def ratio_parts(
    observed: Sequence[tuple[Decimal, Decimal]], compared: Sequence[tuple[Decimal, Decimal]], *, own: str, total: Decimal
) -> Parts:
    """Parts of a change of a ratio: ``model_mix`` and ``own``, what each model's own ratio moved; adding up to ``total``.

    Both sides list (numerator, denominator) per model, in the same order.
    """
    with localcontext(precise()):
        before, after = _ratios(compared, observed), _ratios(observed, compared)

        def worth(moved: int) -> Decimal:
            weights, ratios = (after if moved & 1 else before)[0], (after if moved & 2 else before)[1]
            return _dot(weights, ratios)

        shares = dict(zip(("model_mix", own), shapley(worth, 2), strict=True))
    return exact_parts(shares, total=total, rest=EXPECTATION)


def _ratios(
    mine: Sequence[tuple[Decimal, Decimal]], other: Sequence[tuple[Decimal, Decimal]]
) -> tuple[list[Decimal], list[Decimal]]:
    """Weights and ratios per model; a model without a denominator has the ratio of the other side."""
    whole = sum((denominator for _, denominator in mine), ZERO)
    other_whole = sum((denominator for _, denominator in other), ZERO)
    weights = [
        denominator / whole if whole else (_quotient(other_denominator, other_whole) or ZERO)
        for (_, denominator), (_, other_denominator) in zip(mine, other, strict=True)
    ]
    ratios = [_first(_quotient(*own), _quotient(*others)) if whole else ZERO for own, others in zip(mine, other, strict=True)]
    return weights, ratios


def _levels(side: Profile, other: Profile, measure: str) -> _Levels:
    names = sorted(side.cells.keys() | other.cells.keys())
    mine, others = ([profile.cells.get(name, Cell()) for name in names] for profile in (side, other))
    pairs = list(zip(mine, others, strict=True))
    has_requests = side.requests > 0
    is_money = measure == "effective_cost"
    return _Levels(
        users=_a_day(side if has_requests else other),
        requests_per_user=_quotient(side.requests, side.users) or ZERO,
        not_failed=_first(
            _quotient(side.requests - side.failed, side.requests), _quotient(other.requests - other.failed, other.requests)
        ),
        not_cached=_first(
            _quotient(side.answered, side.requests - side.failed), _quotient(other.answered, other.requests - other.failed)
        ),
        mix=[
            cell.answered / side.answered if side.answered else _quotient(peer.answered, other.answered) or ZERO
            for cell, peer in pairs
        ],
        inputs=[_first(_per_answer(cell, _input(cell)), _per_answer(peer, _input(peer))) for cell, peer in pairs],
        outputs=[_first(_per_answer(cell, cell.tokens[OUTPUT]), _per_answer(peer, peer.tokens[OUTPUT])) for cell, peer in pairs],
        input_shares=[_input_shares(cell, peer) for cell, peer in pairs],
        prices=[_prices(cell, peer) if is_money else [Decimal(1)] * (OUTPUT + 1) + [ZERO] for cell, peer in pairs],
    )


def _worth(before: _Levels, after: _Levels, measure: str) -> _Worth:
    return _Worth(before, after, is_requests=measure == "requests_count")


class _Worth:
    """The measure of a day on which some factors have moved and others have not."""

    def __init__(self, before: _Levels, after: _Levels, *, is_requests: bool) -> None:
        self._sides = (before, after)
        self._is_requests = is_requests
        self._per_answer = cache(self._per_answer_of)

    def __call__(self, moved: int) -> Decimal:
        users, volume, failures, cached, mix, tokens, price = (moved >> bit & 1 for bit in range(len(FACTORS)))
        requests = self._sides[users].users * self._sides[volume].requests_per_user
        if self._is_requests:
            return requests
        answered = requests * self._sides[failures].not_failed * self._sides[cached].not_cached
        return answered * self._per_answer(mix, tokens, cached, price)

    def _per_answer_of(self, mix: int, tokens: int, cached: int, price: int) -> Decimal:
        sizes, sides = self._sides[tokens], self._sides
        worth = ZERO
        for index, share in enumerate(sides[mix].mix):
            if share:
                prices = sides[price].prices[index]
                of_input = _dot(sides[cached].input_shares[index], prices[:OUTPUT])
                worth += share * (sizes.inputs[index] * of_input + sizes.outputs[index] * prices[OUTPUT] + prices[-1])
        return worth


def _a_day(side: Profile) -> Decimal:
    return side.users / side.days_count if side.days_count else ZERO


def _input(cell: Cell) -> Decimal:
    return sum(cell.tokens[:OUTPUT], ZERO)


def _input_shares(cell: Cell, peer: Cell) -> list[Decimal]:
    """Shares of the input classes; those of the other side where there is no input."""
    chosen = cell if _input(cell) else peer
    whole = _input(chosen)
    return [tokens / whole if whole else ZERO for tokens in chosen.tokens[:OUTPUT]]


def _prices(cell: Cell, peer: Cell) -> list[Decimal]:
    prices = [
        _first(_quotient(rated, tokens), _quotient(peer_rated, peer_tokens))
        for rated, tokens, peer_rated, peer_tokens in zip(
            cell.rated_costs, cell.tokens, peer.rated_costs, peer.tokens, strict=True
        )
    ]
    return [*prices, _first(_charge(cell), _charge(peer))]


def _charge(cell: Cell) -> Decimal | None:
    """What an answer cost beyond its tokens at the rates of their classes."""
    return _quotient(cell.known_cost - sum(cell.rated_costs, ZERO), cell.answered)


def _loose(side: Profile, measure: str) -> Decimal:
    """Cost or tokens a day of cells that answered nothing."""
    if measure == "requests_count":
        return ZERO
    return replace(side, cells={name: cell for name, cell in side.cells.items() if not cell.answered}).mean(measure)


def _per_answer(cell: Cell, tokens: Decimal) -> Decimal | None:
    return _quotient(tokens, cell.answered)


def _quotient(numerator: Decimal, denominator: Decimal) -> Decimal | None:
    return numerator / denominator if denominator else None


def _first(level: Decimal | None, other: Decimal | None) -> Decimal:
    """The level of this side; where there is none, of the other."""
    return level if level is not None else other if other is not None else ZERO


def _dot(left: Iterable[Decimal], right: Iterable[Decimal]) -> Decimal:
    return sum((one * other for one, other in zip(left, right, strict=True)), ZERO)
