"""Latency histograms: merging loses nothing, and percentiles are as near to the exact ones as promised."""

from __future__ import annotations

import math

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from usage_etl.facts.latency import (
    GAMMA,
    RELATIVE_ERROR,
    bucket_numbers,
    histogram,
    joined_lists,
    merged_histogram,
    percentiles,
)
from usage_etl.schemas.usage import LATENCY_BUCKETS

DURATION = st.one_of(st.none(), st.integers(0, 50), st.integers(0, 10**5), st.integers(0, 10**9))
DURATIONS = st.lists(DURATION, max_size=30)


def histograms(*durations: list[int | None]) -> pl.DataFrame:
    frame = pl.DataFrame({"latency_ms": list(durations)}, schema={"latency_ms": pl.List(pl.Int64)}).with_row_index("row")
    numbers = (
        frame.explode("latency_ms", empty_as_null=True)
        .group_by("row", maintain_order=True)
        .agg(bucket_numbers(pl.col("latency_ms")).drop_nulls().implode().alias("latency_buckets"))
    )
    return numbers.with_columns(histogram(pl.col("latency_buckets")))


def merged(frame: pl.DataFrame, group: pl.Expr) -> pl.DataFrame:
    joined = frame.group_by(group.alias("group")).agg(joined_lists("latency_buckets")).sort("group")
    return joined.with_columns(merged_histogram(pl.col("latency_buckets")))


def counts(frame: pl.DataFrame) -> list[int]:
    requests = pl.col("latency_buckets").list.eval(pl.element().struct.field("requests_count")).list.sum()
    return frame.select(requests).to_series().to_list()


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(DURATIONS, min_size=1, max_size=8), cut=st.integers(1, 4))
def test_merging_keeps_every_known_duration_in_any_order_and_any_steps(rows: list[list[int | None]], cut: int) -> None:
    once = histograms(*rows)
    assert once.schema["latency_buckets"] == LATENCY_BUCKETS
    assert counts(once) == [sum(one is not None for one in row) for row in rows]
    whole = merged(once, pl.lit(0))
    steps = merged(merged(once, pl.col("row") // cut).reverse(), pl.lit(0))
    assert steps["latency_buckets"].to_list() == whole["latency_buckets"].to_list()
    together = histograms([one for row in rows for one in row])
    assert whole["latency_buckets"].to_list() == together["latency_buckets"].to_list()
    numbers = [bucket["bucket_number"] for bucket in whole["latency_buckets"][0]]
    assert numbers == sorted(set(numbers))


@settings(max_examples=40, deadline=None)
@given(durations=st.lists(st.integers(0, 10**9), min_size=1, max_size=200), ratio=st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_within_five_percent_of_the_exact_one(durations: list[int], ratio: float) -> None:
    buckets = histograms(list(durations)).explode("latency_buckets").unnest("latency_buckets").lazy()
    found = percentiles(buckets, ["row"], ratios=[ratio]).collect().row(0, named=True)
    exact = sorted(durations)[math.ceil(round(ratio * len(durations), 9)) - 1]
    told = found[f"latency_p{ratio * 100:g}_ms"]
    assert abs(told - exact) <= RELATIVE_ERROR * exact * (1 + 1e-9)
    assert found["buckets_count"] == len(durations)


def test_no_whole_number_of_milliseconds_lies_on_the_edge_of_a_bucket() -> None:
    """So the last bits of a logarithm, which differ between machines, never decide."""
    for number in range(1, 200):
        edge = GAMMA**number
        nearest = max(round(edge), 1)
        assert nearest == 1 or abs(edge - nearest) / edge > 1e-12 or edge > 1e9, number


def test_a_duration_beyond_all_buckets_stands_in_the_last_one() -> None:
    frame = histograms([10**15, 10**18])
    assert frame["latency_buckets"].to_list() == [[{"bucket_number": 255, "requests_count": 2}]]


def test_rows_without_durations_have_empty_histograms_between_others() -> None:
    frame = histograms([None], [5, 5], [], [7])
    assert [len(buckets) for buckets in frame["latency_buckets"]] == [0, 1, 0, 1]
    nothing = pl.DataFrame({"latency_buckets": [[], None]}, schema={"latency_buckets": LATENCY_BUCKETS})
    assert nothing.select(merged_histogram(pl.col("latency_buckets"))).to_series().to_list() == [[], []]
