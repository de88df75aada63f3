"""A span of a model call becomes one staged request; what repeats it, or is none, becomes nothing and is counted."""

import base64
import datetime as dt
import json
from typing import Any

import pytest

from tests.unit.sources.otel_documents import CALL, START, TRACE, call, document, outcome, row_of, span
from tests.unit.sources.outcomes import counting_rows

NINE = dt.datetime(2026, 11, 2, 9, 20, 46, tzinfo=dt.UTC)


def without(*keys: str, **more: Any) -> dict[str, Any]:
    return {key: value for key, value in CALL.items() if key not in keys} | more


def test_a_call_is_staged_with_what_the_convention_names() -> None:
    found = row_of(
        span(
            CALL
            | {
                "gen_ai.usage.cache_read.input_tokens": 400,
                "gen_ai.usage.cache_write.input_tokens": 100,
                "gen_ai.usage.reasoning.output_tokens": 50,
                "gen_ai.response.time_to_first_chunk": 0.4567,
                "gen_ai.conversation.id": "conv-1",
                "openai.response.service_tier": "flex",
                "enduser.id": "ana",
                "team.id": "research",
                "gen_ai.input.messages": "[secret prompt]",
            }
        )
    )
    assert {name: value for name, value in found.items() if value is not None} == {
        "source": "gateway",
        "source_account": "eu-1",
        "source_role": "usage",
        "delivery_id": "0" * 32,
        "delivery_sequence": 3,
        "raw_ordinal": 1,
        "event_id": "chatcmpl-AbCdEf0123456789",
        "record_version_at": NINE + dt.timedelta(seconds=2),
        "usage_date": dt.date(2026, 11, 2),
        "started_at": NINE,
        "ended_at": NINE + dt.timedelta(seconds=2),
        "grain": "request",
        "requests_count": 1,
        "status": "success",
        "operation_name": "chat",
        "token_convention": "cache_in_input",
        "reported_input_tokens": 1000,
        "reported_output_tokens": 200,
        "cache_read_tokens": 400,
        "cache_write_tokens": 100,
        "reasoning_tokens": 50,
        "primitive": "ai.chat",
        "host_raw": "openai",
        "model_raw": "gpt-5.2-2026-09-01",
        "deployment": "gpt-5.2",
        "processing": "flex",
        "is_cache_hit": False,
        "user_id": "ana",
        "team_id": "research",
        "feature_id": "search",
        "session_id": "conv-1",
        "latency_ms": 2000,
        "ttft_ms": 457,
    }


@pytest.mark.parametrize(
    ("key", "column"),
    [
        ("gen_ai.usage.prompt_tokens", "reported_input_tokens"),
        ("llm.usage.prompt_tokens", "reported_input_tokens"),
        ("llm.token_count.prompt", "reported_input_tokens"),
        ("ai.usage.promptTokens", "reported_input_tokens"),
        ("gen_ai.usage.completion_tokens", "reported_output_tokens"),
        ("llm.token_count.completion", "reported_output_tokens"),
        ("ai.usage.outputTokens", "reported_output_tokens"),
        ("llm.usage.total_tokens", "reported_total_tokens"),
        ("gen_ai.usage.cache_read_input_tokens", "cache_read_tokens"),
        ("gen_ai.usage.input_tokens.cached", "cache_read_tokens"),
        ("gen_ai.usage.details.cache_read_tokens", "cache_read_tokens"),
        ("llm.token_count.prompt_details.cache_read", "cache_read_tokens"),
        ("gen_ai.usage.cache_creation.input_tokens", "cache_write_tokens"),
        ("gen_ai.usage.cache_creation_input_tokens", "cache_write_tokens"),
        ("gen_ai.usage.output_tokens.reasoning", "reasoning_tokens"),
        ("gen_ai.usage.reasoning_tokens", "reasoning_tokens"),
    ],
)
def test_earlier_names_and_dialects_are_read(key: str, column: str) -> None:
    given = without("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
    base = {"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 200}
    replaced = {"reported_input_tokens": "gen_ai.usage.input_tokens", "reported_output_tokens": "gen_ai.usage.output_tokens"}
    base.pop(replaced.get(column, ""), None)
    assert row_of(span(given | base | {key: 120}))[column] == 120


def test_the_newest_name_wins_over_earlier_ones_on_one_span() -> None:
    found = row_of(span(CALL | {"gen_ai.usage.prompt_tokens": 7, "gen_ai.system": "az.ai.openai", "llm.token_count.prompt": 9}))
    assert (found["reported_input_tokens"], found["host_raw"]) == (1000, "openai")


@pytest.mark.parametrize("value", [{"intValue": "12"}, {"intValue": 12}, {"doubleValue": 12.0}, {"stringValue": "12"}])
def test_a_count_may_be_text_or_a_number(value: dict[str, Any]) -> None:
    assert row_of(call(gen__ai_usage_input__tokens=value))["reported_input_tokens"] == 12


@pytest.mark.parametrize("form", ["hexadecimal", "capitals", "base64"])
def test_ids_are_one_id_in_every_form(form: str) -> None:
    ids = {"traceId": TRACE, "spanId": "eee19b7ec3c1b174"}
    written = {
        "hexadecimal": ids,
        "capitals": {name: text.upper() for name, text in ids.items()},
        "base64": {name: base64.b64encode(bytes.fromhex(text)).decode() for name, text in ids.items()},
    }[form]
    assert row_of(span(without("gen_ai.response.id"), **written))["event_id"] == f"{TRACE}-eee19b7ec3c1b174"


@pytest.mark.parametrize(
    ("values", "primitive"),
    [
        ({"gen_ai.operation.name": "text_completion"}, "ai.chat"),
        ({"gen_ai.operation.name": "generate_content"}, "ai.chat"),
        ({"gen_ai.operation.name": "embeddings"}, "ai.embed"),
        ({"openinference.span.kind": "LLM", "llm.model_name": "m", "llm.token_count.prompt": 3}, "ai.chat"),
        ({"openinference.span.kind": "EMBEDDING", "embedding.model_name": "m"}, "ai.embed"),
        ({"llm.request.type": "chat", "gen_ai.request.model": "m"}, "ai.chat"),
        ({"ai.operationId": "ai.streamText.doStream", "ai.model.id": "m"}, "ai.chat"),
        ({"ai.operationId": "ai.embedMany.doEmbed", "ai.model.id": "m"}, "ai.embed"),
        ({"gen_ai.request.model": "m", "gen_ai.usage.prompt_tokens": 3}, "ai.chat"),
    ],
)
def test_calls_are_told_in_every_dialect(values: dict[str, Any], primitive: str) -> None:
    found = row_of(span(values))
    assert found["primitive"] == primitive
    assert found["model_raw"] in ("m", None)


@pytest.mark.parametrize(
    "values",
    [
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "gpt-5.2"},
        {"gen_ai.operation.name": "invoke_workflow"},
        {"gen_ai.operation.name": "execute_tool"},
        {"openinference.span.kind": "AGENT", "llm.model_name": "gpt-5.2"},
        {"openinference.span.kind": "CHAIN"},
        {"traceloop.span.kind": "workflow", "gen_ai.request.model": "gpt-5.2"},
        {"ai.operationId": "ai.generateText", "ai.model.id": "gpt-5.2"},
        {"agent_name": "helper", "gen_ai.request.model": "gpt-5.2"},
    ],
)
def test_spans_that_repeat_the_tokens_of_their_calls_are_out_of_scope(values: dict[str, Any]) -> None:
    repeating = span(values | {"gen_ai.usage.input_tokens": 5000, "gen_ai.usage.output_tokens": 900})
    found = outcome(document(repeating, span(), span({"http.request.method": "POST"})))
    assert (found.usage.height, found.rows_out_of_scope, found.rows_read, found.quarantine.height) == (1, 2, 3, 0)
    assert found.row["reported_input_tokens"] == 1000


def test_a_span_with_tokens_that_says_not_what_it_is_goes_to_quarantine() -> None:
    tokens = {"gen_ai.usage.input_tokens": 5}
    unknown = span(tokens | {"gen_ai.operation.name": "ponder"})
    found = outcome(document(unknown, span(tokens), span({"gen_ai.operation.name": "ponder"})))
    assert found.reasons == {1: "gen_ai.operation.name__unknown", 2: "gen_ai.operation.name__missing"}
    assert found.rows_out_of_scope == 1
    assert json.loads(found.quarantine["raw_text"][0])["name"] == "chat gpt-5.2"

    assert row_of(unknown, operations={"ponder": "ai.chat"})["reported_input_tokens"] == 5


@pytest.mark.parametrize(
    ("changes", "convention"),
    [
        ({"gen__ai_usage_cache__read_input__tokens": 900}, "cache_in_input"),
        ({"gen__ai_usage_cache__read_input__tokens": 5000}, "cache_beside_input"),
        ({"gen__ai_usage_cache__read_input__tokens": 100, "gen__ai_usage_total__tokens": 1300}, "cache_beside_input"),
        ({"gen__ai_usage_reasoning_output__tokens": 150}, "cache_in_input"),
        ({"gen__ai_usage_reasoning_output__tokens": 900}, "cache_in_input_reasoning_beside_output"),
        (
            {"gen__ai_usage_reasoning_output__tokens": 50, "gen__ai_usage_total__tokens": 1250},
            "cache_in_input_reasoning_beside_output",
        ),
    ],
)
def test_how_a_span_counts_follows_from_its_own_numbers(changes: dict[str, int], convention: str) -> None:
    assert row_of(call(**changes))["token_convention"] == convention


def test_a_scope_may_be_said_to_count_caches_beside_its_input() -> None:
    line = document(call(gen__ai_usage_cache__read_input__tokens=900), scope="vendor.sdk")
    assert outcome(line).row["token_convention"] == "cache_in_input"
    found = outcome(line, scopes_with_cache_beside_input=("vendor.sdk",)).row
    assert (found["token_convention"], found["reported_input_tokens"], found["cache_read_tokens"]) == (
        "cache_beside_input", 1000, 900,
    )  # fmt: skip


def test_numbers_that_fit_no_way_of_counting_are_refused() -> None:
    impossible = call(gen__ai_usage_cache__read_input__tokens=5000, gen__ai_usage_reasoning_output__tokens=900)
    assert outcome(document(impossible)).reasons == {1: "gen_ai.usage.reasoning.output_tokens__exceed_output_tokens"}


def test_audio_is_kept_where_it_fits_into_the_uncached_input() -> None:
    heard = {"gen_ai.usage.audio.input_tokens": 300, "gen_ai.usage.audio.output_tokens": 20}
    found = row_of(span(CALL | heard))
    assert (found["input_audio_tokens"], found["output_audio_tokens"]) == (300, 20)
    cached = row_of(span(CALL | heard | {"gen_ai.usage.cache_read.input_tokens": 800}))
    assert cached["input_audio_tokens"] is None


@pytest.mark.parametrize(
    ("values", "fields", "expected"),
    [
        ({}, {"status": {"code": 2, "message": "boom"}}, ("error", None, None)),
        ({}, {"status": {"code": "STATUS_CODE_ERROR"}}, ("error", None, None)),
        ({}, {"status": {"code": 1}}, ("success", None, None)),
        ({"error.type": "429"}, {}, ("error", 429, "429")),
        ({"error.type": "timeout"}, {"status": {"code": 2}}, ("error", None, "timeout")),
        ({"error.type": "asyncio.CancelledError"}, {}, ("cancelled", None, "asyncio.CancelledError")),
        ({"http.response.status_code": 503, "error.type": "ServerError"}, {}, ("error", 503, "ServerError")),
    ],
)
def test_the_outcome_of_a_call(values: dict[str, Any], fields: dict[str, Any], expected: tuple[Any, ...]) -> None:
    found = row_of(span(CALL | values, **fields))
    assert (found["status"], found["http_status"], found["error_type"]) == expected


def test_owners_come_from_the_attributes_that_the_settings_name_span_before_resource() -> None:
    resource = {"service.name": "search", "cost.owner": "from resource", "env": "a,b%"}
    line = document(
        span(CALL | {"cost.owner": "from span", "key": "sk-secret"}), span(without("gen_ai.response.id")), resource=resource
    )
    found = outcome(
        line,
        team_attributes=("cost.owner",),
        feature_attributes=("feature", "service.name"),
        api_key_attributes=("key",),
        tag_attributes=("env", "absent"),
    ).usage
    assert found["team_id"].to_list() == ["from span", "from resource"]
    assert found["feature_id"].to_list() == ["search", "search"]
    assert found["tag_set"].to_list() == ["env=a%2Cb%25"] * 2
    assert found["api_key_id"][1] is None
    assert len(found["api_key_id"][0]) == 64


def test_one_call_reported_by_two_instrumentations_counts_once_and_the_caller_wins() -> None:
    caller = span(CALL | {"enduser.id": "ana"}, spanId="aaaaaaaaaaaaaaaa", endTimeUnixNano=str(START + 3 * 10**9))
    gateway = span(CALL, traceId="f" * 32, spanId="bbbbbbbbbbbbbbbb", startTimeUnixNano=str(START + 10**8))
    for lines in ((caller, gateway), (gateway, caller)):
        counted = counting_rows(*(outcome(document(one)) for one in lines))
        assert counted.select("user_id", "reported_input_tokens").rows() == [("ana", 1000)]
    nearest = counting_rows(*(outcome(document(one), counted_copy="innermost") for one in (gateway, caller)))
    assert nearest["user_id"].to_list() == [None]


def test_a_copy_without_tokens_never_wins() -> None:
    stream = span(without("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"), endTimeUnixNano=str(START + 9 * 10**9))
    for order in ((stream, span()), (span(), stream)):
        assert counting_rows(outcome(document(*order)))["reported_input_tokens"].to_list() == [1000]


def test_short_response_ids_do_not_merge_calls() -> None:
    local = [call(gen__ai_response_id="chatcmpl-42") | {"spanId": f"{number:016x}"} for number in (1, 2)]
    assert counting_rows(outcome(document(*local))).height == 2


def test_a_span_exported_twice_counts_once() -> None:
    one = span(without("gen_ai.response.id"))
    assert counting_rows(outcome(document(one)), outcome(document(one), document(one))).height == 1


def test_scopes_that_report_the_same_calls_can_be_left_out() -> None:
    lines = document(span(), scope="langchain"), document(span(without("gen_ai.response.id")))
    found = outcome(*lines, ignored_scopes=("langchain",))
    assert (found.usage.height, found.rows_out_of_scope) == (1, 1)


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (span(startTimeUnixNano=None), "startTimeUnixNano__missing"),
        (span(startTimeUnixNano="0"), "startTimeUnixNano__too_early"),
        (span(startTimeUnixNano="soon"), "startTimeUnixNano__not_a_time"),
        (span(startTimeUnixNano=str(START * 2)), "startTimeUnixNano__in_future"),
        (span(without("gen_ai.response.id"), traceId=""), "traceId__missing"),
        (span(without("gen_ai.response.id"), spanId=None), "spanId__missing"),
        (call(gen__ai_usage_input__tokens=-1), "gen_ai.usage.input_tokens__out_of_range"),
        (call(gen__ai_usage_input__tokens="many"), "gen_ai.usage.input_tokens__not_a_count"),
        (call(gen__ai_usage_output__tokens=2.5), "gen_ai.usage.output_tokens__not_a_count"),
        (call(gen__ai_response_id="x" * 600), "gen_ai.response.id__too_long"),
        (span(attributes={"key": "x"}), "attributes__not_a_list"),
        (span(status="OK"), "status__not_in_an_object"),
        (span(traceId=["x"]), "traceId__not_a_scalar"),
        ("no span", "span__not_in_an_object"),
    ],
)
def test_a_bad_span_is_refused_alone(one: Any, reason: str) -> None:
    found = outcome(document(span(), one, span(without("gen_ai.response.id"))))
    assert found.reasons == {2: reason}
    assert found.usage["raw_ordinal"].to_list() == [1, 3]


def test_an_end_before_the_start_or_none_gives_no_latency() -> None:
    for end in ("0", str(START - 10**7), None):
        found = row_of(span(endTimeUnixNano=end))
        assert (found["latency_ms"], found["ended_at"]) == (None, None)
