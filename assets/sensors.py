"""Sensors: what is new is landed, what it touches is rebuilt, what fails is mailed.

Sensors are at-least-once, so each only requests work under a run key that names the very content; the work itself is
idempotent.
"""

import datetime as dt
from pathlib import Path

import dagster as dg

from assets.failure_mail import first_cause, mail_failure
from assets.jobs import Jobs
from assets.landing import STAGED_TABLES, new_objects
from assets.marts import HISTORY_DAYS
from assets.partitions import covered_partitions, month_keys, range_tags
from assets.resources import Workspace, WorkspaceResource, open_workspace
from assets.runs_under_way import is_under_way
from assets.stale_months import months_to_build
from usage_etl.errors import UsageEtlError
from usage_etl.keys import fingerprint
from usage_etl.periods import contiguous_ranges
from usage_etl.schemas import STAGED_CHARGES, STAGED_USAGE

_RUNNING = dg.DefaultSensorStatus.RUNNING


def pipeline_sensors(jobs: Jobs, config_file: Path) -> list[dg.SensorDefinition]:
    """The sensors, running by default."""
    return [_new_deliveries(jobs), _touched_days(jobs), _touched_months(jobs, config_file), _failure_mail(config_file)]


def _new_deliveries(jobs: Jobs) -> dg.SensorDefinition:
    @dg.sensor(job=jobs.land, minimum_interval_seconds=60, default_status=_RUNNING)
    def new_deliveries(context: dg.SensorEvaluationContext, workspace: WorkspaceResource) -> dg.RunRequest | dg.SkipReason:
        """Requests landing when a folder or bucket holds objects that are not landed yet.

        Landed objects that wait, because another source failed in their run, are staged without asking any source.
        """
        opened = workspace.open()
        if is_under_way(context, jobs.land.name):
            return dg.SkipReason("a run of the job is under way")
        found, faults = _new_objects(context, opened)
        if found:
            return dg.RunRequest(run_key=fingerprint({"objects": sorted(found)}), tags={"usage_etl/objects": str(len(found))})
        if waiting := [delivery.delivery_id for delivery in opened.index.pending()]:
            staged = [dg.AssetKey(table.name) for table in STAGED_TABLES]
            return dg.RunRequest(run_key=fingerprint({"waiting": waiting}), asset_selection=staged)
        if faults:
            raise faults[0]
        return dg.SkipReason("every object is landed")

    return new_deliveries


def _touched_days(jobs: Jobs) -> dg.SensorDefinition:
    @dg.sensor(job=jobs.daily, minimum_interval_seconds=60, default_status=_RUNNING)
    def touched_days(context: dg.SensorEvaluationContext, workspace: WorkspaceResource) -> list[dg.RunRequest] | dg.SkipReason:
        """Requests exactly the days whose staged rows differ from those they were built from."""
        opened = workspace.open()
        if is_under_way(context, jobs.daily.name):
            return dg.SkipReason("a run of the job is under way")
        if waiting := opened.index.restaging_count():
            return dg.SkipReason(f"{waiting} deliveries are staged anew after an upgrade")
        days = stale_days(opened)
        if not days:
            return dg.SkipReason("every day is built from what is staged")
        return [_range_request(opened, first, last) for first, last in contiguous_ranges(days)]

    return touched_days


def _touched_months(jobs: Jobs, config_file: Path) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[jobs.daily],
        request_job=jobs.monthly,
        default_status=_RUNNING,
    )
    def touched_months(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
        """Requests the months of the days that a daily run has rebuilt, and the later ones that depend on them.

        Later ones learn from those days, or book what differs from a closed month. Months whose allocation was made from other
        invoices, rates, rules or directories than now stand are requested too.
        """
        days = [dt.date.fromisoformat(key) for key in covered_partitions(context.dagster_run.tags)]
        if not days:
            return dg.SkipReason("the run covered no days")
        opened = open_workspace(str(config_file.resolve()))
        months = month_keys(days[0], max(days[-1], min(days[-1] + dt.timedelta(days=HISTORY_DAYS), opened.as_of_date)))
        months = months_to_build(opened, months, with_stale=True)
        return dg.RunRequest(run_key=f"months:{context.dagster_run.run_id}", tags=range_tags(months[0], months[-1]))

    return touched_months


def _new_objects(context: dg.SensorEvaluationContext, workspace: Workspace) -> tuple[list[str], list[UsageEtlError]]:
    """New objects of every source that can be listed, and the errors of those that cannot."""
    found: list[str] = []
    faults: list[UsageEtlError] = []
    for source in workspace.settings.sources:
        try:
            found += new_objects(workspace, source)
        except UsageEtlError as error:
            context.log.warning("source=%s cannot be listed: %s", source.name, error)
            faults.append(error)
    return found, faults


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
