"""The dirt of real log files, each kind on a day of its own. It damages copies: what happened stays readable somewhere.

A damaged row always has a good copy in the same or the next file, so totals stay exact while every parser trap is set.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from usage_etl.demo.litellm_rows import RowWriter
from usage_etl.demo.models import MODELS
from usage_etl.demo.requests import Request
from usage_etl.demo.scenario import Scenario

HTML_ERROR_PAGE = """<!DOCTYPE html>
<html><head><title>502 Bad Gateway</title></head>
<body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx/1.27.4</center></body></html>
"""
"""What a log export saved in place of a log."""

QUARANTINED_KINDS = ("garbage_lines", "string_tokens", "negative_tokens", "missing_start_time", "truncated_lines")
"""Kinds of dirt that a parser must refuse, row by row."""

DUPLICATE_KINDS = ("repeated_rows", "updated_rows", "redelivered_rows")
"""Kinds of dirt that are further copies of a request counted once."""

_DAY_US = 86_400_000_000


@dataclass
class DayLog:
    """One day's file in the making."""

    day: dt.date
    requests: list[Request]
    """Requests whose rows stand in ``lines``, in the same order; rows carried over from the day before come after."""
    lines: list[str]
    later: list[str] = field(default_factory=list)
    """Rows that go into the next day's file."""
    unfinished: str = ""
    """A last line without its end."""
    has_bom: bool = False

    @property
    def text(self) -> str:
        """The whole file."""
        body = "".join(f"{line}\n" for line in self.lines)
        return f"{chr(0xFEFF) if self.has_bom else ''}{body}{self.unfinished}"


class Dirt:
    """Soils day files and counts what it did."""

    def __init__(self, scenario: Scenario, writer: RowWriter, counts: Counter[str]) -> None:
        self._writer = writer
        self._counts = counts
        self._by_day: Mapping[dt.date, Callable[[DayLog], None]] = {
            scenario.back(45): self._repeat_rows,
            scenario.back(40): self._start_with_bom,
            scenario.back(33): self._insert_garbage,
            scenario.back(30): self._update_rows_later,
            scenario.back(25): self._cut_last_line,
            scenario.back(18): self._damage_tokens,
            scenario.back(11): self._drop_start_times,
        }

    def soil(self, log: DayLog) -> None:
        """Apply the day's dirt, if it has any."""
        if log.requests and (apply := self._by_day.get(log.day)) is not None:
            apply(log)

    def _repeat_rows(self, log: DayLog) -> None:
        """A shipper that lost its acknowledgement sends a block twice."""
        block = log.lines[10:17]
        log.lines[30:30] = block
        self._counts["repeated_rows"] += len(block)

    def _start_with_bom(self, log: DayLog) -> None:
        log.has_bom = True
        log.lines.insert(5, "")
        self._counts["files_with_bom"] += 1
        self._counts["blank_lines"] += 1

    def _insert_garbage(self, log: DayLog) -> None:
        log.lines.insert(8, f"{log.day} 03:12:44,118 - LiteLLM Proxy - ERROR - connection reset by peer")
        log.lines.insert(40, log.lines[41][: len(log.lines[41]) // 3])
        self._counts["garbage_lines"] += 2

    def _update_rows_later(self, log: DayLog) -> None:
        """Streams whose usage was corrected a day after: the first row shows half of the answer."""
        chosen = [at for at, request in enumerate(log.requests) if _is_plain(request) and request.tokens[4] > 50][20:25]
        for at in chosen:
            request = log.requests[at]
            fresh, read, write_5m, write_1h, output = request.tokens
            early = replace(request, tokens=(fresh, read, write_5m, write_1h, output // 2), reasoning_tokens=0)
            log.lines[at] = self._writer.row(early)
            log.later.append(self._writer.row(replace(request, updated_us=request.ended_us + _DAY_US)))
        self._counts["updated_rows"] += len(chosen)

    def _cut_last_line(self, log: DayLog) -> None:
        """The file was copied while its last row was being written; the row comes again in the next file."""
        row = log.lines.pop()
        log.unfinished = row[: len(row) * 3 // 5]
        log.later.append(row)
        self._counts["truncated_lines"] += 1

    def _damage_tokens(self, log: DayLog) -> None:
        plain = [at for at, request in enumerate(log.requests) if _is_plain(request)]
        text_at, negative_at = plain[12], plain[25]
        as_text = re.sub(r'"prompt_tokens":\d+', '"prompt_tokens":"n/a"', log.lines[text_at], count=1)
        negative = re.sub(r'"(prompt|total)_tokens":(\d)', r'"\1_tokens":-\2', log.lines[negative_at], count=2)
        log.lines += [as_text, negative]
        self._counts["string_tokens"] += 1
        self._counts["negative_tokens"] += 1

    def _drop_start_times(self, log: DayLog) -> None:
        log.lines += [re.sub(r'"startTime":"[^"]*",', "", line, count=1) for line in log.lines[15:18]]
        self._counts["missing_start_time"] += 3


def _is_plain(request: Request) -> bool:
    return request.model.key in MODELS and request.is_billed and request.failure is None
