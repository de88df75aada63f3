"""Recommendations of a month, and the verdicts on those of the month before: traffic asked, priced and added up again."""

import datetime as dt
from collections.abc import Mapping, Sequence

import dagster as dg
import polars as pl

from assets.derive import Reads, commit_derived, day_keys
from assets.monthly import MonthBuilder, monthly_asset, through_date
from assets.resources import Workspace
from usage_etl import recommendations as room
from usage_etl.config import Settings
from usage_etl.lake import WHOLE, Commit
from usage_etl.periods import Month, days_between
from usage_etl.pricing.alternatives import price_alternatives
from usage_etl.schemas import (
    DIM_API_KEY,
    DIM_FEATURE,
    DIM_PRICE,
    DIM_TEAM,
    DIM_USER,
    FACT_INVOICE_LINES_MONTHLY,
    FACT_USAGE_DAILY,
    FACT_USAGE_HOURLY,
    MART_RECOMMENDATION_VERDICTS,
    MART_RECOMMENDATIONS,
    Table,
)
from usage_etl.schemas.dimensions import names_on

_NAMED = {
    "team": (DIM_TEAM, "team_id", "team_name"),
    "api_key": (DIM_API_KEY, "api_key_id", "api_key_name"),
    "feature": (DIM_FEATURE, "feature_id", "feature_name"),
}
"""Scope to the directory that names its members."""
_ADVICE_READS = (
    FACT_USAGE_HOURLY, FACT_USAGE_DAILY, FACT_INVOICE_LINES_MONTHLY, DIM_PRICE, DIM_USER, DIM_TEAM, DIM_API_KEY, DIM_FEATURE
)  # fmt: skip
_VERDICT_READS = (MART_RECOMMENDATIONS, FACT_USAGE_HOURLY, FACT_INVOICE_LINES_MONTHLY, DIM_PRICE)


def recommendation_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """mart_recommendations of a month, and mart_recommendation_verdicts on the month before."""
    builders: list[tuple[Table, Sequence[Table], MonthBuilder]] = [
        (MART_RECOMMENDATIONS, _ADVICE_READS, _advice),
        (MART_RECOMMENDATION_VERDICTS, _VERDICT_READS, _verdicts),
    ]
    return [monthly_asset(settings, [table], reads, build) for table, reads, build in builders]


def _advice(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    settings, through = workspace.settings, through_date(workspace, month)
    organization, catalog = settings.organization, workspace.catalog
    window = room.Window.of(month, through, _first_covered(workspace))
    bill = window.charge_month

    def build(
        hourly: pl.LazyFrame,
        daily: pl.LazyFrame,
        lines: pl.LazyFrame,
        prices: pl.LazyFrame,
        users: pl.LazyFrame,
        *named: pl.LazyFrame,
    ) -> pl.DataFrame:
        book, billed = prices.collect(), lines.collect()
        rows = room.traffic_rows(hourly, prices=book, zone=organization.time_zone)
        inquiry = room.inquire(rows, window=window, settings=settings.recommendations, currency=organization.currency)
        answered = price_alternatives(inquiry.asked, book=book, catalog=catalog)
        charges = [
            *room.seat_advice(billed, _activity(daily, users.collect(), bill), currency=organization.currency),
            *room.capacity_advice(billed, _served(daily, bill, organization.currency), currency=organization.currency),
        ]
        return room.recommend(
            inquiry,
            answered,
            charges,
            window=window,
            names=_names(named, day=through),
            settings=settings.recommendations,
            currency=organization.currency,
        )

    days = [day.isoformat() for day in days_between(window.start, through + dt.timedelta(days=1))]
    used_days = [*day_keys(bill.previous.first_day.isoformat()), *day_keys(bill.first_day.isoformat())]
    reads: Reads = {
        FACT_USAGE_HOURLY: days,
        FACT_USAGE_DAILY: used_days,
        FACT_INVOICE_LINES_MONTHLY: [bill.first_day.isoformat()],
        DIM_PRICE: [WHOLE],
        DIM_USER: [WHOLE],
        **{table: [WHOLE] for table, _, _ in _NAMED.values()},
    }
    used = _used(workspace, through) | {"window_start": window.start}
    return commit_derived(workspace, MART_RECOMMENDATIONS, month.first_day.isoformat(), reads, build, settings=used)


def _verdicts(workspace: Workspace, month: Month) -> Mapping[str, Commit]:
    settings, through, key = workspace.settings, through_date(workspace, month), month.first_day.isoformat()
    organization, catalog = settings.organization, workspace.catalog

    def build(promises: pl.LazyFrame, hourly: pl.LazyFrame, lines: pl.LazyFrame, prices: pl.LazyFrame) -> pl.DataFrame:
        promised, book = promises.collect(), prices.collect()
        rows = room.traffic_rows(hourly, prices=book, zone=organization.time_zone)
        checks = room.checks(promised, room.month_rows(rows, month, through), currency=organization.currency)
        answered = price_alternatives(room.asked_of(checks, rows), book=book, catalog=catalog)
        return room.verdicts(
            room.measured(checks, answered, currency=organization.currency),
            room.charges_measured(promised, lines.collect(), currency=organization.currency),
            month=month,
            through_date=through,
            minimum_days=settings.recommendations.minimum_days,
        )

    reads: Reads = {
        MART_RECOMMENDATIONS: [month.previous.first_day.isoformat()],
        FACT_USAGE_HOURLY: day_keys(key),
        FACT_INVOICE_LINES_MONTHLY: [key],
        DIM_PRICE: [WHOLE],
    }
    return commit_derived(workspace, MART_RECOMMENDATION_VERDICTS, key, reads, build, settings=_used(workspace, through))


def _used(workspace: Workspace, through: dt.date) -> dict[str, object]:
    """What decides recommendations besides tables."""
    settings = workspace.settings
    return {
        "through_date": through,
        "recommendations": settings.recommendations.model_dump_json(),
        "organization": settings.organization.model_dump_json(),
        "model_aliases": settings.prices.model_aliases,
        "list_prices": workspace.list_prices.version,
    }


def _first_covered(workspace: Workspace) -> dt.date:
    filled = workspace.lake.filled_partitions(FACT_USAGE_HOURLY)
    return dt.date.fromisoformat(filled[0]) if filled else workspace.settings.start_date


def _names(directories: Sequence[pl.LazyFrame], *, day: dt.date) -> dict[tuple[str, str], str]:
    return {
        (kind, member): name
        for (kind, (_, id_column, name_column)), frame in zip(_NAMED.items(), directories, strict=True)
        for member, name in names_on(frame.collect(), id_column=id_column, name_column=name_column, day=day).items()
    }


def _activity(daily: pl.LazyFrame, users: pl.DataFrame, month: Month) -> pl.DataFrame:
    """Days on which each person used something of a host: of the month, and of the month before it.

    A person goes by the id of the logs and by the address in the directory, whichever a seat names.
    """
    used = daily.filter(pl.col("requests_count") > pl.col("errors_count")).select(
        "usage_date", *(pl.col(name).cast(pl.String) for name in ("user_id", "host", "source_account"))
    )
    days = (
        used.drop_nulls("user_id").unique().with_columns(is_before=pl.col("usage_date") < month.first_day)
        .group_by("user_id", "host", "source_account", "is_before").agg(days_count=pl.col("usage_date").n_unique().cast(pl.Int64))
        .collect()
    )  # fmt: skip
    addresses = users.drop_nulls("user_email").select("user_id", person=pl.col("user_email").str.to_lowercase()).unique()
    by_id = days.with_columns(person=pl.col("user_id").str.to_lowercase())
    by_address = days.join(addresses, on="user_id", how="inner").select(by_id.columns)
    return pl.concat([by_id, by_address]).unique()


def _served(daily: pl.LazyFrame, month: Month, currency: str) -> pl.DataFrame:
    """Priced usage of each host and model in the month."""
    return (
        daily.filter((pl.col("usage_date") >= month.first_day) & (pl.col("currency").cast(pl.String) == currency))
        .group_by(pl.col("host", "model_id").cast(pl.String))
        .agg(served_cost=pl.col("effective_cost").sum())
        .sort("host", "model_id")
        .collect()
    )
