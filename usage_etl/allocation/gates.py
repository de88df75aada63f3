"""Tolerance gates: what must hold of a month's tie-out before its files are published or the month is closed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import ROUND_UP, Decimal, localcontext
from fractions import Fraction
from typing import Any

import polars as pl

from usage_etl.config.finance import ToleranceGate
from usage_etl.money import exact_sum, minor_unit

_NAMED_LINES_COUNT = 3
Account = tuple[str, str, str]
"""(provider, billing account, currency)"""


def failed_gates(
    reconciliation_monthly: pl.DataFrame,
    invoice_tie_out: pl.DataFrame,
    gates: Sequence[ToleranceGate],
    *,
    invoice_tolerance: Decimal,
) -> list[str]:
    """One sentence for each gate that does not hold: provider, account, how much over which limit, and the worst lines.

    Wants mart_reconciliation_monthly and mart_invoice_tie_out of one month; of the latter the columns about invoices are
    enough. Gates hold for each account and currency by itself. Amounts are added up line by line without their signs, so that
    nothing is netted; credits are no part of billed usage. An invoice must equal its charge lines within
    ``invoice_tolerance``, whether or not there are ``gates``.
    """
    found = failed_by_account(reconciliation_monthly, invoice_tie_out, gates, invoice_tolerance=invoice_tolerance)
    return [text for _, texts in sorted(found.items()) for text in texts]


def failed_by_account(
    reconciliation_monthly: pl.DataFrame,
    invoice_tie_out: pl.DataFrame,
    gates: Sequence[ToleranceGate],
    *,
    invoice_tolerance: Decimal,
) -> dict[Account, list[str]]:
    """``failed_gates`` by (provider, account, currency); accounts whose gates hold are absent."""
    found: dict[Account, list[str]] = {}
    key = ("provider_name", "billing_account_id", "billing_currency")
    billed = reconciliation_monthly.filter(pl.col("billed_cost").is_not_null())
    for (provider, account, currency), lines in billed.sort(key).group_by(key, maintain_order=True):
        texts = [text for gate in gates_of(str(provider), gates) for text in _failures(gate, lines, str(currency))]
        if texts:
            found[str(provider), str(account), str(currency)] = [f"{provider}, account {account}: {text}" for text in texts]
    for row in invoice_tie_out.sort(key).iter_rows(named=True):
        gap = row["invoice_difference_cost"]
        if gap is not None and abs(gap) > invoice_tolerance:
            found.setdefault((row[key[0]], row[key[1]], row[key[2]]), []).append(_invoice_text(row, gap, invoice_tolerance))
    return found


def gates_of(provider: str, gates: Sequence[ToleranceGate]) -> list[ToleranceGate]:
    """A provider's own gates, else those for any."""
    return [gate for gate in gates if gate.provider == provider] or [gate for gate in gates if gate.provider == "*"]


def _failures(gate: ToleranceGate, lines: pl.DataFrame, currency: str) -> Iterator[str]:
    """What does not hold of one gate for the lines of one account in one currency."""
    gross = lines.select((pl.col("billed_cost") - pl.col("credits_cost")).alias("gross_cost"))["gross_cost"]
    billed = exact_sum(gross.abs())
    unexplained = exact_sum(lines["unexplained_cost"].abs())
    worst = f"; most of it: {_worst(lines, pl.col('unexplained_cost'), currency)}"
    what = f"no cause explains {_money(unexplained, currency)}"
    if gate.unexplained_cost is not None and unexplained > gate.unexplained_cost:
        yield f"{what}, the limit is {_money(gate.unexplained_cost, currency)}{worst}"
    if gate.unexplained_pct is not None and _is_over(unexplained, billed, gate.unexplained_pct):
        yield f"{what}, {_share(unexplained, billed, currency)}, the limit is {gate.unexplained_pct:f} %{worst}"
    if gate.difference_pct is not None:
        gap = pl.col("difference_cost") - pl.col("credits_cost")
        difference = exact_sum(lines.select(gap.alias("gap_cost"))["gap_cost"].abs())
        if _is_over(difference, billed, gate.difference_pct):
            share = _share(difference, billed, currency)
            yield (
                f"billed and metered cost differ by {_money(difference, currency)}, {share}, "
                f"the limit is {gate.difference_pct:f} %; most of it: {_worst(lines, gap, currency)}"
            )


def _is_over(part: Decimal, whole: Decimal, limit_pct: Decimal) -> bool:
    return Fraction(part) > Fraction(whole) * Fraction(limit_pct) / 100


def _share(part: Decimal, whole: Decimal, currency: str) -> str:
    if not whole:
        return "with no usage billed"
    share = Fraction(part) / Fraction(whole) * 10_000
    return f"{Decimal(-(-share.numerator // share.denominator)) / 100} % of {_money(whole, currency)} billed usage"


def _worst(lines: pl.DataFrame, amount: pl.Expr, currency: str) -> str:
    """The lines with the largest amounts, by name."""
    largest = (
        lines.with_columns(amount.alias("gap_cost"))
        .filter(pl.col("gap_cost") != 0)
        .sort(-pl.col("gap_cost").abs(), "model_id", "sku_meter", "token_class", "processing")
        .head(_NAMED_LINES_COUNT)
    )
    return ", ".join(f"{_line_name(row)} {_money(row['gap_cost'], currency)}" for row in largest.iter_rows(named=True))


def _line_name(row: dict[str, Any]) -> str:
    model = row["model_id"] or row["sku_meter"] or "lines without a model"
    return " ".join(str(part) for part in (model, row["token_class"], row["processing"]) if part)


def _invoice_text(row: dict[str, Any], gap: Decimal, tolerance: Decimal) -> str:
    currency = row["billing_currency"]
    return (
        f"{row['provider_name']}, account {row['billing_account_id']}: the invoice ({row['invoice_ids']}) is "
        f"{_money(row['invoice_cost'], currency)} and its charge lines {_money(row['billed_cost'], currency)}, "
        f"{_money(gap, currency)} apart, the limit is {_money(tolerance, currency)}"
    )


def _money(amount: Decimal, currency: str) -> str:
    """Rounded away from zero, so that what is over a limit never looks as if it were not."""
    with localcontext() as context:
        context.prec = 76
        return f"{amount.quantize(minor_unit(currency), rounding=ROUND_UP):f} {currency}"
