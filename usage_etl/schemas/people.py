"""How people use AI, in groups large enough that nobody is singled out: cohorts, adoption, peers."""

from __future__ import annotations

import dataframely as dy

from usage_etl.schemas.contract import Table, count, day, flag, money, one_of, ratio, text, tokens

PEOPLE_SCOPES = ("organization", "department", "team")
PEER_GROUPS = ("team", "department", "feature")


class MartCohorts(dy.Schema):
    """One (month, scope, month of first use): of the people who began then, how many were active in the month.

    A person begins in the month of the first request in the scope. The cohort of the lake's first month also holds everybody
    who had begun before there were data (``is_history_floor``). Cohorts smaller than ``people.minimum_group_size`` are
    counted, and how many of them came back is null.
    """

    month = day("first day of the month")
    through_date = day("last day with data that the row covers")
    scope_kind = text("what the scope is", nullable=False, check=one_of(*PEOPLE_SCOPES))
    scope_id = text("member", nullable=False)
    scope_name = text("for people", nullable=False)
    cohort_month = day("month of the first request")
    months_since_count = count("months from cohort_month to month", unit="months")
    cohort_users_count = count("people who began in cohort_month")
    active_users_count = count("of them, active in the month; null in a small cohort", nullable=True)
    retention_ratio = ratio("active_users_count by cohort_users_count")
    is_suppressed = flag("whether the cohort is smaller than the minimum")
    is_history_floor = flag("whether people who began before there were data are among them")
    history_floor_date = day("first day of the lake with data")


MART_COHORTS = Table(
    name="mart_cohorts",
    schema=MartCohorts,
    grain="one month, scope and month of first use: how many of the people who began then are still active",
    partition="month",
    sort_by=("scope_kind", "scope_id", "cohort_month"),
    group="4_insights",
)


class MartAdoption(dy.Schema):
    """One (month, scope): how many people use AI, how many are new, came back or stopped.

    Counts of fewer people than ``people.minimum_group_size`` known or active ones are null but for the active. People of the
    directory are those with a row of users.csv in the scope on through_date.
    """

    month = day("first day of the month")
    through_date = day("last day with data that the row covers")
    scope_kind = text("what the scope is", nullable=False, check=one_of(*PEOPLE_SCOPES))
    scope_id = text("member", nullable=False)
    scope_name = text("for people", nullable=False)
    active_users_count = count("people with a request in the month")
    new_users_count = count("of them, without one in the scope before; null in a small group", nullable=True)
    retained_users_count = count("of them, active in the month before too; null in a small group", nullable=True)
    returned_users_count = count("of them, neither new nor active in the month before; null in a small group", nullable=True)
    lapsed_users_count = count("active in the month before and not in this one; null in a small group", nullable=True)
    directory_users_count = count("people of the directory; null where none are listed", nullable=True)
    adoption_ratio = ratio("of the people of the directory, those who are active")
    average_daily_users_ratio = ratio("mean of active people over the days up to through_date", unit="users per day")
    stickiness_ratio = ratio("average_daily_users_ratio by active_users_count")
    is_suppressed = flag("whether the group is smaller than the minimum")
    history_floor_date = day("first day of the lake with data")


MART_ADOPTION = Table(
    name="mart_adoption",
    schema=MartAdoption,
    grain="one month and scope: how many people use AI, are new, came back or stopped",
    partition="month",
    sort_by=("scope_kind", "scope_id"),
    group="4_insights",
)


class MartPeers(dy.Schema):
    """One (month, group, person): a person's use beside the group's, as percentiles.

    A group smaller than ``people.minimum_group_size`` has one row without a person and without figures (``is_suppressed``).
    With ``people.pseudonyms`` a person is a keyed hash, and no name stands here. A percentile is the share of the group below
    the person, half of the ties and of the person itself included; it is null where the person has no such figure.
    """

    month = day("first day of the month")
    through_date = day("last day with data that the row covers")
    group_kind = text("what the people share", nullable=False, check=one_of(*PEER_GROUPS))
    group_id = text("team, department or feature", nullable=False)
    group_name = text("for people", nullable=False)
    group_users_count = count("people with a request in the group")
    is_suppressed = flag("whether the group is smaller than the minimum")
    user_key = text("user id, or its pseudonym; null in a small group", sensitivity="personal")
    user_name = text("for people; null under pseudonyms", sensitivity="personal")
    requests_count = count("requests", nullable=True)
    active_days_count = count("days with a request", nullable=True)
    total_tokens = tokens("input plus output", nullable=True)
    effective_cost = money("priced usage; null when nothing in the row has a price", nullable=True)
    currency = text("ISO 4217", nullable=False)
    tokens_per_request_ratio = ratio("total_tokens by requests_count", unit="tokens per request")
    input_output_ratio = ratio("input tokens by output tokens")
    cache_read_ratio = ratio("tokens read from a provider's cache by input tokens")
    error_ratio = ratio("failed requests by requests")
    latency_average_ms = ratio("mean of known durations", unit="ms")
    requests_per_cost_ratio = ratio("requests that have a price by effective_cost", unit="requests per unit of currency")
    requests_percentile_ratio = ratio("place in the group by requests_count")
    cost_percentile_ratio = ratio("place in the group by effective_cost")
    tokens_per_request_percentile_ratio = ratio("place in the group by tokens_per_request_ratio")
    latency_percentile_ratio = ratio("place in the group by latency_average_ms")
    efficiency_percentile_ratio = ratio("place in the group by requests_per_cost_ratio")
    group_median_requests_ratio = ratio("median of the group's requests_count", unit="requests")
    group_median_tokens_per_request_ratio = ratio("median of the group's", unit="tokens per request")
    group_median_latency_ms = ratio("median of the group's latency_average_ms", unit="ms")
    is_power_user = flag("in the upper tenth by requests, and active on at least half of the group's active days", nullable=True)
    is_training_candidate = flag("in the upper tenth by tokens per request, with 20 requests or more", nullable=True)
    is_slow = flag("in the upper tenth by latency, and more than half above the group's median", nullable=True)


MART_PEERS = Table(
    name="mart_peers",
    schema=MartPeers,
    grain="one month, group and person: the person's use beside the group's; small groups without their people",
    partition="month",
    sort_by=("group_kind", "group_id", "user_key"),
    group="4_insights",
)
