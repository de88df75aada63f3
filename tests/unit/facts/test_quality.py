"""mart_data_quality: what was delivered, where the rows went and which days are missing, source by source."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl

from usage_etl.facts.quality import data_quality_month
from usage_etl.periods import Month
from usage_etl.schemas.marts import MART_DATA_QUALITY
from usage_etl.schemas.usage import FACT_DELIVERIES_DAILY

DELIVERY = {
    "source": "gateway",
    "source_kind": "litellm",
    "delivery_id": "d1",
    "status": "staged",
    "rows_read_count": 100,
    "rows_staged_count": 98,
    "rows_quarantined_count": 2,
    "rows_out_of_scope_count": 5,
    "received_at": dt.datetime(2026, 11, 2, 4, 5, 6, 789, tzinfo=dt.UTC),
}
DELIVERY_SCHEMA = {
    "source": pl.String,
    "source_kind": pl.String,
    "delivery_id": pl.String,
    "status": pl.String,
    "rows_read_count": pl.Int64,
    "rows_staged_count": pl.Int64,
    "rows_quarantined_count": pl.Int64,
    "rows_out_of_scope_count": pl.Int64,
    "received_at": pl.Datetime("us", "UTC"),
}
STAGED = {
    "source": "gateway",
    "delivery_id": "d1",
    "table_name": "staged_usage",
    "usage_date": dt.date(2026, 11, 1),
    "rows_count": 98,
    "lost_count": 0,
}
STAGED_SCHEMA = {
    "source": pl.String,
    "delivery_id": pl.String,
    "table_name": pl.String,
    "usage_date": pl.Date,
    "rows_count": pl.Int64,
    "lost_count": pl.Int64,
}
LOADED = {
    "usage_date": dt.date(2026, 11, 1),
    "source": "gateway",
    "delivery_id": "d1",
    "staged_count": 98,
    "loaded_count": 90,
    "duplicate_count": 8,
    "reconciliation_count": 0,
}
CHARGE_SCHEMA = {"source": pl.String, "charge_date": pl.Date, "rows": pl.Int64, "unmapped": pl.Int64}


def day(number: int, month: int = 11) -> dt.date:
    return dt.date(2026, month, number)


def quality(
    deliveries: list[dict[str, Any]],
    staged: list[dict[str, Any]],
    daily: list[dict[str, Any]],
    charges: list[tuple[Any, ...]],
    **changes: Any,
) -> dict[str, dict[str, Any]]:
    settings = {"month": Month(2026, 11), "through_date": day(3), "sources": {"gateway": "litellm"}}
    frame = data_quality_month(
        pl.DataFrame([DELIVERY | row for row in deliveries], schema=DELIVERY_SCHEMA),
        pl.DataFrame([STAGED | row for row in staged], schema=STAGED_SCHEMA),
        pl.DataFrame([LOADED | row for row in daily], schema=FACT_DELIVERIES_DAILY.polars_schema),
        pl.DataFrame([(*row, 0)[:4] for row in charges], schema=CHARGE_SCHEMA, orient="row"),
        **(settings | changes),
    )
    return {row["source"]: row for row in MART_DATA_QUALITY.validate(frame).iter_rows(named=True)}


def test_every_row_read_is_loaded_duplicate_or_quarantined() -> None:
    copied = {"delivery_id": "d2", "status": "duplicate", "rows_read_count": 100, "rows_quarantined_count": 0}
    row = quality([{}, copied], [{}], [{}], [])["gateway"]
    assert (row["rows_read_count"], row["rows_loaded_count"], row["rows_duplicate_count"], row["rows_quarantined_count"]) == (
        200,
        90,
        108,
        2,
    )


def test_missing_days_are_counted_up_to_the_last_day_with_data_anywhere() -> None:
    row = quality([{}], [{}], [{}, {"usage_date": day(3)}, {"usage_date": day(9)}], [])["gateway"]
    assert (row["days_with_data_count"], row["days_missing_count"]) == (3, 1)
    assert (row["first_date"], row["last_date"]) == (day(1), day(9))


def test_a_day_of_empty_deliveries_is_a_day_without_data() -> None:
    row = quality([{}], [{}], [{"staged_count": 0, "loaded_count": 0, "duplicate_count": 0}], [])["gateway"]
    assert (row["days_with_data_count"], row["days_missing_count"], row["first_date"]) == (0, 3, None)


def test_a_configured_source_that_delivered_nothing_is_named() -> None:
    row = quality([], [], [], [], sources={"billing": "openai"})["billing"]
    assert (row["source_kind"], row["deliveries_count"], row["days_missing_count"]) == ("openai", 0, 3)
    assert row["last_received_at"] is None


def test_a_source_that_is_no_longer_configured_is_still_shown() -> None:
    assert set(quality([{"source": "old"}], [], [], [])) == {"gateway", "old"}


def test_held_and_refused_deliveries_belong_to_the_month_they_came_in() -> None:
    october = dt.datetime(2026, 10, 31, 23, 59, tzinfo=dt.UTC)
    row = quality(
        [
            {"delivery_id": "h", "status": "held"},
            {"delivery_id": "r", "status": "refused", "rows_quarantined_count": 100},
            {"delivery_id": "old", "status": "refused", "received_at": october},
        ],
        [],
        [],
        [],
    )["gateway"]
    assert (row["deliveries_count"], row["held_deliveries_count"], row["refused_deliveries_count"]) == (2, 1, 1)


def test_a_late_delivery_belongs_to_the_month_of_its_days() -> None:
    december = dt.datetime(2026, 12, 9, tzinfo=dt.UTC)
    late = {"delivery_id": "late", "received_at": december}
    earlier = {"delivery_id": "early"}
    row = quality(
        [late, earlier],
        [{"delivery_id": "late"}, {"delivery_id": "early", "usage_date": day(31, 10)}],
        [],
        [],
    )["gateway"]
    assert (row["deliveries_count"], row["last_received_at"]) == (1, "2026-12-09T00:00:00Z")


def test_charge_lines_replaced_by_a_newer_pull_are_duplicates() -> None:
    costs = {"source": "billing", "table_name": "staged_charges", "rows_count": 10}
    rows = quality(
        [{"source": "billing", "rows_read_count": 10, "rows_quarantined_count": 0, "delivery_id": name} for name in ("c1", "c2")],
        [
            costs | {"delivery_id": "c1", "lost_count": 10},
            costs | {"delivery_id": "c2"},
            costs | {"delivery_id": "c2", "usage_date": day(30, 10)},
        ],
        [],
        [("billing", day(1), 10), ("billing", day(30, 10), 10)],
    )
    row = rows["billing"]
    assert (row["rows_loaded_count"], row["rows_duplicate_count"], row["days_with_data_count"]) == (10, 10, 1)
    assert rows["gateway"]["rows_loaded_count"] == 0


def test_usage_in_buckets_that_another_delivery_answers_for_is_duplicate() -> None:
    row = quality(
        [{"rows_read_count": 98, "rows_quarantined_count": 0}, {"delivery_id": "d2", "rows_read_count": 5}],
        [{}, {"delivery_id": "d2", "rows_count": 5, "lost_count": 5}],
        [{}],
        [],
    )["gateway"]
    assert (row["rows_loaded_count"], row["rows_duplicate_count"]) == (90, 13)


def test_before_the_month_begins_no_day_is_missing() -> None:
    assert quality([], [], [], [], through_date=day(31, 10))["gateway"]["days_missing_count"] == 0


def test_what_is_out_of_scope_and_what_no_table_maps_is_counted() -> None:
    row = quality([{}, {"delivery_id": "d2", "rows_out_of_scope_count": None}], [{}], [{}], [("gateway", day(1), 9, 4)])[
        "gateway"
    ]
    assert (row["rows_out_of_scope_count"], row["unmapped_lines_count"]) == (5, 4)
    assert quality([{}], [{}], [{}], [])["gateway"]["unmapped_lines_count"] == 0
