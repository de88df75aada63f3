"""What a file became once parsed and staged, of whatever kind it is."""

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tests.unit.sources.spend_logs import CONTEXT
from usage_etl.config import SourceSettings
from usage_etl.schemas.staged import STAGED_USAGE, USAGE_EVENTS_QUARANTINE
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.registry import SOURCES
from usage_etl.sources.staging import stage


@dataclass
class Outcome:
    """Everything that one delivery became."""

    usage: pl.DataFrame
    quarantine: pl.DataFrame
    rows_read: int
    rows_out_of_scope: int
    rows_merged: int
    hashes: tuple[str, ...]
    """Of the staged files, in order."""

    @property
    def row(self) -> dict[str, Any]:
        """The only staged row."""
        assert self.usage.height == 1, self.quarantine.select("raw_ordinal", "reasons").rows()
        return self.usage.row(0, named=True)

    @property
    def reasons(self) -> dict[int, str]:
        """Rule names by ordinal."""
        return dict(self.quarantine.sort("raw_ordinal").select("raw_ordinal", "reasons").rows())


def context_of(settings: SourceSettings, **changes: Any) -> ParseContext:
    """A delivery of a source with these settings, received on 2026-11-03."""
    return dataclasses.replace(CONTEXT, settings=settings, **changes)


def outcome_of_path(path: Path, settings: SourceSettings, **changes: Any) -> Outcome:
    """Parse and stage a file, checking what must hold for every file: counts close, contracts are kept."""
    context = context_of(settings, **changes)
    with tempfile.TemporaryDirectory() as folder:
        staged = stage(SOURCES[settings.kind].parse(path, context), context=context, work_folder=Path(folder))
        parts = [pl.read_parquet(file.path, glob=False) for file in staged.files]
        for file, part in zip(staged.files, parts, strict=True):
            assert part["usage_date"].unique().to_list() == [file.day]
        usage = pl.concat([STAGED_USAGE.empty(), *parts]).sort("raw_ordinal")
        quarantine = pl.concat(
            [USAGE_EVENTS_QUARANTINE.empty(), *(pl.read_parquet(list(parts)) for parts in staged.quarantine.values())]
        )
    STAGED_USAGE.validate(usage)
    USAGE_EVENTS_QUARANTINE.validate(quarantine)
    ordinals = [*usage["raw_ordinal"], *quarantine["raw_ordinal"]]
    assert len(set(ordinals)) == len(ordinals)
    assert all(1 <= ordinal <= staged.rows_read for ordinal in ordinals)
    assert staged.rows_in_scope == usage.height + quarantine.height
    hashes = tuple(file.sha256 for file in staged.files)
    return Outcome(usage, quarantine, staged.rows_read, staged.rows_out_of_scope, staged.rows_merged, hashes)


def outcome_of(content: bytes | str, settings: SourceSettings, **changes: Any) -> Outcome:
    """``outcome_of_path`` of a file with this content."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "object"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return outcome_of_path(path, settings, **changes)


def counting_rows(*outcomes: Outcome) -> pl.DataFrame:
    """The rows that count once copies are gone, each outcome being a later delivery than the one before."""
    from usage_etl.events import loser_rows, without_losers  # noqa: PLC0415 - only tests of identity need it

    frames = [found.usage.with_columns(delivery_sequence=pl.lit(number, pl.Int64)) for number, found in enumerate(outcomes)]
    numbered = pl.concat(frames).with_row_index("row_number").with_columns(pl.col("row_number").cast(pl.Int64))
    counted = [
        without_losers(day.lazy(), loser_rows(day.lazy())).collect()
        for day in numbered.partition_by("usage_date", maintain_order=True)
    ]
    return pl.concat(counted).drop("row_number").sort("event_id")
