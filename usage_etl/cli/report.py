"""The command ``report``: a month's reports as the tables stood at an earlier time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from usage_etl.cli.options import DEFAULT_CONFIG, ConfigOption
from usage_etl.cli.show import print_rows
from usage_etl.periods import Month

if TYPE_CHECKING:
    from assets.as_of import AsOfReports


def report(
    as_of: Annotated[str, typer.Option(help="Day (its end, UTC) or instant, such as 2026-09-03 or 2026-09-03T18:00:00Z.")],
    month: Annotated[str, typer.Option(help="Month as YYYY-MM; without it, that of the last complete day then.")] = "",
    out: Annotated[Path | None, typer.Option(help="Folder to write into; ./as-of-<as_of> unless given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Render a month's reports anew from the tables as they stood; nothing is published or mailed."""
    from assets.as_of import parse_instant, render_as_of  # imports Dagster, which takes seconds
    from assets.resources import open_workspace

    try:
        instant = parse_instant(as_of)
        of_month = Month.parse(month) if month else None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    folder = out or Path(f"as-of-{as_of.replace(':', '')}")
    made = render_as_of(open_workspace(str(config.resolve())), instant, month=of_month, folder=folder)
    if as_json:
        typer.echo(json.dumps(_document(made), indent=1, ensure_ascii=False))
    else:
        _print(made)


def _document(made: AsOfReports) -> dict[str, object]:
    return {
        "instant": made.instant.isoformat(),
        "month": str(made.month),
        "folder": str(made.folder),
        "files": [{"name": name, "bytes_count": size, "sha256": sha256} for name, size, sha256 in made.files],
        "versions": dict(made.versions),
        "published": [
            {"report": one.report, "version": one.version, "is_equal": one.is_equal, "text": one.text} for one in made.comparisons
        ],
    }


def _print(made: AsOfReports) -> None:
    typer.echo(f"{made.month} as the tables stood at {made.instant.isoformat()}, by the settings of today\n")
    print_rows(("table version", "sha256"), [(name, sha256[:12]) for name, sha256 in made.versions.items()])
    typer.echo("")
    print_rows(("file", "bytes", "sha256"), [(str(made.folder / name), size, sha256[:12]) for name, size, sha256 in made.files])
    typer.echo("")
    for one in made.comparisons:
        typer.echo(f"{one.report}: {one.text}")
