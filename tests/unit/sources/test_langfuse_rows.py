"""A generation becomes one staged request in every format; its trace names the owner; everything is accounted for."""

import datetime as dt
import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as of_hypothesis
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.unit.sources.langfuse_files import (
    END,
    PROJECT,
    manifest,
    observation,
    observation_v2,
    outcome_of_window,
    settings,
    trace,
    written,
)
from tests.unit.sources.outcomes import Outcome, counting_rows, outcome_of
from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.langfuse.usage_details import IS_READABLE, MEASURES, usage_columns

FORMS = ("jsonl", "json", "csv", "parquet", "jsonl.gz", "json.gz", "csv.gz")
STARTED = dt.datetime(2026, 11, 2, 9, 20, 46, 847000, tzinfo=dt.UTC)


def outcome(*rows: dict[str, Any], form: str = "jsonl", **changes: Any) -> Outcome:
    return outcome_of(written(list(rows), form), settings(**changes))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("table", ["observations", "observations_v2"])
def test_a_generation_is_staged_with_its_owner_in_every_format(form: str, table: str) -> None:
    rows = [observation() if table == "observations" else observation_v2(), observation(id="span", type="SPAN", usage_details={})]
    members = [(f"{table}/{END}.{form}", written(rows, form))]
    if table == "observations":
        members.insert(0, (f"traces/{END}.{form}", written([trace(), trace(id="other")], form)))
    found = outcome_of_window(*members)

    assert (found.rows_read, found.rows_out_of_scope) == (len(members) * 2, len(members) * 2 - 1)
    expected = {
        "event_id": f"{PROJECT}/obs-1",
        "record_version_at": dt.datetime(2026, 11, 2, 9, 20, 49, tzinfo=dt.UTC),
        "usage_date": dt.date(2026, 11, 2),
        "started_at": STARTED,
        "ended_at": STARTED + dt.timedelta(seconds=2),
        "status": "success",
        "operation_name": "generation",
        "token_convention": "cache_beside_input",
        "reported_input_tokens": 600,
        "cache_read_tokens": 400,
        "cache_write_tokens": None,
        "reported_output_tokens": 200,
        "reasoning_tokens": 50,
        "reported_total_tokens": 1200,
        "primitive": "ai.chat",
        "model_raw": "gpt-5.2-2026-09-01",
        "project_id": PROJECT,
        "user_id": "ana",
        "session_id": "session-1",
        "feature_id": "search",
        "tag_set": "env=production",
        "latency_ms": 2000,
        "ttft_ms": 500,
        "source_cost_usd": 0.003,
    }
    assert {name: found.row[name] for name in expected} == expected


def test_the_parts_of_the_usage_add_up_to_what_the_provider_counted() -> None:
    given = {"input": 100, "input_cache_read": 40, "input_cache_creation_5m": 7, "input_cache_creation_1h": 3}
    sent = {"output": 20, "output_reasoning": 5, "output_audio": 2}
    row = outcome(observation(usage_details={**given, "input_audio_tokens": 11, **sent, "total": 188})).row
    classes = ("reported_input_tokens", "cache_read_tokens", "cache_write_tokens", "reported_output_tokens")
    assert [row[name] for name in classes] == [111, 40, 10, 27]
    assert sum(row[name] for name in classes) == row["reported_total_tokens"]
    assert [row[name] for name in ("cache_write_1h_tokens", "reasoning_tokens", "input_audio_tokens", "output_audio_tokens")] == [
        3, 5, 11, 2,
    ]  # fmt: skip


def test_keys_of_a_provider_are_read_too() -> None:
    row = outcome(
        observation(usage_details={"input": 10, "output": 2, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 4})
    ).row
    assert (row["reported_input_tokens"], row["cache_read_tokens"], row["cache_write_tokens"]) == (10, 30, 4)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input": "12", "output": "3"}, (12, 3)),
        ({"input": 12.0, "output": 3}, (12, 3)),
        ({"input": None, "output": 3}, (None, 3)),
        ({}, (None, None)),
        (None, (None, None)),
        ({"web_search_requests": 2, "input": 1}, (1, None)),
        ({'odd\n"key": 3': 2, "input": 1, "caf\u00e9": 1}, (1, None)),
        ({"lone \ud800": 2, "output": 4}, (None, 4)),
    ],
)
def test_counts_in_every_spelling(usage: Any, expected: tuple[int | None, int | None]) -> None:
    for form in ("jsonl", "csv"):
        row = outcome(observation(usage_details=usage), form=form).row
        assert (row["reported_input_tokens"], row["reported_output_tokens"]) == expected


def test_an_empty_map_of_parquet_is_no_usage() -> None:
    found = outcome(observation(), observation(id="obs-2", usage_details={}), form="parquet").usage
    assert found["reported_input_tokens"].to_list() == [600, None]


def test_kinds_of_usage_that_are_no_tokens_are_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    outcome_of_window((f"observations/{END}.jsonl", written([observation(usage_details={"input": 1, "searches": 2})], "jsonl")))
    assert "usage_not_read=searches" in caplog.text


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"usage_details": {"input": -1}}, "usage_details__not_a_map_of_counts"),
        ({"usage_details": {"input": 1.5}}, "usage_details__not_a_map_of_counts"),
        ({"usage_details": {"input": "many"}}, "usage_details__not_a_map_of_counts"),
        ({"usage_details": {"input": {"text": 1}}}, "usage_details__not_a_map_of_counts"),
        ({"usage_details": [1, 2]}, "usage_details__not_a_map_of_counts"),
        ({"usage_details": "nothing"}, "usage_details__not_a_map_of_counts"),
        ({"usage_details": {"input": 10**14}}, "usage_details__out_of_range"),
        ({"id": ""}, "id__missing"),
        ({"type": ""}, "type__missing"),
        ({"start_time": None}, "start_time__missing"),
        ({"start_time": "yesterday"}, "start_time__not_a_time"),
        ({"start_time": "2027-01-01 00:00:00.000"}, "start_time__in_future"),
        ({"total_cost": "dear"}, "total_cost__not_a_number"),
    ],
)
def test_a_bad_observation_is_refused_alone(changes: dict[str, Any], reason: str) -> None:
    for form in ("jsonl", "json", "csv"):
        found = outcome(observation(id="first"), observation(**changes), observation(id="last"), form=form)
        assert found.reasons == {2: reason}, form
        assert found.usage["raw_ordinal"].to_list() == [1, 3]


@pytest.mark.parametrize(("kind", "primitive"), [("EMBEDDING", "ai.embed"), ("generation", "ai.chat")])
def test_calls_are_generations_and_embeddings(kind: str, primitive: str) -> None:
    assert outcome(observation(type=kind)).row["primitive"] == primitive


@pytest.mark.parametrize("kind", ["SPAN", "EVENT", "AGENT", "TOOL", "CHAIN", "RETRIEVER", "EVALUATOR", "GUARDRAIL"])
def test_everything_else_in_the_tree_is_out_of_scope(kind: str) -> None:
    found = outcome(observation(type=kind))
    assert (found.rows_read, found.rows_out_of_scope, found.usage.height) == (1, 1, 0)


def test_an_error_a_cost_without_total_and_a_latency_without_end() -> None:
    row = outcome(observation(level="ERROR", total_cost=None, end_time=None, completion_start_time=None)).row
    assert (row["status"], row["source_cost_usd"], row["latency_ms"], row["ttft_ms"]) == ("error", 0.003, 2000, 500)
    late = outcome(observation(completion_start_time=None, time_to_first_token=500)).row
    assert late["ttft_ms"] is None


def test_traces_of_earlier_windows_are_searched_and_the_later_copy_wins() -> None:
    early = written([trace(user_id="old"), trace(id="trace-0", user_id="bo")], "jsonl")
    members = [
        ("traces/2026-11-02T09-00-00.jsonl", early),
        (f"traces/{END}.jsonl", written([trace()], "jsonl")),
        (f"observations/{END}.jsonl", written([observation(), observation(id="obs-2", trace_id="trace-0")], "jsonl")),
    ]
    assert outcome_of_window(*members).usage["user_id"].to_list() == ["ana", "bo"]


def test_without_its_trace_an_observation_counts_but_has_no_owner() -> None:
    row = outcome_of_window((f"observations/{END}.jsonl", written([observation(trace_id="lost")], "jsonl"))).row
    assert (row["user_id"], row["session_id"], row["feature_id"]) == (None, None, "answer")


def test_the_feature_may_be_the_trace_s_name() -> None:
    assert outcome(observation_v2(tags=[]), feature_from="trace_name").row["feature_id"] == "assistant"


def test_rows_on_a_window_s_edge_come_twice_and_count_once_the_newest_of_them() -> None:
    older, newer = (
        observation(updated_at="2026-11-02 09:20:49.000"),
        observation(updated_at="2026-11-02 09:30:00.000", level="ERROR"),
    )
    for order in ((older, newer), (newer, older)):
        counted = counting_rows(*(outcome(one) for one in order))
        assert counted["status"].to_list() == ["error"]


def test_two_projects_may_use_one_id() -> None:
    assert counting_rows(outcome(observation(), observation(project_id="other"))).height == 2


def test_the_manifest_s_number_of_rows_is_held_against_the_file() -> None:
    key = f"observations/{END}.jsonl"
    good = written([observation()], "jsonl")
    for expected in (1, None):
        assert (
            outcome_of_window((f"manifests/{END}.json", manifest((f"{PROJECT}/{key}", expected))), (key, good)).usage.height == 1
        )
    with pytest.raises(UnreadableDeliveryError, match="has 1 rows, and the manifest says 2"):
        outcome_of_window((f"manifests/{END}.json", manifest((f"{PROJECT}/{key}", 2))), (key, good))
    with pytest.raises(UnreadableDeliveryError, match="manifest cannot be read"):
        outcome_of_window((f"manifests/{END}.json", b"[]"), (key, good))


def test_a_cut_array_keeps_its_whole_records() -> None:
    content = written([observation(id=f"obs-{n}") for n in range(3)], "json")[:-40]
    found = outcome_of(content, settings())
    assert found.usage.height == 2
    assert list(found.reasons) == [3]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"request_id":"r-1"}\n', "no record has an id"),
        (b"a,b\n1,2\n", "no column id"),
        (b"\x89PNG\r\n\x1a\n\x00", "."),
    ],
)
def test_another_file_is_refused_whole(content: bytes, message: str) -> None:
    with pytest.raises(UnreadableDeliveryError, match=message):
        outcome_of(content, settings())


KEYS = st.sampled_from(
    [
        "input",
        "output",
        "total",
        "input_cached_tokens",
        "input_cache_creation_1h",
        "input_audio",
        "output_reasoning",
        "odd",
        "a b",
    ]
)


@of_hypothesis(max_examples=60)
@given(
    st.lists(
        st.dictionaries(KEYS, st.one_of(st.integers(0, 10**12), st.none(), st.integers(0, 99).map(float)), max_size=6), max_size=6
    )
)
def test_the_sums_agree_with_a_plain_reading(maps: list[dict[str, Any]]) -> None:
    found, _ = usage_columns(pl.Series("usage", [json.dumps(one) for one in maps], dtype=pl.String))
    assert found[IS_READABLE].all()
    for name, belongs in MEASURES.items():
        plain = [[int(n) for key, n in one.items() if n is not None and belongs(key)] for one in maps]
        assert found[name].to_list() == [sum(counts) if counts else None for counts in plain]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXT),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT | KEYS, inner, max_size=2),
    max_leaves=4,
)


@of_hypothesis(max_examples=30)
@given(st.lists(st.dictionaries(st.sampled_from(sorted(observation_v2())), ANYTHING, max_size=3), max_size=5))
def test_every_record_is_staged_refused_or_out_of_scope_twice_the_same(changes: list[dict[str, Any]]) -> None:
    rows = [observation_v2(id="good"), *(observation_v2(**one) for one in changes)]
    once, again = outcome(*rows), outcome(*rows, form="json")
    assert once.rows_read == len(rows)
    assert once.hashes == again.hashes
    assert_frame_equal(once.usage, again.usage)


@of_hypothesis(max_examples=40)
@given(st.binary(max_size=200), st.sampled_from([b"", b"[", b"{", b"PAR1", b"id,type\n"]))
def test_any_bytes_have_a_defined_outcome(content: bytes, head: bytes) -> None:
    try:
        outcome_of(head + content, settings())
    except UnreadableDeliveryError:
        return
