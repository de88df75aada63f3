"""One installation of the product, as a test sees it: its folder, its tables, what it published and mailed."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from assets.resources import Workspace, open_workspace
from usage_etl.cli.pipeline import RunSummary, run_pipeline
from usage_etl.schemas import Table


@dataclass(frozen=True)
class Installation:
    """A folder with settings, lake, state and reports, as one user has it."""

    folder: Path

    @property
    def config(self) -> Path:
        """The settings file."""
        return self.folder / "usage_etl.yaml"

    @property
    def workspace(self) -> Workspace:
        """Lake, state and out location of these settings."""
        return open_workspace(str(self.config.resolve()))

    def run(self, *, first: dt.date | None = None, last: dt.date | None = None) -> RunSummary:
        """Everything, in this process; fails the test when a job fails."""
        summary = run_pipeline(self.config, first=first, last=last, with_reports=True)
        assert summary.succeeded, [outcome.failures for outcome in summary.outcomes]
        return summary

    def table(self, table: Table) -> pl.DataFrame:
        """All partitions of a table; categories as plain text."""
        frame = self.workspace.lake.scan(table).collect()
        return frame.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))

    def tree(self, *folders: str) -> dict[str, bytes]:
        """Path below the folder to content, of every file in ``folders``."""
        paths = (path for folder in folders for path in (self.folder / folder).rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in sorted(paths)}

    def mails(self) -> list[str]:
        """Names of the mails that went out."""
        return sorted(path.name for path in (self.folder / "out" / "mail").glob("*.eml"))
