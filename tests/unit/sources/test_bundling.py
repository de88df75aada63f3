"""Which new objects are landed together, how they are known again, and which days are listed."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.unit.sources.fetching import fetch_context
from usage_etl.lake import open_store
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.fetching import bundling
from usage_etl.sources.fetching.bundling import Bundler
from usage_etl.sources.fetching.folder import matching_objects, newest_day
from usage_etl.sources.litellm import SOURCE
from usage_etl.sources.reading.bundles import open_bundle
from usage_etl.sources.source import FetchContext, fetch_folder, listed_days


@dataclass
class Landed:
    """What was landed so far: singles and members of bundles."""

    known: set[tuple[str, str]] = field(default_factory=set)
    members: dict[str, set[bytes]] = field(default_factory=dict)

    def land(self, item: FetchedObject) -> None:
        self.known.add((item.origin_key, item.origin_version))
        if item.members:
            self.members.setdefault(item.members.folder, set()).update(item.members.marks)

    def context(self, context: FetchContext) -> FetchContext:
        return replace(context, known=self.known, known_members=lambda folder: self.members.get(folder, set()))


def write(folder: Path, *names: str, size: int = 3) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((name.encode() * size)[: max(size, len(name))])


def fetch(folder: Path, landed: Landed, mode: str, **more: object) -> list[FetchedObject]:
    settings = SOURCE.settings(kind="litellm", name="gateway", location=str(folder), bundle=mode, pattern="**/*", **more)
    return list(fetch_folder(settings, landed.context(fetch_context())))


def contents(item: FetchedObject, tmp_path: Path) -> list[tuple[str, bytes]]:
    item.save(tmp_path / "saved")
    with open_bundle(tmp_path / "saved", "gateway") as members:
        return [(name, local.read_bytes()) for name, local in members]


def test_the_new_objects_of_a_folder_are_one_delivery_byte_for_byte(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    write(folder, "day-1/a.json", "day-1/b.json", "day-2/ü c.json", "top.json")
    landed = Landed()
    found = fetch(folder, landed, "folder")
    assert [(item.members.folder, len(item.members.marks)) for item in found if item.members] == [
        ("day-1", 2),
        ("day-2", 1),
        ("", 1),
    ]
    assert contents(found[0], tmp_path) == [(name, (folder / name).read_bytes()) for name in ("day-1/a.json", "day-1/b.json")]
    for item in found:
        landed.land(item)
    assert fetch(folder, landed, "folder") == []

    write(folder, "day-1/c.json")
    write(folder, "day-1/a.json", size=50)
    [again] = fetch(folder, landed, "folder")
    assert [name for name, _ in contents(again, tmp_path)] == ["day-1/a.json", "day-1/c.json"], "new ones, and one that grew"
    assert again.origin_key not in {item.origin_key for item in found}


def test_a_run_that_was_cut_short_lands_the_rest_and_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundling, "BUNDLE_OBJECTS", 4)
    folder, landed = tmp_path / "logs", Landed()
    names = [f"d/{number:02d}.json" for number in range(10)]
    write(folder, *names)
    first, *_ = fetch(folder, landed, "folder")
    landed.land(first)
    rest = fetch(folder, landed, "folder")
    read = [name for item in (first, *rest) for name, _ in contents(item, tmp_path)]
    assert read == names
    assert [len(item.members.marks) for item in (first, *rest) if item.members] == [4, 4, 2]


def test_large_objects_are_landed_on_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundling, "MEMBER_BYTES", 100)
    folder = tmp_path / "logs"
    write(folder, "d/a.json", "d/c.json")
    write(folder, "d/b.json", size=101)
    found = fetch(folder, Landed(), "folder")
    assert [item.origin_key for item in found if item.members is None] == ["d/b.json"]
    assert [len(item.members.marks) for item in found if item.members] == [2]


def test_automatic_bundles_begin_where_a_folder_holds_many_and_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundling, "MANY_OBJECTS", 5)
    folder, landed = tmp_path / "logs", Landed()

    def arrive(*names: str) -> list[bool]:
        """Whether each delivery of the new objects is a bundle."""
        write(folder, *names)
        found = fetch(folder, landed, "auto")
        for item in found:
            landed.land(item)
        return [item.members is not None for item in found]

    assert arrive("few/a", "few/b", "many/1", "many/2", "many/3") == [False] * 5
    assert arrive("few/c", "many/4") == [False, False]
    assert arrive("few/d", "many/5") == [False, True], "five with those that are landed already"
    assert arrive("many/6") == [True]
    assert arrive("few/e") == [True]
    assert arrive() == []


def test_switching_the_mode_lands_nothing_again(tmp_path: Path) -> None:
    folder, landed = tmp_path / "logs", Landed()
    write(folder, "d/a", "d/b")
    for item in fetch(folder, landed, "none"):
        landed.land(item)
    write(folder, "d/c")
    [bundled] = fetch(folder, landed, "folder")
    assert [name for name, _ in contents(bundled, tmp_path)] == ["d/c"]
    landed.land(bundled)
    for mode in ("none", "folder", "auto"):
        assert fetch(folder, landed, mode) == []


def test_an_object_that_is_gone_by_the_time_it_is_read_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "logs"
    write(folder, "d/a", "d/b")
    [item] = fetch(folder, Landed(), "folder")
    (folder / "d/a").unlink()
    assert [name for name, _ in contents(item, tmp_path)] == ["d/b"]
    assert "gone before it was read" in caplog.text


@dataclass
class Listed:
    key: str
    version: str = "1"
    bytes_count: int = 10


class Bucket:
    """A bucket that remembers what was listed."""

    def __init__(self, *keys: str) -> None:
        self.keys, self.prefixes = sorted(keys), list[str]()

    def list(self, prefix: str) -> Iterator[Listed]:
        self.prefixes.append(prefix)
        return (Listed(key) for key in self.keys if key.startswith(prefix))


def day(number: int) -> dt.date:
    return dt.date(2026, 10, number)


@pytest.mark.parametrize(
    ("pattern", "prefixes", "matching"),
    [
        ("logs/{date}/*.json", ["logs/2026-10-30/", "logs/2026-10-31/"], ["logs/2026-10-30/a.json", "logs/2026-10-31/b.json"]),
        ("{yyyy}/{mm}/{dd}/**/*.gz", ["2026/10/30/", "2026/10/31/"], ["2026/10/30/12/x.gz"]),
        ("logs/{date}-*.json", ["logs/2026-10-30-", "logs/2026-10-31-"], ["logs/2026-10-31-x.json"]),
        ("m/{yyyy}-{mm}/*.csv", ["m/2026-10/"], ["m/2026-10/a.csv"]),
        ("*/{date}/*.json", [""], ["logs/2026-10-29/z.json", "logs/2026-10-30/a.json", "logs/2026-10-31/b.json"]),
        ("logs/**/*.txt", ["logs/"], []),
    ],
)
def test_only_the_days_asked_for_are_listed(pattern: str, prefixes: list[str], matching: list[str]) -> None:
    keys = ["logs/2026-10-29/z.json", "logs/2026-10-30/a.json", "logs/2026-10-31/b.json", "logs/2026-10-30/deep/c.json"]
    keys += ["2026/10/30/12/x.gz", "2026/10/1/x.gz", "logs/2026-10-31-x.json", "m/2026-10/a.csv", "m/2026-1/a.csv"]
    bucket = Bucket(*keys)
    found = [item.key for item in matching_objects(bucket, pattern=pattern, days=[day(30), day(31)])]
    assert bucket.prefixes == prefixes
    assert found == matching


@pytest.mark.parametrize(
    ("pattern", "keys", "expected"),
    [
        ("logs/{date}/*.json", ["logs/2026-10-29/z.json", "logs/2026-10-30/0123.bundle", "other/2027-01-01/x"], day(30)),
        ("{yyyy}/{mm}/{dd}/*", ["2026/10/09/a", "2026/10/12/b", "2026/13/45/c"], day(12)),
        ("m/{yyyy}-{mm}/*", ["m/2026-10/a"], day(1)),
        ("logs/{date}/*.json", [], None),
        ("*/{date}/*.json", ["x/2026-10-29/a.json"], None),
        ("logs/*.json", ["logs/a.json"], None),
    ],
)
def test_the_newest_landed_day_is_read_from_the_keys(pattern: str, keys: list[str], expected: dt.date | None) -> None:
    assert newest_day(pattern, keys) == expected


def test_listing_begins_a_window_before_the_newest_landed_day_and_never_before_the_start() -> None:
    settings = SOURCE.settings(kind="litellm", name="g", location="x", pattern="logs/{date}/*", trailing_days=3)
    context = fetch_context(start_date=day(1), pulled_at=dt.datetime(2026, 10, 20, 6, tzinfo=dt.UTC))

    def window(*known: str) -> tuple[dt.date, dt.date]:
        days = listed_days(settings, replace(context, known={(key, "1") for key in known}))
        return days[0], days[-1]

    assert window() == (day(1), day(21)), "all of it at first, and tomorrow for those whose day begins earlier"
    assert window("logs/2026-10-18/a") == (day(15), day(21))
    assert window("logs/2026-10-02/a") == (day(1), day(21))
    assert window("logs/2027-10-02/a") == (day(17), day(21)), "a folder from the future hides nothing"


def test_every_object_of_a_dated_folder_lands_once_over_several_runs(tmp_path: Path) -> None:
    folder, landed = tmp_path / "logs", Landed()
    settings = SOURCE.settings(
        kind="litellm", name="g", location=str(folder), pattern="{date}/*.json", bundle="folder", trailing_days=1
    )
    read: list[str] = []
    for number in range(1, 8):
        write(folder, f"2026-10-{number:02d}/a.json", f"2026-10-{max(1, number - 1):02d}/late-{number}.json")
        context = fetch_context(start_date=day(1), pulled_at=dt.datetime(2026, 10, number, 6, tzinfo=dt.UTC))
        for item in fetch_folder(settings, landed.context(context)):
            landed.land(item)
            read += [name for name, _ in contents(item, tmp_path)]
    assert sorted(read) == sorted(str(path.relative_to(folder)) for path in folder.rglob("*.json"))
    assert len(read) == len(set(read))


def test_a_hundred_thousand_members_are_known_again_quickly(tmp_path: Path) -> None:
    objects = [Listed(f"d/{number:06d}", str(number)) for number in range(100_000)]
    store = open_store(str(tmp_path), endpoint_url=None, region="us-east-1")
    bundler = Bundler(store, "objects", "folder", known=(), known_members=lambda _: ())
    marks = frozenset(mark for item in bundler.deliveries(objects) for mark in (item.members.marks if item.members else ()))
    assert len(marks) == len(objects)
    again = Bundler(store, "objects", "folder", known={("d/0.bundle", "1")}, known_members=lambda _: marks)
    assert list(again.deliveries(objects)) == []
