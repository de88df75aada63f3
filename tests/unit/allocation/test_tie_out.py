"""Tie-out: every priced amount in one row, every difference with the verdict that fits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from tests.unit.allocation.tie_out_samples import causes, charges, day_of, line, prices, tie_out, usage
from usage_etl.allocation.tie_out_proof import unequal_causes, unequal_days
from usage_etl.schemas.usage import FACT_PROVIDER_USAGE_DAILY

UNPRICED = {"effective_cost": None, "currency": None, "price_status": "unpriced", "price_id": None}


def only(frame: pl.DataFrame) -> dict[str, Any]:
    assert frame.height == 1
    return frame.row(0, named=True)


def report(*rows: dict[str, Any]) -> pl.DataFrame:
    return usage(*({"source": "openai", "source_account": "org-1"} | row for row in rows), table=FACT_PROVIDER_USAGE_DAILY)


@pytest.mark.parametrize(
    ("billed", "status"),
    [
        ("99.996", "matched"),
        ("100.50", "within_tolerance"),
        ("99.50", "within_tolerance"),
        ("100.51", "unexplained"),
        ("80", "unexplained"),
        ("0", "explained"),
    ],
)
def test_a_difference_has_the_verdict_that_fits(billed, status) -> None:
    """The line names a model and nothing else, so that costs alone can be compared."""
    row = only(tie_out(charges({"billed_cost": billed}), usage({"input_uncached": 10}))[1])
    assert row["tie_out_status"] == status
    assert row["difference_cost"] == Decimal(billed) - 100


def test_a_bill_without_logs_differs_by_all_of_it() -> None:
    row = only(tie_out(charges({"billed_cost": 5}), usage())[1])
    assert (row["tie_out_status"], row["metered_cost"], row["difference_cost"]) == ("no_usage_seen", None, Decimal(5))
    assert row["missing_logs_cost"] == 5


def test_usage_without_a_price_is_not_called_unseen() -> None:
    row = only(tie_out(charges({"billed_cost": 5}), usage(UNPRICED | {"output": 1}))[1])
    assert (row["tie_out_status"], row["metered_cost"], row["metered_quantity"]) == ("usage_not_priced", None, 10**6)
    assert row["unexplained_cost"] == 5


def test_usage_without_a_price_stands_in_the_currency_of_its_bill() -> None:
    row = only(tie_out(charges({"billed_cost": 5, "billing_currency": "EUR"}), usage(UNPRICED | {"output": 1}))[1])
    assert (row["tie_out_status"], row["billing_currency"]) == ("usage_not_priced", "EUR")


def test_usage_of_a_provider_without_bill_waits_for_it() -> None:
    unpriced = UNPRICED | {"model_id": "o9", "output": 1}
    _, rows = tie_out(charges({"charge_category": "Tax", "billed_cost": 2}), usage({"input_uncached": 1}, unpriced))
    assert rows["tie_out_status"].to_list() == ["no_bill_yet", "no_bill_yet"]
    assert rows["billed_cost"].null_count() == rows["billing_account_id"].null_count() == 2
    assert rows["metered_cost"].to_list() == [Decimal(10), None]
    assert causes(rows) == {}


def test_a_model_missing_from_an_existing_bill_was_billed_nothing() -> None:
    _, rows = tie_out(charges({"billed_cost": 10}), usage({"input_uncached": 1}, {"model_id": "o9", "output": 1}))
    assert rows.filter(pl.col("model_id") == "o9").select("billing_account_id", "billed_cost", "not_billed_cost").rows() == [
        ("org-1", Decimal(0), Decimal(-40))
    ]


def test_charges_that_name_no_model_meet_the_models_nobody_named() -> None:
    _, rows = tie_out(
        charges({"billed_cost": 10}, {"model_id": None, "billed_cost": 70}),
        usage({"input_uncached": 1}, {"model_id": "o9", "output": 1}, {"model_id": "o8", "input_uncached": 3}),
        reports=report({"model_id": "o9", "output": 1}),
    )
    assert rows.select("model_id", "metered_cost", "reported_cost", "tie_out_status").rows() == [
        (None, Decimal(70), Decimal(40), "matched"),
        ("gpt-5", Decimal(10), None, "matched"),
    ]


def test_usage_stands_beside_the_finest_line_that_fits() -> None:
    _, rows = tie_out(
        charges(
            line("output", 1, 40),
            line("input_uncached", 1, 5, processing=None),
            {"billed_cost": 1, "processing": "standard"},
        ),
        usage({"output": 1}, {"input_uncached": 1, "processing": "batch", "price_id": "gpt-5:batch"}, {"cache_read": 1}),
    )
    assert rows.select("token_class", "processing", "billed_cost", "metered_cost").rows() == [
        (None, "standard", Decimal(1), Decimal(1)),
        ("input_uncached_tokens", None, Decimal(5), Decimal(5)),
        ("output_tokens", "standard", Decimal(40), Decimal(40)),
    ]
    assert set(rows["tie_out_status"]) == {"matched"}


def test_meters_that_name_no_model_stand_apart() -> None:
    unnamed = {"model_id": None, "meter_mapping": "unmapped"}
    _, rows = tie_out(
        charges({"billed_cost": 1, "sku_meter": "b", **unnamed}, {"billed_cost": 2, "sku_meter": "a", **unnamed}), usage()
    )
    assert rows.select("sku_meter", "billed_cost", "unmapped_meter_cost").rows() == [("a", 2, 2), ("b", 1, 1)]


def test_tools_take_no_usage() -> None:
    tool = {"model_id": None, "meter_mapping": "not_usage", "sku_meter": "web search", "billed_cost": 7}
    _, rows = tie_out(charges({"billed_cost": 10}, tool), usage({"input_uncached": 1}, {"model_id": "o9", "output": 1}))
    assert rows.select("model_id", "metered_cost", "unmapped_meter_cost", "not_billed_cost").rows() == [
        (None, None, 7, 0),
        ("gpt-5", 10, 0, 0),
        ("o9", 40, 0, -40),
    ]


def test_priced_usage_is_divided_among_accounts_and_still_adds_up() -> None:
    accounts = [{"billing_account_id": f"org-{n}", "billed_cost": 1} for n in range(3)]
    _, rows = tie_out(charges(*accounts), usage({"cache_read": 1}))
    assert sum(rows["metered_cost"]) == Decimal(1)
    assert rows["metered_cost"].min() == Decimal("0.333333333333333333")


def test_accounts_that_billed_nothing_share_priced_usage_evenly() -> None:
    accounts = [{"billing_account_id": f"org-{n}", "billed_cost": 0} for n in range(2)]
    assert tie_out(charges(*accounts), usage({"cache_read": 1}))[1]["metered_cost"].to_list() == [Decimal("0.5"), Decimal("0.5")]


def test_accounts_share_by_what_they_billed_on_the_day() -> None:
    bill = charges({"billed_cost": 10}, {"billed_cost": 30, "billing_account_id": "org-2", "day": 2})
    daily, _ = tie_out(bill, usage({"input_uncached": 1}, {"input_uncached": 3, "day": 2}))
    assert daily.filter(pl.col("metered_cost") != 0)["tie_out_status"].to_list() == ["matched", "matched"]


def test_usage_that_names_its_account_is_not_divided() -> None:
    bill = charges({"billed_cost": 10}, {"billed_cost": 30, "billing_account_id": "org-2"})
    _, rows = tie_out(bill, usage({"input_uncached": 4, "source_account": "org-2"}))
    assert rows.select("billing_account_id", "metered_cost").rows() == [("org-1", None), ("org-2", Decimal(40))]


def test_an_account_of_its_own_that_did_not_bill_the_model_shows_it_unbilled() -> None:
    bill = charges({"billed_cost": 40}, {"billed_cost": 1, "billing_account_id": "org-2", "model_id": "o9"})
    _, rows = tie_out(bill, usage({"output": 1, "source_account": "org-2"}))
    row = rows.row(by_predicate=(pl.col("billing_account_id") == "org-2") & (pl.col("model_id") == "gpt-5"), named=True)
    assert (row["metered_cost"], row["not_billed_cost"]) == (40, -40)


def test_a_model_that_no_account_billed_is_shown_for_the_account_that_used_it() -> None:
    bill = charges({"billed_cost": 1, "model_id": "o9"}, {"billed_cost": 1, "model_id": "o9", "billing_account_id": "org-2"})
    _, rows = tie_out(bill, usage({"output": 1, "source_account": "org-2"}))
    assert rows.filter(pl.col("model_id") == "gpt-5").select("billing_account_id", "metered_cost").rows() == [("org-2", 40)]


def test_usage_of_a_named_model_does_not_go_to_lines_without_a_model() -> None:
    bill = charges(line("output", 1, 40), {"billed_cost": 5, "model_id": None})
    _, rows = tie_out(bill, usage({"output": 1}, {"cache_read": 1}))
    assert rows.filter(pl.col("metered_cost").is_not_null()).select("model_id", "token_class").rows() == [
        ("gpt-5", "cache_read_tokens"),
        ("gpt-5", "output_tokens"),
    ]


def test_a_small_rest_of_a_large_bypass_is_explained() -> None:
    bill = charges(line("output", 1, 40), line("output", 0.002, 0.1, context_band="x"))
    _, rows = tie_out(bill, usage({"cache_read": 1}))
    row = rows.row(by_predicate=pl.col("token_class") == "output_tokens", named=True)
    assert (row["metered_cost"], row["unexplained_cost"], row["tie_out_status"]) == (None, Decimal("0.08"), "explained")


def test_taxes_purchases_and_adjustments_are_not_compared() -> None:
    others = [{"charge_category": name, "billed_cost": 3} for name in ("Tax", "Purchase", "Adjustment")]
    row = only(tie_out(charges({"billed_cost": 10}, *others), usage({"input_uncached": 1}))[1])
    assert (row["tie_out_status"], row["billed_cost"]) == ("matched", 10)


def test_a_credit_of_the_model_leaves_its_usage_matched() -> None:
    bill = charges({"billed_cost": 10}, {"charge_category": "Credit", "billed_cost": -4})
    row = only(tie_out(bill, usage({"input_uncached": 1}))[1])
    assert (row["tie_out_status"], row["billed_cost"], row["credits_cost"]) == ("matched", 6, -4)
    assert causes(tie_out(bill, usage({"input_uncached": 1}))[1]) == {"credits": Decimal(-4)}


def test_a_credit_of_no_model_stands_alone_and_takes_no_usage() -> None:
    credit = {"charge_category": "Credit", "billed_cost": -4, "model_id": None, "sku_meter": "Promotion"}
    _, rows = tie_out(charges({"billed_cost": 10}, credit), usage({"input_uncached": 1}, {"model_id": "o9", "output": 1}))
    assert rows.filter(pl.col("sku_meter") == "Promotion").select("metered_cost", "credits_cost", "tie_out_status").rows() == [
        (None, -4, "explained")
    ]


def test_an_account_with_credits_only_has_no_bill_yet() -> None:
    credit = {"charge_category": "Credit", "billed_cost": -4, "model_id": None}
    _, rows = tie_out(charges(credit), usage({"output": 1}))
    assert rows.select("model_id", "billed_cost", "tie_out_status").rows() == [
        ("gpt-5", None, "no_bill_yet"),
        (None, -4, "explained"),
    ]


def test_two_currencies_stand_in_two_rows() -> None:
    _, rows = tie_out(charges({"billed_cost": 10, "billing_currency": "EUR"}), usage({"input_uncached": 1}))
    assert rows.select("billing_currency", "billing_account_id", "tie_out_status").rows() == [
        ("USD", None, "no_bill_yet"),
        ("EUR", "org-1", "usage_not_priced"),
    ]


def test_the_providers_own_report_stands_beside_by_account() -> None:
    _, rows = tie_out(
        charges({"billed_cost": 60}, {"billing_account_id": "org-2", "billed_cost": 40}),
        usage({"input_uncached": 10}),
        reports=report({"source_account": "org-2", "input_uncached": 4}, {"input_uncached": 6}, {"cache_read": 1}),
    )
    assert rows.select("billing_account_id", "metered_cost", "reported_cost").rows() == [
        ("org-1", Decimal(60), Decimal(61)),
        ("org-2", Decimal(40), Decimal(40)),
    ]


def test_a_report_whose_account_has_another_name_goes_to_the_only_account() -> None:
    row = only(tie_out(charges({"billed_cost": 60}), usage(), reports=report({"source_account": "x", "input_uncached": 6}))[1])
    assert row["reported_cost"] == Decimal(60)


def test_a_provider_with_only_a_report_is_shown() -> None:
    row = only(tie_out(charges(), usage(), reports=report({"output": 1}))[1])
    assert (row["billed_cost"], row["metered_cost"], row["reported_cost"]) == (None, None, 40)
    assert row["tie_out_status"] == "no_bill_yet"


def test_an_empty_month_is_an_empty_table() -> None:
    daily, monthly = tie_out(charges(), usage())
    assert daily.is_empty()
    assert monthly.is_empty()


def test_days_of_other_months_are_left_out() -> None:
    daily, monthly = tie_out(
        charges(line("output", 1, 40, day=0), line("output", 1, 40), line("output", 1, 40, day=31)),
        usage({"output": 1, "day": 0}, {"output": 1}, {"output": 1, "day": 31}),
    )
    assert (only(daily)["charge_date"], only(monthly)["billed_cost"]) == (day_of(1), 40)


def test_free_usage_is_billed_by_nobody() -> None:
    free = {"price_status": "free", "effective_cost": Decimal(0), "price_id": None, "output": 9}
    row = only(tie_out(charges(line("output", 1, 40)), usage({"output": 1}, free))[1])
    assert (row["metered_quantity"], row["tie_out_status"]) == (10**6, "matched")


def test_a_model_with_free_usage_only_is_still_a_row() -> None:
    free = {"price_status": "free", "effective_cost": Decimal(0), "price_id": None, "output": 9, "model_id": "o9"}
    _, rows = tie_out(charges(line("output", 1, 40)), usage({"output": 1}, free))
    assert rows.filter(pl.col("model_id") == "o9").select("metered_cost", "tie_out_status").rows() == [(0, "matched")]


def test_costs_beside_tokens_have_a_row_without_a_class() -> None:
    _, rows = tie_out(charges(line("output", 1, 40)), usage({"output": 1, "effective_cost": Decimal("40.25")}))
    assert rows.select("token_class", "metered_cost", "not_billed_cost").rows() == [
        (None, Decimal("0.25"), Decimal("-0.25")),
        ("output_tokens", Decimal(40), 0),
    ]


def test_parts_of_a_class_with_prices_of_their_own_are_in_its_cost() -> None:
    thinking = {"price_id": "think", "output_reasoning_per_mtok": Decimal(100)}
    logs = usage({"price_id": "think", "output": 2, "reasoning_tokens": 10**6, "effective_cost": Decimal(140)})
    row = only(tie_out(charges(line("output", 2, 140)), logs, book=prices(thinking))[1])
    assert (row["metered_cost"], row["tie_out_status"]) == (140, "matched")


def test_usage_whose_price_has_left_the_book_keeps_its_cost() -> None:
    gone = {"price_id": "gone", "effective_cost": Decimal(7), "output": 1}
    row = only(tie_out(charges({"billed_cost": 7}), usage(gone))[1])
    assert (row["metered_cost"], row["metered_quantity"], row["tie_out_status"]) == (7, 10**6, "matched")


def test_days_after_the_last_billed_one_wait_for_their_bill() -> None:
    daily, monthly = tie_out(charges(line("output", 1, 40)), usage({"output": 1}, {"output": 2, "day": 2}))
    assert daily.select("charge_date", "billed_cost", "difference_cost", "tie_out_status").rows() == [
        (day_of(1), 40, 0, "matched"),
        (day_of(2), None, None, "no_bill_yet"),
    ]
    assert only(monthly)["not_billed_cost"] == -80


def test_a_day_before_the_last_billed_one_was_billed_nothing() -> None:
    daily, _ = tie_out(charges(line("output", 1, 40, day=2)), usage({"output": 1}, {"output": 1, "day": 2}))
    assert daily.filter(pl.col("charge_date") == day_of(1)).select("billed_cost", "not_billed_cost").rows() == [(0, -40)]


def test_lines_of_more_than_a_day_are_compared_by_the_month() -> None:
    bill = charges(line("output", 3, 120))
    bill = bill.with_columns(charge_period_end=pl.col("charge_period_start") + pl.duration(days=30))
    daily, monthly = tie_out(bill, usage({"output": 1}, {"output": 1, "day": 9}))
    assert daily.is_empty()
    assert causes(monthly) == {"bypassed_gateway": Decimal(40)}


def test_the_proof_finds_what_does_not_add_up() -> None:
    daily, monthly = tie_out(charges(line("output", 1, 41)), usage({"output": 1}))
    wrong = monthly.with_columns(unexplained_cost=pl.col("unexplained_cost") + Decimal("0.000000000000000001"))
    assert unequal_causes(wrong.cast(dict(monthly.schema))) == ["openai org-1 gpt-5 - output_tokens standard USD"]
    assert unequal_days(daily, monthly.with_columns(billed_cost=pl.col("metered_cost"))) == [
        "openai org-1 gpt-5 - output_tokens standard USD: billed_cost"
    ]


def test_months_net_what_a_request_at_midnight_moves_between_days() -> None:
    bill = charges(line("output", 0.9, 36), line("output", 1.1, 44, day=2))
    daily, monthly = tie_out(bill, usage({"output": 1}, {"output": 1, "day": 2}))
    assert causes(daily.filter(pl.col("charge_date") == day_of(1))) == {"not_billed": Decimal(-4)}
    assert causes(daily.filter(pl.col("charge_date") == day_of(2))) == {"bypassed_gateway": Decimal(4)}
    assert causes(monthly) == {}
