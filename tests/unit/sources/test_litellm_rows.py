"""What one SpendLogs record becomes: words, tokens, times, tags."""

import dataclasses
import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.sources.spend_logs import CONTEXT, line, outcome_of, reasons_of, record, row_of
from usage_etl.config import TagMapping
from usage_etl.sources.litellm.settings import LiteLLMSettings
from usage_etl.units import MODAL_TOKENS

RECORDED = Path(__file__).parents[2] / "recorded" / "litellm"
DELIVERY_ONLY = ("record_version_at", "call_id")


def instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def usage(**fields: Any) -> dict[str, Any]:
    return {"metadata": {"usage_object": fields}}


def test_an_anthropic_call_keeps_every_field_that_the_contract_asks_for() -> None:
    staged = outcome_of((RECORDED / "table_export.jsonl").read_bytes()).usage.row(0, named=True)

    assert staged == {
        "source": "gateway",
        "source_account": "eu-1",
        "source_role": "usage",
        "delivery_id": "0" * 32,
        "delivery_sequence": 3,
        "raw_ordinal": 1,
        "event_id": "msg_01",
        "call_id": "call-1",
        "record_version_at": instant("2026-11-02 00:00:04"),
        "usage_date": dt.date(2026, 11, 1),
        "started_at": instant("2026-11-01 23:59:58.250"),
        "ended_at": instant("2026-11-02 00:00:03.250"),
        "grain": "request",
        "requests_count": 1,
        "status": "success",
        "http_status": None,
        "error_type": None,
        "token_convention": "cache_in_input",
        "reported_input_tokens": 5000,
        "reported_output_tokens": 300,
        "reported_total_tokens": 5300,
        "cache_read_tokens": 3000,
        "cache_write_tokens": 1500,
        "cache_write_1h_tokens": 1000,
        "reasoning_tokens": 120,
        "primitive": "ai.chat",
        "bucket_key": None,
        "operation_name": None,
        **dict.fromkeys(MODAL_TOKENS),
        "quantity": None,
        "native_unit": None,
        "native_quantity": None,
        "context_min_tokens": None,
        "client_ip": None,
        "prompt_excerpt": None,
        "host_raw": "anthropic",
        "model_raw": "claude-sonnet-5",
        "deployment": "sonnet",
        "region": None,
        "processing": "standard",
        "is_cache_hit": False,
        "user_id": "ana",
        "team_id": "team-1",
        "api_key_id": "b" * 64,
        "project_id": "project-7",
        "investigation_id": "INC-9",
        "feature_id": "search",
        "session_id": "s-1",
        "end_user_id": "customer-4",
        "tag_set": "env=prod",
        "latency_ms": 5000,
        "ttft_ms": 750,
        "source_cost_usd": 0.0123,
    }


def test_a_failure_a_cache_hit_and_a_batch_are_told_apart() -> None:
    _, failure, hit, batch = outcome_of((RECORDED / "table_export.jsonl").read_bytes()).usage.rows(named=True)

    assert (failure["status"], failure["http_status"], failure["error_type"]) == ("error", 429, "RateLimitError")
    assert (hit["event_id"], hit["is_cache_hit"]) == ("chatcmpl-3_cache_hit1762070401.5", True)
    assert (hit["started_at"], hit["ended_at"]) == (instant("2026-11-02 08:00:01"), instant("2026-11-02 08:00:01.004"))
    assert (batch["processing"], batch["user_id"], batch["team_id"]) == ("batch", "svc-night", None)
    assert (batch["feature_id"], batch["investigation_id"]) == ("nightly", "INC-1")


def test_json_inside_json_gives_the_same_rows() -> None:
    exported = outcome_of((RECORDED / "table_export.jsonl").read_bytes()).usage
    logged = outcome_of((RECORDED / "logger_payload.jsonl").read_bytes()).usage

    assert logged.drop(DELIVERY_ONLY).equals(exported.drop(DELIVERY_ONLY))


def test_prompts_answers_and_addresses_are_dropped() -> None:
    staged = json.dumps(row_of(), default=str)

    assert "secret" not in staged
    assert "10.1.2.3" not in staged


@pytest.mark.parametrize("written", [1000, "1000", 1000.0, "1e3", "1000.0"])
def test_a_whole_number_is_a_count_in_every_spelling(written: object) -> None:
    assert row_of(prompt_tokens=written)["reported_input_tokens"] == 1000


@pytest.mark.parametrize("name", ["team_id", "user", "end_user", "api_key", "session_id", "model", "custom_llm_provider"])
def test_empty_text_is_missing(name: str) -> None:
    column = {"user": "user_id", "end_user": "end_user_id", "api_key": "api_key_id", "model": "model_raw"}
    row = row_of(**{name: ""})

    assert row[{**column, "custom_llm_provider": "host_raw"}.get(name, name)] is None


def test_missing_fields_are_null_and_the_row_stays() -> None:
    sparse = {"request_id": "r", "startTime": "2026-11-02 09:20:46"}
    row = outcome_of(json.dumps(sparse)).row

    assert row["event_id"] == "r"
    assert row["reported_input_tokens"] is None
    assert (row["status"], row["primitive"], row["processing"]) == ("unknown", "ai.chat", "standard")


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-02 09:20:46.500000",
        "2026-11-02 09:20:46.5",
        "2026-11-02T09:20:46.500Z",
        "2026-11-02T09:20:46.500000+00:00",
        "2026-11-02T10:20:46.5+01:00",
        "2026-11-02 04:20:46.5-05:00",
        "2026-11-02 09:20:46.500+00",
        "2026-11-02T09:20:46.5",
    ],
)
def test_a_start_is_the_same_instant_in_every_spelling(written: str) -> None:
    assert row_of(startTime=written)["started_at"] == instant("2026-11-02 09:20:46.500")


def test_the_day_is_the_utc_day_of_the_start() -> None:
    assert row_of(startTime="2026-11-02T01:00:00+02:00")["usage_date"] == dt.date(2026, 11, 1)


@pytest.mark.parametrize(
    ("call_type", "primitive"),
    [
        ("acompletion", "ai.chat"),
        ("aresponses", "ai.chat"),
        ("anthropic_messages", "ai.chat"),
        ("aembedding", "ai.embed"),
        ("aimage_generation", "ai.image"),
        ("amoderation", "safety.moderate"),
        ("a_call_type_of_next_year", "ai.chat"),
        (None, "ai.chat"),
    ],
)
def test_a_call_type_has_a_primitive_and_an_unknown_one_is_kept(call_type: str | None, primitive: str) -> None:
    assert row_of(call_type=call_type)["primitive"] == primitive


def test_a_moderation_is_one_check() -> None:
    assert row_of(call_type="amoderation")["quantity"] == 1
    assert row_of()["quantity"] is None


@pytest.mark.parametrize(
    ("tier", "processing"),
    [("batch", "batch"), ("Flex", "flex"), ("priority", "priority"), ("default", "standard"), (None, "standard")],
)
def test_the_service_tier_sets_the_price_class(tier: str | None, processing: str) -> None:
    assert row_of(**usage(service_tier=tier))["processing"] == processing


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"status": "success"}, "success"),
        ({"status": None, "metadata": {"status": "success"}}, "success"),
        ({"status": "failure"}, "error"),
        ({"status": None, "metadata": {"status": "failure"}}, "error"),
        ({"status": None, "metadata": {"error_information": {"error_code": "500"}}}, "error"),
        ({"status": "failure", "metadata": {"error_information": {"error_class": "ContentPolicyViolationError"}}}, "blocked"),
        ({"status": "failure", "metadata": {"error_information": {"error_class": "CancelledError"}}}, "cancelled"),
        ({"status": None, "metadata": {}}, "unknown"),
        ({"status": "of next year", "metadata": {}}, "unknown"),
    ],
)
def test_outcomes(fields: dict[str, Any], status: str) -> None:
    assert row_of(**fields)["status"] == status


def test_an_error_code_that_is_no_http_status_names_the_error() -> None:
    row = row_of(status="failure", metadata={"error_information": {"error_code": "rate_limit"}})

    assert (row["http_status"], row["error_type"]) == (None, "rate_limit")


@pytest.mark.parametrize(
    "metadata",
    [
        {"usage_object": {"cache_read_input_tokens": 7}},
        {"usage_object": {"prompt_tokens_details": {"cached_tokens": 7}}},
        {"usage_object": {"cache_read_input_tokens": 0, "prompt_tokens_details": {"cached_tokens": 7}}},
        {"additional_usage_values": {"cache_read_input_tokens": 7}},
        {"usage_object": None, "additional_usage_values": {"cache_read_input_tokens": 7}},
    ],
)
def test_cache_reads_are_found_wherever_a_version_of_the_gateway_puts_them(metadata: dict[str, Any]) -> None:
    assert row_of(metadata=metadata)["cache_read_tokens"] == 7
    assert row_of(metadata=json.dumps(metadata))["cache_read_tokens"] == 7


@pytest.mark.parametrize(
    "fields",
    [
        {"cache_creation_input_tokens": 9, "cache_creation_token_details": {"ephemeral_1h_input_tokens": 4}},
        {"cache_creation_token_details": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 4}},
        {"prompt_tokens_details": {"cache_creation_tokens": 9, "cache_creation_token_details": {"ephemeral_1h_input_tokens": 4}}},
    ],
)
def test_cache_writes_hold_both_lifetimes(fields: dict[str, Any]) -> None:
    row = row_of(**usage(**fields))

    assert (row["cache_write_tokens"], row["cache_write_1h_tokens"]) == (9, 4)


def test_reasoning_stands_beside_the_output_only_where_the_total_says_so() -> None:
    reasoning = usage(completion_tokens_details={"reasoning_tokens": 50})

    assert row_of(**reasoning)["token_convention"] == "cache_in_input"
    assert row_of(**reasoning, total_tokens=1250)["token_convention"] == "cache_in_input_reasoning_beside_output"


def test_a_key_in_clear_is_stored_as_the_hash_that_the_gateway_uses() -> None:
    assert row_of(api_key="sk-abc")["api_key_id"] == hashlib.sha256(b"sk-abc").hexdigest()


def test_tags_fill_columns_by_the_rules_of_the_source() -> None:
    rules = TagMapping(feature="f=", investigation="case/", keep=("env:", "tier:"))
    tags = ["x", "tier:gold,100%", "case/ 17", "f=", "f=chat", "f=later", "env:prod"]
    context = dataclasses.replace(CONTEXT, settings=LiteLLMSettings(kind="litellm", name="gateway", location="logs", tags=rules))
    row = outcome_of(line(request_tags=tags), context=context).row

    assert (row["feature_id"], row["investigation_id"]) == ("chat", "17")
    assert row["tag_set"] == "env=prod,tier=gold%2C100%25"


@pytest.mark.parametrize("tags", [None, [], {}, "", "[]", "{}", "null", [None], ["other"], '["other"]'])
def test_without_a_matching_tag_the_columns_are_null(tags: object) -> None:
    row = row_of(request_tags=tags)

    assert (row["feature_id"], row["tag_set"]) == (None, None)


@pytest.mark.parametrize("tag", ["[", "[x]", "[draft] feature:search"])
def test_a_tag_that_begins_like_a_list_is_a_tag(tag: str) -> None:
    row = row_of(request_tags=[tag, "feature:chat"])
    assert row["feature_id"] == "chat"
    assert row_of(request_tags=[tag])["feature_id"] is None


def test_a_tag_wins_over_a_note_of_the_caller() -> None:
    noted = {"metadata": {"spend_logs_metadata": {"feature": "noted", "investigation": 12}}}

    assert row_of(**noted)["feature_id"] == "search"
    assert row_of(**noted, request_tags=[])["feature_id"] == "noted"
    assert row_of(**noted)["investigation_id"] == "12"


@pytest.mark.parametrize(
    ("fields", "latency_ms"),
    [({}, 2000), ({"request_duration_ms": None}, 2000), ({"request_duration_ms": 1.6}, 2), ({"request_duration_ms": -5}, None)],
)
def test_durations(fields: dict[str, Any], latency_ms: int | None) -> None:
    assert row_of(**fields)["latency_ms"] == latency_ms


def test_a_first_token_before_the_start_is_no_time_to_first_token() -> None:
    assert row_of(completionStartTime="2026-11-02 09:20:45.000000")["ttft_ms"] is None


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"request_id": None}, "request_id__missing"),
        ({"request_id": ""}, "request_id__missing"),
        ({"request_id": "x" * 600}, "request_id__too_long"),
        ({"startTime": None}, "startTime__missing"),
        ({"startTime": "yesterday"}, "startTime__not_a_time"),
        ({"startTime": 1762070401.5}, "startTime__not_a_time"),
        ({"startTime": "2026-02-30 00:00:00.000000"}, "startTime__not_a_time"),
        ({"startTime": "2026-11-03 07:00:00.000001"}, "startTime__in_future"),
        ({"startTime": "1970-01-01 00:00:00.000000"}, "startTime__too_early"),
        ({"startTime": "0001-01-01 00:00:00"}, "startTime__too_early"),
        ({"endTime": "later"}, "endTime__not_a_time"),
        ({"prompt_tokens": "n/a"}, "prompt_tokens__not_a_count"),
        ({"prompt_tokens": 12.5}, "prompt_tokens__not_a_count"),
        ({"prompt_tokens": True}, "prompt_tokens__not_a_count"),
        ({"completion_tokens": -1}, "completion_tokens__out_of_range"),
        ({"total_tokens": 10**13 + 1}, "total_tokens__out_of_range"),
        ({"total_tokens": 2**63}, "total_tokens__not_a_count"),
        ({"request_duration_ms": "fast"}, "request_duration_ms__not_a_number"),
        ({"spend": "free"}, "spend__not_a_number"),
        ({"spend": 1e12}, "spend__out_of_range"),
        ({"spend": float("nan")}, "spend__not_a_number"),
        ({"spend": float("inf")}, "spend__not_a_number"),
        (usage(cache_read_input_tokens=1001), "cached_tokens__exceed_prompt_tokens"),
        (usage(cache_read_input_tokens=600, cache_creation_input_tokens=401), "cached_tokens__exceed_prompt_tokens"),
        (usage(cache_read_input_tokens="many"), "cache_read_input_tokens__not_a_count"),
        (usage(prompt_tokens_details={"cached_tokens": -3}), "cached_tokens__out_of_range"),
        (usage(completion_tokens_details={"reasoning_tokens": 201}), "reasoning_tokens__exceed_completion_tokens"),
        (usage(prompt_tokens_details=[]), "prompt_tokens_details__not_an_object"),
        ({"metadata": "{not json"}, "metadata__not_json"),
        ({"metadata": 5}, "metadata__not_an_object"),
        ({"metadata": []}, "metadata__not_an_object"),
        ({"model": ["gpt-5.2"]}, "model__not_a_scalar"),
        ({"request_tags": '["broken'}, "request_tags__not_json"),
        ({"request_tags": {"env": "prod"}}, "request_tags__not_a_list"),
        ({"request_tags": [["env:prod"]]}, "request_tags__not_a_list"),
    ],
)
def test_a_broken_rule_is_named_and_the_good_neighbour_is_staged(fields: dict[str, Any], rule: str) -> None:
    assert reasons_of(**fields) == rule


def test_all_broken_rules_of_a_record_are_named() -> None:
    assert set(reasons_of(request_id=None, spend="x", prompt_tokens=-1).split(",")) == {
        "request_id__missing",
        "spend__not_a_number",
        "prompt_tokens__out_of_range",
        "cached_tokens__exceed_prompt_tokens",
    }


def test_a_start_up_to_an_hour_after_the_arrival_is_accepted() -> None:
    assert row_of(startTime="2026-11-03 07:00:00.000000", endTime=None)["usage_date"] == dt.date(2026, 11, 3)


def test_the_builder_describes_a_record_that_breaks_no_rule() -> None:
    assert row_of(**record())["event_id"] == "req-1"
