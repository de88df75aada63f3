"""The logs of one hour and resource are landed together, and again when one of them grew."""

import dataclasses
from pathlib import Path

from tests.unit.sources.azure_logs import RESOURCE, gateway, lines, llm, settings
from tests.unit.sources.fetching import fetch_context
from usage_etl.sources.azure_openai_logs import SOURCE
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.reading.bundles import open_bundle


def put(folder: Path, container: str, hour: int, content: bytes, name: str = "PT1H.json") -> None:
    path = folder / container / f"resourceId=/{RESOURCE}" / f"y=2026/m=11/d=02/h={hour:02d}/m=00" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def fetched(folder: Path, known: tuple[tuple[str, str], ...] = ()) -> list[FetchedObject]:
    chosen = settings().model_copy(update={"location": str(folder)})
    return list(SOURCE.fetch(chosen, dataclasses.replace(fetch_context(), known=known)))


def test_the_logs_of_one_hour_and_resource_are_one_delivery_that_comes_again_when_it_grew(tmp_path: Path) -> None:
    store = tmp_path / "store"
    put(store, "insights-logs-gatewaylogs", 9, lines(gateway()))
    put(store, "insights-logs-gatewayllmlogs", 9, lines(llm()))
    put(store, "insights-logs-gatewayllmlogs", 10, lines(llm()))
    nine, ten = fetched(store)
    assert nine.origin_key.endswith("/d=02/h=09")
    nine.save(tmp_path / "bundle")
    with open_bundle(tmp_path / "bundle", "x") as members:
        assert [key.split("/")[0] for key, _ in members] == ["insights-logs-gatewayllmlogs", "insights-logs-gatewaylogs"]
    known = ((nine.origin_key, nine.origin_version), (ten.origin_key, ten.origin_version))
    assert fetched(store, known) == []

    put(store, "insights-logs-gatewaylogs", 9, lines(gateway(), gateway(correlation="other")))
    (again,) = fetched(store, known)
    assert again.origin_key == nine.origin_key
    assert again.origin_version != nine.origin_version


def test_the_five_minute_files_of_a_workspace_s_export_are_one_hour_and_other_files_stay_alone(tmp_path: Path) -> None:
    for minute in ("PT05M.json", "PT10M.json"):
        put(tmp_path, "am-apimanagementgatewayllmlog", 9, lines(llm()), minute)
    (tmp_path / "saved.json").write_bytes(lines(llm()))
    hour, saved = sorted(fetched(tmp_path), key=lambda one: one.origin_key)
    assert (hour.origin_version.split("-")[0], saved.origin_key) == ("2", "saved.json")
