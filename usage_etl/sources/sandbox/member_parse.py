"""A bundle of small objects for parsers that know only single ones: each object parsed by itself, all as one delivery."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.parsed import ParseContext, ParsedBatch, Parser, quarantine_rows
from usage_etl.sources.reading.bundles import is_bundle, open_bundle
from usage_etl.sources.source import Source, fetch_folder


def parser_of(source: Source, path: Path) -> Parser:
    """The source's own parser, or one that hands it the objects of a bundle that ``fetch_folder`` made one by one."""
    is_ours = source.fetch is fetch_folder and not source.reads_bundles and is_bundle(path)
    return _MemberParser(source.parse) if is_ours else source.parse


class _MemberParser:
    """Numbers run on over the objects; one that cannot be read becomes one refused record, and the others are read."""

    def __init__(self, parse: Parser) -> None:
        self._parse = parse

    def __call__(self, path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
        """Batches of every object. Raises UnreadableDeliveryError where two of them hold one bucket."""
        offset = 0
        buckets: dict[tuple[str, str], str] = {}
        with open_bundle(path, context.source) as members:
            for name, local in members:
                batches = self._batches(name, local, context)
                for batch in batches:
                    for key in _buckets(batch):
                        if buckets.setdefault(key, name) != name:
                            fault = f"{buckets[key]} and {name} both hold bucket {key[1]}; set bundle: none for this source"
                            raise UnreadableDeliveryError(context.source, fault)
                yield from (_shifted(batch, offset) for batch in batches)
                offset += max((_last_ordinal(batch) for batch in batches), default=0)

    def _batches(self, name: str, local: Path, context: ParseContext) -> list[ParsedBatch]:
        """All of one object or, where any part of it cannot be read, the fault alone: half a bucket would replace a whole one."""
        try:
            return list(self._parse(local, context))
        except UnreadableDeliveryError as error:
            quarantine = quarantine_rows([(1, f"{name}: {error.reason}", "member__unreadable")], context)
            return [ParsedBatch(rows_read=1, quarantine=quarantine)]


def _buckets(batch: ParsedBatch) -> Iterator[tuple[str, str]]:
    yield from ((bucket.table_name, bucket.bucket_key) for bucket in batch.covered)
    for name, frame in (("staged_usage", batch.usage), ("staged_charges", batch.charges)):
        if frame is not None:
            yield from ((name, key) for key in frame["bucket_key"].drop_nulls().unique().to_list())


def _frames(batch: ParsedBatch) -> list[pl.DataFrame]:
    return [frame for frame in (batch.usage, batch.charges, batch.quarantine) if frame is not None]


def _last_ordinal(batch: ParsedBatch) -> int:
    return max((int(frame["raw_ordinal"].max() or 0) for frame in _frames(batch)), default=0)  # type: ignore[arg-type]


def _shifted(batch: ParsedBatch, offset: int) -> ParsedBatch:
    if not offset:
        return batch
    moved = pl.col("raw_ordinal") + offset
    return replace(
        batch,
        usage=None if batch.usage is None else batch.usage.with_columns(moved),
        charges=None if batch.charges is None else batch.charges.with_columns(moved),
        quarantine=batch.quarantine.with_columns(moved),
        raw_text=lambda ordinal: batch.raw_text(ordinal - offset),
    )
