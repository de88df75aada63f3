"""The command ``diff``: what differs between two published versions of a month, and why."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from usage_etl.cli.options import DEFAULT_CONFIG, ConfigOption
from usage_etl.cli.show import printable
from usage_etl.money import amount_text
from usage_etl.reports.version_diff import AMORTISED, BILLED, Change, LineChange
from usage_etl.schemas.periods import ALL_OTHERS

if TYPE_CHECKING:
    from assets.differences import InputChange, ReportDiff, RestatedDay

_SHOWN_LINES = 30
_FILE_WIDTH = 160
"""Columns of what is printed into a file or a pipe."""


def diff(
    before: Annotated[str, typer.Argument(help="Version to compare with, such as 2026-10@v1, @closed, @latest or @<sha256>.")],
    after: Annotated[str, typer.Argument(help="Version to compare, of the same month.")],
    *,
    report: Annotated[str, typer.Option(help="Report with lines.")] = "chargeback",
    amortised: Annotated[bool, typer.Option("--amortised", help="Compare amortised amounts, not billed ones.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, every line included.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Compare two published versions of a month: by cost center, by reason, line by line, and what caused it."""
    from assets.differences import diff_published  # imports Dagster, which takes seconds
    from assets.resources import open_workspace

    workspace = open_workspace(str(config.resolve()))
    found = diff_published(workspace, before, after, report=report, amount=AMORTISED if amortised else BILLED)
    if as_json:
        typer.echo(json.dumps(_document(found), indent=1, ensure_ascii=False))
    else:
        _print(found)


def _document(found: ReportDiff) -> dict[str, Any]:
    sides = {
        side: {
            "version": one.name, "manifest_sha256": one.manifest_sha256, "period_status": one.manifest["period_status"],
            "published_at": one.published_at.isoformat() if one.published_at else None,
        }
        for side, one in (("before", found.before), ("after", found.after))
    }  # fmt: skip
    return {
        "report": found.before.report,
        **sides,
        "totals": [_change_document(one) for one in found.lines.totals],
        "by_cost_center": [_change_document(one) for one in found.lines.by_cost_center],
        "by_reason": [_change_document(one) for one in found.lines.by_reason],
        "lines": [_line_document(one) for one in found.lines.lines],
        "described_otherwise_count": found.lines.described_otherwise_count,
        "why": {
            "versions": {name: {"before": old, "after": new} for name, (old, new) in found.versions.items()},
            "inputs": [vars(one) for one in found.inputs],
            "restated_days": [_day_document(one) for one in found.restated],
            "closings": [{**vars(one), "happened_at": one.happened_at.isoformat()} for one in found.closings],
            "notes": list(found.notes),
        },
    }


def _change_document(one: Change) -> dict[str, Any]:
    return {
        "id": one.member_id, "name": one.member_name, "currency": one.currency, "lines_count": one.lines_count,
        "before": _plain(one.before), "after": _plain(one.after), "change": _plain(one.change),
    }  # fmt: skip


def _line_document(one: LineChange) -> dict[str, Any]:
    return {
        "line_id": one.line_id, "what": one.what, "reason": one.reason, "currency": one.currency,
        "before": _plain(one.before), "after": _plain(one.after), "change": _plain(one.change), **one.texts,
    }  # fmt: skip


def _day_document(one: RestatedDay) -> dict[str, Any]:
    deliveries = [
        {**vars(note), "received_at": note.received_at.isoformat() if note.received_at else None} for note in one.deliveries
    ]
    own = {"usage_date": one.usage_date.isoformat(), "built_at": one.built_at.isoformat(), "deliveries": deliveries}
    return {**vars(one), **own}


def _print(found: ReportDiff) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    for name, one in (("before", found.before), ("after", found.after)):
        when = f"published {one.published_at:%Y-%m-%d %H:%M} UTC" if one.published_at else "published at an unknown time"
        shown = f"{name:<7}{one.report} {one.name}  {one.manifest_sha256[:12]}  {one.manifest['period_status']}, {when}"
        console.print(_safe(shown), soft_wrap=True)
    _print_changes(console, "In all", found.lines.totals)
    _print_changes(console, "By cost center", found.lines.by_cost_center)
    _print_changes(console, "By reason", found.lines.by_reason)
    _print_lines(console, found.lines.lines)
    if found.lines.described_otherwise_count:
        console.print(f"{found.lines.described_otherwise_count} line(s) have equal amounts and another description")
    _print_why(console, found)


def _print_changes(console: Console, title: str, changes: tuple[Change, ...]) -> None:
    table = _table(title, ("", "lines", "before", "after", "change", ""), numbers=(1, 2, 3, 4))
    for one in changes:
        label = one.member_id if one.member_name == one.member_id else f"{one.member_name} ({one.member_id})"
        amounts = (_plain(one.before), _plain(one.after), _signed(one.change))
        table.add_row(_safe(label), str(one.lines_count), *(str(amount) for amount in amounts), one.currency)
    if changes:
        console.print(table)


def _print_lines(console: Console, lines: tuple[LineChange, ...]) -> None:
    table = _table("Lines", ("line", "what", "owner", "of", "before", "after", "change", "", "why"), numbers=(4, 5, 6))
    for one in lines[:_SHOWN_LINES]:
        owner = "/".join(text for name in ("cost_center_id", "team_id", "project_id") if (text := one.texts.get(name)))
        about = " ".join(text for name in ("provider_name", "model_id") if (text := one.texts.get(name)))
        amounts = (_plain(one.before) or "-", _plain(one.after) or "-", _signed(one.change))
        table.add_row(one.line_id[:12], one.what, _safe(owner), _safe(about), *amounts, one.currency, _safe(one.reason))
    if lines:
        console.print(table)
    else:
        console.print("\nNo line was added, removed or changed in its amount.")
    if len(lines) > _SHOWN_LINES:
        console.print(f"... and {len(lines) - _SHOWN_LINES} more; --json prints all")


def _print_why(console: Console, found: ReportDiff) -> None:
    console.print("\n[bold]Why[/bold]")
    for name, (old, new) in found.versions.items():
        console.print(_safe(f"  {name}: {old or 'absent'} -> {new or 'absent'}"), soft_wrap=True)
    for change in found.inputs:
        console.print(_safe(f"  {_input_text(change)}"), soft_wrap=True)
    for day in found.restated:
        sides = ("nothing" if cost is None else _plain(Decimal(cost)) for cost in (day.before_cost, day.after_cost))
        amounts = f"{' -> '.join(str(side) for side in sides)} {day.currency or ''}".rstrip()
        text = f"  {day.table_name} {day.usage_date} restated {day.built_at:%Y-%m-%d %H:%M} by {day.cause}: {amounts}"
        console.print(_safe(text), soft_wrap=True)
        for note in day.deliveries:
            console.print(_safe(f"    {note.what}: {note.source} {note.origin_key} ({note.delivery_id})"), soft_wrap=True)
    for closing in found.closings:
        provider = "the month as a whole" if closing.provider_name == ALL_OTHERS else closing.provider_name
        text = f"  {provider} {closing.what} {closing.happened_at:%Y-%m-%d %H:%M} by {closing.done_by}, closing {closing.number}"
        console.print(_safe(text + (f": {closing.reason}" if closing.reason else "")), soft_wrap=True)
    for note_text in found.notes:
        console.print(_safe(f"  not found out: {note_text}"), soft_wrap=True)
    if not (found.versions or found.inputs or found.closings or found.notes):
        console.print("  both were made from the same table versions by the same code")


def _input_text(change: InputChange) -> str:
    sides = f"{(change.before or 'absent')[:12]} -> {(change.after or 'absent')[:12]}"
    return f"{change.name}: {sides}, read by {', '.join(change.read_by)}" + (f" ({change.note})" if change.note else "")


def _table(title: str, columns: tuple[str, ...], *, numbers: tuple[int, ...]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place in numbers else "left", no_wrap=place in numbers, overflow="fold")
    return table


def _safe(text: str) -> str:
    return escape(printable(text))


def _plain(amount: Decimal | None) -> str | None:
    return None if amount is None else amount_text(amount)


def _signed(amount: Decimal) -> str:
    return f"{'+' if amount > 0 else ''}{_plain(amount)}"
