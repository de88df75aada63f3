"""Sensors: what they request, under which run key, and that a failed run is mailed once."""

import datetime as dt
import email
import email.policy
from email.message import EmailMessage
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.test_utils import create_run_for_test

from assets import resources, retries
from tests.assets.installation import DAYS, SETTINGS, Installation, failures, request, write_small
from tests.assets.test_ranges import staged_object
from usage_etl.errors import LakeError

MONTHS = ("2026-10-01", "2026-11-01")


def evaluate(
    installation: Installation, instance: dg.DagsterInstance, name: str, cursor: str | None = None
) -> SensorExecutionData:
    """One tick of a sensor, as the daemon asks for it."""
    repository = installation.definitions.get_repository_def()
    with dg.build_sensor_context(
        instance=instance, cursor=cursor, repository_def=repository, resources=installation.resources
    ) as context:
        return repository.get_sensor_def(name).evaluate_tick(context)


def spans(tick: SensorExecutionData) -> list[tuple[str, str]]:
    """First and last partition of each requested run."""
    ends = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
    return [(run.tags[ends[0]], run.tags[ends[1]]) for run in tick.run_requests or ()]


def keys(tick: SensorExecutionData) -> list[str | None]:
    """Run keys of the requested runs."""
    return [run.run_key for run in tick.run_requests or ()]


def test_landing_is_requested_while_an_object_is_not_landed(landed: Installation, instance: dg.DagsterInstance) -> None:
    quiet = evaluate(landed, instance, "new_deliveries")
    assert not quiet.run_requests
    assert quiet.skip_message == "every object is landed"

    landed.deliver("late.jsonl", [request(DAYS[1], 7)])
    first, again = evaluate(landed, instance, "new_deliveries"), evaluate(landed, instance, "new_deliveries")
    assert len(keys(first)) == 1
    assert keys(first) == keys(again), "one arrival, one run"

    landed.deliver("later.jsonl", [request(DAYS[1], 8)])
    more = evaluate(landed, instance, "new_deliveries")
    assert len(keys(more)) == 1
    assert keys(more) != keys(first), "more to land is another run"

    assert landed.run("land", instance).success
    assert not evaluate(landed, instance, "new_deliveries").run_requests


def test_an_object_that_is_written_again_is_landed_again(landed: Installation, instance: dg.DagsterInstance) -> None:
    landed.deliver(f"{DAYS[0]}.jsonl", [request(DAYS[0], number) for number in range(5)])
    assert len(keys(evaluate(landed, instance, "new_deliveries"))) == 1
    assert landed.run("land", instance).success
    assert spans(evaluate(landed, instance, "touched_days")) == [(str(DAYS[0]), str(DAYS[-1]))]


def test_before_the_first_build_every_staged_day_is_requested_in_one_run(
    landed: Installation, instance: dg.DagsterInstance
) -> None:
    assert spans(evaluate(landed, instance, "touched_days")) == [(str(DAYS[0]), str(DAYS[-1]))]


def test_a_late_file_makes_exactly_its_days_be_built_again(built: Installation, instance: dg.DagsterInstance) -> None:
    quiet = evaluate(built, instance, "touched_days")
    assert not quiet.run_requests
    assert quiet.skip_message == "every day is built from what is staged"

    old = [dt.date(2026, 10, 5), dt.date(2026, 10, 6), DAYS[0], DAYS[2]]
    outside = [dt.date(2026, 9, 30), dt.date(2026, 11, 3)]
    built.deliver("late.jsonl", [request(day, 20) for day in [*old, *outside]])
    assert not evaluate(built, instance, "touched_days").run_requests, "not landed yet"
    assert built.run("land", instance).success

    tick = evaluate(built, instance, "touched_days")
    expected = [("2026-10-05", "2026-10-06"), (str(DAYS[0]), str(DAYS[0])), (str(DAYS[2]), str(DAYS[2]))]
    assert spans(tick) == expected, "contiguous ranges, and no day outside the lake"
    assert keys(tick) == keys(evaluate(built, instance, "touched_days"))
    assert len(set(keys(tick))) == 3
    assert {run.job_name for run in tick.run_requests or ()} <= {None, "daily"}

    for first, last in expected[:2]:
        assert built.run("daily", instance, first, last).success
    assert spans(evaluate(built, instance, "touched_days")) == expected[2:]
    assert built.run("daily", instance, *expected[2]).success
    assert not evaluate(built, instance, "touched_days").run_requests


def test_the_same_days_touched_again_are_another_run(built: Installation, instance: dg.DagsterInstance) -> None:
    seen = []
    for number in (20, 21):
        built.deliver(f"late-{number}.jsonl", [request(DAYS[0], number)])
        assert built.run("land", instance).success
        seen += keys(evaluate(built, instance, "touched_days"))
    assert len(seen) == len(set(seen)) == 2


def test_bytes_that_are_known_touch_nothing(built: Installation, instance: dg.DagsterInstance) -> None:
    copy = built.folder / "landing" / "gateway" / "again.jsonl"
    copy.write_bytes((built.folder / "landing" / "gateway" / f"{DAYS[0]}.jsonl").read_bytes())
    assert built.run("land", instance).success
    assert built.delivery("again.jsonl").status == "duplicate"
    assert not evaluate(built, instance, "touched_days").run_requests


def test_a_daily_run_requests_its_months_and_those_that_learn_from_it(built: Installation, instance: dg.DagsterInstance) -> None:
    cursor = evaluate(built, instance, "touched_months").cursor
    for day, months in ((DAYS[-1], ("2026-11-01", "2026-11-01")), (DAYS[0], MONTHS)):
        result = built.run("daily", instance, day, only=["fact_charges_daily", "billing_charges"])
        assert result.success
        tick = evaluate(built, instance, "touched_months", cursor)
        assert spans(tick) == [months]
        assert keys(tick) == [f"months:{result.run_id}"]
        assert keys(evaluate(built, instance, "touched_months", cursor)) == keys(tick)
        cursor = tick.cursor
    assert built.run("monthly", instance, "2026-11-01", only=["fact_charges_monthly"]).success
    assert not evaluate(built, instance, "touched_months", cursor).run_requests, "only daily runs touch months"


def test_months_are_requested_no_further_than_data_reaches_and_learns(built: Installation, instance: dg.DagsterInstance) -> None:
    cursor = evaluate(built, instance, "touched_months").cursor
    settings = SETTINGS.replace("2026-10-01", "2026-01-01")
    built.config.write_text(settings, encoding="utf-8")
    resources.open_workspace.cache_clear()
    longer = Installation(built.folder)
    assert longer.run("daily", instance, "2026-03-05", only=["fact_charges_daily", "billing_charges"]).success
    assert spans(evaluate(longer, instance, "touched_months", cursor)) == [("2026-03-01", "2026-07-01")]


def test_a_failed_daily_run_requests_no_months(
    landed: Installation, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT_S", 0.0)
    cursor = evaluate(landed, instance, "touched_months").cursor
    staged_object(landed, DAYS[0]).unlink()
    assert not landed.run("daily", instance, DAYS[0], DAYS[1], only=["fact_usage_hourly"]).success
    assert not evaluate(landed, instance, "touched_months", cursor).run_requests


def mails(installation: Installation) -> list[EmailMessage]:
    """Mails about failures, in order of their file names."""
    files = sorted((installation.folder / "out" / "mail").glob("failure-*.eml"))
    return [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in files]


def text_of(mail: EmailMessage) -> str:
    """The plain text of a mail."""
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def test_a_failed_run_is_mailed_once_with_job_partitions_and_cause(
    landed: Installation, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = evaluate(landed, instance, "failure_mail").cursor
    staged_object(landed, DAYS[1]).unlink()
    result = landed.run("daily", instance, DAYS[0], DAYS[-1])
    assert not result.success
    assert not mails(landed)
    evaluate(landed, instance, "failure_mail", cursor)
    [mail] = mails(landed)
    assert mail["Subject"] == f"usage_etl: job daily failed for {DAYS[0]} to {DAYS[-1]}"
    assert {address.addr_spec for address in mail["To"].addresses} == {"data@example.com", "oncall@example.com"}
    said = text_of(mail)
    assert "usage_day: 1 of 4 partition(s) failed; the others are committed." in said
    assert f"- {DAYS[1]}: staged/staged_usage/gateway/objects/{DAYS[1]}/" in said
    assert result.run_id in said

    tomorrow = resources.now() + dt.timedelta(days=1)
    monkeypatch.setattr("assets.failure_mail.now", lambda: tomorrow)
    evaluate(landed, instance, "failure_mail", cursor)
    assert len(mails(landed)) == 1, "a sensor that sees a run twice, even a day later, mails it once"
    assert len(landed.workspace.ledger._records()) == 2, "one send for each recipient"


def test_two_failed_runs_are_two_mails_and_neither_corrects_the_other(landed: Installation, instance: dg.DagsterInstance) -> None:
    cursor = evaluate(landed, instance, "failure_mail").cursor
    staged_object(landed, DAYS[1]).unlink()
    for _ in range(2):
        assert not landed.run_month("daily", instance, str(DAYS[1])).success
    cursor = evaluate(landed, instance, "failure_mail", cursor).cursor
    evaluate(landed, instance, "failure_mail", cursor)
    assert [mail["Subject"] for mail in mails(landed)] == [f"usage_etl: job daily failed for {DAYS[1]}"] * 2


def test_a_run_without_partitions_is_mailed_by_its_job(landed: Installation, instance: dg.DagsterInstance) -> None:
    cursor = evaluate(landed, instance, "failure_mail").cursor
    (landed.folder / "directory" / "teams.csv").write_text("team_id\nteam-1\n", encoding="utf-8")
    assert not landed.run("land", instance).success
    evaluate(landed, instance, "failure_mail", cursor)
    [mail] = mails(landed)
    assert mail["Subject"] == "usage_etl: job land failed"
    assert "teams.csv" in text_of(mail)


def test_a_successful_run_is_not_mailed(built: Installation, instance: dg.DagsterInstance) -> None:
    cursor = evaluate(built, instance, "failure_mail").cursor
    assert built.run("daily", instance, DAYS[0], only=["fact_charges_daily", "billing_charges"]).success
    evaluate(built, instance, "failure_mail", cursor)
    assert not mails(built)


def test_a_mail_that_cannot_leave_shows_in_the_tick(landed: Installation, instance: dg.DagsterInstance) -> None:
    landed.config.write_text(SETTINGS + "mail: {mode: smtp, host: 127.0.0.1, port: 1, security: none}\n", encoding="utf-8")
    resources.open_workspace.cache_clear()
    offline = Installation(landed.folder)
    cursor = evaluate(offline, instance, "failure_mail").cursor
    staged_object(offline, DAYS[1]).unlink()
    assert not offline.run("daily", instance, DAYS[1], only=["fact_usage_hourly"]).success
    [reaction] = evaluate(offline, instance, "failure_mail", cursor).dagster_run_reactions
    assert reaction.error is not None
    assert "data@example.com" in reaction.error.to_string()


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
def test_nothing_is_requested_while_a_run_of_the_job_is_under_way(
    landed: Installation, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, status: dg.DagsterRunStatus
) -> None:
    landed.deliver("late.jsonl", [request(DAYS[1], 7)])
    for job, sensor in (("land", "new_deliveries"), ("daily", "touched_days")):
        assert len(keys(evaluate(landed, instance, sensor))) == 1
        run = create_run_for_test(instance, job_name=job, status=status)
        assert not evaluate(landed, instance, sensor).run_requests
        with monkeypatch.context() as patched:
            patched.setattr("assets.runs_under_way.now", lambda: resources.now() + dt.timedelta(hours=3))
            assert len(keys(evaluate(landed, instance, sensor))) == 1, "a run that fell silent is dead"
        instance.report_run_canceled(run)
        assert len(keys(evaluate(landed, instance, sensor))) == 1


def test_a_source_that_cannot_be_read_does_not_hold_up_the_others(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    installation = write_small(tmp_path / "installation")
    (installation.folder / "landing" / "openai").rename(installation.folder / "elsewhere")
    result = installation.run("land", instance)
    assert failures(result).keys() == {"landed__openai"}
    assert {delivery.status for delivery in installation.workspace.index.deliveries()} == {"landed"}

    [wanted] = evaluate(installation, instance, "new_deliveries").run_requests or ()
    names = [key.to_user_string() for key in wanted.asset_selection or ()]
    assert set(names) == {"staged_usage", "staged_charges", "usage_events__quarantine", "billing_charges__quarantine"}
    assert installation.run("land", instance, only=names).success
    assert {delivery.status for delivery in installation.workspace.index.deliveries()} == {"staged"}
    assert spans(evaluate(installation, instance, "touched_days")) == [(str(DAYS[0]), str(DAYS[-1]))]


def test_a_source_folder_that_is_missing_fails_the_tick_by_name(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    installation = write_small(tmp_path / "installation")
    (installation.folder / "landing" / "gateway").rename(installation.folder / "elsewhere")
    assert len(keys(evaluate(installation, instance, "new_deliveries"))) == 1, "the other source has objects"
    (installation.folder / "landing" / "openai" / "costs.json").unlink()
    with pytest.raises(LakeError, match="gateway: there is no such folder"):
        evaluate(installation, instance, "new_deliveries")
