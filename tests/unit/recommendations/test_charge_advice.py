"""Seats and capacity: charge lines beside use, and silence where use is not recorded."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from tests.unit.recommendations.hours import advice, hourly, request, settings_of
from usage_etl.recommendations import capacity_advice, seat_advice
from usage_etl.recommendations.estimates import Estimate
from usage_etl.schemas import FACT_INVOICE_LINES_MONTHLY


def lines(*changes: dict[str, Any]) -> pl.DataFrame:
    base = {"provider_name": "github", "billing_account_id": "acct", "charge_kind": "seat", "billing_currency": "USD",
            "effective_cost": Decimal(39), "consumed_quantity": Decimal(1)}  # fmt: skip
    schema = FACT_INVOICE_LINES_MONTHLY.polars_schema
    rows = [{name: ({**base, **change}).get(name) for name in schema} for change in changes]
    return pl.DataFrame(rows, schema=schema, orient="row")


def used(*rows: tuple[str, int, bool], host: str = "github-copilot") -> pl.DataFrame:
    """(person, days, whether of the month before)."""
    records = [(person, person, host, "elsewhere", is_before, days) for person, days, is_before in rows]
    schema = {"user_id": pl.String, "person": pl.String, "host": pl.String, "source_account": pl.String, "is_before": pl.Boolean,
              "days_count": pl.Int64}  # fmt: skip
    return pl.DataFrame(records, schema=schema, orient="row")


def seats(lines_: pl.DataFrame, activity: pl.DataFrame) -> list[Estimate]:
    return list(seat_advice(lines_, activity, currency="USD"))


NAMED = lines(*({"user_id": user} for user in ("Ada", "bob", "cyd", "dan")))


def test_a_seat_without_use_is_idle_and_one_used_twice_is_the_high_end() -> None:
    (one,) = seats(NAMED, used(("ada", 20, False), ("bob", 2, False), ("ada", 9, True), ("cyd", 1, True)))
    assert one.savings == 78, "cyd and dan"
    assert one.lower_savings == 39, "dan did nothing in the month before either"
    assert one.upper_savings == 117, "bob used it twice"
    assert (one.case.whole_count, one.case.part_count, one.requests_count) == (4, 2, 4)


def test_without_the_month_before_half_of_the_idle_seats_is_the_low_end() -> None:
    (one,) = seats(NAMED, used(("ada", 20, False)))
    assert (one.savings, one.lower_savings) == (117, Decimal("58.5"))


@pytest.mark.parametrize(
    "activity",
    [used(), used(("ada", 20, True)), used(("zed", 20, False)), used(("ada", 20, False), host="openai")],
    ids=["nobody", "only before", "no seat holder", "another provider"],
)
def test_where_no_use_of_seats_is_recorded_nothing_is_said_of_them(activity: pl.DataFrame) -> None:
    assert seats(NAMED, activity) == []


def test_a_bare_number_of_seats_is_compared_with_the_people_seen() -> None:
    bare = lines({"effective_cost": Decimal(100), "consumed_quantity": Decimal(10)})
    (one,) = seats(bare, used(("ada", 20, False), ("bob", 5, False)))
    assert (one.savings, one.case.whole_count, one.case.part_count) == (80, 10, 2)


def test_a_person_under_two_names_is_one_person() -> None:
    twice = used(("ada", 20, False))
    twice = pl.concat([twice, twice.with_columns(person=pl.lit("ada@example.com"))])
    bare = lines({"effective_cost": Decimal(100), "consumed_quantity": Decimal(10)})
    assert seats(bare, twice)[0].savings == 90


def test_used_seats_free_seats_and_seats_in_other_currencies_are_no_finding() -> None:
    everybody = used(("ada", 20, False))
    assert seats(lines({"user_id": "ada"}), everybody) == []
    assert seats(lines({"user_id": "ada"}, {"user_id": "bob", "effective_cost": Decimal(0)}), everybody) == []
    assert seats(lines({"user_id": "ada"}, {"user_id": "bob", "billing_currency": "EUR"}), everybody) == []


def served(*rows: tuple[str, str, str]) -> pl.DataFrame:
    schema = {"host": pl.String, "model_id": pl.String, "served_cost": pl.Decimal(38, 18)}
    return pl.DataFrame([(host, model, Decimal(cost)) for host, model, cost in rows], schema=schema, orient="row")


CAPACITY = {"provider_name": "azure", "charge_kind": "capacity", "model_id": "gpt-5.2", "effective_cost": Decimal(5000)}


def capacity(lines_: pl.DataFrame, usage: pl.DataFrame) -> list[Estimate]:
    return list(capacity_advice(lines_, usage, currency="USD"))


def test_capacity_is_compared_with_what_it_served_at_the_price_of_use() -> None:
    by_use = {"provider_name": "azure", "charge_kind": "usage", "model_id": "gpt-5.2", "effective_cost": Decimal(300)}
    (one,) = capacity(lines(CAPACITY, by_use), served(("azure", "gpt-5.2", "1800"), ("azure", "gpt-4.1", "9000")))
    assert (one.window_cost, one.savings, one.upper_savings) == (5000, 3200, 3500)
    assert (one.case.model_id, one.case.difficulty, one.case.basis) == ("azure/gpt-5.2", "high", "charges")


def test_capacity_that_earns_its_price_and_capacity_of_a_host_without_logs_is_not_judged() -> None:
    assert capacity(lines(CAPACITY), served(("azure", "gpt-5.2", "5000"))) == []
    assert capacity(lines(CAPACITY), served(("openai", "gpt-5.2", "10"))) == []
    assert capacity(lines(CAPACITY), served(("azure", "gpt-4.1", "10")))[0].savings == 5000, "logs of the host, none of the model"


def test_a_commitment_billed_as_unused_is_a_finding_of_exactly_that_amount() -> None:
    held = {"provider_name": "aws", "charge_kind": "commitment", "commitment_discount_id": "ri-1"}
    (one,) = capacity(
        lines(held | {"commitment_discount_status": "Used", "effective_cost": Decimal(700)},
              held | {"commitment_discount_status": "Unused", "effective_cost": Decimal(300)}),
        served(),
    )  # fmt: skip
    assert (one.case.recommendation_kind, one.window_cost, one.savings) == ("unused_commitment", 1000, 300)


def test_charges_are_told_for_the_month_they_are_of_and_overlap_with_no_usage() -> None:
    found = advice(hourly(request()), settings_of(), charges=seats(NAMED, used(("ada", 20, False))))
    row = found.row(0, named=True)
    assert (row["monthly_savings_cost"], row["net_monthly_savings_cost"], row["overlaps_with"]) == (117, 117, None)
    assert (row["scope_kind"], row["scope_id"], row["cost_share_ratio"]) == ("provider", "github/acct", None)
    assert row["advice_text"].startswith("github/acct: give back idle seats. 3 of 4 seats show no use")
