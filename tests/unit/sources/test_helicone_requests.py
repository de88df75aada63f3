"""What Helicone's requests become, in each format of its export."""

import json
from typing import Any

import pytest

from tests.unit.sources.source_files import lines, reasons_of, row_of, staged, staged_recorded
from usage_etl.errors import UnreadableDeliveryError

KIND = "helicone"


def request(**changes: Any) -> dict[str, Any]:
    return {
        "request_id": "r-1",
        "response_id": "p-1",
        "request_created_at": "2026-11-02T09:20:46.847Z",
        "response_created_at": "2026-11-02T09:20:48.847Z",
        "response_status": 200,
        "request_path": "https://oai.helicone.ai/v1/chat/completions",
        "provider": "OPENAI",
        "model": "gpt-5.2",
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "cost": 0.0021,
        "properties": {"team": "core", "environment": "prod, eu"},
        "request_body": {"messages": "the secret plan"},
    } | changes


def test_the_recorded_export_becomes_requests() -> None:
    found = staged_recorded(KIND, "export.jsonl")
    assert [row["status"] for row in found.rows] == ["success", "success", "cancelled", "success"]
    assert [row["is_cache_hit"] for row in found.rows] == [False, False, False, True]
    assert [row["token_convention"] for row in found.rows][:2] == ["cache_in_input", "cache_beside_input"]
    assert found.tokens() == (2004, 610)
    assert found.rows[0]["record_version_at"].isoformat() == "2026-11-02T09:20:49.100000+00:00"
    assert (found.rows[0]["team_id"], found.rows[0]["feature_id"], found.rows[0]["ttft_ms"]) == ("core", "search", 500)


def test_the_array_gives_the_same_rows_as_the_lines() -> None:
    of_array, of_lines = (staged_recorded(KIND, f"export.{form}").usage.head(2) for form in ("json", "jsonl"))
    assert of_array.drop("raw_ordinal").equals(of_lines.drop("raw_ordinal"))


def test_the_csv_is_read_with_its_doubled_quotes() -> None:
    found = staged_recorded(KIND, "export.csv")
    assert [(row["team_id"], row["feature_id"], row["user_id"]) for row in found.rows] == [
        ("core", "search", "ana"),
        (None, None, None),
    ]
    assert [row["status"] for row in found.rows] == ["success", "error"]
    assert [row["latency_ms"] for row in found.rows] == [2000, 2000]
    assert found.rows[0]["source_cost_usd"] == 0.0021


def test_properly_quoted_properties_of_a_csv_are_read_too() -> None:
    text = 'response_id,request_created_at,request_properties,prompt_tokens\na,2026-11-02T09:00:00Z,"{""team"": ""core""}",1\n'
    assert staged(KIND, text).row["team_id"] == "core"


def test_attributes_fill_the_columns_that_the_settings_name() -> None:
    row = row_of(KIND, request(), attributes={"user_id": "team", "keep": ["environment", "team"]})
    assert (row["user_id"], row["team_id"]) == ("core", "core")
    assert row["tag_set"] == "environment=prod%2C eu,team=core"


def test_a_property_that_is_not_there_leaves_what_was_logged() -> None:
    row = row_of(KIND, request(request_user_id="ana", properties={}), attributes={"user_id": "who"})
    assert row["user_id"] == "ana"
    assert row["tag_set"] is None


@pytest.mark.parametrize(
    ("code", "status", "http"),
    [
        (200, "success", 200),
        (302, "success", 302),
        (429, "error", 429),
        (499, "cancelled", 499),
        (-1, "error", None),
        (-2, "unknown", None),
        (-3, "cancelled", None),
        (-4, "blocked", None),
        (None, "unknown", None),
        (0, "unknown", None),
    ],
)
def test_the_status_says_what_happened(code: int | None, status: str, http: int | None) -> None:
    row = row_of(KIND, request(response_status=code))
    assert (row["status"], row["http_status"]) == (status, http)


@pytest.mark.parametrize(
    ("setting", "model", "convention"),
    [
        ("auto", "gpt-5.2", "cache_in_input"),
        ("auto", "us.anthropic.Claude-sonnet-4-5-v1:0", "cache_beside_input"),
        ("inside", "claude-sonnet-4-5", "cache_in_input"),
        ("beside", "gpt-5.2", "cache_beside_input"),
    ],
)
def test_where_caches_are_counted_is_a_setting(setting: str, model: str, convention: str) -> None:
    row = row_of(KIND, request(model=model, prompt_cache_read_tokens=7), cache_in_prompt_tokens=setting)
    assert (row["token_convention"], row["cache_read_tokens"]) == (convention, 7)


@pytest.mark.parametrize(
    ("path", "primitive", "quantity"),
    [
        ("/v1/embeddings", "ai.embed", None),
        ("/v1/images/generations", "ai.image", None),
        ("/v1/moderations", "safety.moderate", 1),
    ],
)
def test_the_path_says_what_was_used(path: str, primitive: str, quantity: int | None) -> None:
    row = row_of(KIND, request(request_path=f"https://x{path}"))
    assert (row["primitive"], row["quantity"]) == (primitive, quantity)


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"request_id": ""}, "request_id__missing"),
        ({"request_created_at": None}, "request_created_at__missing"),
        ({"request_created_at": "2026-11-21T00:00:00Z"}, "request_created_at__in_future"),
        ({"prompt_tokens": -1}, "prompt_tokens__out_of_range"),
        ({"prompt_tokens": 1.5}, "prompt_tokens__not_a_count"),
        ({"prompt_tokens": 5, "prompt_cache_read_tokens": 6}, "prompt_cache_tokens__exceed_prompt_tokens"),
        ({"completion_audio_tokens": 201}, "completion_audio_tokens__exceed_completion_tokens"),
        ({"cost": "free"}, "cost__not_a_number"),
        ({"cost": 1e13}, "cost__out_of_range"),
        ({"properties": {"team": ["a"]}}, "properties.team__not_a_scalar"),
        ({"properties": "team"}, "properties__not_an_object"),
    ],
)
def test_a_bad_record_is_refused_by_name(changes: dict[str, Any], reasons: str) -> None:
    assert reasons_of(KIND, request(request_id="bad") | changes, request()) == reasons


def test_counts_written_as_floats_or_text_are_counts() -> None:
    row = row_of(KIND, request(prompt_tokens=1000.0, completion_tokens="200"))
    assert (row["reported_input_tokens"], row["reported_output_tokens"]) == (1000, 200)


def test_no_prompt_is_kept() -> None:
    found = staged(KIND, lines(request(request_id="ok"), request(prompt_tokens=-1)))
    assert "secret" not in found.usage.write_json()


def test_a_cut_array_keeps_its_whole_records() -> None:
    found = staged(KIND, json.dumps([request(request_id=str(number)) for number in range(3)], indent=1)[:-30])
    assert found.usage["event_id"].to_list() == ["0", "1"]
    assert found.refused == {3: "line__not_a_json_object"}


@pytest.mark.parametrize("content", ["a,b\n1,2\n", '{"id": 1}\n', '{"request": {"id": 1}}\n'])
def test_another_file_is_refused_whole(content: str) -> None:
    with pytest.raises(UnreadableDeliveryError, match="not a Helicone export"):
        staged(KIND, content)
