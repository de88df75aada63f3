"""The one place where sources' token counting becomes the disjoint classes.

Sources count differently: cache tokens stand inside or beside the input, reasoning inside or beside the output
(measured on 1,577 real response bodies of genai-prices' public test set). ``token_convention`` names which.
"""

from __future__ import annotations

import polars as pl

from usage_etl.units import MODAL_TOKENS


def normalise(staged: pl.LazyFrame) -> pl.LazyFrame:
    """Staged rows with the disjoint token classes, error and cache-hit counts and ``rating``; one row stays one row.

    ``rating``: ``free`` where nothing was billable (answered by the gateway's cache, or not a success and without
    tokens), ``usage_missing`` where a success reported neither tokens nor a quantity, else ``rate``. input_uncached +
    cache_read + cache_write_5m + cache_write_1h is the row's whole input; output includes reasoning.
    """
    read, write, write_1h = _known("cache_read_tokens"), _known("cache_write_tokens"), _known("cache_write_1h_tokens")
    reported_input, reported_output = _known("reported_input_tokens"), _known("reported_output_tokens")
    reasoning = _known("reasoning_tokens")
    convention = pl.col("token_convention")
    is_cache_inside = convention != "cache_beside_input"
    is_reasoning_beside = convention == "cache_in_input_reasoning_beside_output"
    counted = pl.sum_horizontal(pl.col("quantity", "native_quantity").fill_null(0) != 0)
    is_silent = (reported_input == 0) & (reported_output == 0) & (counted == 0)
    is_success = pl.col("status").is_in(["success", "unknown"])
    is_hit = pl.col("is_cache_hit")
    is_missing = is_silent & is_success & ~is_hit
    rating = (
        pl.when(is_hit | (is_silent & ~is_success)).then(_label("free"))
        .when(is_missing).then(_label("usage_missing"))
        .otherwise(_label("rate"))
    )  # fmt: skip
    return staged.with_columns(
        input_uncached_tokens=pl.when(is_cache_inside).then(reported_input - read - write).otherwise(reported_input),
        cache_read_tokens=read,
        cache_write_5m_tokens=write - write_1h,
        cache_write_1h_tokens=write_1h,
        output_tokens=pl.when(is_reasoning_beside).then(reported_output + reasoning).otherwise(reported_output),
        reasoning_tokens=reasoning,
        **{name: _known(name) for name in MODAL_TOKENS},
        errors_count=pl.when(pl.col("status") == "error").then("requests_count").otherwise(0),
        cache_hits_count=pl.when(is_hit).then("requests_count").otherwise(0),
        is_usage_missing=is_missing,
        rating=rating,
    )


def _label(text: str) -> pl.Expr:
    """A label as its code: choosing among codes builds no text per row."""
    return pl.lit(text).cast(pl.Categorical)


def _known(column: str) -> pl.Expr:
    """A count whose absence means that the source saw none of that class."""
    return pl.col(column).fill_null(0)
