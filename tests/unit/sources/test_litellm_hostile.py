"""Whatever stands in a SpendLogs file: counts close, ordinals are true, and the fast reader agrees with the slow one."""

import json
from typing import Any
from unittest.mock import patch

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.unit.sources.spend_logs import line, outcome_of, record
from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.litellm.spend_logs import FIELDS, SHAPE
from usage_etl.sources.reading.json_lines import LineReader
from usage_etl.sources.reading.lines import LineBlock

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x1f"), max_size=12)
SCALAR = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), TEXT
)
ANYTHING = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)
TOP_NAMES = sorted({path[0] for path in FIELDS.values()})


def records_count(content: bytes) -> int:
    return sum(bool(text.strip(b" \t\r")) for text in content.split(b"\n"))


def nested(path: tuple[str, ...], value: Any) -> Any:
    return value if not path else {path[0]: nested(path[1:], value)}


@st.composite
def records(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> dict[str, Any]:
    """A good record with some of the known fields replaced, at the top or deep in the metadata."""
    found = record(request_id=draw(TEXT))
    for name in draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=4)):
        path = FIELDS[name]
        value = draw(st.lists(TEXT, max_size=3)) if name in ("request_tags", "batch_models") else draw(values)
        found[path[0]] = nested(path[1:], value)
    return found


def read(content: str) -> tuple[pl.DataFrame, dict[int, str]]:
    data = content.encode()
    found = LineReader(SHAPE).read(LineBlock(data, 1, data.count(b"\n") + (not data.endswith(b"\n"))))
    return found.flat, {ordinal: rules for ordinal, _, rules in found.refused}


def read_slowly(content: str) -> tuple[pl.DataFrame, dict[int, str]]:
    with patch("usage_etl.sources.reading.json_lines._decode_as", return_value=None):
        return read(content)


def without_spelling(flat: pl.DataFrame) -> pl.DataFrame:
    """The readers may print one float in two ways (``1e22``, ``1e+22``), and empty text is as good as none."""
    return flat.with_columns(pl.col(name).replace("", None) for name in FIELDS).with_columns(
        pl.when(pl.col(name).str.contains(r"^-?[0-9.]+(e[+-]?[0-9]+)?$"))
        .then(pl.col(name).cast(pl.Float64, strict=False).cast(pl.String))
        .otherwise(pl.col(name))
        .alias(name)
        for name in FIELDS
    )


@settings(max_examples=60)
@given(st.lists(records(SCALAR), min_size=1, max_size=5), st.booleans())
def test_the_fast_reader_agrees_with_the_slow_one(found: list[dict[str, Any]], is_text: bool) -> None:
    if is_text:
        found = [one | {"metadata": json.dumps(one["metadata"])} for one in found]
    content = "\n".join(json.dumps(one) for one in found)
    fast, fast_refused = read(content)
    slow, slow_refused = read_slowly(content)

    assert fast_refused == slow_refused
    assert_frame_equal(without_spelling(fast), without_spelling(slow))


@settings(max_examples=40)
@given(st.lists(st.one_of(records(ANYTHING).map(json.dumps), ANYTHING.map(json.dumps), TEXT, st.just(line())), max_size=8))
def test_every_line_is_staged_or_quarantined_under_its_own_number(found: list[str]) -> None:
    written = [line(request_id="first"), *(text.replace("\n", " ").replace("\r", " ") for text in found)]
    outcome = outcome_of("\n".join(written))

    ordinals = sorted([*outcome.usage["raw_ordinal"], *outcome.quarantine["raw_ordinal"]])
    assert ordinals == [number for number, text in enumerate(written, start=1) if text.strip(" \t")]
    for ordinal, event_id in outcome.usage.select("raw_ordinal", "event_id").rows():
        sent = json.loads(written[ordinal - 1])["request_id"]
        assert sent == event_id or (not isinstance(sent, str) and sent == json.loads(event_id))
    for ordinal, text in outcome.quarantine.select("raw_ordinal", "raw_text").rows():
        assert written[ordinal - 1].strip() == text.strip()


@settings(max_examples=60)
@given(st.binary(max_size=300))
def test_any_bytes_have_a_defined_outcome(content: bytes) -> None:
    try:
        outcome = outcome_of(content)
    except UnreadableDeliveryError:
        return
    assert outcome.rows_read == records_count(content.removeprefix(b"\xef\xbb\xbf"))


@settings(max_examples=40)
@given(st.data())
def test_a_damaged_file_loses_only_damaged_lines(data: st.DataObject) -> None:
    good = [line(request_id=f"req-{number}").encode() for number in range(6)]
    content = bytearray(b"\n".join(good))
    at = data.draw(st.integers(len(good[0]) + 1, len(content) - 1))
    content[at] = data.draw(st.integers(0, 255))
    outcome = outcome_of(bytes(content))

    lines = bytes(content).split(b"\n")
    untouched = {text.decode() for text in lines if text in good}
    staged = set(outcome.usage["event_id"])
    assert {json.loads(text)["request_id"] for text in untouched} <= staged
    assert outcome.rows_read == records_count(bytes(content))
