"""Which names are parts of one file, and which are files of their own."""

import pytest

from usage_etl.sources.fetching.object_sets import set_name

PARTS = {
    "a/part-00000.parquet": "a/#.parquet",
    "a/part-00001-1f0c2a3b-0000-4000-8000-123456789abc-c000.snappy.parquet": "a/#.snappy.parquet",
    "a/part-00001-1f0c2a3b-0000-4000-8000-123456789abc.c000.csv.gz": "a/#.csv.gz",
    "a/part_0_0001.csv": "a/#.csv",
    "000000000000.json": "#.json",
    "2026-10-05/000000000012.parquet": "2026-10-05/#.parquet",
    "a/export-00001.snappy.parquet": "a/export-#.snappy.parquet",
    "2026/focus_20261001_part-3.csv": "2026/focus_20261001_#.csv",
}
WHOLE = (
    "focus_2026-10.csv",
    "focus_20261001.csv",
    "focus_20261101_060000.csv",
    "focus_20261101_0600.csv",
    "202611010600.csv",
    "focus-1.csv",
    "part-00000/focus.csv",
    "compartment-00.csv",
    "report_10512.csv",
)


@pytest.mark.parametrize(("key", "name"), PARTS.items())
def test_numbered_parts_share_a_name(key: str, name: str) -> None:
    assert set_name(key) == name


@pytest.mark.parametrize("key", WHOLE)
def test_dates_and_times_are_no_part_numbers(key: str) -> None:
    assert set_name(key) == key
