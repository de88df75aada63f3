"""Accounts: tokens of every user and kind by month, allocations beside them, and how many users there are."""

from __future__ import annotations

import dataframely as dy

from usage_etl.schemas.contract import Table, count, day, flag, one_of, ratio, text, tokens
from usage_etl.schemas.quotas import TOKEN_KINDS

ALLOCATION_STATUSES = ("none", "within", "near", "over")
"""none: no monthly allocation. near: from quotas.near_pct of one on. over: more than one."""


class FactUserTokensMonthly(dy.Schema):
    """One (calendar month in UTC, user, token kind) of usage."""

    month = day("first day of the month")
    user_id = text("user as logged; (none) where the log names none", nullable=False, sensitivity="personal")
    token_kind = text("embedding: primitive ai.embed; inference: all others", nullable=False, check=one_of(*TOKEN_KINDS))
    requests_count = count("requests")
    input_tokens = tokens("all input classes")
    output_tokens = tokens("output, reasoning included")
    total_tokens = tokens("input_tokens plus output_tokens")
    first_used_date = day("first day of the month with usage")
    last_used_date = day("last day of the month with usage")


class FactTeamTokensDaily(dy.Schema):
    """One (UTC day, owner, token kind) of usage: what pools are drawn from."""

    month = day("first day of the month")
    usage_date = day("UTC day")
    department_id = text("owner on usage_date", nullable=False)
    team_id = text("owner on usage_date", nullable=False)
    token_kind = text("embedding: primitive ai.embed; inference: all others", nullable=False, check=one_of(*TOKEN_KINDS))
    total_tokens = tokens("input plus output")


class MartAccounts(dy.Schema):
    """One user of a month: allocation, usage of the month and of the month before, and of all time that the lake covers.

    Users stand here who are in the directory, have an allocation or were ever seen in the logs, up to ``through_date``. A user
    without usage has 0; where no usage at all is known of a period, its columns are null. Tokens are not frozen by closing:
    a late delivery moves past months too, and ``fact_restatements`` says which.
    """

    month = day("first day of the month")
    through_date = day("last day that the row covers")
    user_id = text("as the logs spell it", nullable=False, sensitivity="personal")
    user_name = text("for people", sensitivity="personal")
    user_email = text("for people", sensitivity="personal")
    team_id = text("main team on through_date; null outside the directory")
    is_in_directory = flag("whether the directory knows the user on through_date")
    max_inference_tokens = tokens("smallest monthly quota of inference_tokens in force on through_date", nullable=True)
    max_embedding_tokens = tokens("smallest monthly quota of embedding_tokens in force on through_date", nullable=True)
    inference_tokens = tokens("of the month up to through_date", nullable=True)
    embedding_tokens = tokens("of the month up to through_date", nullable=True)
    previous_inference_tokens = tokens("of the whole month before; null where the lake does not cover it", nullable=True)
    previous_embedding_tokens = tokens("of the whole month before; null where the lake does not cover it", nullable=True)
    lifetime_inference_tokens = tokens("since history_floor_date", nullable=True)
    lifetime_embedding_tokens = tokens("since history_floor_date", nullable=True)
    lifetime_total_tokens = tokens("inference and embedding since history_floor_date", nullable=True)
    first_seen_date = day("first day with usage since history_floor_date", nullable=True)
    last_active_date = day("last day with usage", nullable=True)
    history_floor_date = day("first day that the lake holds usage of: nothing before it is known", nullable=True)
    inference_utilisation_ratio = ratio("inference_tokens by max_inference_tokens")
    embedding_utilisation_ratio = ratio("embedding_tokens by max_embedding_tokens")
    allocation_status = text("of both kinds the worse", nullable=False, check=one_of(*ALLOCATION_STATUSES))


class MartTokensMonthly(dy.Schema):
    """One (calendar month in UTC, token kind): all partitions together are the account's whole token history."""

    month = day("first day of the month")
    through_date = day("last day that the row covers")
    token_kind = text("which tokens", nullable=False, check=one_of(*TOKEN_KINDS))
    is_partial = flag("whether the month is not over on through_date")
    requests_count = count("requests; null where no usage of the month is known", nullable=True)
    active_users_count = count("distinct named users", nullable=True)
    input_tokens = tokens("all input classes", nullable=True)
    output_tokens = tokens("output; embeddings have none", nullable=True)
    total_tokens = tokens("input plus output", nullable=True)
    share_ratio = ratio("of the month's tokens of both kinds")
    previous_total_tokens = tokens("of the whole month before; null where the lake does not cover it", nullable=True)
    change_ratio = ratio("total_tokens by previous_total_tokens, less 1; null for a partial month")


class MartUsersDaily(dy.Schema):
    """One UTC day: how many users the directory knows, and how many used anything."""

    month = day("first day of the month")
    usage_date = day("UTC day")
    directory_users_count = count("users with a row in force in users.csv")
    active_users_count = count("distinct named users with usage; null where the day has no usage", nullable=True)
    unknown_users_count = count("of active_users_count, those without a row in force in users.csv", nullable=True)


FACT_USER_TOKENS_MONTHLY = Table(
    name="fact_user_tokens_monthly",
    schema=FactUserTokensMonthly,
    grain="one calendar month, user and token kind",
    partition="month",
    sort_by=("user_id", "token_kind"),
    group="2_facts",
    control_totals=("requests_count", "total_tokens"),
)
FACT_TEAM_TOKENS_DAILY = Table(
    name="fact_team_tokens_daily",
    schema=FactTeamTokensDaily,
    grain="one UTC day, department, team and token kind",
    partition="month",
    sort_by=("usage_date", "department_id", "team_id", "token_kind"),
    group="2_facts",
    control_totals=("total_tokens",),
)
MART_ACCOUNTS = Table(
    name="mart_accounts",
    schema=MartAccounts,
    grain="one user of a month: allocation and usage of month, month before and all time",
    partition="month",
    sort_by=("user_id",),
    group="4_insights",
    owner="team:finops",
)
MART_TOKENS_MONTHLY = Table(
    name="mart_tokens_monthly",
    schema=MartTokensMonthly,
    grain="one calendar month and token kind, beside the month before",
    partition="month",
    sort_by=("token_kind",),
    group="4_insights",
    owner="team:finops",
)
MART_USERS_DAILY = Table(
    name="mart_users_daily",
    schema=MartUsersDaily,
    grain="one UTC day: users in the directory and users with usage",
    partition="month",
    sort_by=("usage_date",),
    group="4_insights",
    owner="team:finops",
)
