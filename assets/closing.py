"""Closing: freezes a provider's month as it is booked, once its gates hold, and commits the booked chargeback of every month.

A closing's lines are committed to mart_chargeback_closed before the period book says closed. A crash between the two leaves
the month open: lines that the book does not know are read by nobody, and the next closing replaces them.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import polars as pl

from assets.booking import BOOKING_READS, Booking, allocation_input, closed_months_before, commit_booked
from assets.closing_facts import CLOSING_READS, FailedGates, MonthFacts
from assets.closing_inputs import closing_inputs
from assets.describe import table_spec
from assets.jobs import MAX_RUNTIME
from assets.monthly import monthly_asset
from assets.partitions import monthly_partitions
from assets.ranges import build_partitions
from assets.resources import Workspace, WorkspaceResource, now
from usage_etl.allocation.booking import closing_lines, lines_sha256
from usage_etl.config import Settings
from usage_etl.errors import GateError, PeriodBusyError
from usage_etl.lake import Commit
from usage_etl.money import exact_sum
from usage_etl.periods import Month
from usage_etl.schemas import MART_ALLOCATION_MONTHLY, MART_CHARGEBACK_CLOSED, MART_CHARGEBACK_MONTHLY
from usage_etl.schemas.periods import ALL_OTHERS, Closing, Periods

SCHEDULE_CLOSER = "schedule"
"""Who closed, in the period book, when nobody is named."""


class CloseConfig(dg.Config):
    """Which provider to close, all of them unless given; whether the run fails when it cannot; who closes."""

    provider: str = ""
    must_close: bool = False
    closed_by: str = SCHEDULE_CLOSER


@dataclass(frozen=True)
class CloseOutcome:
    """What became of one month."""

    month: Month
    closed: tuple[Closing, ...]
    refused: Mapping[str, list[str]] = field(default_factory=dict)
    """Provider to what speaks against closing it, one sentence each."""
    commits: Mapping[str, Commit] = field(default_factory=dict)

    def as_metadata(self) -> dict[str, Any]:
        """For the UI and the command line."""
        closed = [f"{item.provider_name} (closing {item.number})" for item in self.closed if item.provider_name != ALL_OTHERS]
        return {
            "closed": dg.MetadataValue.json(closed),
            "refused": dg.MetadataValue.json(dict(self.refused)),
            "is_month_closed": any(item.provider_name == ALL_OTHERS for item in self.closed),
        }


def closing_assets(settings: Settings, *, failed_gates: FailedGates) -> list[dg.AssetsDefinition]:
    """Definitions of mart_chargeback_closed, which only the job ``close`` materializes, and of mart_chargeback_monthly."""
    closing_reads = [table.name for table in (*BOOKING_READS, *CLOSING_READS) if table is not MART_CHARGEBACK_CLOSED]
    closed_spec = table_spec(MART_CHARGEBACK_CLOSED, deps=closing_reads)

    @dg.multi_asset(
        name=MART_CHARGEBACK_CLOSED.name,
        specs=[closed_spec],
        partitions_def=monthly_partitions(settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def closed(
        context: dg.AssetExecutionContext, workspace: WorkspaceResource, config: CloseConfig
    ) -> Iterator[dg.MaterializeResult]:
        opened, failures = workspace.open(), list[str]()

        def close(key: str) -> Mapping[str, Commit]:
            outcome = close_month(
                opened,
                Month.parse(key),
                failed_gates=failed_gates,
                provider_name=config.provider or None,
                closed_by=config.closed_by,
            )
            context.add_asset_metadata(outcome.as_metadata(), asset_key=MART_CHARGEBACK_CLOSED.name, partition_key=key)
            failures.extend(f"{key} {name}: {fault}" for name, faults in outcome.refused.items() for fault in faults)
            return outcome.commits

        yield from build_partitions(context, close)
        if failures and config.must_close:
            raise dg.Failure(description=str(GateError("closing", failures)), allow_retries=False)

    return [closed, monthly_asset(settings, [MART_CHARGEBACK_MONTHLY], BOOKING_READS, commit_booked)]


def close_month(
    workspace: Workspace,
    month: Month,
    *,
    failed_gates: FailedGates,
    provider_name: str | None = None,
    closed_by: str,
) -> CloseOutcome:
    """Closes every provider of the month that passes its gates, or only ``provider_name``.

    Closed together, in one entry of the period book. Once every provider with lines is closed, the month as a whole is:
    what arrives later is corrected in the next month. Raises PeriodBusyError when somebody else closed meanwhile.
    """
    book = workspace.period_book
    head, periods = book.head(), book.periods()
    versions = _allocation_versions(workspace, month, periods)
    booking = Booking(workspace, month, periods)
    booked = booking.stored_lines()
    names = _providers(booked, month, periods)
    asked = [provider_name] if provider_name else [name for name in names if not periods.is_closed(name, month)]
    refused = _refused(asked, booked, MonthFacts(workspace, month, periods, failed_gates))
    frames = {name: booked.filter(pl.col("provider_name") == name) for name in asked if name not in refused}
    closings = [_closing(booking, name, lines, versions=versions, closed_by=closed_by) for name, lines in frames.items()]
    if _is_whole(names, list(frames), month, periods):
        closings.append(_closing(booking, ALL_OTHERS, booked.clear(), versions=versions, closed_by=closed_by))
    what = f"closing of {month}"
    with book.recording(head=head, what=what) as recording:
        if _allocation_versions(workspace, month, periods) != versions:
            raise PeriodBusyError(what)
        commit = _commit(workspace, month, closings, frames, periods)
        for closing in closings:
            recording.close(closing)
    return CloseOutcome(month, tuple(closings), refused, {MART_CHARGEBACK_CLOSED.name: commit})


def close_job(*, first_keys: Sequence[dg.AssetKey] = (), then_keys: Sequence[dg.AssetKey] = ()) -> Any:
    """The job ``close``: tie-out and allocation brought up to date, closing, then whatever is made from the closed lines.

    ``first_keys`` are the monthly assets before closing, ``then_keys`` journal, reports and mails after it.
    """
    own = [dg.AssetKey(MART_CHARGEBACK_CLOSED.name), dg.AssetKey(MART_CHARGEBACK_MONTHLY.name)]
    return dg.define_asset_job(
        "close",
        selection=dg.AssetSelection.assets(*first_keys, *own, *then_keys),
        tags=MAX_RUNTIME,
        description="Close every provider's month that passes its gates, then publish it anew.",
    )


def close_schedule(settings: Settings, job: Any) -> dg.ScheduleDefinition:
    """Closes what passes of the month before the tick's, in the organization's zone."""
    zone = settings.organization.time_zone

    @dg.schedule(
        job=job,
        cron_schedule=settings.schedules.close,
        name="close_month",
        execution_timezone=zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def close_schedule_of_month(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Last month, for every provider that passes; the run's metadata says who was refused and why."""
        local = context.scheduled_execution_time.astimezone(ZoneInfo(zone))
        month = Month.of(local.date()).previous
        if month.first_day < settings.start_date or (settings.as_of_date and month > Month.of(settings.as_of_date)):
            return dg.SkipReason(f"the lake does not cover {month}")
        return dg.RunRequest(run_key=f"close:{local:%Y-%m-%d}", partition_key=month.first_day.isoformat())

    return close_schedule_of_month


def _providers(booked: pl.DataFrame, month: Month, periods: Periods) -> list[str]:
    """Providers of the month: those with lines, and those that were closed once and have none any more."""
    reopened = {item.provider_name for item in periods.closings if item.month == month} - {ALL_OTHERS}
    return sorted({*booked["provider_name"].unique(), *reopened})


def _is_whole(names: Sequence[str], passing: Sequence[str], month: Month, periods: Periods) -> bool:
    is_every_one_closed = all(name in passing or periods.is_closed(name, month) for name in names)
    return bool(names) and is_every_one_closed and not periods.is_sealed(month)


def _refused(asked: Sequence[str], booked: pl.DataFrame, facts: MonthFacts) -> dict[str, list[str]]:
    """Provider to its faults, of those asked for that do not pass."""
    refused = {}
    for name in asked:
        lines = booked.filter(pl.col("provider_name") == name)
        if faults := facts.faults(name, lines):
            refused[name] = faults
    return refused


def _allocation_versions(workspace: Workspace, month: Month, periods: Periods) -> dict[Month, str]:
    """Stored version of the allocation of the month, and of the closed months that it corrects."""
    months = [*closed_months_before(periods, month), month]
    heads = {found: workspace.lake.head(MART_ALLOCATION_MONTHLY, found.first_day.isoformat()) for found in months}
    return {found: head.sha256 for found, head in heads.items() if head}


def _closing(
    booking: Booking, provider_name: str, lines: pl.DataFrame, *, versions: Mapping[Month, str], closed_by: str
) -> Closing:
    month, last = booking.month, booking.periods.last(provider_name, booking.month)
    number, closed_at = (last.number if last else 0) + 1, now().astimezone(dt.UTC)
    return Closing(
        provider_name=provider_name,
        month=month,
        number=number,
        closed_at=closed_at,
        closed_by=closed_by,
        lines_count=lines.height,
        lines_sha256=lines_sha256(closing_lines(lines, number=number, closed_at=closed_at)),
        totals={
            currency: f"{exact_sum(lines.filter(pl.col('billing_currency') == currency)['allocated_cost']):f}"
            for currency in sorted(lines["billing_currency"].unique())
        },
        inputs=_inputs(booking, provider_name, lines, versions),
        gates=_gates(booking.workspace) if provider_name != ALL_OTHERS else ("every provider with lines is closed",),
    )


def _inputs(booking: Booking, provider_name: str, lines: pl.DataFrame, versions: Mapping[Month, str]) -> dict[str, str]:
    """What the closing is made from, and which versions of the allocation are booked in full with it.

    A closed month whose changes are carried is left out, so that it is compared again.
    """
    month, carried = booking.month, booking.carried()
    earlier = [
        found
        for found in booking.periods.closed_run_before(provider_name, month)
        if not any(found == of_month and provider_name in (name, ALL_OTHERS) for name, of_month in carried)
    ]
    booked_in_full = {allocation_input(found): versions[found] for found in [*earlier, month] if found in versions}
    if provider_name == ALL_OTHERS:
        return booked_in_full
    corrected = {Month.of(day) for day in lines.filter(pl.col("dispute_id").is_null())["corrects_month"].drop_nulls()}
    return closing_inputs(booking.workspace, provider_name, [month, *sorted(corrected)]) | booked_in_full


def _gates(workspace: Workspace) -> tuple[str, ...]:
    """The gates that held, as they were configured."""
    close = workspace.settings.close
    return (
        "invoice named or registered" if close.requires_invoice else "no invoice required",
        *(f"tie-out: {gate.model_dump_json(exclude_none=True)}" for gate in close.gates),
        f"data reach {workspace.as_of_date}",
        f"quarantine: none, or accepted: {', '.join(close.accepted_quarantine) or 'nothing'}",
    )


def _commit(
    workspace: Workspace, month: Month, closings: Sequence[Closing], frames: Mapping[str, pl.DataFrame], periods: Periods
) -> Commit:
    """The month's stored closings with the new ones; lines that the book does not know are of a closing that was cut short."""
    key = month.first_day.isoformat()
    known = [(item.provider_name, item.number) for item in periods.closings if item.month == month]
    columns = {"provider_name": pl.String, "closing_number": pl.Int64}
    stored = workspace.lake.scan(MART_CHARGEBACK_CLOSED, [key]).join(
        pl.LazyFrame(known, schema=columns, orient="row"), on=list(columns), how="semi"
    )
    added = [
        closing_lines(frames[item.provider_name], number=item.number, closed_at=item.closed_at)
        for item in closings
        if item.provider_name in frames
    ]
    inputs = {f"closing {item.number} of {item.provider_name}": item.lines_sha256 for item in (*periods.closings, *closings)
              if item.month == month}  # fmt: skip
    return workspace.lake.commit(MART_CHARGEBACK_CLOSED, key, pl.concat([stored.collect(), *added]), inputs=inputs)
