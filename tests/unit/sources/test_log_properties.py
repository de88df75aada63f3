"""Every JSON log: whatever stands in a documented field, counts close and rows repeat; what is right arrives whole."""

import copy
import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sources.source_files import RECORDED, lines, staged
from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.ask_sage.columns import LOG
from usage_etl.sources.claude_code.rows import FIELDS as CLAUDE_FIELDS
from usage_etl.sources.cloudflare_ai_gateway.rows import API_FIELDS, PUSHED_FIELDS
from usage_etl.sources.codex.rows import FIELDS as CODEX_FIELDS
from usage_etl.sources.envoy_ai_gateway.settings import EnvoyFields
from usage_etl.sources.helicone.rows import FIELDS as HELICONE_FIELDS
from usage_etl.sources.kong.rows import CALL_FIELDS
from usage_etl.sources.kong.rows import FIELDS as KONG_FIELDS
from usage_etl.sources.portkey.rows import FIELDS as PORTKEY_FIELDS

Place = tuple[str, ...]


@dataclass(frozen=True)
class Log:
    """One kind of log: where its examples lie, its documented fields, and where its token counts and its id stand."""

    kind: str
    example: str
    places: tuple[Place, ...]
    input_at: Place
    output_at: Place
    id_at: Place
    settings: Mapping[str, Any]


def _places(*fields: Mapping[str, Place]) -> tuple[Place, ...]:
    return tuple(dict.fromkeys(place for each in fields for place in each.values()))


_KONG_CALL = {name: ("ai", "proxy", *place) for name, place in CALL_FIELDS.items()}
_ENVOY = {name: (found,) for name, found in EnvoyFields().model_dump().items() if found}
_SAGE = {name: (spellings[0].replace(" ", "_"),) for name, spellings in LOG.items()}

LOGS = {
    log.kind: log
    for log in (
        Log(
            "helicone", "export.jsonl", _places(HELICONE_FIELDS), ("prompt_tokens",), ("completion_tokens",), ("request_id",), {}
        ),
        Log("portkey", "export.jsonl", _places(PORTKEY_FIELDS), ("req_units",), ("res_units",), ("id",), {"cost_unit": "cents"}),
        Log("cloudflare_ai_gateway", "logpush.jsonl", _places(PUSHED_FIELDS), (), (), (), {}),
        Log(
            "kong",
            "access_log.jsonl",
            _places(KONG_FIELDS, _KONG_CALL),
            ("ai", "proxy", "usage", "prompt_tokens"),
            ("ai", "proxy", "usage", "completion_tokens"),
            ("request", "id"),
            {"plugins": ["proxy"]},
        ),
        Log(
            "envoy_ai_gateway",
            "access_log.jsonl",
            _places(_ENVOY),
            ("genai_tokens_input",),
            ("genai_tokens_output",),
            ("x-request-id",),
            {},
        ),
        Log(
            "claude_code",
            "ana/-home-ana-work-apollo/session.jsonl",
            _places(CLAUDE_FIELDS),
            ("message", "usage", "input_tokens"),
            ("message", "usage", "output_tokens"),
            ("message", "id"),
            {},
        ),
        Log("codex", "session.jsonl", _places(CODEX_FIELDS), (), (), (), {}),
        Log("ask_sage", "user_logs_answer.json", _places(_SAGE), ("prompt_tokens",), ("completion_tokens",), ("id",), {}),
    )
}

MOMENTS = st.integers(0, 342_000_000_000_000).map(
    lambda micros: dt.datetime(2016, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=micros)
)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x1e\x1f"), max_size=10)
SCALAR = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
ANYTHING = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=5
)


def examples(log: Log) -> list[dict[str, Any]]:
    text = (RECORDED / log.kind / log.example).read_text(encoding="utf-8")
    if log.example.endswith(".json"):
        return list(json.loads(text)["response"])
    return [json.loads(line) for line in text.splitlines()]


def put(record: Any, place: Place, value: Any) -> None:
    """Set what stands at a place, making the objects above it."""
    for name in place[:-1]:
        inner = record.get(name)
        record[name] = inner if isinstance(inner, dict) else {}
        record = record[name]
    record[place[-1]] = value


@st.composite
def mangled(draw: st.DrawFn, log: Log) -> list[dict[str, Any]]:
    """Recorded lines with some documented fields holding anything."""
    found = []
    for record in draw(st.lists(st.sampled_from(examples(log)), min_size=1, max_size=5)):
        changed = copy.deepcopy(record)
        for place in draw(st.lists(st.sampled_from(log.places), max_size=4)):
            put(changed, place, draw(ANYTHING))
        found.append(changed)
    return found


def twice(log: Log, content: str) -> None:
    """Counts close, as ``staged`` checks, and the second reading gives what the first gave."""

    def reading() -> Any:
        try:
            found = staged(log.kind, content, **log.settings)
        except UnreadableDeliveryError as error:
            return str(error)
        return found.usage.write_json(), found.quarantine.write_json()

    assert reading() == reading()


@pytest.mark.parametrize("kind", LOGS)
def test_whatever_stands_in_a_field_counts_close_and_rows_repeat(kind: str) -> None:
    log = LOGS[kind]

    @settings(max_examples=25, deadline=None)
    @given(mangled(log))
    def check(records: list[dict[str, Any]]) -> None:
        twice(log, lines(*records))

    check()


@pytest.mark.parametrize("kind", LOGS)
def test_a_file_that_was_cut_anywhere_is_accounted_for(kind: str) -> None:
    log = LOGS[kind]
    content = lines(*examples(log))

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, len(content)))
    def check(end: int) -> None:
        twice(log, content[:end])

    check()


WITH_TOKENS = [kind for kind, log in LOGS.items() if log.input_at]


@pytest.mark.parametrize("kind", WITH_TOKENS)
def test_tokens_of_good_records_arrive_whole_in_every_spelling(kind: str) -> None:
    log = LOGS[kind]
    example = examples(log)[-2 if kind == "claude_code" else 0]
    if kind == "claude_code":
        example = next(record for record in examples(log) if "usage" in record.get("message", {}))
    spellings: tuple[Callable[[int], Any], ...] = (int, str, float)

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9), st.sampled_from(spellings)), min_size=1, max_size=6))
    def check(counts: list[tuple[int, int, Callable[[int], Any]]]) -> None:
        records = []
        for number, (given_input, given_output, spelled) in enumerate(counts):
            record = copy.deepcopy(example)
            for place in log.places:  # subsets of the counts would have to fit them
                if "cache" in place[-1] or "reasoning" in place[-1] or "audio" in place[-1]:
                    put(record, place, None)
            put(record, log.input_at, spelled(given_input))
            put(record, log.output_at, spelled(given_output))
            put(record, log.id_at, str(number))
            records.append(record)
        found = staged(kind, lines(*records), **log.settings)
        assert found.refused == {}
        assert found.tokens() == (sum(count[0] for count in counts), sum(count[1] for count in counts))
        assert found.usage["event_id"].n_unique() == len(counts)

    check()


@settings(max_examples=25, deadline=None)
@given(MOMENTS, st.integers(0, 10**9), st.integers(0, 10**6))
def test_a_record_of_the_logs_api_arrives_whole(at: dt.datetime, tokens: int, latency: int) -> None:
    values: dict[str, Any] = dict.fromkeys((place[0] for place in API_FIELDS.values()), None)
    values |= {
        "id": "a",
        "created_at": at.isoformat(),
        "tokens_in": tokens,
        "tokens_out": 1,
        "duration": latency,
        "status_code": 200,
    }
    row = staged("cloudflare_ai_gateway", lines(values)).row
    assert row["started_at"] == at
    assert (row["reported_input_tokens"], row["latency_ms"], row["usage_date"]) == (tokens, latency, at.date())
