"""What Kong's access log becomes: a row per call of a model, several of one line, none of most lines."""

import copy
from typing import Any

import pytest

from tests.unit.sources.source_files import lines, reasons_of, row_of, staged, staged_recorded

KIND = "kong"
CALL = {
    "meta": {"provider_name": "openai", "request_model": "gpt", "response_model": "gpt-5.2", "llm_latency": 900},
    "usage": {"prompt_tokens": 28, "completion_tokens": 20, "total_tokens": 48, "cost": 0.0038},
}


def line(*, plugin: str = "proxy", call: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "started_at": 1793615445123,
        "client_ip": "10.1.2.3",
        "request": {"id": "q-1", "uri": "/v1/chat/completions", "headers": {"x-team": "core", "authorization": "Bearer s"}},
        "response": {"status": 200},
        "latencies": {"request": 1000},
        "consumer": {"id": "c-1", "username": "ana"},
        "ai": {plugin: copy.deepcopy(call or CALL)},
    } | changes


def test_the_recorded_log_becomes_calls() -> None:
    found = staged_recorded(KIND, "access_log.jsonl", consumer_is="team_id", headers={"user_id": "x-user-id"})
    assert found.rows_read == 3
    assert [row["event_id"].rpartition("/")[2] for row in found.rows] == [
        "e9f1c2d3a4b5c6d7e8f9",
        "old0000000000000001",
        "ai-request-transformer",
        "hit0000000000000001",
    ]
    assert found.tokens() == (28 + 89 + 28 + 28, 20 + 56 + 20 + 20)
    assert [row["is_cache_hit"] for row in found.rows] == [False, False, False, True]
    assert {row["team_id"] for row in found.rows} == {"core"}
    assert {row["user_id"] for row in found.rows} == {"ana"}


def test_several_calls_of_a_line_are_rows_of_one_record() -> None:
    both = line()
    both["ai"]["ai-request-transformer"] = {"usage": {"prompt_token": 7, "completion_token": 1}}
    found = staged(KIND, lines(both))
    assert (found.rows_read, found.usage.height) == (1, 2)
    assert found.usage["call_id"].to_list() == ["q-1", "q-1"]
    assert found.usage["operation_name"].to_list() == ["proxy", "ai-request-transformer"]


def test_of_a_line_with_a_bad_call_no_call_is_kept() -> None:
    both = line()
    both["ai"]["ai-response-transformer"] = {"usage": {"prompt_tokens": -7}}
    found = staged(KIND, lines(line(), both, both | {"started_at": None}))
    assert found.usage.height == 1
    assert found.refused[2] == "prompt_tokens__out_of_range"
    assert sorted(found.refused[3].split(",")) == ["prompt_tokens__out_of_range", "started_at__missing"]


def test_lines_without_a_call_are_no_records() -> None:
    found = staged(KIND, lines(line(ai=None), line(ai={}), line(ai={"payload": {"request": "x"}}), line(ai={"mcp": {"x": 1}})))
    assert found.rows_read == 0


def test_older_and_newer_spellings_of_counts_mean_the_same() -> None:
    old = {"meta": CALL["meta"], "usage": {"prompt_token": 28, "completion_token": 20, "total_tokens": 48, "cost": 0.0038}}
    names = ["reported_input_tokens", "reported_output_tokens", "reported_total_tokens", "source_cost_usd"]
    rows = [row_of(KIND, line(plugin="ai-proxy", call=old)), row_of(KIND, line())]
    assert [rows[0][name] for name in names] == [rows[1][name] for name in names] == [28, 20, 48, 0.0038]


def test_another_plugin_is_read_when_the_settings_name_it() -> None:
    assert staged(KIND, lines(line(plugin="acme-llm"))).rows_read == 0
    row = row_of(KIND, line(plugin="acme-llm"), plugins=["acme-llm"])
    assert row["event_id"] == "q-1/acme-llm"


@pytest.mark.parametrize("column", ["user_id", "team_id", "project_id", "api_key_id", "end_user_id"])
def test_a_consumer_is_what_the_settings_say(column: str) -> None:
    assert row_of(KIND, line(), consumer_is=column)[column] == "ana"


def test_headers_come_before_what_kong_says_and_no_other_header_is_read() -> None:
    found = staged(KIND, lines(line()), headers={"team_id": "x-team", "user_id": "x-user"})
    assert (found.row["team_id"], found.row["user_id"]) == ("core", "ana")
    assert "Bearer" not in found.usage.write_json()
    assert found.row["client_ip"] is None


def test_unspecified_is_no_model() -> None:
    call = {"meta": {"provider_name": "UNSPECIFIED", "request_model": "UNSPECIFIED"}, "usage": {"prompt_tokens": 1}}
    row = row_of(KIND, line(call=call))
    assert (row["host_raw"], row["model_raw"], row["deployment"]) == (None, None, None)


def test_a_line_without_an_id_is_known_by_what_it_says() -> None:
    bare = line(request={"uri": "/v1/chat/completions"})
    found = staged(KIND, lines(bare, bare, line()))
    ids = found.usage["event_id"].to_list()
    assert ids[1] == f"{ids[0]}#2"
    assert ids[2] == "q-1"
    assert ids == staged(KIND, lines(bare, bare, line())).usage["event_id"].to_list()


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"started_at": "2026-11-02T09:00:00Z"}, "started_at__not_a_time"),
        ({"started_at": 1793615445}, "started_at__too_early"),
        ({"response": {"status": "ok"}}, "status__not_a_number"),
        ({"ai": {"proxy": {"usage": {"cost": "x", "prompt_tokens": 1}}}}, "cost__not_a_number"),
        ({"ai": {"proxy": {"usage": "none"}}}, "usage__not_an_object"),
    ],
)
def test_a_bad_line_is_refused_by_name(changes: dict[str, Any], reasons: str) -> None:
    assert reasons_of(KIND, line(**changes), line()) == reasons


@pytest.mark.parametrize(
    ("code", "status"), [(101, "success"), (200, "success"), (304, "success"), (404, "error"), (499, "cancelled"), (0, "unknown")]
)
def test_the_code_says_the_outcome_and_a_web_socket_is_no_error(code: int, status: str) -> None:
    assert staged(KIND, lines(line(response={"status": code}))).row["status"] == status
