"""Public daily series to measure projections and anomalies on: bursty people, organizations of them, and business.

No public log of AI use by many people over many months could be had. What stands in for it is the work of real people with
the same statistics (25-75 % of days without any, spread 1.4 to 12 times the mean): lines of change notes that the authors of
GCC, GDB and glibc wrote each day. Organizations are their employers, by the domain of the address. Business are counts with
a weekly season. ``extract.py`` says where each number comes from.
"""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import polars as pl

FOLDER = Path(__file__).parent
PANELS = ("people", "organizations", "business")


@dataclass(frozen=True)
class Installation:
    """Series that one installation would see: one calendar, errors pooled over all of them."""

    panel: str
    name: str
    daily: pl.DataFrame
    """series_id, usage_date and quantity (exact); a day without a row is a day without any."""
    first_day: dt.date
    last_day: dt.date

    def totals(self, first: dt.date, last: dt.date) -> dict[str, float]:
        """Sum of each series over the days from ``first`` to ``last``, both included."""
        part = self.daily.filter(pl.col("usage_date").is_between(first, last))
        return {name: float(total) for name, total in part.group_by("series_id").agg(pl.col("quantity").sum()).iter_rows()}


def load(panel: str) -> list[Installation]:
    """The installations of a panel, in order."""
    frame = pl.read_csv(FOLDER / f"{panel}.csv.gz", try_parse_dates=True, schema_overrides={"installation": pl.String})
    frame = frame.with_columns(pl.col("quantity").cast(pl.Decimal(38, 18)))
    return [
        Installation(
            panel=panel,
            name=str(name),
            daily=part.select("series_id", "usage_date", "quantity"),
            first_day=part["usage_date"].min(),
            last_day=part["usage_date"].max(),
        )
        for (name,), part in frame.sort("installation", "series_id", "usage_date").group_by("installation", maintain_order=True)
    ]
