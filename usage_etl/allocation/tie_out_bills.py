"""The month's bill for the tie-out: usage and credit lines, summed to what may be compared with usage."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl

from usage_etl.money import minor_unit_digits
from usage_etl.periods import Month
from usage_etl.remainder import ATTOS, to_attos
from usage_etl.units import TOKEN_CLASSES

Frame = pl.LazyFrame | pl.DataFrame

_KEYS = (
    "charge_date",
    "provider_name",
    "billing_account_id",
    "model_id",
    "sku_meter",
    "token_class",
    "processing",
    "billing_currency",
    "context_band",
    "deployment_scope",
    "is_credit",
    "is_tool",
)
_LARGEST_QUANTITY = 10**14
"""A line of more tokens than this counts something else."""
_FINE_STEP = ATTOS // 10**6
"""What a line with digits below the minor unit may have lost to rounding."""


class RowKey(NamedTuple):
    """What a row of the tie-out is about."""

    provider: str
    account: str | None
    model: str | None
    meter: str | None
    token_class: str | None
    processing: str | None
    currency: str


@dataclass(frozen=True)
class BilledGroup:
    """Lines of one day that agree in everything a price depends on.

    ``attos`` is their amount, ``quantity`` their tokens in attos (None where one of them names no tokens), ``rounding`` what
    they can have lost or won by being rounded, in attos: a minor unit for each line that is a whole number of them, else a
    millionth of the currency unit. ``is_tool`` says that the meter counts no tokens, so that no usage belongs beside it.
    """

    day: dt.date
    provider: str
    account: str
    model: str | None
    meter: str | None
    token_class: str | None
    processing: str | None
    currency: str
    is_credit: bool
    is_tool: bool
    attos: int
    quantity: int | None
    rounding: int

    @property
    def key(self) -> RowKey:
        """The row of the tie-out that the lines stand in."""
        return RowKey(self.provider, self.account, self.model, self.meter, self.token_class, self.processing, self.currency)


@dataclass(frozen=True)
class Bills:
    """The month's lines, and how they cut time."""

    groups: tuple[BilledGroup, ...]
    last_days: dict[tuple[str, str], dt.date]
    """(provider, account) to the last day with a usage line: of later days no bill has arrived."""
    coarse: frozenset[tuple[str, str]]
    """Accounts whose lines cover more than a day; they are compared by the month only."""
    hourly: frozenset[str]
    """Providers whose lines cover less than a day, so that their days are UTC days."""


def read_bills(charges: Frame, *, month: Month) -> Bills:
    """``charges`` is billing_charges; lines of other days than the month's, taxes, purchases and adjustments stay out."""
    lines = (
        charges.lazy()
        .filter(
            pl.col("charge_date").is_between(month.first_day, month.last_day)
            & pl.col("charge_category").is_in(["Usage", "Credit"])
        )
        .with_columns(
            is_credit=pl.col("charge_category") == "Credit",
            is_tool=(pl.col("meter_mapping") == "not_usage").fill_null(value=False),
            sku_meter=pl.when(pl.col("model_id").is_null()).then("sku_meter"),
            hours=(pl.col("charge_period_end") - pl.col("charge_period_start")).dt.total_hours(),
        )
    )
    last_days, coarse, hourly = _time_cut(lines.filter(~pl.col("is_credit")))
    return Bills(_groups(lines), last_days, coarse, hourly)


def _groups(lines: pl.LazyFrame) -> tuple[BilledGroup, ...]:
    currencies = lines.select("billing_currency").unique().collect()["billing_currency"].to_list()
    steps = {code: ATTOS // 10 ** minor_unit_digits(code) for code in currencies}
    is_rounded = (
        pl.col("billed_cost").to_physical() % pl.col("billing_currency").replace_strict(steps, return_dtype=pl.Int128) == 0
        if steps
        else pl.lit(value=False)
    )
    tokens = pl.col("consumed_quantity")
    names_tokens = pl.col("consumed_unit").str.to_lowercase().is_in(["tokens", "token"]) & pl.col("token_class").is_in(
        TOKEN_CLASSES
    )
    is_known = names_tokens & tokens.is_between(-_LARGEST_QUANTITY, _LARGEST_QUANTITY)
    is_known &= (tokens != 0) | (pl.col("billed_cost") == 0)
    known = lines.with_columns(
        is_rounded=is_rounded, known_quantity=pl.when(is_known).then(tokens), is_empty=pl.col("billed_cost") == 0
    )
    summed = (
        known.group_by(_KEYS)
        .agg(
            pl.col("billed_cost").sum(),
            pl.col("known_quantity").sum(),
            unknown=(pl.col("known_quantity").is_null() & ~pl.col("is_empty")).sum(),
            named=pl.col("known_quantity").count(),
            rounded=pl.col("is_rounded").sum(),
            lines=pl.len(),
        )
        .collect(engine="streaming")
        .sort(_KEYS)
    )
    amounts, quantities = to_attos(summed["billed_cost"]), to_attos(summed["known_quantity"])
    rows = zip(summed.iter_rows(named=True), amounts, quantities, strict=True)
    return tuple(_group(row, amount or 0, quantity or 0, steps) for row, amount, quantity in rows)


def _group(row: dict[str, Any], attos: int, quantity: int, steps: dict[str, int]) -> BilledGroup:
    step = steps[row["billing_currency"]]
    return BilledGroup(
        day=row["charge_date"],
        provider=row["provider_name"],
        account=row["billing_account_id"],
        model=row["model_id"],
        meter=row["sku_meter"],
        token_class=row["token_class"],
        processing=row["processing"],
        currency=row["billing_currency"],
        is_credit=row["is_credit"],
        is_tool=row["is_tool"] and row["model_id"] is None,
        attos=attos,
        quantity=quantity if row["named"] and not row["unknown"] else None,
        rounding=row["rounded"] * step + (row["lines"] - row["rounded"]) * min(_FINE_STEP, step),
    )


def _time_cut(usage: pl.LazyFrame) -> tuple[dict[tuple[str, str], dt.date], frozenset[tuple[str, str]], frozenset[str]]:
    """By account: last billed day, whether lines are longer than a day (25 hours on the long one); providers of short lines."""
    of_model = pl.col("hours").filter(pl.col("model_id").is_not_null())
    found = (
        usage.group_by("provider_name", "billing_account_id")
        .agg(
            pl.col("charge_date").max(),
            longest=pl.coalesce(of_model.max(), pl.col("hours").max()),
            longest_of_all=pl.col("hours").max(),
        )
        .collect()
        .sort("provider_name", "billing_account_id")
    )
    last_days, coarse = {}, set()
    longest: defaultdict[str, int] = defaultdict(int)
    for provider, account, last, hours, of_all in found.iter_rows():
        last_days[provider, account] = last
        longest[provider] = max(longest[provider], of_all)
        if hours > 25:
            coarse.add((provider, account))
    return last_days, frozenset(coarse), frozenset(provider for provider, hours in longest.items() if hours < 23)
