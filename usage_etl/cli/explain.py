"""The command ``explain``: from a published number back to lines of source files."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any

import typer

from usage_etl.cli.options import DEFAULT_CONFIG, ConfigOption
from usage_etl.cli.show import printable
from usage_etl.money import amount_text

if TYPE_CHECKING:
    from assets.explained import Bill, Explanation, Record, SourceFile, Usage
    from assets.resources import Workspace

_ATTOS = 10**18
_PATH = ("business_unit_name", "department_name", "team_name", "project_id", "investigation_id")
_INVOICE_LINE = ("service_name", "charge_kind", "charge_category", "model_id", "sub_account_id", "invoice_id")


def explain(
    line_id: Annotated[str, typer.Argument(help="Id of a line of the chargeback or of a statement, or its beginning.")],
    *,
    events: Annotated[int, typer.Option(min=0, max=1000, help="How many charges and events to show, the largest first.")] = 5,
    as_of: Annotated[str, typer.Option(help="Explain the line as it was booked then: a day or an instant.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Walk from a number of the chargeback to its rule, bill, usage and events, and to the lines of the source files."""
    from assets.explain import explain_line  # imports Dagster, which takes seconds
    from assets.resources import open_workspace

    workspace = open_workspace(str(config.resolve()))
    found = explain_line(_as_of(workspace, as_of) if as_of else workspace, line_id, events=events)
    if as_json:
        typer.echo(json.dumps(plain(found), indent=1, ensure_ascii=False))
    else:
        for text in _tree(found).lines():
            typer.echo(text)
    if found.all_faults:
        for fault in found.all_faults:
            typer.echo(printable(f"FAULT: {fault}"), err=True)
        raise typer.Exit(1)


def _as_of(workspace: Workspace, text: str) -> Workspace:
    from assets.as_of import AsOfWorkspace, parse_instant

    try:
        instant = parse_instant(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return AsOfWorkspace(workspace.settings, instant)


def plain(value: Any) -> Any:
    """An explanation as JSON can say it: amounts as plain decimal text, shares as fractions, nothing left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        found = {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        derived = {name: plain(getattr(value, name)) for name in ("matches", "share") if hasattr(type(value), name)}
        return found | derived
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, dt.date | Fraction):
        return value.isoformat() if isinstance(value, dt.date) else str(value)
    return value


@dataclasses.dataclass
class _Branch:
    """A line of the printed way, and what lies behind it."""

    text: str
    below: list[_Branch] = dataclasses.field(default_factory=list)

    def add(self, text: str) -> _Branch:
        """Hangs a line below this one."""
        branch = _Branch(text)
        self.below.append(branch)
        return branch

    def lines(self, depth: int = 0) -> Iterator[str]:
        """The branch from its top down, two blanks for every step."""
        yield "  " * depth + printable(self.text)
        for branch in self.below:
            yield from branch.lines(depth + 1)


def _tree(found: Explanation, role: str = "line") -> _Branch:
    line, currency = found.line, found.line["billing_currency"]
    tree = _Branch(f"{role} {line['line_id']}: {amount_text(line['allocated_cost'])} {currency}")
    owner = " > ".join(str(line[name]) for name in _PATH if line[name])
    tree.add(f"{line['line_kind']}, booked in {line['month']:%Y-%m} ({line['period_status'] or 'not booked'}) for {owner}")
    tree.add(f"cost center {line['cost_center_name']} ({line['cost_center_id']})")
    tree.add(f"table {found.table}/{found.partition} {found.table_version[:12]}")
    for one in found.published:
        tree.add(f"published in {one.version} ({one.period_status}): {amount_text(one.allocated_cost)} {currency}")
    if line["corrects_month"]:
        tree.add(f"corrects {line['corrects_month']:%Y-%m}: {line['correction_reason'] or 'no reason given'}")
    rule = tree.add(f"rule {found.rule.name}: {found.rule.text}")
    for step in found.rule.steps:
        rule.add(f"step: {step}")
    if line["fx_rate"] is not None:
        shown = (
            f"{line['invoice_currency']} at {amount_text(line['fx_rate'])} of {line['fx_rate_date']} ({line['fx_rate_source']})"
        )
        tree.add(f"converted from {shown}")
    if found.bill:
        _add_bill(tree, found.bill, currency)
    if found.usage:
        _add_usage(tree, found.usage, currency)
    for other in found.related:
        tree.below.append(_tree(other.explanation, other.role))
    for note in found.notes:
        tree.add(f"note: {note}")
    for fault in found.faults:
        tree.add(f"FAULT: {fault}")
    return tree


def _add_bill(tree: _Branch, bill: Bill, currency: str) -> None:
    line = bill.invoice_line
    about = ", ".join(str(line[name]) for name in _INVOICE_LINE if name in line)
    amount = f"{amount_text(line['billed_cost'])} {line['billing_currency']}"
    node = tree.add(f"invoice line {line['invoice_line_id']}: {amount}: {about}")
    node.add(f"{line['provider_name']} account {line['billing_account_id']}; table version {bill.table_version[:12]}")
    node.add(f"shared by {bill.shares_count} line(s) of the chargeback: {amount_text(bill.shares_total)} {currency}")
    for invoice in bill.invoices:
        total = f"{amount_text(invoice['invoice_total'])} {invoice['currency']}"
        node.add(f"invoice {invoice['invoice_id']} of {invoice['issued_date']}: {total}")
    charges = node.add(f"{bill.charges_count} charge line(s) add up to {amount_text(bill.charges_total)}")
    for one in bill.charges:
        amount = f"{amount_text(one.billed_cost)} {one.billing_currency}"
        shown = charges.add(f"{one.charge_date} {amount} {one.description or one.sku or ''}".rstrip())
        _add_source(shown, one.file, one.record)


def _add_usage(tree: _Branch, usage: Usage, currency: str) -> None:
    node = tree.add(f"usage of {usage.scope}{_share(usage, currency)}")
    for one in usage.days:
        cost = "no price" if one.effective_cost is None else f"{_decimal(one.effective_cost)} {one.currency}"
        counts = f"{one.rows_count} fact row(s), {one.requests_count} request(s), {one.total_tokens} tokens"
        node.add(f"{one.usage_date} {cost}: {counts}; fact_usage_daily {one.table_version[:12]}")
    if usage.events_kept:
        events = node.add(f"{usage.events_count} event(s) behind them")
        for event in usage.events:
            cost = "no price" if event.effective_cost is None else f"{amount_text(event.effective_cost)} {event.currency}"
            shown = events.add(f"{event.started_at:%Y-%m-%d %H:%M:%S} {event.event_id} {event.model_id}: {cost}")
            _add_source(shown, event.file, event.record)
    for delivery in usage.deliveries:
        shown = node.add(f"{delivery.usage_date}: {delivery.loaded_count} row(s) of delivery {delivery.file.delivery_id}")
        _add_source(shown, delivery.file, None)


def _share(usage: Usage, currency: str) -> str:
    if usage.all is None:
        return ""
    sides = [usage.own or Fraction(0), usage.all]
    if usage.measure == "cost":
        own, total = (f"{_decimal(side / _ATTOS)} {currency}" for side in sides)
    else:
        own, total = (f"{_decimal(side)} {usage.measure}" for side in sides)
    if usage.own is None:
        return f", by all owners: {total}"
    share = "nothing was used" if usage.share is None else f"{usage.share} = {_decimal(usage.share * 100, 6)} %"
    return f": {own} of {total}; share {share}"


def _add_source(tree: _Branch, file: SourceFile, record: Record | None) -> None:
    state = "matches" if file.matches else f"DOES NOT MATCH: found {file.found_sha256 or 'no object'}"
    tree.add(f"file {file.origin_key} of {file.source}, landed as {file.landed_key}")
    tree.add(f"sha256 {file.sha256} {state}")
    if record:
        quoted = record.raw_text if record.raw_text is not None else f"({record.note})"
        tree.add(f"record {record.raw_ordinal}: {quoted}")


def _decimal(number: Fraction, digits: int = 18) -> str:
    """A number rounded half-even to ``digits`` decimals, trailing zeros left out; the JSON output has it exact."""
    scaled = round(number * 10**digits)
    sign, text = "-" if scaled < 0 else "", str(abs(scaled)).rjust(digits + 1, "0")
    fraction = text[-digits:].rstrip("0")
    return f"{sign}{text[:-digits]}.{fraction}" if fraction else f"{sign}{text[:-digits]}"
