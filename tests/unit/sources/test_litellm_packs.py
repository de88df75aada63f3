"""Objects of one call each are landed by folder and ten minutes, and read as if they were one file."""

import datetime as dt
import gzip
import json
from pathlib import Path

import pytest

from tests.unit.sources.fetching import fetch_context
from tests.unit.sources.spend_logs import outcome_of
from tests.unit.sources.test_litellm_payloads import payload
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.litellm.fetch import fetch, pack_of
from usage_etl.sources.litellm.settings import LiteLLMSettings


def write(folder: Path, key: str, content: bytes | None = None) -> None:
    target = folder / key
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(json.dumps(payload(id=Path(key).stem)).encode() if content is None else content)


def fetched(folder: Path, known: set[tuple[str, str]] = frozenset(), **changes: object) -> list[FetchedObject]:  # type: ignore[assignment]
    settings = LiteLLMSettings(**({"kind": "litellm", "name": "gateway", "location": str(folder)} | changes))
    return list(fetch(settings, fetch_context(known=known, pulled_at=dt.datetime(2026, 11, 3, tzinfo=dt.UTC))))


def content_of(item: FetchedObject, folder: Path) -> bytes:
    item.save(folder / "landed")
    return (folder / "landed").read_bytes()


def test_ten_minutes_of_a_folder_are_one_delivery(tmp_path: Path) -> None:
    logs, work = tmp_path / "logs", tmp_path
    names = ["time-09-20-46-847371_a.json", "time-09-29-59-000001_b.json", "time-09-30-00-000000_c.json"]
    for name in names:
        write(logs, f"team/2026-11-02/{name}")
    write(logs, "team/2026-11-02/batch_1.jsonl", b"{}")
    write(logs, "audit_logs/2026-11-02/09-20-46_x.json", b'{"id": "x"}')
    batch, first, second = fetched(logs)

    assert batch.origin_key == "team/2026-11-02/batch_1.jsonl"
    assert [first.origin_key, second.origin_key] == [f"team/2026-11-02/time-09-{tens}x.bundle" for tens in (2, 3)]
    assert outcome_of(content_of(first, work)).usage["event_id"].to_list() == [name.removesuffix(".json") for name in names[:2]]


def test_a_pack_comes_again_when_it_grew_and_only_then(tmp_path: Path) -> None:
    write(tmp_path, "2026-11-02/time-09-20-46-847371_a.json")
    write(tmp_path, "2026-11-02/time-10-20-46-847371_b.json")
    landed = {(item.origin_key, item.origin_version) for item in fetched(tmp_path)}
    assert fetched(tmp_path, landed) == []
    write(tmp_path, "2026-11-02/time-09-20-47-000000_late.json")

    assert [item.origin_key for item in fetched(tmp_path, landed)] == ["2026-11-02/time-09-2x.bundle"]


def test_packing_can_be_switched_off(tmp_path: Path) -> None:
    write(tmp_path, "2026-11-02/time-09-20-46-847371_a.json")
    (item,) = fetched(tmp_path, pack=False)
    assert item.origin_key == "2026-11-02/time-09-20-46-847371_a.json"


def test_objects_without_an_ending_are_packed_by_their_day(tmp_path: Path) -> None:
    for number in range(40):
        write(tmp_path, f"logs/2026-11-02/chatcmpl-{number}")
    items = fetched(tmp_path, pattern="**/*")

    assert 1 < len(items) <= 16
    assert sum(outcome_of(content_of(item, tmp_path)).rows_read for item in items) == 40


@pytest.mark.parametrize("damage", [gzip.compress(bytes(range(256)))[:40], b"<html>502</html>", b"", b'{"cut": '])
def test_a_damaged_object_of_a_pack_is_refused_alone_and_named(tmp_path: Path, damage: bytes) -> None:
    logs = tmp_path / "logs"
    write(logs, "2026-11-02/time-09-20-00-000000_a.json")
    write(logs, "2026-11-02/time-09-20-01-000000_bad.json", damage)
    write(logs, "2026-11-02/time-09-20-02-000000_c.json")
    (item,) = fetched(logs)
    outcome = outcome_of(content_of(item, tmp_path))

    assert outcome.usage.height == 2
    assert list(outcome.refused.values()) == (["line__not_a_json_object"] if damage else [])
    if damage.startswith(b"\x1f"):
        assert "_bad.json cannot be read" in outcome.quarantine["raw_text"][0]


@pytest.mark.parametrize(
    ("key", "pack"),
    [
        ("time-00-05-59-000000_x.json", "time-00-0x.bundle"),
        ("a/b/2026-11-02/13/time-13-59-59-000000_x_y.json", "a/b/2026-11-02/13/time-13-5x.bundle"),
        ("2026-11-02/spend_logs.jsonl", None),
        ("2026-11-02/spend_logs.jsonl.gz", None),
        ("landing/export", None),
        ("time-1-2.json", None),
    ],
)
def test_which_objects_are_packed_is_told_by_their_names(key: str, pack: str | None) -> None:
    assert pack_of(key) == pack
