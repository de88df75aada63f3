"""Reads the dated directories (``directory/*.csv``). Every fault of every file is named, all at once."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from usage_etl.config.cells import FileRows, frame_of, read_text_rows, typed_rows
from usage_etl.config.directory_files import DIRECTORY_FILES, DirectoryFile
from usage_etl.config.directory_members import member_faults, set_aside
from usage_etl.config.directory_references import circle_faults, name_faults, reference_faults
from usage_etl.config.outcomes import OUTCOMES_FILE, read_outcomes
from usage_etl.config.quota_files import BUDGETS_FILE, QUOTAS_FILE, budget_faults, budget_rows, pool_faults, set_aside_quotas
from usage_etl.errors import DirectoryError
from usage_etl.schemas import DIM_OUTCOME, DIM_QUOTA


def read_directories(folder: Path) -> dict[str, pl.DataFrame]:
    """Table name to its frame, for every directory. Raises DirectoryError listing every fault of every file.

    What must hold is written in docs/reference/directory.md. A file that is not there is an empty directory. Budgets stand
    among the quotas too, as the quotas that they are.
    """
    problems: list[str] = []
    files = {name: _read(folder / name, file, problems) for name, file in DIRECTORY_FILES.items()}
    for name, file in DIRECTORY_FILES.items():
        problems += member_faults(files[name], name, file)
    problems += [*reference_faults(files), *circle_faults(files), *name_faults(files)]
    problems += [*budget_faults(files), *pool_faults(files)]
    known = {name: {row.cells[file.key[0]] for row in files[name].rows} for name, file in DIRECTORY_FILES.items()}
    outcomes = read_outcomes(folder, problems, features=known["features.csv"], teams=known["teams.csv"])
    if problems:
        raise DirectoryError(str(folder), problems)
    frames = {file.table.name: frame_of(files[name].rows, file.table) for name, file in DIRECTORY_FILES.items()}
    frames[DIM_OUTCOME.name] = outcomes
    quotas = [*files[QUOTAS_FILE].rows, *budget_rows(files[BUDGETS_FILE])]
    return frames | {DIM_QUOTA.name: frame_of(quotas, DIM_QUOTA)}


def unknown_files(folder: Path) -> list[str]:
    """CSV files of the folder that no directory reads, a misspelt name among them."""
    return sorted(path.name for path in folder.glob("*.csv") if path.name not in {*DIRECTORY_FILES, OUTCOMES_FILE})


def _read(path: Path, file: DirectoryFile, problems: list[str]) -> FileRows:
    texts = read_text_rows(path, tuple(file.table.columns), problems, optional=file.optional)
    found = typed_rows(texts, file.table, path.name, problems, parsers=file.parsers)
    set_aside(found, file, problems)
    if path.name == QUOTAS_FILE:
        set_aside_quotas(found, problems)
    return found
