"""The command ``recommendations``: what a month's tables advise, and what became of the advice of the month before."""

from __future__ import annotations

import textwrap
from decimal import Decimal
from typing import Annotated

import polars as pl
import typer

from usage_etl.cli.options import DEFAULT_CONFIG, ConfigOption, month_of
from usage_etl.cli.show import print_csv, print_rows, printable
from usage_etl.money import exact_sum
from usage_etl.periods import Month
from usage_etl.schemas import MART_RECOMMENDATION_VERDICTS, MART_RECOMMENDATIONS

_WIDTH = 110


def recommendations(
    month: Annotated[str, typer.Option(help="Month as YYYY-MM; without it, that of the last complete day.")] = "",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the month's rows with all columns as CSV.")] = False,
    as_verdicts: Annotated[bool, typer.Option("--verdicts", help="With --csv: the verdicts instead.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """List a month's recommendations by impact and effort, and the verdicts on those of the month before."""
    from assets.resources import open_workspace  # imports Dagster, which takes seconds

    of_month = month_of(month) if month else None
    workspace = open_workspace(str(config.resolve()))
    of_month = of_month or Month.of(workspace.as_of_date)
    key = of_month.first_day.isoformat()
    if workspace.lake.head(MART_RECOMMENDATIONS, key) is None:
        typer.echo(f"{of_month} has no recommendations yet; `usage-etl run --from {key}` builds them", err=True)
        raise typer.Exit(1)
    advice, verdicts = (
        workspace.lake.scan(table, [key]).collect() if workspace.lake.head(table, key) else table.empty()
        for table in (MART_RECOMMENDATIONS, MART_RECOMMENDATION_VERDICTS)
    )
    if as_csv:
        print_csv(verdicts if as_verdicts else advice)
        return
    _print_advice(of_month, advice.sort("rank"), workspace.settings.organization.currency)
    _print_verdicts(of_month, verdicts)


def _print_advice(month: Month, advice: pl.DataFrame, currency: str) -> None:
    if advice.is_empty():
        typer.echo(f"{month}: nothing to recommend")
        return
    net = exact_sum(advice["net_monthly_savings_cost"])
    typer.echo(f"{month}: {advice.height} recommendation(s), {net:,.2f} {currency} a month without counting a row twice\n")
    for row in advice.iter_rows(named=True):
        low, high = (f"{row[f'monthly_savings_{end}_cost']:,.2f}" for end in ("lower", "upper"))
        overlap = f"; overlaps with {row['overlaps_with']}" if row["overlaps_with"] else ""
        typer.echo(
            f"{row['rank']}. {row['monthly_savings_cost']:,.2f} {currency} a month ({low} to {high}), difficulty "
            f"{row['difficulty']}, {row['basis']}, {row['recommendation_id']}{overlap}"
        )
        for line in textwrap.wrap(printable(row["advice_text"]), _WIDTH, break_long_words=False):
            typer.echo(f"   {line}")


def _print_verdicts(month: Month, verdicts: pl.DataFrame) -> None:
    if verdicts.is_empty():
        return
    typer.echo(f"\nWhat became of the advice of {month.previous}:\n")
    columns = ("verdict", "recommendation_kind", "scope_name", "promised_cost", "realised_savings_cost", "verdict_reason")
    rows = [
        tuple(printable(cell) if isinstance(cell, str) else round(cell, 2) if isinstance(cell, Decimal) else cell for cell in row)
        for row in verdicts.sort("promised_monthly_savings_cost", descending=True).select(columns).iter_rows()
    ]
    print_rows(("verdict", "kind", "for", "promised", "saved", "why"), rows)
