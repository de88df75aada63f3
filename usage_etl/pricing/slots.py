"""Which price a request has: the prices of one day, spread over everything that a request may say of its price.

A request carries what decides its price as three small numbers through any grouping: the price changes of the day that
it has passed, the context bands that it has passed, and which classes it has tokens of.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from usage_etl.periods import day_start
from usage_etl.pricing.catalog import LOGGED_COLUMNS
from usage_etl.pricing.price import RATE_COLUMNS, SUBSET_RATES, TOKEN_RATES
from usage_etl.pricing.surcharges import matched_region
from usage_etl.schemas.staged import PROCESSINGS
from usage_etl.units import INPUT_TOKEN_CLASSES, PRIMITIVE_UNITS, TOKEN_CLASSES

SLOT_COLUMNS = ("time_slot", "band_slot", "class_slot")
"""What a request says of its price: change instants passed, context bands passed, and which classes have tokens at all."""

UNKNOWN_SLOT = 255
"""A bucket that may lie on both sides of a change or of a band."""

ANY_MODEL = "*"
SUBSET_TOKENS: Mapping[str, str] = {
    "output_reasoning_per_mtok": "reasoning_tokens",
    "input_audio_per_mtok": "input_audio_tokens",
    "cache_read_audio_per_mtok": "cache_read_audio_tokens",
    "output_audio_per_mtok": "output_audio_tokens",
    "input_image_per_mtok": "input_image_tokens",
    "cache_read_image_per_mtok": "cache_read_image_tokens",
    "output_image_per_mtok": "output_image_tokens",
}
"""Rate of a part of a class to its tokens."""

PRICE_KEYS = ("price_provider", "price_model", "price_region", "price_unit")
"""What the logged names of a request come to in the price book."""

_SLOT_KEYS = (*PRICE_KEYS, "processing")


@dataclass(frozen=True)
class DayPrices:
    """Prices in force on one UTC day, spread over the day's price-change instants and context bands.

    ``slots``: one row per (PRICE_KEYS, processing, time_slot, band_slot) with its price and the rates that hold for it.
    ``models``: one row per logged combination of names. ``parts``: rates of parts of a class that differ from their
    class in some price of the day. ``gaps``: rates that some price of the day lacks.
    """

    change_instants: tuple[dt.datetime, ...]
    band_thresholds: tuple[int, ...]
    slots: pl.DataFrame
    models: pl.DataFrame
    parts: tuple[str, ...] = field(default=())
    gaps: tuple[str, ...] = field(default=())

    @property
    def logged_columns(self) -> list[str]:
        """Columns by which a row finds its model."""
        return [name for name in LOGGED_COLUMNS if name in self.models.columns]

    def slot_columns(self) -> list[pl.Expr]:
        """The SLOT_COLUMNS of a request or bucket, from ``started_at``, ``ended_at`` and its token classes.

        ``class_slot`` keeps requests with and without tokens of a class apart where a price lacks that class's rate: those
        without such tokens are priced and the others are not. A bucket is in the context band that its source names.
        """
        input_tokens = pl.sum_horizontal(INPUT_TOKEN_CLASSES)
        bits = [input_tokens > 0, pl.col("output_tokens") > 0, *(self.tokens_by_rate()[rate] > 0 for rate in self.gaps)]
        mask = pl.sum_horizontal(bit.cast(pl.UInt16) * 2**place for place, bit in enumerate(bits))
        return [self._time_slot(), self._band_slot(input_tokens), mask.cast(pl.UInt16).alias("class_slot")]

    def tokens_by_rate(self) -> dict[str, pl.Expr]:
        """Rate column to the tokens that it prices: classes without those parts that have rates of their own."""
        tokens = {rate: pl.col(name) for rate, name in zip(TOKEN_RATES, TOKEN_CLASSES, strict=True)}
        for part in self.parts:
            tokens[SUBSET_RATES[part]] = tokens[SUBSET_RATES[part]] - pl.col(SUBSET_TOKENS[part])
            tokens[part] = pl.col(SUBSET_TOKENS[part])
        return tokens

    def _time_slot(self) -> pl.Expr:
        if not self.change_instants:
            return pl.lit(0, pl.UInt8).alias("time_slot")
        slot = _count_true([pl.col("started_at") >= instant for instant in self.change_instants])
        is_changing = pl.any_horizontal(
            (pl.col("started_at") < instant) & (pl.col("ended_at") > instant) for instant in self.change_instants
        )
        is_unknown = (pl.col("grain") == "bucket") & is_changing.fill_null(value=True)
        return pl.when(is_unknown).then(pl.lit(UNKNOWN_SLOT, pl.UInt8)).otherwise(slot).alias("time_slot")

    def _band_slot(self, input_tokens: pl.Expr) -> pl.Expr:
        in_request = _count_true([input_tokens > threshold for threshold in self.band_thresholds])
        named = pl.col("context_min_tokens")
        in_bucket = _count_true([named >= threshold for threshold in self.band_thresholds])
        unknown = pl.lit(UNKNOWN_SLOT, pl.UInt8)
        return (
            pl.when(pl.col("grain") != "bucket").then(in_request)
            .when(named.is_null()).then(unknown)
            .otherwise(in_bucket)
            .alias("band_slot")
        )  # fmt: skip


def day_prices(book: pl.DataFrame, models: pl.DataFrame, *, day: dt.date) -> DayPrices:
    """Prices of the models seen on ``day``. ``book`` is DIM_PRICE; ``models`` comes from ``ModelCatalog.resolve``."""
    start, end = day_start(day), day_start(day + dt.timedelta(days=1))
    is_on_day = (pl.col("valid_from") < end) & (pl.col("valid_to").is_null() | (pl.col("valid_to") > start))
    on_day = book.filter(is_on_day)
    found = _in_book(models, on_day)
    wanted = found.select(PRICE_KEYS).drop_nulls("price_provider").unique()
    in_force = on_day.rename(
        {"provider": "price_provider", "model_id": "price_model", "region": "price_region", "unit": "price_unit"}
    ).join(wanted, on=PRICE_KEYS, how="semi", nulls_equal=True)
    instants = _change_instants(in_force, start, end)
    thresholds = tuple(sorted(set(in_force["context_min_tokens"]) - {0}))
    rows = [_band_rows(in_force, instant, time_slot, (0, *thresholds)) for time_slot, instant in enumerate((start, *instants))]
    slots = _assume_standard(pl.concat(rows))
    slots = _with_unknown(slots, "time_slot", 1 + len(instants)) if instants else slots
    parts = tuple(rate for rate in SUBSET_RATES if (in_force[rate].is_not_null()).any())
    filled = _with_unknown(slots, "band_slot", 1 + len(thresholds)).with_columns(
        pl.coalesce(part, whole).alias(part) for part, whole in SUBSET_RATES.items()
    )
    gaps = tuple(rate for rate in (*TOKEN_RATES, *parts) if filled[rate].is_null().any())
    return DayPrices(instants, thresholds, filled, found, parts, gaps)


def _in_book(models: pl.DataFrame, book: pl.DataFrame) -> pl.DataFrame:
    """``models`` with PRICE_KEYS: names that no rule matched are looked for as they are, region and unit where priced."""
    listed = book.select("provider", "model_id", "region", "unit").unique()
    by_model: dict[tuple[str, str], list[tuple[str | None, str | None]]] = {}
    spelled: dict[tuple[str, str], str] = {}
    for provider, model_id, region, unit in listed.iter_rows():
        by_model.setdefault((provider, model_id), []).append((region, unit))
        spelled.setdefault((provider, model_id.lower()), model_id)
    rows = [_price_keys(row, by_model, spelled) for row in models.iter_rows(named=True)]
    keys = pl.DataFrame(rows, schema=dict.fromkeys(("price_provider", "price_model", "price_region", "price_unit"), pl.String),
                        orient="row")  # fmt: skip
    named = models.drop("price_provider").hstack(keys)
    is_own = pl.col("price_model").is_not_null() & (pl.col("price_model") != ANY_MODEL)
    return named.with_columns(model_id=pl.when(is_own).then("price_model").otherwise("model_id"))


def _price_keys(
    row: Mapping[str, str | None],
    by_model: Mapping[tuple[str, str], Sequence[tuple[str | None, str | None]]],
    spelled: Mapping[tuple[str, str], str],
) -> tuple[str | None, str | None, str | None, str | None]:
    model_id, host, maker = str(row["model_id"]), str(row["host"]), str(row["provider"])
    named = [(row["price_provider"], model_id)] if row["price_provider"] else [(host, model_id), (maker, model_id)]
    found = next(((str(by), spelled[str(by), name.lower()]) for by, name in named if (str(by), name.lower()) in spelled), None)
    found = found or next(((by, ANY_MODEL) for by in dict.fromkeys((host, maker)) if (by, ANY_MODEL) in by_model), None)
    if found is None:
        return None, None, None, None
    priced = by_model[found]
    region = matched_region(row.get("region"), {region for region, _ in priced if region is not None})
    units = {unit for of_region, unit in priced if of_region == region and unit is not None}
    native, primitive = row.get("native_unit"), row.get("primitive")
    unit = next((unit for unit in (native, PRIMITIVE_UNITS.get(primitive or "")) if unit in units), None)
    return (*found, region, unit)


def _change_instants(in_force: pl.DataFrame, start: dt.datetime, end: dt.datetime) -> tuple[dt.datetime, ...]:
    """Instants of the day at which a price begins or ends, by date or by time of day."""
    edges = {edge for name in ("valid_from", "valid_to") for edge in in_force[name].drop_nulls() if start < edge < end}
    minutes = {minute for name in ("from_minute", "to_minute") for minute in in_force[name]} - {0, 24 * 60}
    return tuple(sorted(edges | {start + dt.timedelta(minutes=minute) for minute in minutes}))


def _band_rows(in_force: pl.DataFrame, instant: dt.datetime, time_slot: int, thresholds: tuple[int, ...]) -> pl.DataFrame:
    minute = instant.hour * 60 + instant.minute
    active = in_force.filter(
        (pl.col("valid_from") <= instant)
        & (pl.col("valid_to").is_null() | (pl.col("valid_to") > instant))
        & (pl.col("from_minute") <= minute)
        & (pl.col("to_minute") > minute)
    )
    return pl.concat(
        active.filter(pl.col("context_min_tokens") <= threshold)
        .sort("context_min_tokens")
        .group_by(_SLOT_KEYS, maintain_order=True)
        .last()
        .select(
            *PRICE_KEYS,
            pl.col("processing").cast(pl.Categorical),
            pl.lit(time_slot, pl.UInt8).alias("time_slot"),
            pl.lit(band_slot, pl.UInt8).alias("band_slot"),
            "price_id",
            "currency",
            *RATE_COLUMNS,
            "per_unit",
            "unit_count",
        )
        for band_slot, threshold in enumerate(thresholds)
    )


def _assume_standard(slots: pl.DataFrame) -> pl.DataFrame:
    """Adds the standard price for price classes that the list does not name."""
    key = [*PRICE_KEYS, "time_slot", "band_slot"]
    others = [processing for processing in PROCESSINGS if processing != "standard"]
    classes = pl.DataFrame({"processing": others}, schema={"processing": pl.Categorical})
    standard = slots.filter(pl.col("processing") == "standard").drop("processing").join(classes, how="cross")
    assumed = standard.join(slots.select(*key, "processing"), on=[*key, "processing"], how="anti", nulls_equal=True)
    return pl.concat([slots, assumed.select(slots.columns)]).with_columns(is_ambiguous=pl.lit(value=False))


def _with_unknown(slots: pl.DataFrame, slot: str, slots_count: int) -> pl.DataFrame:
    """Adds rows for buckets that do not say where they stand: priced where all ``slots_count`` have one and the same price."""
    other = "time_slot" if slot == "band_slot" else "band_slot"
    by_key = slots.sort(slot).group_by(*_SLOT_KEYS, other, maintain_order=True)
    unknown = by_key.agg(
        pl.col(slots.columns).exclude(*_SLOT_KEYS, other, "is_ambiguous").first(),
        is_ambiguous=(pl.col("price_id").n_unique() > 1) | (pl.len() < slots_count) | pl.col("is_ambiguous").any(),
    ).with_columns(pl.lit(UNKNOWN_SLOT, pl.UInt8).alias(slot))
    return pl.concat([slots, unknown.select(slots.columns)])


def _count_true(conditions: list[pl.Expr]) -> pl.Expr:
    if not conditions:
        return pl.lit(0, pl.UInt8)
    return pl.sum_horizontal(condition.cast(pl.UInt8) for condition in conditions).cast(pl.UInt8)
