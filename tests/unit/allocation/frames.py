"""Frames of one month for tests of the allocation: rows name only what a test is about."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import polars as pl

from usage_etl.allocation import OwnerDirectories, allocate_month
from usage_etl.config.finance import AllocationSettings, ReconciliationSettings
from usage_etl.facts.invoice_lines import invoice_line_id
from usage_etl.periods import Month
from usage_etl.schemas import (
    DIM_API_KEY,
    DIM_BUSINESS_UNIT,
    DIM_COST_CENTER,
    DIM_DEPARTMENT,
    DIM_FX_RATE,
    DIM_INVESTIGATION,
    DIM_INVOICE,
    DIM_PROJECT,
    DIM_TEAM,
    DIM_USER,
    FACT_INVOICE_LINES_MONTHLY,
    FACT_USAGE_DAILY,
    MART_ALLOCATION_MONTHLY,
    Table,
)
from usage_etl.schemas.chargeback import INVOICE_LINE_KEYS

NOVEMBER = Month(2026, 11)
Row = Mapping[str, Any]

UNOWNED = {
    "department_id": "unallocated",
    "team_id": "unallocated",
    "cost_center_id": "unallocated",
    "owner_basis": "unallocated",
}
_USAGE = {
    "usage_date": NOVEMBER.first_day,
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
_LINE = {
    "month": NOVEMBER.first_day,
    "provider_name": "openai",
    "billing_account_id": "org-1",
    "service_name": "api",
    "charge_kind": "usage",
    "charge_category": "Usage",
    "model_id": "gpt-5",
    "billing_currency": "USD",
    "charges_count": 1,
    "is_list_cost_estimated": False,
}
_DATED = {"valid_from": dt.date(2026, 1, 1)}
_TEAM = {
    "team_name": "Vision",
    "department_id": "research",
    "department_name": "Research",
    "cost_center_id": "cc-100",
    "cost_center_name": "Labs",
    **_DATED,
}
_INVOICE = {
    "provider_name": "openai",
    "billing_account_id": "org-1",
    "billing_month": NOVEMBER.first_day,
    "issued_date": dt.date(2026, 12, 3),
    "currency": "USD",
}
_RATE = {"from_currency": "USD", "to_currency": "EUR", "rate_date": NOVEMBER.last_day, "rate_source": "ECB"}


def build(table: Table, defaults: Row, rows: Sequence[Row]) -> pl.DataFrame:
    """A frame that keeps the table's contract; whole numbers are 0 and the rest null where a row says nothing."""
    numbers = {name: 0 for name, dtype in table.polars_schema.items() if dtype.is_integer()}
    full = [{**numbers, **defaults, **row} for row in rows]
    columns = {name: [row.get(name) for row in full] for name in table.columns}
    return table.validate(pl.DataFrame(columns, schema=dict(table.polars_schema)))


def usage(*rows: Row) -> pl.DataFrame:
    """FACT_USAGE_DAILY."""
    return build(FACT_USAGE_DAILY, _USAGE, rows)


def lines(*rows: Row) -> pl.DataFrame:
    """FACT_INVOICE_LINES_MONTHLY; every money column follows ``billed_cost``, the kind the category."""
    moneys = ("billed_cost", "effective_cost", "list_cost", "contracted_cost")
    full = []
    for row in rows:
        kinds = {"Usage": "usage", "Purchase": "purchase", "Tax": "tax", "Credit": "credit", "Adjustment": "adjustment"}
        kind = kinds[row.get("charge_category", "Usage")]
        whole = {**_LINE, "charge_kind": kind, **dict.fromkeys(moneys, row["billed_cost"]), **row}
        keys = {name: whole.get(name) for name in INVOICE_LINE_KEYS}
        full.append({"invoice_line_id": invoice_line_id(Month.of(whole["month"]), keys), **whole})
    return build(FACT_INVOICE_LINES_MONTHLY, {}, full)


def directories(
    *,
    teams: Sequence[Row] = (),
    users: Sequence[Row] = (),
    api_keys: Sequence[Row] = (),
    departments: Sequence[Row] = (),
    business_units: Sequence[Row] = (),
    cost_centers: Sequence[Row] = (),
    projects: Sequence[Row] = (),
    investigations: Sequence[Row] = (),
) -> OwnerDirectories:
    """Directories of which a test names the rows that it is about."""
    named = {"department_name": "Research", "business_unit_name": "Unit", "cost_center_name": "Labs"}
    dated = {**named, **_DATED, "team_id": "vision"}
    return OwnerDirectories(
        users=build(DIM_USER, dated, users),
        teams=build(DIM_TEAM, _TEAM, teams),
        api_keys=build(DIM_API_KEY, dated, api_keys),
        departments=build(DIM_DEPARTMENT, dated, departments),
        business_units=build(DIM_BUSINESS_UNIT, dated, business_units),
        cost_centers=build(DIM_COST_CENTER, dated, cost_centers),
        projects=build(DIM_PROJECT, dated, projects),
        investigations=build(DIM_INVESTIGATION, dated, investigations),
    )


def invoices(*rows: Row) -> pl.DataFrame:
    """DIM_INVOICE."""
    return build(DIM_INVOICE, _INVOICE, rows)


def rates(*rows: Row) -> pl.DataFrame:
    """DIM_FX_RATE."""
    return build(DIM_FX_RATE, _RATE, rows)


def allocate(
    invoice_lines: pl.DataFrame,
    used: pl.DataFrame,
    owners: OwnerDirectories | None = None,
    *,
    registered: pl.DataFrame | None = None,
    fx: pl.DataFrame | None = None,
    tolerance: str = "5",
    month: Month = NOVEMBER,
    as_of: dt.date | None = None,
    **allocation: Any,
) -> pl.DataFrame:
    """``allocate_month`` of frames, with settings of the allocation by name; the result keeps its contract."""
    found = allocate_month(
        invoice_lines,
        used.lazy(),
        owners or directories(),
        invoices() if registered is None else registered,
        rates() if fx is None else fx,
        month=month,
        organization_currency="USD",
        allocation=AllocationSettings(**allocation),
        reconciliation=ReconciliationSettings(tolerance_pct=Decimal(tolerance)),
        as_of=as_of,
    )
    return MART_ALLOCATION_MONTHLY.validate(found)


def paid(found: pl.DataFrame, *keys: str, column: str = "allocated_cost") -> dict[Any, Decimal]:
    """Sum of a money column by one or more columns."""
    sums: dict[Any, Decimal] = {}
    for *key, cost in found.select(*keys, column).iter_rows():
        name = key[0] if len(keys) == 1 else tuple(key)
        sums[name] = sums.get(name, Decimal(0)) + cost
    return sums
