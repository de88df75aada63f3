"""``usage-etl eval``: the product's methods on any CSV file, without settings, lake or state."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from usage_etl.anomalies import judge_series
from usage_etl.errors import UsageEtlError
from usage_etl.money import MONEY
from usage_etl.periods import Month
from usage_etl.projections import project_limits

app = typer.Typer(no_args_is_help=True, help="Run the methods of the marts on CSV files: no settings, no lake.")

InputFile = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV with a header row, UTF-8.")]
OutputFile = Annotated[Path, typer.Argument(dir_okay=False, help="CSV to write.")]

DECIMALS = 6
"""To which the quantities of files are rounded: nobody says what they are."""


@app.callback()
def evaluation() -> None:
    """Run the methods of the marts on CSV files: no settings, no lake."""


@app.command()
def forecast(
    history: InputFile,
    as_of: Annotated[dt.datetime, typer.Argument(formats=["%Y-%m-%d"], help="Last day that is read.")],
    out: OutputFile,
) -> None:
    """Project every series to the end of the as-of day's month, as ``mart_projection`` does.

    HISTORY has the columns date, series and value. OUT has series, projected, lower, upper (80 % band; empty where too
    little past measures one) and linear.
    """
    day = as_of.date()
    month = Month.of(day)
    daily = read_series(history)
    limits = (
        daily.filter(pl.col("usage_date") <= day)
        .select(pl.col("series_id").unique(maintain_order=True))
        .with_columns(
            limit_id="series_id",
            period_start=pl.lit(month.first_day),
            period_end=pl.lit(month.last_day),
            limit_quantity=pl.lit(None, MONEY),
            decimals=pl.lit(DECIMALS),
        )
    )
    rows = project_limits(daily, limits, through_date=day, settled_date=day)
    names = {"projected": "projected", "lower": "projected_lower", "upper": "projected_upper", "linear": "linear"}
    rows.select(
        series="limit_id", **{name: pl.col(f"{column}_quantity").round(DECIMALS) for name, column in names.items()}
    ).write_csv(out)


@app.command()
def price(rows: InputFile, out: OutputFile) -> None:
    """Price every row by the bundled lists, with the functions that price usage.

    ROWS has the columns row, date, model, input, output, reasoning, cache_read, cache_write and cache_write_1h: input without
    what the cache read or wrote, output without reasoning, cache_write with its one-hour part. OUT has row, cost in USD (empty
    where no price is known, never 0), price_status and price_id.
    """
    from usage_etl.cli.eval_price import priced_rows, write_costs  # imports the price lists

    write_costs(priced_rows(rows), out)


@app.command()
def anomalies(
    input_file: Annotated[
        Path, typer.Argument(metavar="INPUT", exists=True, dir_okay=False, help="CSV with a header row, UTF-8.")
    ],
    out: OutputFile,
) -> None:
    """Judge every day of every series from the days before it, as ``mart_anomalies`` does.

    INPUT has the columns date, series and value. OUT has one row per day and series of it: date, series, flag (0 or 1),
    score (larger is stranger; flagged days rank by their distance from the expectation) and expected (empty where too
    little past says).
    """
    judged = judge_series(read_series(input_file))
    judged.select(
        date="usage_date",
        series="series_id",
        flag=pl.col("is_flagged").cast(pl.Int8),
        score=pl.col("score").round(DECIMALS),
        expected=pl.col("expected").round(DECIMALS),
    ).write_csv(out)


def read_series(path: Path) -> pl.DataFrame:
    """series_id, usage_date and quantity of a CSV file with date, series and value.

    Raises UsageEtlError when a column is missing or a cell cannot be read, with the first such line.
    """
    cells = pl.read_csv(path, infer_schema=False)
    if missing := sorted({"date", "series", "value"} - set(cells.columns)):
        raise UsageEtlError(f"{path}: no column {', '.join(missing)}; found {', '.join(cells.columns)}")
    value = pl.col("value").str.strip_chars()
    parsed = cells.select(
        series_id="series",
        usage_date=pl.col("date").str.strip_chars().str.to_date("%Y-%m-%d", strict=False),
        quantity=pl.coalesce(value.cast(MONEY, strict=False), value.cast(pl.Float64, strict=False).cast(MONEY, strict=False)),
    )
    is_bad = pl.any_horizontal(pl.all().is_null())
    bad = parsed.with_row_index("line", offset=2).filter(is_bad)
    if bad.height:
        line = bad["line"][0]
        raise UsageEtlError(
            f"{path} line {line}: not a day, a series and a number: {cells.row(line - 2)}; {bad.height} such lines"
        )
    return parsed
