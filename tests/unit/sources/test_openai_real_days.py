"""Real days of a real account: token counts through our own steps come to the billed amount, to its last digit."""

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest

from tests.unit.pricing.test_price_book import NO_CONTRACT
from tests.unit.sources.report_pages import RECORDED, read
from usage_etl.events import normalise
from usage_etl.money import exact_sum
from usage_etl.pricing import ListPrices, ModelCatalog, day_prices, price_book, rate
from usage_etl.sources.openai.parse import parse

BOOK = price_book(ListPrices.bundled(), NO_CONTRACT)
COSTS = RECORDED / "openai" / "dashboard_costs.tsv"
USAGE = RECORDED / "openai" / "dashboard_usage_completions.tsv"


@pytest.fixture(scope="module")
def priced() -> dict[dt.date, tuple[set[str], Decimal]]:
    """Day to the price states of its rows and the sum of what they cost."""
    usage = read(parse, USAGE).usage
    models = ModelCatalog().resolve(usage.select("host_raw", "model_raw").unique().cast(pl.String))
    found = {}
    for (day,), rows in usage.group_by("usage_date"):
        assert isinstance(day, dt.date)
        prices = day_prices(BOOK, models, day=day)
        rated = rate(normalise(rows.lazy()).with_columns(prices.slot_columns()), prices=prices).collect()
        found[day] = set(rated["price_status"].cast(pl.String)), exact_sum(rated["effective_cost"])
    return found


@pytest.fixture(scope="module")
def billed() -> dict[dt.date, Decimal]:
    return dict(read(parse, COSTS).charges.select("charge_date", "billed_cost").iter_rows())


@pytest.mark.parametrize(
    ("day", "amount"),
    [
        (dt.date(2025, 10, 7), Decimal("0.569788")),
        (dt.date(2025, 10, 10), Decimal("0.3409")),
        (dt.date(2025, 10, 11), Decimal("0.072054")),
    ],
)
def test_priced_usage_is_the_billed_amount(
    priced: dict[dt.date, tuple[set[str], Decimal]], billed: dict[dt.date, Decimal], day: dt.date, amount: Decimal
) -> None:
    assert billed[day] == amount
    assert priced[day] == ({"priced"}, amount)


def test_days_whose_usage_is_incomplete_do_not_match_and_are_not_made_to(
    priced: dict[dt.date, tuple[set[str], Decimal]], billed: dict[dt.date, Decimal]
) -> None:
    """The published snapshot lacks usage of these days: the bill stands, and our price is of what is there."""
    assert billed[dt.date(2025, 10, 5)] == Decimal("0.895874")
    assert priced[dt.date(2025, 10, 5)][1] == (53440 * Decimal("2.5") + 5760 * Decimal("1.25") + 10646 * 10) / 10**6
    assert priced[dt.date(2025, 10, 6)][1] != billed[dt.date(2025, 10, 6)] == Decimal("0.56177125")
    assert dt.date(2025, 10, 8) in billed
    assert dt.date(2025, 10, 8) not in priced


def test_blank_rows_are_buckets_without_usage() -> None:
    usage, costs = read(parse, USAGE), read(parse, COSTS)
    assert usage.rows_read == 6
    assert [bucket.day for bucket in usage.covered] == [dt.date(2025, 10, day) for day in (5, 6, 7, 8, 10, 11)]
    assert costs.rows_read == 6
    assert [bucket.day for bucket in costs.covered] == [dt.date(2025, 10, day) for day in range(5, 13)]


def test_two_rows_of_one_bucket_that_agree_in_every_dimension_are_both_counted() -> None:
    usage = read(parse, USAGE).usage.filter(pl.col("usage_date") == dt.date(2025, 10, 6))
    assert usage["requests_count"].to_list() == [8, 1]
    assert usage["event_id"].n_unique() == 2
    assert usage["reported_input_tokens"].sum() == 52047
