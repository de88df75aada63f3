"""The allocation of a month: every bill as lines that owners pay, equal to the invoice to the last minor unit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from fractions import Fraction

import polars as pl

from usage_etl.allocation.bills import Bill, bills_of, in_minor_units, step_of, text_of
from usage_etl.allocation.conservation import check_conserved
from usage_etl.allocation.divide import Divider
from usage_etl.allocation.lines import lines_of
from usage_etl.allocation.owners import NOBODY_KNOWN, NOTHING_SEEN, OwnerDirectories, OwnerTree
from usage_etl.allocation.parts import Origin, Part, single
from usage_etl.allocation.rates import Rates
from usage_etl.allocation.rules import levels_of, refuse_unknown_owners, rules_of
from usage_etl.allocation.split import split_bills
from usage_etl.allocation.usage_rows import UsageRows
from usage_etl.allocation.usage_weights import UsageWeights
from usage_etl.config.finance import AllocationSettings, ReconciliationSettings
from usage_etl.errors import MissingRateError
from usage_etl.periods import Month
from usage_etl.schemas.chargeback import MART_ALLOCATION_MONTHLY


def allocate_month(
    invoice_lines: pl.DataFrame,
    usage_daily: pl.LazyFrame | pl.DataFrame,
    owners: OwnerDirectories,
    invoices: pl.DataFrame,
    fx_rates: pl.DataFrame,
    *,
    month: Month,
    organization_currency: str,
    allocation: AllocationSettings,
    reconciliation: ReconciliationSettings,
    as_of: dt.date | None = None,
) -> pl.DataFrame:
    """One share of one invoice line per row (MART_ALLOCATION_MONTHLY), or one estimate where no bill was delivered.

    Inputs are FACT_INVOICE_LINES_MONTHLY, FACT_USAGE_DAILY, the directories, DIM_INVOICE and DIM_FX_RATE; rows of other
    months are not looked at. docs/reference/allocation.md says by which rules lines are divided.

    **Total.** The lines of each (provider, account, currency) add up to its registered invoices, or without any to its
    charge lines rounded half-even to the minor unit. An invoice above or below its lines gives one line ``rounding``.
    **Currency.** With ``allocation.currency`` each total is converted once and divided in that currency; usage priced in
    another currency than the bill's has weight where a rate is known, also one by way of ``organization_currency``. While the
    month is running, rates are those of ``as_of``, the last complete day, instead of its last one.
    **Rounding.** Shares are exact fractions; all lines of an account are rounded together once, by largest remainder.

    Raises InvoiceMismatchError, MissingRateError and UnknownOwnerError naming every culprit before anything is divided,
    ConservationError when the finished lines of an account do not add up to its bill.
    """
    rates = Rates(fx_rates, max_age_days=allocation.fx_max_age_days)
    rates_until = month.last_day if as_of is None else min(month.last_day, as_of)
    tree = OwnerTree(owners, month)
    refuse_unknown_owners(allocation, tree, month)
    tolerance = reconciliation.invoice_tolerance_cost
    bills = bills_of(
        invoice_lines, invoices, rates, month=month, allocation=allocation, tolerance=tolerance, month_end=rates_until
    )
    detail = levels_of(allocation.rules, allocation.detail, month)
    rows = UsageRows(usage_daily.lazy(), owners, month=month, detail=detail)
    weights = UsageWeights(
        rows, converted=lambda given, wanted: rates.factor(given, wanted, rates_until, through=organization_currency)
    )
    parts = split_bills(bills, Divider(weights, tree), rules_of(allocation, month), tolerance_pct=reconciliation.tolerance_pct)
    parts += [part for bill in bills for part in _beside_lines(bill, weights)]
    parts += _estimates(weights, {bill.account[0] for bill in bills}, rates, rates_until, allocation)
    frame = lines_of(parts, weights, owners, month=month)
    check_conserved(frame, invoice_lines, invoices, month=month)
    return MART_ALLOCATION_MONTHLY.validate(frame)


def _beside_lines(bill: Bill, weights: UsageWeights) -> Iterator[Part]:
    """What invoices say beyond charge lines: the difference of both, or the whole of an account that delivered none."""
    if bill.invoiced is None:
        return
    ids = bill.invoice_ids
    origin = Origin(
        bill.account[0],
        bill.account[1],
        bill.currency,
        bill.account[2],
        rate=bill.rate,
        invoice_id=ids[0] if len(ids) == 1 else None,
        charge_kind="adjustment" if bill.lines else "purchase",
        charge_category="Adjustment" if bill.lines else "Purchase",
    )
    named = f"invoice(s) {', '.join(ids)}"
    if not bill.lines:
        text = f"unexplained: {named} without charge lines"
        yield single(origin, weights.owners.number(NOTHING_SEEN), bill.total, bill.total, rule=("invoice", text))
        return
    difference = _beyond(bill.total, bill.summed * bill.rate.factor, bill.currency)
    own_difference = _beyond(bill.invoiced, bill.summed, bill.account[2])
    if difference or own_difference:
        shown, currency = (difference, bill.currency) if difference else (own_difference, bill.account[2])
        side = "above" if shown > 0 else "below"
        text = f"rounding: {named} {text_of(abs(shown))} {currency} {side} the charge lines"
        owner = weights.owners.number(NOBODY_KNOWN)
        yield single(
            origin, owner, difference, Fraction(0), rule=("invoice", text), kind="rounding", invoiced=own_difference
        )  # fmt: skip


def _beyond(total: Fraction | int, lines_total: Fraction | int, currency: str) -> Fraction:
    """Attos by which an amount exceeds another once both are rounded to the minor unit."""
    return Fraction((in_minor_units(total, currency) - in_minor_units(lines_total, currency)) * step_of(currency))


def _estimates(
    weights: UsageWeights, billed: set[str], rates: Rates, day: dt.date, allocation: AllocationSettings
) -> Sequence[Part]:
    """Metered cost of the hosts that sent no bill at all, line by line: estimates, never part of a billed total."""
    parts, problems = [], set()
    for host, model_id, currency in weights.priced():
        if host in billed:
            continue
        target = allocation.currency or currency
        rate = rates.newest(currency, target, day)
        if rate is None:
            problems.add(rates.problem(currency, target, day, f"estimate of {host}"))
            continue
        own = weights.own_costs(host, model_id, currency)
        cost = Fraction(own.total, own.scale) * rate.factor
        origin = Origin(host, None, target, currency, rate=rate, model_id=model_id)
        text = "estimate: metered cost, no bill delivered"
        parts.append(
            Part(
                origin, "priced_usage", own.owners, own.weights, cost, cost, "estimate", text, line_kind="estimate",
                metered=own.times(rate.factor),
            )
        )  # fmt: skip
    if problems:
        raise MissingRateError(str(Month.of(day)), sorted(problems))
    return parts
