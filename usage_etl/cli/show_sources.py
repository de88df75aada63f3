"""What ``usage-etl sources`` prints."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from usage_etl.cli.source_states import SourceState
    from usage_etl.cli.trial import Trial
    from usage_etl.sources.source import Source

_COLOURS = {"fresh": "green", "waits": "yellow", "late": "yellow", "held": "red", "refused": "red", "never delivered": "red"}
_USAGE_COLUMNS = (
    "raw_ordinal", "started_at", "host_raw", "model_raw", "primitive", "status", "requests_count", "input_uncached_tokens",
    "cache_read_tokens", "output_tokens", "quantity", "user_id", "team_id", "project_id", "feature_id",
)  # fmt: skip
_CHARGE_COLUMNS = (
    "raw_ordinal", "charge_date", "provider_name", "service_name", "charge_category", "sku_meter", "model_raw", "token_class",
    "consumed_quantity", "consumed_unit", "billed_cost", "billing_currency", "sub_account_id",
)  # fmt: skip
_TEXT_LIMIT = 300
_TITLES = ("source", "kind", "state", "delivered", "newest day", "rows", "rejects", "out of scope", "from")
_NUMBERS = ("rows", "rejects", "out of scope")


def print_states(console: Console, states: Sequence[SourceState]) -> None:
    """One line a source, never broken; then what lies before the lake's first day."""
    rows = [_TITLES, *(_state_cells(state) for state in states)]
    widths = [*(max(len(row[place]) for row in rows) for place in range(len(_TITLES) - 1)), 0]
    for row, style in zip(rows, ("bold", *(_COLOURS[state.state] for state in states)), strict=True):
        cells = [cell.rjust(width) if name in _NUMBERS else cell.ljust(width)
                 for name, cell, width in zip(_TITLES, row, widths, strict=True)]  # fmt: skip
        cells = [f"[{style}]{escape(cell)}[/]" if style == "bold" or name == "state" else escape(cell)
                 for name, cell in zip(_TITLES, cells, strict=True)]  # fmt: skip
        console.print("  ".join(cells).rstrip(), soft_wrap=True, highlight=False)
    for state in states:
        if state.rows_early_count:
            console.print(f"\n{escape(early_note(state))}", soft_wrap=True, highlight=False)


def early_note(state: SourceState) -> str:
    """That rows lie before the lake's first day, and what to do where they should count."""
    return (
        f"{state.name}: {state.rows_early_count:,} row(s) are of days before start_date and do not count; "
        f"an earlier start_date counts them"
    )


def _state_cells(state: SourceState) -> tuple[str, ...]:
    return (
        state.name,
        state.kind,
        state.state + (f" ({state.held_count})" if state.held_count else ""),
        _age(state.last_delivery_at),
        str(state.newest_day or "none"),
        f"{state.rows_staged_count:,}",
        f"{state.rows_quarantined_count:,}" + (f" + {state.refused_count} file(s)" if state.refused_count else ""),
        f"{state.rows_out_of_scope_count:,}",
        state.origin,
    )


def print_kinds(console: Console, sources: Sequence[Source]) -> None:
    """Two or three lines a kind."""
    for source in sources:
        console.print(f"[bold]{source.kind}[/bold]  {escape(source.facts.title)}")
        console.print(f"    reads   {escape(source.facts.formats)}", soft_wrap=True)
        console.print(f"    covers  {escape(source.facts.covers)}", soft_wrap=True)


def print_trial(console: Console, trial: Trial, *, rows: int, all_columns: bool) -> None:
    """Counts, the first rows and every complaint of one file."""
    if trial.refusal:
        console.print(f"[red]refused whole[/red]  {escape(trial.name)}: {escape(trial.refusal)}", soft_wrap=True)
        return
    staged = (
        ", ".join(f"{count:,} {name.removeprefix('staged_')} row(s)" for name, count in trial.rows_by_table.items() if count)
        or "no rows"
    )
    kept = trial.rows_read - trial.rows_quarantined - trial.rows_out_of_scope - trial.rows_merged
    staged += f" of {kept:,} record(s)" if sum(trial.rows_by_table.values()) != kept else ""
    left = f", {trial.rows_out_of_scope:,} out of scope" if trial.rows_out_of_scope else ""
    left += f", {trial.rows_merged:,} merged into others" if trial.rows_merged else ""
    read = f"{trial.rows_read:,} record(s) read: {staged}, {trial.rows_quarantined:,} refused{left}"
    console.print(f"{escape(trial.name)}: {read}", soft_wrap=True)
    if trial.days:
        console.print(f"days: {trial.days[0]}" + (f" to {trial.days[-1]} ({len(trial.days)})" if len(trial.days) > 1 else ""))
    for name, total in trial.sums.items():
        console.print(f"  {name:<26} {_cell(total)}")
    for title, frame, columns in (("usage", trial.usage, _USAGE_COLUMNS), ("charges", trial.charges, _CHARGE_COLUMNS)):
        if frame.height and rows:
            console.print(
                f"\n[bold]{title}[/bold], first {min(rows, frame.height)} of {trial.rows_by_table[f'staged_{title}']:,}"
            )
            _print_rows(console, frame.head(rows), frame.columns if all_columns else columns)
    for complaint in trial.complaints:
        console.print(f"\n[red]refused[/red]  {complaint.records_count:,} record(s): {escape(complaint.reasons)}", soft_wrap=True)
        console.print(
            f"    first is record {complaint.first_ordinal}: {escape(complaint.first_text[:_TEXT_LIMIT])}", soft_wrap=True
        )


def _print_rows(console: Console, frame: pl.DataFrame, columns: Iterable[str]) -> None:
    """One line a row, its filled columns as name=value."""
    filled = [name for name in columns if frame[name].null_count() < frame.height]
    for row in frame.select(filled).iter_rows(named=True):
        shown = "  ".join(f"{name}={escape(_cell(cell))}" for name, cell in row.items() if cell is not None)
        console.print(f"  {shown}", soft_wrap=True)


def _cell(cell: Any) -> str:
    if isinstance(cell, Decimal):
        return f"{cell.normalize():f}"
    if isinstance(cell, dt.datetime):
        return f"{cell:%Y-%m-%dT%H:%M:%SZ}"
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)


def _age(instant: dt.datetime | None) -> str:
    if instant is None:
        return "never"
    hours = (dt.datetime.now(tz=dt.UTC) - instant).total_seconds() / 3600
    ago = f"{hours * 60:.0f} min" if hours < 1 else f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"
    return f"{ago} ago"
