"""Page files are told by their content: gzip or not, one page or one per line; anything damaged is refused whole."""

import gzip
import json
from pathlib import Path

import pytest

from tests.unit.sources.report_pages import openai_bucket, openai_cost, openai_page, save
from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.reading.exact_json import JsonNumber, dumps, loads
from usage_etl.sources.reading.pages import page_line, read_pages

PAGE = openai_page(openai_bucket(openai_cost("1.50")))


def documents(path: Path) -> list[object]:
    return [page.document for page in read_pages(path, source="bills")]


@pytest.mark.parametrize("is_gzip", [True, False])
@pytest.mark.parametrize("name", ["page.json", "page.json.gz", "page.jsonl"])
def test_compression_is_told_by_content_not_by_name(tmp_path: Path, name: str, is_gzip: bool) -> None:
    assert documents(save(tmp_path, PAGE, PAGE, name=name, is_gzip=is_gzip)) == [PAGE, PAGE]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + dumps(PAGE).encode(),
        b"\n\r\n" + dumps(PAGE).encode() + b"\r\n\r\n",
        dumps(PAGE).replace(',"', ',\r\n  "').encode(),
        gzip.compress(dumps(PAGE).encode()[:40]) + gzip.compress(dumps(PAGE).encode()[40:]),
    ],
    ids=["byte order mark", "blank lines", "printed over many lines", "gzip members"],
)
def test_harmless_variations_are_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "page.json"
    path.write_bytes(content)
    assert documents(path) == [PAGE]


@pytest.mark.parametrize("content", [b"", b"\n \r\n", gzip.compress(b"")], ids=["no byte", "blanks", "empty gzip"])
def test_an_empty_file_has_no_pages(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "page.json"
    path.write_bytes(content)
    assert documents(path) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (dumps(PAGE).encode()[:-5], "may be cut"),
        (dumps(PAGE).encode() + b"\n" + dumps(PAGE).encode()[:-5], "may be cut"),
        (gzip.compress(dumps(PAGE).encode())[:-9], "is cut or damaged"),
        (gzip.compress(dumps(PAGE).encode())[:-4] + b"\0\0\0\0", "is cut or damaged"),
        (b"\x1f\x8bno gzip at all", "is cut or damaged"),
        (dumps(PAGE).encode("utf-16"), "not UTF-8"),
        (b'{"data": "\xe4"}', "not UTF-8"),
        (b"start_time,end_time,amount_value\n1,2,3\n", "not JSON pages"),
        (b"<html>Sign in</html>", "not JSON pages"),
        (b'{"data": [], "data": []}', "stands twice"),
        (b"[]", "a list, not a page"),
        (b"5", "a single value, not a page"),
        (dumps(PAGE).encode() + b"\n[]", "a list, not a page"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_whole(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "page.json"
    path.write_bytes(content)
    with pytest.raises(UnreadableDeliveryError, match=message):
        documents(path)


def test_a_page_beyond_the_size_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usage_etl.sources.reading.pages.PAGE_BYTES_LIMIT", 100)
    for content in (dumps(PAGE), json.dumps(loads(dumps(PAGE)), indent=1)):
        path = tmp_path / "page.json"
        path.write_bytes(gzip.compress(content.encode()))
        with pytest.raises(UnreadableDeliveryError, match="larger than"):
            documents(path)


def test_numbers_keep_the_text_they_were_sent_as() -> None:
    text = '{"a":[0.10,1E+2,-0,12345678901234567890.123456789,NaN],"b":"0.10","c":null,"d":true}'
    assert dumps(loads(text)) == text
    assert [type(cell) for cell in loads(text)["a"]] == [JsonNumber] * 5
    assert type(loads(text)["b"]) is str


def test_a_body_on_one_line_has_the_same_cells() -> None:
    body = json.dumps({"data": [{"text": "line\nbreak\r", "number": 1.5}]}, indent=2).replace("\n", "\r\n").encode()
    line = page_line(body + b"\n")
    assert not {b"\n", b"\r"} & {line[at : at + 1] for at in range(len(line))}
    assert json.loads(line) == json.loads(body)


def test_a_lone_surrogate_is_printed_as_its_escape() -> None:
    assert dumps(loads('"\\ud800"')).encode() == b'"\\ud800"'
