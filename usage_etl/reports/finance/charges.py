"""Lines of the chargeback that are charges, with their part of what the invoice line behind them says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import polars as pl

from usage_etl.money import MONEY
from usage_etl.periods import Month
from usage_etl.remainder import ATTOS, from_attos, to_attos
from usage_etl.reports.chargeback_files import line_part
from usage_etl.reports.finance.shares import converted, divide, weights_of
from usage_etl.schemas.chargeback import FACT_INVOICE_LINES_MONTHLY

_ORIGIN = (
    *(
        "publisher_name",
        "host_provider_name",
        "invoice_issuer_name",
        "billing_account_name",
        "sub_account_id",
        "sub_account_name",
    ),
    *("service_name", "service_category", "charge_class", "commitment_discount_id", "commitment_discount_status", "processing"),
    *("consumed_unit", "pricing_unit", "charges_count", "billed_cost", "list_cost", "contracted_cost", "is_list_cost_estimated"),
    *("consumed_quantity", "pricing_quantity"),
)
_PRICED = ("Usage", "Purchase")
_MEASURES = ("list_share", "contracted_share", "consumed_share", "pricing_share", "ratio")

is_charge = pl.col("charge_basis") == "billed"
"""Whether a line is a charge. Estimates are not: no provider charged them."""


def charges(lines: pl.DataFrame, invoice_lines: pl.DataFrame, invoices: pl.DataFrame, *, month: Month) -> pl.DataFrame:
    """One charge per row: a line of ``mart_chargeback_monthly`` that is no estimate, with columns of its invoice line.

    ``origin_*`` are those of the invoice line, null for rounding, corrections and disputes, and where a closed line's invoice
    line has changed since. ``list_share``, ``contracted_share`` (in the line's currency), ``consumed_share``,
    ``pricing_share`` and ``ratio`` are the line's part of it: the parts of one invoice line add up to it exactly.
    ``pricing_unit`` and ``consumed_unit`` are null where a charge has no quantity; a quantity that the provider does not name is
    the other one, else the invoice line itself counted as one unit, and is flagged.
    """
    origin = FACT_INVOICE_LINES_MONTHLY.validate(invoice_lines).select(
        "invoice_line_id", *(pl.col(name).alias(f"origin_{name}") for name in _ORIGIN)
    )
    found = lines.filter(is_charge).join(origin, on="invoice_line_id", how="left", maintain_order="left")
    found = found.join(_accounts(invoice_lines), on=["provider_name", "billing_account_id"], how="left", maintain_order="left")
    found = found.with_columns(is_own=line_part() == "billed_cost", category=_category())
    found = found.with_columns(
        is_share=pl.col("is_own") & pl.col("origin_list_cost").is_not_null(),
        document_currency=pl.coalesce("invoice_currency", "billing_currency"),
    )
    found = _with_invoice(found, invoices, month).with_columns(**_commitment()).with_columns(**_quantities())
    return found.with_columns(**_shares(found))


def blank_as_null(column: str) -> pl.Expr:
    """Text of a column; null where it holds nothing but blanks."""
    return pl.when(pl.col(column).str.strip_chars() != "").then(pl.col(column))


def registered_invoices(invoices: pl.DataFrame, month: Month) -> pl.DataFrame:
    """The month's invoices by account: how many, their total, and the id where there is only one."""
    return (
        invoices.filter(pl.col("billing_month") == month.first_day)
        .group_by("provider_name", "billing_account_id", document_currency="currency")
        .agg(
            invoices_count=pl.len(),
            invoice_total=pl.col("invoice_total").sum(),
            registered_id=pl.when(pl.len() == 1).then(pl.col("invoice_id").first()),
        )
    )


def _accounts(invoice_lines: pl.DataFrame) -> pl.DataFrame:
    """Issuer and name of each account whose invoice lines agree on them: for charges whose own line says neither."""
    only = {"account_issuer": "invoice_issuer_name", "account_name": "billing_account_name"}
    known = {name: blank_as_null(column).drop_nulls().unique() for name, column in only.items()}
    return invoice_lines.group_by("provider_name", "billing_account_id").agg(
        **{name: pl.when(found.len() == 1).then(found.first()) for name, found in known.items()}
    )


def _category() -> pl.Expr:
    is_adjustment = pl.col("line_kind").is_in(["rounding", "dispute"]) | pl.col("dispute_id").is_not_null()
    return pl.when(is_adjustment).then(pl.lit("Adjustment")).otherwise("charge_category")


def _with_invoice(found: pl.DataFrame, invoices: pl.DataFrame, month: Month) -> pl.DataFrame:
    """Own lines name their invoice: as the line does, else the only one that is registered for the account."""
    keys = ["provider_name", "billing_account_id", "document_currency"]
    registered = registered_invoices(invoices, month).select(*keys, "registered_id")
    joined = found.join(registered, on=keys, how="left", maintain_order="left")
    named = pl.coalesce(blank_as_null("invoice_id"), "registered_id")
    return joined.with_columns(
        focus_invoice_id=pl.when("is_own").then(named),
        focus_invoice_detail_id=pl.when(pl.col("is_own") & named.is_not_null()).then(pl.coalesce("invoice_line_id", "line_id")),
    )


def _commitment() -> dict[str, pl.Expr]:
    """FOCUS wants both id and status of a commitment's usage: without a status that is known, the id stays our own column."""
    sent = pl.coalesce(blank_as_null("commitment_discount_id"), blank_as_null("origin_commitment_discount_id"))
    lowered = pl.col("origin_commitment_discount_status").str.strip_chars().str.to_lowercase()
    status = lowered.replace_strict({"used": "Used", "unused": "Unused"}, default=None, return_dtype=pl.String)
    is_usage = pl.col("category") == "Usage"
    return {
        "commitment_id_sent": sent,
        "commitment_id": pl.when(~is_usage | status.is_not_null()).then(sent),
        "commitment_status": pl.when(is_usage & sent.is_not_null()).then(status),
    }


def _quantities() -> dict[str, pl.Expr]:
    """Totals to divide: as the invoice line names them, else the other quantity, else the line counted as one unit."""
    pairs = {}
    for kind in ("consumed", "pricing"):
        unit = blank_as_null(f"origin_{kind}_unit")
        pairs[kind] = (pl.when(unit.is_not_null()).then(f"origin_{kind}_quantity"), unit)
    is_due = pl.col("is_own") & (pl.col("line_kind") != "rounding")
    is_correction = (pl.col("origin_charge_class") == "Correction").fill_null(value=False)
    is_usage = pl.col("category") == "Usage"
    is_unused = (pl.col("commitment_status") == "Unused").fill_null(value=False)
    wanted = {
        "pricing": is_due & (pl.col("category") != "Tax"),
        "consumed": is_due & is_usage & ~is_unused,
    }
    needed = {"pricing": is_due & pl.col("category").is_in(_PRICED) & ~is_correction, "consumed": is_due & ~is_correction}
    found: dict[str, pl.Expr] = {}
    for kind, other in (("consumed", "pricing"), ("pricing", "consumed")):
        (own, own_unit), (else_, else_unit) = pairs[kind], pairs[other]
        is_named, is_other = own.is_not_null(), else_.is_not_null()
        total = pl.when(is_named).then(own).when(needed[kind] & is_other).then(else_).when(needed[kind]).then(pl.lit(1, MONEY))
        unit = pl.when(is_named).then(own_unit).when(needed[kind] & is_other).then(else_unit)
        found[f"{kind}_total"] = pl.when(wanted[kind]).then(total)
        found[f"{kind}_unit"] = pl.when(wanted[kind]).then(unit.when(needed[kind]).then(pl.lit("Units")))
        found[f"is_{kind}_estimated"] = wanted[kind] & needed[kind] & ~is_named
    return found


def _shares(found: pl.DataFrame) -> dict[str, pl.Series]:
    """The parts of every invoice line; a line that is no share of one is a whole of its own."""
    totals = {
        "list_share": to_attos(found.get_column("origin_list_cost")),
        "contracted_share": to_attos(found.get_column("origin_contracted_cost")),
        "consumed_share": to_attos(found.get_column("consumed_total")),
        "pricing_share": to_attos(found.get_column("pricing_total")),
    }
    rates = found.select(pl.when(pl.col("invoice_currency").is_not_null()).then("fx_rate")).to_series().to_list()
    groups = found.select(pl.when("is_share").then("invoice_line_id").otherwise("line_id")).to_series().to_list()
    keys = found.get_column("line_id").to_list()
    metered, allocated = to_attos(found.get_column("metered_cost")), to_attos(found.get_column("allocated_cost"))
    parts: dict[str, list[int | None]] = {name: [None] * found.height for name in _MEASURES}
    for members in _members(groups).values():
        first = members[0]
        weights = weights_of([metered[index] for index in members], [allocated[index] or 0 for index in members])
        whole = _whole({name: values[first] for name, values in totals.items()}, rates[first])
        for name, total in whole.items():
            if total is not None:
                shares = divide(total, weights, keys=[keys[index] for index in members])
                for index, share in zip(members, shares, strict=True):
                    parts[name][index] = share
    return {name: from_attos(values, name) for name, values in parts.items()}


def _whole(totals: Mapping[str, int | None], rate: Decimal | None) -> dict[str, int | None]:
    """What one invoice line has to divide, amounts in the currency of its chargeback lines."""
    is_money = ("list_share", "contracted_share")
    whole = {name: converted(total, rate) if total is not None and name in is_money else total for name, total in totals.items()}
    return {**whole, "ratio": ATTOS}


def _members(groups: Sequence[Any]) -> dict[Any, list[int]]:
    members: dict[Any, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    return members
