"""Sensors of alerts. Both are cheap and at-least-once: they only request runs, and what a run decides or sends happens once."""

import datetime as dt

import dagster as dg

from assets.alerts import INPUTS_TAG, alert_inputs, book_of
from assets.resources import WorkspaceResource, now
from assets.runs_under_way import is_under_way
from usage_etl.keys import fingerprint


def alert_sensors(alerts: dg.JobDefinition, delivery: dg.JobDefinition) -> list[dg.SensorDefinition]:
    """The sensors, running by default."""
    running = dg.DefaultSensorStatus.RUNNING

    @dg.sensor(job=alerts, minimum_interval_seconds=60, default_status=running)
    def alerts_evaluate(context: dg.SensorEvaluationContext, workspace: WorkspaceResource) -> dg.RunRequest | dg.SkipReason:
        """Requests an evaluation when marts, rules or silences are others than at the last one, and on each new day."""
        opened = workspace.open()
        if is_under_way(context, alerts.name):
            return dg.SkipReason("a run of the job is under way")
        inputs = alert_inputs(opened)
        book = book_of(opened)
        if inputs == book.last_inputs():
            return dg.SkipReason("nothing changed since the last evaluation")
        # The hour: Dagster never repeats a run key, and an evaluation that failed must be asked for again.
        run_key = f"alerts:{book.sequence()}:{inputs}:{now():%Y-%m-%dT%H}"
        return dg.RunRequest(run_key=run_key, tags={INPUTS_TAG: inputs})

    @dg.sensor(job=delivery, minimum_interval_seconds=60, default_status=running)
    def alerts_deliver(context: dg.SensorEvaluationContext, workspace: WorkspaceResource) -> dg.RunRequest | dg.SkipReason:
        """Requests sending while something is due: what had to wait for its channel, or for a run that died."""
        opened = workspace.open()
        if is_under_way(context, delivery.name) or is_under_way(context, alerts.name):
            return dg.SkipReason("a run of the job is under way")
        opened.outbox.recover(now())
        due = opened.outbox.due(now())
        if not due:
            return dg.SkipReason("nothing is due")
        tried = [(item.position, item.attempts_count) for item in due]
        return dg.RunRequest(run_key=fingerprint({"due": tried, "day": now().astimezone(dt.UTC).date().isoformat()}))

    return [alerts_evaluate, alerts_deliver]
