"""Budgets: the quotas that a projection of money stands beside."""

from __future__ import annotations

import polars as pl

from usage_etl.schemas import DIM_BUDGET


def monthly_budgets(quotas: pl.DataFrame) -> pl.DataFrame:
    """Soft quotas of ``effective_cost`` by calendar month, whichever file states them, as rows of dim_budget.

    dim_budget names organizations, departments and teams; quotas of other scopes are projected in mart_quota_status.
    """
    wanted = quotas.filter(
        pl.col("measure") == "effective_cost",
        pl.col("period_kind") == "calendar_month",
        pl.col("enforcement") == "soft",
        pl.col("scope_kind").is_in(["organization", "department", "team"]),
    )
    return wanted.rename({"limit_quantity": "monthly_budget"}).select(*DIM_BUDGET.columns)
