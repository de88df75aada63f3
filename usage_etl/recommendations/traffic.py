"""The traffic that recommendations are about: priced usage by hour, and what every advice says about the rows it means.

An advice is first a *case*: rows of usage with a question, "what would these have cost by that model, in that price class,
with that many tokens?". The answer comes from outside, from the very prices of usage; this room only adds up.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import polars as pl

from usage_etl.keys import fingerprint
from usage_etl.units import INPUT_TOKEN_CLASSES, MODAL_TOKENS, TOKEN_CLASSES

ROW_KEYS = (
    "usage_date",
    "hour_start_at",
    "team_id",
    "api_key_id",
    "feature_id",
    "primitive",
    "provider",
    "host",
    "model_id",
    "processing",
    "region",
    "native_unit",
    "price_id",
    "price_status",
    "currency",
)
"""What rows agree in; people, sessions and tags are added up, except whether a person sent the request."""
_COUNTS = ("requests_count", *TOKEN_CLASSES, "reasoning_tokens", *MODAL_TOKENS)
_QUANTITIES = ("quantity", "native_quantity", "effective_cost")
OWN_RATES = {
    "own_input_rate": "input_uncached_per_mtok",
    "own_read_rate": "cache_read_per_mtok",
    "own_write_rate": "cache_write_5m_per_mtok",
}
"""What the price that a row has charges for text input, by where it comes from."""

EFFORT = {"low": 1, "medium": 2, "high": 4}
"""By what a saving is divided to rank it."""


@dataclass(frozen=True)
class Case:
    """One possible advice, before anybody knows what it would save."""

    recommendation_kind: str
    scope_kind: str
    scope_id: str
    feature_id: str | None
    model_id: str | None
    target_model_id: str | None
    target_processing: str | None
    difficulty: str
    basis: str
    choice: str
    """Of the cases of one choice only the best is recommended."""
    whole_count: int
    part_count: int
    night_hours: tuple[int, int] | None = None
    max_request_input_tokens: int | None = None
    margin_ratio: Decimal = Decimal(0)
    """By how much the tokens may differ."""
    movable_ratio: Decimal = Decimal(1)
    """Low end of what can be moved; the high end is all."""
    measures: Mapping[str, str] = field(default_factory=dict)
    """What the sentence says beyond money."""

    @property
    def case_id(self) -> str:
        """The recommendation's id: the same advice has the same one in every month."""
        return fingerprint({
            "kind": self.recommendation_kind, "scope": [self.scope_kind, self.scope_id, self.feature_id],
            "model": self.model_id, "target": [self.target_model_id, self.target_processing],
            "nights": self.night_hours is not None, "up_to": self.max_request_input_tokens,
        })[:16]  # fmt: skip


@dataclass(frozen=True)
class Question:
    """A case with its rows as they would be: ``row_number``, changed tokens and the asked columns; ``variant`` of three."""

    case: Case
    rows: pl.DataFrame

    @property
    def asked(self) -> pl.DataFrame:
        """The rows with the case's id."""
        return self.rows.with_columns(case_id=pl.lit(self.case.case_id))


def traffic_rows(hourly: pl.LazyFrame, *, prices: pl.DataFrame, zone: str) -> pl.DataFrame:
    """FACT_USAGE_HOURLY added up over people, each row with its number, its scope, its hour in ``zone`` and its rates.

    Tokens, requests and cost are conserved. ``prices`` is DIM_PRICE.
    """
    plain = hourly.with_columns(pl.col(pl.Categorical).cast(pl.String), is_person=pl.col("user_id").is_not_null())
    known = [pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()).alias(name) for name in _QUANTITIES]
    keys = [*ROW_KEYS, "is_person"]
    rows = plain.group_by(keys).agg(pl.col(_COUNTS).sum(), *known).sort(keys).collect()
    rates = prices.select("price_id", **OWN_RATES)
    local = pl.col("hour_start_at").dt.convert_time_zone(zone)
    return (
        rows.join(rates, on="price_id", how="left", maintain_order="left")
        .with_row_index("row_number")
        .with_columns(
            scope_kind=_scope_kind(),
            scope_id=pl.coalesce("feature_id", "api_key_id", "team_id"),
            model_key=pl.format("{}/{}", "provider", "model_id"),
            input_tokens=pl.sum_horizontal(INPUT_TOKEN_CLASSES),
            local_hour=local.dt.hour().cast(pl.Int64),
        )
    )


def _scope_kind() -> pl.Expr:
    """Whose decision it is: the feature's, else the key's, else the team's."""
    return (
        pl.when(pl.col("feature_id").is_not_null()).then(pl.lit("feature"))
        .when(pl.col("api_key_id").is_not_null()).then(pl.lit("api_key"))
        .otherwise(pl.lit("team"))
    )  # fmt: skip


def is_priced(currency: str) -> pl.Expr:
    """Whether a row has a cost in ``currency``; nothing is said of others."""
    return (pl.col("price_status") == "priced") & (pl.col("currency") == currency) & (pl.col("effective_cost") > 0)


def is_unpriced() -> pl.Expr:
    """Whether a row used something that has no price."""
    return pl.col("price_status").is_in(["unpriced", "needs_request_grain"])


def is_night(hours: tuple[int, int] | None) -> pl.Expr:
    """Whether the row's hour lies in the night ``hours``; always, without any."""
    if hours is None:
        return pl.lit(value=True)
    first, end = hours
    hour = pl.col("local_hour")
    return (hour >= first) & (hour < end) if first <= end else (hour >= first) | (hour < end)


def is_small_enough(max_request_input_tokens: int | None) -> pl.Expr:
    """Whether the row's average request has at most that much input."""
    if max_request_input_tokens is None:
        return pl.lit(value=True)
    return pl.col("input_tokens") <= pl.col("requests_count") * max_request_input_tokens


def of_scope(scope_kind: str, scope_id: str, feature_id: str | None) -> pl.Expr:
    """Rows of one scope. Only a feature's advice is about all its keys and teams."""
    column = {"feature": "feature_id", "api_key": "api_key_id", "team": "team_id"}[scope_kind]
    own = pl.col(column) == scope_id
    return own if scope_kind == "feature" else own & pl.col("feature_id").eq_missing(pl.lit(feature_id, pl.String))


def asks(
    rows: pl.DataFrame, *, model_id: str | None = None, processing: str | None = None, variant: str = "expected"
) -> pl.DataFrame:
    """``rows`` with the question that they carry."""
    return rows.with_columns(
        asked_model_id=pl.lit(model_id, pl.String),
        asked_processing=pl.lit(processing, pl.String),
        variant=pl.lit(variant),
    )


def last_days(rows: pl.DataFrame, first: dt.date, last: dt.date) -> pl.DataFrame:
    """Rows of the days from ``first`` to ``last``."""
    return rows.filter(pl.col("usage_date").is_between(first, last))


def all_asked(questions: Iterable[Question], template: pl.DataFrame) -> pl.DataFrame:
    """Every question's rows in one frame; ``template`` gives the shape where there is no question."""
    frames = [question.asked for question in questions]
    empty = asks(template.clear()).with_columns(case_id=pl.lit(None, pl.String))
    return pl.concat([empty, *frames])
