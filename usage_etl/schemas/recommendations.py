"""Recommendations with what they would save, and what became of last month's."""

from __future__ import annotations

import dataframely as dy

from usage_etl.schemas.contract import Table, count, day, flag, money, one_of, ratio, text
from usage_etl.schemas.staged import PROCESSINGS

RECOMMENDATION_KINDS = (
    "model_substitution",
    "prompt_efficiency",
    "caching",
    "batch_processing",
    "flex_processing",
    "idle_seats",
    "unused_commitment",
    "unused_capacity",
)
"""model_substitution: another model of a declared equivalence class. prompt_efficiency: as little input per request as peers on
the same feature. caching: input that is sent again and again, read from the provider's cache. batch_processing, flex_processing:
work that nobody waits for, in the cheaper price class. idle_seats: seats of people who used nothing.
unused_commitment: what a provider bills as not used. unused_capacity: provisioned capacity that costs more than its tokens
would by use."""

USAGE_KINDS = RECOMMENDATION_KINDS[:5]
"""Those that price usage rows anew."""

DIFFICULTIES = ("low", "medium", "high")
"""low: a setting. medium: work and a test. high: a contract or a rebuild."""

BASES = ("repriced", "peers", "assumption", "charges")
"""repriced: the very rows at another price, nothing assumed but their tokens. peers: what others on the same feature measure.
assumption: a range from the settings. charges: charge lines beside use."""

VERDICTS = ("kept", "partly", "not_taken", "cost_more", "cannot_tell")
"""kept: saved at least the low end of the promise. partly: saved less than that. not_taken: hardly any traffic moved.
cost_more: it moved, and costs more than before. cannot_tell: see the reason."""


class _Scope(dy.Schema):
    month = day("first day of the month")
    through_date = day("last day with data that the row covers")
    recommendation_id = text(
        "stable hex of kind, scope, models and price class; the same advice has it every month", nullable=False
    )
    recommendation_kind = text("what is recommended", nullable=False, check=one_of(*RECOMMENDATION_KINDS))
    scope_kind = text(
        "feature, api_key, team or provider", nullable=False, check=one_of("feature", "api_key", "team", "provider")
    )
    scope_id = text("member", nullable=False)
    scope_name = text("for people", nullable=False)
    team_id = text("team that pays most of it; null for seats and capacity")
    feature_id = text("feature, where it is about one")
    model_id = text("provider/model in use now; null where the advice is for several")
    target_model_id = text("provider/model to use instead; null keeps the model")
    target_processing = text("price class to use instead; null keeps it", check=one_of(*PROCESSINGS))
    currency = text("ISO 4217", nullable=False)


class MartRecommendation(_Scope):
    """One advice: what it would save in a month, how sure that is, how hard it is, and on what evidence.

    Amounts are for a whole month at the volume of the window. The range is what the evidence allows, never less than what is
    certain: its low end is above zero, or nothing is recommended.
    """

    rank = count("place in the order of impact by effort; 1 is the first", min=1)
    difficulty = text("how hard it is", nullable=False, check=one_of(*DIFFICULTIES))
    basis = text("what the saving rests on", nullable=False, check=one_of(*BASES))
    monthly_savings_cost = money("estimated saving of a whole month")
    monthly_savings_lower_cost = money("low end of the range")
    monthly_savings_upper_cost = money("high end of the range")
    net_monthly_savings_cost = money("of monthly_savings_cost, what recommendations before it do not save already", min=0)
    overlaps_with = text("ids of recommendations that concern some of the same rows, by rank; null where none does")
    window_start = day("first day of the evidence")
    window_days_count = count("days of the evidence", unit="days")
    window_cost = money("cost of the evidence as it stands")
    window_target_cost = money("cost of the same evidence as recommended")
    rows_count = count("fact rows or charge lines that were priced anew")
    requests_count = count("requests in them; for seats, seats")
    cost_share_ratio = ratio("window_cost as share of all priced usage of the window; null for seats and capacity")
    left_out_requests_count = count(
        "requests of the same traffic that have no price, or none as recommended: nothing is said of them"
    )
    price_ids = text("rows of dim_price that stand on the usage now; null for charges")
    target_price_ids = text("rows of dim_price that it was priced by instead; null for charges")
    whole_count = count("what next month's check compares with: requests, input tokens or seats that it is about")
    part_count = count("of whole_count, those that already were as recommended; for prompts, the requests that sent whole_count")
    night_from_hour = count("first hour of the nights it is about, in the organization's zone; null for all day", nullable=True)
    night_to_hour = count("first hour that is no longer night", nullable=True)
    max_request_input_tokens = count("largest average input of a request that it is about; null for any", nullable=True)
    advice_text = text("one sentence in plain words", nullable=False)


MART_RECOMMENDATIONS = Table(
    name="mart_recommendations",
    schema=MartRecommendation,
    grain="one advice: estimated monthly saving with its range, difficulty, evidence and overlap with other advice",
    partition="month",
    sort_by=("rank", "recommendation_id"),
    group="4_insights",
    owner="team:finops",
    control_totals=("net_monthly_savings_cost",),
)


class MartRecommendationVerdict(_Scope):
    """One advice of the month before, and what became of it in this month.

    What was saved is measured on this month's own rows: those that moved, at the price they have and at the price that they
    would have without the advice. The promise is brought to this month's days and volume before the two are compared.
    """

    promised_month = day("month whose recommendation it was")
    is_preliminary = flag("the month is still running")
    promised_monthly_savings_cost = money("saving of a whole month as it was promised")
    promised_cost = money("that, for the days covered and this month's volume")
    promised_lower_cost = money("low end, likewise")
    promised_upper_cost = money("high end, likewise")
    volume_ratio = ratio("this month's volume a day by that of the evidence; null where it cannot be told")
    whole_count = count("this month: requests, input tokens or seats that it is about")
    part_count = count("of whole_count, those that are as recommended; for prompts, the requests that sent whole_count")
    moved_ratio = ratio("share of what could still move that did; null where it cannot be told")
    former_cost = money("what moved, at the price without the advice; null where it cannot be told", nullable=True)
    actual_cost = money("what moved, as it stands; null where it cannot be told", nullable=True)
    realised_savings_cost = money("former_cost minus actual_cost; null where it cannot be told", nullable=True)
    verdict = text("what became of it", nullable=False, check=one_of(*VERDICTS))
    verdict_reason = text("why it cannot be told, or what the verdict rests on", nullable=False)
    verdict_text = text("one sentence in plain words", nullable=False)


MART_RECOMMENDATION_VERDICTS = Table(
    name="mart_recommendation_verdicts",
    schema=MartRecommendationVerdict,
    grain="one advice of the month before: how much of it was taken, what it saved, and whether the promise was kept",
    partition="month",
    sort_by=("recommendation_kind", "scope_kind", "scope_id", "recommendation_id"),
    group="4_insights",
    owner="team:finops",
    control_totals=("realised_savings_cost",),
)
