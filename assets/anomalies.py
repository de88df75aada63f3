"""Anomalies of a month with their exact factors, proven patterns, and what rules of thumb say; each from facts only."""

import datetime as dt
from collections.abc import Callable, Mapping

import dagster as dg
import polars as pl

from assets.derive import Reads, commit_derived
from assets.marts import history_keys
from assets.monthly import monthly_asset, through_date
from assets.resources import Workspace
from usage_etl.anomalies import (
    About,
    Clinic,
    Findings,
    detail_rows,
    diagnoses,
    find_anomalies,
    local_hours,
    seasonality,
)
from usage_etl.config import Settings
from usage_etl.lake import WHOLE, Commit
from usage_etl.periods import Month
from usage_etl.schemas import (
    DIM_API_KEY,
    DIM_FEATURE,
    DIM_PRICE,
    DIM_TEAM,
    DIM_USER,
    FACT_RESTATEMENTS,
    FACT_USAGE_DAILY,
    FACT_USAGE_HOURLY,
    MART_ANOMALIES,
    MART_ANOMALY_FACTORS,
    MART_DIAGNOSES,
    MART_SEASONALITY,
    Table,
)
from usage_etl.schemas.dimensions import names_on

FILLING_DAYS = 2
"""The newest days may still fill: until then they cannot be found too low."""
_NAMED: Mapping[str, tuple[Table, str, str]] = {
    "team": (DIM_TEAM, "team_id", "team_name"),
    "user": (DIM_USER, "user_id", "user_name"),
    "api_key": (DIM_API_KEY, "api_key_id", "api_key_name"),
    "feature": (DIM_FEATURE, "feature_id", "feature_name"),
}
"""Kind of member to the directory that names it."""
_READS = (FACT_USAGE_DAILY, DIM_PRICE, FACT_RESTATEMENTS, *(table for table, _, _ in _NAMED.values()))


def anomaly_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """mart_anomalies with mart_anomaly_factors, mart_seasonality and mart_diagnoses."""
    return [
        monthly_asset(settings, [MART_ANOMALIES, MART_ANOMALY_FACTORS], _READS, _anomalies),
        monthly_asset(settings, [MART_SEASONALITY], (FACT_USAGE_DAILY, FACT_USAGE_HOURLY, DIM_TEAM), _seasonality),
        monthly_asset(settings, [MART_DIAGNOSES], (FACT_USAGE_DAILY, DIM_USER), _diagnoses),
    ]


def _anomalies(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    """Both tables of one search; it is made once, and only where one of them is not current."""
    key, settings = month.first_day.isoformat(), workspace.settings
    through = through_date(workspace, month)
    settled = through - dt.timedelta(days=FILLING_DAYS if through < month.last_day else 0)
    reads: Reads = {
        FACT_USAGE_DAILY: history_keys(workspace, month),
        DIM_PRICE: [WHOLE],
        FACT_RESTATEMENTS: [key],
        **{table: [WHOLE] for table, _, _ in _NAMED.values()},
    }
    used = {
        "through_date": through,
        "organization": settings.organization.model_dump_json(),
        "anomalies": settings.anomalies.model_dump_json(),
    }

    def search(daily: pl.LazyFrame, prices: pl.LazyFrame, restatements: pl.LazyFrame, *named: pl.LazyFrame) -> Findings:
        about = About(
            month=month,
            organization_id=settings.organization.id,
            organization_name=settings.organization.name,
            currency=settings.organization.currency,
            settled_date=settled,
            settings=settings.anomalies,
            names=_names(named, day=through),
        )
        return find_anomalies(daily, prices=prices.collect(), restatements=restatements.collect(), about=about)

    found = _once(search)
    commits = {
        **commit_derived(workspace, MART_ANOMALIES, key, reads, lambda *frames: found(frames).anomalies, settings=used),
        **commit_derived(workspace, MART_ANOMALY_FACTORS, key, reads, lambda *frames: found(frames).factors, settings=used),
    }
    workspace.anomaly_book.observe(workspace.lake.scan(MART_ANOMALIES, [key]).collect(), month=month, through_date=through)
    return commits


def _seasonality(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    organization, through = workspace.settings.organization, through_date(workspace, month)

    def build(daily: pl.LazyFrame, hourly: pl.LazyFrame, teams: pl.LazyFrame) -> pl.DataFrame:
        names = names_on(teams.collect(), id_column="team_id", name_column="team_name", day=through)
        return seasonality(
            detail_rows(daily, currency=organization.currency),
            local_hours(hourly, zone=organization.time_zone),
            month=month,
            organization_id=organization.id,
            names=names | {organization.id: organization.name},
            zone=organization.time_zone,
        )

    days = history_keys(workspace, month)
    reads: Reads = {FACT_USAGE_DAILY: days, FACT_USAGE_HOURLY: days, DIM_TEAM: [WHOLE]}
    used = {"through_date": through, "organization": organization.model_dump_json()}
    return commit_derived(workspace, MART_SEASONALITY, month.first_day.isoformat(), reads, build, settings=used)


def _diagnoses(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    settings, through = workspace.settings, through_date(workspace, month)

    def build(daily: pl.LazyFrame, users: pl.LazyFrame) -> pl.DataFrame:
        clinic = Clinic(
            month=month,
            through_date=through,
            currency=settings.organization.currency,
            settings=settings.anomalies,
            names=names_on(users.collect(), id_column="user_id", name_column="user_name", day=through),
        )
        requests, unnamed = pl.col("requests_count"), pl.col("user_id").is_null()
        sources = (
            daily.filter(pl.col("usage_date").is_between(month.first_day, through))
            .group_by(pl.col("source").cast(pl.String))
            .agg(requests.sum(), unnamed_count=requests.filter(unnamed).sum())
            .sort("source")
            .collect()
        )
        return diagnoses(detail_rows(daily, currency=settings.organization.currency), sources, clinic=clinic)

    reads: Reads = {FACT_USAGE_DAILY: history_keys(workspace, month), DIM_USER: [WHOLE]}
    used = {
        "through_date": through,
        "currency": settings.organization.currency,
        "anomalies": settings.anomalies.model_dump_json(),
    }
    return commit_derived(workspace, MART_DIAGNOSES, month.first_day.isoformat(), reads, build, settings=used)


def _once(search: Callable[..., Findings]) -> Callable[[tuple[pl.LazyFrame, ...]], Findings]:
    """The same search for both tables: the second one takes what the first one found."""
    kept: list[Findings] = []

    def found(frames: tuple[pl.LazyFrame, ...]) -> Findings:
        if not kept:
            kept.append(search(*frames))
        return kept[0]

    return found


def _names(directories: tuple[pl.LazyFrame, ...], *, day: dt.date) -> dict[str, dict[str, str]]:
    return {
        kind: names_on(frame.collect(), id_column=id_column, name_column=name_column, day=day)
        for frame, (kind, (_, id_column, name_column)) in zip(directories, _NAMED.items(), strict=True)
    }
