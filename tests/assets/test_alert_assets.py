"""Alerts in the code location: sensors request, the job decides and sends, and nothing is told twice."""

import datetime as dt
import email
import email.policy
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from assets import alerts as alert_assets
from assets import resources
from assets.alerts import alert_inputs, book_of, evaluate_alerts, evaluation_time, late_sources, preview_alerts
from tests.assets.alert_installation import alerting, write_requests
from tests.assets.installation import Installation
from tests.assets.test_sensors import evaluate, keys
from usage_etl.errors import AlertsBusyError
from usage_etl.schemas.outbox_state import outbox


def run(installation: Installation, instance: dg.DagsterInstance, job: str = "alerts", **tags: str) -> bool:
    return installation.execute(installation.definitions.resolve_job_def(job), instance, tags).success


def mails(installation: Installation) -> list[str]:
    """Subjects of the alerts that were mailed."""
    paths = sorted((installation.folder / "out" / "mail").glob("alert-*.eml"))
    messages = [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in paths]
    return [str(message["Subject"]) for message in messages]


def test_a_crossing_is_requested_decided_mailed_and_then_done(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    installation = alerting(tmp_path)
    first, again = (evaluate(installation, instance, "alerts_evaluate") for _ in range(2))
    assert len(keys(first)) == 1
    assert keys(first) == keys(again), "two daemons request one run"
    request = (first.run_requests or [])[0]
    assert run(installation, instance, **{name: text for name, text in request.tags.items() if name.startswith("usage_etl/")})
    (subject,) = mails(installation)
    assert subject == "Acme: requests of the month is 8, above 2"
    assert evaluate(installation, instance, "alerts_evaluate").skip_message == "nothing changed since the last evaluation"
    assert evaluate(installation, instance, "alerts_deliver").skip_message == "nothing is due"
    assert run(installation, instance)
    assert len(mails(installation)) == 1


def test_a_new_rule_or_a_new_day_asks_for_an_evaluation(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = alerting(tmp_path)
    evaluate_alerts(installation.workspace)
    assert not evaluate(installation, instance, "alerts_evaluate").run_requests
    changed = alerting(tmp_path, "1, 2, 3")
    assert len(keys(evaluate(changed, instance, "alerts_evaluate"))) == 1
    evaluate_alerts(changed.workspace)
    before = alert_inputs(changed.workspace)
    tomorrow = evaluation_time(changed.workspace) + dt.timedelta(days=1)
    monkeypatch.setattr(alert_assets, "evaluation_time", lambda _: tomorrow)
    assert alert_inputs(changed.workspace) != before


def test_an_evaluation_that_fails_is_asked_for_again(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = alerting(tmp_path)
    early = evaluate(installation, instance, "alerts_evaluate")
    later = resources.now() + dt.timedelta(hours=1)
    monkeypatch.setattr("assets.alert_sensors.now", lambda: later)
    assert keys(evaluate(installation, instance, "alerts_evaluate")) != keys(early)


def test_a_run_that_died_between_deciding_and_sending_is_sent_by_the_other_job(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    installation = alerting(tmp_path)
    decision = evaluate_alerts(installation.workspace)
    assert len(decision.notices) == 1
    assert mails(installation) == []
    first, again = (evaluate(installation, instance, "alerts_deliver") for _ in range(2))
    assert len(keys(first)) == 1
    assert keys(first) == keys(again)
    assert run(installation, instance, "alerts_delivery")
    assert run(installation, instance, "alerts_delivery")
    assert len(mails(installation)) == 1
    assert not evaluate(installation, instance, "alerts_deliver").run_requests


def test_a_dry_run_stores_nothing(tmp_path: Path) -> None:
    workspace = alerting(tmp_path).workspace
    assert [notice.action for notice in preview_alerts(workspace).notices] == ["fired"]
    assert book_of(workspace).states() == []
    assert workspace.outbox.counts() == {}


def test_a_crash_while_queueing_stores_nothing_and_the_next_evaluation_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = alerting(tmp_path).workspace

    def die(connection: sa.Connection, notices: object) -> int:
        connection.execute(sa.select(outbox))
        raise KeyboardInterrupt

    monkeypatch.setattr(workspace.outbox, "put", die)
    with pytest.raises(KeyboardInterrupt):
        evaluate_alerts(workspace)
    monkeypatch.undo()
    assert book_of(workspace).states() == []
    assert len(evaluate_alerts(workspace).notices) == 1
    assert workspace.outbox.counts() == {"pending": 1}


def test_figures_that_are_overtaken_again_and_again_decide_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = alerting(tmp_path).workspace
    read = alert_assets.observations_of

    def overtaken(*arguments: object) -> object:
        seen = read(*arguments)  # type: ignore[arg-type]
        with workspace.engine.begin() as connection:
            connection.execute(
                sa.text(
                    "INSERT INTO usage_etl_alert_evaluations VALUES ('acme', 1, '2026-11-03', '') "
                    "ON CONFLICT (organization_id) DO UPDATE SET sequence = usage_etl_alert_evaluations.sequence + 1"
                )
            )
        return seen

    monkeypatch.setattr(alert_assets, "observations_of", overtaken)
    with pytest.raises(AlertsBusyError) as caught:
        evaluate_alerts(workspace)
    assert not caught.value.is_permanent
    assert workspace.outbox.counts() == {}


def test_new_data_is_another_evaluation_and_the_same_data_is_none(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    installation = alerting(tmp_path, "5, 20")
    assert run(installation, instance)
    write_requests(installation, 8)
    assert not evaluate(installation, instance, "alerts_evaluate").run_requests
    write_requests(installation, 25)
    assert len(keys(evaluate(installation, instance, "alerts_evaluate"))) == 1
    assert run(installation, instance)
    assert len(mails(installation)) == 2


def test_a_feed_that_is_late_freezes_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = alerting(tmp_path).workspace
    monkeypatch.setattr(alert_assets, "late_sources", lambda _: frozenset({"gateway"}))
    (notice,) = evaluate_alerts(workspace).notices
    assert (notice.action, notice.title) == ("no_data", "Data late: rule spend is frozen for 1 organization")
    monkeypatch.undo()
    assert sorted(one.action for notice in evaluate_alerts(workspace).notices for one in notice.members) == ["fired", "resolved"]


def test_a_source_of_usage_is_late_once_it_delivered_nothing_for_longer_than_it_may(
    landed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = landed.workspace
    assert late_sources(workspace) == frozenset()
    later = resources.now() + dt.timedelta(hours=49)
    monkeypatch.setattr(alert_assets, "now", lambda: later)
    assert late_sources(workspace) == {"gateway"}, "openai reports bills here"


def test_an_installation_without_channels_records_and_tells_nobody(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    rules = "alerts:\n  rules:\n    - {name: spend, measure: requests_count, levels: [1]}\n"
    installation = alerting(tmp_path, rules=rules)
    assert run(installation, instance)
    (state,) = book_of(installation.workspace).states()
    assert (state.thread, state.observed_quantity) == ("open", 8)
    assert mails(installation) == []
