"""Marts about people: small groups tell nothing, pseudonyms tell nobody, cohorts and adoption count people once."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from tests.unit.facts.test_summary import day, facts
from usage_etl.facts.cohorts import active_days, adoption, cohorts
from usage_etl.facts.members import Organization
from usage_etl.facts.peers import peers
from usage_etl.facts.pseudonyms import pseudonym
from usage_etl.periods import Month
from usage_etl.schemas.dimensions import DIM_USER

NORTHWIND = Organization("northwind", "Northwind AI", "USD")
NOVEMBER, AUGUST, THIRD = Month(2026, 11), day(1, 8), day(3)


def users(*ids: str) -> pl.DataFrame:
    rows = [{"user_id": one, "user_name": one.title(), "team_id": "vision", "valid_from": day(1, 1)} for one in ids]
    schema = DIM_USER.polars_schema
    return pl.DataFrame([[row.get(name) for name in schema] for row in rows], schema=schema, orient="row")


def used(user: str | None, on: dt.date = THIRD, **more: Any) -> dict[str, Any]:
    return {"user_id": user, "usage_date": on, "effective_cost": Decimal(1)} | more


def peer_rows(rows: list[dict[str, Any]], *, minimum: int = 3, key: bytes | None = None, kind: str = "team") -> pl.DataFrame:
    frame = peers(
        facts(*rows),
        directories={"dim_user": users("ada", "bob")},
        organization=NORTHWIND,
        month=NOVEMBER,
        through_date=day(10),
        minimum_group_size=minimum,
        pseudonym_key=key,
    )
    return frame.filter(pl.col("group_kind") == kind)


def test_a_group_below_the_minimum_has_one_row_that_names_nobody_and_has_no_figures() -> None:
    frame = peer_rows([used("ada"), used("bob"), used("ada", requests_count=5)])
    row = frame.row(0, named=True)
    assert frame.height == 1
    assert (row["group_users_count"], row["is_suppressed"], row["group_id"]) == (2, True, "vision")
    empty = {name for name, found in row.items() if found is None}
    assert {"user_key", "user_name", "requests_count", "effective_cost", "group_median_latency_ms", "is_power_user"} <= empty
    assert peer_rows([used("ada"), used("bob")], minimum=2)["is_suppressed"].to_list() == [False, False]


def test_no_id_and_no_name_leave_under_pseudonyms_and_the_same_key_gives_the_same_person() -> None:
    rows = [used(name) for name in ("ada", "bob", "cyd")]
    frame, again = peer_rows(rows, key=b"k"), peer_rows(rows, key=b"k")
    assert set(frame["user_key"]) == {pseudonym(name, b"k") for name in ("ada", "bob", "cyd")} == set(again["user_key"])
    assert set(frame["user_key"]).isdisjoint(peer_rows(rows, key=b"other")["user_key"])
    assert frame["user_name"].null_count() == 3
    text = frame.drop("group_id", "group_name").write_json()
    assert not any(name in text.lower() for name in ("ada", "bob", "cyd"))
    assert peer_rows(rows).select("user_key", "user_name").rows() == [("ada", "Ada"), ("bob", "Bob"), ("cyd", None)]


def test_a_percentile_is_the_share_below_and_half_of_the_ties() -> None:
    rows = [
        used("ada", requests_count=1),
        used("bob", requests_count=5),
        used("cyd", requests_count=5),
        used("dan", requests_count=9),
    ]
    frame = peer_rows(rows)
    assert frame["requests_percentile_ratio"].to_list() == [0.125, 0.5, 0.5, 0.875]
    assert frame["group_median_requests_ratio"].unique().to_list() == [5]
    assert frame["latency_percentile_ratio"].null_count() == 4, "nobody has a known duration"


def test_unpriced_people_have_no_place_by_cost() -> None:
    unpriced = {"price_status": "unpriced", "effective_cost": None, "currency": None}
    frame = peer_rows([used("ada", **unpriced), used("bob"), used("cyd", effective_cost=Decimal(3))])
    assert frame["cost_percentile_ratio"].to_list() == [None, 0.25, 0.75]
    assert frame["effective_cost"].to_list() == [None, 1, 3]


def test_power_users_slow_and_long_prompts_are_marked_within_their_group() -> None:
    rows = [
        used(f"u{number:02d}", requests_count=30, output_tokens=100, latency_ms_sum=100, latency_count=1) for number in range(20)
    ]
    rows.append(used("zoe", requests_count=500, output_tokens=10**6, latency_ms_sum=900, latency_count=1))
    frame = peer_rows(rows)
    marks = ("is_power_user", "is_training_candidate", "is_slow")
    assert frame.filter(user_key="zoe").select(marks).row(0) == (True, True, True)
    others = frame.filter((pl.col("user_key") != "zoe") & pl.any_horizontal(marks))
    assert others.is_empty()


def test_usage_without_a_user_a_group_or_a_request_has_no_peers() -> None:
    rows = [used(None), used("ada", team_id="unallocated"), used("bob", requests_count=0), used("cyd", feature_id=None)]
    assert peer_rows(rows, minimum=1)["user_key"].to_list() == ["cyd"]
    assert peer_rows(rows, minimum=1, kind="feature").is_empty()


def people_marts(rows: list[dict[str, Any]], *, floor: dt.date = AUGUST, minimum: int = 1) -> tuple[pl.DataFrame, pl.DataFrame]:
    days = active_days(facts(*rows), NORTHWIND, through_date=day(10))
    asked = {
        "directories": {"dim_user": users("ada", "bob", "eve", "fay")}, "organization": NORTHWIND, "month": NOVEMBER,
        "through_date": day(10), "history_floor": floor, "minimum_group_size": minimum,
    }  # fmt: skip
    whole = pl.col("scope_kind") == "organization"
    return cohorts(days, **asked).filter(whole), adoption(days, **asked).filter(whole)


HISTORY = [
    used("ada", day(1, 8)), used("ada", day(2)), used("bob", day(30, 9)), used("bob", day(1, 10)), used("bob", day(1)),
    used("cyd", day(31, 10)), used("dan", day(10)), used("dan", day(9)), used("late", day(11)), used(None, day(3)),
    used("idle", day(3), requests_count=0),
]  # fmt: skip


def test_cohorts_follow_people_from_the_month_of_their_first_request() -> None:
    frame, _ = people_marts(HISTORY)
    found = frame.select("cohort_month", "months_since_count", "cohort_users_count", "active_users_count", "retention_ratio")
    assert found.rows() == [
        (day(1, 8), 3, 1, 1, 1.0),
        (day(1, 9), 2, 1, 1, 1.0),
        (day(1, 10), 1, 1, 0, 0.0),
        (day(1, 11), 0, 1, 1, 1.0),
    ]
    assert frame["is_history_floor"].to_list() == [True, False, False, False]
    assert sum(frame["cohort_users_count"]) == 4, "nobody twice, and nobody whose first day is still to come"


def test_a_small_cohort_is_counted_and_tells_nothing_else() -> None:
    frame, _ = people_marts(HISTORY, minimum=2)
    assert frame["is_suppressed"].all()
    assert frame["active_users_count"].null_count() == frame["retention_ratio"].null_count() == 4
    assert frame["cohort_users_count"].to_list() == [1, 1, 1, 1]


def test_adoption_tells_new_retained_returned_and_lapsed_people_apart() -> None:
    _, frame = people_marts(HISTORY)
    row = frame.row(0, named=True)
    names = ("active", "new", "retained", "returned", "lapsed", "directory")
    assert [row[f"{name}_users_count"] for name in names] == [3, 1, 1, 1, 1, 4]
    assert (row["adoption_ratio"], row["average_daily_users_ratio"]) == (0.5, 0.4), "dan is in no directory, so he adopts nothing"
    assert row["active_users_count"] == row["new_users_count"] + row["retained_users_count"] + row["returned_users_count"]


def test_in_the_first_month_of_a_lake_nobody_is_called_new() -> None:
    _, frame = people_marts([used("ada", day(2)), used("bob", day(3))], floor=day(2))
    assert frame["new_users_count"].to_list() == [None]
    assert frame["active_users_count"].to_list() == [2]


@pytest.mark.parametrize("floor", [day(1, 8), day(31, 10)])
def test_a_scope_nobody_used_still_shows_who_could(floor: dt.date) -> None:
    _, frame = people_marts([], floor=floor)
    row = frame.row(0, named=True)
    assert (row["active_users_count"], row["directory_users_count"], row["adoption_ratio"]) == (0, 4, 0.0)
    assert row["stickiness_ratio"] is None
