"""Reports of a month rendered anew from the tables as they stood at an instant, beside what was published then."""

import datetime as dt
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Never

import polars as pl

from assets.editions import publish_executive
from assets.finance_edition import publish_chargeback
from assets.publishing import CHARGEBACK, EXECUTIVE
from assets.resources import Workspace, now
from usage_etl.delivery.ledger import Send, SendLedger
from usage_etl.delivery.publish import Publication
from usage_etl.delivery.versions import PublishedVersion, published_versions
from usage_etl.errors import DeliveryError, LakeError
from usage_etl.keys import sha256_hex
from usage_etl.lake import AsOfTables, FolderStore, ObjectStore
from usage_etl.lake.periods import PeriodBook
from usage_etl.periods import Month, day_start
from usage_etl.schemas import MART_CHARGEBACK_MONTHLY, MART_SUMMARY, Table

_REPORTS: dict[str, tuple[Table, Callable[[Workspace, Month], Publication]]] = {
    EXECUTIVE: (MART_SUMMARY, publish_executive),
    CHARGEBACK: (MART_CHARGEBACK_MONTHLY, publish_chargeback),
}
"""Report to the table without which there is none, and what makes it."""


@dataclass(frozen=True)
class AsOfWorkspace(Workspace):
    """The workspace of an installation with its tables as they stood at an instant.

    Settings, the files of directories and the delivery index are those of today. Nothing can be committed, published or
    mailed from it.
    """

    instant: dt.datetime

    @cached_property
    def lake(self) -> AsOfTables:
        """The tables as they stood."""
        return AsOfTables(self.store, self.instant, history_days=self.settings.lake.history_days, clock=now)

    @cached_property
    def period_book(self) -> PeriodBook:
        """The closings as they stood."""
        return PeriodBook(self.engine, until=self.instant)

    @cached_property
    def ledger(self) -> SendLedger:
        """A ledger that refuses every publication and every send."""
        return _NoHandOver(self.engine)

    @property
    def as_of_date(self) -> dt.date:
        """The settings' day, or the last complete day before the instant."""
        return self.settings.as_of_date or self.instant.date() - dt.timedelta(days=1)


@dataclass(frozen=True)
class AsOfEdition(AsOfWorkspace):
    """The same with an out location of its own, into which reports can be rendered."""

    folder: Path
    """Where reports go, in place of the published location."""
    through: dt.date | None = None
    """Last day that the reports cover, where the tables say it."""

    @cached_property
    def out(self) -> ObjectStore:
        """The local folder."""
        return FolderStore(self.folder.resolve())

    @cached_property
    def ledger(self) -> SendLedger:
        """A ledger that refuses every send, and locks nothing: nobody else writes into the local folder."""
        return _NoSends(self.engine)

    @property
    def as_of_date(self) -> dt.date:
        """Last day with data as the tables stood."""
        return self.through or super().as_of_date


class _NoSends(SendLedger):
    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:  # noqa: ARG002 - there is nothing to lock
        yield

    def claim(self, send: Send) -> Never:
        raise DeliveryError(f"{send.report} {send.period}: what is rendered as of an earlier time is never sent")


class _NoHandOver(_NoSends):
    def exclusive(self, name: str) -> Never:
        raise DeliveryError(f"{name}: nothing is published from the tables as they stood; `usage-etl report` renders them")


@dataclass(frozen=True)
class Comparison:
    """What was published of a report at the instant, and whether the figures rendered now equal it."""

    report: str
    version: str | None
    """For example ``2026-10@v1``; null where nothing had been published."""
    is_equal: bool | None
    """Null where nothing can be compared."""
    text: str


@dataclass(frozen=True)
class AsOfReports:
    """Reports of a month as they would have read at an instant."""

    instant: dt.datetime
    month: Month
    folder: Path
    files: tuple[tuple[str, int, str], ...]
    """Path below the folder, bytes and sha256 of every file."""
    versions: Mapping[str, str]
    """``table/partition`` to sha256 of every table version that was read."""
    comparisons: tuple[Comparison, ...]


def parse_instant(text: str) -> dt.datetime:
    """The end of a UTC day ``YYYY-MM-DD``, the present where it is today's, or an ISO instant with its time zone.

    Raises ValueError for anything else.
    """
    if len(text) == 10:
        present, end = now(), day_start(dt.date.fromisoformat(text) + dt.timedelta(days=1)) - dt.timedelta(microseconds=1)
        return present if present.date() == end.date() else end
    instant = dt.datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone; write for example 2026-09-03T18:00:00Z")
    return instant.astimezone(dt.UTC)


def render_as_of(workspace: Workspace, instant: dt.datetime, *, month: Month | None, folder: Path) -> AsOfReports:
    """Writes the month's executive report and finance files into ``folder`` as the tables stood; nothing is published.

    Without ``month``, that of the last complete day then. Raises LakeError when the tables of the month did not exist
    yet, are not kept, or have other columns than this release reads, and DeliveryError for a folder inside the published
    location.
    """
    _check_folder(workspace, folder)
    with tempfile.TemporaryDirectory(prefix="usage_etl-") as scratch:
        view = AsOfEdition(workspace.settings, instant, Path(scratch))
        of_month = month or Month.of(view.as_of_date)
        with _readable(view, of_month):
            view = AsOfEdition(workspace.settings, instant, Path(scratch), _through(view, of_month))
            publications = _published(view, of_month)
        files = tuple(_saved(view, publications.values(), folder))
        comparisons = tuple(compare_with_published(workspace.out, view.out, report, of_month, instant) for report in publications)
        return AsOfReports(instant, of_month, folder, files, view.lake.used(), comparisons)


def compare_with_published(
    out: ObjectStore, rendered: ObjectStore, report: str, month: Month, instant: dt.datetime
) -> Comparison:
    """Compares a report just rendered into ``rendered`` with the version in force in ``out`` at the instant.

    Files are compared byte for byte where the same code made both, control totals where another did.
    """
    mine = published_versions(rendered, report, str(month))[-1]
    standing = _in_force(published_versions(out, report, str(month)), instant)
    if standing is None:
        return Comparison(report, None, None, f"no edition of {report} {month} had been published by then")
    is_equal, text = _verdict(mine, standing)
    return Comparison(report, standing.name, is_equal, text)


def _published(view: AsOfEdition, month: Month) -> dict[str, Publication]:
    """What could be made of the month's tables; the tables that stood decide which reports there are."""
    key = month.first_day.isoformat()
    made = {report: publish(view, month) for report, (table, publish) in _REPORTS.items() if view.lake.head(table, key)}
    if not made:
        names = " and ".join(table.name for table, _ in _REPORTS.values())
        raise LakeError(f"{names} of {month} did not exist yet at {view.instant.isoformat()}: there is nothing to report")
    return made


@contextmanager
def _readable(view: AsOfEdition, month: Month) -> Iterator[None]:
    try:
        yield
    except pl.exceptions.PolarsError as error:
        message = f"tables of {month} as of {view.instant.isoformat()} are not what this release reads; use the release of then"
        raise LakeError(f"{message}: {error}") from error


def _through(view: AsOfEdition, month: Month) -> dt.date | None:
    """Last day that the month's rollup covered, so that the report says what it would have said."""
    days = view.lake.scan(MART_SUMMARY, [month.first_day.isoformat()]).select(pl.col("through_date").max()).collect().item()
    return days if isinstance(days, dt.date) else None


def _saved(view: AsOfEdition, publications: Iterable[Publication], folder: Path) -> Iterator[tuple[str, int, str]]:
    """Copies the stable files; versions and pointers stay behind, because a folder of today's making has none."""
    keys = sorted(key for made in publications for key in made.stable_keys.values())
    for key in keys:
        content = view.out.read(key)
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        yield key, len(content), sha256_hex(content)


def _check_folder(workspace: Workspace, folder: Path) -> None:
    location = workspace.settings.resolve(workspace.settings.reports.location)
    if "://" not in location and folder.resolve().is_relative_to(Path(location).resolve()):
        raise DeliveryError(f"{folder} lies in the published location {location}; name another folder")


def _in_force(versions: list[PublishedVersion], instant: dt.datetime) -> PublishedVersion | None:
    """The newest version that the store had written by the instant."""
    dated = [version for version in versions if version.published_at is None or version.published_at <= instant]
    return dated[-1] if dated else None


def _verdict(mine: PublishedVersion, standing: PublishedVersion) -> tuple[bool | None, str]:
    code, own_code = standing.manifest["versions"].get("code"), mine.manifest["versions"].get("code")
    has_same_inputs = standing.manifest["inputs"] == mine.manifest["inputs"]
    tables = "from the same table versions" if has_same_inputs else "from other table versions than stood then"
    when = f"{standing.published_at:%Y-%m-%d %H:%M} UTC" if standing.published_at else "at an unknown time"
    named = f"{standing.report} {standing.name}, published {when} {tables}"
    if code == own_code:
        different = sorted(name for name in mine.files.keys() | standing.files.keys()
                           if mine.files.get(name) != standing.files.get(name))  # fmt: skip
        if not different:
            return True, f"equal, file by file, to {named}"
        return False, f"DIFFERENT from {named}: {', '.join(different)}"
    totals, own_totals = _totals(standing), _totals(mine)
    if not totals:
        return None, f"not comparable with {named}: code {code} made it, and its manifest holds no control totals"
    if totals == own_totals:
        return True, f"equal in all control totals to {named}, which code {code} made"
    return False, f"DIFFERENT in control totals from {named}, which code {code} made: {totals} there, {own_totals} here"


def _totals(version: PublishedVersion) -> dict[str, object]:
    """Control totals of the edition and of those files that have any."""
    files = {entry["name"]: entry["control_totals"] for entry in version.manifest["files"] if entry["control_totals"]}
    whole = version.manifest["control_totals"]
    return {**files, **({"": whole} if whole else {})}
