"""Explains a line of the chargeback: from the published number to rule, bill and usage, and on to lines of source files."""

import dataclasses
import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from assets.as_of import AsOfWorkspace
from assets.explain_bill import explain_bill, registered_invoices
from assets.explain_files import Files
from assets.explain_usage import explain_usage
from assets.explained import Explanation, Findings, Published, Related, Rule
from assets.resources import Workspace
from usage_etl.allocation.corrections import IDENTITY, booked_of
from usage_etl.allocation.rules import Step, rules_of
from usage_etl.delivery.versions import PublishedVersion, published_versions
from usage_etl.errors import ForgottenVersionError, UsageEtlError
from usage_etl.lake import WHOLE
from usage_etl.money import amount_text
from usage_etl.periods import Month
from usage_etl.schemas import (
    DIM_DISPUTE,
    MART_ALLOCATION_MONTHLY,
    MART_CHARGEBACK_CLOSED,
    MART_CHARGEBACK_MONTHLY,
    Table,
)

_REPORT, _FILE = "chargeback", "chargeback.parquet"
_PLACES = (MART_CHARGEBACK_MONTHLY, MART_CHARGEBACK_CLOSED, MART_ALLOCATION_MONTHLY)
"""Where a line is looked for: as it is booked, of any closing, as the rules give it now."""

_BOOKED_LATER = {"corrects_month": None, "correction_reason": None, "dispute_id": None, "period_status": None}
"""Columns of a booked line that a line of the allocation has not got."""


def explain_line(workspace: Workspace, line_id: str, *, events: int = 5) -> Explanation:
    """The line that ``line_id`` is, or begins, with the ``events`` largest charges and events behind it.

    Each line is explained by the tables as they stood when its allocation was made. A workspace as of an instant explains
    the line as it was booked then. Raises UsageEtlError where no line, or several, have the id.
    """
    table, line = _found(workspace, line_id)
    return _explained(workspace, table, line, events)


def _found(workspace: Workspace, line_id: str) -> tuple[Table, dict[str, Any]]:
    if not line_id:
        raise UsageEtlError("no line is named; give the id of a line, or its beginning")
    for table in _PLACES:
        rows = workspace.lake.scan(table).filter(pl.col("line_id").str.starts_with(line_id)).collect()
        if table is MART_CHARGEBACK_CLOSED:
            rows = rows.sort("closing_number").unique("line_id", keep="last", maintain_order=True)
        if rows.height == 1:
            return table, rows.row(0, named=True)
        if rows.height:
            raise UsageEtlError(_ambiguous(rows, line_id))
    raise UsageEtlError(_unknown(workspace, line_id))


def _ambiguous(rows: pl.DataFrame, line_id: str) -> str:
    shown = ", ".join(f"{row['line_id']} of {row['month']:%Y-%m}" for row in rows.sort("line_id").head(10).iter_rows(named=True))
    return f"{rows.height} lines begin with {line_id!r}: {shown}{', ...' if rows.height > 10 else ''}"


def _unknown(workspace: Workspace, line_id: str) -> str:
    """Where a line that is gone was published last, if it ever was."""
    for period in sorted({info.key.split("/")[1] for info in workspace.out.list(f"{_REPORT}/")}, reverse=True):
        for version in reversed(published_versions(workspace.out, _REPORT, period)):
            rows = _published_rows(workspace, version, line_id)
            if rows.height and version.published_at:
                return (
                    f"line {line_id} is in no table any more; {version.name} was the last to hold it: explain it as of then, "
                    f"with --as-of {version.published_at.isoformat()}"
                )
    return f"no line of the chargeback has the id {line_id!r}, or begins with it"


@dataclass(frozen=True)
class _Way:
    """A line on its way back: where it lies, and the tables that it was made from."""

    workspace: Workspace
    """Where the line lies."""
    view: Workspace
    """The tables as they stood when the line's allocation was made."""
    table: Table
    line: Mapping[str, Any]
    events: int

    @property
    def partition(self) -> str:
        """The line's month."""
        return str(self.line["month"].isoformat())

    @property
    def shares(self) -> pl.DataFrame:
        """Lines that share the line's invoice line, itself among them."""
        lines = self.workspace.lake.scan(self.table, [self.partition])
        if self.table is MART_CHARGEBACK_CLOSED:
            lines = lines.filter(pl.col("closing_number") == self.line["closing_number"])
        return lines.filter(pl.col("invoice_line_id") == pl.lit(self.line["invoice_line_id"], pl.String)).collect()


def _explained(workspace: Workspace, table: Table, line: Mapping[str, Any], events: int) -> Explanation:
    findings, whole = Findings(), {**_BOOKED_LATER, **line}
    try:
        view = _view(workspace, table, whole, findings)
        return _walked(_Way(workspace, view, table, whole, events), findings)
    except ForgottenVersionError as error:
        findings = Findings(notes=[f"the tables of then are not kept any more: {error}; those of now are shown"])
        return _walked(_Way(workspace, workspace, table, whole, events), findings)


def _walked(way: _Way, findings: Findings) -> Explanation:
    workspace, view, line = way.workspace, way.view, way.line
    files = Files(workspace, findings)
    bill = explain_bill(view, line, way.shares, files=files, findings=findings, top=way.events)
    usage = explain_usage(view, line, files=files, findings=findings, top=way.events)
    if bill is None and line["line_kind"] == "rounding":
        for invoice in registered_invoices(view, line, line["invoice_currency"] or line["billing_currency"]):
            findings.note(f"invoice {invoice['invoice_id']} says {amount_text(invoice['invoice_total'])} {invoice['currency']}")
    related = (*_of_correction(workspace, line, way.events, findings), *_of_dispute(workspace, line, way.events, findings))
    head = workspace.lake.head(way.table, way.partition)
    return Explanation(
        line=line,
        table=way.table.name,
        partition=way.partition,
        table_version=head.sha256 if head else "absent",
        as_of=view.instant if isinstance(view, AsOfWorkspace) else None,
        published=tuple(_published(workspace, line, findings)),
        rule=_rule(view, line),
        bill=bill,
        usage=usage,
        related=related,
        faults=tuple(findings.faults),
        notes=tuple(findings.notes),
    )


def _view(workspace: Workspace, table: Table, line: Mapping[str, Any], findings: Findings) -> Workspace:
    """The tables as they stood when the allocation was made that the line comes from.

    For a line of a closed month that is the allocation as it stood at the closing.
    """
    closed_at = line.get("closed_at")
    if table is MART_CHARGEBACK_MONTHLY and line["period_status"] == "closed":
        closings = workspace.lake.scan(MART_CHARGEBACK_CLOSED, [line["month"].isoformat()])
        found = closings.filter(pl.col("line_id") == line["line_id"]).select(pl.col("closed_at").max()).collect().item()
        if found is None:
            findings.note("no closing holds the line, though its month is closed")
        closed_at = found
    view = AsOfWorkspace(workspace.settings, closed_at) if isinstance(closed_at, dt.datetime) else workspace
    allocation = view.lake.head(MART_ALLOCATION_MONTHLY, line["month"].isoformat())
    if allocation is None:
        return view
    return AsOfWorkspace(workspace.settings, dt.datetime.fromisoformat(allocation.committed_at))


def _rule(workspace: Workspace, line: Mapping[str, Any]) -> Rule:
    rules = rules_of(workspace.settings.allocation, Month.of(line["month"]))
    found = next((rule for rule in rules if rule.name == line["rule_name"]), None)
    steps = (*found.steps, *found.fallback) if found else ()
    return Rule(line["rule_name"], line["allocation_rule"], tuple(_step_text(step) for step in steps))


def _step_text(step: Step) -> str:
    """The step's settings that are not the usual ones."""
    usual = Step(step.method)
    named = ((field.name, getattr(step, field.name)) for field in dataclasses.fields(step) if field.name != "method")
    more = [f"{name} {value}" for name, value in named if value != getattr(usual, name)]
    return ", ".join([step.method, *more])


def _of_correction(workspace: Workspace, line: Mapping[str, Any], events: int, findings: Findings) -> Iterator[Related]:
    """What a correction compares: the lines that were booked of its month, and those that the rules give it now."""
    if line["corrects_month"] is None or line["dispute_id"] is not None:
        return
    corrected = Month.of(line["corrects_month"])
    key = corrected.first_day.isoformat()
    closed = workspace.lake.scan(MART_CHARGEBACK_CLOSED).collect()
    booked = _same(booked_of(closed, corrected), line).filter(pl.col("line_id") != line["line_id"])
    now = _same(workspace.lake.scan(MART_ALLOCATION_MONTHLY, [key]).collect(), line)
    if booked.is_empty() and now.is_empty():
        findings.note(f"neither the closing of {corrected} nor the rules of now have a line of this owner and charge")
    for role, table, rows in (
        (f"booked of {corrected}", MART_CHARGEBACK_CLOSED, booked),
        (f"{corrected} by the rules of now", MART_ALLOCATION_MONTHLY, now),
    ):
        for row in rows.sort("line_id").iter_rows(named=True):
            yield Related(role, _explained(workspace, table, row, events))


def _same(lines: pl.DataFrame, line: Mapping[str, Any]) -> pl.DataFrame:
    """Lines of the same owner and charge."""
    return lines.filter(pl.col(name).eq_missing(pl.lit(line[name], lines.schema[name])) for name in IDENTITY)


def _of_dispute(workspace: Workspace, line: Mapping[str, Any], events: int, findings: Findings) -> Iterator[Related]:
    """The line that was disputed, and what was decided."""
    if line["dispute_id"] is None:
        return
    rows = workspace.lake.scan(DIM_DISPUTE, [WHOLE]).filter(pl.col("dispute_id") == line["dispute_id"]).collect()
    if rows.is_empty():
        findings.note(f"dispute {line['dispute_id']} is in finance/disputes no more")
        return
    dispute = rows.row(0, named=True)
    accepted = dispute["disputed_cost"] if dispute["accepted_cost"] is None else dispute["accepted_cost"]
    findings.note(
        f"dispute {dispute['dispute_id']}: {dispute['reason']}; {dispute['resolution']}, {amount_text(accepted)} taken off"
    )
    table, disputed = _found(workspace, dispute["line_id"])
    yield Related(f"disputed in {dispute['dispute_id']}", _explained(workspace, table, disputed, events))


def _published(workspace: Workspace, line: Mapping[str, Any], findings: Findings) -> Iterator[Published]:
    """The published versions of the line's month that hold it; a note where the newest says another amount, or has it not."""
    versions = published_versions(workspace.out, _REPORT, str(Month.of(line["month"])))
    amount = None
    for version in versions:
        rows = _published_rows(workspace, version, line["line_id"])
        amount = rows["allocated_cost"].item(0) if rows.height else None
        if amount is not None:
            yield Published(version.name, str(version.manifest["period_status"]), amount)
    if versions and amount != line["allocated_cost"]:
        said = "does not hold the line" if amount is None else f"says {amount_text(amount)}"
        findings.note(
            f"the newest published version, {versions[-1].name}, {said}; the table says {amount_text(line['allocated_cost'])}"
        )


def _published_rows(workspace: Workspace, version: PublishedVersion, line_id: str) -> pl.DataFrame:
    if _FILE not in version.files:
        return pl.DataFrame(schema={"line_id": pl.String, "allocated_cost": pl.Decimal(38, 18)})
    address, options = workspace.out.address(f"{version.prefix}/{_FILE}"), workspace.out.storage_options
    rows = pl.scan_parquet(address, storage_options=options, glob=False).select("line_id", "allocated_cost")
    return rows.filter(pl.col("line_id").str.starts_with(line_id)).collect()
