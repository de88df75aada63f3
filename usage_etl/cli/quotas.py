"""``usage-etl quotas``: limits proposed from what was used, as a file in the format of quotas.csv."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from usage_etl.cli.options import DEFAULT_CONFIG, ConfigOption
from usage_etl.errors import UsageEtlError

if TYPE_CHECKING:
    from usage_etl.quotas.suggest import Suggestion

KINDS = ("organization", "department", "team", "user")
MEASURES = ("total_tokens", "inference_tokens", "embedding_tokens", "requests_count", "effective_cost")

app = typer.Typer(no_args_is_help=True, help="Quotas: limits proposed from the last thirty days.")


@app.callback()
def quotas() -> None:
    """Quotas: limits proposed from the last thirty days."""


@app.command()
def suggest(
    config: ConfigOption = DEFAULT_CONFIG,
    quantile: Annotated[
        float, typer.Option(min=0.5, max=0.999, help="Share of days and months that stay under the limit.")
    ] = 0.95,
    kind: Annotated[
        list[str] | None, typer.Option(help=f"Kind of scope; may be repeated. {', '.join(KINDS)} unless given.")
    ] = None,
    measure: Annotated[str, typer.Option(help=f"What to limit: {', '.join(MEASURES)}.")] = "total_tokens",
    to: Annotated[
        Path | None, typer.Option(help="File to write; quotas-proposal-<day>.csv beside the settings unless given.")
    ] = None,
) -> None:
    """Propose soft limits from the last thirty days, as a file that nothing reads until you copy its rows into quotas.csv.

    With less than thirty days of usage there is no proposal yet. A file that exists is never overwritten.
    """
    kinds = tuple(kind or KINDS)
    allowed = (*KINDS, "api_key", "feature")
    if unknown := [one for one in kinds if one not in allowed]:
        raise typer.BadParameter(f"{', '.join(unknown)}: a kind is one of {', '.join(allowed)}")
    if measure not in MEASURES:
        raise typer.BadParameter(f"{measure}: a measure is one of {', '.join(MEASURES)}")
    from assets.quota_proposal import propose_quotas  # imports Dagster
    from assets.resources import open_workspace

    workspace = open_workspace(str(config.resolve()))
    place = to or Path(workspace.settings.resolve(f"quotas-proposal-{workspace.as_of_date}.csv"))
    if place.exists():
        raise UsageEtlError(f"{place} exists and is not overwritten; name another file with --to")
    found = propose_quotas(workspace, scope_kinds=kinds, measure=measure, quantile=quantile)
    if found.missing_days:
        typer.echo(f"warming up: {found.missing_days} of 30 days of usage are missing; no limit is proposed before that")
        return
    write_proposal(found, place)
    for scope_kind, member in found.warming_up:
        typer.echo(f"warming up: {scope_kind} {member} has less than 30 days of usage; no limit is proposed")
    typer.echo(f"wrote {place}: {found.proposed.height} limit(s); copy what you want into quotas.csv")


def write_proposal(found: Suggestion, place: Path) -> None:
    """The proposal in the very format of quotas.csv. Raises FileExistsError where a file stands."""
    with place.open("x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(found.proposed.columns)
        for row in found.proposed.iter_rows(named=True):
            cells = {**row, "limit_quantity": f"{row['limit_quantity'].normalize():f}"}
            writer.writerow("" if cell is None else str(cell) for cell in cells.values())
