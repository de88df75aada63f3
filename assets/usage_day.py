"""One usage day: from its staged objects to events, hourly facts and the count of where each row went.

The day's staged rows are read once. Grouping comes before prices and owners, so both are looked up per group and the
multiplication happens once per fact row; events do the same per row.
"""

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import polars as pl

from assets.resources import Workspace
from assets.restatements import note_build
from assets.staged import StagedObjects
from usage_etl.events import Directories, delivery_counts, loser_rows, normalise, own, without_losers
from usage_etl.facts.usage import group_for_rating, usage_daily, usage_hourly
from usage_etl.lake import Commit
from usage_etl.pricing import LOGGED_COLUMNS, DayPrices, day_prices, rate
from usage_etl.schemas import (
    DIM_PRICE,
    FACT_DELIVERIES_DAILY,
    FACT_PROVIDER_USAGE_DAILY,
    FACT_USAGE_HOURLY,
    STAGED_USAGE,
    USAGE_EVENTS,
    Table,
)

ROW = "row_number"


@dataclass(frozen=True)
class Reference:
    """What a range run needs besides staged rows, read once: price book, directories and their versions."""

    book: pl.DataFrame
    directories: Directories
    versions: Mapping[str, str]

    @classmethod
    def read(cls, workspace: Workspace) -> "Reference":
        """The stored reference tables as they stand now."""
        return cls(workspace.table(DIM_PRICE), workspace.directories(), workspace.reference_versions())


@dataclass(frozen=True)
class UsageDay:
    """The staged rows of one day with everything that is worked out from them once."""

    workspace: Workspace
    reference: Reference
    day: dt.date

    @cached_property
    def staged(self) -> StagedObjects:
        """The objects that the day is made from."""
        return StagedObjects(self.workspace, STAGED_USAGE, self.day)

    @cached_property
    def numbered(self) -> pl.LazyFrame:
        """Every staged row of the day that counts, with its row number; copies of one event are still among them."""
        return self.staged.scan(row_index_name=ROW)

    @cached_property
    def losers(self) -> pl.DataFrame:
        """Copies of events that do not count."""
        return loser_rows(self.numbered)

    @cached_property
    def prices(self) -> DayPrices:
        """Prices in force on the day for the models that were logged."""
        pairs = self.numbered.select(LOGGED_COLUMNS).unique().collect()
        models = self.workspace.catalog.resolve(pairs.cast(pl.String))
        return day_prices(self.reference.book, models, day=self.day)

    def requests(self, role: str) -> pl.LazyFrame:
        """Rows that count, normalised, with their price slots. ``role`` is usage or reconciliation."""
        kept = without_losers(self.numbered.filter(pl.col("source_role") == role), self.losers)
        return normalise(kept).with_columns(self.prices.slot_columns())

    def events(self) -> pl.LazyFrame:
        """USAGE_EVENTS rows."""
        rated = rate(self.requests("usage"), prices=self.prices)
        return own(rated, directories=self.reference.directories, day=self.day).select(*USAGE_EVENTS.columns)

    def hourly(self, role: str) -> pl.LazyFrame:
        """FACT_USAGE_HOURLY rows."""
        rated = rate(group_for_rating(self.requests(role)), prices=self.prices)
        return usage_hourly(own(rated, directories=self.reference.directories, day=self.day))

    def deliveries(self) -> pl.LazyFrame:
        """FACT_DELIVERIES_DAILY rows."""
        counts = delivery_counts(self.numbered, self.losers)
        return counts.with_columns(pl.col("source", "delivery_id").cast(pl.String), usage_date=pl.lit(self.day))

    def commit(self, tables: Collection[Table]) -> dict[str, Commit]:
        """Builds and commits ``tables`` of this day, skipping those whose inputs and code have not changed."""
        frames: Mapping[str, Callable[[], pl.LazyFrame]] = {
            USAGE_EVENTS.name: self.events,
            FACT_USAGE_HOURLY.name: lambda: self.hourly("usage"),
            FACT_PROVIDER_USAGE_DAILY.name: lambda: usage_daily(self.hourly("reconciliation")),
            FACT_DELIVERIES_DAILY.name: self.deliveries,
        }
        lake = self.workspace.lake
        staged = self.staged.inputs.fingerprint
        inputs = {STAGED_USAGE.name: staged, **self.reference.versions}
        commits: dict[str, Commit] = {}
        partition = self.day.isoformat()
        for table in tables:
            head = lake.head(table, partition) if lake.is_current(table, partition, inputs=inputs) else None
            if head:
                commits[table.name] = replace(head, changed=False)
                continue
            with self.staged.blamed():
                commits[table.name] = lake.commit(table, partition, frames[table.name](), inputs=inputs)
        if FACT_USAGE_HOURLY in tables:
            note_build(self.workspace, self.staged, FACT_USAGE_HOURLY, commits[FACT_USAGE_HOURLY.name])
        return commits
