"""The text of a JSON number is the same however its line was read: ids of events without one are made of such texts."""

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usage_etl.sources.reading.json_lines import LineReader
from usage_etl.sources.reading.lines import read_line_blocks
from usage_etl.sources.reading.long_numbers import with_long_numbers_quoted
from usage_etl.sources.reading.records import RecordShape

SHAPE = RecordShape(fields={"rounded": ("rounded",), "exact": ("inner", "exact")}, exact=frozenset({"exact"}))
SPELLED = ["1.0", "12.0", "1E5", "1e22", "1.5e-05", "-0.0", "0.30000000000000004", "1.10", "5e-7", "12345678901234567890"]


def texts(path: Path, *numbers: str, bad_line: str = "") -> list[tuple[str, str]]:
    records = [f'{{"rounded":{number},"inner":{{"exact":{number}}}}}' for number in numbers]
    path.write_text("\n".join([*records, bad_line]))
    (block,) = read_line_blocks(path, "tested")
    return LineReader(SHAPE).read(block).flat.select("rounded", "exact").rows()


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lines") / "log.jsonl"


def test_a_bad_line_changes_no_text_of_its_neighbours(path: Path) -> None:
    assert texts(path, *SPELLED) == texts(path, *SPELLED, bad_line="{bad}")
    assert [texts(path, number) for number in SPELLED] == [[pair] for pair in texts(path, *SPELLED)]


def test_only_exact_columns_keep_more_digits_than_a_float(path: Path) -> None:
    sent = "12345678901.123456789"
    assert texts(path, sent) == texts(path, sent, bad_line="{bad}") == [("12345678901.123457", sent)]


def test_a_key_inside_a_text_is_left_alone() -> None:
    said = json.dumps({"inner": {"exact": '"exact":12345678901.123456789'}, "rounded": 1})
    flat = pl.DataFrame({"raw_ordinal": [1], "line": [said]})
    assert with_long_numbers_quoted(flat, ["exact"])["line"].to_list() == [said]


@settings(max_examples=100)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e30, max_value=1e30), min_size=1, max_size=5))
def test_floats_read_the_same_both_ways(numbers: list[float]) -> None:
    flat = pl.DataFrame({"raw_ordinal": range(len(numbers)), "line": [f'{{"rounded":{number!r}}}' for number in numbers]})
    shape = RecordShape(fields={"rounded": ("rounded",)})
    fast = flat.select(pl.col("line").str.json_decode(shape.json_types["object"])).unnest("line")["rounded"].to_list()
    assert [shape.flatten(json.loads(line))["rounded"] for line in flat["line"]] == fast
