"""One call through the gateway becomes one request, completed by the gateway's log; the logs are never added to each other."""

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as of_hypothesis
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.unit.sources.azure_logs import (
    CORRELATION,
    TICKS,
    as_table,
    envelope,
    gateway,
    lines,
    llm,
    outcome,
    outcome_of_hour,
    request,
    settings,
)
from tests.unit.sources.outcomes import counting_rows, outcome_of
from usage_etl.errors import UnreadableDeliveryError

STARTED = dt.datetime(2026, 11, 2, 9, 20, 46, 847371, tzinfo=dt.UTC)
OTHER = "11111111-7425-40de-944b-e07fc1f90ae7"


def test_a_call_has_its_tokens_from_the_one_log_and_its_caller_from_the_other() -> None:
    found = outcome(llm(0), llm(1), llm(2), gateway())
    assert {name: value for name, value in found.row.items() if value is not None} == {
        "source": "gateway",
        "source_account": "eu-1",
        "source_role": "usage",
        "delivery_id": "0" * 32,
        "delivery_sequence": 3,
        "raw_ordinal": 1,
        "event_id": CORRELATION,
        "record_version_at": STARTED,
        "usage_date": dt.date(2026, 11, 2),
        "started_at": STARTED,
        "grain": "request",
        "requests_count": 1,
        "status": "success",
        "http_status": 200,
        "operation_name": "ChatCompletions_Create",
        "token_convention": "cache_in_input",
        "reported_input_tokens": 1000,
        "reported_output_tokens": 200,
        "reported_total_tokens": 1200,
        "primitive": "ai.chat",
        "host_raw": "azure",
        "model_raw": "gpt-5.2",
        "deployment": "chat-eu",
        "processing": "standard",
        "is_cache_hit": False,
        "user_id": "ana",
        "api_key_id": "research-sub",
        "project_id": "research-tools",
        "feature_id": "azure-openai",
        "latency_ms": 2000,
    }
    assert (found.rows_read, found.rows_merged, found.rows_out_of_scope) == (4, 3, 0)


def test_the_order_of_the_logs_does_not_matter() -> None:
    once, again = outcome(llm(), gateway()).usage, outcome(gateway(), llm()).usage
    assert_frame_equal(once.drop("raw_ordinal"), again.drop("raw_ordinal"))


def test_rows_of_a_workspace_s_tables_give_the_same() -> None:
    table = outcome(as_table(llm(), "ApiManagementGatewayLlmLog"), as_table(gateway(), "ApiManagementGatewayLogs"))
    assert_frame_equal(table.usage, outcome(llm(), gateway()).usage)


def test_the_objects_of_an_hour_are_joined_and_numbered_through() -> None:
    members = [
        ("insights-logs-gatewayllmlogs/x/PT1H.json", lines(llm(0), llm(1))),
        ("insights-logs-gatewaylogs/x/PT1H.json", lines(gateway(), gateway(correlation=OTHER, apiId="orders"))),
        ("insights-logs-requestresponse/x/PT1H.json", lines(request())),
    ]
    found = outcome_of_hour(*members)
    assert (found.row["user_id"], found.rows_read, found.rows_merged, found.rows_out_of_scope) == ("ana", 5, 2, 2)
    own = outcome_of_hour(*members, usage_log="request_response")
    assert (own.row["raw_ordinal"], own.row["deployment"], own.rows_out_of_scope) == (5, "chat-eu", 4)


def test_a_call_without_a_row_of_the_gateway_log_counts_and_has_no_owner() -> None:
    found = outcome(llm(), gateway(correlation=OTHER))
    assert (found.row["user_id"], found.row["status"], found.row["latency_ms"]) == (None, "unknown", None)
    assert found.rows_out_of_scope == 1


def test_refused_calls_of_a_named_api_count_where_only_the_gateway_log_has_them() -> None:
    throttled = gateway(
        correlation=OTHER,
        responseCode=429,
        lastError={"reason": "RateLimitExceeded"},
        top={"isRequestSuccess": False, "durationMs": -1},
    )
    found = outcome(llm(), gateway(), throttled, gateway(correlation="x", apiId="orders"), llm_apis=("azure-openai",))
    assert found.usage.select(
        "event_id", "status", "http_status", "error_type", "reported_input_tokens", "latency_ms"
    ).rows() == [
        (CORRELATION, "success", 200, None, 1000, 2000),
        (OTHER, "error", 429, "RateLimitExceeded", None, None),
    ]
    assert (found.rows_merged, found.rows_out_of_scope) == (1, 1)
    assert outcome(llm(), throttled).usage.height == 1


def test_the_llm_log_wins_over_the_gateway_log_where_they_come_apart() -> None:
    alone = outcome(gateway(), llm_apis=("azure-openai",))
    for order in ((alone, outcome(llm())), (outcome(llm()), alone)):
        assert counting_rows(*order)["reported_input_tokens"].to_list() == [1000]


def test_an_hour_that_grew_replaces_its_own_rows() -> None:
    early, late = outcome(llm()), outcome(llm(), llm(correlation=OTHER), gateway(), gateway(correlation=OTHER, userId="bo"))
    counted = counting_rows(early, late)
    assert counted["user_id"].to_list() == ["bo", "ana"]
    assert counting_rows(early, late, late)["user_id"].to_list() == ["bo", "ana"]


def test_the_request_log_tells_time_model_and_caller_and_no_tokens() -> None:
    for as_text in (True, False):
        row = outcome(request(as_text=as_text), usage_log="request_response", keep_client_ip=True).row
        expected = {
            "event_id": CORRELATION,
            "started_at": STARTED,
            "model_raw": "gpt-4o-2024-08-06",
            "deployment": "chat-eu",
            "user_id": "0b1f6471-1bf0-4dda-aec3-cb9272f09590",
            "status": "success",
            "latency_ms": 2000,
            "reported_input_tokens": None,
            "client_ip": "81.2.69.***",
        }
        assert {name: row[name] for name in expected} == expected


def test_by_default_the_request_log_is_counted_and_not_added() -> None:
    found = outcome(llm(), request())
    assert (found.usage.height, found.rows_out_of_scope) == (1, 1)
    assert found.row["client_ip"] is None


@pytest.mark.parametrize(
    ("changes", "top", "expected"),
    [
        ({"modelVersion": "2"}, {}, {"model_raw": "gpt-4o"}),
        ({"modelVersion": None, "modelName": ""}, {}, {"model_raw": "chat-eu"}),
        ({"objectId": ""}, {}, {"user_id": None}),
        ({}, {"durationMs": -5}, {"latency_ms": None}),
        ({}, {"resultSignature": "429"}, {"status": "error", "http_status": 429}),
        ({}, {"resultSignature": "499"}, {"status": "cancelled"}),
        ({}, {"resultSignature": ""}, {"status": "unknown", "http_status": None}),
        ({}, {"operationName": "Embeddings_Create"}, {"primitive": "ai.embed"}),
        ({}, {"operationName": "ImageGenerations_Create"}, {"primitive": "ai.image"}),
        ({"requestTime": None}, {}, {"started_at": STARTED}),
        ({"requestTime": str(TICKS - 10_000_000)}, {}, {"started_at": STARTED - dt.timedelta(seconds=1)}),
    ],
)
def test_oddities_of_the_request_log(changes: dict[str, Any], top: dict[str, Any], expected: dict[str, Any]) -> None:
    row = outcome(request(top=top, **changes), usage_log="request_response").row
    assert {name: row[name] for name in expected} == expected


@pytest.mark.parametrize("operation", ["ListKey", "Deployments_List", "Responses_Get", "Projects_Get", "Files_Upload"])
def test_operations_that_call_no_model_are_out_of_scope(operation: str) -> None:
    found = outcome(request(top={"operationName": operation}), usage_log="request_response")
    assert (found.usage.height, found.rows_out_of_scope) == (0, 1)


@pytest.mark.parametrize(
    ("changes", "convention"),
    [
        ({"promptCachedTokens": 400}, "cache_in_input"),
        ({"promptCachedTokens": 4000}, "cache_beside_input"),
        ({"promptCachedTokens": 400, "modelName": "claude-opus-5"}, "cache_beside_input"),
        ({"promptCachedTokens": 0, "modelName": "claude-opus-5"}, "cache_in_input"),
    ],
)
def test_cached_tokens_are_counted_as_their_provider_counts_them(changes: dict[str, Any], convention: str) -> None:
    row = outcome(llm(**changes)).row
    assert (row["token_convention"], row["cache_read_tokens"]) == (convention, changes["promptCachedTokens"])


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://x.services.ai.azure.com/models", "azure"),
        ("https://api.openai.com/v1", "openai"),
        ("https://api.anthropic.com/v1/messages", "anthropic"),
        ("https://bedrock-runtime.us-east-1.amazonaws.com/model", "bedrock"),
        ("https://llm.internal.example", "azure"),
        (None, "azure"),
    ],
)
def test_the_backend_s_address_says_who_serves_the_model(url: str | None, host: str) -> None:
    assert outcome(llm(), gateway(backendUrl=url)).row["host_raw"] == host


def test_an_answer_of_the_gateway_s_own_cache_is_a_cache_hit() -> None:
    assert outcome(llm(), gateway(cache="hit")).row["is_cache_hit"]


def test_rows_of_calls_to_no_model_and_of_other_logs_are_out_of_scope() -> None:
    nothing = {
        "modelName": "",
        "deploymentName": None,
        "requestId": "",
        "promptTokens": 0,
        "completionTokens": 0,
        "totalTokens": 0,
    }
    others = [envelope("Audit", {}), envelope("Trace", "{}"), envelope("AzureOpenAIRequestUsage", {"promptTokens": 5})]
    found = outcome(llm(**nothing), llm(correlation=OTHER), *others)
    assert (found.row["event_id"], found.rows_out_of_scope) == (OTHER, 4)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (llm(correlation=""), "correlationId__missing"),
        (llm(time=""), "time__missing"),
        (llm(time="soon"), "time__not_a_time"),
        (llm(time="2027-01-01T00:00:00Z"), "time__in_future"),
        (llm(promptTokens=-1), "promptTokens__out_of_range"),
        (llm(completionTokens=1.5), "completionTokens__not_a_count"),
        (envelope("", {}), "category__missing"),
        (envelope("GatewayLogs", "no json"), "properties__not_json"),
        (envelope("GatewayLogs", [1]), "properties__not_an_object"),
    ],
)
def test_a_bad_record_is_refused_alone(record: dict[str, Any], reason: str) -> None:
    found = outcome(llm(correlation=OTHER), record, gateway(correlation=OTHER))
    assert found.reasons == {2: reason}
    assert found.row["user_id"] == "ana"


@pytest.mark.parametrize("ticks", ["soon", 1_762_075_246, -1, 10**19])
def test_a_request_time_that_is_no_ticks_is_refused(ticks: Any) -> None:
    good = request()
    found = outcome(good, request(requestTime=ticks), usage_log="request_response")
    assert found.reasons == {2: "requestTime__not_ticks"}


def test_a_record_that_is_still_being_written_is_refused_and_counts_when_the_hour_comes_again() -> None:
    content = lines(llm(), llm(correlation=OTHER))
    cut = outcome_of(content[:-40], settings())
    assert cut.reasons == {2: "line__not_a_json_object"}
    assert counting_rows(cut, outcome_of(content, settings())).height == 2


@pytest.mark.parametrize("content", [b'{"request_id":"r"}\n', b"a,b\n1,2\n", b"PK\x03\x04", b'{"x":1}\n{"y":2}\n'])
def test_another_file_is_refused_whole(content: bytes) -> None:
    with pytest.raises(UnreadableDeliveryError):
        outcome_of(content, settings())


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALAR = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.floats(allow_nan=False, allow_infinity=False), TEXT)
ANYTHING = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2), max_leaves=3
)
RECORDS = st.sampled_from([llm(), llm(1), gateway(), request(), request(as_text=False), llm(correlation=OTHER)])


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    """A record with some of its fields replaced by anything."""
    found = json.loads(json.dumps(draw(RECORDS)))
    for name in draw(st.lists(st.sampled_from(sorted(found)), max_size=2)):
        found[name] = draw(ANYTHING)
    if isinstance(found["properties"], dict) and found["properties"]:
        for name in draw(st.lists(st.sampled_from(sorted(found["properties"])), max_size=2)):
            found["properties"][name] = draw(ANYTHING)
    return found


@of_hypothesis(max_examples=30)
@given(st.lists(records(), max_size=6), st.sampled_from(["gateway_llm", "request_response"]))
def test_every_record_is_accounted_for_twice_the_same(found: list[dict[str, Any]], log: str) -> None:
    once = outcome(llm(correlation="good"), *found, usage_log=log, llm_apis=("azure-openai",))
    again = outcome(llm(correlation="good"), *found, usage_log=log, llm_apis=("azure-openai",))
    assert once.rows_read == len(found) + 1
    assert once.hashes == again.hashes


@of_hypothesis(max_examples=40)
@given(st.binary(max_size=200), st.sampled_from([b"", b"[", b'{"category":"GatewayLlmLogs"}\n']))
def test_any_bytes_have_a_defined_outcome(content: bytes, head: bytes) -> None:
    try:
        outcome_of(head + content, settings())
    except UnreadableDeliveryError:
        return
