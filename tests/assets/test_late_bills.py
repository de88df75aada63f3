"""Bills that arrive after a month was closed without them: the month's journal stands, and the next month corrects."""

from decimal import Decimal

import polars as pl
import pytest

from assets.allocation import commit_journal
from assets.booking import commit_booked
from tests.assets.closing_shop import AUGUST, JULY, Shop
from tests.unit.allocation.booking_lines import allocation, allocation_line, totals
from tests.unit.allocation.frames import lines
from usage_etl.errors import ConservationError
from usage_etl.lake import WHOLE
from usage_etl.schemas import DIM_COST_CENTER, FACT_INVOICE_LINES_MONTHLY, MART_ALLOCATION_MONTHLY, MART_JOURNAL_MONTHLY

KEY = JULY.first_day.isoformat()
ESTIMATE = {"line_kind": "estimate", "charge_basis": "priced_usage", "invoice_line_id": None, "billing_account_id": None}


def bill(provider, cost):
    account = {"provider_name": provider, "billing_account_id": f"{provider}-account"}
    return {"month": JULY.first_day, **account, "billed_cost": Decimal(cost)}


def arrive(shop, allocated, *bills):
    """July is billed and allocated so now."""
    shop.workspace.lake.commit(FACT_INVOICE_LINES_MONTHLY, KEY, lines(*bills))
    shop.workspace.lake.commit(MART_ALLOCATION_MONTHLY, KEY, allocation(*allocated))


@pytest.fixture
def shop(tmp_path):
    """July of openai and aws, to which aws sent no bill."""
    shop = Shop(tmp_path)
    shop.workspace.lake.commit(DIM_COST_CENTER, WHOLE, DIM_COST_CENTER.empty())
    return shop


def test_a_bill_after_closing_with_estimates_or_without_the_provider_leaves_the_journal(shop):
    openai = allocation_line("openai", JULY, "red", "100")
    arrive(shop, [openai, allocation_line("aws", JULY, "red", "7", **ESTIMATE)], bill("openai", 100))
    assert shop.close(JULY).success
    commit_journal(shop.workspace, JULY)
    before = shop.workspace.lake.head(MART_JOURNAL_MONTHLY, KEY).sha256
    billed = [allocation_line(name, JULY, "red", cost) for name, cost in (("aws", "9"), ("google", "4"))]
    arrive(shop, [openai, *billed], *(bill(name, cost) for name, cost in (("openai", 100), ("aws", 9), ("google", 4))))
    for month in (JULY, AUGUST):
        commit_booked(shop.workspace, month)
    commit_journal(shop.workspace, JULY)
    assert shop.workspace.lake.head(MART_JOURNAL_MONTHLY, KEY).sha256 == before
    corrected = shop.booked(AUGUST).filter(pl.col("corrects_month") == JULY.first_day)
    assert totals(corrected, "provider_name", "charge_basis") == {
        ("aws", "billed"): Decimal(9),
        ("aws", "priced_usage"): Decimal(-7),
        ("google", "billed"): Decimal(4),
    }


def test_a_bill_that_the_booked_lines_of_an_open_provider_lack_is_still_found(shop):
    arrive(shop, [allocation_line("openai", JULY, "red", "100")], bill("openai", 100), bill("aws", 9))
    commit_booked(shop.workspace, JULY)
    with pytest.raises(ConservationError, match="aws"):
        commit_journal(shop.workspace, JULY)
