"""What a folder or bucket source takes: matching objects, new ones, grown ones again."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from usage_etl.lake import open_store
from usage_etl.sources.fetching.folder import compile_pattern, list_objects


@dataclass
class Listed:
    """An object of a listing."""

    key: str
    version: str = "v1"


class Bucket:
    """A bucket of listed objects that remembers what was asked."""

    def __init__(self, *listed: Listed) -> None:
        self.listed = listed
        self.prefixes: list[str] = []

    def list(self, prefix: str) -> Iterator[Listed]:
        """Objects below a prefix."""
        self.prefixes.append(prefix)
        return (found for found in self.listed if found.key.startswith(prefix))

    def download(self, key: str, target: Path) -> None:
        """Write a text that names the key."""
        target.write_text(f"content of {key}")


def keys(bucket: Bucket, pattern: str, known: set[tuple[str, str]] | None = None) -> list[str]:
    return [found.origin_key for found in list_objects(bucket, pattern=pattern, known=known or set())]


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("**/*.jsonl*", ["a.jsonl", "x/a.jsonl.gz", "x/y/z/a.jsonl.zst"], ["a.json", "jsonl", "x/jsonl/a"]),
        ("*.jsonl", ["a.jsonl", ".jsonl"], ["x/a.jsonl", "a.jsonl.gz"]),
        (
            "logs/**/day-?.jsonl",
            ["logs/day-1.jsonl", "logs/a/b/day-2.jsonl"],
            ["day-1.jsonl", "logs/day-12.jsonl", "logs/day-/.jsonl"],
        ),
        ("logs/**", ["logs/a", "logs/a/b"], ["log/a", "logs"]),
        ("20[0-9][0-9]/*", ["2026/a"], ["20x6/a", "2026/a/b"]),
        ("[!a]*", ["b1"], ["a1", "/1"]),
        ("a+b(c).json", ["a+b(c).json"], ["aab(c).json", "a+b(c)xjson"]),
        ("a\\b^$|{}", ["a\\b^$|{}"], ["ab"]),
    ],
)
def test_patterns(pattern: str, matching: list[str], others: list[str]) -> None:
    compiled = compile_pattern(pattern)

    assert [key for key in matching if compiled.fullmatch(key)] == matching
    assert [key for key in others if compiled.fullmatch(key)] == []


def test_known_objects_are_left_out_and_changed_ones_come_again() -> None:
    bucket = Bucket(Listed("a.jsonl"), Listed("b.jsonl", "v2"), Listed("c.jsonl"))

    assert keys(bucket, "*.jsonl", {("a.jsonl", "v1"), ("b.jsonl", "v1")}) == ["b.jsonl", "c.jsonl"]


def test_hidden_names_and_folder_markers_are_left_out() -> None:
    bucket = Bucket(Listed(".git/a.jsonl"), Listed("x/.a.jsonl.part"), Listed("x/"), Listed("x/a.jsonl"))

    assert keys(bucket, "**") == ["x/a.jsonl"]


@pytest.mark.parametrize(
    ("pattern", "prefix"), [("logs/2026/*.jsonl", "logs/2026/"), ("lo*/a", ""), ("**/a", ""), ("a/b.json", "a/")]
)
def test_only_the_fixed_part_of_the_pattern_is_listed(pattern: str, prefix: str) -> None:
    bucket = Bucket()
    keys(bucket, pattern)

    assert bucket.prefixes == [prefix]


def test_objects_are_saved_when_asked_for(tmp_path: Path) -> None:
    (found,) = list_objects(Bucket(Listed("a/b.jsonl", "v7")), pattern="**", known=set(), dataset="spend_logs")
    found.save(tmp_path / "local")

    assert (found.dataset, found.origin_key, found.origin_version) == ("spend_logs", "a/b.jsonl", "v7")
    assert (tmp_path / "local").read_text() == "content of a/b.jsonl"


def test_the_dataset_may_follow_from_the_key() -> None:
    bucket = Bucket(Listed("costs/1.json"), Listed("usage/1.json"))

    found = list_objects(bucket, pattern="**", known=set(), dataset=lambda key: key.split("/", maxsplit=1)[0])
    assert [one.dataset for one in found] == ["costs", "usage"]


def test_a_growing_file_of_a_folder_is_taken_again(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    file = folder / "today.jsonl"
    file.write_text("{}\n")
    store = open_store(str(folder))
    first = list(list_objects(store, pattern="**/*.jsonl", known=set()))
    known = {(found.origin_key, found.origin_version) for found in first}

    assert list(list_objects(store, pattern="**/*.jsonl", known=known)) == []
    file.write_text("{}\n{}\n")
    (again,) = list_objects(store, pattern="**/*.jsonl", known=known)
    assert again.origin_version != first[0].origin_version
    again.save(tmp_path / "local")
    assert (tmp_path / "local").read_text() == "{}\n{}\n"
