"""What a file becomes for one kind of source: parsed and staged, with what must hold for every file checked on the way."""

import datetime as dt
import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from usage_etl.schemas.staged import BILLING_CHARGES_QUARANTINE, STAGED_CHARGES, STAGED_USAGE, USAGE_EVENTS_QUARANTINE
from usage_etl.sources.parsed import CoveredBucket, ParseContext, ParsedBatch
from usage_etl.sources.registry import SOURCES
from usage_etl.sources.staging import stage

RECORDED = Path(__file__).parents[2] / "recorded"
RECEIVED_AT = dt.datetime(2026, 11, 20, 6, tzinfo=dt.UTC)


@dataclass
class Staged:
    """Everything that one file became."""

    usage: pl.DataFrame
    charges: pl.DataFrame
    quarantine: pl.DataFrame
    rows_read: int
    """Records that were staged or refused."""
    left_out: int
    covered: tuple[CoveredBucket, ...]

    @property
    def refused(self) -> dict[int, str]:
        """Rule names by record number."""
        return dict(self.quarantine.sort("raw_ordinal").select("raw_ordinal", "reasons").rows())

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Usage rows in the order of records."""
        return self.usage.rows(named=True)

    @property
    def row(self) -> dict[str, Any]:
        """The only usage row."""
        (found,) = self.rows
        return found

    def tokens(self) -> tuple[int, int]:
        """Input and output tokens as reported, all rows together."""
        return int(self.usage["reported_input_tokens"].sum()), int(self.usage["reported_output_tokens"].sum())


def context_of(kind: str, origin_key: str = "", **settings: Any) -> ParseContext:
    """The context of a file of a source with these settings."""
    model = SOURCES[kind].settings.model_validate({"kind": kind, "name": "tested", "location": "landing", **settings})
    return ParseContext(
        source="tested",
        source_account="eu-1",
        role="usage",
        delivery_id="0" * 32,
        delivery_sequence=3,
        object_key="landing/tested/file",
        received_at=RECEIVED_AT,
        settings=model,
        origin_key=origin_key,
    )


def staged(kind: str, content: bytes | str, origin_key: str = "", **settings: Any) -> Staged:
    """Parse and stage a file. Counts close and contracts are kept; else this fails."""
    context = context_of(kind, origin_key, **settings)
    covered: list[CoveredBucket] = []

    def noting(batches: Iterable[ParsedBatch]) -> Iterable[ParsedBatch]:
        for batch in batches:
            covered.extend(batch.covered)
            yield batch

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        found = stage(noting(SOURCES[kind].parse(path, context)), context=context, work_folder=Path(folder))
        parts = {table.name: [table.empty()] for table in (STAGED_USAGE, STAGED_CHARGES)}
        for file in found.files:
            parts[file.table_name].append(pl.read_parquet(file.path, glob=False))
        refused = {name: pl.read_parquet(list(paths), glob=False) for name, paths in found.quarantine.items()}
    usage, charges = (pl.concat(frames).sort("raw_ordinal", maintain_order=True) for frames in parts.values())
    STAGED_USAGE.validate(usage)
    STAGED_CHARGES.validate(charges)
    assert set(refused) <= {USAGE_EVENTS_QUARANTINE.name, BILLING_CHARGES_QUARANTINE.name}
    quarantine = pl.concat([USAGE_EVENTS_QUARANTINE.empty(), *refused.values()])
    accounted = set(usage["raw_ordinal"]) | set(charges["raw_ordinal"])
    assert not accounted & set(quarantine["raw_ordinal"])
    assert found.rows_read == len(accounted) + quarantine.height + found.rows_out_of_scope
    assert found.records_staged == len(accounted)
    return Staged(usage, charges, quarantine, len(accounted) + quarantine.height, found.rows_out_of_scope, tuple(covered))


def staged_recorded(kind: str, name: str, **settings: Any) -> Staged:
    """What a recorded example becomes."""
    return staged(kind, (RECORDED / kind / name).read_bytes(), origin_key=name, **settings)


def lines(*records: Mapping[str, Any]) -> str:
    """Records as JSON lines."""
    return "".join(json.dumps(record) + "\n" for record in records)


def table(*rows: Iterable[object], separator: str = ",") -> str:
    """Rows of plain cells as CSV."""
    return "".join(separator.join(map(str, row)) + "\n" for row in rows)


def row_of(kind: str, record: Mapping[str, Any], **settings: Any) -> dict[str, Any]:
    """The row of one record."""
    return staged(kind, lines(record), **settings).row


def reasons_of(kind: str, record: Mapping[str, Any], good: Mapping[str, Any], **settings: Any) -> str:
    """Rule names of a record behind a good one; empty text when it was staged."""
    return staged(kind, lines(good, record), **settings).refused.get(2, "")
