"""What a set of days looked like: users, requests, failures, and per cell its answers, tokens and prices.

A cell is one line of the price list: a model at one price class, region, context band and time of day. Usage without a
price is a cell of its own per model, whose known cost is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import Any

import polars as pl

from usage_etl.anomalies.shares import precise
from usage_etl.units import TOKEN_CLASSES

ZERO = Decimal(0)
MEGA = Decimal(10**6)

Rates = tuple[Decimal | None, ...]
"""Price per million tokens of each token class, in the order of TOKEN_CLASSES."""

PRICE_LINE = ("provider", "model_id", "processing", "region", "unit", "context_min_tokens", "from_minute")
"""What tells lines of the price list apart, apart from their dates."""


@dataclass(frozen=True)
class PriceLine:
    """One row of dim_price, as far as factors need it."""

    line: tuple[str, ...]
    rates: Rates


@dataclass
class Cell:
    """One cell; sums over the days."""

    answered: Decimal = ZERO
    """Requests that a model answered."""
    tokens: list[Decimal] = field(default_factory=lambda: [ZERO] * len(TOKEN_CLASSES))
    rated_costs: list[Decimal] = field(default_factory=lambda: [ZERO] * len(TOKEN_CLASSES))
    """Tokens of each class at the rate of the price list."""
    known_cost: Decimal = ZERO
    """What the rows of the cell cost; the difference to ``rated_costs`` is charged per request."""


@dataclass(frozen=True)
class Profile:
    """One day or several; exact sums over them."""

    days_count: int
    users: Decimal
    """Distinct users of each day; requests that name none count as one."""
    requests: Decimal
    failed: Decimal
    answered_by_cache: Decimal
    """Requests that the gateway answered from its own cache."""
    cells: Mapping[tuple[str, ...], Cell]

    @property
    def answered(self) -> Decimal:
        """Requests that a model answered."""
        return self.requests - self.failed - self.answered_by_cache

    def mean(self, measure: str) -> Decimal:
        """A day's effective_cost, total_tokens or requests_count."""
        if measure == "requests_count":
            whole = self.requests
        elif measure == "effective_cost":
            whole = sum((cell.known_cost for cell in self.cells.values()), ZERO)
        else:
            whole = sum((sum(cell.tokens, ZERO) for cell in self.cells.values()), ZERO)
        return whole / self.days_count if self.days_count else ZERO


def price_lines(prices: pl.DataFrame) -> dict[str, PriceLine]:
    """Price id to its line, from dim_price."""
    rates = [f"{name.removesuffix('_tokens')}_per_mtok" for name in TOKEN_CLASSES]
    columns = prices.select("price_id", *PRICE_LINE, *rates).iter_rows()
    size = 1 + len(PRICE_LINE)
    return {row[0]: PriceLine(tuple(str(part) for part in row[1:size]), tuple(row[size:])) for row in columns}


def profile_of(rows: pl.DataFrame, lines: Mapping[str, PriceLine], *, days_count: int) -> Profile:
    """The days of ``rows``, of which there are ``days_count``, days without a row included.

    ``rows`` has usage_date, user_id, provider, model_id, processing, price_id, requests_count, errors_count,
    cache_hits_count, the token classes and effective_cost.
    """
    users = rows.filter(pl.col("requests_count") > 0).select("usage_date", "user_id").unique().height
    grouped = rows.group_by("provider", "model_id", "processing", "price_id").agg(
        pl.col("requests_count", "errors_count", "cache_hits_count", *TOKEN_CLASSES, "effective_cost").sum()
    )
    cells: dict[tuple[str, ...], Cell] = {}
    requests = failed = cached = ZERO
    with localcontext(precise()):
        for row in grouped.sort("provider", "model_id", "processing", "price_id").iter_rows(named=True):
            line = lines.get(row["price_id"])
            key = line.line if line else (row["provider"], row["model_id"], row["processing"], "without price")
            of_row = _add(cells.setdefault(key, Cell()), row, line)
            requests, failed, cached = requests + of_row[0], failed + of_row[1], cached + of_row[2]
        return Profile(days_count, Decimal(users), requests, failed, cached, cells)


def _add(cell: Cell, row: Mapping[str, Any], line: PriceLine | None) -> tuple[int, int, int]:
    """Adds a row to its cell; its requests, failures and answers of the cache, never more than there are requests."""
    requests: int = row["requests_count"]
    failed: int = min(row["errors_count"], requests)
    cached: int = min(row["cache_hits_count"], requests - failed)
    cell.answered += requests - failed - cached
    for index, name in enumerate(TOKEN_CLASSES):
        cell.tokens[index] += row[name]
        if line and (rate := line.rates[index]) is not None:
            cell.rated_costs[index] += row[name] * rate / MEGA
    cell.known_cost += row["effective_cost"] or ZERO
    return requests, failed, cached
