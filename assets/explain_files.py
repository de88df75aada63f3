"""Landed files behind charges and events: hashed anew, and quoted record by record."""

from collections.abc import Iterable
from pathlib import Path

from assets.explained import Findings, Record, SourceFile
from assets.landing import parse_context
from assets.resources import Workspace
from usage_etl.errors import LakeError, MissingObjectError, SourceError
from usage_etl.lake import LandedDelivery
from usage_etl.sources.parsed import ParseContext, ParsedBatch
from usage_etl.sources.registry import SOURCES
from usage_etl.sources.sandbox.member_parse import parser_of
from usage_etl.sources.source import Source

QUOTED_CHARACTERS = 300


class Files:
    """The landed files of an installation. Each is hashed once, and read once for all records that are asked for together."""

    def __init__(self, workspace: Workspace, findings: Findings) -> None:
        self._workspace, self._findings = workspace, findings
        self._known: dict[str, tuple[SourceFile, LandedDelivery | None]] = {}

    def of(self, delivery_id: str) -> SourceFile:
        """The file of a delivery; a fault is noted when its bytes are not those that were landed."""
        if delivery_id not in self._known:
            self._known[delivery_id] = self._hashed(delivery_id)
        return self._known[delivery_id][0]

    def records(self, wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Record]:
        """Records as received, by delivery and ordinal."""
        by_delivery: dict[str, set[int]] = {}
        for delivery_id, ordinal in wanted:
            by_delivery.setdefault(delivery_id, set()).add(ordinal)
        return {
            (delivery_id, ordinal): record
            for delivery_id, ordinals in by_delivery.items()
            for ordinal, record in self._quoted(delivery_id, ordinals).items()
        }

    def _hashed(self, delivery_id: str) -> tuple[SourceFile, LandedDelivery | None]:
        try:
            delivery = self._workspace.index.delivery(delivery_id)
        except LakeError as error:
            self._findings.faults.append(f"delivery {delivery_id}: the delivery index does not know it ({error})")
            return SourceFile(delivery_id, "unknown", "unknown", "unknown", "unknown", "unknown", None, None), None
        try:
            found = self._workspace.store.digest(delivery.landed_key)
        except MissingObjectError:
            found = None
        file = SourceFile(
            delivery_id=delivery_id,
            source=delivery.source,
            kind=delivery.kind,
            origin_key=delivery.origin_key,
            landed_key=delivery.landed_key,
            sha256=delivery.sha256,
            found_sha256=found,
            received_at=delivery.received_at,
        )
        if not file.matches:
            what = f"sha256 is {found}" if found else "there is no such object"
            self._findings.faults.append(f"{file.landed_key}: {what}, it was landed with {file.sha256}")
        return file, delivery

    def _quoted(self, delivery_id: str, ordinals: set[int]) -> dict[int, Record]:
        file = self.of(delivery_id)
        delivery = self._known[delivery_id][1]
        source = next((source for source in self._workspace.settings.sources if source.name == file.source), None)
        if delivery is None or not file.matches:
            why = "the file is not the one that was landed"
        elif source is None:
            why = f"source {file.source} is not in the settings any more"
        else:
            return self._read(delivery, SOURCES[source.kind], parse_context(source, delivery), ordinals)
        return {ordinal: Record(delivery_id, ordinal, None, why) for ordinal in ordinals}

    def _read(self, delivery: LandedDelivery, source: Source, context: ParseContext, ordinals: set[int]) -> dict[int, Record]:
        """Reads the file as it was read when it was staged, as far as the last record that is wanted.

        Its bytes were read once before, in a child of limited rights, and have not changed since.
        """
        texts: dict[int, str] = {}
        try:
            with self._workspace.landing.open(delivery) as path:
                texts = _texts(source, path, context, ordinals)
            why = f"the form of this {source.kind} file has no lines that could be quoted"
        except SourceError as error:
            why = f"the file cannot be read any more: {error}"
        return {
            ordinal: Record(delivery.delivery_id, ordinal, text[:QUOTED_CHARACTERS])
            if (text := texts.get(ordinal, ""))
            else Record(delivery.delivery_id, ordinal, None, why)
            for ordinal in ordinals
        }


def _texts(source: Source, path: Path, context: ParseContext, ordinals: set[int]) -> dict[int, str]:
    texts: dict[int, str] = {}
    for batch in parser_of(source, path)(path, context):
        for ordinal in _ordinals(batch) & ordinals:
            texts[ordinal] = batch.raw_text(ordinal)
        if len(texts) == len(ordinals):
            break
    return texts


def _ordinals(batch: ParsedBatch) -> set[int]:
    frames = (frame for frame in (batch.usage, batch.charges) if frame is not None)
    return {ordinal for frame in frames for ordinal in frame["raw_ordinal"].to_list()}
