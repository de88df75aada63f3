"""The gateway's daily log files: which row stands in which file, late and repeated deliveries included."""

from __future__ import annotations

import datetime as dt
import gzip
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from usage_etl.demo.dirt import HTML_ERROR_PAGE, DayLog, Dirt
from usage_etl.demo.litellm_rows import RowWriter
from usage_etl.demo.requests import Request, day_of
from usage_etl.demo.scenario import Scenario

_COMPRESSION = 4
_REDELIVERED_DAYS_BACK = 66
_REFUSED_DAYS_BACK = 11
_LATE_HOURS = (16, 18)


@dataclass(frozen=True)
class LogFile:
    """One delivered file. ``lines_count``: its lines that are not blank; 0 where the whole file is refused."""

    name: str
    content: bytes
    lines_count: int


class LogFiles:
    """Writes each row into the file of the UTC day on which its call ended, as a nightly export does."""

    def __init__(self, scenario: Scenario, writer: RowWriter, counts: Counter[str]) -> None:
        self._scenario = scenario
        self._writer = writer
        self._counts = counts
        self._dirt = Dirt(scenario, writer, counts)

    def files(self, by_day: Mapping[dt.date, list[Request]]) -> Iterator[LogFile]:
        """Every file of the demo, day by day."""
        carried: list[Request] = []
        later: list[str] = []
        late: list[Request] = []
        for day, requests in by_day.items():
            due, carried = self._due(day, [*carried, *requests])
            self._counts["rows_in_another_days_file"] += sum(request.day != day for request in due)
            if day == self._scenario.late_day and self._scenario.covers(self._scenario.late_delivery):
                late = [request for request in due if _is_late(request)]
                due = [request for request in due if not _is_late(request)]
            log = DayLog(day, due, [self._writer.row(request) for request in due])
            log.lines += later
            self._dirt.soil(log)
            later = log.later
            yield from self._delivered(log)
            if late and day == self._scenario.late_delivery:
                yield self._late_file(late)

    def _due(self, day: dt.date, waiting: list[Request]) -> tuple[list[Request], list[Request]]:
        """What the day's file holds, and what ends on a later day; the last file takes all."""
        if day == self._scenario.as_of:
            return waiting, []
        due = [request for request in waiting if day_of(request.ended_us) <= day]
        return due, [request for request in waiting if day_of(request.ended_us) > day]

    def _delivered(self, log: DayLog) -> Iterator[LogFile]:
        lines_count = sum(1 for line in log.lines if line) + (1 if log.unfinished else 0)
        content = _compressed(log.text)
        yield LogFile(f"spend_logs_{log.day}.jsonl.gz", content, lines_count)
        if log.day == self._scenario.back(_REDELIVERED_DAYS_BACK):
            self._counts["redelivered_rows"] += lines_count
            yield LogFile(f"spend_logs_{log.day}_redelivered.jsonl.gz", content, lines_count)
        if log.day == self._scenario.back(_REFUSED_DAYS_BACK):
            self._counts["refused_files"] += 1
            yield LogFile(f"spend_logs_{log.day}_retry.jsonl", HTML_ERROR_PAGE.encode(), 0)

    def _late_file(self, late: list[Request]) -> LogFile:
        self._counts["late_rows"] += len(late)
        text = "".join(f"{self._writer.row(request)}\n" for request in late)
        return LogFile(f"spend_logs_{self._scenario.late_delivery}_late_replica-b.jsonl.gz", _compressed(text), len(late))


def _is_late(request: Request) -> bool:
    """One replica buffered two hours of the day and delivered them days after."""
    hour = request.started_us // 3_600_000_000 % 24
    return _LATE_HOURS[0] <= hour < _LATE_HOURS[1] and request.excerpt % 2 == 0


def _compressed(text: str) -> bytes:
    """Gzip with neither time nor name inside, so that the same rows are the same bytes."""
    target = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=_COMPRESSION, fileobj=target, mtime=0) as stream:
        stream.write(text.encode())
    return target.getvalue()
