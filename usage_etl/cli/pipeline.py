"""Runs the pipeline in this process: the same jobs of the same code location that the Dagster daemon runs."""

from __future__ import annotations

import datetime as dt
import logging
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from assets.assembly import build_definitions
from assets.closing_checks import closing_faults
from assets.editions import published_files
from assets.failure_mail import first_cause
from assets.partitions import month_keys, range_tags
from assets.resources import Workspace, open_workspace
from assets.sensors import stale_days
from assets.stale_months import months_to_build
from usage_etl.cli.source_states import SourceState, states_of
from usage_etl.config import require_secrets
from usage_etl.delivery.ledger import SendRecord
from usage_etl.errors import UsageEtlError
from usage_etl.schemas import TABLES

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class JobOutcome:
    """One job's run: how it ended, how long it took, what failed."""

    job_name: str
    partitions: str
    succeeded: bool
    duration_s: float
    failures: tuple[str, ...]


@dataclass
class RunSummary:
    """What a run did and made."""

    outcomes: list[JobOutcome] = field(default_factory=list)
    files: list[tuple[str, int]] = field(default_factory=list)
    """Published files and mails: place and bytes."""
    trust: list[tuple[str, str, str]] = field(default_factory=list)
    """The trust figures of the newest executive report: label, figure and note."""
    early: list[SourceState] = field(default_factory=list)
    """Sources with rows of days before the lake's first day."""

    @property
    def succeeded(self) -> bool:
        """Whether every job ended well."""
        return bool(self.outcomes) and all(outcome.succeeded for outcome in self.outcomes)


def run_pipeline(config: Path, *, first: dt.date | None, last: dt.date | None, with_reports: bool) -> RunSummary:
    """Lands, builds the days ``first`` to ``last``, rolls up their months and reports on them.

    Without ``first``, days whose staged rows changed are built, and the trailing window of the daily schedule.
    Raises ConfigError, and UsageEtlError for days that the lake cannot hold, before anything runs.
    """
    logging.getLogger("dagster").setLevel(logging.WARNING)
    workspace = open_workspace(str(config.resolve()))
    require_secrets(workspace.settings)
    _check_days(workspace, first, last)
    definitions = build_definitions(config)
    summary = RunSummary()
    with _instance() as instance:
        summary.outcomes.append(_run(definitions, instance, "land", {}))
        start, end = _window(workspace, first, last)
        months = months_to_build(workspace, month_keys(start, end), with_stale=first is None)
        steps = [("daily", range_tags(start.isoformat(), end.isoformat())), ("monthly", range_tags(months[0], months[-1]))]
        steps += [("reports", range_tags(months[0], months[-1]))] if with_reports else []
        for job_name, tags in steps:
            if summary.succeeded:
                summary.outcomes.append(_run(definitions, instance, job_name, tags))
        if any(outcome.job_name == "monthly" and outcome.succeeded for outcome in summary.outcomes):
            summary.outcomes.append(_run(definitions, instance, "alerts", {}))  # whatever became of the reports
        summary.early = [state for state in states_of(workspace) if state.rows_early_count]
        if with_reports and summary.succeeded:
            summary.files, summary.trust = published_files(workspace, months)
    return summary


def release_delivery(config: Path, delivery_id: str) -> None:
    """Lets a held delivery in, or has a refused one read again. Raises UsageEtlError for any other delivery."""
    workspace = open_workspace(str(config.resolve()))
    waiting = {item.delivery_id: item.status for item in workspace.index.deliveries() if item.status in ("held", "refused")}
    if delivery_id not in waiting:
        listed = ", ".join(f"{name} ({status})" for name, status in sorted(waiting.items())) or "none"
        raise UsageEtlError(f"delivery {delivery_id} is neither held nor refused; these are: {listed}")
    workspace.index.release(delivery_id)


def open_sends(config: Path) -> list[SendRecord]:
    """Mails that wait for a person: refused for good, or cut short so that nobody knows whether they went out."""
    return open_workspace(str(config.resolve())).ledger.open_items()


def settle_send(config: Path, key: str, *, has_arrived: bool, reason: str) -> SendRecord:
    """Records what became of an open mail, named by the beginning of its key. Raises UsageEtlError unless it names one."""
    ledger = open_workspace(str(config.resolve())).ledger
    named = [item for item in ledger.open_items() if item.send_key.startswith(key)]
    if len(named) != 1:
        raise UsageEtlError(f"{len(named)} open mails begin with {key!r}; `usage-etl sends` lists them")
    settle = ledger.confirm if has_arrived else ledger.release
    settle(named[0].send_key, reason)
    return named[0]


def verify_lake(config: Path) -> list[str]:
    """Faults of the stored tables against their manifests, of the delivery index in itself, and of the period book."""
    stored = [table for table in TABLES if not table.name.startswith("staged_")]
    workspace = open_workspace(str(config.resolve()))
    return [*workspace.lake.verify(stored), *workspace.index.faults(), *closing_faults(workspace)]


def _check_days(workspace: Workspace, first: dt.date | None, last: dt.date | None) -> None:
    lake_first, lake_last = workspace.settings.start_date, workspace.as_of_date
    if max(first or lake_first, lake_first) > min(last or lake_last, lake_last):
        raise UsageEtlError(
            f"nothing to build from {first or lake_first} to {last or lake_last}: "
            f"the lake holds {lake_first} (start_date) to {lake_last} (the last complete day)"
        )


def _window(workspace: Workspace, first: dt.date | None, last: dt.date | None) -> tuple[dt.date, dt.date]:
    settings = workspace.settings
    end = min(last or workspace.as_of_date, workspace.as_of_date)
    trailing = end - dt.timedelta(days=settings.schedules.trailing_days - 1)
    start = max(first or min({trailing, *stale_days(workspace)}), settings.start_date)
    return start, end


def _run(definitions: dg.Definitions, instance: dg.DagsterInstance, job_name: str, tags: dict[str, str]) -> JobOutcome:
    began = time.monotonic()
    result = definitions.resolve_job_def(job_name).execute_in_process(
        run_config=_QUIET, instance=instance, tags=tags, raise_on_error=False
    )
    failed = [event for event in result.all_events if event.is_step_failure]
    failures = tuple(f"{event.step_key}: {first_cause(event)}" for event in failed)
    covered = " to ".join(dict.fromkeys(tags.values()))
    return JobOutcome(job_name, covered, result.success, time.monotonic() - began, failures)


def _instance() -> dg.DagsterInstance:
    """The configured instance, so that the UI shows this run; without one, a run that leaves no history."""
    return dg.DagsterInstance.get() if os.environ.get("DAGSTER_HOME") else dg.DagsterInstance.ephemeral()
