"""What the command line prints: checks with their remedies, and what a run made."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape

from usage_etl.cli.show_sources import early_note

if TYPE_CHECKING:
    import polars as pl

    from usage_etl.cli.doctor import Check
    from usage_etl.cli.pipeline import RunSummary


def print_checks(console: Console, checks: Sequence[Check]) -> None:
    """One line a check; a failed one is followed by how to mend it."""
    for check in checks:
        mark = "[green]ok  [/green]" if check.passed else "[red]FAIL[/red]"
        console.print(f"{mark} {escape(check.name):<22} {escape(check.seen)}", soft_wrap=True)
        if not check.passed and check.remedy:
            console.print(f"     -> {escape(check.remedy)}", soft_wrap=True)
    failed = sum(not check.passed for check in checks)
    console.print(f"\n{len(checks) - failed} of {len(checks)} checks passed" + (f", {failed} to mend" if failed else ""))


def print_summary(console: Console, summary: RunSummary) -> None:
    """Jobs with their duration and failures, then files with sizes, then the trust figures."""
    for outcome in summary.outcomes:
        mark = "[green]done  [/green]" if outcome.succeeded else "[red]failed[/red]"
        console.print(f"{mark} {outcome.job_name:<8} {outcome.duration_s:6.1f} s  {outcome.partitions}")
        for failure in outcome.failures:
            console.print(f"       {escape(failure)}", soft_wrap=True)
    for state in summary.early:
        console.print(f"\n{escape(early_note(state))}", soft_wrap=True, highlight=False)
    if summary.files:
        console.print("\nReports made:")
        for place, bytes_count in gathered(summary.files):
            console.print(f"{_size(bytes_count):>10}  {escape(place)}", soft_wrap=True, highlight=False)
    if summary.trust:
        console.print("\nHow far to trust these numbers:")
        for label, figure, note in summary.trust:
            console.print(f"  {escape(label):<26}  {escape(figure):<18}  {escape(note)}".rstrip(), soft_wrap=True)


def gathered(files: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """The files, with the statements of a folder as one line: there are two for every cost center."""
    lines: dict[str, list[int]] = {}
    for place, bytes_count in files:
        folder, _, name = place.rpartition("/")
        is_statement = name.startswith("statement_") and not folder.endswith("/mail")
        lines.setdefault(f"{folder}/statement_*" if is_statement else place, []).append(bytes_count)
    return [
        (f"{place}  ({len(sizes)} files)" if place.endswith("/statement_*") else place, sum(sizes))
        for place, sizes in lines.items()
    ]


def print_rows(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Aligned columns of plain text, numbers to the right; a whole column is as wide as its widest cell."""
    cells = [*([list(titles)] if titles else []), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    is_number = [all(isinstance(value, int | Decimal | None) for value in column) for column in zip(*rows, strict=True)]
    for line in cells:
        parts = zip(line, widths, is_number or [False] * len(widths), strict=True)
        typer.echo("  ".join(cell.rjust(width) if number else cell.ljust(width) for cell, width, number in parts).rstrip())


def print_csv(frame: pl.DataFrame, *, text: Callable[[str], str] = str) -> None:
    """Every column and row as CSV for machines; ``text`` is what becomes of a cell of text."""
    from usage_etl.reports.csv_dialect import machine_csv, plain_decimal

    def cell(value: object) -> str | None:
        if value is None:
            return None
        if isinstance(value, Decimal):
            return plain_decimal(value)
        return text(str(value)) if isinstance(value, str) else str(value)

    sys.stdout.buffer.write(machine_csv({name: [cell(value) for value in frame[name]] for name in frame.columns}))


def printable(text: str) -> str:
    """``text`` with escapes for what a log may hold and a terminal must not obey."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _cell(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d}"
    return "" if value is None else str(value)


def _size(bytes_count: int) -> str:
    return f"{bytes_count / 1024:.1f} KB" if bytes_count < 1024 * 1024 else f"{bytes_count / 1024 / 1024:.1f} MB"
