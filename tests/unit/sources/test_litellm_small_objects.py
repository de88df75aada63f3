"""Objects of one call each: the new ones of a folder are landed together, and read as if they were one file."""

import datetime as dt
import gzip
import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.unit.sources.fetching import fetch_context
from tests.unit.sources.spend_logs import outcome_of
from tests.unit.sources.test_litellm_payloads import payload
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.litellm.fetch import fetch, is_call
from usage_etl.sources.litellm.settings import LiteLLMSettings


def write(folder: Path, key: str, content: bytes | None = None) -> None:
    target = folder / key
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(json.dumps(payload(id=Path(key).stem)).encode() if content is None else content)


def fetched(
    folder: Path,
    known: Collection[tuple[str, str]] = (),
    members: Mapping[str, Collection[bytes]] = MappingProxyType({}),
    **changes: object,
) -> list[FetchedObject]:
    settings = LiteLLMSettings(**({"kind": "litellm", "name": "gateway", "location": str(folder)} | changes))
    context = fetch_context(known=known, pulled_at=dt.datetime(2026, 11, 3, tzinfo=dt.UTC))
    return list(fetch(settings, replace(context, known_members=lambda name: members.get(name, ()))))


def content_of(item: FetchedObject, folder: Path) -> bytes:
    item.save(folder / "landed")
    return (folder / "landed").read_bytes()


def landed(*items: FetchedObject) -> tuple[set[tuple[str, str]], dict[str, set[bytes]]]:
    """What is known once the deliveries are landed: their names, and the members of their bundles by folder."""
    members: dict[str, set[bytes]] = {}
    for item in items:
        if item.members:
            members.setdefault(item.members.folder, set()).update(item.members.marks)
    return {(item.origin_key, item.origin_version) for item in items}, members


def test_the_new_calls_of_a_folder_are_one_delivery(tmp_path: Path) -> None:
    logs, work = tmp_path / "logs", tmp_path
    names = ["time-09-20-46-847371_a.json", "time-09-29-59-000001_b.json", "time-10-30-00-000000_c.json"]
    for name in names:
        write(logs, f"team/2026-11-02/{name}")
    write(logs, "other/batch_1.jsonl", b"{}")
    write(logs, "audit_logs/2026-11-02/09-20-46_x.json", b'{"id": "x"}')
    batch, calls = fetched(logs)

    assert (batch.origin_key, batch.members) == ("other/batch_1.jsonl", None)
    assert outcome_of(content_of(calls, work)).usage["event_id"].to_list() == [name.removesuffix(".json") for name in names]


def test_only_what_is_new_comes_again(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    write(logs, "2026-11-02/time-09-20-46-847371_a.json")
    write(logs, "2026-11-03/time-10-20-46-847371_b.json")
    known, members = landed(*fetched(logs))
    assert fetched(logs, known, members) == []
    write(logs, "2026-11-02/time-09-20-47-000000_late.json")
    (item,) = fetched(logs, known, members)

    assert outcome_of(content_of(item, tmp_path)).usage["event_id"].to_list() == ["time-09-20-47-000000_late"]


def test_bundling_can_be_switched_off(tmp_path: Path) -> None:
    write(tmp_path, "2026-11-02/time-09-20-46-847371_a.json")
    (item,) = fetched(tmp_path, bundle="none")
    assert item.origin_key == "2026-11-02/time-09-20-46-847371_a.json"


def test_objects_without_an_ending_are_bundled_by_their_day(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    for number in range(40):
        write(logs, f"logs/2026-11-02/chatcmpl-{number}")
    (item,) = fetched(logs, pattern="**/*")

    assert outcome_of(content_of(item, tmp_path)).rows_read == 40


@pytest.mark.parametrize("damage", [gzip.compress(bytes(range(256)))[:40], b"<html>502</html>", b"", b'{"cut": '])
def test_a_damaged_object_of_a_pack_is_refused_alone_and_named(tmp_path: Path, damage: bytes) -> None:
    logs = tmp_path / "logs"
    write(logs, "2026-11-02/time-09-20-00-000000_a.json")
    write(logs, "2026-11-02/time-09-20-01-000000_bad.json", damage)
    write(logs, "2026-11-02/time-09-20-02-000000_c.json")
    (item,) = fetched(logs)
    outcome = outcome_of(content_of(item, tmp_path))

    assert outcome.usage.height == 2
    rule = "line__not_a_json_object" if damage.startswith(b"{") else "member__unreadable"
    assert list(outcome.refused.values()) == ([rule] if damage else [])
    if rule == "member__unreadable" and damage:
        assert outcome.quarantine["raw_text"][0].startswith("2026-11-02/time-09-20-01-000000_bad.json: ")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("time-00-05-59-000000_x.json", True),
        ("a/b/2026-11-02/13/time-13-59-59-000000_x_y.json", True),
        ("logs/2026-11-02/chatcmpl-1", True),
        ("2026-11-02/spend_logs.jsonl", False),
        ("2026-11-02/spend_logs.jsonl.gz", False),
        ("landing/export", False),
        ("time-1-2.json", False),
    ],
)
def test_an_object_of_one_call_is_told_by_its_name(key: str, expected: bool) -> None:
    assert is_call(key) is expected
