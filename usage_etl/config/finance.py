"""Settings of finance: how bills are compared, by which dated rules they are divided, and what must hold to close a month."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from usage_etl.config.base import CurrencyCode, SettingsPart, Slug, ZoneName

Percent = Annotated[Decimal, Field(ge=0, le=100)]
OwnerLevel = Literal["business_unit", "department", "cost_center", "team", "project", "investigation"]
OWNER_LEVELS: tuple[str, ...] = get_args(OwnerLevel)
"""From the top down."""
HUNDRED = Decimal(100)


class ToleranceGate(SettingsPart):
    """How much of a provider's bill may stay unexplained before nothing is published or closed."""

    provider: str = "*"
    """Provider that the gate is for; * is any that has no gate of its own."""
    unexplained_pct: Percent | None = None
    """Largest share of the billed usage that no cause explains; null does not ask."""
    unexplained_cost: Annotated[Decimal, Field(ge=0)] | None = None
    """Largest amount that no cause explains, in the bill's currency; null does not ask."""
    difference_pct: Percent | None = None
    """Largest share by which billed and metered cost differ, explained or not; null does not ask."""


class ReconciliationSettings(SettingsPart):
    """How close priced usage must be to the bill."""

    tolerance_pct: Percent = Decimal("0.5")
    """Owners never pay more than this share above their metered usage; the rest is the unexplained line."""
    invoice_tolerance_cost: Annotated[Decimal, Field(ge=0)] = Decimal("0.01")
    """How far an invoice's total may be from the sum of its charge lines; the difference is the line *rounding*. Beyond it
    nothing of the month is published."""
    time_zones: dict[str, ZoneName] = Field(default={"google": "America/Los_Angeles"})
    """Provider to the zone in which its billing days and months begin; UTC for all others."""
    publish_gates: tuple[ToleranceGate, ...] = ()
    """What must hold before the finance files of a month that is over are published."""


class RuleMatch(SettingsPart):
    """Which invoice lines a rule is for: every key that is given must hold. Texts may end with ``*``, for any ending."""

    provider: tuple[str, ...] = ()
    """Who bills."""
    billing_account: tuple[str, ...] = ()
    """Billing accounts."""
    sub_account: tuple[str, ...] = ()
    """Projects, workspaces or subscriptions."""
    service: tuple[str, ...] = ()
    """Services."""
    charge_kind: tuple[str, ...] = ()
    """What the charge is for; the kinds are listed in docs/reference/allocation.md."""
    charge_category: tuple[str, ...] = ()
    """FOCUS charge categories."""
    model: tuple[str, ...] = ()
    """Canonical models."""
    commitment: tuple[str, ...] = ()
    """Reservations, savings plans or other commitments."""
    commitment_status: tuple[Literal["Used", "Unused"], ...] = ()
    """Used or Unused."""


class RuleStep(SettingsPart):
    """One division: the money of one parent goes to its members at one level."""

    level: OwnerLevel = "team"
    """Among whom the money is divided."""
    method: Literal["usage", "direct", "proportional", "even", "fixed", "headcount", "tag", "charged"] = "usage"
    """usage: by metered cost, capped at it plus ``reconciliation.tolerance_pct``, the rest unexplained. direct: to the owner of
    the line's user, API key or sub account. proportional: by ``weight``. even: the same for each. fixed: by ``shares``.
    headcount: by people in the directory on the last day. tag: by the values of ``tag_key`` on the line or its usage, each of
    several values the same part. charged: by what owners pay of the account's other lines, as for tax and support."""
    weight: Literal["cost", "tokens", "requests", "users"] = "cost"
    """What ``proportional`` counts."""
    scope: Literal["model", "provider", "all"] = "model"
    """Whose usage counts: of the line's model at the provider, of all its models, or of all providers. Where the narrower one
    saw nothing, the next wider is taken."""
    shares: dict[str, Decimal] = Field(default={})
    """Member to percent, for ``fixed``; together exactly 100."""
    members: tuple[str, ...] = ()
    """Members for ``even`` and ``headcount``; none are all that the directories know on the last day."""
    tag_key: str | None = None
    """Tag for ``tag``; one of ``allocation.tag_keys``."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.method == "fixed":
            total = sum(self.shares.values(), Decimal(0))
            if total != HUNDRED:
                raise ValueError(f"the shares add up to {total} %, not to 100 %")
            if any(share < 0 for share in self.shares.values()):
                raise ValueError("a share is negative")
        elif self.shares:
            raise ValueError(f"shares belong to the method fixed, not to {self.method}")
        if (self.method == "tag") != (self.tag_key is not None):
            raise ValueError("tag_key and the method tag belong together")
        return self


class AllocationRule(SettingsPart):
    """One dated rule. Of the rules in force on the month's first day, the first that matches a line divides it."""

    name: Slug
    """Name printed on every line that the rule made."""
    match: RuleMatch = RuleMatch()
    """Which invoice lines it is for; none are all."""
    steps: Annotated[tuple[RuleStep, ...], Field(min_length=1)] = (RuleStep(),)
    """Divisions from the top down: business unit, department, team, project. What lies below the last level is divided by
    metered cost."""
    valid_from: dt.date | None = None
    """First billing month, by its first day; null is from ever."""
    valid_to: dt.date | None = None
    """First billing month in which it is no longer in force; null is open."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.valid_from and self.valid_to and self.valid_to <= self.valid_from:
            raise ValueError(f"ends on {self.valid_to}, not after its start {self.valid_from}")
        places = [OWNER_LEVELS.index(step.level) for step in self.steps]
        if places != sorted(set(places)):
            raise ValueError("the levels of the steps must go down, each once")
        return self

    def is_in_force(self, month_start: dt.date) -> bool:
        """Whether the rule holds for the billing month that begins on ``month_start``."""
        return (self.valid_from is None or self.valid_from <= month_start) and (
            self.valid_to is None or month_start < self.valid_to
        )


class AllocationSettings(SettingsPart):
    """By which rules invoices are divided among owners."""

    rules: tuple[AllocationRule, ...] = ()
    """Your rules; those of docs/reference/allocation.md come after them, for what none of yours matches."""
    detail: tuple[Literal["project", "investigation"], ...] = ("project",)
    """What chargeback lines name below the team, where usage names it."""
    tag_keys: tuple[Slug, ...] = ()
    """Tags of charge lines and of usage that rules may ask for."""
    currency: CurrencyCode | None = None
    """Currency that every invoice is converted to before it is divided, by finance/fx_rates.csv; null converts nothing."""
    fx_date: Literal["month_end", "invoice_date"] = "month_end"
    """Day of the rate: the last of the billing month, or the invoice's date (without an invoice: the last of the month)."""
    fx_max_age_days: Annotated[int, Field(ge=0, le=60)] = 7
    """How old the newest rate on that day may be."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        names = [rule.name for rule in self.rules]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"rule name(s) used twice: {', '.join(repeated)}")
        asked = {step.tag_key for rule in self.rules for step in rule.steps if step.tag_key}
        if unknown := sorted(asked - set(self.tag_keys)):
            raise ValueError(f"tag_keys does not name {', '.join(unknown)}, which a rule asks for")
        return self


class CloseSettings(SettingsPart):
    """What must hold before a provider's month is closed."""

    requires_invoice: bool = True
    """An invoice is registered for every billing account of the provider, or its charge lines all name one."""
    estimated_providers: tuple[str, ...] = ()
    """Providers whose bills are not delivered here: their months are closed with estimates, which the journal does not book."""
    settle_days: Annotated[int, Field(ge=0, le=60)] = 3
    """Days after the month's end before which nothing is closed."""
    gates: tuple[ToleranceGate, ...] = (ToleranceGate(unexplained_pct=Decimal(1)),)
    """How much of the bill may stay unexplained."""
    accepted_quarantine: tuple[str, ...] = ()
    """Ids of deliveries whose quarantined rows were looked at and may stay out."""
    correction_threshold_cost: Annotated[Decimal, Field(ge=0)] = Decimal(0)
    """Changes of a closed month are booked once they move more than this between owners, in the bill's currency; until then
    they are carried."""


class JournalSettings(SettingsPart):
    """Accounts of the general ledger that the journal books to."""

    clearing_account: str = "AI-CLEARING"
    """Account to which accounts payable books the providers' invoices, and which the journal empties."""
    expense_account: str = "AI-EXPENSE"
    """Expense account of cost centers that name none."""
    unallocated_account: str = "AI-UNALLOCATED"
    """Account of what nobody owns."""
    unexplained_account: str = "AI-UNEXPLAINED"
    """Account of what no usage explains."""
    rounding_account: str = "AI-ROUNDING"
    """Account of differences of rounding."""
    fx_account: str = "AI-FX"
    """Account through which converted invoices pass."""
