"""Gates of closing: everything that still speaks against closing a provider's month, each fault with how to mend it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from usage_etl.config.finance import CloseSettings
from usage_etl.periods import Month, day_start
from usage_etl.remainder import to_attos
from usage_etl.schemas.periods import Periods


@dataclass(frozen=True)
class SourceState:
    """How far one source of the provider has come."""

    source: str
    is_bill: bool
    """Whether it delivers charge lines; otherwise usage."""
    last_date: dt.date | None
    """Newest day with a row, of the month or later."""
    last_received_at: dt.datetime | None
    """Arrival of the newest delivery of the month's days, or of later ones."""


@dataclass(frozen=True)
class DoubtfulDelivery:
    """A delivery of one of the provider's sources of which something did not become rows."""

    source: str
    delivery_id: str
    origin_key: str
    """Object as the source names it."""
    status: str
    """held, refused, or staged with quarantined rows."""
    rows_quarantined_count: int


@dataclass(frozen=True)
class CloseFacts:
    """What the gates look at, for one provider and month."""

    lines: pl.DataFrame
    """Lines booked for the provider (MART_CHARGEBACK_MONTHLY)."""
    invoice_lines: pl.DataFrame
    """The provider's rows of fact_invoice_lines_monthly."""
    invoices: pl.DataFrame
    """DIM_INVOICE."""
    gate_failures: Sequence[str]
    """What ``failed_gates`` says of ``close.gates`` for the provider."""
    sources: Sequence[SourceState]
    doubtful: Sequence[DoubtfulDelivery]
    open_months: Sequence[Month]
    """Earlier months in which the provider has lines and is not closed."""
    stale: Sequence[str]
    """Inputs of the allocation that changed since it was computed."""


def close_faults(
    provider_name: str, month: Month, facts: CloseFacts, *, periods: Periods, as_of: dt.date, settings: CloseSettings
) -> list[str]:
    """What speaks against closing, one sentence each; none when it can be closed. ``as_of`` is the last complete day."""
    if periods.is_closed(provider_name, month):
        return [_already_closed(provider_name, month, periods)]
    return [
        *_too_early(month, as_of, settings),
        *_out_of_order(provider_name, month, facts),
        *_not_computed(month, facts),
        *_without_invoice(provider_name, month, facts, settings),
        *(f"{failure}; find the cause, or change close.gates with the reason beside it" for failure in facts.gate_failures),
        *_unexplained_quarantine(facts, settings),
        *_not_fresh(month, facts),
    ]


def _already_closed(provider_name: str, month: Month, periods: Periods) -> str:
    standing = periods.in_force(provider_name, month)
    if standing is None:
        later = periods.first_open_after(provider_name, month)
        return f"{month} was closed as a whole without {provider_name}; what arrived later is booked in {later}"
    when = f"{standing.closed_at:%Y-%m-%d} by {standing.closed_by}"
    return f"it was closed on {when} (closing {standing.number}); to close it anew, reopen it first with `usage-etl reopen`"


def _too_early(month: Month, as_of: dt.date, settings: CloseSettings) -> Iterator[str]:
    first = month.last_day + dt.timedelta(days=settings.settle_days)
    if as_of < first:
        yield (
            f"data reaches {as_of} and {month} is closed from {first} on; wait, or lower close.settle_days"
            f" ({settings.settle_days})"
        )


def _out_of_order(provider_name: str, month: Month, facts: CloseFacts) -> Iterator[str]:
    for earlier in sorted(facts.open_months):
        yield (
            f"{earlier} of {provider_name} is not closed; close it first: `usage-etl close {earlier} --provider"
            f' "{provider_name}"`, because its corrections belong to {month}'
        )


def _not_computed(month: Month, facts: CloseFacts) -> Iterator[str]:
    if facts.stale:
        shown = ", ".join(sorted(facts.stale)[:5]) + (f" and {len(facts.stale) - 5} more" if len(facts.stale) > 5 else "")
        first, last = month.first_day, month.last_day
        yield (
            f"the allocation was computed before these changed: {shown}; run `usage-etl run --from {first} --to {last}"
            f" --no-reports`"
        )


def _without_invoice(provider_name: str, month: Month, facts: CloseFacts, settings: CloseSettings) -> Iterator[str]:
    if not settings.requires_invoice:
        return
    own = facts.lines.filter(pl.col("corrects_month").is_null())
    is_estimated = own.filter(pl.col("charge_basis") == "priced_usage").height and any(to_attos(own["allocated_cost"]))
    if is_estimated and provider_name not in settings.estimated_providers:
        yield (
            f"no bill of {provider_name} was delivered for {month}, its lines are estimates; deliver the bill, or name"
            f" {provider_name} in close.estimated_providers"
        )
    registered = facts.invoices.filter((pl.col("provider_name") == provider_name) & (pl.col("billing_month") == month.first_day))[
        "billing_account_id"
    ].unique()
    unnamed = (
        facts.invoice_lines.filter(
            pl.col("invoice_id").is_null()
            & ((pl.col("billed_cost") != 0) | (pl.col("effective_cost") != 0))
            & ~pl.col("billing_account_id").is_in(registered.implode())
        )
        .group_by("billing_account_id")
        .len()
        .sort("billing_account_id")
    )
    for account, count in unnamed.iter_rows():
        yield (
            f"no invoice of account {account} is registered for {month}, and {count} of its invoice lines name none; add it to"
            f" invoices.csv in the finance folder, or set close.requires_invoice to false"
        )


def _unexplained_quarantine(facts: CloseFacts, settings: CloseSettings) -> Iterator[str]:
    for delivery in sorted(facts.doubtful, key=lambda found: (found.source, found.delivery_id)):
        if delivery.delivery_id in settings.accepted_quarantine:
            continue
        named = f"delivery {delivery.delivery_id} of {delivery.source} ({delivery.origin_key})"
        accept = f"add {delivery.delivery_id} to close.accepted_quarantine once somebody has looked at it"
        if delivery.status == "held":
            yield f"{named} is held; `usage-etl release` lets it in, or {accept}"
        elif delivery.status == "refused":
            yield f"{named} was refused whole; deliver it again, or {accept}"
        else:
            yield (f"{delivery.rows_quarantined_count} row(s) of {named} are in quarantine; deliver them mended, or {accept}")


def _not_fresh(month: Month, facts: CloseFacts) -> Iterator[str]:
    end = day_start(month.end)
    mend = "fetch or deliver the rest, or take the source out of the settings if it has ended"
    for state in sorted(facts.sources, key=lambda found: found.source):
        if state.last_received_at is None or state.last_received_at < end:
            seen = "nothing arrived" if state.last_received_at is None else f"the last arrived {state.last_received_at:%Y-%m-%d}"
            yield f"{state.source} delivered nothing of {month} after the month was over ({seen}); {mend}"
        elif not state.is_bill and (state.last_date is None or state.last_date < month.last_day):
            yield f"rows of {state.source} reach {state.last_date}, not the end of {month}; {mend}"
