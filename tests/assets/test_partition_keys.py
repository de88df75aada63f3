"""Which days and months exist, while the as-of month runs and long after it."""

import datetime as dt

import pytest
from dagster._core.test_utils import freeze_time

from assets.partitions import daily_partitions, month_keys, monthly_partitions
from usage_etl.config import Settings

SOURCES = [{"kind": "litellm", "name": "gateway", "location": "landing"}]


def settings(*, start: str, as_of: str | None) -> Settings:
    organization = {"id": "acme", "name": "Acme"}
    return Settings.model_validate(
        {"version": "1", "organization": organization, "start_date": start, "as_of_date": as_of, "sources": SOURCES}
    )


@pytest.mark.parametrize("today", [dt.datetime(2026, 11, 20, tzinfo=dt.UTC), dt.datetime(2027, 3, 1, tzinfo=dt.UTC)])
@pytest.mark.parametrize(
    ("start", "months"),
    [("2026-09-01", ["2026-09-01", "2026-10-01", "2026-11-01"]), ("2026-11-01", ["2026-11-01"])],
)
def test_the_month_of_the_as_of_day_exists(today: dt.datetime, start: str, months: list[str]) -> None:
    with freeze_time(today):
        chosen = settings(start=start, as_of="2026-11-19")
        assert monthly_partitions(chosen).get_partition_keys() == months
        assert daily_partitions(chosen).get_last_partition_key() == "2026-11-19"


def test_the_running_month_and_the_last_complete_day_exist() -> None:
    with freeze_time(dt.datetime(2026, 11, 20, 6, tzinfo=dt.UTC)):
        chosen = settings(start="2026-10-01", as_of=None)
        assert monthly_partitions(chosen).get_partition_keys() == ["2026-10-01", "2026-11-01"]
        assert daily_partitions(chosen).get_last_partition_key() == "2026-11-19"


def test_months_of_a_span_of_days() -> None:
    assert month_keys(dt.date(2026, 9, 30), dt.date(2026, 11, 1)) == ["2026-09-01", "2026-10-01", "2026-11-01"]
