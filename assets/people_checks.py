"""Asset checks of unit costs and of marts about people: they tie to the usage facts of the same days."""

import datetime as dt

import dagster as dg
import polars as pl

from assets.checks import exact_sums
from assets.monthly import through_date
from assets.ranges import checked_partitions
from assets.resources import Workspace, WorkspaceResource
from usage_etl.periods import Month, days_between
from usage_etl.schemas import FACT_USAGE_DAILY, MART_ADOPTION, MART_COHORTS, MART_UNIT_COSTS
from usage_etl.schemas.economics import UNIT_SCOPES

_WHOLE = pl.col("scope_kind") == "organization"


def people_checks() -> list[dg.AssetChecksDefinition]:
    """Requests and cost of unit costs equal the facts; everybody is in one cohort, and active people are the facts'."""
    return [_unit_check(), _people_check()]


def _unit_check() -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=MART_UNIT_COSTS.name, name="requests_equal_facts", blocking=True)
    def requests_equal_facts(context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource) -> dg.AssetCheckResult:
        """In every scope the requests of the unit request, and their cost, add up to those of the month's facts."""
        opened, unequal = workspace.open(), dict[str, str]()
        in_currency = pl.col("currency").cast(pl.String) == opened.settings.organization.currency
        for key in checked_partitions(context, opened.lake, MART_UNIT_COSTS):
            facts = _facts(opened, Month.parse(key), whole_lake=False)
            wanted = exact_sums(facts, ("requests_count",)) | exact_sums(facts.filter(in_currency), ("effective_cost",))
            rows = opened.lake.scan(MART_UNIT_COSTS, [key]).filter(pl.col("unit_kind") == "request")
            for kind in UNIT_SCOPES:
                found = exact_sums(rows.filter(pl.col("scope_kind") == kind), tuple(wanted))
                unequal |= {
                    f"{key} {kind} {name}": f"{found[name]} != {wanted[name]}" for name in wanted if found[name] != wanted[name]
                }
        return dg.AssetCheckResult(passed=not unequal, metadata={"unequal": unequal})

    return requests_equal_facts


def _people_check() -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=MART_COHORTS.name, name="people_counted_once", blocking=True, additional_deps=[dg.AssetKey(MART_ADOPTION.name)]
    )
    def people_counted_once(context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource) -> dg.AssetCheckResult:
        """Cohorts hold everybody who ever used AI once, and adoption everybody who did in the month."""
        opened, unequal = workspace.open(), dict[str, str]()
        for key in checked_partitions(context, opened.lake, MART_COHORTS):
            month = Month.parse(key)
            cohorts = opened.lake.scan(MART_COHORTS, [key]).filter(_WHOLE).select(pl.col("cohort_users_count").sum())
            active = opened.lake.scan(MART_ADOPTION, [key]).filter(_WHOLE).select(pl.col("active_users_count").sum())
            for name, rows, whole_lake in (("cohorts", cohorts, True), ("active", active, False)):
                found, wanted = rows.collect().item(), _people(_facts(opened, month, whole_lake=whole_lake))
                if found != wanted:
                    unequal[f"{key} {name}"] = f"{found} != {wanted}"
        return dg.AssetCheckResult(passed=not unequal, metadata={"unequal": unequal})

    return people_counted_once


def _facts(workspace: Workspace, month: Month, *, whole_lake: bool) -> pl.LazyFrame:
    first = workspace.settings.start_date if whole_lake else month.first_day
    end = through_date(workspace, month) + dt.timedelta(days=1)
    return workspace.lake.scan(FACT_USAGE_DAILY, [day.isoformat() for day in days_between(first, end)])


def _people(facts: pl.LazyFrame) -> int:
    used = facts.filter(pl.col("requests_count") > 0).select(pl.col("user_id").drop_nulls().n_unique())
    return int(used.collect().item())
