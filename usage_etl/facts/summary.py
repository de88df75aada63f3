"""The cube behind every report: a month's usage by each dimension, beside the same days of the month before."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import polars as pl

from usage_etl.periods import Month
from usage_etl.schemas.dimensions import names_on
from usage_etl.schemas.marts import MART_SPEND_DAILY, MART_SUMMARY, SUMMARY_DIMENSIONS
from usage_etl.units import INPUT_TOKEN_CLASSES, NO_MEMBER, TOKEN_CLASSES, UNALLOCATED

UNPRICED = ("unpriced", "needs_request_grain")

_COLUMNS = {
    "department": "department_id",
    "team": "team_id",
    "cost_center": "cost_center_id",
    "user": "user_id",
    "api_key": "api_key_id",
    "project": "project_id",
    "product": "product_id",
    "feature": "feature_id",
    "provider": "provider",
    "primitive": "primitive",
    "status": "status",
}
_COMPARED = ("requests_count", "total_tokens", "active_users_count", "effective_cost")


def summarise_month(
    daily: pl.LazyFrame,
    previous: pl.LazyFrame,
    *,
    users: pl.DataFrame,
    teams: pl.DataFrame,
    api_keys: pl.DataFrame,
    features: pl.DataFrame,
    month: Month,
    through_date: dt.date,
    currency: str,
    organization_id: str,
    organization_name: str,
    previous_first_covered_day: dt.date | None,
) -> pl.DataFrame:
    """One (month, dimension, member) per row (mart_summary), from fact_usage_daily of the month and of the month before.

    Rows cover the month's first day to ``through_date``. Each dimension's requests, tokens and cost add up to the
    organization's; distinct users are counted anew in every row. Usage without a member is ``(none)``. A model's member
    id is ``provider/model_id``, a day's its ISO date.

    The previous values cover the same days of the month before, and are null with ``previous_has_data`` false unless
    data begins on or before its first day (``previous_first_covered_day``). Members of one month only have zeros in the
    other; a day is compared with the day of the same number. Names are those valid on ``through_date`` in the directories
    dim_user, dim_team, dim_api_key and dim_feature.

    Cost in another currency than ``currency`` is never added: such usage counts as unpriced.
    """
    last_day = min(through_date, month.last_day)
    window = pl.col("usage_date").is_between(month.first_day, last_day)
    before = month.previous
    before_last_day = before.first_day + dt.timedelta(days=min(last_day.day, before.days_count) - 1)
    before_window = pl.col("usage_date").is_between(before.first_day, before_last_day)
    has_previous = previous_first_covered_day is not None and previous_first_covered_day <= before.first_day
    current = _cube(daily.filter(window), currency, organization_id, month)
    compared = _cube(previous.filter(before_window if has_previous else pl.lit(value=False)), currency, organization_id, month)
    joined = _joined(current, compared, has_previous=has_previous)
    sources = {"user": users, "api_key": api_keys}
    sources |= dict.fromkeys(("team", "department", "cost_center"), teams) | dict.fromkeys(("feature", "product"), features)
    names = _member_names(sources, last_day) | {"organization": {organization_id: organization_name}}
    labelled = _with_names(joined, names).with_columns(
        month=pl.lit(month.first_day), through_date=pl.lit(last_day), currency=pl.lit(currency)
    )
    summary = MART_SUMMARY.conform(labelled.lazy()).collect().sort(*MART_SUMMARY.sort_by)
    return MART_SUMMARY.validate(summary)


def spend_daily(daily: pl.LazyFrame, *, month: Month, currency: str) -> pl.DataFrame:
    """One (UTC day, provider, team) per row (mart_spend_daily): what the charts draw, from fact_usage_daily.

    Cost in another currency than ``currency`` is left out, as where no price is known.
    """
    grouped = (
        daily.filter(pl.col("usage_date").is_between(month.first_day, month.last_day))
        .group_by("usage_date", pl.col("provider", "team_id").cast(pl.String))
        .agg(
            pl.col("requests_count", "errors_count").sum(),
            pl.sum_horizontal(pl.col(*TOKEN_CLASSES).sum()).alias("total_tokens"),
            _known_sum(currency).alias("effective_cost"),
        )
        .with_columns(month=pl.lit(month.first_day), currency=pl.lit(currency))
    )
    spend = MART_SPEND_DAILY.conform(grouped).collect().sort(*MART_SPEND_DAILY.sort_by)
    return MART_SPEND_DAILY.validate(spend)


def _cost_in(currency: str) -> pl.Expr:
    return pl.when(pl.col("currency").cast(pl.String) == currency).then(pl.col("effective_cost"))


def _known_sum(currency: str) -> pl.Expr:
    """Priced usage of a group; null where some of it has no price and none has one, so that free calls do not make it $0."""
    cost = _cost_in(currency)
    is_priced = (pl.col("price_status").cast(pl.String) == "priced") & cost.is_not_null()
    return pl.when(is_priced.any() | cost.is_not_null().all()).then(cost.sum())


def _measures(currency: str) -> list[pl.Expr]:
    tokens = pl.sum_horizontal(pl.col(*TOKEN_CLASSES))
    is_foreign = (pl.col("currency").cast(pl.String) != currency).fill_null(value=False)
    is_unpriced = pl.col("price_status").cast(pl.String).is_in(UNPRICED) | is_foreign
    return [
        pl.col("requests_count", "errors_count", "cache_hits_count").sum(),
        pl.col("user_id").drop_nulls().n_unique().cast(pl.Int64).alias("active_users_count"),
        pl.sum_horizontal(pl.col(*INPUT_TOKEN_CLASSES)).sum().alias("input_tokens"),
        pl.col("cache_read_tokens", "output_tokens").sum(),
        tokens.sum().alias("total_tokens"),
        pl.col("requests_count").filter(is_unpriced).sum().alias("unpriced_requests_count"),
        tokens.filter(is_unpriced).sum().alias("unpriced_tokens"),
        pl.col("latency_ms_sum", "latency_count").sum(),
        _known_sum(currency).alias("effective_cost"),
    ]


def _cube(daily: pl.LazyFrame, currency: str, organization_id: str, month: Month) -> pl.DataFrame:
    """One row per (dimension, member_id); the days of another month stand under the day of ``month`` with their number."""
    members = {dimension: pl.col(column).cast(pl.String) for dimension, column in _COLUMNS.items()} | {
        "organization": pl.lit(organization_id),
        "model": pl.concat_str(pl.col("provider").cast(pl.String), pl.lit("/"), pl.col("model_id").cast(pl.String)),
        "day": pl.format("{}-{}", pl.lit(str(month)), pl.col("usage_date").dt.strftime("%d")),
    }
    cubes = [
        daily.with_columns(member_id=members[dimension].fill_null(NO_MEMBER))  # grouping no rows by a literal makes one row
        .group_by("member_id")
        .agg(_measures(currency))
        .select(pl.lit(dimension).alias("dimension"), pl.all())
        for dimension in SUMMARY_DIMENSIONS
    ]
    return pl.concat(pl.collect_all(cubes))


def _joined(current: pl.DataFrame, compared: pl.DataFrame, *, has_previous: bool) -> pl.DataFrame:
    """Both months side by side. A member that is absent from a month used nothing in it, which cost nothing."""
    wanted = compared.select("dimension", "member_id", pl.col(*_COMPARED).name.prefix("previous_"))
    days_without_data = (pl.col("dimension") == "day") & pl.col("requests_count").is_null()
    measures = [name for name in current.columns if name not in {"dimension", "member_id"}]
    both = current.join(wanted, on=["dimension", "member_id"], how="full", coalesce=True).filter(~days_without_data)
    filled = _zero_where_absent(measures, marker="requests_count")
    if has_previous:
        filled += _zero_where_absent([f"previous_{name}" for name in _COMPARED], marker="previous_requests_count")
    return both.with_columns(filled, previous_has_data=pl.lit(has_previous))


def _zero_where_absent(columns: list[str], *, marker: str) -> list[pl.Expr]:
    return [pl.when(pl.col(marker).is_null()).then(0).otherwise(pl.col(name)).alias(name) for name in columns]


def _member_names(sources: Mapping[str, pl.DataFrame], day: dt.date) -> dict[str, Mapping[str, str]]:
    unallocated = {UNALLOCATED: "Unallocated"}
    return {
        dimension: names_on(frame, id_column=f"{dimension}_id", name_column=f"{dimension}_name", day=day) | unallocated
        for dimension, frame in sources.items()
    }


def _with_names(frame: pl.DataFrame, names: Mapping[str, Mapping[str, str]]) -> pl.DataFrame:
    known = pl.DataFrame(
        [(dimension, member, name) for dimension, members in names.items() for member, name in members.items()],
        schema={"dimension": pl.String, "member_id": pl.String, "member_name": pl.String},
        orient="row",
    )
    is_model = pl.col("dimension") == "model"
    own_name = pl.when(is_model).then(pl.col("member_id").str.replace(r"^[^/]*/", "")).otherwise(pl.col("member_id"))
    named = frame.join(known, on=["dimension", "member_id"], how="left", validate="m:1")
    return named.with_columns(pl.col("member_name").fill_null(own_name))
