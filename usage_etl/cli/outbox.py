"""``usage-etl outbox``: alerts on their way. Lists what waits and what died, tries again, gives up, enables channels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from usage_etl.cli.options import DEFAULT_CONFIG, ConfigOption
from usage_etl.delivery.outbox import Outbox, OutboxItem

app = typer.Typer(help="Alerts on their way: list, send, try again, give up.", no_args_is_help=True)

PositionArgument = Annotated[list[int], typer.Argument(help="Number of a message, as `outbox list` shows it.")]
_WAITING = ("pending", "claimed", "ambiguous", "dead")


@app.command("list")
def list_messages(
    config: ConfigOption = DEFAULT_CONFIG,
    sent: Annotated[bool, typer.Option("--sent", help="Those that were sent, too.")] = False,
) -> None:
    """What waits, what is in doubt and what died, with the last reason; channels that are switched off."""
    outbox = _outbox(config)
    for item in outbox.items((*_WAITING, "sent") if sent else _WAITING):
        typer.echo(_line(item))
    for disabled in outbox.states.disabled():
        since = disabled.disabled_at.isoformat(timespec="seconds")
        typer.echo(f"channel {disabled.channel} is disabled since {since}: {disabled.reason}")
    counts = outbox.counts()
    typer.echo(", ".join(f"{counts.get(state, 0)} {state}" for state in (*_WAITING, "sent")))


@app.command()
def send(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Send what is due now; exit code 1 when a message died or a channel cannot be used."""
    from assets.channels import send_alerts  # imports Dagster, which takes seconds
    from assets.resources import open_workspace

    report = send_alerts(open_workspace(str(config.resolve())))
    typer.echo(", ".join(f"{count} {what}" for what, count in sorted(report.counts.items())) or "nothing is due")
    for line in report.problems():
        typer.echo(line, err=True)
    if report.problems():
        raise typer.Exit(1)


@app.command()
def retry(positions: PositionArgument, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Try messages again, dead ones too: they are due at once, and for three more days."""
    outbox = _outbox(config)
    for position in positions:
        typer.echo(_line(outbox.retry(position)))


@app.command()
def drop(
    positions: PositionArgument,
    reason: Annotated[str, typer.Option(help="Why nobody needs them any more; kept.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Give messages up for good: they are not sent and not listed any more."""
    outbox = _outbox(config)
    for position in positions:
        outbox.drop(position, reason)
        typer.echo(f"{position} dropped")


@app.command()
def enable(
    channel: Annotated[str, typer.Argument(help="Name of a channel that is switched off.")], config: ConfigOption = DEFAULT_CONFIG
) -> None:
    """Send through a channel again whose address had said that it is gone (410)."""
    _outbox(config).states.enable(channel)
    typer.echo(f"channel {channel} is enabled; its messages are due")


def _outbox(config: Path) -> Outbox:
    from assets.resources import open_workspace  # imports Dagster, which takes seconds

    return open_workspace(str(config.resolve())).outbox


def _line(item: OutboxItem) -> str:
    to = f"{item.channel} {item.recipient}".strip()
    doubt = f", {item.doubts_count} in doubt" if item.doubts_count else ""
    when = f", next {item.next_attempt_at.isoformat(timespec='seconds')}" if item.state in ("pending", "ambiguous") else ""
    reason = f": {item.last_reason}" if item.last_reason else ""
    return (
        f"{item.position} {item.state:<9} {to} [{item.notice.action}] {item.notice.title} "
        f"({item.attempts_count} attempt(s){doubt}{when}){reason}"
    )
