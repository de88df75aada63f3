"""Token classes are disjoint, one copy of an event counts, and every request has an owner or says that it has none."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.staged_rows import DAY, staged
from usage_etl.events import Directories, delivery_counts, loser_rows, normalise, own, without_losers
from usage_etl.schemas import DIM_API_KEY, DIM_FEATURE, DIM_INVESTIGATION, DIM_PROJECT, DIM_TEAM, DIM_USER, Table
from usage_etl.units import INPUT_TOKEN_CLASSES


@pytest.mark.parametrize(
    ("convention", "input_tokens", "output_tokens"),
    [("cache_in_input", 1000, 100), ("cache_beside_input", 1700, 100), ("cache_in_input_reasoning_beside_output", 1000, 140)],
)
def test_token_classes_are_a_disjoint_partition(convention: str, input_tokens: int, output_tokens: int) -> None:
    change = {"token_convention": convention, "cache_read_tokens": 500, "cache_write_tokens": 200, "cache_write_1h_tokens": 50,
              "reasoning_tokens": 40}  # fmt: skip
    row = normalise(staged(change).lazy()).collect().row(0, named=True)
    assert sum(row[name] for name in INPUT_TOKEN_CLASSES) == input_tokens
    assert (row["cache_write_5m_tokens"], row["cache_write_1h_tokens"]) == (150, 50)
    assert row["output_tokens"] == output_tokens


@pytest.mark.parametrize(
    ("change", "is_missing"),
    [
        ({}, True),
        ({"quantity": Decimal(0), "native_quantity": Decimal(0)}, True),
        ({"quantity": Decimal(3)}, False),
        ({"native_unit": "characters", "native_quantity": Decimal(1200)}, False),
    ],
)
def test_a_success_with_a_quantity_but_no_tokens_misses_nothing(change: dict[str, object], is_missing: bool) -> None:
    silent = {"reported_input_tokens": None, "reported_output_tokens": None}
    row = normalise(staged(silent | change).lazy()).collect().row(0, named=True)
    assert (row["is_usage_missing"], row["rating"]) == (is_missing, "usage_missing" if is_missing else "rate")


def counted(*changes: dict[str, object]) -> tuple[pl.DataFrame, pl.DataFrame]:
    numbered = staged(*changes).lazy().with_row_index("row_number")
    losers = loser_rows(numbered)
    return without_losers(numbered, losers).collect(), delivery_counts(numbered, losers).collect()


def test_the_same_file_delivered_twice_counts_once() -> None:
    first = [{"event_id": f"e{number}", "raw_ordinal": number} for number in range(1, 50)]
    again = [{**row, "delivery_id": "d2", "delivery_sequence": 2} for row in first]
    kept, counts = counted(*first, *again)
    assert sorted(kept["event_id"]) == sorted({str(row["event_id"]) for row in first})
    assert dict(counts.select(pl.col("delivery_id").cast(pl.String), "duplicate_count").iter_rows()) == {"d1": 49, "d2": 0}


def test_the_newer_record_version_wins_over_the_later_delivery() -> None:
    newer = dt.datetime(2026, 11, 3, tzinfo=dt.UTC)
    kept, _ = counted(
        {"event_id": "e", "record_version_at": newer, "reported_input_tokens": 7, "delivery_sequence": 1},
        {"event_id": "e", "record_version_at": newer - dt.timedelta(days=1), "reported_input_tokens": 8, "delivery_sequence": 9},
        {"event_id": "e", "record_version_at": None, "reported_input_tokens": 9, "delivery_sequence": 10},
    )
    assert kept["reported_input_tokens"].to_list() == [7]


def test_the_same_id_in_another_account_is_another_event() -> None:
    kept, _ = counted({"event_id": "e"}, {"event_id": "e", "source_account": "other"}, {"event_id": "e", "source": "second"})
    assert kept.height == 3


def test_rows_of_a_bucket_are_never_copies_of_each_other() -> None:
    bucket = {"grain": "bucket", "bucket_key": "b", "event_id": "model-a"}
    kept, counts = counted(bucket, bucket, {**bucket, "delivery_id": "d2"})
    assert kept.height == 3
    assert counts["duplicate_count"].sum() == 0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(0, 3)), min_size=1, max_size=25), st.randoms())
def test_order_of_rows_never_changes_who_wins(copies: list[tuple[int, int, int]], random: object) -> None:
    rows = [
        {"event_id": f"e{event}", "delivery_sequence": sequence, "delivery_id": f"d{sequence}", "raw_ordinal": number,
         "record_version_at": dt.datetime(2026, 11, 3, hour=version, tzinfo=dt.UTC) if version else None}
        for number, (event, sequence, version) in enumerate(copies, start=1)
    ]  # fmt: skip
    kept, counts = counted(*rows)
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis types its random as object
    again, _ = counted(*shuffled)
    columns = ["event_id", "raw_ordinal"]
    assert kept.select(columns).sort(columns).equals(again.select(columns).sort(columns))
    assert kept.height == len({event for event, _, _ in copies})
    assert counts["staged_count"].sum() == counts["loaded_count"].sum() + counts["duplicate_count"].sum()


def table(contract: Table, *rows: dict[str, object]) -> pl.DataFrame:
    always = {"valid_from": dt.date(2026, 1, 1), "valid_to": None}
    schema = contract.polars_schema
    return pl.DataFrame([{name: {**always, **row}.get(name) for name in schema} for row in rows], schema=schema, orient="row")


def team(team_id: str, **change: object) -> dict[str, object]:
    named = {"team_id": team_id, "team_name": team_id.title(), "department_id": f"dep-{team_id}", "department_name": "d",
             "cost_center_id": f"cc-{team_id}", "cost_center_name": "c"}  # fmt: skip
    return {**named, **change}


DIRECTORIES = Directories(
    users=table(
        DIM_USER,
        {"user_id": "ada", "team_id": "platform", "valid_to": dt.date(2026, 11, 2)},
        {"user_id": "ada", "team_id": "research", "valid_from": dt.date(2026, 11, 2)},
        {"user_id": "gone", "team_id": "platform", "valid_to": dt.date(2026, 6, 1)},
    ),
    teams=table(DIM_TEAM, team("platform"), team("research"), team("closed", valid_to=dt.date(2026, 10, 1))),
    api_keys=table(DIM_API_KEY, {"api_key_id": "key-1", "team_id": "platform"}, {"api_key_id": "key-old", "team_id": "closed"}),
    features=table(
        DIM_FEATURE, {"feature_id": "ticket-suggest", "feature_name": "f", "product_id": "psa", "product_name": "PSA"}
    ),
    projects=table(DIM_PROJECT, {"project_id": "apollo", "team_id": "research"}, {"project_id": "closed", "team_id": "closed"}),
    investigations=table(DIM_INVESTIGATION, {"investigation_id": "case-7", "team_id": "platform"}),
)
NOBODY_KNOWN = {"user_id": None, "api_key_id": None, "team_id": None}


@pytest.mark.parametrize(
    ("change", "team_id", "basis"),
    [
        ({}, "research", "user"),
        ({"user_id": None}, "platform", "api_key"),
        ({"user_id": "stranger"}, "platform", "api_key"),
        ({"user_id": "gone", "api_key_id": None}, "platform", "team_id"),
        ({"user_id": None, "api_key_id": "key-old", "team_id": None}, "unallocated", "unallocated"),
        ({"user_id": None, "api_key_id": None, "team_id": "closed"}, "unallocated", "unallocated"),
        ({"user_id": "stranger", "api_key_id": "unknown", "team_id": "unknown"}, "unallocated", "unallocated"),
        (NOBODY_KNOWN | {"project_id": "apollo", "investigation_id": "case-7", "team_id": "platform"}, "research", "project"),
        (NOBODY_KNOWN | {"project_id": "apollo", "api_key_id": "key-1"}, "platform", "api_key"),
        (
            NOBODY_KNOWN | {"project_id": "closed", "investigation_id": "case-7", "team_id": "research"},
            "platform",
            "investigation",
        ),
        (NOBODY_KNOWN | {"project_id": "unheard-of", "team_id": "research"}, "research", "team_id"),
    ],
)
def test_the_first_known_identifier_names_the_owner(change: dict[str, object], team_id: str, basis: str) -> None:
    row = own(staged(change).lazy(), directories=DIRECTORIES, day=DAY).collect().row(0, named=True)
    assert (row["team_id"], row["owner_basis"]) == (team_id, basis)
    expected = "unallocated" if team_id == "unallocated" else f"cc-{team_id}"
    assert row["cost_center_id"] == expected
    assert row["product_id"] == "psa"


def test_a_person_who_moves_is_owned_by_the_day() -> None:
    before = own(staged().lazy(), directories=DIRECTORIES, day=DAY - dt.timedelta(days=1)).collect()
    assert before["team_id"].to_list() == ["platform"]


SHARES = [
    ({"red": 60, "blue": 40}, "red"),
    ({"red": 40, "blue": 60}, "blue"),
    ({"red": 50, "blue": 50}, "blue"),
    ({"red": 33, "green": 33, "blue": 34}, "blue"),
    ({"green": Decimal("50.000000000000000001"), "blue": Decimal("49.999999999999999999")}, "green"),
]


def shared(rows: Sequence[dict[str, object]], contract: Table, **members: object) -> pl.DataFrame:
    return table(contract, *(members | row for row in rows))


@pytest.mark.parametrize("is_reversed", [False, True])
@pytest.mark.parametrize(("shares", "main"), SHARES)
def test_the_largest_share_names_the_owner_and_a_row_stays_one_row(
    shares: dict[str, Decimal], main: str, *, is_reversed: bool
) -> None:
    rows: list[dict[str, object]] = [{"team_id": name, "split_pct": Decimal(share)} for name, share in shares.items()]
    ordered = rows[::-1] if is_reversed else rows
    directories = replace(
        DIRECTORIES,
        teams=table(DIM_TEAM, *map(team, shares)),
        users=shared(ordered, DIM_USER, user_id="ada"),
        projects=shared(ordered, DIM_PROJECT, project_id="apollo"),
    )
    for change, basis in (({}, "user"), ({"user_id": None, "api_key_id": None, "project_id": "apollo"}, "project")):
        frame = own(staged(change).lazy(), directories=directories, day=DAY).collect()
        assert frame.select("team_id", "owner_basis").cast(pl.String).rows() == [(main, basis)]


def test_a_team_that_is_shared_shows_its_main_cost_center() -> None:
    halves = [{"cost_center_id": "cc-b", "split_pct": Decimal(50)}, {"cost_center_id": "cc-a", "split_pct": Decimal(50)}]
    directories = replace(DIRECTORIES, teams=shared(halves, DIM_TEAM, **team("research")))
    frame = own(staged().lazy(), directories=directories, day=DAY).collect()
    assert frame["cost_center_id"].cast(pl.String).to_list() == ["cc-a"]


def test_a_row_to_unallocated_lets_the_next_identifier_name_the_owner() -> None:
    away = replace(DIRECTORIES, users=table(DIM_USER, {"user_id": "ada", "team_id": "unallocated"}))
    row = own(staged().lazy(), directories=away, day=DAY).collect().row(0, named=True)
    assert (row["team_id"], row["owner_basis"]) == ("platform", "api_key")
    nothing_else = staged({"api_key_id": None, "team_id": None}).lazy()
    row = own(nothing_else, directories=away, day=DAY).collect().row(0, named=True)
    assert (row["team_id"], row["owner_basis"]) == ("unallocated", "unallocated")


@pytest.mark.parametrize("features", [0, 1, 3])
def test_empty_directories_know_nobody(features: int) -> None:
    rows = [{"feature_id": f"f{n}", "feature_name": "F", "product_id": "p", "product_name": "P"} for n in range(features)]
    empty = Directories(*(contract.empty() for contract in (DIM_USER, DIM_TEAM, DIM_API_KEY)), table(DIM_FEATURE, *rows),
                        DIM_PROJECT.empty(), DIM_INVESTIGATION.empty())  # fmt: skip
    row = own(staged().lazy(), directories=empty, day=DAY).collect().row(0, named=True)
    assert (row["team_id"], row["owner_basis"], row["product_id"]) == ("unallocated", "unallocated", None)


def test_parts_never_exceed_the_class_that_contains_them() -> None:
    change = {
        "reported_input_tokens": 1000, "cache_read_tokens": 400, "input_audio_tokens": 500, "input_image_tokens": 500,
        "cache_read_audio_tokens": 900, "reported_output_tokens": 100, "output_audio_tokens": 30, "reasoning_tokens": 95,
    }  # fmt: skip
    row = normalise(staged(change).lazy()).collect().row(0, named=True)
    assert (row["input_audio_tokens"], row["input_image_tokens"]) == (500, 100)
    assert (row["cache_read_audio_tokens"], row["cache_read_image_tokens"]) == (400, 0)
    assert (row["output_audio_tokens"], row["reasoning_tokens"]) == (30, 70)


@pytest.mark.parametrize(
    "change",
    [
        {"native_unit": "seconds", "native_quantity": Decimal(30)},
        {"quantity": Decimal(1)},
        {"token_convention": "cache_beside_input", "reported_input_tokens": 0, "cache_read_tokens": 9},
    ],
)
def test_usage_beside_input_and_output_is_not_missing(change: dict[str, object]) -> None:
    silent = {"reported_input_tokens": None, "reported_output_tokens": None}
    row = normalise(staged(silent | change).lazy()).collect().row(0, named=True)
    assert (row["rating"], row["is_usage_missing"]) == ("rate", False)
