"""Logs of one object per request through the real assets: one delivery per folder, new objects only, nothing lost."""

import gzip
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets import landing
from tests.assets.installation import DAYS, Installation, request
from tests.assets.test_restatements import run_days
from tests.assets.test_sensors import evaluate
from usage_etl.errors import LakeError
from usage_etl.schemas import FACT_USAGE_HOURLY, USAGE_EVENTS, USAGE_EVENTS_QUARANTINE

SETTINGS = """\
version: "1"
organization: {id: acme, name: Acme}
start_date: 2026-10-01
as_of_date: 2026-11-02
sources:
  - {name: gateway, kind: litellm, location: landing/gateway, pattern: "{date}/*.json", bundle: folder, trailing_days: 40}
"""


def objects(folder: Path) -> Installation:
    """Three days of four requests, each an object of its own."""
    installation = Installation(folder)
    for day in DAYS[:3]:
        for number in range(4):
            put(installation, f"{day}/{number:02d}.json", request(day, number).encode())
    installation.config.write_text(SETTINGS, encoding="utf-8")
    return installation


def put(installation: Installation, name: str, data: bytes) -> None:
    path = installation.folder / "landing" / "gateway" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def events(installation: Installation) -> list[str]:
    return sorted(installation.workspace.lake.scan(USAGE_EVENTS).collect()["event_id"].to_list())


def test_each_folder_is_one_delivery_and_every_object_a_request(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    small = objects(tmp_path / "small")
    assert len(evaluate(small, instance, "new_deliveries").run_requests or ()) == 1
    assert run_days(small, instance) == [(str(DAYS[0]), str(DAYS[2]))]
    deliveries = small.workspace.index.deliveries()
    assert [(item.origin_key.split("/")[0], item.origin_version) for item in deliveries] == [
        (str(day), "4 objects") for day in DAYS[:3]
    ]
    assert events(small) == sorted(f"req-{day}-{number}" for day in DAYS[:3] for number in range(4))
    assert not evaluate(small, instance, "new_deliveries").run_requests, "nothing is new"


def test_later_objects_are_a_further_delivery_that_touches_its_day_only(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    small = objects(tmp_path / "small")
    run_days(small, instance)
    before = small.fingerprints("lake/fact_usage_hourly")
    put(small, f"{DAYS[1]}/99.json", gzip.compress(request(DAYS[1], 9).encode()))
    assert run_days(small, instance) == [(str(DAYS[1]), str(DAYS[1]))]
    assert [item.origin_version for item in small.workspace.index.deliveries()][3:] == ["1 objects"]
    assert {item.status for item in small.workspace.index.deliveries()} == {"staged"}, "a smaller bundle is not held"
    after = small.fingerprints("lake/fact_usage_hourly")
    assert {name.split("=")[1][:10] for name in after if after[name] != before.get(name)} == {str(DAYS[1])}
    assert len(events(small)) == 13


def test_a_broken_object_is_quarantined_by_name_and_the_others_count(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    small = objects(tmp_path / "small")
    put(small, f"{DAYS[0]}/01.json", b"\x1f\x8b broken")
    run_days(small, instance)
    assert len(events(small)) == 11
    [row] = small.workspace.lake.scan(USAGE_EVENTS_QUARANTINE).collect().iter_rows(named=True)
    assert row["reasons"] == "member__unreadable"
    assert row["raw_text"].startswith(f"{DAYS[0]}/01.json: ")
    put(small, f"{DAYS[0]}/01.json", request(DAYS[0], 1).encode())
    assert run_days(small, instance) == [(str(DAYS[0]), str(DAYS[0]))]
    assert len(events(small)) == 12, "once it is mended, it is new"


def test_a_landing_that_was_cut_short_goes_on_where_it_stopped(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, land = objects(tmp_path / "small"), landing._land

    def land_one(*arguments: Any) -> Any:
        if small.workspace.index.deliveries():
            raise LakeError("the network is gone")
        return land(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(landing, "_land", land_one)
        assert not small.run("land", instance).success
    assert len(small.workspace.index.deliveries()) == 1
    run_days(small, instance)
    assert len(small.workspace.index.deliveries()) == 3
    assert len(events(small)) == 12


def test_the_same_objects_landed_one_by_one_give_the_same_figures(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    together, alone = objects(tmp_path / "together"), objects(tmp_path / "alone")
    alone.config.write_text(SETTINGS.replace("bundle: folder", "bundle: none"), encoding="utf-8")
    for installation in (together, alone):
        run_days(installation, instance)
    assert (len(together.workspace.index.deliveries()), len(alone.workspace.index.deliveries())) == (3, 12)
    hours = [installation.fingerprints(f"lake/{FACT_USAGE_HOURLY.name}") for installation in (together, alone)]
    assert hours[0] == hours[1]
