"""``usage-etl limits``: what a gateway should be told of hard quotas, telling it, and what it was told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from usage_etl.cli.options import DEFAULT_CONFIG, ConfigOption
from usage_etl.cli.show import print_rows

if TYPE_CHECKING:
    from pathlib import Path

    from assets.resources import Workspace
    from usage_etl.schemas.limits import LimitPlan

app = typer.Typer(
    no_args_is_help=True, help="Hard limits: plan, apply and log them at a gateway, and publish the limit-state file."
)


@app.command()
def plan(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Show what would be changed at the gateway now, and who is over a quota and left alone. Nothing is changed."""
    from assets.limits import limit_plan

    workspace = _workspace(config)
    print_plan(limit_plan(workspace))
    typer.echo(f"gateway_mode is {workspace.settings.quotas.gateway_mode}: nothing was changed")


@app.command()
def apply(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Make the planned changes at the gateway. Says what it would do where gateway_mode is dry_run."""
    from assets.limits import apply_plan, limit_plan

    workspace = _workspace(config)
    print_plan(limit_plan(workspace))
    applied = apply_plan(workspace)
    if applied is None:
        typer.echo("gateway_mode is dry_run: nothing was changed")
        return
    for line in applied.skipped:
        typer.echo(f"skipped: {line}")
    typer.echo(f"{len(applied.done)} change(s) made")


@app.command()
def log(
    config: ConfigOption = DEFAULT_CONFIG,
    limit: Annotated[int, typer.Option(min=1, help="How many of the newest entries.")] = 50,
) -> None:
    """Show what was intended, done, skipped and failed at the gateway, the newest first, with before and after."""
    from assets.limits import limit_book

    titles = ("at", "action", "scope", "outcome", "reason", "before", "after")
    entries = limit_book(_workspace(config)).log(limit=limit)
    print_rows(
        titles,
        [
            (
                f"{one.happened_at:%Y-%m-%d %H:%M:%S}", one.action, f"{one.scope_kind} {one.scope_id}", one.outcome, one.reason,
                _record(one.before), _record(one.after),
            )
            for one in entries
        ],
    )  # fmt: skip


@app.command()
def publish(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Publish the signed limit-state file with a new number."""
    from assets.limits import publish_limit_state
    from usage_etl.delivery.limit_state import LIMIT_STATE_KEY

    published = publish_limit_state(_workspace(config))
    if published is None:
        typer.echo("quotas.signing_key is not set: nothing is published")
        return
    typer.echo(
        f"{LIMIT_STATE_KEY}: number {published.sequence}, {len(published.refused)} scope(s) to refuse,"
        f" data through {published.data_through}, valid until {published.valid_until:%Y-%m-%d %H:%M} UTC"
    )


def print_plan(found: LimitPlan) -> None:
    """The actions of a plan, the blocks that are too many, and who is left alone."""
    rows: list[tuple[str, ...]] = [
        (one.action, f"{one.scope_kind} {one.scope_id}", one.quota_id, one.reason) for one in found.actions
    ]
    rows += [("too many", f"{one.scope_kind} {one.scope_id}", one.quota_id, one.reason) for one in found.too_many]
    if rows:
        print_rows(("action", "scope", "quota", "reason"), rows)
    else:
        typer.echo("nothing to change")
    for line in found.left_alone:
        typer.echo(f"left alone: {line}")


def _workspace(config: Path) -> Workspace:
    from assets.resources import open_workspace  # imports Dagster

    return open_workspace(str(config.resolve()))


def _record(record: Mapping[str, Any] | None) -> str:
    return "" if record is None else json.dumps(record, sort_keys=True)
