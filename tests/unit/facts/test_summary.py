"""mart_summary and mart_spend_daily: every dimension adds up, people are counted anew, and months compare like with like."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usage_etl.facts.members import Organization
from usage_etl.facts.spend import spend_daily
from usage_etl.facts.summary import Usage, summarise
from usage_etl.facts.windows import month_windows
from usage_etl.periods import Month
from usage_etl.schemas.dimensions import DIM_TEAM, DIM_USER
from usage_etl.schemas.marts import MART_SPEND_DAILY
from usage_etl.schemas.summary import MART_SUMMARY, SUMMARY_DIMENSIONS, of_window
from usage_etl.schemas.usage import FACT_USAGE_DAILY, FACT_USAGE_HOURLY

NOVEMBER = Month(2026, 11)
ROW = {
    "usage_date": dt.date(2026, 11, 3),
    "source": "gateway",
    "source_account": "main",
    "department_id": "research",
    "team_id": "vision",
    "cost_center_id": "cc-100",
    "owner_basis": "user",
    "primitive": "ai.chat",
    "provider": "openai",
    "host": "openai",
    "model_id": "gpt-5",
    "processing": "standard",
    "status": "success",
    "price_status": "priced",
    "currency": "USD",
    "requests_count": 1,
}


def day(number: int, month: int = 11) -> dt.date:
    return dt.date(2026, month, number)


def facts(*rows: dict[str, Any]) -> pl.LazyFrame:
    numbers = {name: 0 for name, dtype in FACT_USAGE_DAILY.polars_schema.items() if dtype.is_integer()}
    full = [numbers | ROW | row for row in rows]
    columns = {name: [row.get(name) for row in full] for name in FACT_USAGE_DAILY.columns}
    return FACT_USAGE_DAILY.validate(pl.DataFrame(columns, schema=dict(FACT_USAGE_DAILY.polars_schema))).lazy()


def cube(daily: pl.LazyFrame, **changes: Any) -> pl.DataFrame:
    """All windows of mart_summary of facts in any month; the facts of a day all lie in its first hour."""
    asked = {"month": NOVEMBER, "through_date": day(10), "first_covered": None, "directories": {}, "sessions": None} | changes
    covered = asked["first_covered"]
    windows = month_windows(asked["month"], through_date=asked["through_date"], first_covered=covered or day(1, 8))
    hour = pl.col("usage_date").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    hourly = daily.with_columns(hour_start_at=hour).select(*FACT_USAGE_HOURLY.columns)
    frame = summarise(
        Usage(daily, hourly, covered, asked["sessions"]),
        windows=windows,
        directories=asked["directories"],
        organization=Organization("northwind", "Northwind AI", "USD"),
        month=asked["month"],
        through_date=asked["through_date"],
    )
    return MART_SUMMARY.validate(frame)


def summary(daily: pl.LazyFrame, previous: pl.LazyFrame | None = None, **changes: Any) -> pl.DataFrame:
    """The month alone."""
    both = daily if previous is None else pl.concat([daily, previous])
    return of_window(cube(both, **changes))


def member(frame: pl.DataFrame, dimension: str, member_id: str) -> dict[str, Any]:
    found = frame.filter((pl.col("dimension") == dimension) & (pl.col("member_id") == member_id))
    assert found.height == 1
    return found.row(0, named=True)


def test_usage_that_names_no_member_stands_under_none() -> None:
    frame = summary(facts({"user_id": "ada", "requests_count": 2}, {"user_id": None, "requests_count": 3}))
    assert member(frame, "user", "(none)")["requests_count"] == 3
    assert member(frame, "project", "(none)")["requests_count"] == 5


def test_people_are_counted_anew_and_never_added_up() -> None:
    frame = summary(facts({"user_id": "ada", "team_id": "a"}, {"user_id": "ada", "team_id": "b"}, {"user_id": None}))
    assert member(frame, "organization", "northwind")["active_users_count"] == 1
    assert [member(frame, "team", team)["active_users_count"] for team in ("a", "b")] == [1, 1]
    assert member(frame, "user", "(none)")["active_users_count"] == 0


def test_cost_is_null_only_where_nothing_has_a_price() -> None:
    unpriced = {"price_status": "unpriced", "currency": None, "effective_cost": None, "output_tokens": 7, "requests_count": 4}
    frame = summary(facts({"model_id": "known", "effective_cost": Decimal("1.25")}, {"model_id": "unknown"} | unpriced))
    assert member(frame, "model", "openai/unknown")["effective_cost"] is None
    organization = member(frame, "organization", "northwind")
    assert organization["effective_cost"] == Decimal("1.25")
    assert (organization["unpriced_requests_count"], organization["unpriced_tokens"]) == (4, 7)


def test_free_usage_is_not_unpriced() -> None:
    free = {"price_status": "free", "effective_cost": Decimal(0)}
    assert member(summary(facts(free)), "organization", "northwind")["unpriced_requests_count"] == 0


def test_cost_in_another_currency_is_never_added() -> None:
    frame = summary(facts({"effective_cost": Decimal(1)}, {"effective_cost": Decimal(5), "currency": "EUR"}))
    organization = member(frame, "organization", "northwind")
    assert (organization["effective_cost"], organization["unpriced_requests_count"]) == (Decimal(1), 1)


def test_two_makers_with_one_model_name_stay_apart() -> None:
    frame = summary(facts({"provider": "meta", "model_id": "llama"}, {"provider": "acme", "model_id": "llama"}))
    models = frame.filter(pl.col("dimension") == "model")
    assert models.select("member_id", "member_name").rows() == [("acme/llama", "llama"), ("meta/llama", "llama")]


def test_token_classes_are_added_once() -> None:
    classes = {
        "input_uncached_tokens": 1,
        "cache_read_tokens": 10,
        "cache_write_5m_tokens": 100,
        "cache_write_1h_tokens": 1000,
        "output_tokens": 10_000,
        "reasoning_tokens": 5_000,
    }
    row = member(summary(facts(classes)), "organization", "northwind")
    assert (row["input_tokens"], row["total_tokens"], row["cache_read_tokens"]) == (1111, 11_111, 10)


def test_days_after_the_last_day_with_data_are_left_out() -> None:
    frame = summary(facts({"usage_date": day(10)}, {"usage_date": day(11)}, {"usage_date": day(31, 10)}))
    assert member(frame, "organization", "northwind")["requests_count"] == 1
    assert frame["through_date"].unique().to_list() == [day(10)]


def test_the_month_before_is_cut_to_the_same_days() -> None:
    previous = facts(*({"usage_date": day(number, 10), "effective_cost": Decimal(2)} for number in (1, 10, 11, 31)))
    frame = summary(facts({"effective_cost": Decimal(3)}), previous, first_covered=day(20, 8))
    row = member(frame, "organization", "northwind")
    assert (row["previous_requests_count"], row["previous_effective_cost"]) == (2, Decimal(4))
    assert row["previous_has_data"]


def test_a_full_march_is_compared_with_the_whole_of_february() -> None:
    frame = summary(
        facts({"usage_date": day(31, 3)}),
        facts({"usage_date": day(28, 2)}),
        month=Month(2026, 3),
        through_date=day(31, 3),
        first_covered=day(1, 2),
    )
    assert member(frame, "organization", "northwind")["previous_requests_count"] == 1


@pytest.mark.parametrize("covered_from", [None, day(2, 10), day(20, 10)])
def test_a_month_before_with_missing_days_is_not_compared(covered_from: dt.date | None) -> None:
    previous = facts({"usage_date": day(5, 10), "effective_cost": Decimal(2)})
    frame = summary(facts({}), previous, first_covered=covered_from)
    assert not frame["previous_has_data"].any()
    assert frame.select(pl.col("^previous_.*(count|tokens|cost)$").null_count()).row(0) == (frame.height,) * 5


def test_members_of_one_month_only_have_zeros_in_the_other() -> None:
    previous = facts({"usage_date": day(2, 10), "team_id": "gone", "effective_cost": Decimal(2)})
    current = facts({"team_id": "new", "effective_cost": Decimal(3)})
    frame = summary(current, previous, first_covered=day(1, 10))
    gone, new = member(frame, "team", "gone"), member(frame, "team", "new")
    assert (gone["requests_count"], gone["effective_cost"], gone["previous_effective_cost"]) == (0, 0, 2)
    assert (new["previous_requests_count"], new["previous_effective_cost"]) == (0, 0)


def test_unpriced_usage_of_the_month_before_is_not_zero() -> None:
    previous = facts({"usage_date": day(2, 10), "price_status": "unpriced", "currency": None, "effective_cost": None})
    row = member(summary(facts({}), previous, first_covered=day(1, 10)), "organization", "northwind")
    assert (row["previous_requests_count"], row["previous_effective_cost"]) == (1, None)


def test_a_day_is_compared_with_the_day_of_the_same_number() -> None:
    previous = facts({"usage_date": day(3, 10), "requests_count": 7}, {"usage_date": day(4, 10)})
    frame = summary(facts({"usage_date": day(3)}), previous, first_covered=day(1, 10))
    assert member(frame, "day", "2026-11-03")["previous_requests_count"] == 7
    assert frame.filter(pl.col("dimension") == "day").height == 1, "a day without data must not look like a day of zeros"


def test_members_carry_the_names_that_are_valid_on_the_last_day() -> None:
    dated = {"valid_from": [day(1, 1), day(8), day(20)], "valid_to": [day(8), day(20), None]}
    users = pl.DataFrame(
        {"user_id": ["ada"] * 3, "user_name": ["Ada K.", "Ada L.", "Ada M."], "user_email": [None] * 3, "team_id": ["vision"] * 3}
        | dated,
        schema_overrides=DIM_USER.polars_schema,
    )
    frame = summary(
        facts({"user_id": "ada"}, {"user_id": "bob", "team_id": "unallocated"}),
        directories={"dim_user": users, "dim_team": DIM_TEAM.empty()},
    )
    assert member(frame, "user", "ada")["member_name"] == "Ada L."
    assert member(frame, "user", "bob")["member_name"] == "bob"
    assert member(frame, "team", "unallocated")["member_name"] == "Unallocated"
    assert member(frame, "organization", "northwind")["member_name"] == "Northwind AI"


def test_an_empty_month_has_no_rows() -> None:
    assert summary(facts()).is_empty()


def test_daily_spend_keeps_every_request_and_no_foreign_cost() -> None:
    daily = facts(
        {"effective_cost": Decimal(1), "output_tokens": 3},
        {"effective_cost": Decimal(2), "currency": "EUR", "output_tokens": 4},
        {"team_id": "speech", "price_status": "unpriced", "currency": None},
        {"usage_date": day(31, 10)},
    )
    spend = MART_SPEND_DAILY.validate(spend_daily(daily, month=NOVEMBER, currency="USD"))
    assert spend.select("team_id", "requests_count", "total_tokens", "effective_cost").rows() == [
        ("speech", 1, 0, None),
        ("vision", 2, 7, Decimal(1)),
    ]


def _names(*names: str) -> st.SearchStrategy[str]:
    return st.sampled_from(names)


USAGE = st.fixed_dictionaries(
    {
        "usage_date": st.dates(day(28, 10), day(14)),
        "user_id": st.sampled_from(["ada", "bob", "(none)", None]),
        "team_id": _names("vision", "unallocated"),
        "api_key_id": st.sampled_from(["k1", None]),
        "product_id": st.sampled_from(["chat", None]),
        "provider": _names("openai", "anthropic"),
        "model_id": _names("m/1", "m2"),
        "status": _names("success", "error"),
        "currency": st.sampled_from(["USD", "EUR", None]),
        "requests_count": st.integers(0, 10**6),
        "input_uncached_tokens": st.integers(0, 10**9),
        "output_tokens": st.integers(0, 10**9),
        "effective_cost": st.one_of(st.none(), st.decimals(0, 10**6, places=18)),
    }
)


@settings(max_examples=25, deadline=None)
@given(current=st.lists(USAGE, max_size=10), before=st.lists(USAGE, max_size=5))
def test_every_dimension_adds_up_to_the_organization(current: list[dict[str, Any]], before: list[dict[str, Any]]) -> None:
    earlier = [row | {"usage_date": day(row["usage_date"].day, 10)} for row in before]
    frame = summary(facts(*current), facts(*earlier), first_covered=day(1, 10))
    totals = frame.group_by("dimension").agg(
        pl.col("requests_count", "total_tokens", "unpriced_requests_count", "effective_cost").sum()
    )
    assert set(totals["dimension"]) in ({*SUMMARY_DIMENSIONS}, {*SUMMARY_DIMENSIONS} - {"day"}, set())
    wanted = [row for row in current if day(1) <= row["usage_date"] <= day(10)]
    cost = sum((row["effective_cost"] or 0 for row in wanted if row["currency"] == "USD"), Decimal(0))
    for row in totals.iter_rows(named=True):
        assert row["requests_count"] == sum(row["requests_count"] for row in wanted)
        assert row["total_tokens"] == sum(row["input_uncached_tokens"] + row["output_tokens"] for row in wanted)
        assert row["effective_cost"] == cost
        assert row["unpriced_requests_count"] == totals["unpriced_requests_count"][0]


@pytest.mark.parametrize(
    ("statuses", "cost"),
    [
        (["unpriced", "free"], None),
        (["unpriced"], None),
        (["free"], Decimal(0)),
        (["unpriced", "priced", "free"], Decimal(2)),
    ],
)
def test_a_free_call_does_not_make_unpriced_usage_cost_nothing(statuses: list[str], cost: Decimal | None) -> None:
    known = {"priced": Decimal(2), "free": Decimal(0), "unpriced": None}
    rows = [
        {
            "price_status": status,
            "effective_cost": known[status],
            "currency": "USD" if status != "unpriced" else None,
            "user_id": str(number),
        }
        for number, status in enumerate(statuses)
    ]
    assert member(summary(facts(*rows)), "provider", "openai")["effective_cost"] == cost
    assert spend_daily(facts(*rows), month=NOVEMBER, currency="USD")["effective_cost"].to_list() == [cost]
