"""The trust block and the list of what needs attention know every verdict and cause of the tie-out."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import polars as pl
import pytest

from tests.unit.reports.sample import Scenario, sample_inputs
from usage_etl.reports.executive import build_executive
from usage_etl.reports.model import ExecutiveReport
from usage_etl.reports.plain_text import render_text
from usage_etl.reports.tie_out import PHRASES, SHORT_NAMES, VERDICTS
from usage_etl.schemas.tie_out import MART_RECONCILIATION_MONTHLY, RESIDUAL_CAUSES, TIE_OUT_STATUSES


def report(**cells: object) -> ExecutiveReport:
    """The sample with one row of OpenAI's bill: 120 billed, 100 metered, and ``cells``."""
    inputs = sample_inputs(Scenario())
    named = {
        "billed_cost": Decimal(120),
        "metered_cost": Decimal(100),
        "difference_cost": Decimal(20),
        "tie_out_status": "explained",
    }
    cells = named | dict.fromkeys((f"{cause}_cost" for cause in (*RESIDUAL_CAUSES, "unexplained")), Decimal(0)) | cells
    row = inputs.reconciliation.filter(pl.col("provider_name") == "openai").head(1)
    schema = MART_RECONCILIATION_MONTHLY.polars_schema
    row = row.with_columns(pl.lit(value, dtype=schema[name]).alias(name) for name, value in cells.items())
    return build_executive(
        replace(inputs, reconciliation=row), organization_name="Northwind", currency="USD", as_of=Scenario().as_of
    )


def test_every_verdict_and_every_cause_has_words() -> None:
    assert VERDICTS.keys() == set(TIE_OUT_STATUSES)
    assert PHRASES.keys() == SHORT_NAMES.keys() == {*RESIDUAL_CAUSES, "unexplained"}


def test_causes_are_named_with_their_amounts_and_add_up() -> None:
    found = report(bypassed_gateway_cost=Decimal("23.16"), price_difference_cost=Decimal("-5.16"), unexplained_cost=Decimal(2))
    (bill,) = found.trust.bills
    assert sum(cause.cost.value for cause in bill.causes) == bill.difference.value == 20
    assert (bill.verdict, bill.tone) == ("bypassed gateway", "warn")
    assert found.trust.findings == (
        "OpenAI: $23.16 of traffic bypassed the gateway, −$5.16 by another price and $2.00 unexplained.",  # noqa: RUF001
    )
    assert "$23.16 of traffic bypassed the gateway" in render_text(found)
    (item,) = [item for item in found.attention if item.kind == "reconciliation"]
    assert item.title == "OpenAI: $23.16 of traffic bypassed the gateway"
    assert item.amount == Decimal("23.16")
    assert item.detail.endswith("Also −$5.16 by another price and $2 unexplained.")  # noqa: RUF001


@pytest.mark.parametrize(
    ("status", "cause", "verdict"),
    [
        ("unexplained", "unexplained", "unexplained"),
        ("no_usage_seen", "unexplained", "billed, never logged"),
        ("usage_not_priced", "unexplained", "logged, no price known"),
        ("explained", "missing_logs", "logs missing"),
        ("within_tolerance", "unexplained", "within tolerance"),
        ("matched", "rounding", "matches"),
    ],
)
def test_the_finding_of_a_bill_is_its_gravest_verdict(status: str, cause: str, verdict: str) -> None:
    found = report(tie_out_status=status, **{f"{cause}_cost": Decimal(20)})
    assert found.trust.bills[0].verdict == verdict
    kinds = [item.kind for item in found.attention]
    assert ("reconciliation" in kinds) == (status in {"unexplained", "no_usage_seen", "explained"})


def test_a_credit_is_no_finding_and_no_mismatch() -> None:
    found = report(billed_cost=Decimal(60), metered_cost=Decimal(100), difference_cost=Decimal(-40), credits_cost=Decimal(-40))
    (bill,) = found.trust.bills
    assert (bill.verdict, bill.tone, bill.difference.value) == ("credits", "neutral", -40)
    assert found.trust.findings == ("OpenAI: $40.00 of credits.",)
    assert "reconciliation" not in [item.kind for item in found.attention]
    assert found.trust.facts[0].figure.value == 1


def test_many_causes_are_said_in_one_sentence() -> None:
    cells = {f"{cause}_cost": Decimal(10 - number) for number, cause in enumerate(RESIDUAL_CAUSES)}
    (sentence,) = report(**cells).trust.findings
    assert sentence.endswith(", +$7.00 of input billed in another cache class and 6 smaller causes.")


def test_a_bill_that_matches_has_no_sentence() -> None:
    found = report(billed_cost=Decimal(100), difference_cost=Decimal(0), tie_out_status="matched")
    assert found.trust.findings == ()
    assert found.trust.bills[0].causes == ()
