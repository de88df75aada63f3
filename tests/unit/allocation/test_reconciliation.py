"""Tie-out: every priced amount in one row, every difference with the cause that fits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from usage_etl.allocation.reconciliation import reconcile_month
from usage_etl.periods import Month
from usage_etl.schemas.marts import MART_RECONCILIATION_MONTHLY

NOVEMBER = Month(2026, 11)


def run(charges: pl.DataFrame, usage: pl.DataFrame, provider_usage: pl.DataFrame, *, tolerance: str = "0.5") -> pl.DataFrame:
    return MART_RECONCILIATION_MONTHLY.validate(
        reconcile_month(
            charges,
            usage.lazy(),
            provider_usage,
            month=NOVEMBER,
            tolerance_pct=Decimal(tolerance),
            organization_currency="USD",
        )
    )


def only(frame: pl.DataFrame) -> dict[str, Any]:
    assert frame.height == 1
    return frame.row(0, named=True)


@pytest.mark.parametrize(
    ("billed", "cause"),
    [
        ("99.996", "matched"),
        ("100.50", "within_tolerance"),
        ("99.50", "within_tolerance"),
        ("100.51", "billed_above_usage"),
        ("80", "billed_below_usage"),
        ("0", "billed_below_usage"),
    ],
)
def test_a_difference_has_the_cause_that_fits(charges, usage, provider_usage, billed, cause) -> None:
    row = only(run(charges({"billed_cost": Decimal(billed)}), usage({"effective_cost": Decimal(100)}), provider_usage()))
    assert row["difference_cause"] == cause
    assert row["difference_cost"] == Decimal(billed) - 100


def test_a_bill_without_logs_has_no_difference_to_show(charges, usage, provider_usage) -> None:
    row = only(run(charges({"billed_cost": Decimal(5)}), usage(), provider_usage()))
    assert (row["difference_cause"], row["priced_cost"], row["difference_cost"]) == ("no_usage_seen", None, None)


def test_usage_without_a_price_is_not_called_unseen(charges, usage, provider_usage) -> None:
    unpriced = {"effective_cost": None, "currency": None, "price_status": "unpriced"}
    row = only(run(charges({"billed_cost": Decimal(5)}), usage(unpriced), provider_usage()))
    assert (row["difference_cause"], row["priced_cost"]) == ("usage_not_priced", None)


def test_usage_of_a_provider_without_bill_waits_for_it(charges, usage, provider_usage) -> None:
    unpriced = {"model_id": "o9", "effective_cost": None, "currency": None, "price_status": "unpriced"}
    tax = {"charge_category": "Tax", "billed_cost": Decimal(2)}
    rows = run(charges(tax), usage({"effective_cost": Decimal(9)}, unpriced), provider_usage())
    assert rows["difference_cause"].to_list() == ["no_bill_yet", "no_bill_yet"]
    assert rows["billed_cost"].null_count() == rows["billing_account_id"].null_count() == 2
    assert rows["priced_cost"].to_list() == [Decimal(9), None]


def test_a_model_missing_from_an_existing_bill_was_billed_nothing(charges, usage, provider_usage) -> None:
    rows = run(
        charges({"billed_cost": Decimal(10)}),
        usage({"effective_cost": Decimal(10)}, {"model_id": "o9", "effective_cost": Decimal(4)}),
        provider_usage(),
    )
    assert rows.filter(pl.col("model_id") == "o9").select("billing_account_id", "billed_cost", "difference_cause").rows() == [
        ("org-1", Decimal(0), "billed_below_usage")
    ]


def test_charges_that_name_no_model_meet_the_models_nobody_named(charges, usage, provider_usage) -> None:
    rows = run(
        charges({"billed_cost": Decimal(10)}, {"model_id": None, "billed_cost": Decimal(7)}),
        usage(
            {"effective_cost": Decimal(10)},
            {"model_id": "o9", "effective_cost": Decimal(4)},
            {"model_id": "o8", "effective_cost": Decimal(3)},
        ),
        provider_usage(("openai", "org-1", "o9", "4.5")),
    )
    assert rows.select("model_id", "priced_cost", "provider_usage_cost", "difference_cause").rows() == [
        (None, Decimal(7), Decimal("4.5"), "matched"),
        ("gpt-5", Decimal(10), None, "matched"),
    ]


def test_priced_usage_is_divided_among_accounts_and_still_adds_up(charges, usage, provider_usage) -> None:
    accounts = [{"billing_account_id": f"org-{n}", "billed_cost": Decimal(1)} for n in range(3)]
    rows = run(charges(*accounts), usage({"effective_cost": Decimal(1)}), provider_usage())
    assert sum(rows["priced_cost"]) == Decimal(1)
    assert rows["priced_cost"].min() == Decimal("0.333333333333333333")


def test_accounts_that_billed_nothing_share_priced_usage_evenly(charges, usage, provider_usage) -> None:
    accounts = [{"billing_account_id": f"org-{n}", "billed_cost": Decimal(0)} for n in range(2)]
    assert run(charges(*accounts), usage({"effective_cost": Decimal(1)}), provider_usage())["priced_cost"].to_list() == [
        Decimal("0.5"),
        Decimal("0.5"),
    ]


def test_categories_other_than_usage_are_not_compared(charges, usage, provider_usage) -> None:
    rows = run(
        charges({"billed_cost": Decimal(10)}, {"charge_category": "Credit", "billed_cost": Decimal(-4)}),
        usage({"effective_cost": Decimal(10)}),
        provider_usage(),
    )
    assert only(rows)["difference_cause"] == "matched"


def test_two_currencies_stand_in_two_rows(charges, usage, provider_usage) -> None:
    rows = run(
        charges({"billed_cost": Decimal(10), "billing_currency": "EUR"}), usage({"effective_cost": Decimal(10)}), provider_usage()
    )
    assert rows.select("billing_currency", "billing_account_id", "difference_cause").rows() == [
        ("USD", None, "no_bill_yet"),
        ("EUR", "org-1", "usage_not_priced"),
    ]


def test_the_providers_own_report_stands_beside_by_account(charges, usage, provider_usage) -> None:
    rows = run(
        charges({"billed_cost": Decimal(6)}, {"billing_account_id": "org-2", "billed_cost": Decimal(4)}),
        usage({"effective_cost": Decimal(10)}),
        provider_usage(
            ("openai", "org-2", "gpt-5", "4"), ("openai", "org-1", "gpt-5", "6"), ("openai", "org-1", "gpt-5", "0.25")
        ),
    )
    assert rows.select("billing_account_id", "priced_cost", "provider_usage_cost").rows() == [
        ("org-1", Decimal(6), Decimal("6.25")),
        ("org-2", Decimal(4), Decimal(4)),
    ]


def test_a_report_whose_account_has_another_name_goes_to_the_only_account(charges, usage, provider_usage) -> None:
    row = only(run(charges({"billed_cost": Decimal(6)}), usage(), provider_usage(("openai", "default", "gpt-5", "6"))))
    assert row["provider_usage_cost"] == Decimal(6)


def test_an_empty_month_is_an_empty_table(charges, usage, provider_usage) -> None:
    assert run(charges(), usage(), provider_usage()).is_empty()
