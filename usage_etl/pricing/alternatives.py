"""What stored usage would have cost otherwise: by another model, in another price class, or with tokens in other classes.

The same rules and the same multiplication as for usage itself, from hourly facts: the hour says which price of the day
applies. Which context band the requests of a row would have been in is known where a row is one request, or too small for
any band; elsewhere the average request decides, and the cheapest and the dearest band that are possible give a range.
"""

from __future__ import annotations

import datetime as dt

import polars as pl

from usage_etl.pricing.catalog import LOGGED_COLUMNS, ModelCatalog
from usage_etl.pricing.price import WHOLE_DAY
from usage_etl.pricing.rating import rate
from usage_etl.pricing.slots import ANY_MODEL, day_prices
from usage_etl.units import INPUT_TOKEN_CLASSES, MODAL_TOKENS, TOKEN_CLASSES

ASKED_COLUMNS = ("asked_model_id", "asked_processing")
"""``provider/model`` of the price book and price class that are asked for; null keeps what the row has."""
ANSWER_COLUMNS = (
    "asked_price_id",
    "asked_price_status",
    "asked_currency",
    "asked_cost",
    "asked_lower_cost",
    "asked_upper_cost",
    "is_processing_listed",
)
"""asked_cost is null unless asked_price_status is priced. is_processing_listed: the price list names the price class itself;
false where the standard price stands in."""

_USED = (
    "usage_date",
    "hour_start_at",
    "primitive",
    "host",
    "model_id",
    "processing",
    "region",
    "native_unit",
    "price_id",
    "price_status",
    "requests_count",
    *TOKEN_CLASSES,
    "reasoning_tokens",
    *MODAL_TOKENS,
    "quantity",
    "native_quantity",
)


def price_alternatives(asked: pl.DataFrame, *, book: pl.DataFrame, catalog: ModelCatalog) -> pl.DataFrame:
    """``asked`` with ANSWER_COLUMNS, its rows kept and in order.

    ``asked`` has the columns of FACT_USAGE_HOURLY that decide a price, its tokens as they would be, and ASKED_COLUMNS; any
    others are handed through. ``book`` is DIM_PRICE.
    """
    rows = _with_own_price(asked.with_row_index("asked_ordinal"), book)
    narrow = _book_of(rows, book, catalog)
    days = [
        _day_rated(rows.filter(pl.col("usage_date") == day), day, narrow, catalog) for day in rows["usage_date"].unique().sort()
    ]
    if not days:
        return asked.with_columns(
            pl.lit(None, pl.String).alias("asked_price_id"),
            pl.lit(None, pl.String).alias("asked_price_status"),
            pl.lit(None, pl.String).alias("asked_currency"),
            *(pl.lit(None, asked.schema["effective_cost"]).alias(name) for name in ANSWER_COLUMNS[3:6]),
            pl.lit(None, pl.Boolean).alias("is_processing_listed"),
        )
    answers = _with_listed(_ranged(pl.concat(days)), book)
    return (
        asked.with_row_index("asked_ordinal")
        .join(answers, on="asked_ordinal", how="left", maintain_order="left")
        .drop("asked_ordinal")
    )


def _with_own_price(asked: pl.DataFrame, book: pl.DataFrame) -> pl.DataFrame:
    """Rows with the names that they are looked up by, and the band and window of the price that they have."""
    own = book.select(
        "price_id", own_provider="provider", own_model="model_id", own_band="context_min_tokens", own_from="from_minute",
        own_to="to_minute",
    )  # fmt: skip
    plain = asked.select("asked_ordinal", *_USED, *ASKED_COLUMNS).with_columns(pl.col(pl.Categorical).cast(pl.String))
    joined = plain.join(own, on="price_id", how="left", maintain_order="left")
    is_own = pl.col("own_model").is_not_null() & (pl.col("own_model") != ANY_MODEL)
    asks = pl.col("asked_model_id").is_not_null()
    provider, model = (pl.col("asked_model_id").str.splitn("/", 2).struct.field(f"field_{place}") for place in (0, 1))
    return joined.with_columns(
        host_raw=pl.when(asks).then(provider).when(is_own).then("own_provider").otherwise("host"),
        model_raw=pl.when(asks).then(model).when(is_own).then("own_model").otherwise("model_id"),
        processing=pl.coalesce("asked_processing", "processing"),
        own_band=pl.when(~asks).then("own_band"),
        own_from=pl.when(~asks).then("own_from"),
        own_to=pl.when(~asks).then("own_to"),
    )


def _book_of(rows: pl.DataFrame, book: pl.DataFrame, catalog: ModelCatalog) -> pl.DataFrame:
    """The price rows that any of the names can come to: the same answers, found faster."""
    models = catalog.resolve(rows.select(LOGGED_COLUMNS))
    names = pl.concat([models["model_id"], rows["model_raw"].drop_nulls()]).str.to_lowercase().unique().to_list()
    return book.filter(pl.col("model_id").str.to_lowercase().is_in([*names, ANY_MODEL]))


def _day_rated(rows: pl.DataFrame, day: dt.date, book: pl.DataFrame, catalog: ModelCatalog) -> pl.DataFrame:
    """(asked_ordinal, band_case) with the price and the cost of one day's rows."""
    midnight = pl.lit(dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC), pl.Datetime("us", "UTC"))
    opens = midnight + pl.duration(minutes=pl.col("own_from").fill_null(0))
    closes = midnight + pl.duration(minutes=pl.col("own_to").fill_null(WHOLE_DAY))
    usage = rows.with_columns(
        grain=pl.lit("bucket"),
        rating=pl.when(pl.col("price_status") == "free").then(pl.lit("free")).otherwise(pl.lit("rate")),
        started_at=pl.max_horizontal("hour_start_at", opens),
        ended_at=pl.min_horizontal(pl.col("hour_start_at") + pl.duration(hours=1), closes),
        input_whole=pl.sum_horizontal(INPUT_TOKEN_CLASSES),
    ).drop("host", "model_id", "price_id", "price_status")
    models = catalog.resolve(usage.select(LOGGED_COLUMNS))
    prices = day_prices(book, models, day=day)
    labels = [*LOGGED_COLUMNS, "processing", "grain", "rating"]
    asked = _band_cases(usage, prices.band_thresholds).lazy().with_columns(pl.col(labels).cast(pl.Categorical))
    rated = rate(asked.with_columns(prices.slot_columns()), prices=prices)
    wanted = ("asked_ordinal", "band_case", "processing", "price_id", "price_status", "currency", "effective_cost")
    return (
        rated.select(wanted).with_columns(pl.col("processing", "price_id", "price_status", "currency").cast(pl.String)).collect()
    )


def _band_cases(usage: pl.DataFrame, thresholds: tuple[int, ...]) -> pl.DataFrame:
    """Each row by its average request, and once more by the smallest and the largest band where that is not certain.

    A bucket is in the band of ``context_min_tokens``; a request is in it with more input than that: hence the one less.
    """
    requests = pl.max_horizontal("requests_count", 1)
    average = (pl.col("input_whole") + requests - 1) // requests
    known = usage.with_columns(
        context_min_tokens=pl.coalesce("own_band", pl.max_horizontal(average - 1, 0)).cast(pl.Int64), band_case=pl.lit("average")
    )
    if not thresholds:
        return known
    is_open = pl.col("own_band").is_null() & (pl.col("requests_count") > 1) & (pl.col("input_whole") > thresholds[0])
    unsure = known.filter(is_open)
    return pl.concat(
        [
            known,
            unsure.with_columns(context_min_tokens=pl.lit(0, pl.Int64), band_case=pl.lit("lowest")),
            unsure.with_columns(context_min_tokens=(pl.col("input_whole") - 1).cast(pl.Int64), band_case=pl.lit("highest")),
        ]
    )


def _ranged(rated: pl.DataFrame) -> pl.DataFrame:
    """One row per asked row: its cost by the average request, and the least and the most of all cases."""
    is_average = pl.col("band_case") == "average"
    cost = pl.col("effective_cost")
    is_whole = (pl.col("price_status") == "priced").all()
    return rated.group_by("asked_ordinal").agg(
        pl.col("processing").first(),
        pl.col("price_id").filter(is_average).first().alias("asked_price_id"),
        pl.col("price_status").filter(is_average).first().alias("asked_price_status"),
        pl.col("currency").filter(is_average).first().alias("asked_currency"),
        cost.filter(is_average).first().alias("asked_cost"),
        pl.when(is_whole).then(cost.min()).alias("asked_lower_cost"),
        pl.when(is_whole).then(cost.max()).alias("asked_upper_cost"),
    )


def _with_listed(answers: pl.DataFrame, book: pl.DataFrame) -> pl.DataFrame:
    listed = book.select("price_id", "is_processing_assumed", listed_processing="processing")
    joined = answers.join(listed, left_on="asked_price_id", right_on="price_id", how="left")
    is_named = pl.col("listed_processing") == pl.col("processing")
    return joined.select("asked_ordinal", *ANSWER_COLUMNS[:-1], is_processing_listed=is_named & ~pl.col("is_processing_assumed"))
