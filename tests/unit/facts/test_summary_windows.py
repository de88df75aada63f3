"""mart_summary over windows: awkward members, tags, units, latency, sessions, leaders and the first day of a lake."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.facts.test_summary import cube, day, facts, member
from usage_etl.facts.sessions import sessions_daily
from usage_etl.schemas.ownership import DIM_DEPARTMENT
from usage_etl.schemas.summary import OVERLAPPING_DIMENSIONS, SUMMARY_WINDOWS, of_window
from usage_etl.schemas.usage import USAGE_EVENTS

WIDE = day(1, 1)


def organization(frame: pl.DataFrame, window: str = "month") -> dict[str, Any]:
    return member(of_window(frame, window), "organization", "northwind")


def test_each_window_holds_its_own_days() -> None:
    dates = [
        day(10),
        day(4),
        day(3),
        day(28, 10),
        day(12, 10),
        day(11, 8),
        day(10, 8),
        dt.date(2025, 11, 11),
        dt.date(2025, 11, 10),
    ]
    frame = cube(facts(*({"usage_date": one} for one in dates)), first_covered=dt.date(2025, 11, 10))
    found = {window: organization(frame, window)["requests_count"] for window in SUMMARY_WINDOWS}
    assert found == {
        "day_24h": 1, "days_7": 2, "days_14": 4, "days_30": 5, "month": 3, "months_3": 6, "months_12": 8, "all": 9
    }  # fmt: skip


def test_people_of_a_window_are_counted_anew_over_its_days() -> None:
    rows = [{"usage_date": day(number), "user_id": user} for number, user in ((10, "ada"), (9, "ada"), (9, "bob"), (2, "cyd"))]
    frame = cube(facts(*rows), first_covered=WIDE)
    assert [organization(frame, window)["active_users_count"] for window in ("day_24h", "days_7", "days_14")] == [1, 2, 3]


def test_a_user_without_a_request_is_not_active() -> None:
    row = organization(cube(facts({"user_id": "ada", "requests_count": 0}, {"user_id": None, "requests_count": 4})))
    assert (row["active_users_count"], row["requests_per_user_ratio"], row["cost_per_user"]) == (0, None, None)
    zero = organization(cube(facts({"user_id": "ada", "requests_count": 0})))
    assert (zero["error_ratio"], zero["tokens_per_request_ratio"], zero["last_active_date"]) == (None, None, None)


def test_a_week_is_compared_with_the_week_before_on_the_same_weekdays() -> None:
    frame = cube(facts({"usage_date": day(10)}, {"usage_date": day(3), "requests_count": 7}), first_covered=WIDE)
    week = organization(frame, "days_7")
    assert (week["previous_start_date"], week["previous_end_date"]) == (day(28, 10), day(3))
    assert week["previous_requests_count"] == 7
    assert organization(frame, "day_24h")["previous_requests_count"] == 7, "the same weekday, a week before"


def test_on_the_first_day_of_a_lake_nothing_is_compared_and_nothing_is_zero_for_lack_of_data() -> None:
    frame = cube(facts({"usage_date": day(10), "effective_cost": Decimal(1)}), first_covered=day(10))
    for window in SUMMARY_WINDOWS:
        row = organization(frame, window)
        assert row["requests_count"] == 1
        assert not row["previous_has_data"]
        assert row["previous_requests_count"] is row["previous_effective_cost"] is row["previous_active_users_count"] is None
        assert row["first_covered_date"] == day(10)
    assert organization(frame, "all")["window_start"] == day(10)


def test_first_and_last_days_of_a_member_reach_over_the_whole_lake() -> None:
    frame = cube(
        facts({"usage_date": day(2, 3), "user_id": "ada"}, {"usage_date": day(5), "user_id": "ada"}), first_covered=day(1, 2)
    )
    row = member(of_window(frame, "days_7"), "user", "ada")
    assert (row["first_seen_date"], row["last_active_date"]) == (day(2, 3), day(5))


def test_usage_of_several_tags_stands_under_each_and_once_under_its_set() -> None:
    rows = [{"tag_set": "env=prod,tier=a", "requests_count": 3}, {"tag_set": "env=prod", "requests_count": 2}, {"tag_set": None}]
    frame = of_window(cube(facts(*rows)))
    tags = {row["member_id"]: row["requests_count"] for row in frame.filter(pl.col("dimension") == "tag").iter_rows(named=True)}
    assert tags == {"env=prod": 5, "tier=a": 3, "(none)": 1}
    sets = frame.filter(pl.col("dimension") == "tag_set")
    assert dict(sets.select("member_id", "requests_count").iter_rows()) == {"env=prod,tier=a": 3, "env=prod": 2, "(none)": 1}


def test_tokens_of_embeddings_and_of_everything_else_stand_apart_and_units_are_never_added() -> None:
    rows = [
        {"primitive": "ai.embed", "input_uncached_tokens": 10, "quantity": Decimal(4)},
        {"primitive": "ai.chat", "output_tokens": 7},
        {"primitive": "voice.room", "quantity": Decimal("2.5")},
    ]
    frame = of_window(cube(facts(*rows)))
    whole = member(frame, "organization", "northwind")
    assert (whole["inference_tokens"], whole["embedding_tokens"], whole["total_tokens"]) == (7, 10, 17)
    assert (whole["quantity"], whole["quantity_unit"]) == (None, None)
    kinds = frame.filter(pl.col("dimension") == "token_kind")
    assert dict(kinds.select("member_id", "total_tokens").iter_rows()) == {"embedding": 10, "inference": 7, "(none)": 0}
    voice = member(frame, "primitive", "voice.room")
    assert (voice["quantity"], voice["quantity_unit"]) == (Decimal("2.5"), "participant_minutes")


def buckets(**counts: int) -> list[dict[str, int]]:
    return [{"bucket_number": int(name[1:]), "requests_count": count} for name, count in counts.items()]


def test_percentiles_come_from_merged_histograms_and_are_null_where_one_is_missing() -> None:
    known = {"latency_count": 100, "latency_ms_sum": 5000, "latency_buckets": buckets(b40=94, b60=6)}
    later = {"latency_count": 100, "latency_ms_sum": 5000, "latency_buckets": buckets(b20=100), "usage_date": day(1)}
    frame = cube(facts(known, later), first_covered=WIDE)
    row = organization(frame)
    assert row["latency_average_ms"] == 50
    assert row["latency_p50_ms"] < row["latency_p95_ms"] < row["latency_p99_ms"]
    without = cube(facts(known, later | {"latency_buckets": None}), first_covered=WIDE)
    assert organization(without)["latency_p95_ms"] is None
    assert organization(without)["latency_average_ms"] == 50
    assert organization(cube(facts({})))["latency_average_ms"] is None


def test_leaders_are_by_tokens_and_by_requests_and_ties_go_by_name() -> None:
    rows = [
        {"feature_id": "big", "output_tokens": 900, "model_id": "b"},
        {"feature_id": "often", "output_tokens": 1, "requests_count": 9, "model_id": "a", "provider": "anthropic"},
        {"feature_id": None, "requests_count": 50, "model_id": "b"},
    ]
    row = organization(cube(facts(*rows)))
    assert (row["top_feature_id"], row["most_used_feature_id"]) == ("big", "often")
    assert (row["top_model_id"], row["model_ids"]) == ("openai/b", "openai/b, anthropic/a")
    assert (row["primary_provider"], row["primary_provider_ratio"]) == ("openai", 51 / 60)
    tied = organization(cube(facts({"feature_id": "b"}, {"feature_id": "a"})))
    assert tied["top_feature_id"] == "a"


def test_a_department_lies_in_the_business_unit_of_the_day() -> None:
    spans = {"valid_from": [day(1, 1), day(5)], "valid_to": [day(5), None]}
    departments = pl.DataFrame(
        {"department_id": ["research"] * 2, "department_name": ["R"] * 2, "business_unit_id": ["old", "new"],
         "owner_email": [None] * 2} | spans,
        schema_overrides=DIM_DEPARTMENT.polars_schema,
    )  # fmt: skip
    rows = [
        {"usage_date": day(4)},
        {"usage_date": day(5), "requests_count": 2},
        {"department_id": "unknown", "requests_count": 4},
    ]
    frame = of_window(cube(facts(*rows), directories={"dim_department": departments}))
    units = frame.filter(pl.col("dimension") == "business_unit")
    assert dict(units.select("member_id", "requests_count").iter_rows()) == {"old": 1, "new": 2, "(none)": 4}


def events(*rows: dict[str, Any]) -> pl.LazyFrame:
    zeros = {name: 0 for name, dtype in USAGE_EVENTS.polars_schema.items() if dtype.is_integer()}
    usual = {"usage_date": day(3), "source": "gateway", "source_account": "main", "grain": "request", "status": "success",
             "provider": "openai", "host": "openai", "model_id": "gpt-5", "processing": "standard", "primitive": "ai.chat",
             "department_id": "research", "team_id": "vision", "cost_center_id": "cc-100", "owner_basis": "user",
             "price_status": "priced", "currency": "USD", "requests_count": 1}  # fmt: skip
    full = [zeros | usual | row for row in rows]
    schema = USAGE_EVENTS.polars_schema
    return pl.DataFrame({name: [row.get(name) for row in full] for name in schema}, schema=schema).lazy()


def test_sessions_are_counted_anew_and_are_null_where_no_requests_are_kept() -> None:
    logged = events(
        {"session_id": "s1", "team_id": "a"}, {"session_id": "s1", "team_id": "b", "usage_date": day(4)},
        {"session_id": "s1", "source": "other", "team_id": "a"}, {"session_id": None, "team_id": "c"},
    )  # fmt: skip
    usage = facts({"team_id": "a"}, {"team_id": "b", "usage_date": day(4)}, {"team_id": "c"})
    frame = cube(usage, sessions=sessions_daily(logged), first_covered=WIDE)
    assert organization(frame)["sessions_count"] == 2, "one id of two sources is two sessions; one session of two days is one"
    month = of_window(frame)
    assert [member(month, "team", team)["sessions_count"] for team in "abc"] == [2, 1, 0]
    assert member(month, "day", "2026-11-04")["sessions_count"] == 1
    assert organization(cube(usage))["sessions_count"] is None


USAGE = st.fixed_dictionaries(
    {
        "usage_date": st.dates(dt.date(2026, 8, 1), day(12)),
        "user_id": st.sampled_from(["ada", "(none)", None]),
        "tag_set": st.sampled_from(["env=a", "env=a,x=1", None]),
        "investigation_id": st.sampled_from(["case", None]),
        "primitive": st.sampled_from(["ai.chat", "ai.embed", "phone.sms"]),
        "currency": st.sampled_from(["USD", "EUR", None]),
        "requests_count": st.integers(0, 10**6),
        "output_tokens": st.integers(0, 10**9),
        "effective_cost": st.one_of(st.none(), st.decimals(0, 10**6, places=18)),
    }
)


@settings(max_examples=15, deadline=None)
@given(rows=st.lists(USAGE, min_size=1, max_size=12))
def test_every_dimension_adds_up_in_every_window(rows: list[dict[str, Any]]) -> None:
    frame = cube(facts(*rows), first_covered=dt.date(2026, 8, 1))
    sums = frame.group_by("window", "dimension").agg(pl.col("requests_count", "total_tokens", "effective_cost").sum())
    for (window,), parts in sums.group_by("window"):
        whole = parts.filter(pl.col("dimension") == "organization").row(0, named=True)
        for part in parts.iter_rows(named=True):
            if part["dimension"] in OVERLAPPING_DIMENSIONS:
                assert part["requests_count"] >= whole["requests_count"]
            else:
                names = ("requests_count", "total_tokens", "effective_cost")
                assert [part[name] for name in names] == [whole[name] for name in names], (window, part["dimension"])
