"""Tables as they are found: any encoding, separator and compression; every row in the frame or refused, no cell changed."""

import csv
import datetime as dt
import gzip
import io
import tempfile
import zipfile
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.reading import text_tables
from usage_etl.sources.reading.text_tables import TextTable, read_tables

CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\x85\u2028\u2029\x0b\x0c\x1c\x1d\x1e"), max_size=8)


def tables(path: Path, content: bytes) -> list[TextTable]:
    path.write_bytes(content)
    return list(read_tables(path, "bill"))


def rows(path: Path, content: bytes) -> list[tuple[object, ...]]:
    return [row for table in tables(path, content) for row in table.frame.rows()]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_encoding_separator_and_line_ends_are_told_from_the_content(
    tmp_path: Path, encoding: str, separator: str, line_end: str
) -> None:
    lines = [["id", "name", "cost"], ["1", "Müller €", "1.50"], ["2", f"a{separator}b", "-0"]]
    text = line_end.join(separator.join(f'"{cell}"' for cell in line) for line in lines)

    assert rows(tmp_path / "t.csv", text.encode(encoding)) == [(1, "1", "Müller €", "1.50"), (2, "2", f"a{separator}b", "-0")]


@given(st.lists(st.tuples(CELL, CELL, CELL), max_size=12))
def test_whatever_a_writer_of_csv_wrote_is_read_back(written: list[tuple[str, str, str]]) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([("id", "name", "cost"), *written])
    with tempfile.TemporaryDirectory() as folder:
        found = [row[1:] for row in rows(Path(folder) / "t.csv", buffer.getvalue().encode())]
    assert found == [tuple(cell or None for cell in row) for row in written if any(row)]


@pytest.mark.parametrize("pack", [gzip.compress, lambda content: _zipped({"a.csv": content, "__MACOSX/a": b"x"})])
def test_compressed_tables_are_told_by_content(tmp_path: Path, pack: object) -> None:
    assert rows(tmp_path / "t.csv", pack(b"id,cost\n1,2\n")) == [(1, "1", "2")]  # type: ignore[operator]  # one of two functions


def _zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_a_row_of_another_width_is_refused_and_its_neighbours_are_read(tmp_path: Path) -> None:
    (table,) = tables(tmp_path / "t.csv", b"id,name,cost\n1,a,2\n2,b\n3,c,4,5\n\n4,d\0,6\n5,e,7\n")

    assert table.frame.rows() == [(1, "1", "a", "2"), (5, "5", "e", "7")]
    assert table.refused == [
        (2, "2,b", "row__too_few_cells"),
        (3, "3,c,4,5", "row__too_many_cells"),
        (4, "4,d\0,6", "row__holds_nul"),
    ]
    assert table.rows_count == 5


def test_frames_are_bounded_and_ordinals_run_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_tables, "CHUNK_CELLS", 20)
    content = b"id,cost\n" + b"".join(f"{number},{'x,' * (number % 7 == 0)}1\n".encode() for number in range(1, 96))
    found = tables(tmp_path / "t.csv", content)

    assert [table.rows_count for table in found] == [10] * 9 + [5]
    ordinals = [
        ordinal for table in found for ordinal in [*table.frame["raw_ordinal"], *(refusal[0] for refusal in table.refused)]
    ]
    assert sorted(ordinals) == list(range(1, 96))
    assert all(int(row[1]) == row[0] for table in found for row in table.frame.rows())


def test_a_file_with_a_header_only_has_no_rows_and_a_known_header(tmp_path: Path) -> None:
    (table,) = tables(tmp_path / "t.csv", b"id,cost\n")

    assert (table.rows_count, table.frame.columns) == (0, ["raw_ordinal", "id", "cost"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"just one column\n1\n", "fewer than two columns"),
        (b'{"BilledCost": 1}\n', "begins like JSON, and a table of text is wanted"),
        (b"id,cost,id\n1,2,3\n", "twice: id"),
        (b"a," * 2001 + b"z\n", "names 2002 columns"),
        (b"id,cost\n1,\x81\n", "neither"),
        (b"PAR1" + b"x" * 100, "Parquet"),
        (b"id,cost\n" + b"1" * (17 << 20), "one line is longer"),
        (gzip.compress(b"id,cost\n1,2\n" * 9000)[:-9], "cut or damaged"),
        (_zipped({"a.csv": b"1", "b.csv": b"2"}), "holds 2 files"),
    ],
)
def test_what_is_no_table_is_refused_with_a_reason(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UnreadableDeliveryError, match=message):
        tables(tmp_path / "t.csv", content)


def test_parquet_cells_are_printed_with_all_their_digits(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame(
        {
            "cost": [Decimal("0.000000000000000001"), None],
            "rate": [1e-7, 0.1],
            "count": [2**62, -1],
            "at": [dt.datetime(2026, 11, 1, 1, 2, 3, 400, tzinfo=dt.UTC)] * 2,
            "local": [dt.datetime(2026, 11, 1, 1, 2, 3)] * 2,  # noqa: DTZ001 - a column without a zone
            "day": [dt.date(2026, 11, 1)] * 2,
            "labels": [[{"key": "team", "value": "a"}], []],
            "project": [{"id": "p", "since": dt.date(2026, 1, 1)}, None],
            "empty": ["", "x"],
        },
        schema_overrides={"cost": pl.Decimal(38, 18)},
    ).write_parquet(path)
    (table,) = read_tables(path, "bill")

    assert table.frame.row(0, named=True) == {
        "raw_ordinal": 1,
        "cost": "0.000000000000000001",
        "rate": "1e-7",
        "count": "4611686018427387904",
        "at": "2026-11-01T01:02:03.000400+0000",
        "local": "2026-11-01T01:02:03",
        "day": "2026-11-01",
        "labels": '{"team": "a"}',
        "project": '{"id": "p", "since": "2026-01-01"}',
        "empty": None,
    }
    assert table.raw_text(2).startswith('{"rate": "0.1"')
