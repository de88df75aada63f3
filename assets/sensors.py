"""Sensors: what is new is landed, what it touches is rebuilt, what fails is mailed.

Sensors are at-least-once, so each only requests work under a run key that names the very content; the work itself is
idempotent.
"""

import datetime as dt
from pathlib import Path
from typing import Any

import dagster as dg

from assets.failure_mail import mail_failure
from assets.jobs import Jobs
from assets.landing import new_objects
from assets.partitions import month_keys, range_tags
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
        """Requests the months of the days that a daily run has rebuilt."""
        days = run_days(context.dagster_run.tags)
        if not days:
            return dg.SkipReason("the run covered no days")
        months = month_keys(min(days), max(days))
        return dg.RunRequest(run_key=f"months:{context.dagster_run.run_id}", tags=range_tags(months[0], months[-1]))

    return [new_deliveries, touched_days, touched_months, _failure_mail(config_file)]


def stale_days(workspace: Workspace) -> set[dt.date]:
    """Days inside the lake's span whose staged rows, of usage or charges, differ from what they were built from."""
    stale = workspace.index.stale_days(STAGED_USAGE.name) | workspace.index.stale_days(STAGED_CHARGES.name)
    return {day for day in stale if workspace.settings.start_date <= day <= workspace.as_of_date}


def run_days(tags: Any) -> list[dt.date]:
    """First and last day that a run's tags say it covers."""
    names = ("dagster/partition", "dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
    return [dt.date.fromisoformat(tags[name]) for name in names if name in tags]


def _failure_mail(config_file: Path) -> dg.SensorDefinition:
    """Mails every failed run to the configured recipients; one failed run is mailed once."""

    @dg.run_failure_sensor(name="failure_mail", default_status=_RUNNING)
    def failure_mail(context: dg.RunFailureSensorContext) -> None:
        message = context.failure_event.message or "the run failed without a message"
        mail_failure(open_workspace(str(config_file.resolve())), context.dagster_run, message)

    return failure_mail


def _range_request(workspace: Workspace, first: dt.date, last: dt.date) -> dg.RunRequest:
    days = [first + dt.timedelta(days=offset) for offset in range((last - first).days + 1)]
    tables = (STAGED_USAGE.name, STAGED_CHARGES.name)
    content = {f"{table}/{day}": workspace.index.staged_fingerprint(table, day) for table in tables for day in days}
    return dg.RunRequest(run_key=fingerprint(content), tags=range_tags(first.isoformat(), last.isoformat()))
