"""Unit costs and outcomes: what is not known stays null, and money that cannot be compared is not."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl

from tests.unit.facts.test_summary import day, facts
from tests.unit.facts.test_summary_windows import events
from usage_etl.facts.members import Organization
from usage_etl.facts.outcomes import outcomes_month
from usage_etl.facts.sessions import sessions_daily
from usage_etl.facts.unit_costs import unit_costs
from usage_etl.periods import Month
from usage_etl.schemas.economics import DIM_OUTCOME

NORTHWIND = Organization("northwind", "Northwind AI", "USD")
NOVEMBER, AUGUST = Month(2026, 11), day(1, 8)
UNPRICED = {"price_status": "unpriced", "effective_cost": None, "currency": None}


def registered(*rows: dict[str, Any]) -> pl.DataFrame:
    usual = {"month": day(1), "outcome_name": "tickets solved", "outcomes_count": 4}
    schema = DIM_OUTCOME.polars_schema
    return pl.DataFrame([[(usual | row).get(name) for name in schema] for row in rows], schema=schema, orient="row")


def units(*rows: dict[str, Any], sessions: pl.LazyFrame | None = None, outcomes: pl.DataFrame | None = None,
          covered: dt.date | None = AUGUST) -> dict[tuple[str, str, str], dict[str, Any]]:  # fmt: skip
    frame = unit_costs(
        facts(*rows), sessions, registered() if outcomes is None else outcomes, directories={}, organization=NORTHWIND,
        month=NOVEMBER, through_date=day(10), first_covered=covered,
    )  # fmt: skip
    return {(row["scope_kind"], row["scope_id"], row["unit_kind"]): row for row in frame.iter_rows(named=True)}


def test_a_request_costs_what_priced_requests_cost() -> None:
    found = units({"effective_cost": Decimal(3), "requests_count": 2}, {"requests_count": 9} | UNPRICED)
    row = found["organization", "northwind", "request"]
    assert (row["units_count"], row["requests_count"], row["unpriced_requests_count"]) == (2, 11, 9)
    assert row["cost_per_unit"] == Decimal("1.5")
    nothing = units(UNPRICED)["organization", "northwind", "request"]
    assert (nothing["units_count"], nothing["effective_cost"], nothing["cost_per_unit"]) == (0, None, None)


def test_an_investigation_costs_what_its_requests_cost_and_is_counted_once() -> None:
    case = {"investigation_id": "case-1", "effective_cost": Decimal(2)}
    found = units(case, case | {"team_id": "b", "usage_date": day(9)}, {"effective_cost": Decimal(100)})
    row = found["organization", "northwind", "investigation"]
    assert (row["units_count"], row["effective_cost"], row["cost_per_unit"]) == (1, 4, 4)
    assert found["team", "b", "investigation"]["cost_per_unit"] == 2


def test_a_session_costs_what_its_requests_cost_and_has_no_row_where_none_are_kept() -> None:
    logged = sessions_daily(
        events(
            {"session_id": "s", "effective_cost": Decimal(1)},
            {"session_id": "s", "effective_cost": Decimal(2), "usage_date": day(4)},
            {"session_id": "t", "effective_cost": Decimal(5), "currency": "EUR"},
            {"session_id": None, "effective_cost": Decimal(9)},
        )
    )  # fmt: skip
    row = units({}, sessions=logged)["organization", "northwind", "session"]
    assert (row["units_count"], row["effective_cost"], row["unpriced_requests_count"]) == (2, 3, 1)
    assert ("organization", "northwind", "session") not in units({})


def test_units_of_the_month_before_stand_beside_or_are_null() -> None:
    rows = [{"effective_cost": Decimal(3)}, {"usage_date": day(5, 10), "effective_cost": Decimal(7)}, {"usage_date": day(11, 10)}]
    row = units(*rows)["organization", "northwind", "request"]
    assert (row["previous_has_data"], row["previous_units_count"], row["previous_cost_per_unit"]) == (True, 1, 7)
    young = units(*rows, covered=day(2, 10))["organization", "northwind", "request"]
    assert (young["previous_has_data"], young["previous_units_count"], young["previous_cost_per_unit"]) == (False, None, None)


def test_an_outcome_of_a_feature_costs_the_feature() -> None:
    found = units({"feature_id": "helper", "effective_cost": Decimal(6)}, outcomes=registered({"feature_id": "helper"}))
    row = found["feature", "helper", "outcome"]
    assert (row["outcome_name"], row["units_count"], row["cost_per_unit"]) == ("tickets solved", 4, Decimal("1.5"))


def returns(*rows: dict[str, Any], outcomes: pl.DataFrame) -> list[dict[str, Any]]:
    frame = outcomes_month(facts(*rows), outcomes, directories={}, organization=NORTHWIND, month=NOVEMBER, through_date=day(10))
    return frame.to_dicts()


def test_value_minus_cost_is_what_an_outcome_leaves() -> None:
    valued = registered({"feature_id": "helper", "value_per_outcome": Decimal("2.50"), "currency": "USD"})
    (row,) = returns({"feature_id": "helper", "effective_cost": Decimal(6)}, {"feature_id": "x"}, outcomes=valued)
    assert (row["cost_per_outcome"], row["outcomes_value"], row["net_value"]) == (Decimal("1.5"), 10, 4)
    assert row["return_ratio"] == 10 / 6


def test_an_outcome_that_is_not_registered_for_the_month_is_null_and_never_zero() -> None:
    before = registered({"team_id": "vision", "month": day(1, 10), "value_per_outcome": Decimal(1), "currency": "USD"})
    (row,) = returns({"effective_cost": Decimal(6)}, outcomes=before)
    unknown = ("outcomes_count", "cost_per_outcome", "outcomes_value", "net_value", "return_ratio", "value_per_outcome")
    assert [row[name] for name in unknown] == [None] * 6
    assert row["effective_cost"] == 6


def test_no_outcome_at_all_has_no_cost_each_and_unpriced_usage_no_cost() -> None:
    none = registered({"feature_id": "helper", "outcomes_count": 0, "value_per_outcome": Decimal(1), "currency": "USD"})
    (row,) = returns({"feature_id": "helper", "effective_cost": Decimal(6)}, outcomes=none)
    assert (row["cost_per_outcome"], row["outcomes_value"], row["net_value"]) == (None, 0, -6)
    (row,) = returns({"feature_id": "helper"} | UNPRICED, outcomes=registered({"feature_id": "helper"}))
    assert (row["effective_cost"], row["cost_per_outcome"], row["unpriced_requests_count"]) == (None, None, 1)


def test_value_in_another_currency_is_shown_and_not_set_against_cost() -> None:
    euros = registered({"feature_id": "helper", "value_per_outcome": Decimal(3), "currency": "EUR"})
    (row,) = returns({"feature_id": "helper", "effective_cost": Decimal(6)}, outcomes=euros)
    assert (row["outcomes_value"], row["value_currency"], row["net_value"], row["return_ratio"]) == (12, "EUR", None, None)


def test_outcomes_of_a_scope_without_usage_cost_nothing() -> None:
    (row,) = returns({}, outcomes=registered({"feature_id": "idle"}))
    assert (row["requests_count"], row["effective_cost"], row["outcomes_count"]) == (0, 0, 4)
