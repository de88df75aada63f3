"""Which days were restated, by how much and by which delivery."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace

import dataframely as dy

from usage_etl.schemas.contract import Table, count, day, instant, money, one_of, text, tokens

RESTATED_TABLES = ("fact_usage_hourly", "billing_charges")
"""Tables whose rebuilt days are logged: the finest stored facts of usage and of charges."""

RESTATEMENT_CAUSES = ("deliveries", "reference")


Figures = Mapping[str, Mapping[str, int | str | None]]
"""Currency ("" for none) to figure by name: counts as integers, amounts as exact text, null where a table has none."""


@dataclass(frozen=True)
class Restatement:
    """One rebuild of a day that was built before, from other rows or to other figures."""

    table_name: str
    day: dt.date
    number: int
    """1 for the first rebuild of the day."""
    built_at: dt.datetime
    before: Figures
    after: Figures
    new_deliveries: tuple[str, ...]
    """Of which rows count now, and none did before."""
    stopped_deliveries: tuple[str, ...]
    """Of which rows counted before, and none do now."""
    has_other_rows: bool
    """Whether other staged rows count; otherwise prices, directories or the code made the difference."""

    def of(self, table_name: str) -> Restatement:
        """The same under the name of the table that was built."""
        return replace(self, table_name=table_name)


class FactRestatement(dy.Schema):
    """One rebuild of one day, in one currency, from other rows or to other figures than the build before it.

    The first build of a day is none. What a day said before is 0 where it had nothing in the currency, and null where the
    table has no such figure.
    """

    month = day("first day of the restated day's month")
    table_name = text("table whose day was rebuilt", nullable=False, check=one_of(*RESTATED_TABLES))
    usage_date = day("restated UTC day")
    rebuild_number = count("1 for the first rebuild of the day")
    built_at = instant("when the rebuild was finished")
    cause = text(
        "deliveries: other staged rows count. reference: prices, directories, settings or the program changed",
        nullable=False,
        check=one_of(*RESTATEMENT_CAUSES),
    )
    new_deliveries = text("deliveries that count now and did not before, comma-separated; null for none")
    stopped_deliveries = text("deliveries that counted before and do not now, comma-separated; null for none")
    currency = text("of the amounts; null for rows without a price")
    before_rows_count = count("rows of the table on the day before")
    after_rows_count = count("rows of the table on the day now")
    before_requests_count = count("requests before; null for charges", nullable=True)
    after_requests_count = count("requests now; null for charges", nullable=True)
    before_tokens = tokens("input, cache and output tokens before; null for charges", nullable=True)
    after_tokens = tokens("input, cache and output tokens now; null for charges", nullable=True)
    before_billed_cost = money("billed before; null for usage", nullable=True)
    after_billed_cost = money("billed now; null for usage", nullable=True)
    before_effective_cost = money("cost of usage, or of charges after discounts, before", nullable=True)
    after_effective_cost = money("the same now", nullable=True)


FACT_RESTATEMENTS = Table(
    name="fact_restatements",
    schema=FactRestatement,
    grain="one rebuild of one day of one table that made it differ, in one currency",
    partition="month",
    sort_by=("table_name", "usage_date", "rebuild_number", "currency"),
    group="2_facts",
    owner="team:finops",
)
