"""Alerts in the code location: sensors request, the job decides and sends, and nothing is told twice."""

import datetime as dt
import email
import email.policy

import dagster as dg
import pytest
import sqlalchemy as sa

from assets import alerts as alert_assets
from assets import resources
from assets.alerts import alert_inputs, book_of, evaluate_alerts, evaluation_time, late_sources, preview_alerts
from tests.assets.installation import SETTINGS, Installation
from tests.assets.test_sensors import evaluate, keys
from usage_etl.errors import AlertsBusyError
from usage_etl.schemas.outbox_state import outbox

RULES = """\
channels:
  - {kind: email, name: ops, recipients: [ops@example.com]}
alerts:
  channels: [ops]
  settle_days: 0
  rules:
    - {name: spend, measure: requests_count, levels: [LEVELS]}
"""


def alerting(built: Installation, levels: str = "1, 2") -> Installation:
    """The installation with a rule on the requests of the month, of which November has eight."""
    built.config.write_text(SETTINGS + RULES.replace("LEVELS", levels), encoding="utf-8")
    resources.open_workspace.cache_clear()
    return Installation(built.folder)


def run(installation: Installation, instance: dg.DagsterInstance, job: str = "alerts", **tags: str) -> bool:
    return installation.execute(installation.definitions.resolve_job_def(job), instance, tags).success


def mails(installation: Installation) -> list[str]:
    """Subjects of the alerts that were mailed."""
    paths = sorted((installation.folder / "out" / "mail").glob("alert-*.eml"))
    messages = [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in paths]
    return [str(message["Subject"]) for message in messages]


def test_a_crossing_is_requested_decided_mailed_and_then_done(built: Installation, instance: dg.DagsterInstance) -> None:
    installation = alerting(built)
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
    built: Installation, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = alerting(built)
    evaluate_alerts(installation.workspace)
    assert not evaluate(installation, instance, "alerts_evaluate").run_requests
    changed = alerting(built, "1, 2, 3")
    assert len(keys(evaluate(changed, instance, "alerts_evaluate"))) == 1
    evaluate_alerts(changed.workspace)
    before = alert_inputs(changed.workspace)
    tomorrow = evaluation_time(changed.workspace) + dt.timedelta(days=1)
    monkeypatch.setattr(alert_assets, "evaluation_time", lambda _: tomorrow)
    assert alert_inputs(changed.workspace) != before


def test_an_evaluation_that_fails_is_asked_for_again(
    built: Installation, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = alerting(built)
    early = evaluate(installation, instance, "alerts_evaluate")
    later = resources.now() + dt.timedelta(hours=1)
    monkeypatch.setattr("assets.alert_sensors.now", lambda: later)
    assert keys(evaluate(installation, instance, "alerts_evaluate")) != keys(early)


def test_a_run_that_died_between_deciding_and_sending_is_sent_by_the_other_job(
    built: Installation, instance: dg.DagsterInstance
) -> None:
    installation = alerting(built)
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


def test_a_dry_run_stores_nothing(built: Installation) -> None:
    workspace = alerting(built).workspace
    assert [notice.action for notice in preview_alerts(workspace).notices] == ["fired"]
    assert book_of(workspace).states() == []
    assert workspace.outbox.counts() == {}


def test_a_crash_while_queueing_stores_nothing_and_the_next_evaluation_tells(
    built: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = alerting(built).workspace

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


def test_figures_that_are_overtaken_again_and_again_decide_nothing(built: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = alerting(built).workspace
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


def test_a_feed_that_is_late_freezes_and_is_told(built: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = alerting(built).workspace
    assert late_sources(workspace) == frozenset()
    later = resources.now() + dt.timedelta(hours=49)
    monkeypatch.setattr(alert_assets, "now", lambda: later)
    assert late_sources(workspace) == {"gateway", "openai"} - {
        source.name for source in workspace.settings.sources if source.role != "usage"
    }
    (notice,) = evaluate_alerts(workspace).notices
    assert (notice.action, notice.title) == ("no_data", "Data late: rule spend is frozen for 1 organization")
    monkeypatch.undo()
    assert sorted(one.action for notice in evaluate_alerts(workspace).notices for one in notice.members) == ["fired", "resolved"]


def test_an_installation_without_channels_records_and_tells_nobody(built: Installation, instance: dg.DagsterInstance) -> None:
    built.config.write_text(
        SETTINGS + "alerts:\n  settle_days: 0\n  rules:\n    - {name: spend, measure: requests_count, levels: [1]}\n"
    )
    resources.open_workspace.cache_clear()
    installation = Installation(built.folder)
    assert run(installation, instance)
    (state,) = book_of(installation.workspace).states()
    assert (state.thread, state.observed_quantity) == ("open", 8)
    assert mails(installation) == []
