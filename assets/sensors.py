"""Sensors: what is new is landed, what it touches is rebuilt, what fails is mailed.

Sensors are at-least-once, so each only requests work under a run key that names the very content; the work itself is
idempotent.
"""

import datetime as dt
from pathlib import Path

import dagster as dg

from assets.failure_mail import first_cause, mail_failure
from assets.jobs import Jobs
from assets.landing import new_objects
from assets.marts import HISTORY_DAYS
from assets.partitions import covered_partitions, month_keys, range_tags
from assets.resources import Workspace, WorkspaceResource, open_workspace
from usage_etl.keys import fingerprint
from usage_etl.periods import contiguous_ranges
from usage_etl.schemas import STAGED_CHARGES, STAGED_USAGE

_RUNNING = dg.DefaultSensorStatus.RUNNING


def pipeline_sensors(jobs: Jobs, config_file: Path) -> list[dg.SensorDefinition]:
    """The sensors, running by default."""

    @dg.sensor(job=jobs.land, name="new_deliveries", minimum_interval_seconds=60, default_status=_RUNNING)
    def new_deliveries(workspace: WorkspaceResource) -> dg.RunRequest | dg.SkipReason:
        """Requests landing when a folder or bucket holds objects that are not landed yet."""
        found = new_objects(workspace.open())
        if not found:
            return dg.SkipReason("every object is landed")
        return dg.RunRequest(run_key=fingerprint({"objects": sorted(found)}), tags={"usage_etl/objects": str(len(found))})

    @dg.sensor(job=jobs.daily, name="touched_days", minimum_interval_seconds=60, default_status=_RUNNING)
    def touched_days(workspace: WorkspaceResource) -> list[dg.RunRequest] | dg.SkipReason:
        """Requests exactly the days whose staged rows differ from those they were built from."""
        opened = workspace.open()
        days = stale_days(opened)
        if not days:
            return dg.SkipReason("every day is built from what is staged")
        return [_range_request(opened, first, last) for first, last in contiguous_ranges(days)]

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[jobs.daily],
        request_job=jobs.monthly,
        name="touched_months",
        default_status=_RUNNING,
    )
    def touched_months(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
        """Requests the months of the days that a daily run has rebuilt, and the later ones that learn from those days."""
        days = [dt.date.fromisoformat(key) for key in covered_partitions(context.dagster_run.tags)]
        if not days:
            return dg.SkipReason("the run covered no days")
        as_of = open_workspace(str(config_file.resolve())).as_of_date
        months = month_keys(days[0], max(days[-1], min(days[-1] + dt.timedelta(days=HISTORY_DAYS), as_of)))
        return dg.RunRequest(run_key=f"months:{context.dagster_run.run_id}", tags=range_tags(months[0], months[-1]))

    return [new_deliveries, touched_days, touched_months, _failure_mail(config_file)]


def stale_days(workspace: Workspace) -> set[dt.date]:
    """Days inside the lake's span whose staged rows, of usage or charges, differ from what they were built from."""
    stale = workspace.index.stale_days(STAGED_USAGE.name) | workspace.index.stale_days(STAGED_CHARGES.name)
    return {day for day in stale if workspace.settings.start_date <= day <= workspace.as_of_date}


def _failure_mail(config_file: Path) -> dg.SensorDefinition:
    """Mails every failed run to the configured recipients; one failed run is mailed once."""

    @dg.run_failure_sensor(name="failure_mail", default_status=_RUNNING)
    def failure_mail(context: dg.RunFailureSensorContext) -> None:
        causes = [f"{event.step_key}: {first_cause(event)}" for event in context.get_step_failure_events()]
        message = "\n\n".join(causes) or context.failure_event.message or "the run failed without a message"
        mail_failure(open_workspace(str(config_file.resolve())), context.dagster_run, message).raise_for_failures()

    return failure_mail


def _range_request(workspace: Workspace, first: dt.date, last: dt.date) -> dg.RunRequest:
    days = [first + dt.timedelta(days=offset) for offset in range((last - first).days + 1)]
    tables = (STAGED_USAGE.name, STAGED_CHARGES.name)
    content = {f"{table}/{day}": workspace.index.staged_fingerprint(table, day) for table in tables for day in days}
    return dg.RunRequest(run_key=fingerprint(content), tags=range_tags(first.isoformat(), last.isoformat()))
