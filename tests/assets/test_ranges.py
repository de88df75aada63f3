"""Range runs: day by day, losing only the day that fails, doing nothing twice."""

import datetime as dt
import os
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError

from assets import retries, usage_day
from tests.assets.conftest import DEMO_MONTH, DEMO_SPAN
from tests.assets.installation import DAYS, Installation, failures, metadata_of, recorded, request, write_small
from usage_etl.errors import LakeError, TransientLakeError
from usage_etl.lake import Commit
from usage_etl.schemas import FACT_USAGE_DAILY, FACT_USAGE_HOURLY, MART_SUMMARY, STAGED_USAGE, USAGE_EVENTS

KEYS = [day.isoformat() for day in DAYS]
BAD = DAYS[2]
GOOD_KEYS = [key for key in KEYS if key != BAD.isoformat()]
ONLY = ("usage_events", "fact_usage_hourly", "fact_usage_daily")
HOURLY = dg.AssetKey("fact_usage_hourly")


def staged_object(installation: Installation, day: dt.date) -> Path:
    """The one staged usage object of a day."""
    [part] = installation.workspace.index.staged_days(STAGED_USAGE.name, [day])[day]
    return installation.folder / "lake" / part.staged_key


def commits(installation: Installation) -> dict[str, str]:
    """When each stored day of hourly facts became what it is."""
    lake = installation.workspace.lake
    heads = {key: lake.head(FACT_USAGE_HOURLY, key) for key in lake.partitions(FACT_USAGE_HOURLY)}
    return {key: head.committed_at for key, head in heads.items() if head}


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come at once."""
    monkeypatch.setattr(retries, "FIRST_WAIT_S", 0.0)


def attempts(result: dg.ExecuteInProcessResult, step_key: str) -> int:
    """How often a step was started."""
    kinds = (dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_RESTARTED)
    return sum(event.event_type in kinds and event.step_key == step_key for event in result.all_events)


def test_each_day_is_recorded_when_it_is_committed_and_before_the_next_begins(
    landed: Installation, instance: dg.DagsterInstance
) -> None:
    result = landed.run("daily", instance, DAYS[0], DAYS[-1])
    assert result.success
    records = instance.fetch_materializations(HOURLY, limit=100, ascending=True).records
    at = {str(record.partition_key): record.timestamp for record in reversed(records)}
    committed = {key: dt.datetime.fromisoformat(text).timestamp() for key, text in commits(landed).items()}
    assert list(committed) == KEYS
    for key, following in zip(KEYS, [*KEYS[1:], None], strict=True):
        assert committed[key] <= at[key]
        assert following is None or at[key] <= committed[following]


def test_the_record_of_a_day_shows_its_own_figures(landed: Installation, instance: dg.DagsterInstance) -> None:
    landed.run("daily", instance, DAYS[0], DAYS[-1], only=ONLY)
    for key in KEYS:
        event = instance.get_latest_data_version_record(HOURLY, partition_key=key)
        assert event is not None
        shown = {name: entry.value for name, entry in event.asset_materialization.metadata.items()}
        head = landed.workspace.lake.head(FACT_USAGE_HOURLY, key)
        assert head is not None
        assert shown["dagster/row_count"] == head.rows_count
        assert shown["sha256"] == head.sha256
        assert shown["requests_count"] == 4


def test_a_day_without_data_is_an_empty_partition_not_a_gap(landed: Installation, instance: dg.DagsterInstance) -> None:
    assert landed.run("daily", instance, "2026-10-28", "2026-10-30").success
    assert landed.workspace.lake.partitions(FACT_USAGE_DAILY) == ["2026-10-28", "2026-10-29", "2026-10-30"]
    head = landed.workspace.lake.head(FACT_USAGE_DAILY, "2026-10-28")
    assert head is not None
    assert head.rows_count == 0
    assert len(instance.get_materialized_partitions(HOURLY)) == 3


def test_one_bad_day_loses_only_that_day(landed: Installation, instance: dg.DagsterInstance) -> None:
    broken = staged_object(landed, BAD)
    good_bytes = broken.read_bytes()
    broken.write_bytes(good_bytes[: len(good_bytes) // 2])

    result = landed.run("daily", instance, DAYS[0], DAYS[-1])
    assert not result.success
    failed = failures(result)["usage_day"].user_failure_data
    assert failed is not None
    assert failed.description is not None
    assert failed.description.startswith("1 of 4 partition(s) failed; the others are committed.")
    assert f"- {BAD}: staged/staged_usage/gateway/objects/{BAD}/" in failed.description
    assert failed.metadata["failed_partitions"].value == [BAD.isoformat()]
    assert attempts(result, "usage_day") == 1
    for asset in ("usage_events", "fact_usage_hourly", "fact_deliveries_daily", "fact_usage_daily"):
        assert instance.get_materialized_partitions(dg.AssetKey(asset)) == set(GOOD_KEYS), asset
    assert list(commits(landed)) == GOOD_KEYS
    assert landed.workspace.lake.partitions(FACT_USAGE_DAILY) == GOOD_KEYS

    broken.write_bytes(good_bytes)
    before = commits(landed)
    second = landed.run("daily", instance, DAYS[0], DAYS[-1])
    assert second.success
    assert metadata_of(second, "fact_usage_hourly")["changed"] is False
    assert second.get_asset_materialization_events()
    after = commits(landed)
    assert {key: after[key] for key in GOOD_KEYS} == before
    assert after.keys() == set(KEYS)
    assert instance.get_materialized_partitions(HOURLY) == set(KEYS)


def test_an_object_that_is_gone_is_named_and_not_tried_again(landed: Installation, instance: dg.DagsterInstance) -> None:
    gone = staged_object(landed, BAD)
    gone.unlink()
    result = landed.run("daily", instance, DAYS[0], DAYS[-1], only=ONLY)
    failed = failures(result)["usage_day"].user_failure_data
    assert failed is not None
    assert failed.description is not None
    assert f"{gone.name}: there is no such object" in failed.description
    assert attempts(result, "usage_day") == 1


def fail_once(installation: Installation, monkeypatch: pytest.MonkeyPatch, error: Exception) -> Counter[str]:
    """Building the bad day raises ``error`` the first time. Counts how often each day is tried."""
    tries: Counter[str] = Counter()
    commit = usage_day.UsageDay.commit

    def failing(self: usage_day.UsageDay, tables: Any) -> Mapping[str, Commit]:
        tries[self.day.isoformat()] += 1
        if self.day == BAD and tries[self.day.isoformat()] == 1:
            raise error
        return commit(self, tables)

    monkeypatch.setattr(usage_day.UsageDay, "commit", failing)
    return tries


@pytest.mark.parametrize("error", [TransientLakeError("slow down"), ConnectionResetError("reset")], ids=repr)
def test_a_transient_fault_is_tried_again_in_the_same_run(
    landed: Installation, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    tries = fail_once(landed, monkeypatch, error)
    result = landed.run("daily", instance, DAYS[0], DAYS[-1], only=ONLY)
    assert result.success
    assert attempts(result, "usage_day") == 2
    assert tries == dict.fromkeys(KEYS, 2)
    assert instance.get_materialized_partitions(HOURLY) == set(KEYS)


@pytest.mark.parametrize("error", [LakeError("cannot ever work"), KeyError("column")], ids=repr)
def test_a_fault_that_stays_is_not_tried_again(
    landed: Installation, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    tries = fail_once(landed, monkeypatch, error)
    result = landed.run("daily", instance, DAYS[0], DAYS[-1], only=ONLY)
    assert not result.success
    assert tries == dict.fromkeys(KEYS, 1)


def test_a_run_that_is_ended_leaves_the_finished_days_recorded(
    landed: Installation, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = usage_day.UsageDay.commit

    def ended(self: usage_day.UsageDay, tables: Any) -> Mapping[str, Commit]:
        if self.day == BAD:
            raise DagsterExecutionInterruptedError  # what a termination signal becomes
        return commit(self, tables)

    monkeypatch.setattr(usage_day.UsageDay, "commit", ended)
    result = landed.run("daily", instance, DAYS[0], DAYS[-1], only=ONLY)
    assert not result.success
    assert attempts(result, "usage_day") == 1
    done = KEYS[: KEYS.index(BAD.isoformat())]
    assert instance.get_materialized_partitions(HOURLY) == set(done)
    assert list(commits(landed)) == done


def test_a_broken_month_loses_only_that_month(landed: Installation, instance: dg.DagsterInstance) -> None:
    assert landed.run("daily", instance, DAYS[0], DAYS[-1]).success
    damaged = landed.folder / "lake" / "fact_usage_daily" / f"usage_date={DAYS[-1]}" / "part.parquet"
    damaged.write_bytes(b"not a table")
    result = landed.run("monthly", instance, "2026-10-01", "2026-11-01")
    failed = failures(result)["fact_usage_monthly"].user_failure_data
    assert failed is not None
    assert failed.metadata["failed_partitions"].value == ["2026-11-01"]
    assert instance.get_materialized_partitions(dg.AssetKey("fact_usage_monthly")) == {"2026-10-01"}
    assert instance.get_materialized_partitions(dg.AssetKey("fact_charges_monthly")) == {"2026-10-01", "2026-11-01"}
    assert landed.run("monthly", instance, "2026-10-01").success


def test_a_month_is_not_compared_with_one_that_data_covers_in_part(landed: Installation, instance: dg.DagsterInstance) -> None:
    """Days before the first data are built too, as after a backfill from start_date; they are no data to compare with."""
    assert landed.run("daily", instance, "2026-10-01", "2026-11-02").success
    assert landed.run("monthly", instance, "2026-10-01", "2026-11-01", only=("fact_usage_monthly", "mart_summary")).success
    november = landed.workspace.lake.scan(MART_SUMMARY, ["2026-11-01"]).collect()
    assert november.height
    assert not november["previous_has_data"].any()


def test_running_everything_twice_changes_no_byte_and_sends_nothing_twice(
    demo: Installation, instance: dg.DagsterInstance
) -> None:
    before = demo.fingerprints("lake", "out")
    sends = demo.workspace.ledger
    assert len([name for name in before if name.startswith("out/mail/")]) == 2
    sent = [(record.send_key, record.claimed_at) for record in sends._records()]
    for job, span in {"land": (), "daily": DEMO_SPAN, "monthly": (DEMO_MONTH,)}.items():
        assert demo.run(job, instance, *span).success, job
    assert demo.run_month("reports", instance, DEMO_MONTH).success
    assert demo.fingerprints("lake", "out") == before
    assert [(record.send_key, record.claimed_at) for record in sends._records()] == sent


def test_the_same_files_landed_elsewhere_make_the_same_tables(
    built: Installation, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    other = write_small(tmp_path / "elsewhere")
    assert other.run("land", instance).success
    for day in reversed(DAYS):
        assert other.run("daily", instance, day).success
    tables = ("lake/fact_usage", "lake/dim_")
    lakes = [
        {name: sha for name, sha in installation.fingerprints("lake").items() if name.startswith(tables)}
        for installation in (built, other)
    ]
    monthly = [name for name in lakes[0] if "fact_usage_monthly" in name]
    assert len(monthly) == 2
    assert {name: sha for name, sha in lakes[0].items() if name not in monthly} == lakes[1]


def write_year(folder: Path) -> tuple[Installation, list[dt.date]]:
    """A year of two requests a day, in one file."""
    (folder / "landing" / "gateway").mkdir(parents=True)
    settings = "\n".join(
        (
            'version: "1"',
            "organization: {id: acme, name: Acme}",
            "start_date: 2025-11-01",
            "as_of_date: 2026-10-31",
            "sources: [{name: gateway, kind: litellm, location: landing/gateway}]",
        )
    )
    (folder / "usage_etl.yaml").write_text(settings, encoding="utf-8")
    installation = Installation(folder)
    days = [dt.date(2025, 11, 1) + dt.timedelta(days=offset) for offset in range(365)]
    installation.deliver("year.jsonl", (request(day, number) for day in days for number in range(2)))
    return installation, days


@pytest.mark.slow
def test_a_year_of_small_days_is_one_run_that_records_each_day_once(
    tmp_path: Path, instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    year, days = write_year(tmp_path / "year")
    assert year.run("land", instance).success
    began, began_cpu = time.monotonic(), sum(os.times()[:2])
    result = year.run("daily", instance, days[0], days[-1])
    wall_s, cpu_s = time.monotonic() - began, sum(os.times()[:2]) - began_cpu
    with capsys.disabled():
        print(f"\n365 small days, 7 tables, one process: {wall_s:.1f} s, {cpu_s:.1f} CPU-s")  # noqa: T201
    assert result.success
    keys = [day.isoformat() for day in days]
    for table in (USAGE_EVENTS, FACT_USAGE_HOURLY, FACT_USAGE_DAILY):
        assert year.workspace.lake.partitions(table) == keys
    # One record as each day is committed, one by Dagster when the step ends.
    assert recorded(instance, result.run_id, "fact_usage_hourly") == keys * 2
    assert instance.get_materialized_partitions(HOURLY) == set(keys)
