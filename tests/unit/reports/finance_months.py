"""Whole months of finance tables: one that is awkward on purpose, and one shaped as the demo's."""

import datetime as dt

import polars as pl

from tests.unit.reports.finance_rows import D, allocated, chargeback, cost, invoice_lines, invoices, owner

HOSTILE = '=cmd|"/C calc"!A0;\n"x",\t-1'
"""A name that tries to be a formula, two cells and two lines."""


def awkward_month():
    """(chargeback, invoice lines, invoices): bills with and without invoice, in two currencies, and everything booked late.

    Tokens and no quantities, lines below a cent, credit, tax, seats, commitments used and unused, hostile names, an estimate, a
    correction that moves money, one that changes the total, and a dispute.
    """
    lines = invoice_lines(
        {"billed_cost": D("812.3456"), "list_cost": D("900.1"), "contracted_cost": D("850.000000000000000001")}
        | {"consumed_quantity": D("123456789"), "consumed_unit": "Tokens", "is_list_cost_estimated": False},
        {"model_id": None, "billed_cost": D("0.0049"), "list_cost": D("0.0049"), "sub_account_id": "proj-1"},
        {"billed_cost": D("-12.005"), "list_cost": D("-12.005"), "charge_category": "Credit", "charge_kind": "credit"},
        {"billed_cost": D("77.01"), "list_cost": D("77.01"), "charge_category": "Tax", "charge_kind": "tax", "model_id": None},
        {"billed_cost": D("300"), "list_cost": D("360"), "charge_category": "Purchase", "charge_kind": "seat", "model_id": None}
        | {"service_name": "ChatGPT Enterprise", "pricing_quantity": D("6"), "pricing_unit": "Seats", "sub_account_name": "S"},
        {
            "provider_name": "anthropic",
            "billing_account_id": "org-a",
            "service_name": "Anthropic API",
            "billed_cost": D("1000.005"),
        }
        | {"model_id": "claude-opus-5", "list_cost": D("1000.005"), "contracted_cost": D("1000.005")},
        {"provider_name": "azure", "billing_account_id": "acc-e", "billing_currency": "EUR", "service_name": HOSTILE}
        | {
            "billed_cost": D("10.10"),
            "list_cost": D("20"),
            "commitment_discount_id": "res-1",
            "commitment_discount_status": "used",
        }
        | {"invoice_id": "E-7", "publisher_name": "OpenAI", "host_provider_name": "azure", "invoice_issuer_name": "Microsoft"},
        {"provider_name": "azure", "billing_account_id": "acc-e", "billing_currency": "EUR", "service_name": HOSTILE}
        | {"billed_cost": D("5"), "list_cost": D("5"), "commitment_discount_id": "res-1", "commitment_discount_status": "Unused"}
        | {"invoice_id": "E-7", "service_category": "Compute", "model_id": None},
    )
    owners = [
        [("search", D("400.5"), D("400.5")), ("ads", D("300.25"), D("300.25")), ("unallocated", D("0.000001"), D("0.000001"))],
        [("search", None, 1), ("ads", None, 1), ("ops", None, 1)],
        [("search", D(1), 1), ("ads", D(2), 2)],
        [("search", None, 2), ("ads", None, 1)],
        [("ops", None, 5), ("ads", None, 1)],
        [("search", D(700), 700), ("unexplained", None, 300)],
        [("search", D(3), 3), ("ads", D(0), 0)],
        [("ops", None, 1)],
    ]
    registered = {("openai", "org-1", "USD"): D("1177.36")}
    own = allocated(lines, owners, totals=registered)
    papers = invoices(
        {"invoice_total": D("1177.36"), "purchase_order": "PO-9"},
        {"invoice_id": "OLD", "billing_month": dt.date(2026, 9, 1), "invoice_total": D("5")},
    )
    return pl.concat([own, late_lines()]), lines, papers


def late_lines():
    """An estimate, corrections of September of which one changes the total, and both sides of a dispute."""
    late = {"metered_cost": None, "invoice_id": "OLD", "invoice_line_id": None, "service_name": None, "model_id": None}
    correction = late | {"corrects_month": dt.date(2026, 9, 1), "charge_class": "Correction", "correction_reason": "late file"}
    dispute = late | {"dispute_id": "D-1", "charge_category": "Adjustment", "charge_kind": "adjustment", "line_kind": "dispute"}
    return chargeback(
        {"line_kind": "estimate", "charge_basis": "priced_usage", "billing_account_id": None, "service_name": None}
        | cost("55.55"),
        correction | owner("search") | cost("-3.00"),
        correction | owner("ads") | cost("3.50"),
        dispute | owner("ads") | {"line_kind": "dispute"} | cost("-1.00"),
        dispute | owner("unallocated") | {"line_kind": "dispute"} | cost("1.00"),
    )


def demo_month():
    """(chargeback, invoice lines, invoices) shaped as the demo's: two providers, one invoice, tokens of one, credits."""
    models = {"openai": ("gpt-5", "gpt-5-mini", None), "anthropic": ("claude-opus-5", "claude-haiku-4-5", None)}
    bills, owners = [], []
    for provider, found in models.items():
        for number, model in enumerate(found):
            for sub_account in (None, "proj_Kq3vZt81XbWmLrT0aYcN5uHd"):
                charged = D("1234.5678901") * (number + 1)
                bill = {"provider_name": provider, "billing_account_id": f"org-{provider}", "service_name": f"{provider} API"}
                bill |= {"model_id": model, "sub_account_id": sub_account, "billed_cost": charged, "list_cost": charged}
                tokens = {"consumed_quantity": D(10**9 + number), "consumed_unit": "Tokens"} if provider == "openai" else {}
                bills.append(bill | tokens | {"contracted_cost": charged})
                owners.append([("search", charged / 2, 5), ("ads", charged / 4, 3), ("unexplained", None, 1)])
        credit = {"provider_name": provider, "billing_account_id": f"org-{provider}", "service_name": f"{provider} API"}
        bills.append(credit | {"billed_cost": D("-25"), "charge_category": "Credit", "charge_kind": "credit", "model_id": None})
        owners.append([("unallocated", None, 1)])
    lines = invoice_lines(*bills)
    total = {("openai", "org-openai", "USD"): D("14789.82")}
    papers = invoices({"billing_account_id": "org-openai", "invoice_total": D("14789.82")})
    return pl.concat([allocated(lines, owners, totals=total), late_lines()]), lines, papers
