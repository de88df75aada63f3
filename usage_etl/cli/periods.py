"""``usage-etl close``, ``reopen`` and ``periods``: the life of a billing month from the command line."""

from __future__ import annotations

import getpass
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from usage_etl.cli.options import DEFAULT_CONFIG, ConfigOption
from usage_etl.errors import UsageEtlError
from usage_etl.periods import Month
from usage_etl.schemas.periods import ALL_OTHERS, Closing

if TYPE_CHECKING:
    from assets.periods import PeriodState

MonthArgument = Annotated[str, typer.Argument(help="Billing month, such as 2026-10.", metavar="MONTH")]
_DASH = "-"


@dataclass(frozen=True)
class CloseSummary:
    """What ``close`` did."""

    month: Month
    closed: tuple[str, ...] = ()
    refused: Mapping[str, list[str]] = field(default_factory=dict)
    """Provider to what speaks against closing it, one sentence each."""
    is_month_closed: bool = False
    """Whether this closing ended the month as a whole."""
    failures: tuple[str, ...] = ()
    """Steps of the job that failed."""

    @property
    def succeeded(self) -> bool:
        """Whether everything that was named is closed, and what is made from it was made."""
        return not self.refused and not self.failures


def close(
    month: MonthArgument,
    config: ConfigOption = DEFAULT_CONFIG,
    provider: Annotated[str, typer.Option(help="Close this provider only, named as its bills spell it.")] = "",
    by: Annotated[str, typer.Option(help="Who closes; kept in the period book. You, unless given.")] = "",
) -> None:
    """Close a month for every provider that passes the gates of `close`, and publish it anew; say what holds the others."""
    summary = close_month(config, parse_month(month), provider_name=provider, by=by or user_name())
    for name in summary.closed:
        typer.echo(f"closed {summary.month} of {name}")
    if summary.is_month_closed:
        typer.echo(f"closed {summary.month} as a whole: what arrives later is corrected in the next open month")
    for name, faults in summary.refused.items():
        typer.echo(f"not closed: {summary.month} of {name}", err=True)
        for fault in faults:
            typer.echo(f"  - {fault}", err=True)
    for failure in summary.failures:
        typer.echo(f"failed: {failure}", err=True)
    if not summary.succeeded:
        raise typer.Exit(1)
    if not summary.closed:
        typer.echo(f"nothing to close in {summary.month}")


def reopen(
    month: MonthArgument,
    provider: Annotated[str, typer.Option(help="Provider, named as its bills spell it; * is the month as a whole.")],
    reason: Annotated[str, typer.Option(help="Why; kept in the period book.")],
    config: ConfigOption = DEFAULT_CONFIG,
    by: Annotated[str, typer.Option(help="Who reopens; kept in the period book. You, unless given.")] = "",
) -> None:
    """Reopen a closed month of one provider. Its lines are kept, and may change again until it is closed anew."""
    closing = reopen_month(config, parse_month(month), provider_name=provider, by=by or user_name(), reason=reason)
    typer.echo(
        f"reopened closing {closing.number} of {closing.month} of {closing.provider_name}: {closing.reopened_reason}\n"
        f"next: `usage-etl run --from {closing.month.first_day}` publishes it as preliminary,"
        f" and later months without its corrections and disputes"
    )


def periods(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """List months by provider: status, closing, who closed when, invoices, and corrections that wait."""
    from usage_etl.cli.show import print_rows

    titles = ("month", "provider", "status", "closing", "closed", "by", "invoices", "corrections waiting", "reopened because")
    print_rows(titles, [_cells(row) for row in period_rows(config)])


def register(app: typer.Typer) -> None:
    """Adds the three commands to ``app``."""
    for command in (close, reopen, periods):
        app.command()(command)


def close_month(config: Path, month: Month, *, provider_name: str, by: str) -> CloseSummary:
    """Runs the job ``close`` of one month in this process. Raises ConfigError, and UsageEtlError for a month not in the lake."""
    import dagster as dg

    from assets.assembly import build_definitions
    from assets.resources import open_workspace
    from usage_etl.config import require_secrets

    logging.getLogger("dagster").setLevel(logging.WARNING)
    workspace = open_workspace(str(config.resolve()))
    require_secrets(workspace.settings)
    if not workspace.settings.start_date <= month.first_day <= workspace.as_of_date:
        raise UsageEtlError(f"the lake holds {workspace.settings.start_date} to {workspace.as_of_date}, nothing of {month}")
    job = build_definitions(config).resolve_job_def("close")
    with dg.DagsterInstance.ephemeral() if not _has_instance() else dg.DagsterInstance.get() as instance:
        result = job.execute_in_process(
            run_config=run_config(provider_name=provider_name, by=by),
            instance=instance,
            tags={"dagster/partition": month.first_day.isoformat()},
            raise_on_error=False,
        )
    return summary_of(month, result)


def run_config(*, provider_name: str, by: str) -> dict[str, Any]:
    """Run configuration of the job ``close``."""
    from usage_etl.schemas import MART_CHARGEBACK_CLOSED

    return {
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        "ops": {MART_CHARGEBACK_CLOSED.name: {"config": {"provider": provider_name, "closed_by": by}}},
    }


def summary_of(month: Month, result: Any) -> CloseSummary:
    """What a run of the job ``close`` recorded."""
    from assets.failure_mail import first_cause
    from usage_etl.schemas import MART_CHARGEBACK_CLOSED

    failures = tuple(f"{event.step_key}: {first_cause(event)}" for event in result.all_events if event.is_step_failure)
    found: dict[str, Any] = {}
    for event in result.get_asset_materialization_events():
        if event.asset_key.to_user_string() == MART_CHARGEBACK_CLOSED.name:
            found |= {name: entry.value for name, entry in event.materialization.metadata.items()}
    return CloseSummary(
        month,
        closed=tuple(found.get("closed", ())),
        refused=found.get("refused", {}),
        is_month_closed=found.get("is_month_closed", False),
        failures=failures,
    )


def reopen_month(config: Path, month: Month, *, provider_name: str, by: str, reason: str) -> Closing:
    """Reopens the closing in force. Raises UsageEtlError as ``PeriodBook.reopen`` does."""
    from assets.resources import open_workspace

    return open_workspace(str(config.resolve())).period_book.reopen(provider_name, month, by=by, reason=reason)


def period_rows(config: Path) -> list[PeriodState]:
    """Every provider's month with lines or closings, the newest month first."""
    from assets.periods import period_states
    from assets.resources import open_workspace

    return period_states(open_workspace(str(config.resolve())))


def parse_month(text: str) -> Month:
    """A month as people write it. Raises BadParameter."""
    try:
        month = Month.parse(text)
    except ValueError:
        month = None
    if month is None or str(month) != text:
        raise typer.BadParameter(f"{text!r} is no month; write it as 2026-10")
    return month


def user_name() -> str:
    """Who runs this process, as the operating system knows it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _has_instance() -> bool:
    import os

    return bool(os.environ.get("DAGSTER_HOME"))


def _cells(row: PeriodState) -> tuple[object, ...]:
    closing = row.closing
    name = "all others" if row.provider_name == ALL_OTHERS else row.provider_name
    pending = ", ".join(f"{amount.normalize():f} {currency}" for currency, amount in row.pending)
    closed = (_DASH, _DASH, _DASH, "")
    if closing is not None:
        closed = (str(closing.number), f"{closing.closed_at:%Y-%m-%d}", closing.closed_by, closing.reopened_reason or "")
    number, at, by, reason = closed
    return str(row.month), name, row.status, number, at, by, ", ".join(row.invoice_ids) or _DASH, pending or _DASH, reason
