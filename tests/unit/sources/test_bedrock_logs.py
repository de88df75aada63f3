"""What a Bedrock model invocation log becomes: bodies of every kind, caches, people, models, and hostile data."""

import datetime as dt
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sources.bedrock_records import (
    ASIDE,
    CONVERSE,
    EMBEDDING,
    OBJECT,
    RECORDED,
    RECORDS,
    STOPPED,
    STOPPED_AFTER,
    STREAM,
    THROTTLED,
    lines,
    outcome_of,
    record,
    row_of,
)
from tests.unit.sources.fetching import fetch_context
from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.bedrock_logs.fetch import fetch, is_of_an_hour
from usage_etl.sources.bedrock_logs.settings import BedrockLogsSettings
from usage_etl.sources.reading import json_lines

TOKENS = ("reported_input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "reported_output_tokens")
FOR_AN_HOUR = {"ttl": "1h", "inputTokens": 30}
METADATA_EVENT = {"metadata": {"usage": {"inputTokens": 3, "outputTokens": 4, "cacheReadInputTokens": 5}}}
ARN = "arn:aws:bedrock:us-east-1:111122223333"


def tokens(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in TOKENS)


def body(number: int, found: object) -> dict[str, Any]:
    return {"number": number, "output__outputBodyJson": found}


def test_a_stream_keeps_every_field_that_the_contract_asks_for() -> None:
    row = row_of(STREAM)
    wanted = {
        "event_id": f"111122223333/us-east-1/{RECORDS[STREAM]['requestId']}",
        "started_at": dt.datetime(2026, 11, 1, 22, 54, 57, tzinfo=dt.UTC),
        "usage_date": dt.date(2026, 11, 1),
        "grain": "request",
        "requests_count": 1,
        "status": "success",
        "operation_name": "InvokeModelWithResponseStream",
        "token_convention": "cache_beside_input",
        "reported_input_tokens": 2,
        "reported_output_tokens": 287,
        "cache_read_tokens": 95500,
        "cache_write_tokens": 1500,
        "cache_write_1h_tokens": 1000,
        "primitive": "ai.chat",
        "host_raw": "bedrock",
        "model_raw": "us.anthropic.claude-haiku-5-20260601-v1:0",
        "deployment": f"{ARN}:inference-profile/us.anthropic.claude-haiku-5-20260601-v1:0",
        "region": "us-west-2",
        "processing": "standard",
        "is_cache_hit": False,
        "user_id": "pod-7",
        "team_id": "search",
        "api_key_id": "assumed-role/SearchService",
        "project_id": "p-7",
        "feature_id": "answers",
        "tag_set": "env=prod",
        "latency_ms": 5120,
        "ttft_ms": 640,
        "source_cost_usd": None,
        "prompt_excerpt": None,
    }
    assert {name: row[name] for name in wanted} == wanted


def test_the_recorded_calls_are_told_apart() -> None:
    rows = outcome_of((RECORDED / "invocations.json").read_bytes()).usage.rows(named=True)

    assert [row["status"] for row in rows] == [*["success"] * 3, "blocked", "blocked", "error", "success", "success"]
    assert tokens(rows[OBJECT]) == (571, None, None, None, 120)
    assert tokens(rows[CONVERSE]) == (62, 2048, 300, 200, 36)
    assert tokens(rows[STOPPED]) == (0, None, None, None, 0)
    assert tokens(rows[STOPPED_AFTER]) == (571, None, None, None, 209)
    assert rows[THROTTLED]["error_type"] == "ThrottlingException"
    assert (rows[EMBEDDING]["primitive"], rows[EMBEDDING]["reported_input_tokens"]) == ("ai.embed", 5)
    assert tokens(rows[ASIDE]) == (88000, None, None, None, 4100)
    assert "secret" not in json.dumps(rows, default=str)


def test_every_kind_of_body_is_read_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Line by line would give the same rows at ten times the cost."""
    monkeypatch.setattr(json_lines.json, "loads", lambda _: pytest.fail("read line by line"))
    content = (RECORDED / "invocations.json").read_bytes()

    assert outcome_of(content * 3).usage.height == 24


@pytest.mark.parametrize("name", ["cloudwatch_export.txt", "cloudwatch_subscription.json"])
@pytest.mark.parametrize("packed", [False, True])
def test_what_cloudwatch_makes_of_the_records_gives_the_same_rows(name: str, packed: bool) -> None:
    content = (RECORDED / name).read_bytes()
    found = outcome_of(gzip.compress(content) if packed else content)
    straight = outcome_of((RECORDED / "invocations.json").read_bytes())

    assert found.usage.equals(straight.usage.head(found.usage.height))
    assert found.usage.height == (3 if name.endswith("txt") else 4)


@pytest.mark.parametrize(
    ("content", "staged", "refused"),
    [
        ('{"messageType":"DATA_MESSAGE","logEvents":[{"message":"' + "é" * 3 * (1 << 20) + '"}]}', 0, 1),
        ('{"messageType":"DATA_MESSAGE","logEvents":[{"message":5},{"message":null},"x",{}]}', 0, 4),
        ('{"messageType":"DATA_MESSAGE","logEvents":[]}\n{"cut": ', 0, 1),
        ('{"messageType":"DATA_MESSAGE","logEvents":{}}', 0, 1),
        ('{"messageType":"CONTROL_MESSAGE","logEvents":[{"message":"checking health"}]}', 0, 0),
        ('{"messageType":"DATA_MESSAGE","logEvents":[]}garbage\n{"messageType":"DATA_MESSAGE","logEvents":[]}', 0, 1),
    ],
)
def test_broken_envelopes_are_accounted_for(content: str, staged: int, refused: int) -> None:
    try:
        outcome = outcome_of(content)
    except UnreadableDeliveryError:
        assert staged == 0
        return
    assert (outcome.usage.height, outcome.quarantine.height) == (staged, refused)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"output__outputBodyJson": None}, (571, None, None, None, 120)),
        ({"output__outputBodyJson": "text of another model"}, (571, None, None, None, 120)),
        ({"output__outputBodyJson": {"usage": "none", "metrics": [], "model": {}}}, (571, None, None, None, 120)),
        ({"output__outputBodyJson": {"usage": {"cache_read_input_tokens": 9}}}, (571, 9, None, None, 120)),
        ({"output__outputBodyJson": ["[DONE]", 5, None, {"usage": {"cache_read_input_tokens": 9}}]}, (571, 9, None, None, 120)),
        ({"output__outputBodyJson": [{"usage": [1]}, {"message": "x"}]}, (571, None, None, None, 120)),
        ({"output__outputBodyJson": []}, (571, None, None, None, 120)),
        ({"input__inputTokenCount": None, "output__outputTokenCount": None}, (571, None, None, None, 120)),
        ({"input__cacheReadInputTokenCount": 7, "input__cacheWriteInputTokenCount": "8"}, (571, 7, 8, None, 120)),
        (
            {"output__outputBodyJson": {"usage": {"cacheWriteInputTokens": 30, "cacheDetails": [FOR_AN_HOUR]}}},
            (571, None, 30, 30, 120),
        ),
        (
            {"output__outputBodyJson": {"usage": {"cacheWriteInputTokens": 3, "cacheDetails": [{"ttl": "1h"}]}}},
            (571, None, 3, None, 120),
        ),
        (
            {
                "input__inputTokenCount": None,
                "output__outputTokenCount": None,
                "output__outputBodyJson": [METADATA_EVENT],
            },
            (3, 5, None, None, 4),
        ),
        (
            {
                "output__outputTokenCount": None,
                "output__outputBodyJson": [{"usage": {"output_tokens": 1}}, {"usage": {"output_tokens": 55}}],
            },
            (571, None, None, None, 55),
        ),
    ],
)  # fmt: skip
def test_usage_is_read_from_bodies_that_each_model_writes_as_it_likes(changes: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert tokens(row_of(OBJECT, **changes)) == expected


def test_text_that_looks_like_usage_is_not_usage() -> None:
    """An answer may hold anything, also our words; what is nested elsewhere is not read."""
    answer = {"content": [{"type": "tool_use", "input": {"usage": {"cache_read_input_tokens": 10**9}, "outputBodyJson": [{}]}}]}
    spoof = 'he said "outputBodyJson":[{"usage":{"cache_read_input_tokens":999}}]'
    for found in (answer, {"content": [{"text": spoof}]}, [{"delta": {"text": spoof}}, {"delta": answer}]):
        assert tokens(row_of(OBJECT, output__outputBodyJson=found)) == (571, None, None, None, 120)


@pytest.mark.parametrize(
    ("arn", "user_from", "user", "key"),
    [
        ("arn:aws:iam::111122223333:user/ana@example.com", "session", "ana@example.com", "user/ana@example.com"),
        ("arn:aws:iam::111122223333:user/apps/eu/svc", "none", "svc", "user/apps/eu/svc"),
        ("arn:aws-us-gov:sts::111122223333:assumed-role/Dev/ana@example.com", "session", "ana@example.com", "assumed-role/Dev"),
        ("arn:aws:sts::111122223333:assumed-role/SSO_Dev_1/ana", "role", "SSO_Dev_1", "assumed-role/SSO_Dev_1"),
        ("arn:aws:sts::111122223333:assumed-role/Dev/i-0abc", "none", None, "assumed-role/Dev"),
        ("arn:aws:iam::111122223333:root", "session", None, "root"),
        ("arn:aws:sts::111122223333:federated-user/kim", "session", "kim", "federated-user/kim"),
        ("<redacted>", "session", None, "<redacted>"),
        (None, "session", None, None),
    ],
)  # fmt: skip
def test_who_called(arn: str | None, user_from: str, user: str | None, key: str | None) -> None:
    row = row_of(OBJECT, {"user_from": user_from}, identity__arn=arn)
    assert (row["user_id"], row["api_key_id"], row["project_id"]) == (user, key, "111122223333")


def test_metadata_of_the_request_names_people_by_the_settings() -> None:
    noted = {"cost-center": "cc,1%", "stage": "prod", "owner": "ana", "user": "not this"}
    keys = {"user": "owner", "team": "cost-center", "keep": ["stage", "cost-center"], "project": None}
    row = row_of(OBJECT, {"metadata": keys}, requestMetadata=noted)

    assert (row["user_id"], row["team_id"], row["tag_set"]) == ("ana", "cc,1%", "cost-center=cc%2C1%25,stage=prod")


@pytest.mark.parametrize(
    ("model_id", "model", "deployment"),
    [
        ("amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0", None),
        (f"{ARN.replace('111122223333', '')}:foundation-model/meta.llama4-v1:0", "meta.llama4-v1:0", True),
        (f"{ARN}:inference-profile/eu.amazon.nova-pro-v1:0", "eu.amazon.nova-pro-v1:0", True),
        (f"{ARN}:application-inference-profile/abc", "claude-sonnet-5-20260501", True),
        (f"{ARN}:application-inference-profile/known", "anthropic.claude-haiku-5", True),
        (f"{ARN}:provisioned-model/ptu1", f"{ARN}:provisioned-model/ptu1", None),
        (f"{ARN}:provisioned-model/known-ptu", "amazon.nova-pro-v1:0", True),
        (f"{ARN}:imported-model/xyz", f"{ARN}:imported-model/xyz", None),
    ],
)
def test_models_behind_arns(model_id: str, model: str, deployment: bool | None) -> None:
    profiles = {f"{ARN}:application-inference-profile/known": "anthropic.claude-haiku-5", "known-ptu": "amazon.nova-pro-v1:0"}
    row = row_of(OBJECT, {"profiles": profiles}, modelId=model_id)

    assert row["model_raw"] == model
    assert row["deployment"] == (model_id if deployment else None)


@pytest.mark.parametrize(
    ("changes", "column", "expected"),
    [
        ({"operation": "BatchInference"}, "processing", "batch"),
        ({"operation": "CreateModelInvocationJob"}, "processing", "batch"),
        ({"operation": "StartAsyncInvoke"}, "processing", "standard"),
        ({"output__outputBodyJson": {"serviceTier": {"type": "flex"}}}, "processing", "flex"),
        ({"modelId": "amazon.nova-canvas-v1:0"}, "primitive", "ai.image"),
        ({"modelId": "us.stability.stable-image-v1:0"}, "primitive", "ai.image"),
        ({"inferenceRegion": ""}, "region", "us-east-1"),
        ({"errorCode": ""}, "status", "success"),
    ],
)
def test_words(changes: dict[str, Any], column: str, expected: str) -> None:
    assert row_of(OBJECT, **changes)[column] == expected


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"requestId": None}, "requestId__missing"),
        ({"timestamp": "2026-11-05T00:00:00Z"}, "timestamp__in_future"),
        ({"timestamp": "yesterday"}, "timestamp__not_a_time"),
        ({"schemaType": "SomethingElse"}, "schemaType__not_an_invocation"),
        ({"input__inputTokenCount": -1}, "inputTokenCount__out_of_range"),
        ({"output__outputTokenCount": "many"}, "outputTokenCount__not_a_count"),
        ({"output__outputBodyJson": {"usage": {"cache_read_input_tokens": 1.5}}}, "cache_read_input_tokens__not_a_count"),
        (
            {"output__outputBodyJson": {"usage": {"cache_creation": {"ephemeral_1h_input_tokens": 5}}}},
            "ephemeral_1h_input_tokens__exceed_cache_writes",
        ),
        ({"identity": "me"}, "identity__not_an_object"),
        ({"input": []}, "input__not_an_object"),
        ({"requestMetadata": "x"}, "requestMetadata__not_an_object"),
    ],
)
def test_a_broken_rule_is_named_and_the_good_neighbours_are_staged(changes: dict[str, Any], rule: str) -> None:
    outcome = outcome_of(lines(record(STREAM), record(OBJECT, **changes), record(CONVERSE)))
    assert outcome.refused == {2: rule}
    assert outcome.usage["raw_ordinal"].to_list() == [1, 3]


@pytest.mark.parametrize("content", ['{"request_id": "litellm"}\n', "[1]", "2026-11-01 hello\n", '{"messageType": 1}'])
def test_another_log_is_refused_whole(content: str) -> None:
    with pytest.raises(UnreadableDeliveryError):
        outcome_of(content)


def test_a_request_twice_is_one_event() -> None:
    """Which copy counts is decided by day, where events are made."""
    assert outcome_of(lines(record(STREAM), record(STREAM))).usage["event_id"].n_unique() == 1


def fetched(folder: Path, known: frozenset[tuple[str, str]] = frozenset(), **changes: Any) -> list[Any]:
    own = BedrockLogsSettings(**({"kind": "bedrock_logs", "name": "b", "location": str(folder)} | changes))
    return list(fetch(own, fetch_context(known=known)))


def test_an_hour_is_one_delivery_without_its_sidecars(tmp_path: Path) -> None:
    hour = (
        tmp_path / "logs" / "AWSLogs" / "111122223333" / "BedrockModelInvocationLogs" / "us-east-1" / "2026" / "11" / "01" / "22"
    )
    (hour / "data").mkdir(parents=True)
    for number, one in enumerate((record(OBJECT), record(STREAM), record(CONVERSE))):
        (hour / f"2026110122000{number}_abc.json.gz").write_bytes(gzip.compress(lines(one).rstrip("\n").encode()))
    (hour / "data" / "x_input.json.gz").write_bytes(gzip.compress(b'{"secret": "plan"}'))
    (hour.parents[5] / "amazon-bedrock-logs-permission-check").write_bytes(b"")
    (item,) = fetched(tmp_path / "logs")
    item.save(tmp_path / "landed")
    outcome = outcome_of((tmp_path / "landed").read_bytes())

    assert item.members is not None
    assert item.members.folder == "AWSLogs/111122223333/BedrockModelInvocationLogs/us-east-1/2026/11/01/22"
    assert outcome.usage.height == 3
    assert len(fetched(tmp_path / "logs", bundle="none")) == 3


def test_other_folders_are_not_of_an_hour() -> None:
    assert is_of_an_hour("AWSLogs/1/BedrockModelInvocationLogs/us-east-1/2026/11/01/22/x.json.gz")
    assert not is_of_an_hour("exports/000000.gz")
    assert not is_of_an_hour("2026/11/01/22/data/x_input.json.gz")


COUNT = st.one_of(st.integers(0, 10**9), st.integers(0, 10**9).map(str))
USAGE = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("inputTokens", "outputTokens", "totalTokens", "cacheReadInputTokens", "cacheWriteInputTokens"), COUNT)
    | dict.fromkeys(("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"), COUNT),
)
EVENT = st.one_of(
    USAGE.map(lambda usage: {"usage": usage}),
    USAGE.map(lambda usage: {"message": {"usage": usage, "model": "m"}}),
    USAGE.map(lambda usage: {"metadata": {"usage": usage}}),
    st.just({"type": "content_block_delta", "delta": {"text": "x"}}),
    st.just("[DONE]"),
    st.text(max_size=5),
)
BODY = st.one_of(st.none(), st.text(max_size=20), USAGE.map(lambda usage: {"usage": usage}), st.lists(EVENT, max_size=5))


@settings(max_examples=60)
@given(st.lists(st.tuples(COUNT, COUNT, BODY), min_size=1, max_size=10))
def test_any_bodies_are_staged_with_their_counts_and_twice_the_same(found: list[tuple[Any, Any, Any]]) -> None:
    content = lines(
        *(
            record(
                OBJECT,
                requestId=f"r{n}",
                input__inputTokenCount=taken,
                output__outputTokenCount=given_,
                output__outputBodyJson=answer,
            )
            for n, (taken, given_, answer) in enumerate(found)
        )
    )
    once, again = outcome_of(content), outcome_of(content)

    assert once.rows_read == len(found) == once.usage.height
    assert once.usage.equals(again.usage)
    assert once.usage["reported_input_tokens"].to_list() == [int(taken) for taken, _, _ in found]
    assert once.usage["reported_output_tokens"].to_list() == [int(given_) for _, given_, _ in found]
