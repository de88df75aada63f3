"""What arrives late or again, through the real assets: what it changes, what it leaves, and what is written down of it."""

import datetime as dt
import json
import os
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.restatements import note_build
from assets.staged import StagedObjects
from tests.assets.installation import DAYS, Installation, costs, failures, metadata_of, request
from tests.assets.test_sensors import evaluate, spans
from usage_etl.schemas import BILLING_CHARGES, FACT_RESTATEMENTS, FACT_USAGE_HOURLY, STAGED_USAGE

NOW = dt.datetime.now(tz=dt.UTC)
MONTHS = ("2026-10-01", "2026-11-01")
TABLES = ("lake/fact_usage", "lake/usage_events", "lake/billing_charges", "lake/fact_charges", "lake/fact_deliveries")


def pull(installation: Installation, name: str, hour: int, amounts: dict[dt.date, Sequence[str]]) -> Path:
    """Puts an answer of the API, as our own pull lands it, into the folder of bills.

    It was pulled some hours from now, so that it is newer than what arrives now without a version of its own.
    """
    pulled_at = (NOW + dt.timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%SZ")
    facts = {"usage_etl_pull": {"dataset": "costs", "pulled_at": pulled_at}}
    lines = [json.dumps(facts, separators=(",", ":"))]
    lines += [json.dumps(costs(amounts), default=lambda raw: json.loads(str(raw)), separators=(",", ":"))]
    path = installation.folder / "landing" / "openai" / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def run_days(installation: Installation, instance: dg.DagsterInstance) -> list[tuple[str, str]]:
    """Lands, lets the sensor say which days are touched, and builds exactly these."""
    assert installation.run("land", instance).success
    touched = spans(evaluate(installation, instance, "touched_days"))
    for first, last in touched:
        assert installation.run("daily", instance, first, last).success
    assert not evaluate(installation, instance, "touched_days").run_requests
    return touched


def figures(installation: Installation) -> dict[str, str]:
    return {name: sha for name, sha in installation.fingerprints("lake").items() if name.startswith(TABLES)}


def billed(installation: Installation, day: dt.date) -> Decimal:
    return Decimal(installation.workspace.lake.scan(BILLING_CHARGES, [str(day)]).collect()["billed_cost"].sum())


def restated(installation: Installation, instance: dg.DagsterInstance, *months: str) -> list[dict[str, Any]]:
    """Rows of the table after the months were built."""
    result = installation.run("monthly", instance, *(months or MONTHS))
    assert result.success, failures(result)
    rows = installation.workspace.lake.scan(FACT_RESTATEMENTS).collect()
    return list(rows.sort("table_name", "usage_date", "rebuild_number").iter_rows(named=True))


def test_an_older_pull_that_arrives_late_never_wins(built: Installation, instance: dg.DagsterInstance) -> None:
    day = DAYS[1]
    pull(built, "b.json", 5, {day: ("7", "8")})
    assert run_days(built, instance) == [(str(day), str(day))]
    before = figures(built)
    pull(built, "a-late.json", 4, {day: ("1", "2")})
    assert run_days(built, instance) == []
    assert figures(built) == before
    assert billed(built, day) == Decimal(15)
    late, winner = built.delivery("a-late.json"), built.delivery("b.json")
    assert (late.status, late.status_reason) == ("superseded", f"superseded by delivery {winner.delivery_id}")


def test_replaying_every_old_file_is_a_no_op_that_says_why(built: Installation, instance: dg.DagsterInstance) -> None:
    for number in (0, 1):
        pull(built, f"pull-{number}.json", number + 1, {DAYS[1]: (str(number + 1), "8")})
        assert run_days(built, instance) == [(str(DAYS[1]), str(DAYS[1]))]
    before, count = figures(built), len(built.workspace.index.deliveries())
    for number in (0, 1):  # under their own names with another time of change, and under new names
        path = built.folder / "landing" / "openai" / f"pull-{number}.json"
        os.utime(path, ns=(10**18 + number, 10**18 + number))
        path.with_name(f"again-{number}.json").write_bytes(path.read_bytes())
    for path in sorted((built.folder / "landing" / "gateway").glob("*.jsonl")):
        path.with_name(f"again-{path.name}").write_bytes(path.read_bytes())
    assert run_days(built, instance) == []
    assert figures(built) == before
    replayed = built.workspace.index.deliveries()[count:]
    assert len(replayed) == 2 * 2 + len(DAYS)
    assert {item.status for item in replayed} == {"duplicate"}
    assert all(str(item.status_reason).startswith("same bytes as delivery ") for item in replayed)
    assert [row["rebuild_number"] for row in restated(built, instance)] == [1, 2], "only what the two pulls restated"


def test_old_bytes_with_a_newer_version_undo_a_restatement(built: Installation, instance: dg.DagsterInstance) -> None:
    day, first, path = DAYS[1], billed(built, DAYS[1]), built.folder / "landing" / "openai" / "costs.json"
    original = path.read_bytes()
    path.write_text(json.dumps(costs({day: ("3", "4")}), default=lambda raw: json.loads(str(raw))), encoding="utf-8")
    assert run_days(built, instance) == [(str(day), str(day))]
    assert billed(built, day) == Decimal(7)
    path.write_bytes(original)
    assert run_days(built, instance) == [(str(DAYS[0]), str(DAYS[-1]))], "it answers for all its days again"
    assert billed(built, day) == first
    rows = [row for row in restated(built, instance) if row["usage_date"] == day]
    assert [(row["before_billed_cost"], row["after_billed_cost"]) for row in rows] == [(first, Decimal(7)), (Decimal(7), first)]


def test_a_bucket_emptied_hundreds_of_days_back_rebuilds_exactly_its_days(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    settings = 'version: "1"\norganization: {id: acme, name: Acme}\nstart_date: 2025-09-01\nas_of_date: 2026-11-02\n'
    sources = "sources: [{name: openai, kind: openai, location: landing/openai, minimum_share_pct: 0}]\n"
    old = Installation(tmp_path / "old")
    (old.folder / "landing" / "openai").mkdir(parents=True)
    old.config.write_text(settings + sources, encoding="utf-8")
    days = [dt.date(2025, 9, 14), dt.date(2025, 9, 15), dt.date(2025, 9, 17), dt.date(2026, 11, 1)]
    pull(old, "all.json", 1, dict.fromkeys(days, ("1", "2")))
    run_days(old, instance)
    assert (dt.date(2026, 11, 2) - days[1]).days > 400
    pull(old, "late.json", 2, {days[1]: (), days[2]: ("1", "5")})
    assert run_days(old, instance) == [(str(days[1]), str(days[1])), (str(days[2]), str(days[2]))]
    assert [billed(old, day) for day in days] == [Decimal(3), Decimal(0), Decimal(6), Decimal(3)]
    rows = restated(old, instance, "2025-09-01", "2026-11-01")
    assert [(row["month"], row["usage_date"]) for row in rows] == [(dt.date(2025, 9, 1), day) for day in days[1:3]]
    assert (rows[0]["after_rows_count"], rows[0]["after_billed_cost"]) == (0, 0)


def test_a_late_log_is_written_down_with_what_it_changed(built: Installation, instance: dg.DagsterInstance) -> None:
    assert restated(built, instance) == [], "first builds are none"
    day = DAYS[1]
    built.deliver("late.jsonl", [request(day, 9, prompt_tokens=5000)])
    assert run_days(built, instance) == [(str(day), str(day))]
    [row] = restated(built, instance)
    late = built.delivery("late.jsonl")
    assert (row["table_name"], row["usage_date"], row["month"]) == (FACT_USAGE_HOURLY.name, day, dt.date(2026, 10, 1))
    assert (row["cause"], row["new_deliveries"], row["stopped_deliveries"]) == ("deliveries", late.delivery_id, None)
    assert (row["before_requests_count"], row["after_requests_count"]) == (4, 5)
    assert row["after_tokens"] - row["before_tokens"] == 5200
    assert row["after_effective_cost"] > row["before_effective_cost"] > 0
    assert (row["before_billed_cost"], row["after_billed_cost"]) == (None, None)
    stored = built.workspace.lake.scan(FACT_USAGE_HOURLY, [str(day)]).collect()
    assert stored["effective_cost"].sum() == row["after_effective_cost"]


def test_a_delivery_that_stops_counting_is_named(built: Installation, instance: dg.DagsterInstance) -> None:
    pull(built, "newer.json", 1, dict.fromkeys(DAYS, ("1", "1")))
    run_days(built, instance)
    rows = restated(built, instance)
    assert [row["usage_date"] for row in rows] == list(DAYS)
    assert {row["table_name"] for row in rows} == {BILLING_CHARGES.name}
    assert {row["new_deliveries"] for row in rows} == {built.delivery("newer.json").delivery_id}
    assert {row["stopped_deliveries"] for row in rows} == {built.delivery("costs.json").delivery_id}
    assert {(row["before_rows_count"], row["after_rows_count"]) for row in rows} == {(2, 2)}


def test_new_prices_restate_days_without_a_delivery(built: Installation, instance: dg.DagsterInstance) -> None:
    settings = built.config.read_text(encoding="utf-8") + 'prices: {model_aliases: {"gpt-5.2": "openai/gpt-5"}}\n'
    built.config.write_text(settings, encoding="utf-8")
    again = Installation(built.folder.rename(built.folder.with_name("repriced")))
    assert again.run("land", instance).success
    assert not evaluate(again, instance, "touched_days").run_requests, "no row counts that did not before"
    assert again.run("daily", instance, DAYS[0], DAYS[-1]).success
    rows = restated(again, instance)
    assert {row["cause"] for row in rows} == {"reference"}
    assert [row["usage_date"] for row in rows if row["table_name"] == FACT_USAGE_HOURLY.name] == list(DAYS)
    assert {row["new_deliveries"] for row in rows} == {None}


def test_the_log_survives_a_crash_between_the_commit_and_its_note_and_a_second_run(
    built: Installation, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = DAYS[1]
    built.deliver("late.jsonl", [request(day, 9)])
    assert built.run("land", instance).success

    def crash(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("assets.usage_day.note_build", crash)
        assert not built.run("daily", instance, day).success
    assert restated(built, instance) == []
    for _ in range(2):
        assert built.run("daily", instance, day).success
        [row] = restated(built, instance)
        assert (row["rebuild_number"], row["before_requests_count"], row["after_requests_count"]) == (1, 4, 5)


def test_building_again_without_a_change_writes_nothing(built: Installation, instance: dg.DagsterInstance) -> None:
    staged = StagedObjects(built.workspace, STAGED_USAGE, DAYS[0])
    head = built.workspace.lake.head(FACT_USAGE_HOURLY, str(DAYS[0]))
    assert head is not None
    assert built.workspace.index.is_built(STAGED_USAGE.name, DAYS[0], staged.inputs.fingerprint, head.sha256)
    note_build(built.workspace, staged, FACT_USAGE_HOURLY, head)
    assert built.run("daily", instance, DAYS[0], DAYS[-1]).success
    assert restated(built, instance) == []


def test_the_month_shows_how_many_days_were_restated(built: Installation, instance: dg.DagsterInstance) -> None:
    built.deliver("late.jsonl", [request(day, 9) for day in DAYS])
    run_days(built, instance)
    result = built.run("monthly", instance, MONTHS[0])
    assert result.success
    shown = metadata_of(result, FACT_RESTATEMENTS.name)
    assert (shown["dagster/row_count"], shown["restated_days"], shown["rebuilds"]) == (2, 2, 2)
    assert str(DAYS[0]) in shown["last_rebuilds"]


def test_a_chain_that_does_not_end_at_what_is_stored_fails_its_check(
    built: Installation, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    built.deliver("late.jsonl", [request(DAYS[0], 9)])
    run_days(built, instance)
    one_more = {"": {"rows_count": 1, "requests_count": 1, "tokens": 1, "effective_cost": None}}
    monkeypatch.setattr("assets.restatements.day_figures", lambda _: one_more)
    result = built.run("monthly", instance, MONTHS[0])
    [failed] = [event for event in result.get_asset_check_evaluations() if not event.passed]
    assert failed.check_name == "chain_ends_at_what_is_stored"
    assert f"{FACT_USAGE_HOURLY.name} {DAYS[0]}: the last rebuild does not say what is stored" in str(
        failed.metadata["faults"].value
    )


def test_days_are_not_built_while_an_upgrade_has_deliveries_to_stage_anew(
    built: Installation, instance: dg.DagsterInstance
) -> None:
    before = figures(built)
    tables = ("usage_etl_bucket_days", "usage_etl_bucket_claims", "usage_etl_buckets", "usage_etl_day_inputs")
    with built.workspace.engine.begin() as connection:
        for name in tables:
            connection.exec_driver_sql(f"DROP TABLE {name}")
    older = built.copied_to(built.folder.with_name("older"))
    tick = evaluate(older, instance, "touched_days")
    assert not tick.run_requests
    assert "staged anew after an upgrade" in str(tick.skip_message)
    result = older.run("daily", instance, DAYS[0], DAYS[-1])
    assert not result.success
    assert "run the job land first" in str([failure.error for failure in failures(result).values()])
    assert figures(older) == before
    assert older.run("land", instance).success
    assert older.run("daily", instance, DAYS[0], DAYS[-1]).success
    assert figures(older) == before, "the same rows give the same bytes"
    assert not evaluate(older, instance, "touched_days").run_requests
