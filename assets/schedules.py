"""Schedules, in the organization's time zone: the trailing window each day, reports by week and by month."""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from assets.jobs import Jobs
from assets.partitions import range_tags
from assets.reports import FINANCE_REPORTS, MAIL_EXECUTIVE, REPORT_EXECUTIVE
from usage_etl.config import Settings
from usage_etl.periods import Month
from usage_etl.schemas import FACT_INVOICE_LINES_MONTHLY, MART_CHARGEBACK_CLOSED, TABLES

FINANCE_TABLES = tuple(
    table.name
    for table in TABLES
    if table is FACT_INVOICE_LINES_MONTHLY or (table.group == "3_allocate" and table is not MART_CHARGEBACK_CLOSED)
)
"""What the finance files of a month are made from, brought up to date with invoices and rules before they are made."""


def pipeline_schedules(settings: Settings, jobs: Jobs) -> list[dg.ScheduleDefinition]:
    """Running by default; a schedule that nobody switched on would be silence."""
    zone, crons = settings.organization.time_zone, settings.schedules
    common: dict[str, Any] = {"execution_timezone": zone, "default_status": dg.DefaultScheduleStatus.RUNNING}

    @dg.schedule(job=jobs.land, cron_schedule=crons.daily, name="land_daily", **common)
    def land_daily(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Fetch what the sources have; the sensors request whatever it touches."""
        return dg.RunRequest(run_key=f"land:{context.scheduled_execution_time:%Y-%m-%dT%H:%M}")

    @dg.schedule(job=jobs.daily, cron_schedule=crons.daily, name="daily_trailing_window", **common)
    def daily_trailing_window(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """The last days as one range run: covers missed ticks and late rows; unchanged days cost nothing."""
        last = _last_complete_day(settings, context.scheduled_execution_time)
        first = max(settings.start_date, last - dt.timedelta(days=crons.trailing_days - 1))
        if last < first:
            return dg.SkipReason(f"no complete day since {settings.start_date}")
        return dg.RunRequest(run_key=f"daily:{last}", tags=range_tags(first.isoformat(), last.isoformat()))

    @dg.schedule(job=jobs.reports, cron_schedule=crons.executive, name="executive_report", **common)
    def executive_report(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """The executive report, alone, of the month that the last complete day is in."""
        month = Month.of(_last_complete_day(settings, context.scheduled_execution_time))
        run_key = f"executive:{context.scheduled_execution_time:%Y-%m-%d}"
        return _report_request(settings, month, run_key, REPORT_EXECUTIVE, MAIL_EXECUTIVE)

    @dg.schedule(job=jobs.close, cron_schedule=crons.monthly_chargeback, name="monthly_chargeback", **common)
    def monthly_chargeback(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Tie-out, allocation and finance files, closing nothing, of the month before the tick's."""
        local = context.scheduled_execution_time.astimezone(ZoneInfo(zone))
        run_key = f"chargeback:{local:%Y-%m-%d}"
        return _report_request(settings, Month.of(local.date()).previous, run_key, *FINANCE_TABLES, *FINANCE_REPORTS)

    return [land_daily, daily_trailing_window, executive_report, monthly_chargeback]


def _report_request(settings: Settings, month: Month, run_key: str, *assets: str) -> dg.RunRequest | dg.SkipReason:
    if month.first_day < settings.start_date or (settings.as_of_date and month > Month.of(settings.as_of_date)):
        return dg.SkipReason(f"the lake does not cover {month}")
    keys = [dg.AssetKey(name) for name in assets]
    return dg.RunRequest(run_key=run_key, partition_key=month.first_day.isoformat(), asset_selection=keys)


def _last_complete_day(settings: Settings, tick: dt.datetime) -> dt.date:
    day = tick.astimezone(dt.UTC).date() - dt.timedelta(days=1)
    return min(day, settings.as_of_date) if settings.as_of_date else day
