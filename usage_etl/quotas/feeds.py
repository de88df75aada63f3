"""How far the feeds of each scope reach: days that they cover, the last of them, and whether one is late."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Feeds:
    """What is known of the usage sources. ``days``: source and usage_date of every day with rows that count.

    ``received``: source to the day of its newest delivery. ``expected_hours``: configured usage source to how long it may be
    without a new delivery.
    """

    days: pl.DataFrame
    received: Mapping[str, dt.date]
    expected_hours: Mapping[str, int]

    def reach(self, source: str) -> dt.date | None:
        """Last day with rows of ``source``; null where it has none."""
        last = self.days.filter(pl.col("source") == source)["usage_date"].max()
        return last if isinstance(last, dt.date) else None

    def late_after(self, source: str) -> dt.date:
        """Last day at whose end ``source`` is not late: its newest rows or the day before a delivery, and what it may take."""
        known = [self.reach(source), self.received[source] - DAY if source in self.received else None]
        newest = max((day for day in known if day is not None), default=dt.date.min)
        allowed = -(-self.expected_hours.get(source, 0) // 24) - 1
        return newest + max(0, allowed) * DAY if newest > dt.date.min else newest


def with_feed_groups(scopes: pl.DataFrame, pairs: pl.DataFrame, feeds: Feeds) -> pl.DataFrame:
    """``scopes`` with feed_group: the configured sources of each scope, joined; all that ever delivered where it has no usage."""
    configured = sorted(feeds.expected_hours)
    everything = "\x1f".join(sorted(set(configured) & set(feeds.days["source"].unique())))
    known = pairs.filter(pl.col("source").is_in(configured)).group_by("scope_kind", "scope_id")
    groups = known.agg(feed_group=pl.col("source").unique().sort().str.join("\x1f"))
    joined = scopes.join(groups, on=["scope_kind", "scope_id"], how="left", maintain_order="left")
    return joined.with_columns(pl.col("feed_group").fill_null(everything))


def group_reach(groups: pl.Series, feeds: Feeds) -> pl.DataFrame:
    """One feed_group: settled_date (its slowest feed's last day with rows) and late_after (last day on which none is late)."""
    rows = []
    for group in groups.unique().sort():
        sources = [source for source in group.split("\x1f") if source]
        reached = [feeds.reach(source) or dt.date.min for source in sources]
        late = [feeds.late_after(source) for source in sources]
        rows.append((group, min(reached, default=dt.date.min), min(late, default=dt.date.min)))
    schema = {"feed_group": pl.String, "settled_date": pl.Date, "late_after": pl.Date}
    return pl.DataFrame(rows, schema=schema, orient="row")


def covered_days(groups: pl.Series, feeds: Feeds) -> pl.DataFrame:
    """One (feed_group, day): days on which a feed of the group has rows."""
    sources = pl.DataFrame({"feed_group": groups.unique().sort().cast(pl.String)}).with_columns(
        source=pl.col("feed_group").str.split("\x1f")
    )
    exploded = sources.explode("source", empty_as_null=True, keep_nulls=True)
    return exploded.join(feeds.days, on="source").select("feed_group", "usage_date").unique().sort("feed_group", "usage_date")
