"""Quotas, budgets and purchased tokens: what may be used by whom, what was used of it, and what is left."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from usage_etl.schemas.contract import Table, count, day, flag, label, one_of, ratio, text, tokens
from usage_etl.schemas.contract import quantity as exact
from usage_etl.schemas.ownership import dated, end_day, first_day

QUOTA_SCOPES = ("organization", "department", "team", "user", "api_key", "feature")
"""What a quota may be set on."""
QUOTA_MEASURES = ("effective_cost", "total_tokens", "inference_tokens", "embedding_tokens", "requests_count")
"""What a quota may limit, by the names of the facts."""
MONEY_MEASURES = ("effective_cost",)
"""Measures in the currency of the row; all others are whole numbers."""
QUOTA_PERIODS = ("day", "calendar_month", "billing_month")
"""Over which days a quota counts before it begins anew."""
ENFORCEMENTS = ("soft", "hard")
"""soft: warnings only. hard: the gateway is told to refuse."""
POOL_SCOPES = ("organization", "department", "team")
"""Whose usage a pool of purchased tokens serves."""
TOKEN_KINDS = ("inference", "embedding")
"""embedding: tokens of the primitive ai.embed. inference: tokens of every other primitive."""
RENEWALS = ("once", "calendar_month")
"""once: the tokens last from valid_from to valid_to. calendar_month: as many anew each month; what is left lapses."""
EMBEDDING_PRIMITIVE = "ai.embed"
"""The primitive whose tokens are embedding tokens."""
QUOTA_KEY = ("scope_kind", "scope_id", "measure", "period_kind", "enforcement")
"""What makes rows of dim_quota one quota, whatever its limit on a day."""


def quota_id() -> pl.Expr:
    """Stable name of a quota: its key, joined. A changed limit keeps it."""
    return pl.concat_str([pl.col(name).cast(pl.String) for name in QUOTA_KEY], separator=":").alias("quota_id")


class DimQuota(dy.Schema):
    """One limit of one scope for one span of days.

    A row of ``budgets.csv`` stands here as well: a monthly budget is a soft quota of ``effective_cost`` by calendar month.
    """

    scope_kind = text("what is limited", nullable=False, check=one_of(*QUOTA_SCOPES))
    scope_id = text("member of the scope; of the organization, its id in the settings", nullable=False)
    measure = text("what is counted", nullable=False, check=one_of(*QUOTA_MEASURES))
    period_kind = text("over which days, in UTC, before it begins anew", nullable=False, check=one_of(*QUOTA_PERIODS))
    limit_quantity = exact("most that may be used in a period; 0 allows nothing", unit="of the measure", min=0)
    currency = text("ISO 4217; only where the measure is money", regex=r"^[A-Z]{3}$")
    enforcement = text("soft warns, hard is enforced at the gateway", nullable=False, check=one_of(*ENFORCEMENTS))
    valid_from = first_day()
    valid_to = end_day()


class DimEntitlement(dy.Schema):
    """One purchase of tokens for one pool and span of days. Purchases of a pool that are valid together add up."""

    purchase_id = text("number of the order or contract line", nullable=False)
    pool_id = text("pool that the tokens go into", nullable=False)
    scope_kind = text("whose usage the pool serves", nullable=False, check=one_of(*POOL_SCOPES))
    scope_id = text("member of the scope", nullable=False)
    token_kind = text("which tokens it buys", nullable=False, check=one_of(*TOKEN_KINDS))
    purchased_tokens = tokens("tokens bought, of a month where it renews monthly")
    renewal = text("how often the tokens come", nullable=False, check=one_of(*RENEWALS))
    valid_from = first_day()
    valid_to = end_day()


class MartQuotaStatus(dy.Schema):
    """One quota on one day: what was used of it since its period began.

    Usage counts from the first day of the period, also where the quota or its limit is younger. Only the newest day of a
    running month is projected; of other days the projected columns are null.
    """

    month = day("first day of the month")
    status_date = day("UTC day at whose end the figures stand")
    quota_id = text("scope, measure, period and enforcement, joined; a changed limit keeps it", nullable=False)
    scope_kind = label("what is limited", nullable=False, check=one_of(*QUOTA_SCOPES))
    scope_id = text("member of the scope", nullable=False)
    scope_name = text("for people", nullable=False)
    measure = label("what is counted", nullable=False, check=one_of(*QUOTA_MEASURES))
    currency = label("ISO 4217; null unless the measure is money")
    period_kind = label("over which days", nullable=False, check=one_of(*QUOTA_PERIODS))
    period_start = day("first day of the period")
    period_end = day("last day of the period, included")
    enforcement = label("soft warns, hard is enforced", nullable=False, check=one_of(*ENFORCEMENTS))
    limit_quantity = exact("limit in force on status_date", unit="of the measure")
    used_quantity = exact("used in the period so far; null where no feed has delivered a day of it, or nothing of it has a price",
                          nullable=True, unit="of the measure")  # fmt: skip
    used_ratio = ratio("used_quantity by limit_quantity; of a limit of 0: 1 where anything was used, else 0")
    remaining_quantity = exact(
        "limit minus used, never below 0; null where used_quantity is", nullable=True, unit="of the measure"
    )
    days_left_count = count("days of the period after status_date", unit="days")
    unpriced_requests_count = count("of the period, requests whose price is unknown: not in used_quantity where that is money")
    linear_quantity = exact("straight line from the period so far to its end", nullable=True, unit="of the measure")
    projected_quantity = exact("expected at the end of the period", nullable=True, unit="of the measure")
    projected_lower_quantity = exact("lower end of the 80 % band", nullable=True, unit="of the measure")
    projected_upper_quantity = exact("upper end of the 80 % band", nullable=True, unit="of the measure")
    breach_probability_ratio = ratio("how likely the limit is passed in the period; 1 where it is")
    breach_date = day("day on which the limit was or is expected to be passed; null: not in the period", nullable=True)
    is_stale = flag("a feed of the scope is late: less was counted than was used")
    is_preliminary = flag("a feed of the scope has delivered nothing after status_date: the day may still fill")


class MartPools(dy.Schema):
    """One pool of purchased tokens and token kind, as a month or its part so far leaves it.

    A day's usage takes from the purchase that ends first. What no purchase covers is ``uncovered_tokens``, never negative
    rest. Usage counts on the pool of the narrowest scope: the team's, else the department's, else the organization's.

    A runway that is null is not within a year, or not before the purchases lapse: then something is left over. The ends of the
    band are null too where too little past measures them.
    """

    month = day("first day of the month")
    through_date = day("last day that the row covers")
    pool_id = text("pool", nullable=False)
    scope_kind = text("whose usage it serves", nullable=False, check=one_of(*POOL_SCOPES))
    scope_id = text("member of the scope", nullable=False)
    token_kind = text("which tokens", nullable=False, check=one_of(*TOKEN_KINDS))
    purchased_tokens = tokens("of purchases in force on through_date")
    purchased_monthly_tokens = tokens("what those come to in a month: by the months of their span where they come once")
    assigned_tokens = tokens("monthly allocations in force on through_date of the users that the pool serves")
    is_over_assigned = flag("whether assigned_tokens are more than purchased_monthly_tokens")
    used_tokens = tokens("taken from the purchases in force; null where no feed has delivered since they began", nullable=True)
    remaining_tokens = tokens("left of the purchases in force; null where used_tokens is", nullable=True)
    uncovered_tokens = tokens("of the month, used when no purchase had any left; null where no feed delivered", nullable=True)
    lapse_date = day("first day on which none of the purchases in force is any more; null: open", nullable=True)
    runway_date = day("day on which expected usage takes the last of what is left", nullable=True)
    runway_lower_date = day("early end of the 80 % band of runway_date", nullable=True)
    runway_upper_date = day("late end of the 80 % band of runway_date", nullable=True)


DIM_QUOTA = dated("dim_quota", DimQuota, "one limit of one scope for one span of days", *QUOTA_KEY)
DIM_ENTITLEMENT = dated(
    "dim_entitlement",
    DimEntitlement,
    "one purchase of tokens for one pool and span of days",
    "pool_id",
    "token_kind",
    "purchase_id",
)
MART_QUOTA_STATUS = Table(
    name="mart_quota_status",
    schema=MartQuotaStatus,
    grain="one quota on one day: what was used of it in its period so far",
    partition="month",
    sort_by=("status_date", "quota_id"),
    group="4_insights",
    owner="team:finops",
)
MART_POOLS = Table(
    name="mart_pools",
    schema=MartPools,
    grain="one month, pool and token kind: purchased, assigned, used and left",
    partition="month",
    sort_by=("pool_id", "token_kind"),
    group="4_insights",
    owner="team:finops",
)
