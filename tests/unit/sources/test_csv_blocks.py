"""Tables as text: whatever is read at once by columns is what row by row reading gives, faults included."""

import csv
import gzip
import io
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.reading import csv_blocks, text_tables
from usage_etl.sources.reading.csv_blocks import record_blocks
from usage_etl.sources.reading.text_tables import read_tables

Rows = list[tuple[int, tuple[str | None, ...]]]


def found(path: Path, names: Sequence[str] | None = None) -> tuple[Rows, list[tuple[int, str]], int]:
    """Rows with their ordinals, refused ordinals with their rules, and the count of rows."""
    rows: Rows = []
    refused: list[tuple[int, str]] = []
    count = 0
    for table in read_tables(path, "bills", wanted=lambda header: names or header):
        rows += [(row[0], row[1:]) for row in table.frame.iter_rows()]
        refused += [(ordinal, rule) for ordinal, _, rule in table.refused]
        count += table.rows_count
        assert table.frame.height + len(table.refused) == table.rows_count
    return rows, refused, count


def row_by_row(path: Path, monkeypatch: pytest.MonkeyPatch, names: Sequence[str] | None = None) -> object:
    with monkeypatch.context() as patch:
        patch.setattr(text_tables, "read_block", lambda *_: None)
        return found(path, names)


def written(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


CELLS = st.text(alphabet="ab ,;\"'\t\r\n1.é\x01", max_size=6)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=12),
    block=st.integers(1, 40),
    ends=st.sampled_from(["\n", "\r\n"]),
)
def test_well_written_tables_are_read_alike_at_once_and_row_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[list[str]], block: int, ends: str
) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator=ends).writerows([["one", "two", "three"], *rows])
    path = written(tmp_path / "t.csv", buffer.getvalue())
    with monkeypatch.context() as patch:
        patch.setattr(csv_blocks, "BLOCK_BYTES", block)
        at_once = found(path)
    assert at_once == row_by_row(path, monkeypatch)
    assert found(path, ["three", "one"])[0] == [(ordinal, (cells[2], cells[0])) for ordinal, cells in at_once[0]]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet='ab,,,"\n\n ', max_size=60))
def test_badly_written_tables_are_read_alike_at_once_and_row_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    path = written(tmp_path / "t.csv", "one,two,three\n" + text)
    assert found(path) == row_by_row(path, monkeypatch)


@settings(max_examples=100)
@given(text=st.text(alphabet='ab,"\n', max_size=80), block=st.integers(1, 30))
def test_blocks_lose_nothing_and_end_where_lines_do(text: str, block: int) -> None:
    blocks = list(record_blocks(io.BytesIO(text[10:].encode()), text[:10].encode(), block_bytes=block))
    assert b"".join(blocks).decode() == text
    assert all(part.endswith(b"\n") for part in blocks[:-1])


@pytest.mark.parametrize("content", ["a,b\n1,2\n3\n4,5\n", "a,b\n1,2\n3,4,5\n4,5\n"])
def test_a_row_of_another_length_is_refused_and_the_others_kept(tmp_path: Path, content: str) -> None:
    rows, refused, count = found(written(tmp_path / "t.csv", content))
    assert rows == [(1, ("1", "2")), (3, ("4", "5"))]
    assert [ordinal for ordinal, _ in refused] == [2]
    assert count == 3


def test_a_damaged_row_leaves_other_blocks_to_be_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 64)
    lines = [f'{number},"x, y",z' for number in range(50)]
    lines[20] = "20,short"
    rows, refused, count = found(written(tmp_path / "t.csv", "n,text,end\n" + "\n".join(lines)))
    assert count == 50
    assert refused == [(21, "row__too_few_cells")]
    assert [cells[0] for _, cells in rows] == [str(number) for number in range(50) if number != 20]
    assert [ordinal for ordinal, _ in rows] == [number + 1 for number in range(50) if number != 20]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_encodings_and_separators_are_told_from_the_content(tmp_path: Path, encoding: str, separator: str) -> None:
    path = tmp_path / "t.csv.gz"
    text = "name,cost\r\nZürich,1.5\r\nBern,\r\n".replace(",", separator)
    path.write_bytes(gzip.compress(text.encode(encoding)))
    assert found(path)[0] == [(1, ("Zürich", "1.5")), (2, ("Bern", None))]


def test_a_quoted_row_is_quoted_as_it_was_written(tmp_path: Path) -> None:
    (table,) = read_tables(written(tmp_path / "t.csv", 'a,b,c\n1,"x, y",3\n4,5,6\n'), "bills", wanted=lambda _: ["b"])
    assert table.frame.columns == ["raw_ordinal", "b"]
    assert table.raw_text(1) == '1,"x, y",3'


def test_parquet_prints_numbers_with_all_digits_and_maps_as_objects(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "cost": pl.Series([1e-06, 0.1, None], dtype=pl.Float64),
            "exact": pl.Series([Decimal("12.345678901234567891"), None, Decimal(0)], dtype=pl.Decimal(38, 18)),
            "tags": pl.Series(
                [[{"key": "team", "value": 'a"b'}, {"key": "none", "value": None}], [], None],
                dtype=pl.List(pl.Struct({"key": pl.String, "value": pl.String})),
            ),
            "other": ["x", "y", "z"],
        }
    )
    path = tmp_path / "t.parquet"
    frame.write_parquet(path)
    (table,) = read_tables(path, "bills", wanted=lambda _: ["cost", "exact", "tags"])
    assert [Decimal(text) if text else None for text in table.frame["cost"]] == [Decimal("0.000001"), Decimal("0.1"), None]
    assert table.frame["exact"][0] == "12.345678901234567891"
    assert [json.loads(text) if text else None for text in table.frame["tags"]] == [{"team": 'a"b', "none": None}, {}, None]
    assert json.loads(table.raw_text(2))["other"] == "y"


@pytest.mark.parametrize("content", [b"", b"a,b\n\xff\xfe\x81,1\n", b"one\n2\n", b"a,a\n1,2\n", b"PAR1 and no more"])
def test_what_is_no_table_is_refused_whole(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t"
    path.write_bytes(content)
    with pytest.raises(UnreadableDeliveryError):
        found(path)
