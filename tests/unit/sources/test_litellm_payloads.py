"""What a payload of LiteLLM's loggers becomes, and that it is told from a row of the table by its own shape."""

import copy
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sources.spend_logs import line, outcome_of

RECORDED = Path(__file__).parents[2] / "recorded" / "litellm"
PAYLOADS = [json.loads(text) for text in (RECORDED / "s3_batch.jsonl").read_text().splitlines()]
STREAM, ANTHROPIC, FAILURE, HIT, BLOCKED = range(5)


def payload(number: int = STREAM, **changes: Any) -> dict[str, Any]:
    """A recorded payload with changes; ``a__b`` changes ``b`` within ``a``."""
    found = copy.deepcopy(PAYLOADS[number])
    for name, cell in changes.items():
        *above, last = name.split("__")
        place = found
        for part in above:
            place = place[part]
        place[last] = cell
    return found


def row_of(number: int = STREAM, **changes: Any) -> dict[str, Any]:
    return outcome_of(json.dumps(payload(number, **changes))).row


def reasons_of(**changes: Any) -> str:
    return outcome_of(f"{json.dumps(payload(ANTHROPIC))}\n{json.dumps(payload(**changes))}\n").refused.get(2, "")


def test_a_stream_keeps_every_field_that_the_contract_asks_for() -> None:
    row = row_of()
    wanted = {
        "event_id": "chatcmpl-5f1",
        "call_id": "trace-1",
        "session_id": "trace-1",
        "record_version_at": None,
        "started_at": dt.datetime(2026, 11, 2, 9, 0, 46, 847371, tzinfo=dt.UTC),
        "usage_date": dt.date(2026, 11, 2),
        "ended_at": dt.datetime(2026, 11, 2, 9, 0, 48, 851954, tzinfo=dt.UTC),
        "grain": "request",
        "requests_count": 1,
        "status": "success",
        "http_status": None,
        "error_type": None,
        "token_convention": "cache_in_input",
        "reported_input_tokens": 1000,
        "reported_output_tokens": 200,
        "reported_total_tokens": 1200,
        "cache_read_tokens": 400,
        "cache_write_tokens": None,
        "reasoning_tokens": 64,
        "primitive": "ai.chat",
        "host_raw": "openai",
        "model_raw": "gpt-5.2",
        "deployment": "fast",
        "processing": "standard",
        "is_cache_hit": False,
        "user_id": "ana",
        "team_id": "team-1",
        "api_key_id": "b" * 64,
        "project_id": "project-7",
        "investigation_id": "INC-9",
        "feature_id": "search",
        "end_user_id": "customer-4",
        "tag_set": "env=prod",
        "latency_ms": 2004,
        "ttft_ms": 500,
        "source_cost_usd": 0.0021,
        "client_ip": None,
        "prompt_excerpt": None,
    }
    assert {name: row[name] for name in wanted} == wanted


def test_the_recorded_calls_are_told_apart() -> None:
    rows = outcome_of((RECORDED / "s3_batch.jsonl").read_bytes()).usage.rows(named=True)

    assert [row["status"] for row in rows] == ["success", "success", "error", "success", "blocked"]
    assert (rows[FAILURE]["http_status"], rows[FAILURE]["error_type"]) == (429, "RateLimitError")
    assert (rows[HIT]["is_cache_hit"], rows[HIT]["source_cost_usd"], rows[HIT]["latency_ms"]) == (True, 0.0, 4)


def test_an_anthropic_call_keeps_both_cache_lifetimes_without_its_response() -> None:
    row = row_of(ANTHROPIC)

    assert row["reported_input_tokens"] == 5000
    assert (row["cache_read_tokens"], row["cache_write_tokens"], row["cache_write_1h_tokens"]) == (3000, 1500, 1000)
    assert (row["latency_ms"], row["ttft_ms"]) == (5000, None)


def test_the_same_call_in_the_table_and_in_the_logger_is_the_same_event() -> None:
    written = outcome_of(line(request_id="chatcmpl-5f1")).row
    logged = row_of()

    assert written["event_id"] == logged["event_id"]


@pytest.mark.parametrize("name", ["s3_one_call.json", "pub_sub_payload.json"])
def test_an_object_of_one_call(name: str) -> None:
    assert outcome_of((RECORDED / name).read_bytes()).row["status"] == "success"


def test_times_as_text_are_utc_to_the_microsecond() -> None:
    row = outcome_of((RECORDED / "pub_sub_payload.json").read_bytes()).row

    assert row["started_at"] == dt.datetime(2026, 11, 1, 9, 20, 46, 847371, tzinfo=dt.UTC)
    assert (row["latency_ms"], row["api_key_id"], row["team_id"]) == (4, None, None)


@pytest.mark.parametrize("response", [None, "redacted-by-litellm", [], [1], {"usage": {"prompt_tokens": 9}}, {"usage": "x"}, 5])
def test_whatever_stands_in_place_of_the_response_is_not_read(response: object) -> None:
    assert row_of(response=response)["reported_input_tokens"] == 1000


def test_usage_in_hidden_params_is_read_where_metadata_has_none() -> None:
    hidden = {"cache_read_input_tokens": 7, "cache_creation_input_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}}
    row = row_of(metadata__usage_object=None, hidden_params__usage_object=hidden)

    assert (row["cache_read_tokens"], row["cache_write_tokens"]) == (8, 3)


def test_a_hit_that_bears_the_id_of_the_call_it_repeats_is_a_request_of_its_own() -> None:
    outcome = outcome_of(
        "\n".join(json.dumps(payload(HIT, id="chatcmpl-5f1", startTime=at)) for at in (1793610050.1, 1793610051.1))
    )

    assert outcome.usage["event_id"].to_list() == ["chatcmpl-5f1_cache_hit1793610050.1", "chatcmpl-5f1_cache_hit1793610051.1"]
    assert row_of(HIT)["event_id"] == "chatcmpl-5f1_cache_hit1793610050.12"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"status_fields": {"guardrail_status": "guardrail_intervened"}}, "success"),
        ({"status_fields": {"guardrail_status": "guardrail_intervened"}, "prompt_tokens": 0, "completion_tokens": 0}, "blocked"),
        ({"status_fields": {"guardrail_status": "guardrail_intervened"}, "status": "failure"}, "blocked"),
        ({"status_fields": {"guardrail_status": "guardrail_failed_to_respond"}, "status": "failure"}, "error"),
        ({"status_fields": None, "error_information": None}, "success"),
        ({"status": "failure", "error_information": {"error_class": "ContentPolicyViolationError"}}, "blocked"),
        ({"status": "failure", "error_information": {"error_class": "CancelledError"}}, "cancelled"),
        ({"status": None, "error_information": None}, "unknown"),
    ],
)
def test_outcomes(changes: dict[str, Any], status: str) -> None:
    fields = {"prompt_tokens": 5, "completion_tokens": 1, "metadata__usage_object": None} | changes
    assert row_of(**fields)["status"] == status


@pytest.mark.parametrize(
    ("changes", "latency_ms", "ttft_ms"),
    [
        ({"stream": False}, 2004, None),
        ({"stream": None}, 2004, 500),
        ({"endTime": None}, None, 500),
        ({"stream": False, "endTime": None, "response_time": 1.2345}, 1234, None),
        ({"endTime": 1793610040.0}, None, None),
        ({"completionStartTime": None}, 2004, None),
    ],
)
def test_a_streams_response_time_is_no_duration(changes: dict[str, Any], latency_ms: int | None, ttft_ms: int | None) -> None:
    row = row_of(**changes)
    assert (row["latency_ms"], row["ttft_ms"]) == (latency_ms, ttft_ms)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"id": None}, "id__missing"),
        ({"id": "x" * 600}, "id__too_long"),
        ({"startTime": None}, "startTime__missing"),
        ({"startTime": "yesterday 9:00"}, "startTime__not_a_time"),
        ({"startTime": 1793610046847.371}, "startTime__not_a_time"),
        ({"startTime": 1793710046.847}, "startTime__in_future"),
        ({"startTime": 0}, "startTime__too_early"),
        ({"startTime": -5}, "startTime__not_a_time"),
        ({"response_cost": "free"}, "response_cost__not_a_number"),
        ({"response_cost": 1e13}, "response_cost__out_of_range"),
        ({"prompt_tokens": 399}, "cached_tokens__exceed_prompt_tokens"),
        ({"completion_tokens": 12.5}, "completion_tokens__not_a_count"),
        ({"metadata": "x"}, "metadata__not_an_object"),
        ({"status_fields": []}, "status_fields__not_an_object"),
        ({"response_time": "slow"}, "response_time__not_a_number"),
    ],
)
def test_a_broken_rule_is_named_and_the_good_neighbour_is_staged(changes: dict[str, Any], rule: str) -> None:
    assert reasons_of(**changes) == rule


def test_a_key_in_clear_is_hashed() -> None:
    assert row_of(metadata__user_api_key_hash="sk-secret")["api_key_id"] not in ("sk-secret", None)


TOKENS = st.integers(0, 10**6)
COSTS = st.floats(0, 1e6, allow_nan=False)


@settings(max_examples=40)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "prompt_tokens": TOKENS,
                "completion_tokens": TOKENS,
                "response_cost": COSTS,
                "startTime": st.floats(1.5e9, 1.79e9),
                "cache_hit": st.sampled_from([None, True, False]),
                "stream": st.sampled_from([None, True, False]),
                "status": st.sampled_from(["success", "failure"]),
                "request_tags": st.lists(st.text(max_size=8), max_size=3),
                "end_user": st.text(max_size=8),
                "model": st.text(max_size=8),
            }
        ),
        min_size=1,
        max_size=8,
    )
)
def test_every_payload_is_staged_or_named_and_twice_the_same(found: list[dict[str, Any]]) -> None:
    lines = [
        json.dumps(payload(**fields, id=f"r{n}", endTime=None, metadata__usage_object=None)) for n, fields in enumerate(found)
    ]
    once, again = outcome_of("\n".join(lines)), outcome_of("\n".join(lines))

    assert once.rows_read == len(found)
    assert once.usage.equals(again.usage)
    assert once.usage["reported_input_tokens"].sum() == sum(fields["prompt_tokens"] for fields in found)
    assert once.usage["source_cost_usd"].to_list() == [fields["response_cost"] for fields in found]
