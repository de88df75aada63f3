"""Table contracts: one class per table. ``TABLES`` lists every stored table in the order of the data's way."""

from __future__ import annotations

from usage_etl.schemas.charges import BILLING_CHARGES, FACT_CHARGES_DAILY, FACT_CHARGES_MONTHLY
from usage_etl.schemas.contract import Table
from usage_etl.schemas.dimensions import DIM_API_KEY, DIM_BUDGET, DIM_FEATURE, DIM_PRICE, DIM_TEAM, DIM_USER
from usage_etl.schemas.marts import (
    MART_ANOMALIES,
    MART_CHARGEBACK_MONTHLY,
    MART_DATA_QUALITY,
    MART_PROJECTION,
    MART_RECONCILIATION_MONTHLY,
    MART_SPEND_DAILY,
    MART_SUMMARY,
)
from usage_etl.schemas.staged import (
    BILLING_CHARGES_QUARANTINE,
    STAGED_CHARGES,
    STAGED_USAGE,
    USAGE_EVENTS_QUARANTINE,
)
from usage_etl.schemas.usage import (
    FACT_DELIVERIES_DAILY,
    FACT_USAGE_DAILY,
    FACT_USAGE_HOURLY,
    FACT_USAGE_MONTHLY,
    USAGE_EVENTS,
)

TABLES: tuple[Table, ...] = (
    STAGED_USAGE,
    STAGED_CHARGES,
    USAGE_EVENTS_QUARANTINE,
    BILLING_CHARGES_QUARANTINE,
    DIM_USER,
    DIM_TEAM,
    DIM_API_KEY,
    DIM_FEATURE,
    DIM_BUDGET,
    DIM_PRICE,
    USAGE_EVENTS,
    FACT_DELIVERIES_DAILY,
    FACT_USAGE_HOURLY,
    FACT_USAGE_DAILY,
    FACT_USAGE_MONTHLY,
    BILLING_CHARGES,
    FACT_CHARGES_DAILY,
    FACT_CHARGES_MONTHLY,
    MART_RECONCILIATION_MONTHLY,
    MART_CHARGEBACK_MONTHLY,
    MART_SUMMARY,
    MART_SPEND_DAILY,
    MART_PROJECTION,
    MART_ANOMALIES,
    MART_DATA_QUALITY,
)
