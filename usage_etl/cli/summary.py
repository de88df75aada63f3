"""``usage-etl summary``: the cube of any days, by the very function of mart_summary."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import polars as pl
import typer

from usage_etl.cli.options import DEFAULT_CONFIG, ConfigOption
from usage_etl.cli.show import print_rows
from usage_etl.reports.csv_dialect import guard_text
from usage_etl.schemas.summary import SUMMARY_DIMENSIONS

_ASKED = tuple(name for name in SUMMARY_DIMENSIONS if name != "day")
_SHOWN = (
    "member_id", "requests_count", "active_users_count", "total_tokens", "effective_cost", "currency", "cost_per_request",
    "error_ratio", "latency_p95_ms", "previous_requests_count", "previous_effective_cost",
)  # fmt: skip
_FORMATS = ["%Y-%m-%d"]


def summary(
    first: Annotated[dt.datetime, typer.Option("--from", formats=_FORMATS, help="First day.")],
    last: Annotated[dt.datetime, typer.Option("--to", formats=_FORMATS, help="Last day, included.")],
    dimension: Annotated[
        list[str] | None, typer.Option(help=f"What to break down by: {', '.join(_ASKED)}. May be repeated. Team unless given.")
    ] = None,
    csv: Annotated[
        bool,
        typer.Option(
            "--csv", help="Print every column as CSV, with an apostrophe before what a spreadsheet takes for a formula."
        ),
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Requests, people, tokens, cost and latency of any days, beside as many days before on the same weekdays."""
    wanted = dimension or ["team"]
    unknown = sorted(set(wanted) - set(_ASKED))
    if unknown:
        raise typer.BadParameter(f"no dimension {', '.join(unknown)}; there are {', '.join(_ASKED)}")
    if last < first:
        raise typer.BadParameter(f"the last day {last.date()} is before the first day {first.date()}")
    from assets.resources import open_workspace  # imports Dagster
    from assets.summary import custom_summary

    workspace = open_workspace(str(config.resolve()))
    found = custom_summary(workspace, first.date(), last.date(), dimensions=wanted)
    if csv:
        texts = found.with_columns(pl.col(pl.Categorical).cast(pl.String))
        guarded = texts.with_columns(pl.col(pl.String).map_elements(guard_text, return_dtype=pl.String))
        typer.echo(guarded.write_csv(), nl=False)
        return
    for name in wanted:
        rows = found.filter(pl.col("dimension").cast(pl.String) == name).sort(
            "requests_count", "member_id", descending=[True, False]
        )
        typer.echo(f"{first.date()} to {last.date()} by {name.replace('_', ' ')}:")
        if rows.is_empty():
            typer.echo("no usage")
            continue
        print_rows(_SHOWN, [[_short(value) for value in row] for row in rows.select(_SHOWN).iter_rows()])


def _short(value: object) -> object:
    return f"{value:.4g}" if isinstance(value, float) else value
