"""Rows of the FOCUS dataset Cost and Usage: one per charge of the chargeback."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from usage_etl.reports.csv_dialect import plain_decimal
from usage_etl.reports.finance.charges import blank_as_null
from usage_etl.units import UNALLOCATED, UNEXPLAINED

TAG_PREFIX = "usage-etl/"
"""Prefix of the tags that name owners."""

_RECURRING = ("seat", "capacity", "commitment", "support")
_SAME_COST = ("Credit", "Adjustment")
_OWNER_TAGS = ("business_unit_id", "department_id", "cost_center_id", "team_id", "project_id", "investigation_id")

_COPIED = {
    "x_AllocationRule": "allocation_rule",
    "x_AllocationRuleName": "rule_name",
    "x_BusinessUnitId": "business_unit_id",
    "x_BusinessUnitName": "business_unit_name",
    "x_ChargeKind": "charge_kind",
    "x_CommitmentDiscountId": "commitment_id_sent",
    "x_CorrectionReason": "correction_reason",
    "x_CorrectsMonth": "corrects_month",
    "x_CostCenterId": "cost_center_id",
    "x_CostCenterName": "cost_center_name",
    "x_DepartmentId": "department_id",
    "x_DepartmentName": "department_name",
    "x_DisputeId": "dispute_id",
    "x_FxRate": "fx_rate",
    "x_FxRateDate": "fx_rate_date",
    "x_FxRateSource": "fx_rate_source",
    "x_InvestigationId": "investigation_id",
    "x_InvoiceCurrency": "invoice_currency",
    "x_InvoiceLineId": "invoice_line_id",
    "x_LineId": "line_id",
    "x_LineKind": "line_kind",
    "x_MeteredCost": "metered_cost",
    "x_ModelId": "model_id",
    "x_PeriodStatus": "period_status",
    "x_ProjectId": "project_id",
    "x_RequestsCount": "requests_count",
    "x_ServiceCategorySent": "origin_service_category",
    "x_TeamId": "team_id",
    "x_TeamName": "team_name",
    "x_TotalTokens": "total_tokens",
}
"""Our own columns that are columns of the charge."""


def focus_rows(charges: pl.DataFrame) -> pl.DataFrame:
    """All columns of all versions, from charges with services; ``focus_columns`` says which a version has, in which order."""
    return charges.select(**_periods(), **_parties(), **_charge(), **_amounts(), **_allocation(charges), **_custom())


def _periods() -> dict[str, pl.Expr]:
    incurred = pl.coalesce("corrects_month", "month")
    return {
        "BillingPeriodStart": _midnight(pl.col("month")),
        "BillingPeriodEnd": _midnight(pl.col("month").dt.offset_by("1mo")),
        "ChargePeriodStart": _midnight(incurred),
        "ChargePeriodEnd": _midnight(incurred.dt.offset_by("1mo")),
    }


def _midnight(day: pl.Expr) -> pl.Expr:
    return day.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _parties() -> dict[str, pl.Expr]:
    provider = pl.col("provider_name")
    sub_account = pl.coalesce(blank_as_null("sub_account_id"), blank_as_null("origin_sub_account_id"))
    return {
        "ProviderName": provider,
        "PublisherName": pl.coalesce(blank_as_null("origin_publisher_name"), provider),
        "ServiceProviderName": provider,
        "HostProviderName": pl.coalesce(blank_as_null("origin_host_provider_name"), provider),
        "InvoiceIssuerName": pl.coalesce(blank_as_null("origin_invoice_issuer_name"), "account_issuer", provider),
        "BillingAccountId": pl.coalesce(blank_as_null("billing_account_id"), provider),
        "BillingAccountName": pl.coalesce(blank_as_null("origin_billing_account_name"), "account_name"),
        "SubAccountId": sub_account,
        "SubAccountName": pl.when(sub_account.is_not_null()).then(
            pl.coalesce(blank_as_null("origin_sub_account_name"), sub_account)
        ),
        "InvoiceId": pl.col("focus_invoice_id"),
        "InvoiceDetailId": pl.col("focus_invoice_detail_id"),
    }


def _charge() -> dict[str, pl.Expr]:
    return {
        "ChargeCategory": pl.col("category"),
        "ChargeClass": pl.coalesce("charge_class", "origin_charge_class"),
        "ChargeDescription": _description(),
        "ChargeFrequency": pl.when(pl.col("category") == "Usage")
        .then(pl.lit("Usage-Based"))
        .when((pl.col("category") == "Purchase") & pl.col("charge_kind").is_in(_RECURRING))
        .then(pl.lit("Recurring"))
        .otherwise(pl.lit("One-Time")),
        "ServiceName": pl.col("focus_service"),
        "ServiceCategory": pl.col("focus_category"),
        "ServiceSubcategory": pl.col("focus_subcategory"),
        "CommitmentDiscountId": pl.col("commitment_id"),
        "CommitmentDiscountStatus": pl.col("commitment_status"),
    }


def _description() -> pl.Expr:
    """What is charged, to whom, and why."""
    what = pl.concat_str(["focus_service", "model_id", "charge_kind"], separator=", ", ignore_nulls=True)
    reason = (
        pl.when(pl.col("dispute_id").is_not_null())
        .then(pl.format(", dispute {}", "dispute_id"))
        .when(pl.col("corrects_month").is_not_null())
        .then(pl.format(", correction of {}", pl.col("corrects_month").dt.strftime("%Y-%m")))
        .otherwise(pl.lit(""))
    )
    return pl.format("{}: {} to {}{}", what, "line_kind", "team_name", reason)


def _amounts() -> dict[str, pl.Expr]:
    billed = pl.col("allocated_cost")
    is_same = pl.col("category").is_in(_SAME_COST)
    is_copied = ~is_same & (~pl.col("is_share") | pl.col("origin_is_list_cost_estimated").fill_null(value=True))
    return {
        "BilledCost": billed,
        "EffectiveCost": pl.col("allocated_effective_cost"),
        "ListCost": pl.when(pl.col("is_share") & ~is_same).then("list_share").otherwise(billed),
        "ContractedCost": pl.when(pl.col("is_share") & ~is_same).then("contracted_share").otherwise(billed),
        "BillingCurrency": pl.col("billing_currency"),
        "PricingCurrency": pl.col("document_currency"),
        "PricingQuantity": pl.col("pricing_share"),
        "PricingUnit": pl.when(pl.col("pricing_share").is_not_null()).then("pricing_unit"),
        "ConsumedQuantity": pl.col("consumed_share"),
        "ConsumedUnit": pl.when(pl.col("consumed_share").is_not_null()).then("consumed_unit"),
        "x_ListCostEstimated": is_copied,
        "x_PricingQuantityEstimated": pl.col("is_pricing_estimated"),
        "x_ConsumedQuantityEstimated": pl.col("is_consumed_estimated"),
    }


def _allocation(charges: pl.DataFrame) -> dict[str, pl.Expr | pl.Series]:
    is_owned = ~pl.col("team_id").is_in([UNALLOCATED, UNEXPLAINED]) & (pl.col("line_kind") != "rounding")
    rows = charges.select("is_share", "line_kind", "ratio", "metered_cost", *_OWNER_TAGS).to_dicts()
    tags = [_tags(row) if _is_owned(row) else None for row in rows]
    return {
        "AllocatedMethodId": pl.when(pl.col("line_kind") != "rounding").then("rule_name"),
        "AllocatedMethodDetails": pl.Series("AllocatedMethodDetails", [_method(row) for row in rows], dtype=pl.String),
        "AllocatedResourceId": pl.when(is_owned).then("team_id"),
        "AllocatedResourceName": pl.when(is_owned).then(pl.coalesce(blank_as_null("team_name"), "team_id")),
        "AllocatedTags": pl.Series("AllocatedTags", tags, dtype=pl.String),
    }


def _is_owned(row: dict[str, Any]) -> bool:
    return row["team_id"] not in (UNALLOCATED, UNEXPLAINED) and row["line_kind"] != "rounding"


def _tags(row: dict[str, Any]) -> str:
    tags = {f"{TAG_PREFIX}{name}": row[name] for name in _OWNER_TAGS if row[name] is not None}
    return json.dumps(tags, ensure_ascii=False, separators=(",", ":"))


def _method(row: dict[str, Any]) -> str | None:
    """The line's ratio of its invoice line, and the metered cost that gave it: numbers with all their digits."""
    if not row["is_share"]:
        return None
    metered = row["metered_cost"]
    weight = "" if metered is None else f',"x_MeteredCost":{plain_decimal(metered)}'
    return f'{{"Elements":[{{"AllocatedRatio":{plain_decimal(row["ratio"])}{weight}}}]}}'


def _custom() -> dict[str, pl.Expr]:
    is_foreign = ~pl.col("is_own")
    return {
        **{name: pl.col(column) for name, column in _COPIED.items()},
        "x_OriginalInvoiceId": pl.when(is_foreign).then(blank_as_null("invoice_id")),
    }
