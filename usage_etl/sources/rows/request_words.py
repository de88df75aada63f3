"""What codes, flags, paths and model names of gateway logs say of a request."""

from __future__ import annotations

import polars as pl

from usage_etl.sources.rows.mapping import value

_TRUE = ("true", "1", "1.0", "yes")


def is_readable(field: str) -> pl.Expr:
    """Whether a count is absent or could be read: only then can another one be said to exceed it."""
    return pl.col(field).is_null() | (value(field) >= 0).fill_null(value=False)


def http_outcome(code: pl.Expr) -> pl.Expr:
    """Status of a request from its HTTP code: 101 began a session over a web socket, 499 is a client that left.

    Null where there is no code.
    """
    return (
        pl.when(code.is_between(100, 399)).then(pl.lit("success"))
        .when(code == 499).then(pl.lit("cancelled"))
        .when(code.is_not_null()).then(pl.lit("error"))
    )  # fmt: skip


def http_code(code: pl.Expr) -> pl.Expr:
    """The code where it is one of HTTP's; gateways log 0 or a negative number where there was no answer."""
    return pl.when(code.is_between(100, 599)).then(code)


def is_true(name: str) -> pl.Expr:
    """Whether a flag's text says yes; null where there is no text."""
    return pl.col(name).str.to_lowercase().is_in(_TRUE)


def primitive_of_path(path: pl.Expr) -> pl.Expr:
    """Primitive from the path of an API of OpenAI's kind; every other path is ``ai.chat``."""
    return (
        pl.when(path.str.contains("/embeddings", literal=True)).then(pl.lit("ai.embed"))
        .when(path.str.contains("/images/", literal=True)).then(pl.lit("ai.image"))
        .when(path.str.contains("/moderations", literal=True)).then(pl.lit("safety.moderate"))
        .otherwise(pl.lit("ai.chat"))
    )  # fmt: skip


def is_claude(model: pl.Expr) -> pl.Expr:
    """Whether the model is one of Anthropic's, whose own APIs count cache tokens beside the input."""
    return model.str.to_lowercase().str.contains("claude", literal=True).fill_null(value=False)
