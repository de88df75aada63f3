"""Disputes on a statement: which cost centers each one concerns, what was decided, and what of it is booked here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from usage_etl.reports.booked_lines import Booked, grouped, total_of
from usage_etl.reports.formatting import NBSP, day_label, display_name, money_exact, plural
from usage_etl.reports.model import Figure
from usage_etl.reports.paper_tables import NOTHING
from usage_etl.reports.statement_model import DisputeFact, DisputeRow

_DECISIONS = {"open": "Not decided yet", "accepted": "Accepted", "rejected": "Rejected"}


def disputes_by_cost_center(disputes: pl.DataFrame, lines: Iterable[pl.DataFrame]) -> dict[str, tuple[DisputeFact, ...]]:
    """Cost center to the rows of dim_dispute about its lines, or whose adjustment lines it has, among booked ``lines``."""
    rows: list[Mapping[str, Any]] = list(disputes.iter_rows(named=True))
    raised: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        raised.setdefault(row["line_id"], []).append(row)
    by_id: Mapping[str, Mapping[str, Any]] = {row["dispute_id"]: row for row in rows}
    found: dict[str, dict[str, DisputeFact]] = {}
    for frame in lines:
        asked = frame.filter(pl.col("line_id").is_in(list(raised)) | pl.col("dispute_id").is_in(list(by_id)))
        for line_id, dispute_id, center, currency in asked.select(
            "line_id", "dispute_id", "cost_center_id", "billing_currency"
        ).iter_rows():
            about: list[Mapping[str, Any]] = [*raised.get(line_id, []), *([by_id[dispute_id]] if dispute_id in by_id else [])]
            for row in about:
                found.setdefault(center, {}).setdefault(row["dispute_id"], _fact(row, currency))
    return {center: tuple(facts[key] for key in sorted(facts)) for center, facts in found.items()}


def dispute_section(
    lines: Sequence[Booked], disputes: Sequence[DisputeFact], *, limit: int
) -> tuple[tuple[DisputeRow, ...], str]:
    """One row for each dispute, those with lines in this statement first, and how many are left out."""
    booked = grouped((line for line in lines if line.part == "dispute"), lambda line: line.dispute_id or "no reference")
    facts = {fact.dispute_id: fact for fact in disputes}
    order = sorted({*booked, *facts}, key=lambda key: (key not in booked, key))
    rows = tuple(_row(key, facts.get(key), booked.get(key, [])) for key in order[:limit])
    left = len(order) - len(rows)
    return rows, f"{plural(left, 'more dispute')}; booked ones are in the CSV" if left else ""


def _fact(row: Mapping[str, Any], currency: str) -> DisputeFact:
    return DisputeFact(
        dispute_id=row["dispute_id"],
        resolution=row["resolution"],
        reason=row["reason"],
        disputed_cost=row["disputed_cost"],
        currency=currency,
        resolved_date=row["resolved_date"],
    )


def _row(dispute_id: str, fact: DisputeFact | None, lines: list[Booked]) -> DisputeRow:
    reason = fact.reason if fact else (lines[0].correction_reason or "") if lines else ""
    return DisputeRow(
        dispute_id=display_name(dispute_id),
        decision=_decision(fact) if fact else _DECISIONS["accepted"],
        reason=display_name(reason, limit=160) if reason else "No reason given",
        disputed=Figure(value=fact.disputed_cost, text=money_exact(fact.disputed_cost, fact.currency)) if fact else NOTHING,
        booked=_booked(lines),
    )


def _decision(fact: DisputeFact) -> str:
    decided = (
        f", {day_label(fact.resolved_date)}{NBSP}{fact.resolved_date.year}"
        if fact.resolved_date and fact.resolution != "open"
        else ""
    )
    return f"{_DECISIONS[fact.resolution]}{decided}"


def _booked(lines: list[Booked]) -> Figure:
    currencies = {line.billing_currency for line in lines}
    if len(currencies) != 1:  # none booked here, or amounts that must not be added: the ladders hold them
        return NOTHING
    return Figure(value=total_of(lines), text=money_exact(total_of(lines), currencies.pop()))
