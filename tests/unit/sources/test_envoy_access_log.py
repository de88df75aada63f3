"""What Envoy AI Gateway's access log becomes, under the operator's own names."""

from typing import Any

import pytest

from tests.unit.sources.source_files import lines, reasons_of, row_of, staged, staged_recorded
from usage_etl.errors import UnreadableDeliveryError

KIND = "envoy_ai_gateway"


def line(**changes: Any) -> dict[str, Any]:
    return {
        "start_time": "2026-11-02T16:51:37.894Z",
        "x-request-id": "83b6",
        "genai_model_name": "gpt-4o-mini",
        "genai_backend_name": "default/openai",
        "genai_tokens_input": 1500,
        "genai_tokens_cached_input": 1000,
        "genai_tokens_output": 70,
        "genai_tokens_reasoning": 20,
        "genai_tokens_total": 1570,
        "response_code": 200,
        "response_flags": "-",
        "duration": 1526,
        "x-envoy-origin-path": "/v1/chat/completions",
        "x-forwarded-for": "192.168.1.38",
        "x-user": "ana",
    } | changes


def test_the_recorded_log_becomes_calls_and_leaves_mcp_out() -> None:
    found = staged_recorded(KIND, "access_log.jsonl", fields={"user_id": "x-user-id", "team_id": "x-team"})
    assert found.rows_read == 3
    assert found.tokens() == (15 + 21004, 7 + 210)
    assert [row["status"] for row in found.rows] == ["success", "success", "cancelled"]
    assert [row["cache_read_tokens"] for row in found.rows] == [None, 20000, None]
    assert [row["cache_write_tokens"] for row in found.rows] == [None, 900, None]
    assert {(row["user_id"], row["team_id"]) for row in found.rows} == {("ana", "core")}


def test_a_dash_is_no_value() -> None:
    row = row_of(KIND, line(genai_tokens_cached_input="-", genai_tokens_reasoning="-", genai_backend_name="-", duration="-"))
    assert (row["cache_read_tokens"], row["reasoning_tokens"], row["host_raw"], row["latency_ms"]) == (None, None, None, None)


def test_names_are_what_the_settings_say() -> None:
    theirs = {"ts": "2026-11-02T16:51:37Z", "rid": "a", "llm": "gpt-5.2", "in": "12", "out": "3", "key": "sk-secret"}
    names = {"start_time": "ts", "request_id": "rid", "model": "llm", "input_tokens": "in", "output_tokens": "out"}
    found = staged(KIND, lines(theirs), fields=names | {"api_key_id": "key", "total_tokens": None})
    assert (found.row["event_id"], found.row["reported_input_tokens"], found.row["model_raw"]) == ("a", 12, "gpt-5.2")
    assert "sk-secret" not in found.usage.write_json()


def test_the_model_that_answered_comes_first() -> None:
    row = row_of(KIND, line(genai_model_name_override="gpt-5.2", genai_response_model="gpt-5.2-2026-05-01"))
    assert (row["model_raw"], row["deployment"]) == ("gpt-5.2-2026-05-01", "gpt-4o-mini")
    assert row_of(KIND, line(genai_model_name_override="gpt-5.2"))["model_raw"] == "gpt-5.2"


@pytest.mark.parametrize(
    ("code", "flags", "status"),
    [(200, "-", "success"), (0, "DC", "cancelled"), (0, "UF,URX", "error"), (503, "UO", "error"), (None, "-", "unknown")],
)
def test_code_and_flags_say_what_happened(code: int | None, flags: str, status: str) -> None:
    row = row_of(KIND, line(response_code=code, response_flags=flags))
    assert row["status"] == status
    assert row["error_type"] == (None if flags == "-" or code == 200 else flags)


def test_a_line_without_a_request_id_is_known_by_what_it_says() -> None:
    bare = line(**{"x-request-id": "-"})
    ids = staged(KIND, lines(bare, bare, line())).usage["event_id"].to_list()
    assert len(set(ids)) == 3
    assert ids == staged(KIND, lines(bare, bare, line())).usage["event_id"].to_list()


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"start_time": "-"}, "start_time__missing"),
        ({"genai_tokens_input": "1.5"}, "input_tokens__not_a_count"),
        ({"genai_tokens_cached_input": 1501}, "cached_input_tokens__exceed_input_tokens"),
        (
            {"genai_tokens_cached_input": 1000, "genai_tokens_cache_creation_input": 501},
            "cached_input_tokens__exceed_input_tokens",
        ),
        ({"genai_tokens_reasoning": 71}, "reasoning_tokens__exceed_output_tokens"),
        ({"duration": "fast"}, "duration__not_a_number"),
    ],
)
def test_a_bad_line_is_refused_by_name(changes: dict[str, Any], reasons: str) -> None:
    assert reasons_of(KIND, line(**changes), line()) == reasons


def test_a_log_without_the_named_time_is_another_log() -> None:
    with pytest.raises(UnreadableDeliveryError, match="fields that the settings name"):
        staged(KIND, lines({"time": "2026-11-02T16:51:37Z", "model": "x"}))
