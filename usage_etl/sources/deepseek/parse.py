"""A landed export of DeepSeek to staged rows: ``amount`` files become bucket usage, ``cost`` files become charges.

An export is a zip of both. Which of the two a file is, is told by its columns, not by its name. Days were UTC days at first;
later exports state the start and the end of each interval with its offset.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.deepseek.amounts import parse_amounts
from usage_etl.sources.deepseek.costs import parse_costs
from usage_etl.sources.parsed import ParseContext, ParsedBatch
from usage_etl.sources.reading.text_tables import read_tables

AMOUNTS = "amounts"
COSTS = "costs"
PARSER_VERSION = "1"

_ZIP = b"PK\x03\x04"


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of one landed file, or of the files in a zip. Raises UnreadableDeliveryError."""
    offset = 0
    with _tables(path, context.source) as tables:
        for table in tables:
            for batch in _parse_table(table, context, offset):
                offset += batch.rows_read
                yield batch


def _parse_table(path: Path, context: ParseContext, offset: int) -> Iterator[ParsedBatch]:
    names = {name.strip().lower() for name in next(read_tables(path, context.source)).frame.columns}
    if {"type", "amount"} <= names:
        return parse_amounts(path, context, offset)
    if "cost" in names:
        return parse_costs(path, context, offset)
    raise UnreadableDeliveryError(
        context.source, "not an export of DeepSeek: neither a table of amounts (type, amount) nor one of costs (cost, currency)"
    )


@contextmanager
def _tables(path: Path, source: str) -> Iterator[Iterator[Path]]:
    """The CSV files of a zip in order of name, each gone once the next is asked for; else the file itself."""
    with path.open("rb") as raw:
        is_zip = raw.read(4) == _ZIP
    if not is_zip:
        yield iter((path,))
        return
    with tempfile.TemporaryDirectory() as folder:
        yield _members(path, Path(folder) / "member.csv", source)


def _members(path: Path, local: Path, source: str) -> Iterator[Path]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if name.lower().endswith(".csv") and "__MACOSX/" not in name)
            if not names:
                raise UnreadableDeliveryError(source, "the zip holds no CSV file; land the export as it was downloaded")
            for name in names:
                with archive.open(name) as member, local.open("wb") as target:
                    shutil.copyfileobj(member, target, 1 << 20)
                yield local
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:  # RuntimeError: encrypted
        raise UnreadableDeliveryError(source, f"the zip is cut, damaged or encrypted: {error}") from error
