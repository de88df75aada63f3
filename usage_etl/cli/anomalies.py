"""``usage-etl anomalies``: what stood out, why, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from usage_etl.cli.options import DEFAULT_CONFIG, ConfigOption
from usage_etl.cli.periods import user_name
from usage_etl.cli.show import print_rows, printable

if TYPE_CHECKING:
    import polars as pl

    from assets.resources import Workspace
    from usage_etl.lake.anomaly_book import Episode

app = typer.Typer(no_args_is_help=True, help="List anomalies, say who looks after one, and resolve it.")

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the anomaly, or its beginning.")]
ByOption = Annotated[str, typer.Option(help="Who; kept with the anomaly. You, unless given.")]
SHORT = 10
_LARGEST = 12


@app.command("list")
def list_episodes(
    config: ConfigOption = DEFAULT_CONFIG,
    everything: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
) -> None:
    """List anomalies that are open or acknowledged, the newest first, with their cause."""
    found = _workspace(config).anomaly_book.episodes(with_resolved=everything)
    if not found:
        typer.echo("no anomaly" if everything else "no open anomaly; --all lists resolved ones too")
        return
    titles = ("id", "status", "days", "scope", "measure", "excess", "cause")
    print_rows(titles, [_cells(one) for one in found])


@app.command()
def show(anomaly: IdArgument, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Show one anomaly: its parts, largest first, and everything that happened to it."""
    workspace = _workspace(config)
    one = workspace.anomaly_book.find(anomaly)
    typer.echo(f"{one.episode_id}  {printable(one.scope_name)}, {one.measure}, {_days(one)}: {one.status}")
    typer.echo(f"{_excess(one)} beyond the expectation. {printable(one.cause)}.\n")
    rows = _parts(workspace, one)
    print_rows(("day", "breakdown", "part", "change", "share", "then", "now"), rows)
    typer.echo()
    titles = ("#", "status", "at", "by", "reason")
    events = [(one.number, one.status, f"{one.happened_at:%Y-%m-%d %H:%M}", one.done_by, one.reason) for one in one.events]
    print_rows(titles, [(str(number), *(printable(text) for text in rest)) for number, *rest in events])


@app.command()
def acknowledge(
    anomaly: IdArgument,
    config: ConfigOption = DEFAULT_CONFIG,
    by: ByOption = "",
    reason: Annotated[str, typer.Option(help="What is being done; kept with the anomaly.")] = "",
) -> None:
    """Say that somebody looks after an anomaly."""
    one = _workspace(config).anomaly_book.acknowledge(anomaly, by=by or user_name(), reason=reason)
    typer.echo(f"acknowledged {one.episode_id[:SHORT]} of {printable(one.scope_name)}")


@app.command()
def resolve(
    anomaly: IdArgument,
    reason: Annotated[str, typer.Option(help="Why it is settled; kept with the anomaly.")],
    config: ConfigOption = DEFAULT_CONFIG,
    by: ByOption = "",
) -> None:
    """Say that an anomaly is settled. It is opened again if it goes on."""
    one = _workspace(config).anomaly_book.resolve(anomaly, by=by or user_name(), reason=reason)
    typer.echo(f"resolved {one.episode_id[:SHORT]} of {printable(one.scope_name)}")


def _workspace(config: Path) -> Workspace:
    from assets.resources import open_workspace

    return open_workspace(str(config.resolve()))


def _cells(one: Episode) -> tuple[object, ...]:
    texts = (one.episode_id[:SHORT], one.status, _days(one), one.scope_name, one.measure, _excess(one), one.cause)
    return tuple(printable(text) for text in texts)


def _days(one: Episode) -> str:
    return str(one.first_date) if one.first_date == one.last_date else f"{one.first_date} to {one.last_date}"


def _excess(one: Episode) -> str:
    if one.currency:
        return f"{one.excess:+,.2f} {one.currency}"
    return f"{one.excess:+,.3f}" if abs(one.excess) < 1 else f"{one.excess:+,.0f}"


def _parts(workspace: Workspace, one: Episode) -> Sequence[tuple[object, ...]]:
    """The largest parts of the episode's days, from the marts of the months that it touches."""
    import polars as pl

    from usage_etl.periods import Month
    from usage_etl.schemas import MART_ANOMALIES, MART_ANOMALY_FACTORS

    keys = sorted({Month.of(day).first_day.isoformat() for day in (one.first_date, one.last_date)})
    days = workspace.lake.scan(MART_ANOMALIES, keys).filter(pl.col("episode_id") == one.episode_id)
    parts = (
        workspace.lake.scan(MART_ANOMALY_FACTORS, keys).join(days.select("anomaly_id", "usage_date"), on="anomaly_id").collect()
    )
    rows: list[tuple[object, ...]] = []
    for (day, breakdown), group in parts.sort("usage_date", "breakdown").group_by("usage_date", "breakdown", maintain_order=True):
        ranked = group.filter(pl.col("change_quantity") != 0).sort(pl.col("change_quantity").abs(), descending=True)
        rows += [(str(day), str(breakdown), *cells) for cells in _part_cells(ranked.head(_LARGEST))]
    return rows


def _part_cells(parts: pl.DataFrame) -> list[tuple[str, ...]]:
    columns = ("part_name", "change_quantity", "share_ratio", "comparison_level", "observed_level")
    return [
        (printable(name), f"{change:,.2f}", _per_cent(share), _level(then), _level(now))
        for name, change, share, then, now in parts.select(columns).iter_rows()
    ]


def _per_cent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}".replace("%", " %")


def _level(level: float | None) -> str:
    return "" if level is None else f"{level:,.3g}" if abs(level) < 1000 else f"{level:,.0f}"
