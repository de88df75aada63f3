"""Small month frames with every column of their contract; a test names only what it is about."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from usage_etl.schemas.charges import FACT_CHARGES_MONTHLY
from usage_etl.schemas.contract import Table
from usage_etl.schemas.dimensions import DIM_TEAM
from usage_etl.schemas.usage import FACT_USAGE_MONTHLY

MONTH_START = dt.date(2026, 11, 1)
Rows = Callable[..., pl.DataFrame]

_USAGE = {
    "month": MONTH_START,
    "source": "gateway",
    "source_account": "main",
    "department_id": "research",
    "team_id": "vision",
    "cost_center_id": "cc-100",
    "owner_basis": "user",
    "primitive": "ai.chat",
    "provider": "openai",
    "host": "openai",
    "model_id": "gpt-5",
    "processing": "standard",
    "status": "success",
    "price_status": "priced",
    "currency": "USD",
    "requests_count": 10,
    "output_tokens": 100,
}
_CHARGE = {
    "month": MONTH_START,
    "provider_name": "openai",
    "billing_account_id": "org-1",
    "service_name": "api",
    "charge_category": "Usage",
    "model_id": "gpt-5",
    "billing_currency": "USD",
    "lines_count": 1,
}
_TEAM = {
    "team_name": "Vision",
    "department_id": "research",
    "department_name": "Research",
    "cost_center_id": "cc-100",
    "cost_center_name": "Labs",
    "valid_from": dt.date(2026, 1, 1),
}


def _build(table: Table, defaults: dict[str, Any], rows: tuple[dict[str, Any], ...]) -> pl.DataFrame:
    numbers = {name: 0 for name, dtype in table.polars_schema.items() if dtype.is_integer()}
    full = [numbers | defaults | row for row in rows]
    columns = {name: [row.get(name) for row in full] for name in table.columns}
    return table.validate(pl.DataFrame(columns, schema=dict(table.polars_schema)))


@pytest.fixture
def usage() -> Rows:
    """fact_usage_monthly: rows as (owner, cost) with any other column by name."""

    def build(*rows: dict[str, Any]) -> pl.DataFrame:
        return _build(FACT_USAGE_MONTHLY, _USAGE, rows)

    return build


@pytest.fixture
def charges() -> Rows:
    """fact_charges_monthly: every money column follows ``billed_cost``."""

    def build(*rows: dict[str, Any]) -> pl.DataFrame:
        moneys = ("billed_cost", "effective_cost", "list_cost")
        return _build(FACT_CHARGES_MONTHLY, _CHARGE, tuple(dict.fromkeys(moneys, row["billed_cost"]) | row for row in rows))

    return build


@pytest.fixture
def teams() -> Rows:
    """dim_team."""

    def build(*rows: dict[str, Any]) -> pl.DataFrame:
        return _build(DIM_TEAM, _TEAM, rows)

    return build


@pytest.fixture
def provider_usage() -> Rows:
    """The provider's own usage report at our prices."""

    def build(*rows: tuple[str, str, str, str]) -> pl.DataFrame:
        schema = {"provider": pl.String, "account": pl.String, "model_id": pl.String, "effective_cost": pl.Decimal(38, 18)}
        return pl.DataFrame([(*row[:3], Decimal(row[3])) for row in rows], schema=schema, orient="row")

    return build
