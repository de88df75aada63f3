"""What finance keeps: the invoices of months that are over, exchange rates, and a file for the disputes of one team."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from usage_etl.demo.csv_text import csv_text
from usage_etl.demo.models import BILLED_PROVIDERS
from usage_etl.demo.scenario import Scenario
from usage_etl.demo.truth import MonthAmounts
from usage_etl.periods import Month

BILLING_ACCOUNTS: Mapping[str, str] = {"anthropic": "northwind-anthropic", "openai": "org-northwind"}
"""Provider to the account that its charges name."""

_CENT = Decimal("0.01")
_ISSUED_ON = 2
_DAYS_TO_PAY = 30
_NUMBERS = {"anthropic": ("NWA", "PO-45001172"), "openai": ("OAI-7F31", "PO-45001098")}
_RATE, _RATE_STEPS = Decimal("0.8600"), 160
_RATE_SOURCE = "made up for the demo, in the form of a central bank's reference rates"
_DISPUTE_COLUMNS = (
    *("dispute_id", "line_id", "disputed_cost", "reason", "raised_by", "raised_date", "resolution", "accepted_cost"),
    *("charge_to_team_id", "resolved_date"),
)


@dataclass(frozen=True)
class Invoice:
    """One invoice of one month that is over."""

    invoice_id: str
    provider: str
    month: Month
    issued_date: dt.date
    invoice_total: Decimal
    """The bill's exact total, credits included, rounded half-even to cents."""
    purchase_order: str


def planned_invoices(scenario: Scenario, *, usage: MonthAmounts, granted: MonthAmounts) -> tuple[Invoice, ...]:
    """The invoices that have arrived by the last day, from exact charges and granted credits by (provider, month)."""
    return tuple(_invoices(scenario, usage, granted))


def _invoices(scenario: Scenario, usage: MonthAmounts, granted: MonthAmounts) -> Iterator[Invoice]:
    for month in sorted({Month.of(day) for day in scenario.days()}):
        issued = month.end.replace(day=_ISSUED_ON)
        for provider in BILLED_PROVIDERS:
            exact = usage[provider, str(month)] + granted.get((provider, str(month)), Decimal(0))
            if issued > scenario.as_of or not exact:
                continue
            prefix, order = _NUMBERS[provider]
            invoice_id = f"{prefix}-{month.first_day:%Y%m}"
            yield Invoice(invoice_id, provider, month, issued, exact.quantize(_CENT, ROUND_HALF_EVEN), order)


def finance_files(scenario: Scenario, invoices: Sequence[Invoice]) -> dict[str, str]:
    """File name to text of each file.

    The dispute file has no row: a dispute names a line of a published chargeback, and nothing is published yet.
    """
    return {
        "invoices.csv": csv_text(
            (
                *("invoice_id", "provider_name", "billing_account_id", "billing_month", "issued_date", "due_date", "currency"),
                *("invoice_total", "tax_total", "purchase_order"),
            ),
            map(_invoice_row, invoices),
        ),
        "fx_rates.csv": csv_text(("from_currency", "to_currency", "rate_date", "rate", "rate_source"), _rates(scenario)),
        "disputes/team-success.csv": csv_text(_DISPUTE_COLUMNS, ()),
    }


def _invoice_row(invoice: Invoice) -> tuple[object, ...]:
    due = invoice.issued_date + dt.timedelta(days=_DAYS_TO_PAY)
    account, total = BILLING_ACCOUNTS[invoice.provider], invoice.invoice_total
    billed = (invoice.month.first_day, invoice.issued_date, due, "USD", total, None)
    return invoice.invoice_id, invoice.provider, account, *billed, invoice.purchase_order


def _rates(scenario: Scenario) -> Iterator[tuple[object, ...]]:
    """Dollars to euros on the last weekday of each month that is over."""
    for month in sorted({Month.of(day) for day in scenario.days()}):
        day = month.last_day - dt.timedelta(days=max(0, month.last_day.weekday() - 4))
        if month.last_day <= scenario.as_of:
            drift = scenario.random("fx", month).randint(-_RATE_STEPS, _RATE_STEPS)
            yield "USD", "EUR", day, _RATE + drift * Decimal("0.0001"), _RATE_SOURCE
