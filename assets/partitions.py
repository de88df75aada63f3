"""The two partitionings: UTC days of usage and calendar months. Both begin on the lake's first day of a month."""

import datetime as dt
from collections.abc import Mapping

import dagster as dg

from usage_etl.config import Settings
from usage_etl.periods import Month, days_between


def daily_partitions(settings: Settings) -> dg.DailyPartitionsDefinition:
    """UTC days from the lake's start to the last complete day, or to the configured as-of day."""
    as_of = settings.as_of_date
    end = _midnight(as_of + dt.timedelta(days=1)) if as_of else None
    return dg.DailyPartitionsDefinition(start_date=_midnight(settings.start_date), end_date=end, timezone="UTC")


def monthly_partitions(settings: Settings) -> dg.MonthlyPartitionsDefinition:
    """Calendar months from the lake's start to the current one, which is always partial and always there."""
    as_of = settings.as_of_date
    end = _midnight(Month.of(as_of).end) if as_of else None
    return dg.MonthlyPartitionsDefinition(start_date=_midnight(settings.start_date), end_date=end, end_offset=1)


def range_tags(first: str, last: str) -> dict[str, str]:
    """Run tags that make one run cover the partitions ``first`` to ``last``, both included."""
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}


def covered_partitions(tags: Mapping[str, str]) -> list[str]:
    """First and last partition, or the only one, that a run with ``tags`` covers; none for a run without partitions."""
    names = ("dagster/partition", "dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
    return [tags[name] for name in names if name in tags]


def month_keys(first_day: dt.date, last_day: dt.date) -> list[str]:
    """Partition keys of the months that the days ``first_day`` to ``last_day`` touch."""
    return sorted({Month.of(day).first_day.isoformat() for day in days_between(first_day, last_day + dt.timedelta(days=1))})


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC)
