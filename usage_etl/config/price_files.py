"""Reads the price files of an installation: contract, surcharges and the folder of accepted price files."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from usage_etl.config.contract_files import read_contract, read_surcharges
from usage_etl.config.settings import Settings


def contract_of(settings: Settings) -> pl.DataFrame:
    """The contract file as text cells. Raises DirectoryError."""
    return read_contract(_place(settings, settings.prices.contract_file))


def surcharges_of(settings: Settings) -> pl.DataFrame:
    """The surcharge file as text cells. Raises DirectoryError."""
    return read_surcharges(_place(settings, settings.prices.surcharges_file))


def accepted_files(settings: Settings) -> dict[str, bytes]:
    """Name to content of every accepted price file, the newest first by its name, which begins with its day.

    The contract and surcharge files may lie in the same folder; they are not among them.
    """
    folder = Path(settings.resolve(settings.prices.folder))
    named = (settings.prices.contract_file, settings.prices.surcharges_file)
    others = {place.resolve() for file in named if (place := _place(settings, file))}
    files = [path for path in sorted(folder.glob("*"), reverse=True) if path.suffix in {".csv", ".json"}]
    return {path.name: path.read_bytes() for path in files if path.resolve() not in others}


def _place(settings: Settings, file: str | None) -> Path | None:
    return Path(settings.resolve(file)) if file else None
