"""Why a source's own estimate of a request's cost is not ours: each difference has a name, found by calculation.

A gateway prices by its own list and rules, in floats. Where both lists agree the two amounts agree to nine digits; where they
do not, the request is priced again the way the other side may have done it, and what then agrees names the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

import polars as pl

from usage_etl.periods import Month
from usage_etl.pricing.price import TOKEN_RATES
from usage_etl.schemas.marts import MART_SOURCE_COSTS
from usage_etl.units import TOKEN_CLASSES

RELATIVE_TOLERANCE = 1e-9
"""How far two floats may lie apart that stand for the same amount."""

_ROW = "row of the comparison"
_ALTERNATIVE = "alternative"


def explain_source_costs(events: pl.DataFrame, *, book: pl.DataFrame, factors: Sequence[Decimal] = ()) -> pl.DataFrame:
    """``events`` with ``source_cost_difference_usd`` (theirs minus ours; null where one is unknown) and ``source_cost_reason``.

    ``events``: requests in the columns of USAGE_EVENTS. ``book``: DIM_PRICE. ``factors``: what the gateway multiplies costs by
    as a margin or discount, for example ``Decimal("1.05")``. One row stays one row, in order; nothing is estimated.
    """
    numbered = events.with_columns(pl.int_range(pl.len()).alias(_ROW))
    theirs, ours = pl.col("source_cost_usd"), pl.col("effective_cost").cast(pl.Float64)
    is_success = pl.col("status").cast(pl.String).is_in(["success", "unknown"])
    named = numbered.with_columns(
        source_cost_difference_usd=theirs - ours,
        source_cost_reason=pl.when(theirs.is_null()).then(pl.lit("not_reported"))
        .when(_agree(theirs, ours)).then(pl.lit("agrees"))
        .when(pl.col("cache_hits_count") > 0).then(pl.lit("cache_hit"))
        .when(~is_success & ((theirs == 0) | (ours == 0))).then(pl.lit("failed"))
        .when(pl.col("is_usage_missing")).then(pl.lit("usage_missing"))
        .when(ours.is_null()).then(pl.lit("not_priced"))
        .when(pl.col("currency").cast(pl.String) != "USD").then(pl.lit("other_currency"))
        .when(theirs == 0).then(pl.lit("source_not_priced")),
    )  # fmt: skip
    open_rows = named.filter(pl.col("source_cost_reason").is_null())
    found = pl.concat([*_by_calculation(open_rows, book), *_by_factor(open_rows, factors)])
    first = found.unique(_ROW, keep="first", maintain_order=True)
    explained = named.join(first, on=_ROW, how="left", maintain_order="left")
    reason = pl.coalesce("source_cost_reason", _ALTERNATIVE, pl.lit("price_differs"))
    return explained.with_columns(source_cost_reason=reason).drop(_ROW, _ALTERNATIVE)


def source_cost_summary(explained: pl.DataFrame, *, month: Month) -> pl.DataFrame:
    """MART_SOURCE_COSTS of the explained requests of a month, or of one of its days: ``summed_source_costs`` adds days up."""
    rows = explained.with_columns(pl.col("source", "provider", "model_id").cast(pl.String), month=pl.lit(month.first_day))
    return summed_source_costs(rows)


def summed_source_costs(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of MART_SOURCE_COSTS, or what has its columns, summed to one row per key. Sums of nothing known stay null."""
    sums = [_sum_of_known(name) for name in ("effective_cost", "source_cost_usd", "source_cost_difference_usd")]
    by = ["month", *MART_SOURCE_COSTS.sort_by]
    found = rows.group_by(by).agg(pl.col("requests_count").sum(), *sums)
    return found.select(*MART_SOURCE_COSTS.columns).sort(by)


def _sum_of_known(name: str) -> pl.Expr:
    return pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()).alias(name)


def _agree(one: pl.Expr, other: pl.Expr) -> pl.Expr:
    larger = pl.max_horizontal(one.abs(), other.abs())
    return ((one - other).abs() <= larger * RELATIVE_TOLERANCE).fill_null(value=False)


def _by_calculation(rows: pl.DataFrame, book: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Row numbers whose cost agrees at another tier, or with caches counted otherwise: ``_ROW`` and ``_ALTERNATIVE``."""
    rates = book.select("price_id", "provider", "model_id", *TOKEN_RATES, "valid_from", "valid_to").with_columns(
        pl.col("price_id").cast(pl.String), *(pl.col(name).cast(pl.Float64) for name in TOKEN_RATES)
    )
    wanted = rows.select(_ROW, "source_cost_usd", "started_at", pl.col("price_id").cast(pl.String), *TOKEN_CLASSES)
    own = wanted.join(rates.drop("valid_from", "valid_to"), on="price_id", how="inner")
    others = own.drop(*TOKEN_RATES).join(rates, on=["provider", "model_id"], how="inner", suffix=" other")
    is_in_force = (pl.col("valid_from") <= pl.col("started_at")) & (pl.col("started_at") < pl.col("valid_to")).fill_null(
        value=True
    )
    standard = pl.sum_horizontal(pl.col(tokens) * pl.col(rate) for tokens, rate in zip(TOKEN_CLASSES, TOKEN_RATES, strict=True))
    yield _matching(others.filter(is_in_force & (pl.col("price_id") != pl.col("price_id other"))), standard, "tier")
    for amount in _cache_alternatives():
        yield _matching(own, amount, "cache_semantics")


def _cache_alternatives() -> Iterator[pl.Expr]:
    """Σ tokens x rate with caches at the price of input, without discount of reads, with one lifetime, twice, or left out."""
    uncached, read, write, write_1h, output = map(pl.col, TOKEN_CLASSES)
    at_input, at_read, at_write, at_1h, at_output = map(pl.col, TOKEN_RATES)
    rest = output * at_output
    writes = write * at_write + write_1h * at_1h
    cached = read + write + write_1h
    yield (uncached + cached) * at_input + rest
    yield (uncached + read) * at_input + writes + rest
    yield (uncached + write + write_1h) * at_input + read * at_read + rest
    yield uncached * at_input + read * at_read + (write + write_1h) * at_write + rest
    yield (uncached + cached) * at_input + read * at_read + writes + rest
    yield (uncached + write + write_1h) * at_input + read * at_read + writes + rest
    yield (uncached + read) * at_input + read * at_read + writes + rest
    yield uncached * at_input + rest
    yield uncached * at_input + writes + rest
    yield uncached * at_input + read * at_read + rest


def _by_factor(rows: pl.DataFrame, factors: Sequence[Decimal]) -> Iterator[pl.DataFrame]:
    ours = pl.col("effective_cost").cast(pl.Float64)
    for factor in factors:
        yield _matching(rows, ours * float(factor), "margin_or_discount")


def _matching(rows: pl.DataFrame, amount: pl.Expr, reason: str) -> pl.DataFrame:
    per_token = 1.0 if reason == "margin_or_discount" else 1e-6
    return rows.filter(_agree(pl.col("source_cost_usd"), amount * per_token)).select(_ROW, pl.lit(reason).alias(_ALTERNATIVE))
