"""What Ask Sage's files become: the model's tokens and Ask Sage's own side by side, never added."""

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from tests.unit.sources.source_files import context_of, lines, row_of, staged, staged_recorded, table
from usage_etl.errors import UnreadableDeliveryError

KIND = "ask_sage"
HEADER = [
    "User",
    "Date/Time",
    "Interaction Type",
    "Prompt",
    "Model",
    "Prompt Tokens",
    "Completion Tokens",
    "Total Tokens",
    "Training",
    "IP",
]


def log(*rows: list[object]) -> str:
    return table(HEADER, *rows)


def row(**changes: Any) -> list[object]:
    cells = {
        "User": "ana",
        "Date/Time": "2026-11-02 09:00:00",
        "Interaction Type": "Chat",
        "Prompt": "the secret plan",
        "Model": "gpt-4o-gov",
        "Prompt Tokens": 4382,
        "Completion Tokens": 4,
        "Total Tokens": 318,
        "Training": False,
        "IP": "10.0.0.1",
    }
    return list((cells | {name.replace("_", " "): found for name, found in changes.items()}).values())


def test_the_recorded_log_becomes_requests() -> None:
    found = staged_recorded(KIND, "activity_log.csv", time_zone="America/New_York", interactions={"image": "ai.image"})
    assert found.usage["event_id"].n_unique() == found.usage.height == 4
    assert [row["primitive"] for row in found.rows] == ["ai.chat", "ai.chat", "ai.embed", "ai.image"]
    assert found.rows[0]["started_at"].isoformat() == "2026-11-03T02:05:07+00:00"
    assert found.rows[2]["started_at"].isoformat() == "2026-11-03T13:00:00+00:00"
    assert found.tokens() == (4382 * 2 + 900 + 12, 8)
    assert found.usage["native_quantity"].to_list() == [Decimal(318), Decimal(318), Decimal("12.5"), Decimal(0)]


def test_the_total_is_ask_sages_own_and_no_sum_of_tokens() -> None:
    found = staged(KIND, log(row())).row
    assert (found["native_unit"], found["native_quantity"]) == ("asksage_tokens", Decimal(318))
    assert found["reported_total_tokens"] is None
    assert (found["reported_input_tokens"], found["reported_output_tokens"]) == (4382, 4)


def test_the_recorded_answer_of_the_api_becomes_requests() -> None:
    found = staged_recorded(KIND, "user_logs_answer.json")
    assert found.usage["event_id"].to_list() == ["70012", "70011"]
    assert [row["primitive"] for row in found.rows] == ["ai.chat", "ai.embed"]
    assert [row["native_unit"] for row in found.rows] == ["asksage_tokens", None]
    assert {row["user_id"] for row in found.rows} == {"4711"}


def test_prompts_and_addresses_are_read_only_where_the_settings_say_so() -> None:
    silent = staged(KIND, log(row())).usage.write_json()
    assert "secret" not in silent
    assert "10.0.0.1" not in silent
    found = staged(KIND, log(row()), keep_prompts=True, excerpt_characters=10, keep_ip_addresses=True).row
    assert (found["prompt_excerpt"], found["client_ip"]) == ("the secret", "10.0.0.1")


def test_prompts_of_the_api_are_kept_the_same_way() -> None:
    record = {"id": 1, "date_time": "2026-11-02T09:00:00", "model": "m", "prompt": "secret", "ip": "10.0.0.1", "total_tokens": 5}
    assert row_of(KIND, record)["prompt_excerpt"] is None
    found = row_of(KIND, record, keep_prompts=True, keep_ip_addresses=True, user_id="bo")
    assert (found["prompt_excerpt"], found["client_ip"], found["user_id"]) == ("secret", "10.0.0.1", "bo")


def test_tokens_of_the_platform_keep_every_digit_of_a_json_number() -> None:
    line = '{"id": 1, "date_time": "2026-11-02T09:00:00", "model": "m", "total_tokens": 1234567890.123456789}\n'
    assert staged(KIND, line).row["native_quantity"] == Decimal("1234567890.123456789")


def test_equal_rows_without_an_id_are_as_many_requests_and_the_same_ones_in_a_second_export() -> None:
    once = staged(KIND, log(row(), row(), row(User="bo"))).usage["event_id"].to_list()
    assert len(set(once)) == 3
    assert staged(KIND, log(row(User="eve"), row(), row(User="bo"), row())).usage["event_id"].to_list()[1:] == [
        once[0],
        once[2],
        once[1],
    ]


@pytest.mark.parametrize(
    "changed", [{"User": "bo"}, {"Model": "x"}, {"Total_Tokens": 319}, {"Prompt_Tokens": 1}, {"Date/Time": "2026-11-02 09:00:01"}]
)
def test_rows_that_differ_in_user_time_model_or_tokens_are_others(changed: dict[str, Any]) -> None:
    assert staged(KIND, log(row(), row(**changed))).usage["event_id"].n_unique() == 2


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("2026-11-02T21:05:07", "2026-11-03T02:05:07"),
        ("2026-11-02T21:05:07Z", "2026-11-02T21:05:07"),
        ("2026-11-02 21:05:07-08:00", "2026-11-03T05:05:07"),
        ('"11/02/2026, 9:05:07 PM"', "2026-11-03T02:05:07"),
        ("11/2/2026 9:05 PM", "2026-11-03T02:05:00"),
        ('"Nov 2, 2026, 9:05:07 PM"', "2026-11-03T02:05:07"),
    ],
)
def test_times_are_read_as_they_are_shown_and_belong_to_the_zone_set(written: str, utc: str) -> None:
    found = staged(KIND, log(row(**{"Date/Time": written})), time_zone="America/New_York").row
    assert found["started_at"].replace(tzinfo=None).isoformat() == utc


def test_date_and_time_may_stand_apart() -> None:
    text = table(
        ["User", "Date", "Time of Day", "Model", "Prompt Tokens", "Completion Tokens", "Total Tokens"],
        ["a", "2026-11-02", "09:00:00", "m", 1, 2, 3],
    )
    assert staged(KIND, text).row["started_at"] == dt.datetime(2026, 11, 2, 9, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"Date/Time": ""}, "date_time__missing"),
        ({"Date/Time": "Monday"}, "date_time__not_a_time"),
        ({"Total_Tokens": -1}, "total_tokens__negative"),
        ({"Total_Tokens": "n/a"}, "total_tokens__not_a_decimal"),
        ({"Prompt_Tokens": "1.5"}, "prompt_tokens__not_a_count"),
        ({"Prompt_Tokens": '"43,82"'}, "prompt_tokens__not_a_count"),
    ],
)
def test_a_bad_row_is_refused_by_name(changes: dict[str, Any], reasons: str) -> None:
    assert staged(KIND, log(row(), row(**changes))).refused == {2: reasons}


@pytest.mark.parametrize(("counted", "roles"), [("log", ("usage", "reconciliation")), ("monthly", ("reconciliation", "usage"))])
def test_only_one_of_log_and_months_is_counted(counted: str, roles: tuple[str, str]) -> None:
    of_log = staged(KIND, log(row()), counted=counted).row["source_role"]
    of_months = set(staged_recorded(KIND, "token_usage.csv", counted=counted).usage["source_role"].cast(str))
    assert (of_log, of_months) == (roles[0], {roles[1]})


def test_the_recorded_months_become_two_rows_each() -> None:
    found = staged_recorded(KIND, "token_usage.csv", time_zone="America/New_York")
    assert found.rows_read == 2
    amounts = {(row["bucket_key"], row["primitive"]): row["native_quantity"] for row in found.rows}
    assert amounts == {
        ("monthly/2026-10", "ai.chat"): Decimal(1204318),
        ("monthly/2026-10", "ai.embed"): Decimal(88020),
        ("monthly/2026-09", "ai.chat"): Decimal(990001),
        ("monthly/2026-09", "ai.embed"): Decimal(0),
    }
    assert found.rows[0]["started_at"].isoformat() == "2026-10-01T04:00:00+00:00"
    assert found.rows[0]["ended_at"].isoformat() == "2026-11-01T04:00:00+00:00"
    assert {bucket.bucket_key for bucket in found.covered} == {"monthly/2026-10", "monthly/2026-09"}
    assert found.usage["event_id"].n_unique() == 4


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        (["Period"], ["2026-10"]),
        (["Month"], ["10/2026"]),
        (["Period"], ["October 2026"]),
        (["Period"], ["Oct 2026"]),
        (["Year", "Month"], ["2026", "10"]),
        (["Year", "Month"], ["2026", "October"]),
        (["Date"], ["2026-10-01"]),
    ],
)
def test_a_month_is_read_however_it_is_written(header: list[str], cells: list[str]) -> None:
    found = staged(KIND, table([*header, "Inference Tokens", "Embedding Tokens"], [*cells, 5, 6]))
    assert [bucket.bucket_key for bucket in found.covered] == ["monthly/2026-10"]
    assert found.usage["native_quantity"].to_list() == [Decimal(5), Decimal(6)]


def test_a_month_of_which_one_count_cannot_be_read_is_refused_whole() -> None:
    found = staged(
        KIND, table(["Period", "Inference Tokens", "Embedding Tokens"], ["2026-10", 5, "x"], ["2026-09", 5, ""], ["soon", 1, 1])
    )
    assert found.usage.is_empty()
    assert found.refused == {1: "embedding__not_a_decimal", 2: "embedding_tokens__missing", 3: "month__not_a_time"}


@pytest.mark.parametrize("name", ["users_with_tokens.csv"])
def test_the_list_of_users_is_refused_with_what_it_is_for(name: str) -> None:
    with pytest.raises(UnreadableDeliveryError, match=r"list of users.*directory/users\.csv"):
        staged_recorded(KIND, name)


def test_the_list_of_users_without_tokens_is_refused_too() -> None:
    with pytest.raises(UnreadableDeliveryError, match="list of users"):
        staged(KIND, "Email,First Name,Last Name,Role\na@x,A,B,admin\n")


@pytest.mark.parametrize("content", ["a,b\n1,2\n", '{"id": 1}\n', '{"response": "no access", "status": 403}\n'])
def test_another_file_is_refused(content: str) -> None:
    with pytest.raises(UnreadableDeliveryError, match="not an activity log of Ask Sage"):
        staged(KIND, content)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"time_zone": "EST5"}, "unknown time zone"),
        ({"interactions": {"x": "ai.talk"}}, "is none of"),
        ({"location": None}, "needs location"),
        ({"location": None, "api_key": {"env": "KEY"}}, "needs location"),
        ({"excerpt_characters": 5000}, "less than or equal"),
    ],
)
def test_settings_that_cannot_work_are_errors(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        context_of(KIND, **settings)


def test_lines_array_and_answer_give_the_same_rows() -> None:
    records = [
        {"id": number, "date_time": "2026-11-02T09:00:00", "user": "a", "model": "m", "prompt_tokens": 1, "total_tokens": 2}
        for number in (7, 8)
    ]
    of_lines = staged(KIND, lines(*records)).usage
    assert staged(KIND, json.dumps(records)).usage.equals(of_lines)
    assert staged(KIND, json.dumps({"response": records, "status": 200}, indent=1)).usage.equals(of_lines)
