"""The organization above teams, what people work on, and what it is billed for: dated directories of owners."""

from __future__ import annotations

import dataframely as dy

from usage_etl.schemas.contract import Table, day, money, one_of, text
from usage_etl.schemas.contract import quantity as exact


def first_day() -> dy.Date:
    """Begin of a span of validity."""
    return day("first day")


def end_day() -> dy.Date:
    """Exclusive end of a span of validity."""
    return day("first day no longer valid; null is open", nullable=True)


def split_pct() -> dy.Decimal:
    """Share of a member that a row takes; rows of one member on one day add up to 100."""
    return exact("share of the member that this row takes; null is 100", nullable=True, unit="percent")


def dated(name: str, schema: type[dy.Schema], grain: str, *keys: str) -> Table:
    """A directory table whose rows are valid for spans of days."""
    return Table(
        name=name,
        schema=schema,
        grain=grain,
        partition=None,
        sort_by=(*keys, "valid_from"),
        group="1_land",
        owner="team:finops",
    )


class DimBusinessUnit(dy.Schema):
    """One business unit, with the unit above it, for one span of days."""

    business_unit_id = text("as the directories spell it", nullable=False)
    business_unit_name = text("for people", nullable=False)
    parent_id = text("business unit above it; null at the top")
    owner_email = text("who answers for its spend", sensitivity="personal")
    valid_from = first_day()
    valid_to = end_day()


class DimDepartment(dy.Schema):
    """One department in one business unit for one span of days."""

    department_id = text("as teams.csv spells it", nullable=False)
    department_name = text("for people", nullable=False)
    business_unit_id = text("business unit in the span")
    owner_email = text("who answers for its spend", sensitivity="personal")
    valid_from = first_day()
    valid_to = end_day()


class DimCostCenter(dy.Schema):
    """One cost center with its account in the general ledger for one span of days."""

    cost_center_id = text("as teams.csv spells it", nullable=False)
    cost_center_name = text("for people", nullable=False)
    gl_account = text("expense account of the general ledger; null: journal.expense_account")
    owner_email = text("who gets its statement", sensitivity="personal")
    valid_from = first_day()
    valid_to = end_day()


class DimProject(dy.Schema):
    """One project (workspace, sub account) with its owning team for one span of days."""

    project_id = text("as logs or bills spell it", nullable=False)
    project_name = text("for people")
    team_id = text("team in the span", nullable=False)
    split_pct = split_pct()
    valid_from = first_day()
    valid_to = end_day()


class DimInvestigation(dy.Schema):
    """One investigation (case, work item) with its owning team for one span of days."""

    investigation_id = text("as the logs spell it", nullable=False)
    investigation_name = text("for people")
    team_id = text("team in the span", nullable=False)
    split_pct = split_pct()
    valid_from = first_day()
    valid_to = end_day()


DIM_BUSINESS_UNIT = dated(
    "dim_business_unit", DimBusinessUnit, "one business unit, with the unit above it, for one span of days", "business_unit_id"
)
DIM_DEPARTMENT = dated(
    "dim_department", DimDepartment, "one department in one business unit for one span of days", "department_id"
)
DIM_COST_CENTER = dated(
    "dim_cost_center", DimCostCenter, "one cost center with its general ledger account for one span of days", "cost_center_id"
)
DIM_PROJECT = dated("dim_project", DimProject, "one project with its owning team for one span of days", "project_id")
DIM_INVESTIGATION = dated(
    "dim_investigation", DimInvestigation, "one investigation with its owning team for one span of days", "investigation_id"
)


class DimInvoice(dy.Schema):
    """One invoice as finance received it: what is to be paid, whatever the provider's reports say."""

    invoice_id = text("as printed on it", nullable=False, unique=True)
    provider_name = text("who bills, as charge lines spell it", nullable=False)
    billing_account_id = text("billing account, as charge lines spell it", nullable=False)
    billing_month = day("first day of the billing month")
    issued_date = day("date printed on it")
    due_date = day("when it is to be paid", nullable=True)
    currency = text("ISO 4217", nullable=False, regex=r"^[A-Z]{3}$")
    invoice_total = money("amount to pay, taxes included")
    tax_total = money("of it, taxes; null where it does not say", nullable=True)
    purchase_order = text("purchase order or other reference")


class DimFxRate(dy.Schema):
    """One rate of one day: how much of one currency a unit of another buys."""

    from_currency = text("ISO 4217", nullable=False, regex=r"^[A-Z]{3}$")
    to_currency = text("ISO 4217", nullable=False, regex=r"^[A-Z]{3}$")
    rate_date = day("day of the rate")
    rate = exact("units of to_currency for one of from_currency", unit="ratio")
    rate_source = text("who published it", nullable=False)


class DimDispute(dy.Schema):
    """One disputed line of a published chargeback, and what was decided."""

    dispute_id = text("reference, kept on every adjustment line", nullable=False, unique=True)
    line_id = text("disputed line of the chargeback", nullable=False)
    disputed_cost = money("amount in dispute, in the line's currency")
    reason = text("what the owner says", nullable=False)
    raised_by = text("who raised it", nullable=False, sensitivity="personal")
    raised_date = day("when")
    resolution = text("what was decided", nullable=False, check=one_of("open", "accepted", "rejected"))
    accepted_cost = money("amount taken off the owner; null: disputed_cost where accepted", nullable=True)
    charge_to_team_id = text("team that takes it over; null: unallocated")
    resolved_date = day("when it was decided", nullable=True)


DIM_INVOICE = Table(
    name="dim_invoice",
    schema=DimInvoice,
    grain="one invoice as finance received it",
    partition=None,
    sort_by=("provider_name", "billing_account_id", "billing_month", "invoice_id"),
    group="1_land",
    owner="team:finops",
)
DIM_FX_RATE = Table(
    name="dim_fx_rate",
    schema=DimFxRate,
    grain="one exchange rate of one day, with who published it",
    partition=None,
    sort_by=("from_currency", "to_currency", "rate_date"),
    group="1_land",
    owner="team:finops",
)
DIM_DISPUTE = Table(
    name="dim_dispute",
    schema=DimDispute,
    grain="one disputed line of a published chargeback, and what was decided",
    partition=None,
    sort_by=("dispute_id",),
    group="1_land",
    owner="team:finops",
)
