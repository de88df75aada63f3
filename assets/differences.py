"""What differs between two published versions of a report, and why: inputs, versions of code and prices, restated days."""

import datetime as dt
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from assets.resources import Workspace
from usage_etl.delivery.versions import PublishedVersion, choose_version, published_versions, read_file
from usage_etl.errors import DeliveryError, LakeError
from usage_etl.lake import Commit
from usage_etl.reports.version_diff import VersionDiff, diff_versions
from usage_etl.schemas import FACT_RESTATEMENTS, TABLES_BY_NAME, Table

_LINES = {"chargeback": "chargeback.parquet"}
"""Report to its file of lines."""


@dataclass(frozen=True)
class InputChange:
    """One input that has another version in each of two published versions."""

    name: str
    """``table/partition``, or the name of what is no table: settings, staged rows, aliases."""
    before: str | None
    after: str | None
    read_by: tuple[str, ...]
    """Tables that were made from it; the report where the report itself was."""
    note: str = ""


@dataclass(frozen=True)
class DeliveryNote:
    """A delivery that made a day say something else."""

    delivery_id: str
    source: str
    origin_key: str
    received_at: dt.datetime | None
    what: str
    """counts now, or counts no more."""


@dataclass(frozen=True)
class RestatedDay:
    """One rebuild of a day between the two versions."""

    table_name: str
    usage_date: dt.date
    built_at: dt.datetime
    cause: str
    currency: str | None
    before_cost: str | None
    after_cost: str | None
    deliveries: tuple[DeliveryNote, ...]


@dataclass(frozen=True)
class ClosingNote:
    """A closing or a reopening of the period between the two versions."""

    provider_name: str
    number: int
    what: str
    """closed or reopened."""
    happened_at: dt.datetime
    done_by: str
    reason: str | None


@dataclass(frozen=True)
class ReportDiff:
    """Two versions of a report, what differs, and why."""

    before: PublishedVersion
    after: PublishedVersion
    lines: VersionDiff
    versions: Mapping[str, tuple[str | None, str | None]]
    """Name in the manifests' versions to both, where they differ."""
    inputs: tuple[InputChange, ...]
    restated: tuple[RestatedDay, ...]
    closings: tuple[ClosingNote, ...]
    notes: tuple[str, ...] = field(default=())
    """What could not be found out."""


def diff_published(workspace: Workspace, before: str, after: str, *, report: str, amount: str) -> ReportDiff:
    """Compares two versions such as ``2026-10@v1`` and ``2026-10@v2``.

    Raises DeliveryError for versions that do not exist, are of two periods or of a report without lines.
    """
    if report not in _LINES:
        raise DeliveryError(f"report {report!r} has no file of lines to compare; these have: {', '.join(_LINES)}")
    sides = _chosen(workspace, before, after, report)
    frames = [pl.read_parquet(io.BytesIO(read_file(workspace.out, side, _LINES[report]))) for side in sides]
    for side, frame in zip(sides, frames, strict=True):
        if amount not in frame.columns:
            raise DeliveryError(f"{report} {side.name} has no column {amount}")
    walk = _Walk(workspace)
    walk.compare(sides[0].manifest["inputs"], sides[1].manifest["inputs"], via=report)
    versions = _different(sides[0].manifest["versions"], sides[1].manifest["versions"])
    return ReportDiff(
        *sides,
        lines=diff_versions(*frames, amount=amount),
        versions=versions | walk.code,
        inputs=tuple(walk.changes),
        restated=tuple(_restated(workspace, walk, sides)),
        closings=tuple(_closings(workspace, sides)),
        notes=tuple(walk.notes),
    )


def _chosen(workspace: Workspace, before: str, after: str, report: str) -> tuple[PublishedVersion, PublishedVersion]:
    (period, first), (other, second) = (_parts(text) for text in (before, after))
    if period != other:
        raise DeliveryError(f"{before} and {after} are versions of two periods; lines are compared within one")
    versions = published_versions(workspace.out, report, period)
    found = [choose_version(versions, selector, report=report, period=period) for selector in (first, second)]
    return found[0], found[1]


def _parts(text: str) -> tuple[str, str]:
    period, mark, selector = text.partition("@")
    if not mark or not period or not selector:
        raise DeliveryError(f"{text!r} names no version; write for example 2026-10@v1, 2026-10@latest or 2026-10@closed")
    return period, selector


def _different(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, tuple[str | None, str | None]]:
    names = sorted(before.keys() | after.keys())
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}


class _Walk:
    """Changed inputs of changed inputs, down to what was delivered, written or configured."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._seen: set[str] = set()
        self._readers: dict[tuple[str, str | None, str | None], list[str]] = {}
        self.code: dict[str, tuple[str | None, str | None]] = {}
        self.notes: list[str] = []
        self.commits: list[tuple[Commit, Commit]] = []

    def compare(self, before: Mapping[str, str], after: Mapping[str, str], *, via: str) -> None:
        """Notes what differs, then looks into each table version that differs."""
        changed = _different(before, after)
        for name, sides in changed.items():
            self._readers.setdefault((name, *sides), []).append(via)
        for name, sides in changed.items():
            if name not in self._seen and all(sides):
                self._seen.add(name)
                self._look_into(name, [str(side) for side in sides])

    @property
    def changes(self) -> list[InputChange]:
        """Every change once, in the order in which they were met: from the report down to what was delivered."""
        return [
            InputChange(name, before, after, tuple(readers), "" if before and after else _one_sided((before, after)))
            for (name, before, after), readers in self._readers.items()
        ]

    def days(self) -> set[dt.date]:
        """Days whose partitions changed."""
        names = (change.name.partition("/") for change in self.changes)
        return {day for table, _, text in names if _is_daily(table) and (day := _day(text))}

    def _look_into(self, name: str, shas: Sequence[str]) -> None:
        table, _, partition = name.partition("/")
        if table not in TABLES_BY_NAME or not partition:
            return
        commits = self._commits(TABLES_BY_NAME[table], partition, shas)
        if len(commits) < 2:
            return
        old, new = commits
        self.commits.append((old, new))
        if old.code_version != new.code_version:
            self.code[f"code of {name}"] = (old.code_version, new.code_version)
        self.compare(old.inputs, new.inputs, via=name)

    def _commits(self, table: Table, partition: str, shas: Sequence[str]) -> list[Commit]:
        try:
            known = {commit.sha256: commit for commit in self._workspace.lake.versions(table, partition)}
        except LakeError as error:
            self.notes.append(str(error))
            return []
        if missing := [sha for sha in shas if sha not in known]:
            kept = f"lake.history_days is {self._workspace.settings.lake.history_days}"
            self.notes.append(f"{table.name}/{partition}: version {missing[0][:12]} is not kept any more ({kept})")
            return []
        return [known[sha] for sha in shas]


def _one_sided(sides: tuple[str | None, str | None]) -> str:
    return "new" if sides[0] is None else "no longer read"


def _is_daily(table: str) -> bool:
    return table in TABLES_BY_NAME and TABLES_BY_NAME[table].partition in {"usage_date", "charge_date"}


def _day(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None


def _restated(workspace: Workspace, walk: _Walk, sides: Sequence[PublishedVersion]) -> Iterator[RestatedDay]:
    """Rebuilds of the days that changed, made after the older version's tables were committed and until the newer one's."""
    days, between = walk.days(), _between(walk, sides)
    months = sorted({day.replace(day=1).isoformat() for day in days})
    if not months or between is None:
        return
    rows = workspace.lake.scan(FACT_RESTATEMENTS, months).collect().sort("built_at", "table_name", "usage_date")
    for row in rows.iter_rows(named=True):
        if row["usage_date"] in days and between[0] < row["built_at"] <= between[1]:
            yield RestatedDay(
                table_name=row["table_name"],
                usage_date=row["usage_date"],
                built_at=row["built_at"],
                cause=row["cause"],
                currency=row["currency"],
                before_cost=_plain(row["before_effective_cost"]),
                after_cost=_plain(row["after_effective_cost"]),
                deliveries=tuple(
                    _delivery(workspace, delivery_id, what)
                    for name, what in (("new_deliveries", "counts now"), ("stopped_deliveries", "counts no more"))
                    for delivery_id in (row[name] or "").split(",")
                    if delivery_id
                ),
            )


def _closings(workspace: Workspace, sides: Sequence[PublishedVersion]) -> list[ClosingNote]:
    """What the period book holds of the period between the times of publishing; all of it where one is unknown."""
    published = sorted(side.published_at for side in sides if side.published_at)
    found = []
    for closing in workspace.period_book.periods().closings:
        if str(closing.month) != sides[0].period:
            continue
        name, number = closing.provider_name, closing.number
        found.append(ClosingNote(name, number, "closed", closing.closed_at, closing.closed_by, None))
        if closing.reopened_at:
            by, reason = closing.reopened_by or "nobody named", closing.reopened_reason
            found.append(ClosingNote(name, number, "reopened", closing.reopened_at, by, reason))
    is_known = len(published) == 2
    within = [note for note in found if not is_known or published[0] < note.happened_at <= published[1]]
    return sorted(within, key=lambda note: (note.happened_at, note.provider_name))


def _between(walk: _Walk, sides: Sequence[PublishedVersion]) -> tuple[dt.datetime, dt.datetime] | None:
    """From the commit of the older version's table to that of the newer one's, else the times of publishing."""
    if walk.commits:
        first, last = sorted(dt.datetime.fromisoformat(commit.committed_at) for commit in walk.commits[0])
        return first, last
    published = sorted(side.published_at for side in sides if side.published_at)
    if len(published) == 2:
        return published[0], published[1]
    walk.notes.append("nobody knows when the two versions were made: restated days are not listed")
    return None


def _delivery(workspace: Workspace, delivery_id: str, what: str) -> DeliveryNote:
    try:
        found = workspace.index.delivery(delivery_id)
    except LakeError:
        return DeliveryNote(delivery_id, "unknown", "unknown", None, what)
    return DeliveryNote(delivery_id, found.source, found.origin_key, found.received_at, what)


def _plain(amount: object) -> str | None:
    return None if amount is None else f"{amount:f}"
