"""The sentences of a change note, from its own tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

from usage_etl.reports.booked_lines import Booked, grouped, total_of
from usage_etl.reports.change_note_model import CurrencyChange, Versions
from usage_etl.reports.formatting import NBSP, day_full, listed, money_exact, plural
from usage_etl.reports.model import Proof, Status
from usage_etl.reports.statement_texts import status_pill


def booking_pill(booking: str, versions: Versions) -> Status:
    """``November 2026: preliminary``, where the corrections are booked."""
    known = status_pill(versions.booking_status, "")
    return Status(tone=known.tone, text=f"{booking}: {known.text.lower()}")


def since_text(versions: Versions) -> str:
    """``Since version 1 of 5 November 2026, which you got``."""
    when = f" of {day_full(versions.before_date)}" if versions.before_date else ""
    return f"Since version{NBSP}{versions.before}{when}, which you got"


def terms_of(original: str, booking: str, versions: Versions, as_of: dt.date) -> tuple[Proof, ...]:
    """Months, versions and dates, for the head of the page."""
    now = (
        f"{versions.current}{', ' + day_full(versions.current_date) if versions.current_date else ''}" if versions.current else ""
    )
    rows = [
        ("Closed month", original),
        ("Version you got", f"{versions.before}{', ' + day_full(versions.before_date) if versions.before_date else ''}"),
        ("Booked in", booking),
        ("Version now", now),
        ("Data through", day_full(as_of)),
    ]
    return tuple(Proof(label=label, text=text) for label, text in rows if text)


def headline_of(
    changes: Sequence[CurrencyChange], lines: Sequence[Booked], original: str, booking: str, versions: Versions
) -> str:
    """What the whole changes by, how many pay another amount, and where that is booked."""
    original, booking = original.replace(" ", NBSP), booking.replace(" ", NBSP)
    if not changes:
        return f"Nothing changed in {original} since version{NBSP}{versions.before}."
    movers = sum(
        any(total_of(part) != 0 for part in _currencies(center))
        for center in grouped(lines, lambda line: line.cost_center_id).values()
    )
    nets = [change for change in changes if change.net.value]
    if not movers:
        return f"What corrects {original} cancels out: every cost center pays what version{NBSP}{versions.before} says."
    if nets:
        first = f"The AI charges of {original} {listed([_moved(change) for change in nets])}"
    else:
        first = f"The AI charges of {original} are the same in all; money moved between owners"
    who = plural(movers, "cost center pays", "cost centers pay")
    return f"{first}. {who} another amount than version{NBSP}{versions.before} says. The differences are booked in {booking}."


def subject_of(changes: Sequence[CurrencyChange], original: str, versions: Versions) -> str:
    """``What changed in AI charges of October 2026 since version 1: +$19.45``."""
    nets = [change.net.text for change in changes if change.net.value]
    moved = any(row.kind in {"member", "rest"} for change in changes for row in change.centers)
    answer = listed(nets) if nets else "money moved between owners" if moved else "nothing"
    return f"What changed in AI charges of {original} since version {versions.before}: {answer}".replace(NBSP, " ")


def what_to_do(original: str, booking: str, versions: Versions) -> tuple[str, ...]:
    """What finance and owners have to do, and what not."""
    return (
        f"Keep what you booked for {original}: its files do not change and version{NBSP}{versions.before} stays as it is.",
        f"Book the change with {booking}: the journal and the statements of {booking} hold it as correction lines.",
        f"To disagree, send the line_id of a correction line from chargeback.csv of {booking} with the amount and your reason.",
    )


def _moved(change: CurrencyChange) -> str:
    """``rose by $604.77 (from $47,158.69 to $47,763.46)``."""
    net = Decimal(change.net.value or 0)
    amount = money_exact(abs(net), change.currency)
    return f"{'rose' if net > 0 else 'fell'} by {amount} (from {change.before.text} to {change.after.text})"


def _currencies(lines: Sequence[Booked]) -> list[list[Booked]]:
    return list(grouped(lines, lambda line: line.billing_currency).values())
