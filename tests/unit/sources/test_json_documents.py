"""Arrays and pages give the same records as JSON lines, whatever their print and wherever a piece of text ends."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.reading import json_documents
from usage_etl.sources.reading.json_documents import begins_as_json, read_record_blocks

RECORDS = [{"id": "a", "n": 1.50, "t": "x] , [{"}, {"id": 'ü\\"', "n": -2e-7, "in": {"a": [1, {}, []]}}, {}]
WITHOUT_SURROGATES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WITHOUT_SURROGATES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WITHOUT_SURROGATES, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(WITHOUT_SURROGATES, ANYTHING, max_size=4), min_size=1, max_size=6)


def read(path: Path, *page_keys: str) -> list[Any]:
    """Records of a file; ordinals must count them."""
    found, ordinal = [], 1
    for block in read_record_blocks(path, "tested", page_keys=page_keys):
        assert block.first_ordinal == ordinal
        texts = block.data.decode().removesuffix("\n").split("\n")
        assert len(texts) == block.lines_count
        ordinal += len(texts)
        found += [json.loads(text) for text in texts if text.strip()]
    return found


@settings(max_examples=60)
@given(OBJECTS, st.sampled_from([None, 0, 2]), st.booleans(), st.integers(1, 40))
def test_an_array_gives_its_records_wherever_pieces_end(
    tmp_path_factory: pytest.TempPathFactory, records: list[Any], indent: int | None, is_ascii: bool, piece: int
) -> None:
    path = tmp_path_factory.mktemp("documents") / "array.json"
    path.write_text(json.dumps(records, indent=indent, ensure_ascii=is_ascii), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_documents, "PIECE_CHARACTERS", piece)
        assert read(path) == records


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("packed", [False, True])
def test_pages_give_their_records(tmp_path: Path, indent: int | None, packed: bool) -> None:
    text = json.dumps({"success": True, "result": RECORDS, "result_info": {"count": 3}}, indent=indent) + "\n"
    path = tmp_path / "page.json"
    content = ("\ufeff" + text + text).encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    assert read(path, "result") == RECORDS * 2


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(["a", "result", "logs", "b"]), OBJECTS | ANYTHING, min_size=1), st.sampled_from([None, 1]))
def test_a_page_gives_the_array_under_the_first_of_its_keys(
    tmp_path_factory: pytest.TempPathFactory, page: dict[str, Any], indent: int | None
) -> None:
    path = tmp_path_factory.mktemp("documents") / "page.json"
    first = {"result": [{"id": "first"}]}
    path.write_text(json.dumps(first) + "\n" + json.dumps(page, indent=indent, ensure_ascii=False), encoding="utf-8")
    held = [page[key] for key in ("result", "logs") if isinstance(page.get(key), list)]
    assert read(path, "result", "logs") == [{"id": "first"}, *(held[0] if held else [page])]


def test_records_of_a_page_keep_their_text(tmp_path: Path) -> None:
    path = tmp_path / "page.json"
    record = r'{"cost": 0.10000000000000000055, "n": 1E+2, "t": "\ud800 \u00fc"}'
    path.write_text(f'{{"result" : [ {record} ,\n[1,\n2]\n] }}\n', encoding="utf-8")
    (block,) = read_record_blocks(path, "tested", page_keys=("result",))
    assert block.data.decode() == f"{record}\n[1, 2]\n"


@pytest.mark.parametrize(
    "text",
    [
        '{"result":[{"id":1}],}',
        '{"result":[{"id":1},]}',
        '{"result":[,{"id":1}]}',
        '{"result":[{"id":1} {"id":2}]}',
        '{,"result":[{"id":1}]}',
        '{"result":[{"id":1}] "a":1}',
        '{"result" [{"id":1}]}',
        '{"result":[{"id":1}]} {"result":[{"id":2}]}',
        '{"result":[{"id":1}]}]',
        '{"result":[{"id":1}],12:13}',
        '{"result":[{"id":1}],"result":[{"id":2}]}',
        '{"result":[{"id":1}],"a":1,"a":2}',
        '{"result":[{"id":1,"id":2}]}',
        '{"result":[{"id":1,"in":{"a":1,"a":1}}]}',
        '{"result":[{"id":1}],"in":{"a":1,"a":1}}',
        '{"result":[{"id":1}',
        '{"result":[{"id":1}]',
        '{"result":[{"id":1}],"a"',
        '{"result":[{"id":"x\ty"}]}',
    ],
)
def test_a_page_that_is_not_json_or_says_a_thing_twice_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "page.json"
    path.write_text('{"result":[{"id":0}]}\n' + text, encoding="utf-8")
    with pytest.raises(UnreadableDeliveryError, match="may be cut"):
        read(path, "result")


def test_json_lines_are_passed_on_with_their_own_numbers(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in RECORDS), encoding="utf-8")
    assert read(path) == RECORDS
    assert read(path, "result") == RECORDS


def test_numbers_keep_their_digits(tmp_path: Path) -> None:
    path = tmp_path / "array.json"
    path.write_text('[ {"cost": 0.10000000000000000055,\n "n": 1E+2} ]', encoding="utf-8")
    (block,) = read_record_blocks(path, "tested")
    assert block.data == b'{"cost": 0.10000000000000000055,  "n": 1E+2}\n'


@pytest.mark.parametrize("cut", range(1, 12))
def test_of_a_cut_array_the_whole_records_are_kept_and_the_rest_is_no_record(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "array.json"
    path.write_text(json.dumps([{"id": 1}, {"id": 22}])[:-cut], encoding="utf-8")
    (block,) = read_record_blocks(path, "tested")
    first, *rest = block.data.decode().splitlines()
    assert json.loads(first) == {"id": 1}
    assert rest == {1: ['{"id": 22}', "the array has no end"], 11: ["the array has no end"]}.get(
        cut, ['{"id": 22}'[: 11 - cut].rstrip()]
    )


def test_what_is_no_object_becomes_a_line_that_no_reader_takes_for_one(tmp_path: Path) -> None:
    path = tmp_path / "array.json"
    path.write_text('[1, "x", null, [], {"id": 1}]', encoding="utf-8")
    assert read(path) == [1, "x", None, [], {"id": 1}]


def test_a_cut_page_is_refused_whole(tmp_path: Path) -> None:
    path = tmp_path / "page.json"
    path.write_text(json.dumps({"result": RECORDS}, indent=1)[:-4], encoding="utf-8")
    with pytest.raises(UnreadableDeliveryError, match="may be cut"):
        read(path, "result")


def test_a_page_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_documents, "PAGE_BYTES_LIMIT", 50)
    path = tmp_path / "page.json"
    path.write_text(json.dumps({"result": RECORDS}, indent=1), encoding="utf-8")
    with pytest.raises(UnreadableDeliveryError, match="larger than"):
        read(path, "result")


def test_an_array_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "array.json"
    path.write_bytes('[{"a": "ü"}]'.encode("cp1252"))
    with pytest.raises(UnreadableDeliveryError, match="not UTF-8"):
        read(path)


@pytest.mark.parametrize(
    ("content", "is_json"),
    [(b"", True), (b" \n{", True), (b"[1]", True), (b"\xef\xbb\xbf[", True), (b"id,cost\n", False), (b"<html>", False)],
)
def test_json_is_told_by_its_first_character(tmp_path: Path, content: bytes, is_json: bool) -> None:
    path = tmp_path / "file"
    for packed in (content, gzip.compress(content)):
        path.write_bytes(packed)
        assert begins_as_json(path, "tested") == is_json
