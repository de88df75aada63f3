"""What stored usage would cost by another price book: from facts alone, without raw files or requests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

import polars as pl

from usage_etl.money import MONEY
from usage_etl.pricing.catalog import LOGGED_COLUMNS, ModelCatalog
from usage_etl.pricing.rating import rate
from usage_etl.pricing.slots import day_prices

EFFECT_KEYS = ("host", "model_id", "currency")
EFFECT_SCHEMA: dict[str, pl.DataType] = {
    **dict.fromkeys(EFFECT_KEYS, pl.String()),
    "requests_count": pl.Int64(),
    **dict.fromkeys(("before_cost", "after_cost", "difference"), MONEY),
    **dict.fromkeys(("newly_priced_count", "no_longer_priced_count", "undecided_count"), pl.Int64()),
}
_BANDS = ("provider", "model_id", "processing")


def repricing_effect(
    daily: pl.DataFrame,
    *,
    old_book: pl.DataFrame,
    new_book: pl.DataFrame,
    catalog: ModelCatalog,
    instead: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """One row per host, model and currency of FACT_USAGE_DAILY rows: cost before and after, and requests by what happens.

    before_cost is what is stored. A row keeps the context band and the time of day by which it was priced; where the new
    book asks for more than the row tells, the row is counted in undecided_count and keeps its cost. ``instead`` asks what
    the same tokens would cost by another model: model_id to ``provider/model`` of the new book.
    """
    rows = _with_alternatives(_with_old_prices(daily, old_book, new_book), instead or {})
    days: Iterable[dt.date] = rows["usage_date"].unique().sort()
    rated = [_day_rated(rows.filter(pl.col("usage_date") == day), day, new_book, catalog) for day in days]
    if not rated:
        return pl.DataFrame(schema=EFFECT_SCHEMA)
    return _summed(pl.concat(rated))


def _with_old_prices(daily: pl.DataFrame, old_book: pl.DataFrame, new_book: pl.DataFrame) -> pl.DataFrame:
    """Rows with the model, band and window of the price that they have; the band only where both books draw it alike."""
    old = old_book.select(
        "price_id", pl.col("provider").alias("price_provider"), pl.col("model_id").alias("price_model"),
        "context_min_tokens", "from_minute", "to_minute",
    )  # fmt: skip
    plain = daily.with_columns(pl.col(pl.Categorical).cast(pl.String))
    joined = plain.join(old, on="price_id", how="left")
    alike = _thresholds(old_book).join(_thresholds(new_book), on=[*_BANDS, "thresholds"], how="inner").select(_BANDS)
    known = joined.join(
        alike.with_columns(is_alike=pl.lit(value=True)),
        left_on=["price_provider", "price_model", "processing"],
        right_on=_BANDS,
        how="left",
    )
    return known.with_columns(context_min_tokens=pl.when(pl.col("is_alike").fill_null(value=False)).then("context_min_tokens"))


def _with_alternatives(rows: pl.DataFrame, instead: Mapping[str, str]) -> pl.DataFrame:
    """Rows of the named models as if their alternatives had been asked; the band of another model is not known."""
    chosen = {model: (*alternative.split("/", 1),) for model, alternative in instead.items()}
    is_asked = pl.col("model_id").is_in(list(chosen))
    provider, model = (
        pl.col("model_id").replace_strict(
            {name: pair[place] for name, pair in chosen.items()}, default=None, return_dtype=pl.String
        )
        for place in (0, 1)
    )
    return rows.with_columns(
        price_provider=pl.when(is_asked).then(provider).otherwise("price_provider"),
        price_model=pl.when(is_asked).then(model).otherwise("price_model"),
        context_min_tokens=pl.when(~is_asked).then("context_min_tokens"),
    )


def _thresholds(book: pl.DataFrame) -> pl.DataFrame:
    bands = pl.col("context_min_tokens").unique().sort().cast(pl.String).str.join(",").alias("thresholds")
    return book.group_by(_BANDS).agg(bands)


def _day_rated(rows: pl.DataFrame, day: dt.date, book: pl.DataFrame, catalog: ModelCatalog) -> pl.DataFrame:
    midnight = pl.lit(dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC), pl.Datetime("us", "UTC"))
    is_own = pl.col("price_model").is_not_null() & (pl.col("price_model") != "*")
    labels = [*LOGGED_COLUMNS, "processing", "grain", "rating"]
    usage = rows.with_columns(
        host_raw=pl.when(is_own).then("price_provider").otherwise("host"),
        model_raw=pl.when(is_own).then("price_model").otherwise("model_id"),
        grain=pl.lit("bucket"),
        rating=pl.when(pl.col("price_status") == "free").then(pl.lit("free")).otherwise(pl.lit("rate")),
        started_at=midnight + pl.duration(minutes=pl.col("from_minute").fill_null(0)),
        ended_at=midnight + pl.duration(minutes=pl.col("to_minute").fill_null(24 * 60)),
        before_cost="effective_cost",
        before_status="price_status",
        before_currency="currency",
        seen_host="host",
        seen_model="model_id",
    ).drop("price_provider", "price_model", "from_minute", "to_minute", "is_alike", "provider", "host", "model_id", "price_id",
           "price_status", "effective_cost", "currency")  # fmt: skip
    models = catalog.resolve(usage.select(LOGGED_COLUMNS))
    prices = day_prices(book, models, day=day)
    asked = usage.lazy().with_columns(pl.col(labels).cast(pl.Categorical)).with_columns(prices.slot_columns())
    wanted = ("seen_host", "seen_model", "before_currency", "before_status", "before_cost", "requests_count", "price_status",
              "currency", "effective_cost")  # fmt: skip
    return rate(asked, prices=prices).select(wanted).with_columns(pl.col(pl.Categorical).cast(pl.String)).collect()


def _summed(rated: pl.DataFrame) -> pl.DataFrame:
    was, will = pl.col("before_status"), pl.col("price_status")
    is_undecided = (will == "needs_request_grain") & (was != "needs_request_grain")
    after = pl.when(is_undecided).then("before_cost").otherwise("effective_cost")
    requests = pl.col("requests_count")
    zero = pl.lit(0).cast(MONEY)
    return (
        rated.with_columns(
            host="seen_host",
            model_id="seen_model",
            currency=pl.coalesce("currency", "before_currency", pl.lit("USD")),
            after_cost=after,
        )
        .group_by(EFFECT_KEYS)
        .agg(
            requests.sum(),
            pl.col("before_cost").sum(),
            pl.col("after_cost").sum(),
            difference=(pl.col("after_cost").fill_null(zero) - pl.col("before_cost").fill_null(zero)).sum(),
            newly_priced_count=requests.filter((was != "priced") & (will == "priced")).sum(),
            no_longer_priced_count=requests.filter((was == "priced") & (will == "unpriced")).sum(),
            undecided_count=requests.filter(is_undecided).sum(),
        )
        .select(*EFFECT_SCHEMA)
        .sort(pl.col("difference").abs(), *EFFECT_KEYS, descending=[True, False, False, False])
    )
