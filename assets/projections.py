"""Projections: where each month will end, for every owner, key and feature."""

from collections.abc import Mapping

import dagster as dg
import polars as pl

from assets.derive import commit_derived
from assets.marts import history_keys
from assets.monthly import monthly_asset, through_date
from assets.resources import Workspace
from usage_etl.config import Settings
from usage_etl.lake import WHOLE, Commit
from usage_etl.periods import Month
from usage_etl.projections import project_month, scope_series
from usage_etl.quotas.budgets import monthly_budgets
from usage_etl.schemas import DIM_QUOTA, FACT_USAGE_DAILY, MART_PROJECTION


def projection_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Definitions of the projection."""
    return [monthly_asset(settings, [MART_PROJECTION], (FACT_USAGE_DAILY, DIM_QUOTA), _projection)]


def _projection(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    key, organization = month.first_day.isoformat(), workspace.settings.organization
    through = through_date(workspace, month)

    def build(daily: pl.LazyFrame, quotas: pl.LazyFrame) -> pl.DataFrame:
        series = scope_series(daily, organization_id=organization.id, currency=organization.currency)
        return project_month(
            series, monthly_budgets(quotas.collect()), month=month, through_date=through, currency=organization.currency
        )

    reads = {FACT_USAGE_DAILY: history_keys(workspace, month), DIM_QUOTA: [WHOLE]}
    used = {"through_date": through, "organization": organization.id, "currency": organization.currency}
    return commit_derived(workspace, MART_PROJECTION, key, reads, build, settings=used)
