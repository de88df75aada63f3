"""Builds the statement of one cost center and month from its booked lines. No clock, no disk, no formatting left to outputs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

import polars as pl

from usage_etl.errors import ConservationError
from usage_etl.keys import fingerprint
from usage_etl.money import exact_sum
from usage_etl.periods import Month
from usage_etl.reports.booked_lines import Booked, by_currency, read_lines
from usage_etl.reports.formatting import day_full, display_name, month_name
from usage_etl.reports.inputs import ProofFacts
from usage_etl.reports.model import Status
from usage_etl.reports.paper_names import statement_report
from usage_etl.reports.paper_tables import counted, proofs_of
from usage_etl.reports.statement_disputes import dispute_section
from usage_etl.reports.statement_model import CostCenter, CurrencyPart, DisputeFact, Header, Statement, Table
from usage_etl.reports.statement_tables import Frame, currency_part
from usage_etl.reports.statement_texts import absent, headline, how_to_dispute, status_note, status_pill, subject_line

TITLE = "Statement of AI charges"
_ROWS, _FEWEST = 40, 2


def build_statement(
    lines: pl.DataFrame,
    previous: pl.DataFrame | None,
    cost_center: CostCenter,
    *,
    month: Month,
    as_of: dt.date,
    organization_name: str,
    status: str,
    version: str = "",
    statement_number: str = "",
    disputes: Sequence[DisputeFact] = (),
    proof: ProofFacts | None = None,
    rows_limit: int = _ROWS,
) -> Statement:
    """The statement of ``cost_center`` from its ``lines`` of mart_chargeback_monthly, and those of the month before.

    ``previous`` is null where nothing is known of that month, and empty where nothing was charged. ``rows_limit`` is the
    room for rows of a table; what is left is one row that ties. Raises ValueError for lines of another cost center,
    ConservationError when a printed total is not the sum of the lines.
    """
    _check_owner(lines, previous, cost_center)
    booked = read_lines(lines)
    earlier = None if previous is None else read_lines(previous)
    frames = _frames(booked, earlier, cost_center, month=month, is_open=status == "open", rows_limit=rows_limit)
    parts = tuple(currency_part(frame) for frame in frames)
    _check_totals(lines, parts)
    csv_name = f"{statement_report(cost_center.cost_center_id)}.csv"
    dispute_rows, disputes_rest = dispute_section(booked, disputes, limit=max(rows_limit // 4, _FEWEST))
    states = (status_pill(status, version), status_note(booked, status))
    header = _header(cost_center, states, organization=organization_name, month=month, as_of=as_of, number=statement_number)
    about = {"name": header.cost_center, "month": header.period, "previous_month": month_name(month.previous.first_day)}
    top = headline(frames, audience=cost_center.audience, **about)
    return Statement(
        statement_id=_identity(lines, header, [top, *sorted(map(repr, disputes))]),
        audience=cost_center.audience,
        month=month.first_day,
        as_of_date=as_of,
        csv_name=csv_name,
        header=header,
        headline=top,
        subject=subject_line(frames, audience=cost_center.audience, status=status, **about),
        parts=parts,
        disputes=dispute_rows,
        disputes_rest=disputes_rest,
        nothing=absent(booked, has_disputes=bool(dispute_rows)) if booked else (),
        how_to_dispute=how_to_dispute(csv_name) if booked else (),
        lines=counted(len(booked)),
        proofs=proofs_of(proof) if proof else (),
    )


def _header(
    center: CostCenter, states: tuple[Status, str], *, organization: str, month: Month, as_of: dt.date, number: str
) -> Header:
    return Header(
        organization=display_name(organization, limit=80),
        title=TITLE,
        cost_center=display_name(center.cost_center_name or center.cost_center_id),
        cost_center_id=display_name(center.cost_center_id),
        gl_account=display_name(center.gl_account, limit=40),
        period=f"{month_name(month.first_day)} {month.year}",
        through=day_full(as_of),
        number=display_name(number) if number else "",
        status=states[0],
        status_note=states[1],
        owner=display_name(center.owner_email) if center.owner_email else "",
    )


def _check_owner(lines: pl.DataFrame, previous: pl.DataFrame | None, cost_center: CostCenter) -> None:
    for frame in (lines, previous):
        strangers = [] if frame is None else sorted(set(frame["cost_center_id"]) - {cost_center.cost_center_id})
        if strangers:
            raise ValueError(f"the statement of {cost_center.cost_center_id} got lines of {', '.join(strangers)}")


def _check_totals(lines: pl.DataFrame, parts: Sequence[CurrencyPart]) -> None:
    """The referee: what the statement prints, added up once more, against the mart's own column."""
    for part in parts:
        wanted = exact_sum(lines.filter(pl.col("billing_currency") == part.currency)["allocated_cost"])
        found = {
            "total": exact_sum([Decimal(part.total.value or 0)]),
            "ladder": exact_sum(Decimal(row.amount.value or 0) for row in part.ladder if row.kind not in {"subtotal", "total"}),
            part.owners.title: _table_sum(part.owners),
            part.subjects.title: _table_sum(part.subjects),
            "rules": exact_sum(Decimal(row.amount.value or 0) for row in part.rules),
        }
        for what, amount in found.items():
            if amount != wanted:
                raise ConservationError(f"statement, {what} in {part.currency}", amount, wanted)


def _table_sum(table: Table) -> Decimal:
    place = next(index for index, column in enumerate(table.columns) if column.is_strong)
    return exact_sum(Decimal(row.figures[place].value or 0) for row in table.rows if row.kind != "total")


def _frames(
    booked: list[Booked], earlier: list[Booked] | None, cost_center: CostCenter, *, month: Month, is_open: bool, rows_limit: int
) -> list[Frame]:
    now, before = by_currency(booked), by_currency(earlier or [])
    count = max(len(now), 1)
    return [
        Frame(
            currency=currency,
            audience=cost_center.audience,
            lines=now[currency],
            previous=None if earlier is None else before.get(currency, []),
            previous_month=month_name(month.previous.first_day),
            rows_limit=rows_limit if count == 1 else max(rows_limit // (2 * count), _FEWEST),
            list_limit=max(rows_limit // (4 * count), _FEWEST),
            is_open=is_open,
        )
        for currency in now
    ]


def _identity(lines: pl.DataFrame, header: Header, texts: Sequence[str]) -> str:
    """Digest of what the reader is told; the day it was made and the inputs' hashes do not count."""
    columns = ("line_id", "allocated_cost", "billing_currency", "period_status")
    rows = sorted(tuple(map(str, row)) for row in lines.select(columns).iter_rows())
    return fingerprint({"lines": rows, "header": header.model_dump(exclude={"through"}, mode="json"), "texts": list(texts)})
