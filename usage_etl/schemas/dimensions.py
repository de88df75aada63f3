"""Directories and prices: who owned what when, and what a token cost when. Windows are half-open days or instants."""

from __future__ import annotations

import datetime as dt

import dataframely as dy
import polars as pl

from usage_etl.schemas.contract import Table, count, flag, instant, money, one_of, text
from usage_etl.schemas.contract import quantity as exact
from usage_etl.schemas.ownership import dated, end_day, first_day, split_pct
from usage_etl.schemas.staged import PROCESSINGS

PRICE_SOURCES = ("contract", "manual", "genai-prices", "litellm")
"""Where a rate may come from, the strongest first."""


class DimUser(dy.Schema):
    """One user in one team for one span of days."""

    user_id = text("as the logs spell it", nullable=False)
    user_name = text("for people", sensitivity="personal")
    user_email = text("for people", sensitivity="personal")
    team_id = text("team in the span", nullable=False)
    split_pct = split_pct()
    valid_from = first_day()
    valid_to = end_day()


class DimTeam(dy.Schema):
    """One team with its department and cost center for one span of days."""

    team_id = text("as the logs and directories spell it", nullable=False)
    team_name = text("for people", nullable=False)
    department_id = text("department in the span", nullable=False)
    department_name = text("for people", nullable=False)
    cost_center_id = text("cost center in the span", nullable=False)
    cost_center_name = text("for people", nullable=False)
    owner_email = text("who answers for the team's spend", sensitivity="personal")
    split_pct = split_pct()
    valid_from = first_day()
    valid_to = end_day()


class DimApiKey(dy.Schema):
    """One API key with its owning team for one span of days."""

    api_key_id = text("id or hash as logged", nullable=False)
    api_key_name = text("alias for people")
    team_id = text("team in the span", nullable=False)
    split_pct = split_pct()
    valid_from = first_day()
    valid_to = end_day()


class DimFeature(dy.Schema):
    """One feature with its product for one span of days."""

    feature_id = text("as the logs spell it", nullable=False)
    feature_name = text("for people", nullable=False)
    product_id = text("product in the span", nullable=False)
    product_name = text("for people", nullable=False)
    valid_from = first_day()
    valid_to = end_day()


class DimBudget(dy.Schema):
    """One monthly budget of the organization, a department or a team for one span."""

    scope_kind = text("what is budgeted", nullable=False, check=one_of("organization", "department", "team"))
    scope_id = text("member of the scope", nullable=False)
    monthly_budget = money("budget per calendar month", min=0)
    currency = text("ISO 4217", nullable=False, regex=r"^[A-Z]{3}$")
    valid_from = first_day()
    valid_to = end_day()


class DimPrice(dy.Schema):
    """One price: a model's rates for one price class, region, unit, context band, time of day and span of time.

    A rate of audio, images or thinking that is null is the rate of the class that contains it. Any other rate that is
    null is not known: usage of that class is unpriced.
    """

    price_id = text("stable key stamped on every priced row", nullable=False, unique=True)
    provider = text("provider whose price list it is", nullable=False)
    model_id = text("canonical model; * is any model of the provider that has no row of its own", nullable=False)
    processing = text("price class", nullable=False, check=one_of(*PROCESSINGS))
    region = text("region as sent, * for any that is named, or a beginning followed by *; null where the region does not matter")
    unit = text("what is billed beside tokens: a unit of a primitive or a native unit; null bills tokens and requests only")
    context_min_tokens = count("applies to requests with more input tokens than this; 0 is the base band")
    from_minute = count("first minute of the UTC day", unit="minutes", max=1439)
    to_minute = count("first minute of the UTC day no longer valid", unit="minutes", max=1440)
    valid_from = instant("inclusive")
    valid_to = instant("exclusive; null is open", nullable=True)
    input_uncached_per_mtok = money("per million tokens", nullable=True, min=0)
    cache_read_per_mtok = money("per million tokens", nullable=True, min=0)
    cache_write_5m_per_mtok = money("per million tokens", nullable=True, min=0)
    cache_write_1h_per_mtok = money("per million tokens", nullable=True, min=0)
    output_per_mtok = money("per million tokens", nullable=True, min=0)
    output_reasoning_per_mtok = money("per million thinking tokens; null: as other output", nullable=True, min=0)
    input_audio_per_mtok = money("per million audio tokens; null: as other uncached input", nullable=True, min=0)
    cache_read_audio_per_mtok = money("per million audio tokens; null: as other cache reads", nullable=True, min=0)
    output_audio_per_mtok = money("per million audio tokens; null: as other output", nullable=True, min=0)
    input_image_per_mtok = money("per million image tokens; null: as other uncached input", nullable=True, min=0)
    cache_read_image_per_mtok = money("per million image tokens; null: as other cache reads", nullable=True, min=0)
    output_image_per_mtok = money("per million image tokens; null: as other output", nullable=True, min=0)
    per_request = money("per request, on top of tokens", nullable=True, min=0)
    per_unit = money("per unit_count of unit, on top of tokens", nullable=True, min=0)
    unit_count = count("how many of unit per_unit buys; 3600 where seconds are priced by the hour", nullable=True, min=1)
    currency = text("ISO 4217", nullable=False, regex=r"^[A-Z]{3}$")
    price_source = text("where the rates come from", nullable=False, check=one_of(*PRICE_SOURCES))
    price_source_version = text("version of that source", nullable=False)
    provenance = text("where the source says it has the price from, and what was done to it")
    surcharge_multiplier = exact("what the list rates were multiplied by for the region", nullable=True, unit="ratio")
    is_processing_assumed = flag("the source has no rate for this price class; the standard rate stands in")


DIM_USER = dated("dim_user", DimUser, "one user in one team for one span of days", "user_id")
DIM_TEAM = dated("dim_team", DimTeam, "one team with its department and cost center for one span of days", "team_id")
DIM_API_KEY = dated("dim_api_key", DimApiKey, "one API key with its owning team for one span of days", "api_key_id")
DIM_FEATURE = dated("dim_feature", DimFeature, "one feature with its product for one span of days", "feature_id")
DIM_BUDGET = dated("dim_budget", DimBudget, "one monthly budget for one span", "scope_kind", "scope_id")
DIM_PRICE = Table(
    name="dim_price",
    schema=DimPrice,
    grain="one model's rates for one price class, region, unit, context band, time of day and span of time",
    partition=None,
    sort_by=("provider", "model_id", "processing", "region", "unit", "context_min_tokens", "valid_from", "from_minute"),
    group="1_land",
    owner="team:finops",
)


def names_on(directory: pl.DataFrame, *, id_column: str, name_column: str, day: dt.date) -> dict[str, str]:
    """Id to name as of ``day``: of the row valid on it, else of the member's newest row; members without a name are absent."""
    is_valid = (pl.col("valid_from") <= day) & (pl.col("valid_to").is_null() | (pl.col("valid_to") > day))
    ranked = directory.drop_nulls([id_column, name_column]).sort(is_valid, "valid_from", name_column)
    return dict(ranked.select(id_column, name_column).iter_rows())
