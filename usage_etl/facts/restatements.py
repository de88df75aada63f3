"""Figures of a built day, and how the rebuilds of days differed from the builds before them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import polars as pl

from usage_etl.schemas.contract import Table
from usage_etl.schemas.restatements import FACT_RESTATEMENTS, Figures, Restatement
from usage_etl.units import TOKEN_CLASSES

_CURRENCIES = ("currency", "billing_currency")
_COUNTS = ("rows_count", "requests_count", "tokens")
_AMOUNTS = ("billed_cost", "effective_cost")
_KEY = "of_currency"


def day_figures(rows: pl.LazyFrame) -> dict[str, dict[str, int | str | None]]:
    """Figures of one stored day of usage or charges by currency; amounts as exact text, null where no row has one."""
    names = rows.collect_schema().names()
    currency = next(name for name in _CURRENCIES if name in names)
    sums = {"rows_count": pl.len().cast(pl.Int64)}
    if "requests_count" in names:
        sums |= {"requests_count": pl.col("requests_count").sum(), "tokens": pl.sum_horizontal(pl.col(*TOKEN_CLASSES).sum())}
    sums |= {name: pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()) for name in _AMOUNTS if name in names}
    by_currency = rows.group_by(pl.col(currency).cast(pl.String).fill_null("").alias(_KEY)).agg(**sums).sort(_KEY)
    found = by_currency.collect(engine="streaming").iter_rows(named=True)
    return {row.pop(_KEY): {name: _plain(value) if name in _AMOUNTS else value for name, value in row.items()} for row in found}


def restatements_month(rebuilds: Iterable[Restatement], *, month: dt.date) -> pl.DataFrame:
    """FACT_RESTATEMENTS rows of the rebuilds of one month's days."""
    rows = [row for rebuild in rebuilds for row in _rows(rebuild, month)]
    schema = FACT_RESTATEMENTS.polars_schema
    return pl.DataFrame([[row.get(name) for name in schema] for row in rows], schema=schema, orient="row")


def open_ends(rows: pl.DataFrame, table: Table, day: dt.date, standing: Figures) -> list[str]:
    """Faults of one day's chain of ``rows``: each rebuild begins where the last one ended, and the last is what stands."""
    chain = rows.filter((pl.col("table_name") == table.name) & (pl.col("usage_date") == day)).sort("rebuild_number")
    numbers = chain["rebuild_number"].unique(maintain_order=True).to_list()
    faults = [] if numbers == list(range(1, len(numbers) + 1)) else [f"{table.name} {day}: rebuilds are numbered {numbers}"]
    ends: dict[str, dict[str, Any]] | None = None
    for number in numbers:
        of_number = list(chain.filter(pl.col("rebuild_number") == number).iter_rows(named=True))
        if ends is not None and ends != _side(of_number, "before"):
            faults.append(f"{table.name} {day}: rebuild {number} does not begin where the one before ended")
        ends = _side(of_number, "after")
    if ends is not None and ends != _known(standing):
        faults.append(f"{table.name} {day}: the last rebuild does not say what is stored")
    return faults


def _rows(rebuild: Restatement, month: dt.date) -> Iterable[dict[str, Any]]:
    shared = {
        "month": month,
        "table_name": rebuild.table_name,
        "usage_date": rebuild.day,
        "rebuild_number": rebuild.number,
        "built_at": rebuild.built_at,
        "cause": "deliveries" if rebuild.has_other_rows else "reference",
        "new_deliveries": ",".join(rebuild.new_deliveries) or None,
        "stopped_deliveries": ",".join(rebuild.stopped_deliveries) or None,
    }
    for currency in sorted(rebuild.before.keys() | rebuild.after.keys()):
        before, after = rebuild.before.get(currency), rebuild.after.get(currency)
        sides = {"before": before or _nothing(after), "after": after or _nothing(before)}
        figures = {f"{side}_{name}": _typed(name, value) for side, found in sides.items() for name, value in found.items()}
        yield {**shared, "currency": currency or None, **figures}
    if not rebuild.before and not rebuild.after:
        yield {**shared, "before_rows_count": 0, "after_rows_count": 0}


def _nothing(other: Mapping[str, int | str | None] | None) -> dict[str, int | str | None]:
    """What a day says that has no row in a currency: zero of everything that it could have."""
    return {name: None if value is None else 0 for name, value in (other or {}).items()}


def _typed(name: str, value: int | str | None) -> int | Decimal | None:
    return None if value is None else Decimal(value) if name in _AMOUNTS else int(value)


def _side(rows: Iterable[Mapping[str, Any]], side: str) -> dict[str, dict[str, Any]]:
    found = {str(row["currency"] or ""): {name: row[f"{side}_{name}"] for name in (*_COUNTS, *_AMOUNTS)} for row in rows}
    return {currency: figures for currency, figures in found.items() if figures["rows_count"]}


def _known(standing: Figures) -> dict[str, dict[str, Any]]:
    return {
        currency: {name: _typed(name, figures.get(name)) for name in (*_COUNTS, *_AMOUNTS)}
        for currency, figures in standing.items()
    }


def _plain(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"
