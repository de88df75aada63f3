"""Whatever a bill, logs and a report say: causes add up, and nothing is dropped or counted twice."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.allocation.tie_out_samples import charges, day_of, prices, tie_out, usage
from usage_etl.schemas.usage import FACT_PROVIDER_USAGE_DAILY, FACT_USAGE_HOURLY
from usage_etl.units import TOKEN_CLASSES

DAYS = st.sampled_from([0, 1, 2, 3, 30, 31])
HOSTS = st.sampled_from(["openai", "google"])
MODELS = st.sampled_from(["gpt-5", "o9"])
CLASSES = st.sampled_from([None, *TOKEN_CLASSES])
PROCESSING = st.sampled_from([None, "standard", "batch"])
CURRENCIES = st.sampled_from(["USD", "USD", "EUR", "JPY"])
COSTS = st.one_of(
    st.sampled_from([0, 40, -40, 80, 12, 1]).map(Decimal),
    st.decimals(-(10**12) + 1, 10**12 - 1, places=18),
    st.decimals(-100, 100, places=2),
)
TOKENS = st.sampled_from([None, 0, 1, 2, 3, -1, 10**-6, 10**7, 10**13])
COUNTS = st.sampled_from([0, 0, 1, 999_871, 10**6, 2 * 10**6, 10**13])

LINES = st.lists(
    st.fixed_dictionaries(
        {
            "day": DAYS,
            "billed_cost": COSTS,
            "provider_name": HOSTS,
            "billing_account_id": st.sampled_from(["org-1", "org-2", "main"]),
            "model_id": st.one_of(st.none(), MODELS),
            "sku_meter": st.sampled_from([None, "a", "b"]),
            "meter_mapping": st.sampled_from([None, "mapped", "unmapped", "not_usage"]),
            "token_class": CLASSES,
            "processing": PROCESSING,
            "billing_currency": CURRENCIES,
            "charge_category": st.sampled_from(["Usage", "Usage", "Usage", "Credit", "Tax", "Purchase"]),
            "tokens": TOKENS,
        }
    ),
    max_size=8,
)
STATUSES = st.sampled_from(["priced", "priced", "priced", "unpriced", "free"])


@st.composite
def used(draw: st.DrawFn, account: str) -> dict[str, Any]:
    """One row of usage, priced as the book says, by a price that has gone, unpriced, or free."""
    status = draw(STATUSES)
    row: dict[str, Any] = {name: draw(COUNTS) for name in TOKEN_CLASSES}
    row |= {
        "day": draw(DAYS),
        "host": draw(HOSTS),
        "model_id": draw(MODELS),
        "source_account": draw(st.sampled_from(["main", "org-1", account])),
        "price_status": status,
    }
    if status == "priced":
        processing = draw(st.sampled_from(["standard", "batch"]))
        row |= {"processing": processing, "price_id": f"gpt-5:{processing}"}
        if draw(st.booleans()):
            row |= {"price_id": draw(st.sampled_from(["gone", row["price_id"]])), "effective_cost": abs(draw(COSTS)),
                    "currency": draw(CURRENCIES)}  # fmt: skip
    else:
        free = status == "free"
        row |= {"price_id": None, "effective_cost": Decimal(0) if free else None, "currency": "USD" if free else None}
    return row


USED = st.lists(used("gateway"), max_size=6)
REPORTED = st.lists(used("org-2"), max_size=4)


def frame(lines: list[dict[str, Any]]) -> pl.DataFrame:
    named = [{name: value for name, value in one.items() if name != "tokens" or value is not None} for one in lines]
    return charges(*named)


@settings(max_examples=100, deadline=None)
@given(lines=LINES, logs=USED, counted=REPORTED, hours=USED)
def test_causes_add_up_and_columns_equal_the_facts(lines: list, logs: list, counted: list, hours: list) -> None:
    """``tie_out`` proves both, row by row and currency by currency."""
    mornings = [row | {"hour": dt.datetime.combine(day_of(row["day"]), dt.time(7), tzinfo=dt.UTC)} for row in hours]
    hourly = usage(*mornings, table=FACT_USAGE_HOURLY)
    tie_out(frame(lines), usage(*logs), reports=usage(*counted, table=FACT_PROVIDER_USAGE_DAILY), hours=hourly, book=prices())


@settings(max_examples=25, deadline=None)
@given(lines=LINES, logs=USED, data=st.data())
def test_the_order_of_rows_does_not_matter(lines: list, logs: list, data: st.DataObject) -> None:
    first = tie_out(frame(lines), usage(*logs))
    again = tie_out(frame(data.draw(st.permutations(lines))), usage(*data.draw(st.permutations(logs))))
    assert first[0].equals(again[0])
    assert first[1].equals(again[1])


@settings(max_examples=25, deadline=None)
@given(logs=st.lists(used("gateway").filter(lambda row: row["price_status"] != "unpriced"), max_size=6))
def test_a_bill_that_repeats_the_logs_is_matched(logs: list) -> None:
    """One line for each row of usage, at its cost and in its currency, naming the model only."""
    facts = usage(*logs)
    lines = [
        {
            "day": row["day"],
            "provider_name": row["host"],
            "model_id": row["model_id"],
            "billed_cost": cost,
            "billing_currency": currency,
        }
        for row, cost, currency in zip(logs, facts["effective_cost"], facts["currency"], strict=True)
    ]
    _, rows = tie_out(charges(*lines), facts, time_zones={})
    assert set(rows["tie_out_status"]) <= {"matched"}
