"""Tables as one Parquet object per partition, replaced whole, each version known by a manifest.

A commit holds the partition's lock while it writes, in this order: the replaced version's copy under ``_history``, the
new object, the manifest. A reader takes the version that the manifest names: the object itself or, while a commit is
between object and manifest or was cut short there, the copy. So a crash at any point leaves every partition readable as
its last finished commit, and running the same step again finishes it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from usage_etl import __version__
from usage_etl.errors import IntegrityError, LakeError
from usage_etl.keys import fingerprint, partition_key
from usage_etl.lake.audit import table_faults
from usage_etl.lake.clock import Clock, utc_now
from usage_etl.lake.files import MEMORY_ROWS, TableFile, table_file
from usage_etl.lake.history import History
from usage_etl.lake.manifests import FEW, Commit, Manifests
from usage_etl.lake.objects import ObjectInfo, ObjectStore
from usage_etl.schemas.contract import Table

WHOLE = "all"
"""Partition of tables that have none."""

_log = logging.getLogger(__name__)
_PARTITION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_ATTEMPTS = 5
_PAUSE_SECONDS = 0.05


class TableStore:
    """The tables of one lake. Safe to use from several threads and processes."""

    def __init__(
        self,
        store: ObjectStore,
        *,
        history_days: int = 400,
        clock: Clock = utc_now,
        work_folder: Path | None = None,
        memory_rows: int = MEMORY_ROWS,
    ) -> None:
        """``work_folder`` holds files while they are written; the system's temporary folder unless given.

        Commits of more than ``memory_rows`` rows are sorted on disk.
        """
        self._store, self._manifests, self._history = store, Manifests(store), History(store)
        self._history_days, self._clock = history_days, clock
        self._work_folder, self._memory_rows = work_folder, memory_rows
        self._hashed: set[tuple[ObjectInfo, str]] = set()

    def commit(
        self, table: Table, partition: str, frame: pl.LazyFrame | pl.DataFrame, *, inputs: Mapping[str, str] = {}
    ) -> Commit:
        """Makes ``frame`` the partition. Unchanged content is not written; only the manifest's inputs are renewed.

        ``inputs`` maps the name to the version of everything that the frame was made from. Raises ContractError when a
        column or a row breaks the table's contract; then, and when ``frame`` fails, the last good version stays.
        """
        check_partition(table, partition)
        with (
            table_file(table, partition, frame.lazy(), work_folder=self._work_folder, memory_rows=self._memory_rows) as file,
            self._store.lock(f"{table.name}/{partition}") as assert_held,
        ):
            head = self._manifests.readable_head(table.name, partition)
            if head and head.sha256 == file.sha256:
                commit = self._confirmed(table, head, file, dict(inputs))
            else:
                commit = self._replaced(table, partition, head, file, dict(inputs))
            if head != dataclasses.replace(commit, changed=True):
                assert_held()
                self._manifests.write(commit)
            if head and commit.changed and not self._history_days:
                self._history.drop(head)
            return commit

    def head(self, table: Table, partition: str) -> Commit | None:
        """The newest version; None before the first commit. Raises DamagedManifestError."""
        check_partition(table, partition)
        return self._manifests.head(table.name, partition)

    def is_current(self, table: Table, partition: str, *, inputs: Mapping[str, str]) -> bool:
        """Whether the newest version was made from these inputs by this code, in these columns. Reads one manifest."""
        check_partition(table, partition)
        head = self._manifests.readable_head(table.name, partition)
        if head is None or head.columns_fingerprint != table.columns_fingerprint:
            return False
        return head.code_version == __version__ and head.inputs == inputs

    def scan(self, table: Table, partitions: Sequence[str] | None = None) -> pl.LazyFrame:
        """Rows of the given partitions, or of all, in order of partition; partitions that do not exist hold no rows.

        A column that an earlier version of the program did not write is null, one that it wrote besides is left out.
        Raises IntegrityError when an object is not the one its manifest describes: it is known by the version mark
        that the store gave it, and by its sha256 where the mark differs.
        """
        for partition in partitions or ():
            check_partition(table, partition)
        heads = self._manifests.heads(table.name, partitions)
        if len(heads) > FEW:
            found = {info.key: info for info in self._store.list(f"{table.name}/")}
        else:
            found = {head.key: info for head in heads if (info := self._store.head(head.key))}
        return self._scan_keys(table, [self._readable_key(table, head, found.get(head.key)) for head in heads])

    def scan_version(self, table: Table, partition: str, sha256: str) -> pl.LazyFrame:
        """Rows of one version of a partition, current or kept. Raises LakeError when it is not kept any more."""
        head = self.head(table, partition)
        if head and head.sha256 == sha256:
            return self.scan(table, [partition])
        key = self._history.find(table.name, partition, sha256)
        if key is None:
            raise LakeError(f"{table.name}/{partition}: version {sha256} is not kept (history_days={self._history_days})")
        return self._scan_keys(table, [key])

    def versions(self, table: Table, partition: str) -> list[Commit]:
        """All versions that can be read, the newest first."""
        head = self.head(table, partition)
        return ([head] if head else []) + self._history.versions(table.name, partition)

    def partitions(self, table: Table) -> list[str]:
        """Partitions that have been committed, in order."""
        return self._manifests.partitions(table.name)

    def heads(self, table: Table) -> list[Commit]:
        """The newest version of every partition, in order of partition."""
        return self._manifests.heads(table.name, None)

    def filled_partitions(self, table: Table) -> list[str]:
        """Partitions whose newest version holds rows, in order."""
        return [head.partition for head in self.heads(table) if head.rows_count]

    def verify(self, tables: Sequence[Table]) -> list[str]:
        """Reads every stored byte of ``tables``, kept versions included; one line per fault, none when all is well."""
        return [fault for table in tables for fault in [*table_faults(self._store, table), *self._history.faults(table.name)]]

    def discard(self, table: Table, partition: str) -> None:
        """Forgets a damaged partition: it is not current any more, and its next commit writes it anew."""
        check_partition(table, partition)
        self._manifests.delete(table.name, partition)

    def prune(self) -> list[str]:
        """Removes versions that were replaced more than ``history_days`` ago, and what killed writers left; the keys."""
        removed = self._history.prune(replaced_before=self._clock() - dt.timedelta(days=self._history_days))
        if left_count := self._store.discard_abandoned():
            _log.info("unfinished writes removed count=%d", left_count)
        return removed

    def _replaced(self, table: Table, partition: str, head: Commit | None, file: TableFile, inputs: dict[str, str]) -> Commit:
        """Stores ``file`` as the partition's object, after a copy of the version that it replaces; its commit."""
        now = self._clock().astimezone(dt.UTC)
        if head:
            self._history.keep(head, replaced_at=now)
        key = object_key(table, partition)
        return Commit(
            table=table.name,
            partition=partition,
            key=key,
            sha256=file.sha256,
            rows_count=file.rows_count,
            control_totals=file.control_totals,
            inputs_fingerprint=fingerprint(inputs),
            code_version=__version__,
            inputs=inputs,
            changed=True,
            committed_at=now.isoformat(),
            bytes_count=file.bytes_count,
            object_version=self._store.upload(key, file.content).version,
            columns_fingerprint=table.columns_fingerprint,
        )

    def _confirmed(self, table: Table, head: Commit, file: TableFile, inputs: dict[str, str]) -> Commit:
        """The head with renewed inputs; its object is written again only where it is not the one that was committed."""
        stored = self._store.head(head.key)
        if stored is None or stored.version != head.object_version:
            stored = self._store.upload(head.key, file.content)
        return dataclasses.replace(
            head,
            inputs=inputs,
            inputs_fingerprint=fingerprint(inputs),
            code_version=__version__,
            changed=False,
            object_version=stored.version,
            columns_fingerprint=table.columns_fingerprint,
        )

    def _readable_key(self, table: Table, head: Commit, found: ObjectInfo | None) -> str:
        """Key under which the bytes of ``head`` lie: the table's own object, or the kept copy during a commit."""
        for attempt in range(_ATTEMPTS):
            if found and self._is_object_of(head, found):
                return head.key
            if copy_key := self._history.find(table.name, head.partition, head.sha256):
                return copy_key
            time.sleep(_PAUSE_SECONDS * attempt)
            head = self._manifests.head(table.name, head.partition) or head
            found = self._store.head(head.key)
        raise IntegrityError(head.key, "sha256", head.sha256, self._store.digest(head.key) if found else "absent")

    def _is_object_of(self, head: Commit, found: ObjectInfo) -> bool:
        """Whether ``found`` has the bytes of ``head``. After a restore from a backup, say, only their hash can tell; once."""
        if found.version == head.object_version or (found, head.sha256) in self._hashed:
            return True
        if self._store.digest(found.key) != head.sha256:
            return False
        self._hashed.add((found, head.sha256))
        return True

    def _scan_keys(self, table: Table, keys: Sequence[str]) -> pl.LazyFrame:
        if not keys:
            return table.empty().lazy()
        return pl.scan_parquet(
            [self._store.address(key) for key in keys],
            schema=table.polars_schema,
            missing_columns="insert",
            extra_columns="ignore",
            glob=False,
            hive_partitioning=False,
            storage_options=self._store.storage_options,
        )


def object_key(table: Table, partition: str) -> str:
    """Key of a partition's one object."""
    return partition_key(table.name, table.partition, partition) if table.partition else f"{table.name}/part.parquet"


def check_partition(table: Table, partition: str) -> None:
    """Raises LakeError unless ``partition`` may name a partition of ``table``."""
    if table.partition is None and partition != WHOLE:
        raise LakeError(f"{table.name}: the table is not partitioned; its one partition is {WHOLE!r}, not {partition!r}")
    if not _PARTITION.fullmatch(partition):
        raise LakeError(f"{table.name}: unsafe partition {partition!r}; use 1-100 of letters, digits and _ . -")
    is_day = table.partition in table.columns and table.polars_schema[table.partition] == pl.Date
    if is_day and not _is_iso_day(partition):
        raise LakeError(f"{table.name}: partition {partition!r} is not a date YYYY-MM-DD")


def _is_iso_day(text: str) -> bool:
    """Whether ``text`` is a date as this product writes it; Python reads other ISO forms too, each a second name."""
    try:
        return dt.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
