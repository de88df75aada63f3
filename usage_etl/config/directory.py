"""Reads the dated directories (``directory/*.csv``) and the contract price file. Every fault is named, all at once."""

from __future__ import annotations

import csv
import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import polars as pl

from usage_etl.errors import DirectoryError
from usage_etl.money import parse_amount
from usage_etl.schemas import DIM_API_KEY, DIM_BUDGET, DIM_FEATURE, DIM_TEAM, DIM_USER, Table

DIRECTORY_FILES: Mapping[str, tuple[Table, tuple[str, ...]]] = {
    "users.csv": (DIM_USER, ("user_id",)),
    "teams.csv": (DIM_TEAM, ("team_id",)),
    "api_keys.csv": (DIM_API_KEY, ("api_key_id",)),
    "features.csv": (DIM_FEATURE, ("feature_id",)),
    "budgets.csv": (DIM_BUDGET, ("scope_kind", "scope_id")),
}
"""File name to its table and to the columns that name a member. A missing file is an empty directory."""

CONTRACT_COLUMNS = (
    "provider",
    "model_id",
    "processing",
    "region",
    "unit",
    "context_min_tokens",
    "daily_from",
    "daily_to",
    "valid_from",
    "valid_to",
    "input_uncached_per_mtok",
    "cache_read_per_mtok",
    "cache_write_5m_per_mtok",
    "cache_write_1h_per_mtok",
    "output_per_mtok",
    "output_reasoning_per_mtok",
    "input_audio_per_mtok",
    "cache_read_audio_per_mtok",
    "output_audio_per_mtok",
    "input_image_per_mtok",
    "cache_read_image_per_mtok",
    "output_image_per_mtok",
    "per_request",
    "per_unit",
    "unit_count",
    "currency",
    "note",
)
"""Columns of the contract file; only those of CONTRACT_KEY must be there."""

CONTRACT_KEY = ("provider", "model_id", "valid_from", "currency")
SURCHARGE_COLUMNS = ("provider", "model_id", "region", "multiplier", "valid_from", "valid_to", "note")
SURCHARGE_KEY = ("provider", "region", "multiplier", "valid_from")


def read_directories(folder: Path) -> dict[str, pl.DataFrame]:
    """Table name to its frame, for every directory. Raises DirectoryError listing every fault of every file."""
    problems: list[str] = []
    frames: dict[str, pl.DataFrame] = {}
    for file_name, (table, key) in DIRECTORY_FILES.items():
        rows = _read_rows(folder / file_name, tuple(table.columns), problems)
        typed = _typed_rows(rows, table, file_name, problems)
        problems += _overlaps(typed, key, file_name)
        frames[table.name] = pl.DataFrame(typed, schema=table.polars_schema, orient="row").sort(table.sort_by)
    problems += _unknown_teams(frames)
    if not problems:
        problems += [
            f"{table.name}: {rule} fails in {failed_count} row(s)"
            for table, _ in DIRECTORY_FILES.values()
            for rule, failed_count in table.rule_failures(frames[table.name]).items()
        ]
    if problems:
        raise DirectoryError(str(folder), problems)
    return frames


def read_contract(file: Path | None) -> pl.DataFrame:
    """The contract price file as text cells; no rows when none is configured. Raises DirectoryError."""
    return _read_table(file, CONTRACT_COLUMNS, CONTRACT_KEY)


def read_surcharges(file: Path | None) -> pl.DataFrame:
    """The file of regional surcharges as text cells; no rows when none is configured. Raises DirectoryError."""
    return _read_table(file, SURCHARGE_COLUMNS, SURCHARGE_KEY)


def _read_table(file: Path | None, columns: tuple[str, ...], required: tuple[str, ...]) -> pl.DataFrame:
    problems: list[str] = []
    rows = _read_rows(file, columns, problems, is_required=True, required=required) if file else []
    if problems:
        raise DirectoryError(str(file), problems)
    cells = [{name: row.get(name) for name in columns} for _, row in rows]
    return pl.DataFrame(cells, schema=dict.fromkeys(columns, pl.String), orient="row")


def _read_rows(
    file: Path,
    columns: tuple[str, ...],
    problems: list[str],
    *,
    is_required: bool = False,
    required: tuple[str, ...] | None = None,
) -> list[tuple[int, dict[str, str | None]]]:
    """(line number, cells by column) of each row; blank cells are None. Unknown, missing and repeated headers are faults.

    Columns that are not ``required`` may be missing.
    """
    if not file.exists():
        if is_required:
            problems.append(f"{file.name}: no such file")
        return []
    try:
        content = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{file.name}: cannot be read as UTF-8 ({error})")
        return []
    lines = list(csv.reader(content.splitlines(), strict=True))
    header = lines[0] if lines else []
    faults = [f"column {name} is missing" for name in required or columns if name not in header]
    faults += [f"column {name!r} is not known; allowed are {', '.join(columns)}" for name in header if name not in columns]
    faults += [f"column {name} stands twice" for name in set(header) if header.count(name) > 1]
    if faults:
        problems += [f"{file.name}: {fault}" for fault in faults]
        return []
    rows = []
    for number, cells in enumerate(lines[1:], start=2):
        if not any(cells):
            continue
        if len(cells) != len(header):
            problems.append(f"{file.name} line {number}: {len(cells)} cells, the header has {len(header)}")
            continue
        rows.append((number, {name: cell.strip() or None for name, cell in zip(header, cells, strict=True)}))
    return rows


def _typed_rows(
    rows: Iterable[tuple[int, dict[str, str | None]]], table: Table, file_name: str, problems: list[str]
) -> list[dict[str, object]]:
    schema = table.polars_schema
    typed: list[dict[str, object]] = []
    for number, row in rows:
        try:
            typed.append({name: _typed(row[name], dtype) for name, dtype in schema.items()})
        except ValueError as error:
            problems.append(f"{file_name} line {number}: {error}")
    return typed


def _typed(cell: str | None, dtype: pl.DataType) -> str | dt.date | Decimal | None:
    if cell is None or dtype == pl.String:
        return cell
    return dt.date.fromisoformat(cell) if dtype == pl.Date else parse_amount(cell)


def _overlaps(rows: list[dict[str, object]], key: tuple[str, ...], file_name: str) -> list[str]:
    """Two spans of one member that share a day, and spans that end before they begin."""
    spans: dict[tuple[object, ...], list[tuple[dt.date, dt.date]]] = defaultdict(list)
    faults = []
    for row in rows:
        start, end = row["valid_from"], row["valid_to"] or dt.date.max
        member = tuple(row[name] for name in key)
        if not isinstance(start, dt.date) or not isinstance(end, dt.date):
            faults.append(f"{file_name}: {'/'.join(map(str, member))} has no valid_from")
        elif end <= start:
            faults.append(f"{file_name}: {'/'.join(map(str, member))} ends on {end}, not after its start {start}")
        else:
            spans[member].append((start, end))
    for member, owned in spans.items():
        ordered = sorted(owned)
        faults += [
            f"{file_name}: {'/'.join(map(str, member))} has two rows in force on {later[0]}"
            for earlier, later in pairwise(ordered)
            if later[0] < earlier[1]
        ]
    return faults


def _unknown_teams(frames: Mapping[str, pl.DataFrame]) -> list[str]:
    teams = set(frames["dim_team"]["team_id"])
    return [
        f"{file_name}: team {team} is not in teams.csv"
        for file_name in ("users.csv", "api_keys.csv")
        for team in sorted(set(frames[DIRECTORY_FILES[file_name][0].name]["team_id"].drop_nulls()) - teams)
    ]
