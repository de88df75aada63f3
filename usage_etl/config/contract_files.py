"""Reads the contract price file and the file of regional surcharges as text cells. Every fault is named, all at once."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from usage_etl.config.cells import read_text_rows
from usage_etl.errors import DirectoryError

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


def read_contract(file: Path | None) -> pl.DataFrame:
    """The contract price file as text cells; no rows when none is configured. Raises DirectoryError."""
    return _read_table(file, CONTRACT_COLUMNS, CONTRACT_KEY)


def read_surcharges(file: Path | None) -> pl.DataFrame:
    """The file of regional surcharges as text cells; no rows when none is configured. Raises DirectoryError."""
    return _read_table(file, SURCHARGE_COLUMNS, SURCHARGE_KEY)


def _read_table(file: Path | None, columns: tuple[str, ...], required: tuple[str, ...]) -> pl.DataFrame:
    problems: list[str] = []
    optional = [name for name in columns if name not in required]
    rows = read_text_rows(file, columns, problems, optional=optional, must_exist=True) if file else []
    if problems:
        raise DirectoryError(str(file), problems)
    cells = [{name: row.get(name) for name in columns} for _, row in rows]
    return pl.DataFrame(cells, schema=dict.fromkeys(columns, pl.String), orient="row")
