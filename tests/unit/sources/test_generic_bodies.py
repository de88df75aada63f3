"""A provider's usage object in one column of the generic contract gives the token classes of that provider, or a named fault."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.unit.sources.source_files import lines, row_of, staged, table
from usage_etl.sources.rows.usage_bodies import find_usage, staged_tokens

CASES = json.loads((Path(__file__).parents[2] / "recorded" / "usage_bodies" / "usages.json").read_text(encoding="utf-8"))
KIND = "generic"
MAPPING: dict[str, Any] = {
    "columns": {"event_id": "id", "started_at": "at", "host": "host", "usage_body": "answer"},
    "constants": {"primitive": "ai.chat"},
}
CLAUDE = {"usage": {"input_tokens": 10, "cache_read_input_tokens": 900, "output_tokens": 7, "service_tier": "batch"}}


def call(answer: object, **changes: Any) -> dict[str, Any]:
    return {"id": "c-1", "at": "2026-11-02T09:00:00Z", "host": "anthropic", "answer": answer} | changes


def counted(row: dict[str, Any]) -> tuple[Any, ...]:
    names = ("token_convention", "reported_input_tokens", "cache_read_tokens", "reported_output_tokens", "processing")
    return tuple(row[name] for name in names)


EXPECTED = ("cache_beside_input", 10, 900, 7, "batch")


def test_an_object_or_its_text_is_read_by_the_providers_own_rules() -> None:
    assert counted(row_of(KIND, call(CLAUDE), **MAPPING)) == EXPECTED
    assert counted(row_of(KIND, call(json.dumps(CLAUDE)), **MAPPING)) == EXPECTED
    assert counted(row_of(KIND, call(CLAUDE["usage"]), **MAPPING)) == EXPECTED


def test_a_table_holds_it_as_text() -> None:
    row = call('"' + json.dumps(CLAUDE).replace('"', '""') + '"')
    found = staged(KIND, table(list(row), list(row.values()), separator="|"), **MAPPING)
    assert counted(found.rows[0]) == EXPECTED


def test_a_line_that_makes_its_block_be_read_one_by_one_changes_nothing() -> None:
    found = staged(KIND, lines(call(CLAUDE), "{broken", call(CLAUDE, id="c-2")), **MAPPING)
    assert [counted(row) for row in found.rows] == [EXPECTED, EXPECTED]
    assert list(found.refused) == [2]


def test_every_recorded_body_gives_what_its_provider_means() -> None:
    bodies = [(case["host"], case["answer"]) for case in CASES]
    found = staged(KIND, lines(*(call(body, id=str(n), host=host) for n, (host, body) in enumerate(bodies))), **MAPPING)
    assert found.refused == {}
    for row, (host, body) in zip(found.rows, bodies, strict=True):
        wanted = staged_tokens(find_usage(body) or body, host=host)
        assert {name: row[name] for name in wanted} == wanted


def test_a_call_without_usage_has_none() -> None:
    row = row_of(KIND, call(None), **MAPPING)
    assert (row["reported_input_tokens"], row["token_convention"]) == (None, "cache_in_input")


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        ("{", "not_json"),
        ("[" * 100_000, "not_json"),
        ("[1]", "not_an_object"),
        ({"usage": {"prompt_tokens": "many"}}, "unknown_shape"),
        ({"usage": {"prompt_tokens": -1, "completion_tokens": 1}}, "unknown_shape"),
        ({"usage": {"prompt_tokens": 10**18, "completion_tokens": 1}}, "out_of_range"),
        (
            {"usage": {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 6}}},
            "cached_tokens_exceed_input",
        ),
    ],
)
def test_a_body_that_cannot_be_right_is_refused_by_name(answer: object, rule: str) -> None:
    found = staged(KIND, lines(call(answer), call(CLAUDE, id="c-2")), **MAPPING)
    assert found.refused == {1: f"usage_body__{rule}"}
    assert found.rows_read == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": {**MAPPING["columns"], "input_tokens": "n"}}, "input_tokens and usage_body are both mapped"),
        ({"grain": "bucket", "columns": {"period_start": "at", "usage_body": "answer"}, "period": "day"}, "of one request"),
    ],
)
def test_a_mapping_that_says_tokens_twice_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        staged(KIND, b"", **(MAPPING | changes))


def test_without_the_field_nothing_is_asked_of_bodies() -> None:
    mapping = {"columns": {"event_id": "id", "started_at": "at", "input_tokens": "n"}, "constants": {"primitive": "ai.chat"}}
    found = staged(KIND, lines({"id": "1", "at": "2026-11-02T09:00:00Z", "n": 5}), **mapping)
    assert found.usage.select(pl.col("reported_input_tokens", "native_quantity")).row(0) == (5, None)
