"""``usage-etl sources``: what is configured and how it does, which kinds there are, and what a file would become."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from usage_etl.cli.options import DEFAULT_CONFIG, ConfigOption
from usage_etl.cli.show_sources import print_kinds, print_states, print_trial

app = typer.Typer(help="Configured sources, the kinds there are, and what a file would become.", no_args_is_help=False)
console = Console(highlight=False)


@app.callback(invoke_without_command=True)
def sources(
    context: typer.Context,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """List the configured sources: state, freshness, last delivery, rows and rejects."""
    if context.invoked_subcommand is not None:
        return
    from usage_etl.cli.source_states import source_states

    states = source_states(config)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(state) for state in states], default=str, indent=2))
    else:
        print_states(console, states)


@app.command()
def kinds() -> None:
    """List the kinds of sources that can be configured, what each reads and what it covers."""
    from usage_etl.sources.registry import SOURCES

    print_kinds(console, tuple(SOURCES.values()))


@app.command("try")
def try_file(
    kind: Annotated[str, typer.Argument(help="Kind of source, as `usage-etl sources kinds` lists them.")],
    place: Annotated[Path, typer.Argument(help="A file as the source delivers it, or a folder of deliveries.", exists=True)],
    rows: Annotated[int, typer.Option(min=0, help="How many rows are shown.")] = 5,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the source, as key=value or key.key=value; may be repeated.")
    ] = None,
    all_columns: Annotated[bool, typer.Option("--all-columns", help="Show every filled column of each row.")] = False,
) -> None:
    """Read a file or a folder without a lake: the first rows in canonical columns, and every complaint."""
    from usage_etl.cli.trial import try_deliveries

    trials = []
    for trial in try_deliveries(kind, place, settings or []):
        print_trial(console, trial, rows=rows, all_columns=all_columns)
        trials.append(trial)
    if not trials:
        typer.echo("no delivery was found; the setting `pattern` says which files are read (give it with --set)", err=True)
    if not trials or any(trial.refusal for trial in trials):
        raise typer.Exit(1)
