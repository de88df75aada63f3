"""The journal of a month: what was booked of the chargeback as entries of the clearing account, zero in every currency."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from usage_etl.allocation.journal_checks import check_balanced, check_disputes, check_facts
from usage_etl.config.finance import JournalSettings
from usage_etl.keys import sha256_hex
from usage_etl.money import MONEY
from usage_etl.periods import Month
from usage_etl.schemas.chargeback import MART_JOURNAL_MONTHLY
from usage_etl.schemas.dimensions import names_on
from usage_etl.units import UNALLOCATED

_CREDIT_KINDS = {"allocated": "owner", "unallocated": "unallocated", "unexplained": "unexplained", "rounding": "rounding"}
_IDENTITY = (
    "month",
    "entry_kind",
    "side",
    "provider_name",
    "billing_account_id",
    "invoice_id",
    "invoice_line_id",
    "line_id",
    "corrects_month",
    "currency",
)


def journal_month(
    chargeback: pl.DataFrame,
    invoice_lines: pl.DataFrame,
    cost_centers: pl.DataFrame,
    *,
    month: Month,
    settings: JournalSettings,
) -> pl.DataFrame:
    """One entry of the clearing account per row (MART_JOURNAL_MONTHLY), from MART_CHARGEBACK_MONTHLY.

    **Debits** are one per invoice line, of what its lines of the chargeback add up to, and one per invoice for what it says
    beyond its charge lines. **Credits** are one per line of the chargeback: to the account of its cost center (DIM_COST_CENTER
    on the month's last day), or to the accounts of what is unallocated, unexplained or rounding. A negative amount stands on
    the other side; amounts of 0 have no entry. **Converted** invoices are debited in their own currency; one entry ``fx``
    takes their total out of it and one brings it into the currency of the owners. **Corrections** are debited once per
    provider, account and corrected month, **disputes** move money among owners and have no debit. Estimates are not booked.

    All entries come from the booked lines, so that the journal of a closed month never changes. The charge lines
    (FACT_INVOICE_LINES_MONTHLY) are compared with them for every provider whose month is not closed. Raises
    ConservationError when they differ, when a dispute is not zero among owners, or when a currency does not balance.
    """
    booked = chargeback.filter(pl.col("month") == month.first_day, pl.col("charge_basis") == "billed").with_columns(
        currency=pl.col("billing_currency")
    )
    is_dispute = pl.col("dispute_id").is_not_null()
    is_correction = ~is_dispute & pl.col("corrects_month").is_not_null()
    own = booked.filter(~is_dispute & ~is_correction)
    check_disputes(booked.filter(is_dispute), month)
    check_facts(own, invoice_lines, month)
    is_converted = pl.col("invoice_cost").is_not_null()
    entries = [
        _invoice_side(own.filter(~is_converted), "billing_currency", "allocated_cost"),
        _invoice_side(own.filter(is_converted), "invoice_currency", "invoice_cost"),
        *_fx_legs(own.filter(is_converted)),
        _correction_side(booked.filter(is_correction)),
        _owner_side(booked, is_dispute, is_correction),
    ]
    journal = _finished(pl.concat(entries, how="diagonal"), cost_centers, month, settings)
    check_balanced(journal, month)
    return MART_JOURNAL_MONTHLY.validate(journal)


def _invoice_side(lines: pl.DataFrame, currency: str, cost: str) -> pl.DataFrame:
    """One debit per invoice line; lines that are of no invoice line by kind: an invoice beyond or without charge lines."""
    keys = ("provider_name", "billing_account_id", "invoice_id", "invoice_line_id", "service_name", "charge_kind", "line_kind")
    is_line = pl.col("invoice_line_id").is_not_null()
    kinds = lines.with_columns(line_kind=pl.when(~is_line).then("line_kind"), currency=pl.col(currency))
    summed = kinds.group_by(*keys, "currency").agg(debit=pl.col(cost).sum())
    what = pl.concat_str(pl.lit("charge line: "), "charge_kind", pl.lit(" of "), "service_name")
    beside = pl.when(pl.col("line_kind") == "rounding").then(pl.lit("invoice beyond its charge lines"))
    return summed.with_columns(
        entry_kind=pl.lit("invoice_line"),
        memo=pl.when(is_line).then(what).otherwise(beside.otherwise(pl.lit("invoice without charge lines"))),
    ).drop("service_name", "charge_kind", "line_kind")


def _fx_legs(lines: pl.DataFrame) -> Sequence[pl.DataFrame]:
    """Out of the currency of the invoice, and into the currency of the lines; one of each per account and rate."""
    keys = ("provider_name", "billing_account_id", "invoice_currency", "billing_currency", "fx_rate", "fx_rate_date")
    summed = lines.group_by(*keys).agg(pl.col("invoice_cost", "allocated_cost").sum())
    rate = pl.col("fx_rate").cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
    memo = pl.concat_str(
        pl.lit("converted from "), "invoice_currency", pl.lit(" to "), "billing_currency",
        pl.lit(" at "), rate, pl.lit(" of "), pl.col("fx_rate_date").cast(pl.String),
    )  # fmt: skip
    legs = summed.with_columns(memo=memo, entry_kind=pl.lit("fx"))
    columns = ("provider_name", "billing_account_id", "currency", "debit", "entry_kind", "memo")
    out = legs.with_columns(currency=pl.col("invoice_currency"), debit=-pl.col("invoice_cost"))
    into = legs.with_columns(currency=pl.col("billing_currency"), debit=pl.col("allocated_cost"))
    return out.select(columns), into.select(columns)


def _correction_side(lines: pl.DataFrame) -> pl.DataFrame:
    keys = ("provider_name", "billing_account_id", "corrects_month", "currency")
    summed = lines.group_by(*keys).agg(debit=pl.col("allocated_cost").sum())
    memo = pl.concat_str(pl.lit("correction of "), pl.col("corrects_month").dt.strftime("%Y-%m"))
    return summed.with_columns(entry_kind=pl.lit("correction"), memo=memo)


def _owner_side(booked: pl.DataFrame, is_dispute: pl.Expr, is_correction: pl.Expr) -> pl.DataFrame:
    """One credit per line of the chargeback; ``owner_kind`` says to which account."""
    owner_kind = pl.col("line_kind").replace_strict(_CREDIT_KINDS, default="owner", return_dtype=pl.String)
    by_owner = (
        pl.when(pl.col("team_id") == "unexplained")
        .then(pl.lit("unexplained"))
        .when((owner_kind == "owner") & (pl.col("cost_center_id") == UNALLOCATED))
        .then(pl.lit("unallocated"))
        .otherwise(owner_kind)
    )
    kind = pl.when(is_dispute).then(pl.lit("dispute")).when(is_correction).then(pl.lit("correction")).otherwise(owner_kind)
    return booked.select(
        "provider_name",
        "billing_account_id",
        "invoice_id",
        "line_id",
        "corrects_month",
        "cost_center_id",
        "cost_center_name",
        "currency",
        entry_kind=kind,
        account_of=by_owner,
        debit=-pl.col("allocated_cost"),
        memo=pl.coalesce("correction_reason", "allocation_rule"),
    )


def _finished(entries: pl.DataFrame, cost_centers: pl.DataFrame, month: Month, settings: JournalSettings) -> pl.DataFrame:
    """Entries with their accounts, sides and ids, in stored order. A debit below zero is a credit."""
    kept = entries.filter(pl.col("debit") != 0).with_columns(
        month=pl.lit(month.first_day),
        side=pl.when(pl.col("debit") > 0).then(pl.lit("debit")).otherwise(pl.lit("credit")),
        gl_account=_gl_account(cost_centers, month, settings),
    )
    ids = [sha256_hex(repr(row).encode())[:32] for row in kept.select(_IDENTITY).iter_rows()]
    nothing = pl.lit(None, MONEY)
    complete = kept.with_columns(
        entry_id=pl.Series(ids, dtype=pl.String),
        debit_cost=pl.when(pl.col("side") == "debit").then("debit").otherwise(nothing),
        credit_cost=pl.when(pl.col("side") == "credit").then(-pl.col("debit")).otherwise(nothing),
    )
    table = MART_JOURNAL_MONTHLY
    ordered = complete.sort(*table.sort_by, nulls_last=False)
    return ordered.select(pl.col(name).cast(dtype) for name, dtype in table.polars_schema.items())


def _gl_account(cost_centers: pl.DataFrame, month: Month, settings: JournalSettings) -> pl.Expr:
    accounts = names_on(cost_centers, id_column="cost_center_id", name_column="gl_account", day=month.last_day)
    special = {
        "unallocated": settings.unallocated_account,
        "unexplained": settings.unexplained_account,
        "rounding": settings.rounding_account,
    }
    owner = pl.col("cost_center_id").replace_strict(accounts, default=settings.expense_account, return_dtype=pl.String)
    return (
        pl.when(pl.col("entry_kind") == "fx")
        .then(pl.lit(settings.fx_account))
        .when(pl.col("account_of").is_null())
        .then(pl.lit(settings.clearing_account))
        .when(pl.col("account_of") == "owner")
        .then(owner)
        .otherwise(pl.col("account_of").replace_strict(special, default=None, return_dtype=pl.String))
    )
