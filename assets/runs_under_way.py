"""Whether a run of a job is waiting or working."""

import datetime as dt

import dagster as dg

from assets.resources import now

_UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
)
_SILENCE = dt.timedelta(hours=2)


def is_under_way(context: dg.SensorEvaluationContext, job_name: str) -> bool:
    """Whether a run of the job waits or works: it may be making what is missing. One that fell silent is taken for dead."""
    unfinished = dg.RunsFilter(job_name=job_name, statuses=list(_UNFINISHED), updated_after=now() - _SILENCE)
    return context.instance.get_runs_count(unfinished) > 0
