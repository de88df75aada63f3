"""Small frames of one month for the tie-out, each with every column of its contract; a test names only what it is about."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl

from usage_etl.allocation.tie_out import tie_out_month
from usage_etl.allocation.tie_out_proof import unequal_causes, unequal_days, unequal_facts
from usage_etl.config.finance import ReconciliationSettings
from usage_etl.periods import Month
from usage_etl.schemas import (
    BILLING_CHARGES,
    DIM_INVOICE,
    DIM_PRICE,
    FACT_PROVIDER_USAGE_DAILY,
    FACT_USAGE_DAILY,
    FACT_USAGE_HOURLY,
    MART_RECONCILIATION_DAILY,
    MART_RECONCILIATION_MONTHLY,
)
from usage_etl.schemas.contract import Table
from usage_etl.schemas.tie_out import RESIDUAL_CAUSES
from usage_etl.units import TOKEN_CLASSES

NOVEMBER = Month(2026, 11)
MTOK = 10**6
RATES = {
    "input_uncached_per_mtok": Decimal(10),
    "cache_read_per_mtok": Decimal(1),
    "cache_write_5m_per_mtok": Decimal(12),
    "cache_write_1h_per_mtok": Decimal(20),
    "output_per_mtok": Decimal(40),
}
"""Prices of gpt-5: so that a million tokens are whole dollars."""
USAGE = {
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
    "price_id": "gpt-5:standard",
    "requests_count": 1,
}
_CHARGE = {
    "source": "bills",
    "source_account": "org-1",
    "delivery_id": "d1",
    "bucket_key": "b1",
    "provider_name": "openai",
    "billing_account_id": "org-1",
    "service_name": "api",
    "charge_category": "Usage",
    "model_id": "gpt-5",
    "billing_currency": "USD",
    "is_list_cost_estimated": True,
    "consumed_unit": "Tokens",
}


def day_of(number: int) -> dt.date:
    """A day of November; 0 is the last of October, 31 the first of December."""
    return dt.date(2026, 10, 31) + dt.timedelta(days=number)


def built(table: Table, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """A valid frame of ``rows``; columns that a row does not name are 0 where they count, else null."""
    numbers = {name: 0 for name, dtype in table.polars_schema.items() if dtype.is_integer()}
    columns = {name: [(numbers | row).get(name) for row in rows] for name in table.columns}
    return table.validate(pl.DataFrame(columns, schema=dict(table.polars_schema)))


def prices(*rows: dict[str, Any]) -> pl.DataFrame:
    """dim_price: gpt-5 at ``RATES``, at half of them in batch, and ``rows``."""
    base = {
        "provider": "openai",
        "model_id": "gpt-5",
        "processing": "standard",
        "to_minute": 1440,
        "valid_from": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        "currency": "USD",
        "price_source": "contract",
        "price_source_version": "1",
        "is_processing_assumed": False,
        "unit_count": None,
        **RATES,
    }
    half = {name: rate / 2 for name, rate in RATES.items()}
    known = [
        base | {"price_id": "gpt-5:standard"},
        base | {"price_id": "gpt-5:batch", "processing": "batch"} | half,
        *(base | row for row in rows),
    ]
    return built(DIM_PRICE, known)


def usage(*rows: dict[str, Any], table: Table = FACT_USAGE_DAILY) -> pl.DataFrame:
    """fact_usage_daily. A row names ``day`` (1) and tokens by class in millions (``output=2``), or tokens in full.

    effective_cost follows from the price, unless the row names it.
    """
    known = {row["price_id"]: row for row in prices().iter_rows(named=True)}
    full = []
    for row in rows:
        one = USAGE | {name: value for name, value in row.items() if name in table.columns}
        for name in TOKEN_CLASSES:
            one[name] = int(row.get(name, row.get(name.removesuffix("_tokens"), 0) * MTOK))
        price = known.get(str(one["price_id"]))
        if "effective_cost" not in row and price:
            rate_of = {name: price[f"{name.removesuffix('_tokens')}_per_mtok"] for name in TOKEN_CLASSES}
            one["effective_cost"] = sum((one[name] * rate_of[name] / MTOK for name in TOKEN_CLASSES), Decimal(0))
        if "hour" in row:
            one["hour_start_at"] = row["hour"]
            one["usage_date"] = row["hour"].date()
        else:
            one["usage_date"] = day_of(row.get("day", 1))
        full.append(one)
    return built(table, full)


def charges(*rows: dict[str, Any]) -> pl.DataFrame:
    """billing_charges: lines of a day (``day``, 1); every money column follows ``billed_cost``.

    ``tokens`` are millions of consumed_quantity.
    """
    full = []
    for row in rows:
        day = day_of(row.get("day", 1))
        start = dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC)
        one = _CHARGE | {"charge_date": day, "charge_period_start": start, "charge_period_end": start + dt.timedelta(days=1)}
        one |= dict.fromkeys(("billed_cost", "effective_cost", "list_cost", "contracted_cost"), Decimal(str(row["billed_cost"])))
        if "tokens" in row:
            one["consumed_quantity"] = Decimal(str(row["tokens"])) * MTOK
        one |= {name: value for name, value in row.items() if name in BILLING_CHARGES.columns and name != "billed_cost"}
        full.append(one)
    return built(BILLING_CHARGES, full)


def line(token_class: str, tokens: float, cost: float, **more: Any) -> dict[str, Any]:
    """A line of standard gpt-5 that names its token class and millions of tokens."""
    return {
        "token_class": f"{token_class}_tokens",
        "processing": "standard",
        "tokens": tokens,
        "billed_cost": cost,
        "meter_mapping": "mapped",
        **more,
    }


def invoices(*rows: dict[str, Any]) -> pl.DataFrame:
    """dim_invoice."""
    base = {
        "provider_name": "openai",
        "billing_account_id": "org-1",
        "billing_month": NOVEMBER.first_day,
        "issued_date": day_of(31),
        "currency": "USD",
    }
    return built(DIM_INVOICE, [base | row for row in rows])


def tie_out(
    bill: pl.DataFrame,
    logs: pl.DataFrame,
    *,
    reports: pl.DataFrame | None = None,
    hours: pl.DataFrame | None = None,
    book: pl.DataFrame | None = None,
    month: Month = NOVEMBER,
    **settings: Any,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(daily, monthly), proved to add up."""
    reported = FACT_PROVIDER_USAGE_DAILY.empty() if reports is None else reports
    daily, monthly = tie_out_month(
        bill,
        logs.lazy(),
        FACT_USAGE_HOURLY.empty() if hours is None else hours,
        reported,
        prices() if book is None else book,
        month=month,
        settings=ReconciliationSettings(**settings),
        organization_currency="USD",
    )
    MART_RECONCILIATION_DAILY.validate(daily)
    MART_RECONCILIATION_MONTHLY.validate(monthly)
    in_month = pl.col("usage_date").is_between(month.first_day, month.last_day)
    on_bill = pl.col("charge_date").is_between(month.first_day, month.last_day)
    assert unequal_causes(daily) == []
    assert unequal_causes(monthly) == []
    assert unequal_days(daily, monthly) == []
    assert (
        unequal_facts(monthly, bill.filter(on_bill).lazy(), logs.filter(in_month).lazy(), reported.filter(in_month).lazy()) == []
    )
    return daily, monthly


def causes(frame: pl.DataFrame) -> dict[str, Decimal]:
    """Causes that are not 0, summed over the frame; unexplained among them."""
    sums = {name: frame[f"{name}_cost"].sum() for name in (*RESIDUAL_CAUSES, "unexplained")}
    return {name: amount for name, amount in sums.items() if amount}
