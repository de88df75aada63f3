"""Bundles of small objects: written byte for byte, read as one file, a broken member named without losing the others."""

import datetime as dt
import gzip
import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sources.spend_logs import CONTEXT, line, record
from tests.unit.sources.test_staging import charge_batch, charge_row, usage_batch, usage_row
from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.litellm import SOURCE
from usage_etl.sources.parsed import CoveredBucket, ParseContext, ParsedBatch
from usage_etl.sources.reading import lines as lines_module
from usage_etl.sources.reading.bundles import is_bundle, open_bundle, write_bundle
from usage_etl.sources.reading.lines import read_line_blocks
from usage_etl.sources.sandbox.member_parse import parser_of
from usage_etl.sources.source import Facts, Source
from usage_etl.sources.staging import stage


def zipped(data: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("log.jsonl", data)
    return target.getvalue()


def bundle(folder: Path, *members: tuple[str, bytes]) -> Path:
    path = folder / "b.bundle"
    write_bundle(path, members)
    return path


def numbered(number: int) -> bytes:
    return line(request_id=f"req-{number}").encode()


names = st.text(min_size=1, max_size=150).filter(
    lambda name: name.isprintable() and not name.startswith("/") and not name.endswith("/")
)


@settings(max_examples=40)
@given(members=st.lists(st.tuples(names, st.binary(max_size=3000)), max_size=6))
def test_members_come_back_byte_for_byte_in_order(members: list[tuple[str, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = bundle(folder, *members)
        assert is_bundle(path)
        with open_bundle(path, "gateway") as found:
            assert [(key, local.read_bytes()) for key, local in found] == members
        before = path.read_bytes()
        assert bundle(folder, *members).read_bytes() == before, "the same objects give the same bytes"


def test_a_file_of_a_customer_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(numbered(1))
    assert not is_bundle(tmp_path / "log")


GOOD = (
    ("no line end", numbered(1), 1),
    ("line ends of windows", numbered(2) + b"\r\n" + numbered(3) + b"\r\n", 2),
    ("empty", b"", 0),
    ("byte order mark", b"\xef\xbb\xbf" + numbered(4) + b"\n", 1),
    ("gzip", gzip.compress(numbered(5) + b"\n" + numbered(6)), 2),
    ("gzip of several members", gzip.compress(numbered(7) + b"\n") + gzip.compress(numbered(8)), 2),
    ("zstd", zstd.compress(numbered(9)), 1),
    ("zip", zipped(numbered(10)), 1),
    ("written over many lines", json.dumps(record(request_id="req-11"), indent=2).encode(), 1),
    ("the same in windows", json.dumps(record(request_id="req-12"), indent=2).replace("\n", "\r\n").encode() + b"\r\n", 1),
)
BROKEN = (
    ("a csv", b"request_id,spend\nreq-1,2\n"),
    ("a list", b"[" + numbered(1) + b"]"),
    ("utf-16", numbered(1).decode().encode("utf-16")),
    ("cut gzip", gzip.compress(numbered(20) * 500)[:-30]),
    ("two files in a zip", zipped(b"x").replace(b"PK\x03\x04", b"PK\x03\x04", 1)[:20]),
)


def test_a_bundle_is_read_like_the_one_file_that_its_members_would_make(tmp_path: Path) -> None:
    members = [(name, data) for name, data, _ in GOOD]
    found = list(read_line_blocks(bundle(tmp_path, *members), "gateway"))
    expected = sum(count for *_, count in GOOD)
    assert [(block.first_ordinal, block.lines_count, block.fault) for block in found] == [(1, expected, "")]
    ids = [json.loads(text)["request_id"] for text in found[0].data.splitlines()]
    assert ids == [f"req-{number}" for number in range(1, expected + 1)]


@pytest.mark.parametrize("broken", BROKEN, ids=[name for name, _ in BROKEN])
def test_a_broken_member_is_named_and_the_others_are_read(tmp_path: Path, broken: tuple[str, bytes]) -> None:
    path = bundle(tmp_path, ("a.json", numbered(1)), (f"logs/{broken[0]}", broken[1]), ("z.json", numbered(2)))
    found = stage(SOURCE.parse(path, CONTEXT), context=CONTEXT, work_folder=tmp_path / "work")
    assert (found.rows_read, found.rows_staged, found.rows_quarantined) == (3, 2, 1)
    [refused] = pl.read_parquet(list(found.quarantine["usage_events__quarantine"])).iter_rows(named=True)
    assert (refused["raw_ordinal"], refused["reasons"]) == (2, "member__unreadable")
    assert refused["raw_text"].startswith(f"logs/{broken[0]}: ")
    [file] = found.files
    assert pl.read_parquet(file.path)["raw_ordinal"].to_list() == [1, 3]


def test_records_that_are_broken_themselves_are_refused_one_by_one(tmp_path: Path) -> None:
    path = bundle(
        tmp_path,
        ("a", numbered(1)),
        (
            "b",
            b'{"request_id": "cut',
        ),
        ("c", b'{"other": 1}'),
        ("d", numbered(2)),
    )
    found = stage(SOURCE.parse(path, CONTEXT), context=CONTEXT, work_folder=tmp_path / "work")
    assert (found.rows_read, found.rows_staged, found.rows_quarantined) == (4, 2, 2)


def test_many_members_come_in_blocks_with_ordinals_running_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "BLOCK_BYTES", 2_000)
    texts = [f'{{"n": {number}, "pad": "{"x" * (number % 7 * 90)}"}}' for number in range(300)]
    cut = [texts[:1], texts[1:40], *([text] for text in texts[40:])]  # the second member is larger than a block
    path = bundle(tmp_path, *((f"{number}", "\n".join(some).encode()) for number, some in enumerate(cut)))
    ordinal, read = 1, []
    for block in read_line_blocks(path, "gateway"):
        assert block.first_ordinal == ordinal
        assert block.lines_count == block.data.count(b"\n")
        ordinal += block.lines_count
        read += block.data.decode().splitlines()
    assert read == texts


def test_a_large_member_that_is_cut_gives_its_whole_lines_and_one_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "BLOCK_BYTES", 4_000)
    texts = [f'{{"n": {number}, "pad": "{number * 7919 % 100_003}{"y" * 40}"}}' for number in range(2_000)]
    data = gzip.compress("\n".join(texts).encode())[:-2_000]
    found = list(read_line_blocks(bundle(tmp_path, ("cut.gz", data), ("next", b'{"n": -1}')), "gateway"))
    faults = [block for block in found if block.fault]
    whole = [text for block in found if not block.fault for text in block.data.decode().splitlines()]
    assert len(faults) == 1
    assert whole[-1] == '{"n": -1}'
    assert 100 < len(whole) < 2_000
    assert whole[:-1] == texts[: len(whole) - 1]


def test_a_cut_bundle_is_refused_whole(tmp_path: Path) -> None:
    path = bundle(tmp_path, *((f"{number}", numbered(number)) for number in range(20)))
    path.write_bytes(path.read_bytes()[:5_000])
    with pytest.raises(UnreadableDeliveryError, match="bundle is cut or damaged"):
        list(read_line_blocks(path, "gateway"))


def numbers(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """A parser of single files: one usage row or charge per line, in batches of two."""
    words = path.read_text().split()
    for start in range(0, len(words), 2):
        ordinals = range(start + 1, start + 1 + len(words[start : start + 2]))
        if "bad" in words[start : start + 2]:
            raise UnreadableDeliveryError(context.source, "holds a bad word")
        if words[0].startswith("bill"):
            rows = [charge_row(ordinal, bucket_key=words[0]) for ordinal in ordinals]
            yield charge_batch(*rows, covered=(CoveredBucket("staged_charges", words[0]),))
        else:
            yield usage_batch(*(usage_row(ordinal) for ordinal in ordinals), refused=0)


def single_file_source(**changes: object) -> Source:
    facts = Facts("Numbers", "", "", "", "", "")
    parts = {"kind": "numbers", "settings": SOURCE.settings, "parse": numbers, "parser_version": "1", "datasets": ("n",)}
    return Source(**(parts | {"facts": facts} | changes))


def test_a_parser_of_single_files_is_given_the_members_one_by_one(tmp_path: Path) -> None:
    path = bundle(tmp_path, ("a", b"1 2 3"), ("broken", b"1 2 bad"), ("b", b"4 5"), ("empty", b""), ("c", b"6"))
    parse = parser_of(single_file_source(), path)
    found = stage(parse(path, CONTEXT), context=CONTEXT, work_folder=tmp_path / "work")
    assert (found.rows_read, found.rows_staged, found.rows_quarantined) == (7, 6, 1)
    [file] = found.files
    assert pl.read_parquet(file.path)["raw_ordinal"].to_list() == [1, 2, 3, 5, 6, 7]
    [refused] = pl.read_parquet(list(found.quarantine["usage_events__quarantine"])).iter_rows(named=True)
    assert (refused["raw_ordinal"], refused["raw_text"]) == (4, "broken: holds a bad word")


def test_two_members_that_hold_one_bucket_are_refused_because_none_is_the_newer(tmp_path: Path) -> None:
    path = bundle(tmp_path, ("a", b"bill-1 x x"), ("b", b"bill-2"))
    parse = parser_of(single_file_source(), path)
    found = stage(parse(path, CONTEXT), context=CONTEXT, work_folder=tmp_path / "work")
    assert {rows.bucket.bucket_key: rows.rows_count for rows in found.buckets} == {"bill-1": 3, "bill-2": 1}
    path = bundle(tmp_path, ("a", b"bill-1"), ("b", b"bill-1"))
    with pytest.raises(UnreadableDeliveryError, match="a and b both hold bucket bill-1; set bundle: none"):
        stage(parse(path, CONTEXT), context=CONTEXT, work_folder=tmp_path / "work2")


def test_only_bundles_of_the_folder_s_own_fetch_are_taken_apart(tmp_path: Path) -> None:
    path, plain = bundle(tmp_path, ("a", b"1")), tmp_path / "plain"
    plain.write_text("1")
    assert parser_of(single_file_source(), plain) is numbers
    assert parser_of(single_file_source(reads_bundles=True), path) is numbers
    assert parser_of(single_file_source(fetch=lambda *_: iter(())), path) is numbers, "a run that it bundled itself"
    assert parser_of(single_file_source(), path) is not numbers


def test_the_day_of_the_rows_is_theirs(tmp_path: Path) -> None:
    days = (dt.date(2026, 11, 2), dt.date(2026, 11, 1))
    texts = [line(request_id=f"r{day}", startTime=f"{day} 09:00:00", endTime=f"{day} 09:00:01") for day in days]
    path = bundle(tmp_path, *((str(number), text.encode()) for number, text in enumerate(texts)))
    found = stage(SOURCE.parse(path, CONTEXT), context=CONTEXT, work_folder=tmp_path / "work")
    assert [file.day for file in found.files] == sorted(days)
