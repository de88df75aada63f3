"""Each turn of a Codex session counts once: repeated events, totals that begin anew, histories that are held twice."""

import itertools
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sources.source_files import RECORDED, Staged, lines, staged, staged_recorded
from usage_etl.errors import UnreadableDeliveryError
from usage_etl.events import loser_rows, without_losers
from usage_etl.sources.codex.turns import PARTS

KIND = "codex"
Counts = tuple[int, int, int, int]


def meta(at: str = "10:00:00.000", **payload: Any) -> dict[str, Any]:
    facts = {"id": "S1", "cwd": "/Users/bo/apollo", "model_provider": "openai", "source": "cli"}
    return {"timestamp": f"2026-11-02T{at}Z", "type": "session_meta", "payload": facts | payload}


def context(model: str = "gpt-5.2-codex", at: str = "10:00:00.100", **payload: Any) -> dict[str, Any]:
    return {"timestamp": f"2026-11-02T{at}Z", "type": "turn_context", "payload": {"model": model} | payload}


def count(at: str, total: Counts | None = None, last: Counts | None = None) -> dict[str, Any]:
    info = {
        name: dict(zip(PARTS, counts, strict=True))
        for name, counts in (("total_token_usage", total), ("last_token_usage", last))
        if counts is not None
    }
    return {"timestamp": f"2026-11-02T{at}Z", "type": "event_msg", "payload": {"type": "token_count", "info": info or None}}


def turns(found: Staged) -> list[Counts]:
    names = ("reported_input_tokens", "cache_read_tokens", "reported_output_tokens", "reasoning_tokens")
    return found.usage.unique("event_id", maintain_order=True).select(names).rows()


def counted(*files: Staged) -> pl.DataFrame:
    """The rows that count after all files were delivered in this order."""
    frames = [
        file.usage.with_columns(delivery_sequence=pl.lit(number, pl.Int64), delivery_id=pl.lit(str(number)).cast(pl.Categorical))
        for number, file in enumerate(files)
    ]
    delivered = pl.concat(frames).with_row_index("row_number").lazy()
    return without_losers(delivered, loser_rows(delivered)).collect()


def test_the_recorded_session_becomes_turns() -> None:
    found = staged_recorded(KIND, "session.jsonl", user_from_folder="^/Users/([^/]+)")
    assert turns(found) == [(21650, 11008, 217, 60), (23350, 18992, 283, 60), (9000, 0, 100, 10)]
    assert found.rows_read == 4
    row = found.rows[0]
    assert (row["model_raw"], row["user_id"], row["project_id"], row["host_raw"]) == ("gpt-5.2-codex", "bo", "apollo", "openai")
    assert row["session_id"] == "019a0000-0000-7000-8000-000000000001"
    assert row["token_convention"] == "cache_in_input"


def test_a_recorded_fork_counts_its_history_once_in_whatever_order() -> None:
    parent, branch = (staged_recorded(KIND, f"branch-history/{name}.jsonl") for name in ("parent", "branch"))
    for files in itertools.permutations([parent, branch]):
        found = counted(*files)
        assert found.height == 2
        assert found["reported_input_tokens"].sum() == 1700
        assert found["reported_output_tokens"].sum() == 480
        assert found["cache_read_tokens"].sum() == 350


def test_a_recorded_sub_agents_copied_history_is_left_out() -> None:
    assert turns(staged_recorded(KIND, "spawned.jsonl")) == [(6000, 6000, 100, 30)]


def test_a_repeated_event_is_a_copy_of_its_turn() -> None:
    found = staged(
        KIND,
        lines(meta(), context(), count("10:00:09", (9, 1, 2, 1), (9, 1, 2, 1)), count("10:00:10", (9, 1, 2, 1), (0, 0, 0, 0))),
    )
    assert found.rows_read == 2
    assert found.usage["event_id"].n_unique() == 1
    assert found.usage["reported_input_tokens"].to_list() == [9, 9]
    assert found.usage["started_at"].n_unique() == 1


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([((5, 0, 1, 0), None), ((9, 2, 3, 0), None)], [(5, 0, 1, 0), (4, 2, 2, 0)]),
        ([((50, 0, 10, 0), (5, 0, 1, 0)), ((59, 2, 13, 0), (9, 2, 3, 0))], [(5, 0, 1, 0), (9, 2, 3, 0)]),
        (
            [((50, 0, 10, 0), (50, 0, 10, 0)), ((7, 0, 1, 0), (7, 0, 1, 0)), ((9, 0, 2, 0), (2, 0, 1, 0))],
            [(50, 0, 10, 0), (7, 0, 1, 0), (2, 0, 1, 0)],
        ),
        ([((50, 0, 10, 0), None), ((7, 0, 1, 0), None)], [(50, 0, 10, 0), (7, 0, 1, 0)]),
        ([(None, (5, 0, 1, 0)), (None, (6, 0, 1, 0))], [(5, 0, 1, 0), (6, 0, 1, 0)]),
    ],
    ids=["totals only", "history before the file", "totals begin anew", "anew without last", "last only"],
)
def test_totals_and_last_calls_become_turns(events: list[tuple[Counts | None, Counts | None]], expected: list[Counts]) -> None:
    records = [count(f"10:00:{10 + number}", total, last) for number, (total, last) in enumerate(events)]
    assert turns(staged(KIND, lines(meta(), context(), *records))) == expected


@settings(max_examples=40)
@given(
    st.lists(st.tuples(*(st.integers(0, 10**6) for _ in PARTS)), min_size=1, max_size=8),
    st.lists(st.integers(1, 3), min_size=8, max_size=8),
    st.booleans(),
)
def test_turns_add_up_to_the_totals_however_often_events_are_repeated(
    steps: list[Counts], repeats: list[int], has_last: bool
) -> None:
    total, records, at = (0, 0, 0, 0), [], 0
    for step, times in zip(steps, repeats, strict=False):
        used = (step[0] + step[1], step[1], step[2] + step[3], step[3])
        total = tuple(before + more for before, more in zip(total, used, strict=True))
        for _ in range(times):
            at += 1
            records.append(count(f"10:{at // 60:02d}:{at % 60:02d}", total, used if has_last else None))
    found = counted(staged(KIND, lines(meta(), context(), *records)))
    sums = [
        found[name].sum() for name in ("reported_input_tokens", "cache_read_tokens", "reported_output_tokens", "reasoning_tokens")
    ]
    assert tuple(sums) == total


def test_a_fork_with_kept_times_shares_its_parents_turns_and_its_own_are_its_own() -> None:
    first, second = count("10:00:10", (9, 1, 2, 1)), count("10:00:20", (19, 2, 4, 2))
    parent = staged(KIND, lines(meta(), context(), first, second))
    fork = staged(
        KIND,
        lines(meta("11:00:00", id="S2", forked_from_id="S1"), meta(), context(), first, second, count("11:00:30", (30, 3, 6, 3))),
    )
    for files in itertools.permutations([parent, fork]):
        found = counted(*files).sort("started_at")
        assert found["reported_input_tokens"].to_list() == [9, 10, 11]
        assert found["session_id"].to_list() == ["S1", "S1", "S2"]


def test_a_first_real_turn_after_a_copied_history_is_what_the_totals_grew_by() -> None:
    spawned = meta("11:00:00.000", id="S2", source={"subagent": {"thread_spawn": {"parent_thread_id": "S1"}}})
    copied = [count(f"11:00:00.{number:03d}", (10 * number, 0, number, 0)) for number in range(1, 900, 100)]
    found = staged(KIND, lines(spawned, context(), *copied, count("11:00:07", (8110, 0, 820, 0))))
    assert turns(found) == [(100, 0, 19, 0)]
    assert found.rows_read == 1


def test_a_session_of_its_own_may_have_a_quick_first_turn() -> None:
    assert turns(staged(KIND, lines(meta(), context(), count("10:00:00.400", (9, 1, 2, 1))))) == [(9, 1, 2, 1)]


def test_the_model_is_that_of_the_last_context_and_may_be_unknown() -> None:
    records = [
        meta(),
        count("10:00:01", (1, 0, 1, 0)),
        context("a"),
        count("10:00:03", (2, 0, 2, 0)),
        context("b"),
        count("10:00:05", (3, 0, 3, 0)),
    ]
    assert staged(KIND, lines(*records)).usage["model_raw"].to_list() == [None, "a", "b"]


def test_the_state_is_kept_over_blocks_of_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    talk = {"timestamp": "2026-11-02T10:00:01Z", "type": "response_item", "payload": {"type": "message", "content": "x" * 5000}}
    records = [meta(), context()]
    for number in range(1, 60):
        records += [talk, count(f"10:{number // 60:02d}:{number % 60:02d}", (10 * number, 0, number, 0))]
    whole = staged(KIND, lines(*records))
    monkeypatch.setattr("usage_etl.sources.reading.lines.BLOCK_BYTES", 1 << 14)
    assert staged(KIND, lines(*records)).usage.equals(whole.usage)
    assert turns(whole) == [(10, 0, 1, 0)] * 59


def test_events_that_only_tell_of_limits_are_no_turns() -> None:
    assert staged(KIND, lines(meta(), context(), count("10:00:01"))).rows_read == 0


def test_no_word_of_anybody_is_kept() -> None:
    found = staged(KIND, (RECORDED / KIND / "session.jsonl").read_bytes())
    assert "prompt" not in found.usage.drop("prompt_excerpt").write_json()


@pytest.mark.parametrize(
    ("bad", "reasons"),
    [
        (count("10:00:20", (-1, 0, 1, 0)), "input_tokens__out_of_range"),
        (count("10:00:20", ("x", 0, 1, 0)), "input_tokens__not_a_count"),
        (count("10:00:20", (20, 5, 3, 2)) | {"timestamp": None}, "timestamp__missing"),
        (count("10:00:20", None, (5, 6, 1, 0)), "cached_input_tokens__exceed_input_tokens"),
        (count("10:00:20", None, (5, 5, 1, 2)), "reasoning_output_tokens__exceed_output_tokens"),
    ],
)
def test_a_bad_event_is_refused_and_the_turns_after_it_are_right(bad: dict[str, Any], reasons: str) -> None:
    found = staged(KIND, lines(meta(), context(), count("10:00:10", (9, 1, 2, 1)), bad, count("10:00:30", (30, 12, 5, 3))))
    assert found.refused == {4: reasons}
    assert found.usage["reported_input_tokens"].to_list() == [9, 10 if "timestamp" in reasons else 21]


def test_a_file_of_something_else_is_refused() -> None:
    with pytest.raises(UnreadableDeliveryError, match="not a rollout file of Codex"):
        staged(KIND, lines({"type": "turn.completed", "usage": {"input_tokens": 5}}))
