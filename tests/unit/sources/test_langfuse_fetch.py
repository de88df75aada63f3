"""A window is landed once it is committed, with the traces that its observations need."""

import dataclasses
from pathlib import Path
from typing import Any

from tests.unit.sources.fetching import fetch_context
from tests.unit.sources.langfuse_files import PROJECT, manifest, observation, observation_v2, settings, trace, written
from tests.unit.sources.outcomes import outcome_of_path
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.langfuse import SOURCE
from usage_etl.sources.reading.bundles import open_bundle

NINE, TEN, ELEVEN = "2026-11-02T09-00-00", "2026-11-02T10-00-00", "2026-11-02T11-00-00"


def put(folder: Path, key: str, content: bytes = b"{}") -> None:
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def put_window(folder: Path, end: str, *tables: str, base: str = f"{PROJECT}/") -> None:
    rows = {"traces": [trace()], "observations": [observation()], "observations_v2": [observation_v2()], "scores": [{"id": "s"}]}
    for table in tables:
        put(folder, f"{base}{table}/{end}.jsonl.gz", written(rows[table], "jsonl.gz"))


def put_manifest(folder: Path, end: str, *tables: str) -> None:
    files = [(f"{PROJECT}/{table}/{end}.jsonl.gz", 1) for table in tables]
    put(folder, f"{PROJECT}/manifests/{end}.json", manifest(*files))


def fetched(folder: Path, known: tuple[tuple[str, str], ...] = (), **changes: Any) -> list[FetchedObject]:
    chosen = settings(**changes).model_copy(update={"location": str(folder)})
    return list(SOURCE.fetch(chosen, dataclasses.replace(fetch_context(), known=known)))


def members(one: FetchedObject, folder: Path) -> list[str]:
    one.save(folder / "bundle")
    with open_bundle(folder / "bundle", "x") as found:
        return [key.removeprefix(f"{PROJECT}/") for key, _ in found]


def test_a_window_is_one_delivery_with_its_traces_before_its_observations(tmp_path: Path) -> None:
    store = tmp_path / "store"
    put_window(store, NINE, "observations", "traces", "scores")
    put_window(store, TEN, "observations", "traces")
    first, second = fetched(store)

    assert [first.origin_key, second.origin_key] == [f"{PROJECT}/{NINE}", f"{PROJECT}/{TEN}"]
    assert members(first, tmp_path) == [f"traces/{NINE}.jsonl.gz", f"observations/{NINE}.jsonl.gz"]
    assert members(second, tmp_path) == [f"traces/{NINE}.jsonl.gz", f"traces/{TEN}.jsonl.gz", f"observations/{TEN}.jsonl.gz"]
    assert outcome_of_path(tmp_path / "bundle", settings()).row["user_id"] == "ana"
    assert fetched(store, ((first.origin_key, first.origin_version), (second.origin_key, second.origin_version))) == []


def test_a_window_of_a_project_with_manifests_waits_for_its_own(tmp_path: Path) -> None:
    put_window(tmp_path, NINE, "observations", "traces")
    put_window(tmp_path, TEN, "observations", "traces")
    put_window(tmp_path, ELEVEN, "observations", "traces")
    put_manifest(tmp_path, TEN, "observations", "traces")
    assert [one.origin_key for one in fetched(tmp_path)] == [f"{PROJECT}/{NINE}", f"{PROJECT}/{TEN}"]

    put_manifest(tmp_path, ELEVEN, "observations", "traces")
    assert len(fetched(tmp_path)) == 3


def test_a_manifest_whose_files_are_not_there_yet_waits(tmp_path: Path) -> None:
    put_window(tmp_path, TEN, "observations")
    put_manifest(tmp_path, TEN, "observations", "traces")
    assert fetched(tmp_path) == []
    put_window(tmp_path, TEN, "traces")
    assert len(fetched(tmp_path)) == 1


def test_the_richer_table_is_taken_where_a_window_has_both(tmp_path: Path) -> None:
    store = tmp_path / "store"
    put_window(store, TEN, "observations", "traces", "observations_v2")
    assert members(fetched(store)[0], tmp_path) == [f"observations_v2/{TEN}.jsonl.gz"]
    assert members(fetched(store, table="observations")[0], tmp_path) == [
        f"traces/{TEN}.jsonl.gz",
        f"observations/{TEN}.jsonl.gz",
    ]
    (store / PROJECT / "observations_v2" / f"{TEN}.jsonl.gz").unlink()
    assert fetched(store, table="observations_v2") == []


def test_a_window_that_gets_its_traces_later_comes_again(tmp_path: Path) -> None:
    put_window(tmp_path, TEN, "observations")
    (before,) = fetched(tmp_path)
    put_window(tmp_path, TEN, "traces")
    (after,) = fetched(tmp_path, ((before.origin_key, before.origin_version),))
    assert after.origin_key == before.origin_key
    assert after.origin_version != before.origin_version


def test_projects_and_integrations_are_kept_apart_and_other_objects_left_alone(tmp_path: Path) -> None:
    put_window(tmp_path, TEN, "observations", base="exports/p1/")
    put_window(tmp_path, TEN, "observations", base="exports/p2/integration/")
    put(tmp_path, "exports/p1/observations/readme.txt")
    put(tmp_path, f"exports/p1/sessions/{TEN}.jsonl")
    assert [one.origin_key for one in fetched(tmp_path)] == [f"exports/p1/{TEN}", f"exports/p2/integration/{TEN}"]
