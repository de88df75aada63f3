"""``usage-etl directory``: whether the directory files are in order, and whose money moves before new ones ship."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
import typer

from usage_etl.cli.options import DEFAULT_CONFIG, ConfigOption, month_of
from usage_etl.cli.show import print_rows
from usage_etl.config import load_settings
from usage_etl.config.directory import read_directories, unknown_files
from usage_etl.config.directory_files import DIRECTORY_FILES
from usage_etl.config.outcomes import OUTCOMES_FILE
from usage_etl.errors import DirectoryError
from usage_etl.money import exact_sum, minor_unit_digits
from usage_etl.periods import Month
from usage_etl.schemas import DIM_OUTCOME
from usage_etl.sources.registry import SOURCE_KINDS

if TYPE_CHECKING:
    from assets.what_if import WhatIf

LEVELS = ("team", "cost_center", "business_unit")
"""Levels of owners that ``diff`` shows."""

app = typer.Typer(no_args_is_help=True, help="Check directory files, and see whose money new ones move.")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text; amounts of money are text.")]


@app.command()
def check(
    folder: Annotated[
        Path | None, typer.Argument(exists=True, file_okay=False, help="Folder to check; the configured one unless given.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Name every fault of the directory files at once, or say that they are in order. Exit code 2 when there is a fault."""
    place = folder or _configured(config)
    unread = unknown_files(place)
    try:
        frames = read_directories(place)
        _refuse_unknown_scopes(config, frames)
    except DirectoryError as error:
        if not as_json:
            raise
        _echo_json({"folder": str(place), "in_order": False, "problems": error.problems, "not_read": unread})
        raise typer.Exit(2) from None
    rows = {name: frames[file.table.name].height for name, file in DIRECTORY_FILES.items()}
    rows[OUTCOMES_FILE] = frames[DIM_OUTCOME.name].height
    if as_json:
        _echo_json({"folder": str(place), "in_order": True, "rows": rows, "not_read": unread})
        return
    print_rows(("file", "rows"), [*rows.items()])
    typer.echo("".join(f"\n{name} is no directory file and was not read" for name in unread))
    typer.echo(f"{place}: in order" + ("" if place.exists() else "; there is no such folder, so every directory is empty"))


@app.command()
def diff(
    new: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder of the new directory files, all of them.")],
    config: ConfigOption = DEFAULT_CONFIG,
    month: Annotated[
        list[str] | None, typer.Option(help="Month, YYYY-MM; may be repeated. The last complete one unless given.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show how much of a month's bill would move between which owners; nothing is stored.

    Both sides are built from the staged rows and allocated whole. Of a closed month it is what later closings would correct.
    """
    months = [month_of(text) for text in month or ()]
    directories = read_directories(new)
    from assets.resources import open_workspace  # imports Dagster
    from assets.what_if import what_if

    workspace = open_workspace(str(config.resolve()))
    complete = Month.of(workspace.as_of_date + dt.timedelta(days=1)).previous
    found = (what_if(workspace, directories, one) for one in months or [complete])
    if as_json:
        _echo_json({"months": [_document(result) for result in found]})
        return
    for result in found:
        _print(result)


def _configured(config: Path) -> Path:
    settings = load_settings(config, kinds=SOURCE_KINDS)
    return Path(settings.resolve(settings.directory))


def _refuse_unknown_scopes(config: Path, frames: dict[str, pl.DataFrame]) -> None:
    """Asks the configured lake, where there is one, whether quotas stand on scopes that somebody knows."""
    if not config.exists():
        return
    from assets.quota_scopes import refuse_unknown_scopes  # imports Dagster
    from assets.resources import open_workspace

    refuse_unknown_scopes(open_workspace(str(config.resolve())), frames)


def _print(result: WhatIf) -> None:
    for level in LEVELS:
        moves, names = result.moves(level), result.names(level)
        title = level.replace("_", " ")
        if moves.is_empty():
            typer.echo(f"{result.month}: nothing moves from one {title} to another\n")
            continue
        typer.echo(f"{result.month}, by {title}:")
        print_rows(
            ("from", "to", "moves", ""),
            [(_named(a, names), _named(b, names), _money(cost, unit), unit) for a, b, cost, unit in moves.iter_rows()],
        )
        for currency, moved, net in _totals(result, level):
            shown, rest = _money(moved, currency), _money(net, currency)
            typer.echo(f"{shown} {currency} moves in all; what owners pay more and less adds up to {rest}")
        typer.echo("")


def _totals(result: WhatIf, level: str) -> list[tuple[str, Decimal, Decimal]]:
    """(currency, all that moves, sum of what owners pay more and less) for each currency in which anything moves."""
    moves, changes = result.moves(level), result.changes(level)
    return [
        (
            currency,
            exact_sum(moves.filter(pl.col("currency") == currency)["moved_cost"]),
            exact_sum(changes.filter(pl.col("currency") == currency)["change_cost"]),
        )
        for currency in moves["currency"].unique().sort()
    ]


def _document(result: WhatIf) -> dict[str, Any]:
    levels = {
        level: {
            "moves": result.moves(level).to_dicts(),
            "owners": result.changes(level).filter(pl.col("change_cost") != 0).to_dicts(),
            "totals": [
                {"currency": currency, "moved_cost": moved, "net_cost": net} for currency, moved, net in _totals(result, level)
            ],
            "names": result.names(level),
        }
        for level in LEVELS
    }
    return {"month": str(result.month), "levels": levels}


def _named(owner: str, names: dict[str, str]) -> str:
    name = names.get(owner, owner)
    return owner if name.lower() == owner.lower() else f"{owner} ({name})"


def _money(amount: Decimal, currency: str) -> str:
    """Allocated amounts are whole minor units, so nothing is cut off."""
    return f"{amount:,.{minor_unit_digits(currency)}f}"


def _echo_json(document: object) -> None:
    typer.echo(json.dumps(document, indent=1, default=_plain, ensure_ascii=False))


def _plain(value: object) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)
