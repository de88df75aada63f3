"""Blocks of a UTF-8 CSV file read by columns: a block is read at once where every row of it is plainly well formed.

Whether it is can be told from its text: the separators outside quotes are as many as the header has, and quotes enclose
whole cells. A block that is not goes back to the caller, which reads it row by row and says what is wrong with which row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BufferedIOBase

import polars as pl

BLOCK_BYTES = 8 << 20
"""Text of one block; less in the last, somewhat more where a quoted cell spans lines."""

MAX_ROW_BYTES = 16 << 20
"""Longest physical line; a longer one is no row."""

_LONGEST_SEARCH = 4 << 20
_QUOTED = r'"(?:[^"]|"")*"'
_MARK = "\x01"


def record_blocks(stream: BufferedIOBase, head: bytes, *, block_bytes: int | None = None) -> Iterator[bytes]:
    """``head`` and what follows it in ``stream``, cut at line ends at which no quoted cell is open.

    Where quotes do not even out within a few megabytes, the rest of the file is cut at any line end.
    """
    size = block_bytes or BLOCK_BYTES
    kept, is_even_wanted = head, True
    while kept:
        while len(kept) < size and (more := stream.read(size)):
            kept += more
        while not (end := kept.rfind(b"\n", 0, size) + 1 or kept.find(b"\n", size) + 1):
            if len(kept) > MAX_ROW_BYTES or not (more := stream.read(size)):
                end = len(kept)
                break
            kept += more
        if is_even_wanted and kept.count(b'"', 0, end) % 2:
            while (even_end := _even_end(kept, end)) is None and len(kept) < end + _LONGEST_SEARCH:
                if not (more := stream.read(size)):
                    break
                kept += more
            is_even_wanted = even_end is not None
            end = even_end or end
        yield kept[:end]
        kept = kept[end:] or stream.read(size)


def _even_end(text: bytes, start: int) -> int | None:
    """Where the first line ends, from ``start`` on, at which the quotes of ``text`` have evened out; ``start`` is odd."""
    quote = text.find(b'"', start)
    while quote >= 0:
        end = text.find(b"\n", quote) + 1
        if not end:
            return None
        if text.count(b'"', quote, end) % 2:
            return end
        quote = text.find(b'"', end)
    return None


def read_block(
    block: bytes, header: Sequence[str], wanted: Sequence[str], separator: str
) -> tuple[pl.DataFrame, pl.Series] | None:
    """Columns ``wanted`` as text, empty cells null, and the rows as written; None where a row is not plainly well formed.

    Rows without any text are left out.
    """
    if b"\0" in block or _MARK.encode() in block or block.count(b"\r") != block.count(b"\r\n"):
        return None
    try:
        text = block.decode().replace("\r\n", "\n")
    except UnicodeDecodeError:
        return None
    lines = pl.Series("line", text.removesuffix("\n").split("\n"), dtype=pl.String)
    if lines.str.strip_chars(separator).eq("").any():
        lines = lines.filter(lines.str.strip_chars(separator) != "")
        text = "\n".join(lines)
    if not len(lines):
        return pl.DataFrame(schema=dict.fromkeys(wanted, pl.String)), lines
    if not _is_well_formed(lines, len(header), separator):
        return None
    places = sorted(header.index(name) for name in wanted)
    frame = pl.read_csv(
        text.encode(),
        has_header=False,
        columns=places,
        new_columns=list(header),
        separator=separator,
        infer_schema=False,
    )
    if frame.height != len(lines):
        return None
    return frame.select(pl.when(pl.col(name) != "").then(pl.col(name)) for name in wanted), lines


def _is_well_formed(lines: pl.Series, columns_count: int, separator: str) -> bool:
    is_quoted = lines.str.contains('"', literal=True)
    outside = lines
    if is_quoted.any():
        if lines.str.strip_chars(f'{separator}"').eq("").any():
            return False
        outside = lines.str.replace_all(_QUOTED, _MARK)
        around = f"[^{_MARK}\\{separator}]"
        if outside.str.contains(f'"|{around}{_MARK}|{_MARK}{around}|{_MARK}{_MARK}').any():
            return False
    return bool((outside.str.count_matches(separator, literal=True) == columns_count - 1).all())
