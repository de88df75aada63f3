"""Files that are bombs end a child process, never the run: each is refused with the limit's name, and the next one is read."""

import datetime as dt
import gzip
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.unit.sources.spend_logs import CONTEXT, line
from usage_etl.config.settings import ParsingSettings
from usage_etl.errors import TransientSourceError, UnreadableDeliveryError
from usage_etl.sources.parsed import CoveredBucket
from usage_etl.sources.sandbox.child import ParseChild
from usage_etl.sources.staging import StagedDelivery

LIMITS = ParsingSettings(memory_mb=1024, cpu_s=20, cpu_s_per_mb=0)


@pytest.fixture(scope="module")
def child() -> Iterator[ParseChild]:
    found = ParseChild(LIMITS)
    yield found
    found.close()


def staged(child: ParseChild, path: Path, kind: str = "litellm") -> StagedDelivery:
    folder = path.parent / f"work-{path.name}"
    folder.mkdir(exist_ok=True)
    return child.stage(path, kind=kind, context=CONTEXT, work_folder=folder)


def good(folder: Path) -> Path:
    path = folder / "good.jsonl"
    path.write_text(line() + "\n" + "broken\n" + line(request_id="req-2"))
    return path


def is_well(child: ParseChild, folder: Path) -> bool:
    found = staged(child, good(folder))
    return (found.rows_read, found.rows_staged, found.rows_quarantined) == (3, 2, 1)


def test_what_the_child_staged_arrives_whole(child: ParseChild, tmp_path: Path) -> None:
    found = staged(child, good(tmp_path))

    assert [(file.table_name, file.day, file.rows_count) for file in found.files] == [("staged_usage", dt.date(2026, 11, 2), 2)]
    assert pl.read_parquet(found.files[0].path)["event_id"].to_list() == ["req-1", "req-2"]
    assert pl.read_parquet(list(found.quarantine["usage_events__quarantine"]))["raw_text"].to_list() == ["broken"]
    assert all(isinstance(bucket, CoveredBucket) for bucket in found.covered)


def test_one_child_serves_many_files(child: ParseChild, tmp_path: Path) -> None:
    assert is_well(child, tmp_path)
    process = child._process
    assert is_well(child, tmp_path)
    assert child._process is process


def test_a_file_of_another_kind_is_refused_in_its_parsers_words(child: ParseChild, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UnreadableDeliveryError, match="not JSON lines"):
        staged(child, path)
    assert is_well(child, tmp_path)


def test_a_bomb_that_eats_memory_is_refused_by_name(child: ParseChild, tmp_path: Path) -> None:
    """A page of 240 MB of JSON in a few hundred kilobytes."""
    path = tmp_path / "pages.json.gz"
    row = b'{"object":"organization.costs.result","amount":{"value":1,"currency":"usd"},"line_item":null},'
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(b'{"object":"page","data":[{"object":"bucket","start_time":1793491200,"end_time":1793577600,"results":[')
        for _ in range(240):
            stream.write(row * (1_000_000 // len(row)))
        stream.write(row.rstrip(b",") + b']}],"has_more":false,"next_page":null}')
    with pytest.raises(UnreadableDeliveryError, match=r"more than (it may have|1024 MB)"):
        staged(child, path, "openai")
    assert is_well(child, tmp_path)


def test_a_file_that_takes_too_long_is_refused_by_name(tmp_path: Path) -> None:
    child = ParseChild(LIMITS.model_copy(update={"cpu_s": 1, "memory_mb": 3072}))
    path = tmp_path / "endless.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        for _ in range(400):
            stream.write((line() + "\n").encode() * 1000)
    try:
        with pytest.raises(UnreadableDeliveryError, match=r"processor time than 1 s \(parsing\.cpu_s\)"):
            staged(child, path)
        assert is_well(child, tmp_path)
    finally:
        child.close()


def test_a_child_killed_from_outside_is_a_passing_fault(tmp_path: Path) -> None:
    child = ParseChild(LIMITS)
    assert is_well(child, tmp_path)
    process = child._process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)

    def kill() -> None:
        time.sleep(0.3)
        os.kill(process.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with pytest.raises(TransientSourceError, match="signal 9"):
            staged(child, good(tmp_path))
        killer.join()
        assert is_well(child, tmp_path)
        assert child._process is not None
        os.kill(child._process.pid, signal.SIGKILL)
        child._process.wait()
        assert is_well(child, tmp_path)  # it died between two orders: nobody's fault
    finally:
        child.close()


def test_the_child_sees_no_secret(child: ParseChild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-admin-secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    fresh = ParseChild(LIMITS)
    try:
        assert is_well(fresh, tmp_path)
        assert fresh._process is not None
        environ = Path(f"/proc/{fresh._process.pid}/environ")
        if environ.exists():
            assert b"secret" not in environ.read_bytes().lower()
    finally:
        fresh.close()
