"""OTLP/JSON files of every exporter give the same rows; what is damaged is refused by span, by line or as a file."""

import gzip
import json
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import settings as of_hypothesis
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.unit.sources.otel_documents import CALL, attributes, call, document, outcome, settings, span
from tests.unit.sources.outcomes import counting_rows, outcome_of
from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.otel_genai import attributes as names
from usage_etl.sources.otel_genai import documents, files
from usage_etl.sources.otel_genai.documents import Documents, read_documents, read_fast
from usage_etl.sources.otel_genai.spans import wanted

LOGS = json.dumps({"resourceLogs": [{"resource": {}, "scopeLogs": [{"scope": {}, "logRecords": [{"body": {}}, {"body": {}}]}]}]})
METRICS = json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "gen_ai.client.token.usage", "sum": {}}]}]}]})
LINES = [document(call(gen__ai_response_id=f"response-{n:016d}"), span({"http.route": "/"})) for n in range(3)]


def framed(*texts: str, compress: bool = True) -> bytes:
    bodies = [zstd.compress(text.encode()) if compress else text.encode() for text in texts]
    return b"".join(len(body).to_bytes(4, "big") + body for body in bodies)


FORMS = {
    "lines": "\n".join(LINES).encode(),
    "lines with blank ones": b"\xef\xbb\xbf" + "\r\n\r\n".join(LINES).encode() + b"\r\n \r\n",
    "gzip": gzip.compress("\n".join(LINES).encode()),
    "gzip of several members": b"".join(gzip.compress(line.encode() + b"\n") for line in LINES),
    "zstd": zstd.compress("\n".join(LINES).encode()),
    "frames of the file exporter": framed(*LINES),
    "frames without compression": framed(*LINES, compress=False),
    "one document over many lines": json.dumps(
        {"resourceSpans": [entry for line in LINES for entry in json.loads(line)["resourceSpans"]]}, indent=2
    ).encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_exporter_s_file_gives_the_same_rows(form: str) -> None:
    found, plain = outcome_of(FORMS[form], settings()), outcome_of(FORMS["lines"], settings())
    assert_frame_equal(found.usage, plain.usage)
    assert (found.rows_read, found.rows_out_of_scope, found.quarantine.height) == (6, 3, 0)
    assert found.hashes == plain.hashes


def test_logs_and_metrics_are_counted_and_never_added() -> None:
    found = outcome(LINES[0], LOGS, METRICS, LINES[1])
    assert (found.rows_read, found.rows_out_of_scope, found.usage.height) == (7, 5, 2)
    assert found.usage["raw_ordinal"].to_list() == [1, 6]
    both = json.dumps(json.loads(LINES[0]) | json.loads(LOGS))
    mixed = outcome(both, LINES[1])
    assert (mixed.rows_read, mixed.rows_out_of_scope, mixed.usage["raw_ordinal"].to_list()) == (6, 4, [1, 5])


def test_logs_beside_a_damaged_line_are_counted_as_well() -> None:
    found = outcome(LINES[0], LOGS, "damaged", METRICS, LINES[1])
    assert (found.rows_read, found.rows_out_of_scope, found.usage["raw_ordinal"].to_list()) == (8, 5, [1, 7])
    assert found.reasons == {5: "line__not_json"}


def test_a_file_of_metrics_alone_is_read_and_becomes_nothing() -> None:
    found = outcome(METRICS, METRICS)
    assert (found.rows_read, found.rows_out_of_scope, found.usage.height, found.quarantine.height) == (2, 2, 0, 0)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (LINES[0][:-20], "line__not_json"),
        ("not json", "line__not_json"),
        ("[]", "line__not_a_json_object"),
        ('{"resourceProfiles":[]}', "line__not_otlp"),
        ("{}", "line__not_otlp"),
        ('{"resourceSpans":{}}', "resourceSpans__not_a_list"),
        ('{"resourceSpans":[{"scopeSpans":5}]}', "scopeSpans__not_a_list"),
        ('{"resourceSpans":["x"]}', "scopeSpans__not_in_an_object"),
        ("[" * 100_000, "line__not_json"),
    ],
)
def test_a_bad_line_is_one_record_and_the_others_are_read(line: str, reason: str) -> None:
    found = outcome(LINES[0], line, LINES[1])
    assert found.reasons == {3: reason}
    assert found.usage["raw_ordinal"].to_list() == [1, 4]
    assert found.quarantine["raw_text"].item() == line[:4096]


def test_lone_surrogates_are_stored_as_what_a_file_can_hold() -> None:
    bad = [span(name="\ud800", startTimeUnixNano="0"), span(name="\ud800", status="x"), call(enduser_id="an\ud800a")]
    found = outcome(document(*bad), LINES[0])
    assert found.reasons == {1: "startTimeUnixNano__too_early", 2: "status__not_in_an_object"}
    assert found.usage["user_id"][0] == "an?a"
    assert all("\\ud800" in text for text in found.quarantine["raw_text"])


def test_a_line_that_is_no_utf8_is_refused_alone() -> None:
    found = outcome_of(LINES[0].encode() + b'\n{"resourceSpans":"\xff"}\n' + LINES[1].encode(), settings())
    assert found.reasons == {3: "line__not_utf8"}
    assert found.usage.height == 2


def test_a_line_too_long_is_refused_by_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usage_etl.sources.reading.lines.BLOCK_BYTES", 1 << 12)
    monkeypatch.setattr(files, "MAX_DOCUMENT_BYTES", 1 << 13)
    long = document(*(call(filler="x" * 100) for _ in range(100)))
    found = outcome(LINES[0], long, LINES[1])
    assert found.reasons == {3: "line__too_long"}
    assert found.usage["raw_ordinal"].to_list() == [1, 4]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (framed(*LINES)[:-5], "last frame"),
        (framed(*LINES) + b"\0\0", "frame .* is cut"),
        (framed(LINES[0])[:12] + b"junk" + framed(LINES[0])[16:], "damaged"),
        (len(zstd.compress(b"\x0a\x10")).to_bytes(4, "big") + zstd.compress(b"\x0a\x10"), "format to json"),
        (b"\x0a\xc4\x01\x0a\x10proto", "not JSON lines"),
        (b'{"request_id": "r-1", "spend": 0.1}\n', "no line is an OTLP/JSON document"),
        (gzip.compress("\n".join(LINES).encode())[:-9], "cut or damaged"),
        (json.dumps(json.loads(LINES[0]), indent=1).encode()[:-4], "not JSON lines|no line is an OTLP"),
    ],
)
def test_a_file_of_something_else_is_refused_whole(content: bytes, message: str) -> None:
    with pytest.raises(UnreadableDeliveryError, match=message):
        outcome_of(content, settings())


def test_a_document_that_bursts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_DOCUMENT_BYTES", 1000)
    with pytest.raises(UnreadableDeliveryError, match="larger than 1000 bytes"):
        outcome_of(framed(LINES[0] + " " * 100_000), settings())
    with pytest.raises(UnreadableDeliveryError, match="larger than 1000 bytes"):
        outcome_of(json.dumps(json.loads(LINES[0]), indent=4), settings())


def test_spans_keep_their_numbers_over_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [document(call(gen__ai_response_id=f"response-{n:016d}", n=n), span({})) for n in range(50)]
    whole = outcome(*lines)
    monkeypatch.setattr("usage_etl.sources.reading.lines.BLOCK_BYTES", 1 << 12)
    cut = outcome(*lines)
    assert_frame_equal(cut.usage, whole.usage)
    assert whole.usage["raw_ordinal"].to_list() == list(range(1, 101, 2))


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALAR = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(-1e15, 1e15), TEXT)
VALUE = st.one_of(
    st.integers(0, 2**40).map(lambda n: {"intValue": str(n)}),
    st.integers(0, 2**40).map(lambda n: {"intValue": n}),
    TEXT.map(lambda text: {"stringValue": text}),
    st.booleans().map(lambda flag: {"boolValue": flag}),
    st.lists(TEXT, max_size=2).map(lambda texts: {"arrayValue": {"values": [{"stringValue": text} for text in texts]}}),
    st.just({}),
    st.none(),
)
KEYS = sorted({key for keys in names.FIELDS.values() for key in keys} | {"enduser.id", "other"})
ANYTHING = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2), max_leaves=4
)


@st.composite
def spans(draw: st.DrawFn, odd: bool) -> Any:
    """A call with some attributes replaced; where ``odd``, with a part of any type."""
    replaced = draw(st.dictionaries(st.sampled_from(KEYS), VALUE, max_size=6))
    pairs = [pair for pair in attributes(CALL) if pair["key"] not in replaced]
    one = span(attributes=pairs + [{"key": key, "value": value} for key, value in replaced.items()])
    if odd:
        one[draw(st.sampled_from(["traceId", "startTimeUnixNano", "attributes", "status", "flags"]))] = draw(ANYTHING)
    return one


def by_numbers(found: Documents) -> tuple[pl.DataFrame, list[Any], int]:
    return found.spans.sort("line_number", "position"), sorted(found.records.rows()), found.others


@of_hypothesis(max_examples=60)
@given(st.lists(st.lists(spans(odd=False), max_size=3), min_size=1, max_size=3))
def test_the_fast_reader_agrees_with_the_slow_one(groups: list[list[Any]]) -> None:
    lines = pl.DataFrame({"line_number": range(1, len(groups) + 1), "line": [document(*group) for group in groups]})
    asked = wanted(settings())
    fast = read_fast(lines, asked)
    assert fast is not None
    with patch.object(documents, "read_fast", return_value=None):
        slow = read_documents(lines, asked)
    (fast_spans, *fast_counts), (slow_spans, *slow_counts) = by_numbers(fast), by_numbers(slow)
    assert fast_counts == slow_counts
    assert_frame_equal(fast_spans, slow_spans.with_columns(pl.col(asked.columns).replace("", None)))


@of_hypothesis(max_examples=25)
@given(st.lists(st.one_of(spans(odd=True), spans(odd=False), ANYTHING), max_size=6), TEXT)
def test_every_span_is_staged_refused_or_out_of_scope(found: list[Any], junk: str) -> None:
    tail = junk.replace("\n", " ").replace("\r", " ")
    result = outcome(document(span(), *found), tail, document(span()))
    assert result.rows_read == len(found) + 2 + bool(tail.strip(" \t\r"))
    again = outcome(document(span(), *found), tail, document(span()))
    assert result.hashes == again.hashes
    assert_frame_equal(counting_rows(result), counting_rows(result, again).drop("delivery_sequence").with_columns(
        delivery_sequence=pl.lit(0, pl.Int64)
    ).select(result.usage.columns))  # fmt: skip


@of_hypothesis(max_examples=60)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_have_a_defined_outcome(content: bytes, is_framed: bool) -> None:
    try:
        outcome_of((len(content).to_bytes(4, "big") + b"{" if is_framed else b"") + content, settings())
    except UnreadableDeliveryError:
        return


@of_hypothesis(max_examples=30)
@given(st.data())
def test_a_damaged_file_loses_only_damaged_lines(data: st.DataObject) -> None:
    good = [document(call(gen__ai_response_id=f"response-{n:016d}")).encode() for n in range(5)]
    content = bytearray(b"\n".join(good))
    at = data.draw(st.integers(len(good[0]) + 1, len(content) - 1))
    content[at] = data.draw(st.integers(0, 255))
    found = outcome_of(bytes(content), settings())
    untouched = [number for number, line in enumerate(bytes(content).split(b"\n")) if line in good]
    expected = {f"response-{good.index(bytes(content).split(bytes([10]))[number]):016d}" for number in untouched}
    assert expected <= set(found.usage["event_id"])
