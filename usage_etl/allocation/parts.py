"""Exact parts of lines: owners who share an amount in proportion to weights, before anything is rounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from usage_etl.allocation.bills import Bill, InvoiceLine
from usage_etl.allocation.rates import SAME, Rate
from usage_etl.allocation.usage_weights import Weights


@dataclass(frozen=True, eq=False)
class Origin:
    """What lines are a part of: an invoice line, an invoice without lines, or a provider's usage without a bill."""

    provider_name: str
    billing_account_id: str | None
    currency: str
    """Currency of the lines."""
    invoice_currency: str
    """Currency before conversion."""
    rate: Rate = SAME
    line: InvoiceLine | None = None
    model_id: str | None = None
    invoice_id: str | None = None
    charge_kind: str = "usage"
    charge_category: str = "Usage"

    @classmethod
    def of(cls, bill: Bill, line: InvoiceLine) -> Origin:
        """Origin of the parts of an invoice line."""
        provider, account, currency = bill.account
        return cls(
            provider,
            account,
            bill.currency,
            currency,
            rate=bill.rate,
            line=line,
            model_id=line.model_id,
            invoice_id=line.keys["invoice_id"],
            charge_kind=line.keys["charge_kind"],
            charge_category=line.keys["charge_category"],
        )


@dataclass(frozen=True, eq=False)
class Part:
    """Owners who share two amounts, in attos of the line's currency, in proportion to one list of weights."""

    origin: Origin
    charge_basis: str
    owners: Sequence[int]
    weights: Sequence[int]
    billed: Fraction
    effective: Fraction
    rule_name: str
    text: str
    line_kind: str | None = None
    """Kind of all its lines; None where each owner decides."""
    metered: Weights | None = None
    """The weights as metered cost, where they are it."""
    number: int = 0
    """Tells parts of one line apart in which the same owner stands; part of the lines' ids."""
    invoiced: Fraction | None = None
    """In attos of the invoice's currency, where it is not the billed amount at the rate."""


def single(
    origin: Origin,
    owner: int,
    billed: Fraction,
    effective: Fraction,
    *,
    rule: tuple[str, str],
    kind: str | None = None,
    number: int = 0,
    invoiced: Fraction | None = None,
) -> Part:
    """A part that one owner takes alone; ``rule`` is its name and its text."""
    return Part(
        origin, "billed", (owner,), (1,), billed, effective, *rule, line_kind=kind, number=number, invoiced=invoiced
    )  # fmt: skip
