"""The parts of a change add up to it, to the last unit, whatever the days look like."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal, localcontext
from itertools import permutations
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from usage_etl.anomalies.factors import EXPECTATION, FACTORS, WITHOUT_REQUESTS, additive_parts, ratio_parts
from usage_etl.anomalies.profiles import PriceLine, Profile, profile_of
from usage_etl.anomalies.shares import exact_parts, precise, shapley
from usage_etl.units import TOKEN_CLASSES

ATTO = Decimal(1).scaleb(-18)
DAY = dt.date(2026, 11, 3)
SCHEMA = {
    "usage_date": pl.Date,
    "user_id": pl.String,
    "provider": pl.String,
    "model_id": pl.String,
    "processing": pl.String,
    "price_id": pl.String,
    "requests_count": pl.Int64,
    "errors_count": pl.Int64,
    "cache_hits_count": pl.Int64,
    **dict.fromkeys(TOKEN_CLASSES, pl.Int64),
    "effective_cost": pl.Decimal(38, 18),
}
LINES = {
    "p-small": PriceLine(("openai", "small", "standard"), (Decimal("0.15"), Decimal("0.075"), None, None, Decimal("0.6"))),
    "p-small-new": PriceLine(("openai", "small", "standard"), (Decimal("0.3"), Decimal("0.1"), None, None, Decimal("1.2"))),
    "p-large": PriceLine(("anthropic", "large", "standard"), tuple(Decimal(x) for x in ("5", "0.5", "6.25", "10", "25"))),
}
counts = st.sampled_from([0, 0, 1, 2, 3, 7, 100, 10**13])
costs = st.one_of(
    st.none(),
    st.just(Decimal(0)),
    st.decimals(min_value=-(10**12), max_value=10**12, places=18, allow_nan=False, allow_infinity=False),
)


@st.composite
def rows(draw: Any) -> dict[str, object]:
    price = draw(st.sampled_from([None, *LINES]))
    provider, model = (LINES[price].line[:2]) if price else draw(st.sampled_from([("openai", "small"), ("self", "own")]))
    return {
        "usage_date": DAY - dt.timedelta(days=draw(st.integers(0, 3))),
        "user_id": draw(st.sampled_from([None, "anna", "ben"])),
        "provider": provider,
        "model_id": model,
        "processing": draw(st.sampled_from(["standard", "batch"])),
        "price_id": price,
        "requests_count": draw(counts),
        "errors_count": draw(counts),
        "cache_hits_count": draw(counts),
        **{name: draw(counts) for name in TOKEN_CLASSES},
        "effective_cost": draw(costs),
    }


def profiles(days: int) -> st.SearchStrategy[Profile]:
    frames = st.lists(rows(), max_size=6).map(lambda found: pl.DataFrame(found, schema=SCHEMA))
    return frames.map(lambda frame: profile_of(frame, LINES, days_count=days))


totals = st.decimals(min_value=-(10**15), max_value=10**15, places=18, allow_nan=False, allow_infinity=False)
measures = st.sampled_from(["effective_cost", "total_tokens", "requests_count"])


def added(parts: dict[str, Decimal]) -> Decimal:
    with localcontext(precise()):
        return sum(parts.values(), Decimal(0))


@given(observed=profiles(1), compared=st.integers(0, 4).flatmap(profiles), measure=measures, total=totals)
@settings(max_examples=150, deadline=None)
def test_parts_of_any_two_sides_add_up_to_any_change(observed: Profile, compared: Profile, measure: str, total: Decimal) -> None:
    parts = additive_parts(observed, compared, measure=measure, total=total)
    assert set(parts) == {*FACTORS, WITHOUT_REQUESTS, EXPECTATION}
    assert added(parts) == total
    with localcontext(precise()):
        assert all(part % ATTO == 0 for part in parts.values())


@given(observed=profiles(1), compared=st.integers(1, 4).flatmap(profiles), measure=measures)
@settings(max_examples=150, deadline=None)
def test_factors_explain_the_whole_difference_of_the_sides(observed: Profile, compared: Profile, measure: str) -> None:
    with localcontext(precise()):
        total = (observed.mean(measure) - compared.mean(measure)).quantize(ATTO)
    parts = additive_parts(observed, compared, measure=measure, total=total)
    assert abs(parts[EXPECTATION]) <= ATTO, "nothing is left for the rest when the comparison days are the expectation"


@given(one=profiles(1), other=profiles(1), measure=measures)
@settings(max_examples=60, deadline=None)
def test_the_way_back_is_the_same_parts_with_the_other_sign(one: Profile, other: Profile, measure: str) -> None:
    with localcontext(precise()):
        total = (one.mean(measure) - other.mean(measure)).quantize(ATTO)
    there = additive_parts(one, other, measure=measure, total=total)
    back = additive_parts(other, one, measure=measure, total=-total)
    with localcontext(precise()):
        assert all(abs(there[name] + back[name]) <= ATTO for name in there)


@given(
    pairs=st.lists(st.tuples(*[st.integers(0, 10**13).map(Decimal)] * 4), max_size=5),
    total=totals,
)
@settings(max_examples=100, deadline=None)
def test_parts_of_a_ratio_add_up(pairs: list[tuple[Decimal, ...]], total: Decimal) -> None:
    observed, compared = [pair[:2] for pair in pairs], [pair[2:] for pair in pairs]
    parts = ratio_parts(observed, compared, own="failures", total=total)  # type: ignore[arg-type]
    assert set(parts) == {"model_mix", "failures", EXPECTATION}
    assert added(parts) == total


@given(shares=st.dictionaries(st.text(min_size=1, max_size=3), totals, max_size=6), total=totals)
@settings(max_examples=100, deadline=None)
def test_the_rest_takes_what_no_share_explains(shares: dict[str, Decimal], total: Decimal) -> None:
    assert added(exact_parts(shares, total=total, rest="rest")) == total


@given(worths=st.lists(st.integers(-1000, 1000).map(Decimal), min_size=8, max_size=8))
def test_shapley_is_the_mean_over_all_orders(worths: list[Decimal]) -> None:
    found = shapley(worths.__getitem__, 3)
    sums = [Decimal(0)] * 3
    for order in permutations(range(3)):
        moved = 0
        for factor in order:
            sums[factor] += worths[moved | 1 << factor] - worths[moved]
            moved |= 1 << factor
    assert [share.quantize(ATTO) for share in found] == [(total / 6).quantize(ATTO) for total in sums]
