"""The invoice beside the provider's cost report, and what is tied out below it."""

from __future__ import annotations

import polars as pl

from usage_etl.allocation.gates import failed_by_account
from usage_etl.allocation.tie_out_bills import Frame
from usage_etl.config.finance import ReconciliationSettings
from usage_etl.money import MONEY
from usage_etl.periods import Month
from usage_etl.schemas.tie_out import MART_INVOICE_TIE_OUT

_KEY = ["provider_name", "billing_account_id", "billing_currency"]
PASSED = "passed"
"""What ``gate`` says where publication is free."""


def invoice_tie_out(
    charges: Frame,
    reconciliation_monthly: pl.DataFrame,
    invoices: Frame,
    *,
    month: Month,
    settings: ReconciliationSettings,
) -> pl.DataFrame:
    """One (provider, account, currency) of the month's charge lines or invoices per row (mart_invoice_tie_out).

    ``charges`` is billing_charges of every category, ``reconciliation_monthly`` the month's tie-out, ``invoices``
    dim_invoice. Accounts with an invoice and no lines are billed 0, and differ by all of it. ``gate`` holds what
    ``settings.publish_gates`` and ``settings.invoice_tolerance_cost`` say, one sentence for each gate that does not hold.
    """
    billed = _billed(charges, month)
    invoiced = _invoiced(invoices, month)
    below = reconciliation_monthly.group_by(_KEY).agg(_known_sum("metered_cost"), pl.col("unexplained_cost").sum())
    rows = (
        pl.concat([billed.select(_KEY), invoiced.select(_KEY)])
        .unique()
        .join(billed, on=_KEY, how="left")
        .join(invoiced, on=_KEY, how="left")
        .join(below, on=_KEY, how="left")
        .sort(_KEY)
        .with_columns(
            pl.lit(month.first_day).alias("month"),
            pl.col("billed_cost", "usage_cost", "credits_cost", "tax_cost", "other_cost", "unexplained_cost").fill_null(
                pl.lit(0).cast(MONEY)
            ),
        )
        .with_columns(invoice_difference_cost=(pl.col("invoice_cost") - pl.col("billed_cost")).cast(MONEY))
    )
    failed = failed_by_account(
        reconciliation_monthly, rows, settings.publish_gates, invoice_tolerance=settings.invoice_tolerance_cost
    )
    gates = ["; ".join(failed.get(key, [PASSED])) for key in rows.select(_KEY).iter_rows()]
    frame = rows.with_columns(pl.Series("gate", gates, dtype=pl.String)).select(*MART_INVOICE_TIE_OUT.columns)
    return MART_INVOICE_TIE_OUT.validate(frame)


def _billed(charges: Frame, month: Month) -> pl.DataFrame:
    def of(*categories: str) -> pl.Expr:
        return pl.col("billed_cost").filter(pl.col("charge_category").is_in(categories)).sum()

    return (
        charges.lazy()
        .filter(pl.col("charge_date").is_between(month.first_day, month.last_day))
        .group_by(_KEY)
        .agg(
            pl.col("billed_cost").sum(),
            usage_cost=of("Usage"),
            credits_cost=of("Credit"),
            tax_cost=of("Tax"),
            other_cost=of("Purchase", "Adjustment"),
        )
        .collect(engine="streaming")
    )


def _invoiced(invoices: Frame, month: Month) -> pl.DataFrame:
    return (
        invoices.lazy()
        .filter(pl.col("billing_month") == month.first_day)
        .rename({"currency": "billing_currency"})
        .group_by(_KEY)
        .agg(pl.col("invoice_id").sort().str.join(", ").alias("invoice_ids"), pl.col("invoice_total").sum().alias("invoice_cost"))
        .collect()
    )


def _known_sum(name: str) -> pl.Expr:
    return pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()).alias(name)
