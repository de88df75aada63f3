"""What stood out against its own past, what it is made of, which patterns are proven, and what rules of thumb say."""

from __future__ import annotations

import dataframely as dy

from usage_etl.schemas.contract import Table, count, day, flag, money, one_of, ratio, text
from usage_etl.schemas.contract import quantity as exact

ALERTING_KINDS = ("organization", "team")
RANKED_KINDS = ("user", "api_key", "model")

ANOMALY_MEASURES = (
    "effective_cost",
    "total_tokens",
    "requests_count",
    "error_ratio",
    "latency_average_ms",
    "latency_p95_ms",
    "tokens_per_request_ratio",
)

DETECTORS = ("own_past", "failure_surge", "own_ratio", "first_appearance")
"""own_past: a sum against the series' own days. failure_surge: failed requests beyond what the usual rate explains.
own_ratio: an average against its own days. first_appearance: a key or model that was never seen before, with material money."""


class MartAnomaly(dy.Schema):
    """One (day, scope, measure) that stood far from what its own past leads to expect.

    The day is judged from earlier days only. Rows with ``suppressed_by`` are known and kept, and do not alert. The parts of
    ``excess_quantity`` stand in mart_anomaly_factors.
    """

    month = day("first day of the month")
    anomaly_id = text("stable hex of organization, scope, measure and day", nullable=False)
    episode_id = text("stable hex of organization, scope, measure and episode_start_date: what is acknowledged", nullable=False)
    episode_start_date = day("first of the anomalous days, at most three days apart, that this day belongs to")
    usage_date = day("UTC day of the anomaly")
    scope_kind = text("what the scope is", nullable=False, check=one_of(*ALERTING_KINDS, *RANKED_KINDS))
    scope_id = text("member; a model is provider/model_id", nullable=False, sensitivity="personal")
    scope_name = text("for people", nullable=False, sensitivity="personal")
    measure = text("what is measured", nullable=False, check=one_of(*ANOMALY_MEASURES))
    detector = text("which test it failed", nullable=False, check=one_of(*DETECTORS))
    observed_quantity = exact("what the day came to", unit="unit of measure")
    expected_quantity = exact("what its own past leads to expect", unit="unit of measure")
    excess_quantity = exact("observed minus expected; below zero where the day fell short", unit="unit of measure")
    currency = text("ISO 4217; null unless the measure is money")
    excess_cost = money("excess_quantity where the measure is money: the ranking; else null", nullable=True)
    score_ratio = ratio("excess over the least excess that is told; 1 is just anomalous")
    is_alerting = flag("organization and teams alert unless suppressed; users, keys and models are ranked only")
    suppressed_by = text("why it does not alert although its kind does; null otherwise")
    top_api_key_id = text("key with the largest part of the excess")
    top_model_id = text("model with the largest part of the excess, as provider/model_id")
    top_user_id = text("user with the largest part of the excess", sensitivity="personal")
    top_feature_id = text("feature with the largest part of the excess")
    top_share_ratio = ratio("share of the excess that the named key carries, the model's where no key is logged; at most 1")
    cause_text = text("why, in words made of the data", nullable=False, sensitivity="personal")


MART_ANOMALIES = Table(
    name="mart_anomalies",
    schema=MartAnomaly,
    grain="one day, scope and measure that stood far from its own past",
    partition="month",
    sort_by=("usage_date", "scope_kind", "scope_id", "measure"),
    group="4_insights",
    owner="team:finops",
)

BREAKDOWNS = ("factor", "team", "api_key", "model", "user", "feature")

EXACT_FACTORS = (
    "users",
    "volume",
    "failures",
    "cache_share",
    "model_mix",
    "tokens_per_request",
    "price",
    "latency",
    "without_requests",
    "expectation",
)
"""users: more or fewer of them. volume: requests per user. failures: requests that failed. cache_share: input read from or
written to a provider's cache, requests answered by the gateway's. model_mix: which models at which price class.
tokens_per_request: input and output sizes. price: what the same tokens cost. latency: how long a model took.
without_requests: cost in which no request stands. expectation: how far the comparison days are from the expectation."""


class MartAnomalyFactor(dy.Schema):
    """One part of one anomaly: a factor of its change, or a member's part in it.

    For each anomaly and breakdown the ``change_quantity`` add up to the ``excess_quantity`` of mart_anomalies, to the last
    unit. Members are compared with the mean of the comparison days; the part ``(expectation)`` is what lies between those
    days and the expectation, ``(others)`` are the members that are not named.
    """

    month = day("first day of the month")
    anomaly_id = text("anomaly of mart_anomalies", nullable=False)
    breakdown = text("divided into factors, or into members of a kind", nullable=False, check=one_of(*BREAKDOWNS))
    part_id = text("factor or member; (none) is usage that names no member", nullable=False, sensitivity="personal")
    part_name = text("for people", nullable=False, sensitivity="personal")
    measure = text("of the anomaly", nullable=False, check=one_of(*ANOMALY_MEASURES))
    change_quantity = exact("part of the anomaly's excess", unit="unit of measure")
    currency = text("ISO 4217; null unless the measure is money")
    share_ratio = ratio("change_quantity over the excess; null where the excess is 0")
    observed_level = ratio("level on the day: of the factor, or of the member in units of the measure", unit="level")
    comparison_level = ratio("the same on the comparison days, a day", unit="level")
    comparison_days_count = count("days compared with; 0 where there is none")
    is_new = flag("a member without any usage on the days of the history before")


MART_ANOMALY_FACTORS = Table(
    name="mart_anomaly_factors",
    schema=MartAnomalyFactor,
    grain="one anomaly and part of its change: a factor, or a member of a kind",
    partition="month",
    sort_by=("anomaly_id", "breakdown", "part_id"),
    group="4_insights",
    owner="team:finops",
)

PATTERNS = ("weekday", "month_end", "hour_of_day")


class MartSeasonality(dy.Schema):
    """One (scope, pattern): whether the days or hours of a scope follow it, and in which words.

    Proven: at least as far apart as in at most 1 % of random orders of the same days, and by at least a tenth of the mean.
    """

    month = day("first day of the month; the pattern is that of the days up to its end")
    scope_kind = text("organization or team", nullable=False, check=one_of(*ALERTING_KINDS))
    scope_id = text("member", nullable=False)
    scope_name = text("for people", nullable=False)
    pattern = text("what repeats", nullable=False, check=one_of(*PATTERNS))
    is_proven = flag("beyond chance, and large enough to tell")
    strength_ratio = ratio("highest minus lowest weekday, month end over other days, or busiest eight hours over a third")
    chance_ratio = ratio("share of random orders of the same days that show it as strongly; null with too few days")
    days_count = count("days that were looked at")
    pattern_text = text("the pattern in words, or that none is proven", nullable=False)


MART_SEASONALITY = Table(
    name="mart_seasonality",
    schema=MartSeasonality,
    grain="one scope and pattern of its days or hours, proven or not",
    partition="month",
    sort_by=("scope_kind", "scope_id", "pattern"),
    group="4_insights",
    owner="team:finops",
)

DIAGNOSIS_RULES = (
    "slow_user",
    "tokens_per_request",
    "few_requests_many_tokens",
    "input_output_ratio",
    "unusual_cost",
    "missing_users",
    "gone_silent",
)
"""slow_user: answers take longer than those of others on the same models. tokens_per_request: far above the median user.
few_requests_many_tokens: few requests that carry much. input_output_ratio: input per output far from users of the same
feature. unusual_cost: far above the median user. missing_users: a source logs requests without a user. gone_silent: a user
who was active every week before and is no more."""


class MartDiagnosis(dy.Schema):
    """One (rule, subject): what a rule of thumb says about a user or a source, with the numbers it goes by.

    Users are compared with at least ``anomalies.minimum_group`` others, or not at all.
    """

    month = day("first day of the month")
    diagnosis_id = text("stable hex of month, rule and subject", nullable=False)
    rule = text("which rule of thumb", nullable=False, check=one_of(*DIAGNOSIS_RULES))
    scope_kind = text("user or source", nullable=False, check=one_of("user", "source"))
    scope_id = text("member", nullable=False, sensitivity="personal")
    scope_name = text("for people", nullable=False, sensitivity="personal")
    observed_level = ratio("what was measured", unit="unit of the rule")
    reference_level = ratio("what it is compared with: the median of the group, or what is tolerated", unit="unit of the rule")
    times_ratio = ratio("observed over reference; null where the reference is 0")
    threshold_ratio = ratio("from which the rule speaks; settings of anomalies")
    group_size_count = count("members compared with; 0 where nobody is")
    requests_count = count("requests in the month that it rests on")
    effective_cost = money("cost of the member in the month; null where nothing has a price", nullable=True)
    currency = text("ISO 4217", nullable=False)
    diagnosis_text = text("in words", nullable=False, sensitivity="personal")


MART_DIAGNOSES = Table(
    name="mart_diagnoses",
    schema=MartDiagnosis,
    grain="one rule of thumb and user or source of which it speaks",
    partition="month",
    sort_by=("rule", "scope_kind", "scope_id"),
    group="4_insights",
    owner="team:finops",
)
