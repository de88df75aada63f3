"""``usage-etl alerts``: what stands, what was told, silences, and a try of a channel."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from usage_etl.cli.options import DEFAULT_CONFIG, ConfigOption
from usage_etl.cli.periods import user_name
from usage_etl.cli.show import print_rows, printable
from usage_etl.errors import ConfigError
from usage_etl.schemas.alert_measures import SCOPE_KINDS, near_names

if TYPE_CHECKING:
    from usage_etl.schemas.alert_state import ActiveSilence, AlertState, Decision
    from usage_etl.schemas.notices import Notice

app = typer.Typer(help="Alerts: what stands, what was told, silences, and a try of a channel.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


@app.command("list")
def list_alerts(
    config: ConfigOption = DEFAULT_CONFIG,
    everything: Annotated[bool, typer.Option("--all", help="Those that are quiet or over, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Alerts that stand, each with its highest level, and the silences that are on."""
    from assets.alerts import active_silences, book_of, evaluation_time

    workspace = _workspace(config)
    states = [state for state in book_of(workspace).states() if everything or (state.thread == "open" and not state.over)]
    silences = [one for one in active_silences(workspace) if one.ends_at > evaluation_time(workspace)]
    if as_json:
        for state in states:
            typer.echo(json.dumps(_state_document(state), ensure_ascii=False))
        return
    titles = ("rule", "scope", "period", "level", "observed", "data as of", "status")
    print_rows(titles, [_state_cells(state) for state in states])
    for one in silences:
        typer.echo(
            f"silence {one.silence_id[:12]} of {_about(one)} until {one.ends_at:%Y-%m-%d %H:%M} UTC, {one.owner}: {one.reason}"
        )


@app.command()
def history(
    config: ConfigOption = DEFAULT_CONFIG,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the newest first.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """What was decided to be told: sent, grouped into a digest, muted by a silence, or held by the cap."""
    from assets.alerts import book_of

    rows = book_of(_workspace(config)).history(limit=limit)
    if as_json:
        for notice, disposition, is_told in rows:
            typer.echo(
                json.dumps(_notice_document(notice) | {"disposition": disposition, "is_told": is_told}, ensure_ascii=False)
            )
        return
    titles = ("when (UTC)", "channel", "what", "severity", "told", "title")
    print_rows(titles, [_notice_cells(notice, disposition, is_told=is_told) for notice, disposition, is_told in rows])


@app.command()
def silence(  # noqa: PLR0917 - the options of a command
    reason: Annotated[str, typer.Option(help="Why; printed in the summary when it ends.")],
    hours: Annotated[float, typer.Option(min=0.1, max=24 * 366, help="How long from now.")],
    config: ConfigOption = DEFAULT_CONFIG,
    rule: Annotated[str, typer.Option(help="Name of a rule; * is any.")] = "*",
    scope_kind: Annotated[str, typer.Option(help="Kind of scope; empty is any.")] = "",
    scope_id: Annotated[list[str] | None, typer.Option(help="Member; may be given several times; none are all.")] = None,
    owner: Annotated[str, typer.Option(help="Who answers for it; else who you are here.")] = "",
) -> None:
    """Record alerts without telling them, for some hours; one summary follows when it ends."""
    from assets.alerts import book_of, evaluation_time
    from usage_etl.schemas.alert_state import ActiveSilence

    workspace = _workspace(config)
    known = {one.name: one for one in workspace.settings.alerts.all_rules()}
    if rule not in {"*", *known}:
        raise ConfigError("--rule", [f"unknown rule {rule!r}; {near_names(rule, known)}"])
    if scope_kind and scope_kind not in SCOPE_KINDS:
        raise ConfigError("--scope-kind", [f"unknown kind of scope {scope_kind!r}; {near_names(scope_kind, SCOPE_KINDS)}"])
    instant = evaluation_time(workspace)
    ends_at = instant + dt.timedelta(hours=hours)
    wanted = ActiveSilence(
        "", rule, scope_kind or None, tuple(scope_id or ()), printable(owner or user_name()), printable(reason), instant, ends_at
    )
    stored = book_of(workspace).silence(wanted, now=instant)
    typer.echo(f"silence {stored.silence_id[:12]} of {_about(stored)} until {stored.ends_at:%Y-%m-%d %H:%M} UTC")


@app.command()
def unsilence(
    silence_id: Annotated[str, typer.Argument(help="Beginning of its id, as `alerts list` shows it.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """End a silence now; what it muted is summed up by the next evaluation."""
    from assets.alerts import book_of, evaluation_time

    workspace = _workspace(config)
    ended = book_of(workspace).unsilence(silence_id, by=user_name(), now=evaluation_time(workspace))
    typer.echo(f"silence {ended.silence_id[:12]} of {_about(ended)} ended")


@app.command()
def evaluate(
    config: ConfigOption = DEFAULT_CONFIG,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be told; store and send nothing.")] = False,
) -> None:
    """Compare the rules with the marts now; what is told is queued, and sent by the next delivery."""
    from assets.alerts import evaluate_alerts, preview_alerts

    workspace = _workspace(config)
    _print_decision(preview_alerts(workspace) if dry_run else evaluate_alerts(workspace), is_stored=not dry_run)


@app.command("test-channel")
def trial(
    name: Annotated[str, typer.Argument(help="Name of a configured channel.")], config: ConfigOption = DEFAULT_CONFIG
) -> None:
    """Send a message that says that it is a test through a channel, past the outbox; exit code 1 unless it was taken."""
    from assets.alert_trial import try_channel

    outcomes = try_channel(_workspace(config), name)
    for recipient, (is_taken, reason) in outcomes.items():
        typer.echo(f"{'taken' if is_taken else 'NOT TAKEN'}  {f'{name} {recipient}'.strip()}  {printable(reason)}".rstrip())
    if not all(is_taken for is_taken, _ in outcomes.values()):
        raise typer.Exit(1)


def _workspace(config: Path) -> Any:
    from assets.resources import open_workspace  # imports Dagster, which takes seconds

    return open_workspace(str(config.resolve()))


def _print_decision(decision: Decision, *, is_stored: bool) -> None:
    told = [*((notice, "sent") for notice in decision.notices), *((kept.notice, kept.disposition) for kept in decision.kept)]
    for notice, disposition in told:
        words = disposition if is_stored else f"would be {disposition}"
        typer.echo(f"{words:<16} {notice.channel:<12} {notice.action:<9} {printable(notice.title)}")
    typer.echo(f"{len(decision.crossings)} level(s) crossed, {len(decision.notices)} message(s)")


def _state_cells(state: AlertState) -> Sequence[object]:
    status = {"period": "period over", "handled": "resolved by hand", "rule": "rule not in force"}.get(state.over, "")
    return (
        state.rule_name,
        f"{state.scope_kind} {printable(state.scope_name or state.scope_id)}".strip(),
        str(state.period_start or ""),
        _highest(state),
        state.observed_quantity,
        str(state.as_of or ""),
        status or {"open": "stands", "resolved": "resolved", "none": "quiet"}[state.thread],
    )


def _highest(state: AlertState) -> str:
    standing = [name for name, level in state.levels.items() if level.standing in ("fired", "passed")]
    return standing[-1] if standing else ""


def _state_document(state: AlertState) -> dict[str, object]:
    return {
        "alert_key": state.alert_key,
        "rule": state.rule_name,
        "measure": state.measure,
        "scope_kind": state.scope_kind,
        "scope_id": state.scope_id,
        "period_start": state.period_start and state.period_start.isoformat(),
        "period_end": state.period_end and state.period_end.isoformat(),
        "level": _highest(state) or None,
        "observed_quantity": None if state.observed_quantity is None else str(state.observed_quantity),
        "data_as_of": state.as_of and state.as_of.isoformat(),
        "thread": state.thread,
        "over": state.over or None,
    }


def _notice_cells(notice: Notice, disposition: str, *, is_told: bool) -> Sequence[object]:
    told = disposition if is_told else f"{disposition}, not yet"
    when = f"{notice.happened_at.astimezone(dt.UTC):%Y-%m-%d %H:%M}"
    return when, notice.channel, notice.action, notice.severity, told, printable(notice.title)


def _notice_document(notice: Notice) -> dict[str, object]:
    from usage_etl.delivery.notice_json import notice_document

    return notice_document(notice)


def _about(silence: ActiveSilence) -> str:
    rule = "every rule" if silence.rule == "*" else f"rule {silence.rule}"
    members = ", ".join(silence.scope_ids)
    scope = f"{silence.scope_kind or 'any scope'} {members}".strip() if silence.scope_kind or members else ""
    return f"{rule}, {scope}" if scope else rule
