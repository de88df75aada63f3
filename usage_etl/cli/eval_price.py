"""What ``usage-etl eval price`` does: rows of tokens in, their cost by the bundled price lists out, priced as usage is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from usage_etl.errors import UnreadableRowsError
from usage_etl.money import MAX_TOKENS, MONEY
from usage_etl.periods import day_start
from usage_etl.pricing import LOGGED_COLUMNS, ListPrices, ModelCatalog, day_prices, price_book, rate
from usage_etl.pricing.lists import bundled_providers
from usage_etl.units import MODAL_TOKENS, TOKEN_CLASSES

COUNT_COLUMNS = ("input", "output", "reasoning", "cache_read", "cache_write", "cache_write_1h")
COLUMNS = ("row", "date", "model", *COUNT_COLUMNS)
_WHOLE = r"^\+?(\d{1,18})(?:\.0*)?$"
_LABELS = (*LOGGED_COLUMNS, "processing", "grain", "rating")


def priced_rows(path: Path) -> pl.DataFrame:
    """row, cost, price_status and price_id of each line of a CSV file, in its order; cost is null where no price is known.

    A line is one request; of its day the hour is not known, so that a price that changes during the day, or by the hour,
    leaves it needs_request_grain. Raises UnreadableRowsError naming every line that cannot be read; nothing is priced then.
    """
    rows = read_rows(path)
    catalog = ModelCatalog(providers=bundled_providers())
    named = catalog.resolve(rows.select("host_raw", "model_raw").unique())
    book = price_book(ListPrices.bundled_of([*named["model_id"]]), pl.DataFrame())
    rated = [_rated(span, day, book, catalog) for day, span in _spans(rows, book)]
    empty = pl.DataFrame(schema={"ordinal": pl.UInt32(), "cost": MONEY, "price_status": pl.String(), "price_id": pl.String()})
    answers = pl.concat([empty, *rated])
    return rows.select("row", "ordinal").join(answers, on="ordinal", how="left", maintain_order="left").drop("ordinal")


def write_costs(priced: pl.DataFrame, out: Path) -> None:
    """The answers as CSV: amounts with all their digits, without exponent; an unknown cost is an empty cell."""
    digits = pl.col("cost").cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
    priced.with_columns(cost=digits).select("row", "cost", "price_status", "price_id").write_csv(out)


def read_rows(path: Path) -> pl.DataFrame:
    """Lines of the file as requests of the pipeline's own columns, each with its ``ordinal`` and ``row``."""
    cells = _cells(path).with_row_index("ordinal")
    counts = {name: pl.col(name).str.strip_chars().str.extract(_WHOLE).cast(pl.Int64, strict=False) for name in COUNT_COLUMNS}
    parsed = cells.select(
        "ordinal",
        "row",
        usage_date=pl.col("date").str.strip_chars().str.to_date("%Y-%m-%d", strict=False),
        model_raw=pl.col("model").str.strip_chars(),
        **counts,
    )
    if faults := list(_faults(cells, parsed)):
        raise UnreadableRowsError(str(path), faults)
    return _requests(parsed)


def _cells(path: Path) -> pl.DataFrame:
    try:
        cells = pl.read_csv(path, infer_schema=False, encoding="utf8")
    except pl.exceptions.NoDataError as error:
        raise UnreadableRowsError(str(path), ["the file is empty; it wants a header row"]) from error
    except pl.exceptions.PolarsError as error:
        raise UnreadableRowsError(str(path), [f"not a CSV file in UTF-8: {str(error).splitlines()[0]}"]) from error
    cells = cells.rename({name: name.strip().removeprefix("\ufeff") for name in cells.columns})
    if missing := [name for name in COLUMNS if name not in cells.columns]:
        raise UnreadableRowsError(str(path), [f"no column {', '.join(missing)}; found {', '.join(cells.columns)}"])
    return cells.select(pl.col(COLUMNS).fill_null(""))


def _faults(cells: pl.DataFrame, parsed: pl.DataFrame) -> Iterator[str]:
    """One sentence for each cell that cannot be used."""
    wrong = {
        "date": (parsed["usage_date"].is_null(), "wants a day as YYYY-MM-DD"),
        **{
            name: (parsed[name].is_null() | (parsed[name] > MAX_TOKENS), f"wants a whole number from 0 to {MAX_TOKENS}")
            for name in COUNT_COLUMNS
        },
    }
    found = [
        (ordinal, f"{name} is {cells[name][ordinal]!r}, {wanted}")
        for name, (is_wrong, wanted) in wrong.items()
        for ordinal in is_wrong.arg_true()
    ]
    is_more = (parsed["cache_write_1h"] > parsed["cache_write"]).fill_null(value=False)
    found += [(ordinal, "cache_write_1h is more than cache_write, which includes it") for ordinal in is_more.arg_true()]
    for ordinal, fault in sorted(found):
        yield f"line {ordinal + 2} (row {cells['row'][ordinal]}): {fault}"


def _requests(parsed: pl.DataFrame) -> pl.DataFrame:
    """Requests in the disjoint classes. One without any token is asked for with one, to learn its price, and costs nothing."""
    zero = pl.lit(0, pl.Int64)
    is_silent = pl.sum_horizontal(COUNT_COLUMNS[:5]) == 0
    requests = parsed.with_columns(
        is_silent=is_silent,
        input_uncached_tokens=pl.when(is_silent).then(1).otherwise("input").cast(pl.Int64),
        cache_read_tokens="cache_read",
        cache_write_5m_tokens=pl.col("cache_write") - pl.col("cache_write_1h"),
        cache_write_1h_tokens="cache_write_1h",
        output_tokens=pl.col("output") + pl.col("reasoning"),
        reasoning_tokens="reasoning",
        requests_count=pl.lit(1, pl.Int64),
        **dict.fromkeys(MODAL_TOKENS, zero),
        **dict.fromkeys(("quantity", "native_quantity"), pl.lit(None, MONEY)),
        **dict.fromkeys(("host_raw", "region", "native_unit"), pl.lit(None, pl.String)),
        primitive=pl.lit("ai.chat"),
        processing=pl.lit("standard"),
        grain=pl.lit("bucket"),
        rating=pl.lit("rate"),
    ).drop(COUNT_COLUMNS)
    input_tokens = pl.sum_horizontal(TOKEN_CLASSES[:-1])
    return requests.with_columns(context_min_tokens=pl.max_horizontal(input_tokens - 1, 0).cast(pl.Int64))


def _spans(rows: pl.DataFrame, book: pl.DataFrame) -> Iterator[tuple[dt.date, pl.DataFrame]]:
    """Rows of days that have the very same prices, with one of the days; a day in which a price changes stands alone."""
    edges = {edge for name in ("valid_from", "valid_to") for edge in book[name].drop_nulls()}
    starts = {edge.date() for edge in edges}
    inside = {edge.date() for edge in edges if edge != day_start(edge.date())}
    changes = sorted(starts | {day + dt.timedelta(days=1) for day in inside})
    days = rows.select(pl.col("usage_date").unique().sort())
    firsts = pl.DataFrame({"first_day": changes}, schema={"first_day": pl.Date})
    spans = days.join_asof(firsts, left_on="usage_date", right_on="first_day", strategy="backward")
    for _, group in rows.join(spans, on="usage_date", how="left").group_by("first_day", maintain_order=True):
        yield group["usage_date"][0], group.drop("first_day")


def _rated(rows: pl.DataFrame, day: dt.date, book: pl.DataFrame, catalog: ModelCatalog) -> pl.DataFrame:
    prices = day_prices(book, catalog.resolve(rows.select(LOGGED_COLUMNS)), day=day)
    start, end = (pl.lit(day_start(day + dt.timedelta(days=days)), pl.Datetime("us", "UTC")) for days in (0, 1))
    asked = rows.lazy().with_columns(pl.col(_LABELS).cast(pl.Categorical), started_at=start, ended_at=end)
    rated = rate(asked.with_columns(prices.slot_columns()), prices=prices).collect()
    nothing = pl.lit(0).cast(MONEY)
    is_free = pl.col("is_silent") & (pl.col("price_status") == "priced")
    return rated.select(
        "ordinal",
        cost=pl.when(is_free).then(nothing).otherwise("effective_cost"),
        price_status=pl.col("price_status").cast(pl.String),
        price_id=pl.col("price_id").cast(pl.String),
    )
