"""When each version of a partition stood, those included that are not kept any more."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from usage_etl.errors import ForgottenVersionError
from usage_etl.lake.manifests import Commit, read_sealed, sealed_bytes

PRUNED = "was pruned (lake.history_days)"
LOST = "was found lost or changed when it was replaced"
UNKNOWN = "nobody noted: its manifest was damaged or discarded"

_PREFIX = "_pruned"
_FORMAT = 1


@dataclass(frozen=True, order=True)
class Lifespan:
    """One time for which one version was the partition; a version that came back has several."""

    begun_at: dt.datetime
    ended_at: dt.datetime
    """Exclusive."""
    sha256: str
    why_gone: str | None = None
    """Why the version is not kept any more; null while it is."""


def spans_of(note: dict[str, Any]) -> list[Lifespan]:
    """When the version of a note in the history stood, the earlier times before it was replaced and came back included."""
    pairs = [*note.get("earlier", ()), (note["committed_at"], note["replaced_at"])]
    return [
        Lifespan(dt.datetime.fromisoformat(begun), dt.datetime.fromisoformat(ended), note["sha256"]) for begun, ended in pairs
    ]


def earlier_spans(note: dict[str, Any], committed_at: str) -> list[tuple[str, str]]:
    """The spans of a note as its next edition keeps them: without that of the version committed at ``committed_at``."""
    pairs = [*note.get("earlier", ()), (note["committed_at"], note["replaced_at"])]
    return [(begun, ended) for begun, ended in pairs if begun != committed_at]


def burial_prefix(table: str) -> str:
    """Where the burials of a table's partitions lie."""
    return f"{_PREFIX}/{table}/"


def burial_key(table: str, partition: str) -> str:
    """Where the versions of a partition are noted that are not kept any more."""
    return f"{burial_prefix(table)}{partition}.json"


def read_burials(key: str, data: bytes) -> list[Lifespan]:
    """Versions that are not kept any more. Raises DamagedManifestError."""
    found = read_sealed(key, data)["versions"]
    return [
        Lifespan(dt.datetime.fromisoformat(begun), dt.datetime.fromisoformat(ended), sha256, why)
        for begun, ended, sha256, why in found
    ]


def burial_bytes(spans: Iterable[Lifespan]) -> bytes:
    """What ``read_burials`` reads; each span once."""
    rows = [(span.begun_at.isoformat(), span.ended_at.isoformat(), span.sha256, span.why_gone) for span in sorted(set(spans))]
    return sealed_bytes({"format": _FORMAT, "versions": rows})


def standing(
    where: str,
    head: Commit | None,
    kept: Sequence[tuple[Commit, dict[str, Any]]],
    gone: Sequence[Lifespan],
    *,
    instant: dt.datetime,
) -> Commit | None:
    """The newest version that was committed at or before ``instant``; None before the first.

    ``kept`` are the versions of the history with their notes, ``gone`` those that are not kept, ``head`` is the newest.
    Raises ForgottenVersionError when that version is not kept any more.
    """
    commits = {commit.sha256: commit for commit in ([head] if head else []) + [commit for commit, _ in kept]}
    if head and _begun_at(head) <= instant:
        return head
    spans = [*(span for _, note in kept for span in spans_of(note)), *gone]
    begun = [span for span in spans if span.begun_at <= instant]
    if not begun:
        return None
    lasting = [span for span in begun if span.ended_at > instant]
    if not lasting:
        last_end = max(span.ended_at for span in begun)
        known = [*(span.begun_at for span in spans if span.begun_at > instant), *([_begun_at(head)] if head else [])]
        raise ForgottenVersionError(
            where, instant=instant, sha256=None, begun_at=last_end, ended_at=min(known, default=None), why=UNKNOWN
        )
    found = max(lasting, key=lambda span: (span.begun_at, span.sha256 in commits))
    if commit := commits.get(found.sha256):
        return dataclasses.replace(commit, committed_at=found.begun_at.isoformat())
    raise ForgottenVersionError(
        where,
        instant=instant,
        sha256=found.sha256,
        begun_at=found.begun_at,
        ended_at=found.ended_at,
        why=found.why_gone or LOST,
    )


def _begun_at(commit: Commit) -> dt.datetime:
    return dt.datetime.fromisoformat(commit.committed_at)


def buried(spans: Iterable[Lifespan], why: str) -> Iterator[Lifespan]:
    """The spans as those of versions that are not kept any more."""
    return (dataclasses.replace(span, why_gone=why) for span in spans)
