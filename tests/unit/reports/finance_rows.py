"""Rows of the tables that finance files are made from: one of each kind, and months that were allocated by hand."""

import datetime as dt
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction

import polars as pl

from usage_etl.money import minor_unit
from usage_etl.periods import Month
from usage_etl.schemas.chargeback import (
    FACT_INVOICE_LINES_MONTHLY,
    INVOICE_LINE_KEYS,
    MART_CHARGEBACK_MONTHLY,
    MART_JOURNAL_MONTHLY,
)
from usage_etl.schemas.ownership import DIM_COST_CENTER, DIM_INVOICE

D = Decimal
MONTH = Month(2026, 10)
AS_OF = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)

LINE = {
    "month": MONTH.first_day,
    "line_kind": "allocated",
    "charge_basis": "billed",
    "provider_name": "openai",
    "billing_account_id": "org-1",
    "service_name": "OpenAI API",
    "charge_kind": "usage",
    "charge_category": "Usage",
    "model_id": "gpt-5",
    "business_unit_id": "bu-1",
    "business_unit_name": "Products",
    "department_id": "eng",
    "department_name": "Engineering",
    "team_id": "search",
    "team_name": "Search",
    "cost_center_id": "cc-100",
    "cost_center_name": "R&D",
    "requests_count": 10,
    "total_tokens": 1000,
    "metered_cost": Decimal("1.234567"),
    "allocated_cost": Decimal("1.24"),
    "allocated_effective_cost": Decimal("1.24"),
    "billing_currency": "USD",
    "rule_name": "usage",
    "allocation_rule": "usage by metered cost",
    "period_status": "preliminary",
}
INVOICE_LINE = {
    "month": MONTH.first_day,
    "provider_name": "openai",
    "billing_account_id": "org-1",
    "service_name": "OpenAI API",
    "charge_kind": "usage",
    "charge_category": "Usage",
    "model_id": "gpt-5",
    "billing_currency": "USD",
    "charges_count": 31,
    "billed_cost": Decimal("1.24"),
    "effective_cost": Decimal("1.24"),
    "list_cost": Decimal("1.24"),
    "contracted_cost": Decimal("1.24"),
    "is_list_cost_estimated": True,
}
INVOICE = {
    "invoice_id": "INV-1",
    "provider_name": "openai",
    "billing_account_id": "org-1",
    "billing_month": MONTH.first_day,
    "issued_date": dt.date(2026, 11, 3),
    "due_date": dt.date(2026, 12, 3),
    "currency": "USD",
    "invoice_total": Decimal("1.24"),
}
TEAMS = {
    "search": ("Search", "cc-100", "R&D"),
    "ads": ("Ads", "cc-200", "Sales"),
    "ops": ("Operations", "cc-300", "IT"),
    "unallocated": ("Unallocated", "unallocated", "Unallocated"),
    "unexplained": ("Unexplained", "unexplained", "Unexplained"),
}
"""Team to its name, cost center and that one's name."""


def chargeback(*lines):
    """A frame of mart_chargeback_monthly: the default line with what each of ``lines`` says otherwise."""
    rows = [LINE | {"line_id": f"line-{number:05d}"} | both_views(line) for number, line in enumerate(lines)]
    return pl.DataFrame(rows, schema=MART_CHARGEBACK_MONTHLY.polars_schema, strict=False)


def both_views(line):
    """A line that says what is allocated and nothing of the amortised view: the same."""
    return {"allocated_effective_cost": line["allocated_cost"]} | line if "allocated_cost" in line else line


def invoice_lines(*lines):
    """A frame of fact_invoice_lines_monthly; ids number the lines."""
    rows = [INVOICE_LINE | {"invoice_line_id": f"il-{number:05d}"} | line for number, line in enumerate(lines)]
    return pl.DataFrame(rows, schema=FACT_INVOICE_LINES_MONTHLY.polars_schema, strict=False)


def invoices(*rows):
    """A frame of dim_invoice."""
    found = [INVOICE | row for row in rows]
    return pl.DataFrame(found, schema=DIM_INVOICE.polars_schema, strict=False)


def cost_centers(**accounts):
    """A frame of dim_cost_center: cost center, with _ for -, to its account, valid for ever."""
    rows = [
        {
            "cost_center_id": name.replace("_", "-"),
            "cost_center_name": name,
            "gl_account": account,
            "valid_from": dt.date(2020, 1, 1),
        }
        for name, account in accounts.items()
    ]
    return pl.DataFrame(rows, schema=DIM_COST_CENTER.polars_schema, strict=False)


def owner(team_id):
    """Owner columns of a team, and the line kind that goes with it."""
    name, center, center_name = TEAMS[team_id]
    kind = team_id if team_id in ("unallocated", "unexplained") else "allocated"
    return {
        "team_id": team_id,
        "team_name": name,
        "cost_center_id": center,
        "cost_center_name": center_name,
        "line_kind": kind,
    }


def allocated(lines, owners, *, totals=None, rate=None):
    """Chargeback lines of invoice lines, allocated by hand.

    ``owners`` is, per invoice line, a list of (team, metered or None, weight). ``totals`` are registered totals by (provider,
    account, currency); the difference to the lines is a rounding line. ``rate`` is (currency, rate, date) to convert to.
    """
    by_account = defaultdict(list)
    for line, shares in zip(lines.to_dicts(), owners, strict=True):
        by_account[line["provider_name"], line["billing_account_id"], line["billing_currency"]].append((line, shares))
    rows = []
    for account, found in by_account.items():
        rows += _account(account, found, (totals or {}).get(account), rate)
    return chargeback(*rows)


def _account(account, found, total, rate):
    bill = sum((Fraction(line["billed_cost"]) for line, _ in found), Fraction(0))
    payable = Fraction(total) if total is not None else bill
    parts = [(share_of(line, shares, index), line, shares[index]) for line, shares in found for index in range(len(shares))]
    currency, factor, extra = account[2], Fraction(1), {}
    if rate is not None and rate[0] != currency:
        extra = {"invoice_currency": currency, "fx_rate": rate[1], "fx_rate_date": rate[2], "fx_rate_source": "ECB"}
        currency, factor = rate[0], Fraction(rate[1])
    rounding = payable - bill if total is not None else Fraction(0)
    exact = [part * factor for part, _, _ in parts] + ([rounding * factor] if rounding else [])
    cents = whole(exact, payable * factor, Fraction(minor_unit(currency)))
    key = "|".join(account)
    rows = []
    for number, (charged, (_, line, (team, metered, _))) in enumerate(zip(cents, parts, strict=False)):
        copied = {name: line[name] for name in INVOICE_LINE_KEYS if name in LINE or name in ("invoice_id", "sub_account_id")}
        money = {"allocated_cost": charged, "billing_currency": currency, "metered_cost": metered}
        origin = {"line_id": f"{key}-{number}", "invoice_line_id": line["invoice_line_id"]}
        rows.append(copied | owner(team) | money | origin | extra | {"charge_class": line["charge_class"]})
    if rounding:
        rows.append(
            {
                "provider_name": account[0],
                "billing_account_id": account[1],
                "service_name": None,
                "model_id": None,
                "charge_category": "Adjustment",
                "charge_kind": "adjustment",
                "metered_cost": None,
                "allocated_cost": cents[-1],
                "billing_currency": currency,
                **(owner("unallocated") | {"line_kind": "rounding", "line_id": f"{key}-rounding"}),
                **extra,
            }
        )
    return rows


def share_of(line, shares, index):
    """Exact share of an invoice line by its weights."""
    basis = sum(Fraction(weight) for _, _, weight in shares)
    return Fraction(line["billed_cost"]) * Fraction(shares[index][2]) / basis


def whole(exact, total, unit):
    """Exact shares in whole units whose sum is the rounded total: largest remainder, ties in order."""
    target = round(total / unit)
    floors = [share // unit for share in exact]
    order = sorted(range(len(exact)), key=lambda index: floors[index] - exact[index] / unit)
    for index in order[: target - sum(floors)]:
        floors[index] += 1
    return [Decimal(floor) * Decimal(unit.numerator) / Decimal(unit.denominator) for floor in floors]


def journal_of(lines, *, accounts=None):
    """A balanced mart_journal_monthly for chargeback lines: one debit per account and invoice currency, credits per line."""
    rows, sums, rates = [], defaultdict(Decimal), {}
    for line in lines.filter(pl.col("charge_basis") == "billed").to_dicts():
        kind = {"rounding": "rounding", "dispute": "dispute", "unallocated": "unallocated", "unexplained": "unexplained"}
        booked = "correction" if line["corrects_month"] else kind.get(line["line_kind"], "owner")
        rows.append(
            {
                "entry_id": f"e-{line['line_id']}",
                "entry_kind": booked,
                "line_id": line["line_id"],
                **{name: line[name] for name in ("provider_name", "billing_account_id", "invoice_id", "corrects_month")},
                **{name: line[name] for name in ("cost_center_id", "cost_center_name")},
                "gl_account": (accounts or {}).get(line["cost_center_id"], "6000"),
                **sides(-line["allocated_cost"]),
                "currency": line["billing_currency"],
                "memo": "share",
            }
        )
        key = (line["provider_name"], line["billing_account_id"], line["billing_currency"], line["invoice_currency"])
        sums[key] += line["allocated_cost"]
        rates[key] = line["fx_rate"]
    for (provider, account, currency, foreign), total in sums.items():
        side = {"provider_name": provider, "billing_account_id": account, "memo": "bill", "invoice_id": f"INV-{provider}"}
        document = total if foreign is None else (total / rates[provider, account, currency, foreign]).quantize(Decimal("0.01"))
        bill = side | {"entry_kind": "invoice_line", "gl_account": "2000", "currency": foreign or currency, **sides(document)}
        rows.append(bill | {"entry_id": f"e-{provider}-{account}-{currency}-{foreign}"})
        if foreign is not None:
            fx = side | {"entry_kind": "fx", "gl_account": "2900"}
            rows.append(fx | {"currency": foreign, "entry_id": f"fx-out-{provider}-{account}", **sides(-document)})
            rows.append(fx | {"currency": currency, "entry_id": f"fx-in-{provider}-{account}", **sides(total)})
    rows = [{"month": MONTH.first_day} | row for row in rows]
    return pl.DataFrame(rows, schema=MART_JOURNAL_MONTHLY.polars_schema, strict=False)


def sides(amount):
    """An amount as debit, a negative one as credit."""
    return {"debit_cost": amount if amount >= 0 else None, "credit_cost": -amount if amount < 0 else None}


def cost(amount):
    """An allocated amount."""
    return {"allocated_cost": D(amount)}
