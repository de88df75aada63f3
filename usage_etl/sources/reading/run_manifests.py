"""What the manifest of an export's run says, whichever cloud wrote it, and the files of a landed run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.periods import Month
from usage_etl.sources.reading.bundles import open_bundle


class NoManifestError(ValueError):
    """A file that should be a manifest cannot be read as one."""


@dataclass(frozen=True)
class RunFile:
    """A data file as its manifest names it."""

    name: str
    """Path within the container, or ``s3://bucket/key``."""
    bytes_count: int | None = None
    """Its size, where the manifest says it."""


@dataclass(frozen=True)
class ExportRun:
    """One run of an export for one billing period."""

    export: str
    """Name of the export."""
    dataset: str
    period: str
    """The billing period: ``2026-10``, or first and last day where it is no calendar month."""
    last_day: dt.date
    """Last day of the period."""
    files: tuple[RunFile, ...]
    scope: str = ""
    """What the export is about, where its name alone is not unique: a subscription, a billing account."""
    ran_at: dt.datetime | None = None
    """When the run was submitted or executed; null where the manifest does not say."""
    run_id: str | None = None
    rows_count: int | None = None
    """Records of all files, where the manifest says it."""

    @property
    def identity(self) -> str:
        """The export by its full name."""
        return f"{self.scope}/{self.export}" if self.scope else self.export

    @property
    def key(self) -> str:
        """The replacement unit: export, dataset and billing period."""
        return f"{self.identity}/{self.dataset}/{self.period}"

    @property
    def version(self) -> str | None:
        """Time and id of the run; null where the manifest names neither."""
        ran_at = self.ran_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if self.ran_at else None
        return " ".join(filter(None, (ran_at, self.run_id))) or None


ReadManifest = Callable[[bytes, str], ExportRun | None]
"""``read(content, key)``: the run that a manifest describes; None for manifests of exports that are no bills.
Raises NoManifestError."""


def period_of(first: dt.date, last: dt.date) -> str:
    """The name of the days from ``first`` to ``last``, both included: ``2026-10`` where they begin a month and end in it.

    A month-to-date run names the whole month or its days so far; both are runs of the month.
    """
    month = Month.of(first)
    return str(month) if first == month.first_day and last <= month.last_day else f"{first}_{last}"


@contextmanager
def open_run(path: Path, source: str, *, read_manifest: ReadManifest) -> Iterator[tuple[ExportRun, Iterator[tuple[str, Path]]]]:
    """The run of a landed bundle, and its data files as (key, local file), each gone once the next is asked for.

    Raises UnreadableDeliveryError when the bundle is none of an export's run.
    """
    with open_bundle(path, source) as members:
        first = next(members, None)
        if first is None:
            raise UnreadableDeliveryError(source, "the bundle is empty: it should begin with the run's manifest")
        key, local = first
        try:
            run = read_manifest(local.read_bytes(), key)
        except NoManifestError as error:
            raise UnreadableDeliveryError(source, f"{key} is no manifest: {error}") from error
        if run is None:
            raise UnreadableDeliveryError(source, f"{key} is the manifest of an export that is no bill")
        yield run, members
