"""The demo's chargeback: invoices to the cent, a key that two teams share, rules that do what they say, a balanced journal."""

from decimal import Decimal
from fractions import Fraction

import polars as pl

from tests.acceptance.installation import Installation
from usage_etl.demo import DemoSummary
from usage_etl.demo.anthropic_pages import OUTAGE_CREDIT
from usage_etl.demo.openai_pages import PROMOTIONAL_CREDIT
from usage_etl.schemas import FACT_USAGE_DAILY, MART_ALLOCATION_MONTHLY, MART_CHARGEBACK_MONTHLY, MART_JOURNAL_MONTHLY
from usage_etl.units import UNALLOCATED

HAIKU = "claude-haiku-4-5"


def booked(northwind: Installation) -> pl.DataFrame:
    """Lines of bills, in all months."""
    return northwind.table(MART_CHARGEBACK_MONTHLY).filter(pl.col("charge_basis") == "billed")


def test_months_that_are_over_are_their_invoices_to_the_cent(northwind: Installation, truth: DemoSummary) -> None:
    lines = booked(northwind).group_by("month", "provider_name").agg(pl.col("allocated_cost").sum())
    totals = {(month, provider): cost for month, provider, cost in lines.iter_rows()}
    invoices = {(item.month.first_day, item.provider): item.invoice_total for item in truth.invoices}
    assert len(invoices) == 4
    assert {key: cost for key, cost in totals.items() if key in invoices} == invoices
    assert {month for month, _ in totals.keys() - invoices.keys()} == {truth.scenario.current_month.first_day}
    assert "rounding" not in set(booked(northwind)["line_kind"])


def test_a_shared_key_is_paid_by_two_teams_and_shown_at_one(northwind: Installation, truth: DemoSummary) -> None:
    (main, main_pct), (other, other_pct) = truth.shared_key_owners
    month = truth.scenario.previous_month.first_day
    facts = northwind.table(FACT_USAGE_DAILY).filter(
        pl.col("usage_date").dt.truncate("1mo") == month, pl.col("model_id") == HAIKU
    )
    of_key = facts.filter(pl.col("api_key_id") == truth.shared_key_id)
    assert set(of_key["team_id"]) == {main}
    shared = Fraction(of_key["effective_cost"].sum())
    assert shared > 0
    lines = northwind.table(MART_ALLOCATION_MONTHLY).filter(pl.col("month") == month, pl.col("model_id") == HAIKU)
    for team, moved in ((main, -shared * other_pct / 100), (other, shared * (100 - main_pct) / 100)):
        own = Fraction(facts.filter(pl.col("team_id") == team)["effective_cost"].sum())
        weights = lines.filter(pl.col("team_id") == team)["metered_cost"].drop_nulls().unique()
        assert {Fraction(weight) for weight in weights} == {own + moved}, team


def test_credits_follow_their_rules(northwind: Installation) -> None:
    lines = booked(northwind).filter(pl.col("charge_kind") == "credit")
    granted = lines.filter(pl.col("provider_name") == "openai")
    assert dict(granted.select("team_id", "allocated_cost").iter_rows()) == {
        "team-data": PROMOTIONAL_CREDIT * Decimal("0.7"),
        "team-platform": PROMOTIONAL_CREDIT * Decimal("0.3"),
    }
    assert set(granted["rule_name"]) == {"evaluation-credit"}
    outage = lines.filter(pl.col("provider_name") == "anthropic")
    assert set(outage["rule_name"]) == {"outage-credit"}
    # All lines of an account are rounded together: those of one credit may lose or win less than a cent each.
    assert abs(outage["allocated_cost"].sum() - OUTAGE_CREDIT) < outage.height * Decimal("0.01")
    assert outage["team_id"].n_unique() > 8


def test_the_search_index_is_divided_by_headcount(northwind: Installation, truth: DemoSummary) -> None:
    lines = booked(northwind).filter(pl.col("rule_name") == "knowledge-index")
    assert set(lines["model_id"]) == {"text-embedding-3-small"}
    assert all(text.startswith("usage teams by people in the directory") for text in lines["allocation_rule"])
    assert UNALLOCATED not in set(lines["team_id"])
    assert lines["team_id"].n_unique() == 12


def test_every_owner_has_its_business_unit_and_the_journal_balances(northwind: Installation) -> None:
    lines = booked(northwind).filter(pl.col("line_kind") == "allocated")
    assert set(lines["business_unit_id"]) == {"bu-northwind", "bu-products", "bu-services"}
    journal = northwind.table(MART_JOURNAL_MONTHLY)
    balances = journal.group_by("month", "currency").agg(pl.col("debit_cost", "credit_cost").sum())
    assert balances.height == 3
    assert balances.filter(pl.col("debit_cost") != pl.col("credit_cost")).is_empty()
    accounts = {
        "6410-AI-RND",
        "5230-AI-SERVICE",
        "6620-AI-ADMIN",
        "6490-AI-UNALLOCATED",
        "6491-AI-UNEXPLAINED",
        "2190-AI-CLEARING",
    }
    assert set(journal["gl_account"]) == accounts
