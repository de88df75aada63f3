"""Rows of fact_usage_daily for tests: a small organization, day by day, to which a test adds what goes wrong."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import polars as pl

from usage_etl.anomalies import About, Findings, find_anomalies
from usage_etl.config.anomalies import AnomalySettings
from usage_etl.periods import Month
from usage_etl.schemas import DIM_PRICE, FACT_RESTATEMENTS, FACT_USAGE_DAILY
from usage_etl.schemas.contract import Table

NOVEMBER = Month(2026, 11)
START = dt.date(2026, 7, 4)
SPIKE = dt.date(2026, 11, 12)
DAYS = [START + dt.timedelta(days=offset) for offset in range((NOVEMBER.last_day - START).days + 1)]
RATE = Decimal(1000)
"""Dollars per million tokens, input and output alike: 1.20 for a usual request."""

Row = dict[str, Any]


def usage(day: dt.date, team: str, **changes: Any) -> Row:
    """One row: requests of 1,000 input and 200 output tokens; its cost follows unless given."""
    row = {
        "usage_date": day,
        "team_id": team,
        "user_id": f"user-{team}",
        "api_key_id": f"key-{team}",
        "feature_id": "chat",
        "provider": "openai",
        "model_id": "gpt-5",
        "processing": "standard",
        "price_id": "openai/gpt-5",
        "price_status": "priced",
        "currency": "USD",
        "requests_count": 100,
    } | changes
    row.setdefault("input_uncached_tokens", row["requests_count"] * 1000)
    row.setdefault("output_tokens", row["requests_count"] * 200)
    tokens = row["input_uncached_tokens"] + row["output_tokens"] + row.get("cache_read_tokens", 0)
    row.setdefault("effective_cost", tokens * RATE / 10**6)
    return row


def quiet(teams: Iterable[str] = ("vision", "speech")) -> list[Row]:
    """Two teams with a weekly rhythm and a little unrest."""
    return [
        usage(day, team, requests_count=(20 if day.weekday() >= 5 else 100) + (day.toordinal() * 7 + place) % 9)
        for place, team in enumerate(teams)
        for day in DAYS
    ]


def burst(day: dt.date = SPIKE, team: str = "vision", requests: int = 500, **changes: Any) -> Row:
    """A script of one key and one user that nobody has seen before."""
    return usage(day, team, **({"requests_count": requests, "api_key_id": "key-script", "user_id": "night"} | changes))


def table_rows(table: Table, rows: Iterable[Row]) -> pl.DataFrame:
    """Rows in a table's shape; what is not given is 0, empty or null as the column allows."""
    filled = []
    for row in rows:
        full: Row = {}
        for name, column in table.columns.items():
            if name in row:
                full[name] = row[name]
            elif column.nullable:
                full[name] = None
            else:
                full[name] = 0 if column.dtype.is_numeric() else False if column.dtype == pl.Boolean else None
        filled.append(full)
    return pl.DataFrame(filled, schema=table.polars_schema, orient="row")


PRICES: list[Row] = [
    {
        "price_id": "openai/gpt-5",
        "provider": "openai",
        "model_id": "gpt-5",
        "processing": "standard",
        "valid_from": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        **dict.fromkeys(("input_uncached_per_mtok", "output_per_mtok", "cache_read_per_mtok"), RATE),
    }
]


def find(
    rows: Iterable[Row],
    *,
    prices: Iterable[Row] = PRICES,
    restatements: Iterable[Row] = (),
    month: Month = NOVEMBER,
    settings: dict[str, Any] | None = None,
    **changes: Any,
) -> Findings:
    """What is found in the rows."""
    about = About(
        month=month,
        organization_id="northwind",
        organization_name="Northwind",
        currency="USD",
        **({"settled_date": month.last_day, "settings": AnomalySettings(**(settings or {}))} | changes),
    )
    return find_anomalies(
        table_rows(FACT_USAGE_DAILY, rows).lazy(),
        prices=table_rows(DIM_PRICE, prices),
        restatements=table_rows(FACT_RESTATEMENTS, restatements),
        about=about,
    )


def of(found: Findings, kind: str, measure: str = "effective_cost") -> pl.DataFrame:
    """Anomalies of one kind of scope and measure."""
    return found.anomalies.filter((pl.col("scope_kind") == kind) & (pl.col("measure") == measure))
