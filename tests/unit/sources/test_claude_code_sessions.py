"""What Claude Code's session files become, and which copy of an answer counts in the end, over files and deliveries."""

import importlib
import itertools
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from tests.unit.sources.source_files import context_of, lines, reasons_of, row_of, staged, staged_recorded
from usage_etl.errors import UnreadableDeliveryError
from usage_etl.events import loser_rows, without_losers

KIND = "claude_code"


def answer(
    *,
    out: int = 200,
    side: bool = False,
    usage: dict[str, Any] | None = None,
    message: dict[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    counts = {
        "input_tokens": 4,
        "cache_creation_input_tokens": 900,
        "cache_read_input_tokens": 20_000,
        "cache_creation": {"ephemeral_5m_input_tokens": 600, "ephemeral_1h_input_tokens": 300},
        "output_tokens": out,
    }
    return {
        "type": "assistant",
        "timestamp": "2026-11-02T09:00:02.100Z",
        "sessionId": "s-1",
        "requestId": "req-1",
        "uuid": "u-1",
        "isSidechain": side,
        "cwd": "/home/ana/work/apollo",
        "message": {
            "id": "msg-1",
            "model": "claude-sonnet-4-5",
            "content": [{"type": "text", "text": "the secret plan"}],
            "usage": counts | (usage or {}),
        }
        | (message or {}),
    } | changes


def counted(*files: list[dict[str, Any]]) -> pl.DataFrame:
    """The rows that count after all files were delivered in this order."""
    frames = [
        staged(KIND, lines(*records)).usage.with_columns(
            delivery_sequence=pl.lit(number, pl.Int64), delivery_id=pl.lit(str(number))
        )
        for number, records in enumerate(files)
    ]
    delivered = pl.concat(frame.cast({"delivery_id": pl.Categorical}) for frame in frames).with_row_index("row_number").lazy()
    return without_losers(delivered, loser_rows(delivered)).collect()


def test_the_recorded_session_becomes_answers() -> None:
    found = staged_recorded(KIND, "ana/-home-ana-work-apollo/session.jsonl", user_from_key="^([^/]+)/")
    assert found.rows_read == 5
    assert [row["event_id"] for row in found.rows] == ["msg_01A"] * 3 + ["msg_01B", "err-1"]
    assert [row["status"] for row in found.rows] == ["success"] * 4 + ["error"]
    assert {(row["user_id"], row["project_id"]) for row in found.rows} == {("ana", "apollo")}
    compacted = found.rows[3]
    assert (compacted["reported_input_tokens"], compacted["reported_output_tokens"]) == (150_004, 3_550)


def test_a_line_of_an_older_version_is_read() -> None:
    row = staged_recorded(KIND, "old_version.jsonl").row
    assert (row["event_id"], row["call_id"], row["source_cost_usd"]) == ("msg_old", "req_old", 0.00105)


def test_an_answer_has_its_caches_beside_the_input() -> None:
    row = row_of(KIND, answer())
    names = [
        "reported_input_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "cache_write_1h_tokens",
        "reported_output_tokens",
    ]
    assert [row[name] for name in names] == [4, 20_000, 900, 300, 200]
    assert row["token_convention"] == "cache_beside_input"


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_sessions_last_copy_counts_in_whatever_order_files_arrive(order: tuple[int, ...]) -> None:
    files = [
        [answer(out=1), answer(out=150)],
        [answer(out=200)],
        [answer(out=999, side=True, requestId="req-replay")],
        [answer(out=2, side=True, requestId="req-replay")],
    ]
    found = counted(*(files[at] for at in order))
    assert found["reported_output_tokens"].to_list() == [200]


def test_an_answer_that_only_a_sub_agent_has_counts() -> None:
    found = counted(
        [answer(out=5, side=True, message={"id": "msg-2"}), answer(out=7, side=True, message={"id": "msg-2"})], [answer()]
    )
    assert sorted(found["reported_output_tokens"]) == [7, 200]


def test_a_stream_across_midnight_counts_on_the_day_it_began() -> None:
    late = [answer(timestamp="2026-11-02T23:59:59.900Z", out=1), answer(timestamp="2026-11-03T00:00:03Z", out=200)]
    found = staged(KIND, lines(*late))
    assert found.usage["usage_date"].n_unique() == 1
    assert {row["started_at"].isoformat() for row in found.rows} == {"2026-11-02T23:59:59.900000+00:00"}


def test_only_the_last_answers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("usage_etl.sources.claude_code.parse"), "REMEMBERED_ANSWERS", 2)
    monkeypatch.setattr("usage_etl.sources.reading.lines.BLOCK_BYTES", 1 << 16)
    records = [answer(message={"id": f"msg-{number}", "content": "x" * 2000}) for number in range(100)]
    assert staged(KIND, lines(*records)).usage["event_id"].n_unique() == 100


@pytest.mark.parametrize(
    "other",
    [
        {"type": "summary", "summary": "x", "leafUuid": "y"},
        {"type": "user", "message": {"role": "user", "content": "the secret plan"}, "timestamp": "2026-11-02T09:00:00Z"},
        {"type": "system", "subtype": "compact_boundary", "timestamp": "2026-11-02T09:00:00Z"},
        {"type": "progress", "data": {"message": {"message": {"usage": {"input_tokens": 5}}}}},
        answer(message={"model": "<synthetic>"}),
        {"type": "assistant", "timestamp": "2026-11-02T09:00:00Z", "message": {"id": "m", "usage": {}}},
    ],
)
def test_what_is_no_answer_is_left_out(other: dict[str, Any]) -> None:
    assert staged(KIND, lines(answer(), other)).rows_read == 1


def test_a_failed_call_is_an_error_without_a_model() -> None:
    failed = answer(message={"model": "<synthetic>"}, usage={"input_tokens": 0, "output_tokens": 0}, isApiErrorMessage=True)
    row = row_of(KIND, failed)
    assert (row["status"], row["model_raw"]) == ("error", None)


def test_no_word_of_anybody_is_kept() -> None:
    assert "secret" not in staged(KIND, lines(answer())).usage.write_json()


@pytest.mark.parametrize(
    ("usage", "processing"),
    [
        ({"speed": "fast", "service_tier": "priority"}, "fast"),
        ({"service_tier": "batch"}, "batch"),
        ({"speed": "standard"}, "standard"),
    ],
)
def test_speed_and_tier_are_the_price_class(usage: dict[str, Any], processing: str) -> None:
    assert row_of(KIND, answer(usage=usage))["processing"] == processing


@pytest.mark.parametrize(
    ("id_", "host"), [("msg_bdrk_1", "bedrock"), ("msg_vrtx_1", "vertex_ai"), ("msg_01", "anthropic"), (None, "anthropic")]
)
def test_the_form_of_the_id_says_who_served(id_: str | None, host: str) -> None:
    row = row_of(KIND, answer(message={"id": id_}))
    assert (row["host_raw"], row["event_id"]) == (host, id_ or "req-1")


def test_writes_are_all_lifetimes_also_where_no_sum_is_sent() -> None:
    row = row_of(KIND, answer(usage={"cache_creation_input_tokens": None}))
    assert (row["cache_write_tokens"], row["cache_write_1h_tokens"]) == (900, 300)


@pytest.mark.parametrize(
    ("settings", "owner"),
    [
        ({}, (None, "apollo")),
        ({"user_id": "ana"}, ("ana", "apollo")),
        ({"user_from_key": "^([^/]+)/", "user_from_folder": "^/home/([^/]+)"}, ("bo", "apollo")),
        ({"user_from_key": "^x/([^/]+)/", "user_from_folder": "^/home/([^/]+)"}, ("ana", "apollo")),
        ({"project_from": "path"}, (None, "/home/ana/work/apollo")),
        ({"project_from": "none"}, (None, None)),
        ({"projects": {"/home/ana": "home", "/home/ana/work": "work", "/home/ana/wor": "no"}}, (None, "work")),
        ({"projects": {"/home/ana/wor": "no"}}, (None, "apollo")),
        ({"projects": {"/home/ana/work/apollo/": "exact"}}, (None, "exact")),
    ],
)
def test_users_and_projects_are_found_by_the_settings(settings: dict[str, Any], owner: tuple[str | None, str | None]) -> None:
    row = staged(KIND, lines(answer()), origin_key="bo/-home-ana/s.jsonl", **settings).row
    assert (row["user_id"], row["project_id"]) == owner


@pytest.mark.parametrize(
    ("cwd", "project"), [("C:\\Users\\ana\\apollo", "apollo"), ("/", None), ("/srv/apollo/", "apollo"), (None, None)]
)
def test_folders_of_every_system_are_read(cwd: str | None, project: str | None) -> None:
    assert row_of(KIND, answer(cwd=cwd))["project_id"] == project


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"user_from_key": "["}, "not a regular expression"),
        ({"user_from_folder": "^/home"}, "needs a group"),
        ({"user_id": "ana", "user_from_key": "(.)"}, "leave it out"),
    ],
)
def test_patterns_that_cannot_work_are_errors(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        context_of(KIND, **settings)


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"timestamp": None}, "timestamp__missing"),
        ({"usage": {"input_tokens": -4}}, "input_tokens__out_of_range"),
        ({"usage": {"output_tokens": "x"}}, "output_tokens__not_a_count"),
        ({"message": {"id": None}, "requestId": None, "uuid": None}, "message_answer_id__missing"),
        ({"usage": {"cache_creation": {"ephemeral_1h_input_tokens": -1}}}, "ephemeral_1h_input_tokens__out_of_range"),
    ],
)
def test_a_bad_answer_is_refused_by_name(changes: dict[str, Any], reasons: str) -> None:
    assert reasons_of(KIND, answer(**changes), answer()) == reasons


def test_a_line_that_is_still_written_is_refused_and_the_others_are_read() -> None:
    found = staged(KIND, lines(answer()) + lines(answer(out=201))[:-60])
    assert found.refused == {2: "line__not_a_json_object"}


def test_a_file_of_something_else_is_refused() -> None:
    with pytest.raises(UnreadableDeliveryError, match="not a session file of Claude Code"):
        staged(KIND, lines({"id": 1}, {"id": 2}))


def test_a_compaction_is_billed_with_its_cache_writes_of_an_hour() -> None:
    own = {"type": "message", **answer()["message"]["usage"]}
    compaction = {
        "type": "compaction",
        "input_tokens": 1_000,
        "output_tokens": 50,
        "cache_creation_input_tokens": 70,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 70},
    }
    row = row_of(KIND, answer(usage={"iterations": [own, compaction]}))
    assert (row["reported_input_tokens"], row["reported_output_tokens"], row["cache_read_tokens"]) == (1_004, 250, 20_000)
    assert (row["cache_write_tokens"], row["cache_write_1h_tokens"]) == (970, 370)
    del compaction["cache_creation"]
    assert row_of(KIND, answer(usage={"iterations": [own, compaction]}))["cache_write_1h_tokens"] == 300
