"""Records of a JSON file that is not JSON lines: one array of records, or API pages that hold one, as blocks of lines.

A file of JSON lines is passed on as it is. Of an array or a page each record becomes one line, its text unchanged but for the
white space around its parts, so numbers keep their digits; ordinals count records. An array is read piece by piece:
memory holds one piece and one record. What is left of a cut array is one more line, which no reader takes for a record.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Collection, Iterator
from io import BufferedIOBase
from pathlib import Path

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.reading.exact_json import unique_keys
from usage_etl.sources.reading.lines import MAX_LINE_BYTES, LineBlock, read_line_blocks
from usage_etl.sources.reading.plain import open_plain

PIECE_CHARACTERS = 4 << 20
"""Text that is decoded at a time, and about the size of a block."""

PAGE_BYTES_LIMIT = 64 << 20
"""A page that is not on one line and larger than this is not read."""

_BLANKS = " \t\r\n"
_NO_END = "the array has no end"
_decoder = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)
_page_decoder = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=unique_keys)


def read_record_blocks(path: Path, source: str, *, page_keys: Collection[str] = ()) -> Iterator[LineBlock]:
    """Blocks with one record a line of a file of JSON lines, of one array of records, or of pages.

    A page is an object that holds its records as an array under one of ``page_keys``. Raises UnreadableDeliveryError.
    """
    with open_plain(path, source) as stream:
        head = _head(stream)
    if head.startswith("["):
        with open_plain(path, source) as stream:
            yield from _blocks(_array_records(_texts(stream, source)))
    elif head.startswith("{") and _is_page(head, page_keys):
        with open_plain(path, source) as stream:
            yield from _blocks(_page_records(stream, source, page_keys))
    else:
        yield from read_line_blocks(path, source)


def begins_as_json(path: Path, source: str) -> bool:
    """Whether the file's first character begins a JSON object or array; true of an empty file.

    Raises UnreadableDeliveryError when its compression is cut or damaged.
    """
    with open_plain(path, source) as stream:
        head = _head(stream)
    return head[:1] in ("", "{", "[")


def _head(stream: BufferedIOBase) -> str:
    return stream.read(1 << 16).decode("utf-8", "replace").lstrip("\ufeff" + _BLANKS)


def _is_page(head: str, page_keys: Collection[str]) -> bool:
    """Whether the file begins with a page, or with an object that goes over several lines."""
    first_line, _, rest = head.partition("\n")
    try:
        document = json.loads(first_line)
    except (ValueError, RecursionError):
        spreads = first_line.rstrip(_BLANKS) in ("{", '{"') or first_line.rstrip(_BLANKS).endswith((",", "[", "{"))
        return any(f'"{key}"' in head for key in page_keys) and (spreads or not rest)
    return isinstance(document, dict) and any(isinstance(document.get(key), list) for key in page_keys)


def _texts(stream: BufferedIOBase, source: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        while block := stream.read(PIECE_CHARACTERS):
            yield decoder.decode(block)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise UnreadableDeliveryError(source, f"the file is not UTF-8 text: {error.reason}") from error


def _array_records(pieces: Iterator[str]) -> Iterator[str]:
    """Texts of the elements of the array that the pieces hold, then what is left of a cut one."""
    text, at, is_first = "", 0, True
    for piece in pieces:
        text, at = text[at:] + piece, 0
        while True:
            start = _next_element(text, at, is_first=is_first)
            try:
                _, end = _decoder.raw_decode(text, start)
            except (ValueError, RecursionError):
                break  # cut by the end of the piece, or broken: more text tells
            if end == len(text):
                break  # a number may go on
            is_first, at = False, end
            yield _on_one_line(text[start:end])
        if len(text) - at > MAX_LINE_BYTES:
            break
    rest = text[_next_element(text, at, is_first=is_first) :].strip(_BLANKS)
    if rest != "]":
        yield from (text for text in (_on_one_line(rest), _NO_END if not rest or _is_whole(rest) else "") if text)


def _is_whole(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _next_element(text: str, at: int, *, is_first: bool) -> int:
    """Where the next element begins: past white space and the bracket or comma before it."""
    at = _past_blanks(text, at)
    if at < len(text) and text[at] == ("[" if is_first else ","):
        at = _past_blanks(text, at + 1)
    return at


def _past_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    return at


def _page_records(stream: BufferedIOBase, source: str, page_keys: Collection[str]) -> Iterator[str]:
    """Texts of the records of all pages: a page a line, or one page over several lines.

    A page ends with a bracket at its last line's begin.
    """
    text = ""
    for line in _lines(_texts(stream, source)):
        is_whole = line.startswith("}") or (not text and line.rstrip(_BLANKS).endswith("}"))
        text += line
        if len(text) > PAGE_BYTES_LIMIT:
            raise UnreadableDeliveryError(source, f"a page is larger than {PAGE_BYTES_LIMIT} characters")
        if is_whole and (records := _records_of(text, page_keys)) is not None:
            yield from records
            text = ""
    if text.strip(_BLANKS):
        records = _records_of(text, page_keys)
        if records is None:
            raise UnreadableDeliveryError(source, "the last page is not JSON: the answer may be cut; save it again")
        yield from records


def _records_of(text: str, page_keys: Collection[str]) -> list[str] | None:
    """Texts of a page's records, or the document itself where it is no page; None when it is not whole."""
    try:
        arrays = _arrays(text, page_keys)
    except (ValueError, RecursionError):
        return None
    return next((arrays[key] for key in page_keys if key in arrays), [_on_one_line(text.strip(_BLANKS))])


def _arrays(text: str, page_keys: Collection[str]) -> dict[str, list[str]]:
    """Texts of the elements of each array that stands under one of ``page_keys`` in the document.

    Raises ValueError when the text is not one JSON document, or a key stands twice in one of its objects.
    """
    arrays: dict[str, list[str]] = {}
    names: set[str] = set()
    at = _past_blanks(text, 0)
    if not text.startswith("{", at):
        _refuse_more(text, _page_decoder.raw_decode(text, at)[1])
        return arrays
    at = _past_mark(text, at, "{")
    while not text.startswith("}", at):
        start = _past_mark(text, at, ",") if names else at
        name, at = _page_decoder.raw_decode(text, start)
        if not text.startswith('"', start) or name in names:
            raise ValueError("a key is no text, or stands twice")
        names.add(name)
        at = _past_mark(text, _past_blanks(text, at), ":")
        if name in page_keys and text.startswith("[", at):
            arrays[name], at = _elements(text, at)
        else:
            _, at = _page_decoder.raw_decode(text, at)
        at = _past_blanks(text, at)
    _refuse_more(text, at + 1)
    return arrays


def _elements(text: str, at: int) -> tuple[list[str], int]:
    """Texts of the elements of the array that begins at ``at``, and where it has ended."""
    found: list[str] = []
    at = _past_mark(text, at, "[")
    while not text.startswith("]", at):
        start = _past_mark(text, at, ",") if found else at
        _, end = _page_decoder.raw_decode(text, start)
        found.append(_on_one_line(text[start:end]))
        at = _past_blanks(text, end)
    return found, at + 1


def _refuse_more(text: str, end: int) -> None:
    if text[end:].strip(_BLANKS):
        raise ValueError("something stands behind the document")


def _past_mark(text: str, at: int, mark: str) -> int:
    """Where what follows ``mark`` begins. Raises ValueError where something else stands."""
    if not text.startswith(mark, at):
        raise ValueError(f"no {mark} where one must be")
    return _past_blanks(text, at + 1)


def _lines(pieces: Iterator[str]) -> Iterator[str]:
    rest = ""
    for piece in pieces:
        *whole, rest = (rest + piece).split("\n")
        yield from (f"{line}\n" for line in whole)
    yield rest


def _on_one_line(text: str) -> str:
    """JSON text on one line: a line's end can only be white space between its parts."""
    return text.replace("\r", " ").replace("\n", " ")


def _blocks(records: Iterator[str]) -> Iterator[LineBlock]:
    """Records as blocks of lines. A record whose text UTF-8 cannot hold is written with replacement characters."""
    held: list[bytes] = []
    size, ordinal = 0, 1
    for record in records:
        line = record.encode("utf-8", "replace") + b"\n"
        held.append(line)
        size += len(line)
        if size >= PIECE_CHARACTERS:
            yield LineBlock(b"".join(held), ordinal, len(held))
            ordinal, held, size = ordinal + len(held), [], 0
    if held:
        yield LineBlock(b"".join(held), ordinal, len(held))
