"""Marts of unit costs, outcomes and people: from the same days and directories as the cube."""

import datetime as dt
from collections.abc import Callable, Mapping
from functools import partial

import dagster as dg
import polars as pl

from assets.derive import Reads, commit_derived
from assets.monthly import MonthBuilder, monthly_asset, through_date
from assets.resources import Workspace
from assets.summary import NAME_TABLES, first_covered_day, organization_of
from usage_etl.config import Settings, read_secret
from usage_etl.facts.cohorts import active_days, adoption, cohorts
from usage_etl.facts.outcomes import outcomes_month
from usage_etl.facts.peers import peers
from usage_etl.facts.unit_costs import unit_costs
from usage_etl.keys import sha256_hex
from usage_etl.lake import WHOLE, Commit
from usage_etl.periods import Month, days_between
from usage_etl.schemas import (
    DIM_OUTCOME,
    FACT_SESSIONS_DAILY,
    FACT_USAGE_DAILY,
    MART_ADOPTION,
    MART_COHORTS,
    MART_OUTCOMES,
    MART_PEERS,
    MART_UNIT_COSTS,
    Table,
)


def people_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Definitions of the marts of unit costs, outcomes and people."""
    usage = (FACT_USAGE_DAILY, *NAME_TABLES)
    sessions = (FACT_SESSIONS_DAILY,) if settings.keep_usage_events else ()
    builders: list[tuple[tuple[Table, ...], tuple[Table, ...], MonthBuilder]] = [
        ((MART_UNIT_COSTS,), (*usage, DIM_OUTCOME, *sessions), _unit_costs),
        ((MART_OUTCOMES,), (*usage, DIM_OUTCOME), _outcomes),
        ((MART_COHORTS, MART_ADOPTION), usage, _cohorts),
        ((MART_PEERS,), usage, _peers),
    ]
    return [monthly_asset(settings, tables, reads, builder) for tables, reads, builder in builders]


def _unit_costs(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    through, covered = through_date(workspace, month), first_covered_day(workspace)
    days = _days(month.previous.first_day, through)
    reads: dict[Table, list[str]] = {FACT_USAGE_DAILY: days, DIM_OUTCOME: [WHOLE], **_names()}
    if workspace.settings.keep_usage_events:
        reads[FACT_SESSIONS_DAILY] = days

    def build(*frames: pl.LazyFrame) -> pl.DataFrame:
        by_table = dict(zip(reads, frames, strict=True))
        return unit_costs(
            by_table[FACT_USAGE_DAILY],
            by_table.get(FACT_SESSIONS_DAILY),
            by_table[DIM_OUTCOME].collect(),
            directories=_directories(by_table),
            organization=organization_of(workspace),
            month=month,
            through_date=through,
            first_covered=covered,
        )

    return _commit(workspace, MART_UNIT_COSTS, month, reads, build, first_covered=covered)


def _outcomes(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    through = through_date(workspace, month)
    reads: dict[Table, list[str]] = {FACT_USAGE_DAILY: _days(month.first_day, through), DIM_OUTCOME: [WHOLE], **_names()}

    def build(*frames: pl.LazyFrame) -> pl.DataFrame:
        by_table = dict(zip(reads, frames, strict=True))
        return outcomes_month(
            by_table[FACT_USAGE_DAILY],
            by_table[DIM_OUTCOME].collect(),
            directories=_directories(by_table),
            organization=organization_of(workspace),
            month=month,
            through_date=through,
        )

    return _commit(workspace, MART_OUTCOMES, month, reads, build)


def _cohorts(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    """Both read who was active on every day of the lake up to the month."""
    through, floor = through_date(workspace, month), first_covered_day(workspace) or month.first_day
    minimum = workspace.settings.people.minimum_group_size
    reads: dict[Table, list[str]] = {FACT_USAGE_DAILY: _days(workspace.settings.start_date, through), **_names()}
    used: dict[str, object] = {"minimum_group_size": minimum, "history_floor": floor}
    commits: dict[str, Commit] = {}
    for table, make in ((MART_COHORTS, cohorts), (MART_ADOPTION, adoption)):
        build = partial(_of_active_days, workspace, month, reads, make, floor)
        commits |= _commit(workspace, table, month, reads, build, **used)
    return commits


def _of_active_days(
    workspace: Workspace,
    month: Month,
    reads: Reads,
    make: Callable[..., pl.DataFrame],
    history_floor: dt.date,
    *frames: pl.LazyFrame,
) -> pl.DataFrame:
    by_table, organization = dict(zip(reads, frames, strict=True)), organization_of(workspace)
    through = through_date(workspace, month)
    return make(
        active_days(by_table[FACT_USAGE_DAILY], organization, through_date=through),
        directories=_directories(by_table),
        organization=organization,
        month=month,
        through_date=through,
        history_floor=history_floor,
        minimum_group_size=workspace.settings.people.minimum_group_size,
    )


def _peers(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    through, people = through_date(workspace, month), workspace.settings.people
    key = read_secret(people.pseudonym_key).encode() if people.pseudonyms and people.pseudonym_key else None
    reads: dict[Table, list[str]] = {FACT_USAGE_DAILY: _days(month.first_day, through), **_names()}

    def build(*frames: pl.LazyFrame) -> pl.DataFrame:
        by_table = dict(zip(reads, frames, strict=True))
        return peers(
            by_table[FACT_USAGE_DAILY],
            directories=_directories(by_table),
            organization=organization_of(workspace),
            month=month,
            through_date=through,
            minimum_group_size=people.minimum_group_size,
            pseudonym_key=key,
        )

    used: dict[str, object] = {"minimum_group_size": people.minimum_group_size, "key": sha256_hex(key) if key else None}
    return _commit(workspace, MART_PEERS, month, reads, build, **used)


def _commit(
    workspace: Workspace,
    table: Table,
    month: Month,
    reads: Reads,
    build: Callable[..., pl.DataFrame],
    **settings: object,
) -> Mapping[str, Commit]:
    used = {"through_date": through_date(workspace, month), "organization": organization_of(workspace), **settings}
    return commit_derived(workspace, table, month.first_day.isoformat(), reads, build, settings=used)


def _days(first: dt.date, last: dt.date) -> list[str]:
    return [day.isoformat() for day in days_between(first, last + dt.timedelta(days=1))]


def _names() -> dict[Table, list[str]]:
    return {table: [WHOLE] for table in NAME_TABLES}


def _directories(by_table: Mapping[Table, pl.LazyFrame]) -> dict[str, pl.DataFrame]:
    return {table.name: by_table[table].collect() for table in NAME_TABLES}
