"""The tie-out added up again in Python integers, apart from the code that made it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import polars as pl

from usage_etl.remainder import to_attos
from usage_etl.schemas.tie_out import RESIDUAL_CAUSES

_KEY = ("provider_name", "billing_account_id", "model_id", "sku_meter", "token_class", "processing", "billing_currency")
_CAUSES = tuple(f"{cause}_cost" for cause in RESIDUAL_CAUSES)
_VOLUME = ("bypassed_gateway_cost", "not_billed_cost")
_SUMMED = (
    "billed_cost",
    "reported_cost",
    "metered_cost",
    "billed_quantity",
    "reported_quantity",
    "metered_quantity",
    *(cause for cause in _CAUSES if cause not in _VOLUME),
)
Row = tuple[str | None, ...]


def unequal_causes(tie_out: pl.DataFrame) -> list[str]:
    """Rows whose causes and unexplained cost are not its difference, or whose difference is not billed minus metered."""
    columns = [
        to_attos(tie_out[name]) for name in ("billed_cost", "metered_cost", "difference_cost", "unexplained_cost", *_CAUSES)
    ]
    found = []
    for number, (billed, metered, difference, *parts) in enumerate(zip(*columns, strict=True)):
        wanted = None if billed is None else billed - (metered or 0)
        if difference != wanted or sum(part or 0 for part in parts) != (difference or 0):
            found.append(_named(tie_out.select(_KEY).row(number)))
    return found


def unequal_days(daily: pl.DataFrame, monthly: pl.DataFrame) -> list[str]:
    """Sums of the month that are not those of its days, for every account that has days.

    Bypassed and not billed cost are compared together, because the month nets them, and with the usage of days that no bill
    has arrived for, which the month counts as not billed.
    """
    with_days = {row[:2] for row in daily.select(_KEY).iter_rows()}
    left, right = _sums(daily, is_daily=True), _sums(monthly, is_daily=False)
    found = []
    for row in sorted(left.keys() | right.keys(), key=_named):
        if row[:2] in with_days:
            names = [*_SUMMED, "volume"]
            found += [f"{_named(row)}: {name}" for name in names if left[row][name] != right[row][name]]
    return found


def unequal_facts(monthly: pl.DataFrame, charges: pl.LazyFrame, usage: pl.LazyFrame, reports: pl.LazyFrame) -> list[str]:
    """Columns of the month whose sum in a currency is not that of the facts: nothing is dropped and nothing counted twice.

    ``charges`` is billing_charges, ``usage`` fact_usage_daily and ``reports`` fact_provider_usage_daily of the month's days.
    """
    billed = charges.filter(pl.col("charge_category").is_in(["Usage", "Credit"]))
    facts = (
        ("billed_cost", billed.select(pl.col("billing_currency").alias("currency"), pl.col("billed_cost").alias("fact_cost"))),
        ("metered_cost", usage.select("currency", pl.col("effective_cost").alias("fact_cost"))),
        ("reported_cost", reports.select("currency", pl.col("effective_cost").alias("fact_cost"))),
    )
    found = []
    for name, fact in facts:
        known = fact.filter(pl.col("fact_cost").is_not_null()).with_columns(pl.col("currency").cast(pl.String))
        wanted = _by_currency(known.collect(), "currency", "fact_cost")
        sums = _by_currency(monthly.filter(pl.col(name).is_not_null()), "billing_currency", name)
        found += [f"{name} {code}: {sums[code]} is not {wanted[code]} (1e-18)" for code in sorted(sums.keys() | wanted.keys())
                  if sums[code] != wanted[code]]  # fmt: skip
    return found


def _by_currency(frame: pl.DataFrame, currency: str, name: str) -> defaultdict[str, int]:
    sums: defaultdict[str, int] = defaultdict(int)
    for code, attos in zip(frame[currency], to_attos(frame[name]), strict=True):
        sums[code] += attos or 0
    return sums


def _sums(frame: pl.DataFrame, *, is_daily: bool) -> defaultdict[Row, defaultdict[str, int]]:
    sums: defaultdict[Row, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row, values in _rows(frame, [*_SUMMED, *_VOLUME]):
        of_row = sums[row]
        for name in _SUMMED:
            of_row[name] += values[name] or 0
        of_row["volume"] += sum(values[name] or 0 for name in _VOLUME)
        if is_daily and values["billed_cost"] is None and row[1] is not None:
            of_row["volume"] -= values["metered_cost"] or 0
    return sums


def _rows(frame: pl.DataFrame, names: Sequence[str]) -> Iterator[tuple[Row, dict[str, int | None]]]:
    columns = [to_attos(frame[name]) for name in names]
    for row, values in zip(frame.select(_KEY).iter_rows(), zip(*columns, strict=True), strict=True):
        yield row, dict(zip(names, values, strict=True))


def _named(row: Row) -> str:
    return " ".join(part or "-" for part in row)
