"""The lake as it stood at an instant: the same tables, read-only, each partition in the version that was its newest then."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Never

import polars as pl

from usage_etl.errors import ForgottenVersionError, LakeError
from usage_etl.lake.clock import Clock, utc_now
from usage_etl.lake.history import History
from usage_etl.lake.manifests import FEW, Commit, Manifests
from usage_etl.lake.objects import ObjectStore
from usage_etl.lake.tables import TableStore
from usage_etl.schemas.contract import Table


class AsOfTables(TableStore):
    """The tables of a lake at an instant. Commits, and all else that changes the lake, raise LakeError.

    A partition that was committed later is absent. One whose version of then is not kept any more raises
    ForgottenVersionError, which names it; so do ``scan`` without partitions and ``partitions`` where there is any such.
    A version counts from the instant at which its bytes became the partition: a later commit that only confirmed them
    changes nothing, but its renewed inputs are those that ``head`` shows.
    """

    def __init__(self, store: ObjectStore, instant: dt.datetime, *, history_days: int = 400, clock: Clock = utc_now) -> None:
        """Raises LakeError for an instant that lies in the future, or names no time zone."""
        super().__init__(store, history_days=history_days, clock=clock)
        if instant.tzinfo is None:
            raise LakeError(f"{instant}: an instant needs a time zone")
        if instant > clock():
            raise LakeError(f"{instant.isoformat()} lies in the future: nobody knows yet how the tables will stand then")
        self.instant = instant.astimezone(dt.UTC)
        self._manifests: _ManifestsAsOf = _ManifestsAsOf(store, self.instant)

    def used(self) -> dict[str, str]:
        """``table/partition`` to sha256 of every version that was looked up so far."""
        return self._manifests.used()

    def versions(self, table: Table, partition: str) -> list[Commit]:
        """All versions up to the one that stood, as far as they are kept, the newest first."""
        head = self.head(table, partition)
        if head is None:
            return []
        kept = self._history.versions(table.name, partition)
        earlier = [commit for commit in kept if commit.sha256 != head.sha256 and commit.committed_at < head.committed_at]
        return [head, *earlier]

    def scan_version(self, table: Table, partition: str, sha256: str) -> pl.LazyFrame:
        """Rows of a version that stood at or before the instant. Raises LakeError for any other."""
        if sha256 not in {commit.sha256 for commit in self.versions(table, partition)}:
            raise LakeError(f"{table.name}/{partition}: no kept version {sha256} as of {self.instant.isoformat()}")
        return super().scan_version(table, partition, sha256)

    def is_current(self, table: Table, partition: str, *, inputs: Mapping[str, str]) -> bool:  # noqa: ARG002
        """Never: nothing is built from here."""
        return False

    def commit(self, table: Table, partition: str, *_: object, **__: object) -> Never:
        """Raises LakeError."""
        raise _read_only(f"{table.name}/{partition}", self.instant)

    def discard(self, table: Table, partition: str) -> Never:
        """Raises LakeError."""
        raise _read_only(f"{table.name}/{partition}", self.instant)

    def prune(self) -> Never:
        """Raises LakeError."""
        raise _read_only("the history", self.instant)

    def verify(self, tables: Sequence[Table]) -> Never:  # noqa: ARG002
        """Raises LakeError: the audit is of the lake as it is."""
        raise LakeError("the lake as it stood is not audited; `usage-etl verify` reads every kept version")


class _ManifestsAsOf(Manifests):
    """The newest manifest of each partition at an instant. What was looked up once is remembered."""

    def __init__(self, store: ObjectStore, instant: dt.datetime) -> None:
        super().__init__(store)
        self._past, self._instant = History(store), instant
        self._known: dict[tuple[str, str], Commit | ForgottenVersionError | None] = {}
        self._whole: set[str] = set()

    def head(self, table: str, partition: str) -> Commit | None:
        if (table, partition) not in self._known:
            head = super().head(table, partition)
            self._remember(table, {partition: head} if head else {}, [partition])
        return self._found(table, partition)

    def readable_head(self, table: str, partition: str) -> Commit | None:
        return self.head(table, partition)

    def heads(self, table: str, partitions: Sequence[str] | None) -> list[Commit]:
        missing = None if partitions is None else sorted({name for name in partitions if (table, name) not in self._known})
        if missing is None or len(missing) > FEW:
            if table not in self._whole:
                self._remember(table, {head.partition: head for head in super().heads(table, missing)}, missing)
        else:
            for partition in missing:
                self.head(table, partition)
        if partitions is None:
            self._whole.add(table)
            partitions = [partition for known, partition in self._known if known == table]
        return [head for partition in sorted(set(partitions)) if (head := self._found(table, partition))]

    def partitions(self, table: str) -> list[str]:
        return [head.partition for head in self.heads(table, None)]

    def write(self, commit: Commit) -> Never:
        raise _read_only(f"{commit.table}/{commit.partition}", self._instant)

    def delete(self, table: str, partition: str) -> Never:
        raise _read_only(f"{table}/{partition}", self._instant)

    def used(self) -> dict[str, str]:
        found = sorted(self._known.items())
        return {f"{table}/{partition}": head.sha256 for (table, partition), head in found if isinstance(head, Commit)}

    def _found(self, table: str, partition: str) -> Commit | None:
        found = self._known.get((table, partition))
        if isinstance(found, ForgottenVersionError):
            raise found
        return found

    def _remember(self, table: str, now: Mapping[str, Commit], wanted: Sequence[str] | None) -> None:
        """Which versions stood, of the partitions with the newest versions ``now``, or ``wanted`` ones, or all.

        The history is listed after the manifests were read, so that a version which is replaced meanwhile is in it.
        """
        is_few = wanted is not None and len(wanted) <= FEW
        if is_few and all(self._stood(now.get(partition)) for partition in wanted or ()):
            self._known |= {(table, partition): head for partition, head in now.items()}
            return
        listed = self._past.listed(table, wanted if is_few else None)
        partitions = {*now, *listed} if wanted is None else set(wanted)
        since = {partition: now.get(partition) for partition in sorted(partitions) if not self._stood(now.get(partition))}
        self._known |= {(table, partition): now[partition] for partition in partitions if partition not in since}
        found = self._past.standing(table, since, listed, instant=self._instant)
        self._known |= {(table, partition): commit for partition, commit in found.items()}

    def _stood(self, head: Commit | None) -> bool:
        return head is not None and dt.datetime.fromisoformat(head.committed_at) <= self._instant


def _read_only(what: str, instant: dt.datetime) -> LakeError:
    return LakeError(f"{what}: the lake as it stood at {instant.isoformat()} cannot be changed")
