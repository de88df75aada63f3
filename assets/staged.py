"""Where staged objects lie, and which of a day's objects count."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import polars as pl

from assets.resources import Workspace
from usage_etl.errors import IntegrityError
from usage_etl.lake import LandedDelivery, StagedDay
from usage_etl.schemas import Table


def staged_key(table_name: str, delivery: LandedDelivery, day: dt.date) -> str:
    """Key of the rows of one delivery on one day."""
    return f"staged/{table_name}/{delivery.source}/{delivery.dataset}/{day}/{delivery.delivery_id}.parquet"


@dataclass(frozen=True)
class StagedObjects:
    """The staged objects of one day that hold rows that may count."""

    workspace: Workspace
    table: Table
    day: dt.date

    def scan(self, *, row_index_name: str | None = None) -> pl.LazyFrame:
        """Their rows, with a row number when a name for it is given."""
        addresses = [self.workspace.store.address(key) for key in self.keys()]
        if not addresses:
            empty = self.table.empty().lazy()
            return empty.with_row_index(row_index_name) if row_index_name else empty
        return pl.scan_parquet(
            addresses, row_index_name=row_index_name, glob=False, storage_options=self.workspace.store.storage_options
        )

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Where reading them fails, names the object that is not the one that was staged.

        Raises IntegrityError or MissingObjectError, and the first error when every object is as it was.
        """
        try:
            yield
        except (pl.exceptions.PolarsError, OSError) as error:
            for part in self._counted():
                if (found := self.workspace.store.digest(part.staged_key)) != part.sha256:
                    raise IntegrityError(part.staged_key, "sha256", part.sha256, found) from error
            raise

    def keys(self) -> list[str]:
        """Keys in order of arrival."""
        return [part.staged_key for part in self._counted()]

    def rows_count(self) -> int:
        """Rows in all of them, by the delivery index."""
        return sum(part.rows_count for part in self._counted())

    def _counted(self) -> list[StagedDay]:
        """An object without rows says that its buckets were emptied: what its dataset delivered earlier counts no more."""
        counted: list[StagedDay] = []
        for part in self.workspace.index.staged_days(self.table.name, [self.day]).get(self.day, []):
            if part.rows_count:
                counted.append(part)
            else:
                dataset = part.staged_key.rpartition("/")[0]
                counted = [earlier for earlier in counted if earlier.staged_key.rpartition("/")[0] != dataset]
        return counted
