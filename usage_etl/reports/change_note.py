"""Builds the change note of a closed month from what was booked of it before and what corrects it now."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

import polars as pl

from usage_etl.errors import ConservationError
from usage_etl.keys import fingerprint
from usage_etl.money import exact_sum
from usage_etl.periods import Month
from usage_etl.reports.booked_lines import Booked, by_currency, grouped, read_lines, total_of
from usage_etl.reports.change_note_model import CenterKind, CenterRow, ChangeNote, CurrencyChange, ReasonKind, ReasonRow, Versions
from usage_etl.reports.change_note_texts import booking_pill, headline_of, since_text, subject_of, terms_of, what_to_do
from usage_etl.reports.formatting import display_name, money_cell, money_exact, month_name, plural
from usage_etl.reports.inputs import ProofFacts
from usage_etl.reports.model import Figure
from usage_etl.reports.paper_tables import NOTHING, cell, counted, more_in_csv, proofs_of

_ROWS = 20
_FIXED_ROWS = 3
"""Rows of a currency that are no cost center: those left out, those unchanged, the total."""
_REASONS = 6


def build_change_note(
    before: pl.DataFrame,
    corrections: pl.DataFrame,
    *,
    original_month: Month,
    booking_month: Month,
    organization_name: str,
    versions: Versions,
    as_of: dt.date,
    proof: ProofFacts | None = None,
    rows_limit: int = _ROWS,
) -> ChangeNote:
    """What ``corrections``, booked in ``booking_month``, change of ``before``: the money of ``original_month`` until then.

    Both are lines of mart_chargeback_monthly. ``rows_limit`` is the room for cost centers in all currencies together.
    Raises ValueError for a correction of another month, ConservationError when the note does not add up to the lines.
    """
    strangers = set(corrections["corrects_month"]) - {original_month.first_day}
    if strangers:
        raise ValueError(f"a change note of {original_month} got corrections of {', '.join(map(str, strangers))}")
    lines = read_lines(corrections)
    changes = _changes(read_lines(before), lines, rows_limit)
    _check(changes, before, corrections)
    original, booking = (f"{month_name(month.first_day)} {month.year}" for month in (original_month, booking_month))
    return ChangeNote(
        note_id=_identity(before, corrections, versions, [str(original_month), str(booking_month), organization_name]),
        organization=display_name(organization_name, limit=80),
        title=f"What changed in {original}",
        since=since_text(versions),
        status=booking_pill(booking, versions),
        original_month=original_month.first_day,
        booking_month=booking_month.first_day,
        as_of_date=as_of,
        terms=terms_of(original, booking, versions, as_of),
        headline=headline_of(changes, lines, original, booking, versions),
        subject=subject_of(changes, original, versions),
        changes=changes,
        what_to_do=what_to_do(original, booking, versions),
        proofs=proofs_of(proof) if proof else (),
    )


def _changes(before: list[Booked], corrections: list[Booked], rows_limit: int) -> tuple[CurrencyChange, ...]:
    """One part for each currency that changed; they share the room for rows."""
    earlier, changed = by_currency(before), by_currency(corrections)
    rows = max(rows_limit // max(len(changed), 1) - _FIXED_ROWS, 0)
    reasons = _REASONS // max(len(changed), 1) if rows_limit else 0
    return tuple(
        _currency(currency, earlier.get(currency, []), lines, rows=rows, reasons=reasons) for currency, lines in changed.items()
    )


def _currency(currency: str, before: list[Booked], corrections: list[Booked], *, rows: int, reasons: int) -> CurrencyChange:
    was, plus = total_of(before), total_of(corrections)
    return CurrencyChange(
        currency=currency,
        before=_exact(was, currency),
        after=_exact(exact_sum([was, plus]), currency),
        net=_signed(plus, currency),
        centers=_centers(currency, before, corrections, limit=rows),
        reasons=_reasons(currency, corrections, limit=reasons),
    )


def _centers(currency: str, before: list[Booked], corrections: list[Booked], *, limit: int) -> tuple[CenterRow, ...]:
    earlier = grouped(before, lambda line: line.cost_center_id)
    changes = {key: total_of(lines) for key, lines in grouped(corrections, lambda line: line.cost_center_id).items()}
    names = {line.cost_center_id: display_name(line.cost_center_name) for line in [*before, *corrections]}
    moved = [key for key in changes if changes[key] != 0]
    by_size = sorted(moved, key=lambda key: (-abs(changes[key]), names[key], key))
    shown = by_size if len(by_size) <= limit + 1 else by_size[:limit]
    rest, same = by_size[len(shown) :], sorted({*earlier, *changes} - set(moved))

    def row(kind: CenterKind, name: str, keys: Sequence[str]) -> CenterRow:
        was = total_of(line for key in keys for line in earlier.get(key, []))
        change = exact_sum(changes.get(key, Decimal(0)) for key in keys)
        is_new = kind == "member" and keys[0] not in earlier
        return CenterRow(
            kind=kind,
            name=name,
            cost_center_id=display_name(keys[0]) if kind == "member" else "",
            before=NOTHING if is_new else cell(was, currency),
            after=cell(exact_sum([was, change]), currency),
            change=_signed_cell(change, currency),
        )

    rows = [row("member", names[key], [key]) for key in sorted(shown, key=lambda key: (-changes[key], names[key], key))]
    rows += [row("rest", more_in_csv(len(rest), "cost center"), rest)] if rest else []
    rows += [row("same", f"{plural(len(same), 'cost center')} unchanged", same)] if same else []
    return (*rows, row("total", "Total", [*moved, *same]))


def _reasons(currency: str, corrections: list[Booked], *, limit: int) -> tuple[ReasonRow, ...]:
    groups = grouped(corrections, lambda line: (_reason(line), line.provider))
    moved = {key: _moved(lines) for key, lines in groups.items()}
    order = sorted(groups, key=lambda key: (-moved[key], -abs(total_of(groups[key])), key))
    shown = order if len(order) <= limit + 1 else order[:limit]
    rest = order[len(shown) :]

    def row(kind: ReasonKind, reason: str, provider: str, keys: Sequence[tuple[str, str]]) -> ReasonRow:
        lines = [line for key in keys for line in groups[key]]
        return ReasonRow(
            kind=kind,
            reason=reason,
            provider=provider,
            centers=counted(len({line.cost_center_id for line in lines})),
            moved=cell(exact_sum(moved[key] for key in keys), currency),
            net=_signed_cell(total_of(lines), currency),
        )

    rows = [row("member", key[0], key[1], [key]) for key in shown]
    rows += [row("rest", more_in_csv(len(rest), "reason"), "", rest)] if rest else []
    return (*rows, row("total", "Total", "", order))


def _reason(line: Booked) -> str:
    if line.part == "dispute":
        return "Dispute accepted"
    reason = display_name(line.correction_reason or "no reason given", limit=120)
    return reason[:1].upper() + reason[1:]


def _moved(lines: list[Booked]) -> Decimal:
    """What cost centers pay more, each taken as a whole."""
    centers = [total_of(part) for part in grouped(lines, lambda line: line.cost_center_id).values()]
    return exact_sum(amount for amount in centers if amount > 0)


def _exact(amount: Decimal, currency: str) -> Figure:
    return Figure(value=amount, text=money_exact(amount, currency))


def _signed(amount: Decimal, currency: str) -> Figure:
    return Figure(value=amount, text=("+" if amount > 0 else "") + money_exact(amount, currency))


def _signed_cell(amount: Decimal, currency: str) -> Figure:
    return Figure(value=amount, text=("+" if amount > 0 else "") + money_cell(amount, currency))


def _check(changes: Sequence[CurrencyChange], before: pl.DataFrame, corrections: pl.DataFrame) -> None:
    """The referee: every printed column, added up once more, against the lines."""
    for change in changes:
        is_currency = pl.col("billing_currency") == change.currency
        was, plus = (exact_sum(lines.filter(is_currency)["allocated_cost"]) for lines in (before, corrections))
        centers, reasons = change.centers[:-1], change.reasons[:-1]
        pairs = {
            "before": (exact_sum(Decimal(row.before.value or 0) for row in centers), was),
            "now": (exact_sum(Decimal(row.after.value or 0) for row in centers), exact_sum([was, plus])),
            "change": (exact_sum(Decimal(row.change.value or 0) for row in centers), plus),
            "reasons": (exact_sum(Decimal(row.net.value or 0) for row in reasons), plus),
            "total": (Decimal(change.centers[-1].after.value or 0), exact_sum([was, plus])),
        }
        for what, (found, wanted) in pairs.items():
            if found != wanted:
                raise ConservationError(f"change note, {what} in {change.currency}", found, wanted)


def _identity(before: pl.DataFrame, corrections: pl.DataFrame, versions: Versions, texts: Sequence[str]) -> str:
    columns = ("line_id", "cost_center_id", "cost_center_name", "allocated_cost", "billing_currency", "correction_reason")
    rows = [sorted(tuple(map(str, row)) for row in lines.select(columns).iter_rows()) for lines in (before, corrections)]
    return fingerprint({"lines": rows, "versions": vars(versions), "texts": list(texts)})
