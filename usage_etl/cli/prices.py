"""``usage-etl prices``: where price lists disagree, why a request costs what it costs, and taking in a price file."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from usage_etl.cli.options import DEFAULT_CONFIG, ConfigOption, month_of
from usage_etl.cli.price_work import PriceImport, explained, import_price_file, lists_compared
from usage_etl.cli.show import print_rows
from usage_etl.pricing.explain import Explanation
from usage_etl.schemas.staged import PROCESSINGS

app = typer.Typer(no_args_is_help=True, help="Look at prices and take in price files.")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text; numbers of money are text.")]
AtOption = Annotated[
    dt.datetime | None, typer.Option("--at", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"], help="Moment in UTC; now unless given.")
]


@app.command()
def diff(
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    provider: Annotated[str, typer.Option(help="Compare this provider's models only.")] = "",
    at: AtOption = None,
    min_pct: Annotated[float, typer.Option(min=0, help="Leave out smaller differences, in per cent.")] = 0.0,
    as_json: JsonOption = False,
) -> None:
    """List the rates that genai-prices and LiteLLM's list state differently, and how many models each covers."""
    found = lists_compared(config, at=_instant(at), provider=provider, min_pct=Decimal(str(min_pct)))
    if as_json:
        _echo_json({
            "strong": found.strong, "weak": found.weak, "differences": found.differences.to_dicts(),
            "coverage": found.coverage.to_dicts(),
        })  # fmt: skip
        return
    typer.echo(f"{found.strong} is used; {found.weak} fills its gaps. USD per million tokens, per request or per unit.\n")
    columns = ("provider", "model_id", "processing", "context_min_tokens", "strong_rate", "weak_rate", "difference_pct", "note")
    titles = ("rate", "provider", "model", "class", "band", "first", "second", "%", "note")
    rate = pl.coalesce(pl.format("per {}", pl.col("unit")), "rate")
    differences, legend = _with_short_notes(found.differences)
    print_rows(titles, differences.select(rate, *columns).rows())
    typer.echo("".join(f"\n[{number}] {note}" for note, number in legend.items()) + ("\n" if legend else ""))
    compared = found.coverage.filter(pl.col("compared_count") > 0)
    print_rows(("provider", "compared", "agree", "differ", "only in the first", "only in the second"), compared.rows())
    if left_out := found.coverage.height - compared.height:
        typer.echo(f"\n{left_out} more provider(s) stand in one list only; --json lists them")


@app.command()
def explain(
    model: Annotated[str, typer.Argument(help="Model as logged.")],
    *,
    config: ConfigOption = DEFAULT_CONFIG,
    provider: Annotated[str, typer.Option(help="Who serves and bills it, as logged.")] = "",
    at: AtOption = None,
    input_tokens: Annotated[int, typer.Option("--input", min=0, help="Whole input, cache included.")] = 1_000_000,
    cached: Annotated[int, typer.Option(min=0, help="Of the input, read from the cache.")] = 0,
    cache_write: Annotated[int, typer.Option(min=0, help="Of the input, written to the cache.")] = 0,
    cache_write_1h: Annotated[int, typer.Option("--cache-write-1h", min=0, help="Of the cache writes, for one hour.")] = 0,
    output: Annotated[int, typer.Option(min=0, help="Whole output, reasoning included.")] = 1_000_000,
    reasoning: Annotated[int, typer.Option(min=0, help="Of the output, reasoning.")] = 0,
    input_audio: Annotated[int, typer.Option(min=0, help="Of the uncached input, audio.")] = 0,
    output_audio: Annotated[int, typer.Option(min=0, help="Of the output, audio.")] = 0,
    input_image: Annotated[int, typer.Option(min=0, help="Of the uncached input, images.")] = 0,
    output_image: Annotated[int, typer.Option(min=0, help="Of the output, images.")] = 0,
    processing: Annotated[str, typer.Option(help="Price class: standard, batch, flex, priority or fast.")] = "standard",
    region: Annotated[str, typer.Option(help="Region as logged.")] = "",
    unit: Annotated[str, typer.Option(help="Unit beside tokens, such as web_searches or seconds.")] = "",
    quantity: Annotated[str, typer.Option(help="How many of the unit.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Show the price rows in force for a model, where they come from, and the arithmetic of one request."""
    if cached + cache_write > input_tokens or cache_write_1h > cache_write:
        raise typer.BadParameter("cached and written tokens are part of the input, writes for one hour part of the writes")
    if reasoning + output_audio + output_image > output or input_audio + input_image > input_tokens - cached - cache_write:
        raise typer.BadParameter("reasoning, audio and images are part of the output or of the uncached input")
    if processing not in PROCESSINGS:
        raise typer.BadParameter(f"processing {processing!r}: allowed are {', '.join(PROCESSINGS)}")
    counts = {
        "input_uncached_tokens": input_tokens - cached - cache_write, "cache_read_tokens": cached,
        "cache_write_5m_tokens": cache_write - cache_write_1h, "cache_write_1h_tokens": cache_write_1h,
        "output_tokens": output, "reasoning_tokens": reasoning, "input_audio_tokens": input_audio,
        "output_audio_tokens": output_audio, "input_image_tokens": input_image, "output_image_tokens": output_image,
    }  # fmt: skip
    words = {"processing": processing, "region": region or None, "native_unit": unit or None}
    found = explained(
        config, host=provider or None, model=model, at=_instant(at), counts=counts, words=words, quantity=_quantity(quantity)
    )
    _print_explanation(found, as_json=as_json)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV in contract columns, or a list as JSON.")],
    config: ConfigOption = DEFAULT_CONFIG,
    month: Annotated[str, typer.Option(help="Month to price anew, YYYY-MM; the last complete one unless given.")] = "",
    accept: Annotated[
        bool, typer.Option("--accept", help="Write the file into prices.folder. Without it nothing changes.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a price file and show what it would have changed last month, from stored facts; take it in with --accept."""
    found = import_price_file(config, file, month=month_of(month) if month else None, accept=accept)
    if as_json:
        _echo_json({
            "file": file.name, "kind": found.kind, "month": str(found.month), "models_count": found.models_count,
            "rows_added_count": found.rows_added_count, "rows_removed_count": found.rows_removed_count,
            "effect": found.effect.to_dicts(), "written_to": found.written_to,
        })  # fmt: skip
        return
    _print_import(found)


def _with_short_notes(differences: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """The notes as numbers, most frequent first, and what each stands for: many rows share few notes."""
    notes = differences["note"].str.split("; ").explode().drop_nulls()
    common = notes.filter(notes != "").value_counts(sort=True).sort(["count", "note"], descending=[True, False])["note"]
    legend = {note: number for number, note in enumerate(common, start=1)}
    short = ["".join(f"[{legend[note]}]" for note in (row or "").split("; ") if note) for row in differences["note"]]
    return differences.with_columns(pl.Series("note", short, dtype=pl.String)), legend


def _print_explanation(found: Explanation, *, as_json: bool) -> None:
    if as_json:
        _echo_json({
            "host": found.host, "model_id": found.model_id, "price_provider": found.price_provider,
            "price_status": found.price_status, "cost": found.cost, "price": found.price, "rows": found.rows.to_dicts(),
            "terms": [{"what": term.what, "quantity": term.quantity, "rate": term.rate, "per": term.per, "amount": term.amount}
                      for term in found.terms],
        })  # fmt: skip
        return
    typer.echo(f"{found.model_id}, billed by {found.host}, priced by the list of {found.price_provider or 'nobody'}\n")
    titles = ("price_id", "from", "to", "input", "cache read", "output", "unit", "list", "where from")
    rates = ("input_uncached_per_mtok", "cache_read_per_mtok", "output_per_mtok", "per_unit")
    columns = ("price_id", "valid_from", "valid_to", *rates, "list", "provenance")
    source = pl.concat_str("price_source", "price_source_version", separator=" ", ignore_nulls=True).alias("list")
    print_rows(titles, found.rows.with_columns(source).select(columns).rows())
    typer.echo(f"\n{found.price_status}" + (f" by {found.price['price_id']}" if found.price else ""))
    lines = [(term.what, f"{term.quantity.normalize():f}", "x", f"{term.rate.normalize():f}", f"/ {term.per:,}", "=", term.amount)
             for term in found.terms]  # fmt: skip
    print_rows((), [*lines, ("total", "", "", "", "", "=", found.cost)])


def _print_import(found: PriceImport) -> None:
    typer.echo(
        f"{found.kind}: {found.models_count} model(s); {found.rows_added_count} price row(s) new or changed, "
        f"{found.rows_removed_count} gone"
    )
    titles = (
        "host",
        "model",
        "currency",
        "requests",
        "before",
        "after",
        "difference",
        "newly priced",
        "unpriced now",
        "undecided",
    )
    changed = found.changed
    typer.echo(f"\n{found.month} priced anew, {changed.height} of {found.effect.height} model(s) change:\n")
    print_rows(titles, [*changed.rows(), *found.totals])
    if found.written_to:
        typer.echo(f"\nwritten to {found.written_to}; `usage-etl run --from {found.month}-01` prices those days anew")
    else:
        typer.echo("\nnothing was changed; take the file in with --accept")


def _instant(at: dt.datetime | None) -> dt.datetime:
    return at.replace(tzinfo=dt.UTC) if at else dt.datetime.now(tz=dt.UTC)


def _quantity(text: str) -> Decimal | None:
    try:
        return Decimal(text) if text else None
    except InvalidOperation as error:
        raise typer.BadParameter(f"{text!r} is no number") from error


def _echo_json(document: object) -> None:
    typer.echo(json.dumps(document, indent=1, default=_plain, ensure_ascii=False))


def _plain(value: object) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)
