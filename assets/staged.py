"""Where staged objects lie, and which of a day's objects count."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from assets.resources import Workspace
from usage_etl.errors import IntegrityError, LakeError
from usage_etl.lake import DayInputs, LandedDelivery
from usage_etl.schemas import Table


def staged_key(table_name: str, delivery: LandedDelivery, day: dt.date) -> str:
    """Key of the rows of one delivery on one day."""
    return f"staged/{table_name}/{delivery.source}/{delivery.dataset}/{day}/{delivery.delivery_id}.parquet"


def refuse_while_restaging(workspace: Workspace) -> None:
    """Raises LakeError while deliveries that counted before an upgrade wait to be staged anew: days would lose their rows."""
    if waiting := workspace.index.restaging_count():
        raise LakeError(
            f"{waiting} deliveries wait to be staged anew after an upgrade; run the job land first (usage-etl run does). "
            "A source that was taken out of the settings has to stand there until then"
        )


LOST = ("delivery_id", "bucket_key")


@dataclass(frozen=True)
class StagedObjects:
    """The staged objects of one day that hold rows that count."""

    workspace: Workspace
    table: Table
    day: dt.date

    @cached_property
    def inputs(self) -> DayInputs:
        """What counts on the day, as it was when it was asked for first."""
        return self.workspace.index.day_inputs(self.table.name, self.day)

    def scan(self, *, row_index_name: str | None = None) -> pl.LazyFrame:
        """Their rows that count, with a row number when a name for it is given."""
        addresses = [self.workspace.store.address(part.staged_key) for part in self.inputs.parts]
        if not addresses:
            empty = self.table.empty().lazy()
            return empty.with_row_index(row_index_name) if row_index_name else empty
        rows = pl.scan_parquet(
            addresses, row_index_name=row_index_name, glob=False, storage_options=self.workspace.store.storage_options
        )
        return rows.join(self.lost.lazy(), on=LOST, how="anti") if self.lost.height else rows

    @cached_property
    def lost(self) -> pl.DataFrame:
        """Buckets of the objects that other deliveries answer for, by delivery; none on most days."""
        pairs = [(part.delivery_id, key) for part in self.inputs.parts for key in part.lost_buckets]
        return pl.DataFrame(pairs, schema={name: self.table.polars_schema[name] for name in LOST}, orient="row")

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Where reading them fails, names the object that is not the one that was staged.

        Raises IntegrityError or MissingObjectError, and the first error when every object is as it was.
        """
        try:
            yield
        except (pl.exceptions.PolarsError, OSError) as error:
            for part in self.inputs.parts:
                if (found := self.workspace.store.digest(part.staged_key)) != part.sha256:
                    raise IntegrityError(part.staged_key, "sha256", part.sha256, found) from error
            raise

    def rows_count(self) -> int:
        """Rows that count, by the delivery index."""
        return sum(part.rows_count for part in self.inputs.parts)
