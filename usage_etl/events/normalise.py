"""The one place where sources' token counting becomes the disjoint classes.

Sources count differently: cache tokens stand inside or beside the input, reasoning inside or beside the output
(measured on 1,577 real response bodies of genai-prices' public test set). ``token_convention`` names which.
"""

from __future__ import annotations

import polars as pl


def normalise(staged: pl.LazyFrame) -> pl.LazyFrame:
    """Staged rows with the disjoint token classes, error and cache-hit counts and ``rating``; one row stays one row.

    ``rating``: ``free`` where nothing was billable (answered by the gateway's cache, or not a success and without
    tokens), ``usage_missing`` where a success reported neither tokens nor a quantity, else ``rate``. input_uncached +
    cache_read + cache_write_5m + cache_write_1h is the row's whole input; output includes reasoning. Audio, images and
    reasoning never exceed the class that contains them: what a source says beyond is cut.
    """
    read, write, write_1h = _known("cache_read_tokens"), _known("cache_write_tokens"), _known("cache_write_1h_tokens")
    reported_input, reported_output = _known("reported_input_tokens"), _known("reported_output_tokens")
    reasoning = _known("reasoning_tokens")
    convention = pl.col("token_convention")
    is_cache_inside = convention != "cache_beside_input"
    is_reasoning_beside = convention == "cache_in_input_reasoning_beside_output"
    is_nothing_else = (pl.col("quantity").fill_null(0) == 0) & (pl.col("native_quantity").fill_null(0) == 0)
    is_silent = (reported_input == 0) & (reported_output == 0) & (read == 0) & (write == 0) & is_nothing_else
    is_success = pl.col("status").is_in(["success", "unknown"])
    output = pl.when(is_reasoning_beside).then(reported_output + reasoning).otherwise(reported_output)
    fresh = pl.when(is_cache_inside).then(reported_input - read - write).otherwise(reported_input)
    is_hit = pl.col("is_cache_hit")
    is_missing = is_silent & is_success & ~is_hit
    rating = (
        pl.when(is_hit | (is_silent & ~is_success)).then(_label("free"))
        .when(is_missing).then(_label("usage_missing"))
        .otherwise(_label("rate"))
    )  # fmt: skip
    return staged.with_columns(
        input_uncached_tokens=fresh,
        cache_read_tokens=read,
        cache_write_5m_tokens=write - write_1h,
        cache_write_1h_tokens=write_1h,
        output_tokens=output,
        **_parts(fresh, read, output, reasoning),
        errors_count=pl.when(pl.col("status") == "error").then("requests_count").otherwise(0),
        cache_hits_count=pl.when(is_hit).then("requests_count").otherwise(0),
        is_usage_missing=is_missing,
        rating=rating,
    )


def _parts(fresh: pl.Expr, read: pl.Expr, output: pl.Expr, reasoning: pl.Expr) -> dict[str, pl.Expr]:
    """Audio and image parts of each class, and what of the remaining output was reasoning."""
    parts: dict[str, pl.Expr] = {}
    left = {"input": fresh, "cache_read": read, "output": output}
    for kind in ("audio", "image"):
        for name, whole in left.items():
            part = pl.min_horizontal(_known(f"{name}_{kind}_tokens"), whole)
            parts[f"{name}_{kind}_tokens"] = part
            left[name] = whole - part
    return parts | {"reasoning_tokens": pl.min_horizontal(reasoning, left["output"])}


def _label(text: str) -> pl.Expr:
    """A label as its code: choosing among codes builds no text per row."""
    return pl.lit(text).cast(pl.Categorical)


def _known(column: str) -> pl.Expr:
    """A count whose absence means that the source saw none of that class."""
    return pl.col(column).fill_null(0)
