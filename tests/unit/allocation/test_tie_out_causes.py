"""Causes of differences: each by the formula that docs/tie_out.md states, with its example."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from tests.unit.allocation.tie_out_samples import causes, charges, line, prices, tie_out, usage
from usage_etl.schemas.usage import FACT_PROVIDER_USAGE_DAILY

BATCH = {"processing": "batch", "price_id": "gpt-5:batch"}


def report(*rows: dict[str, Any]) -> pl.DataFrame:
    return usage(*({"source": "openai", "source_account": "org-1"} | row for row in rows), table=FACT_PROVIDER_USAGE_DAILY)


def found(bill: pl.DataFrame, logs: pl.DataFrame, **more: Any) -> dict[str, Decimal]:
    """Causes of the month."""
    return causes(tie_out(bill, logs, **more)[1])


# missing_logs


def test_missing_logs_is_what_was_billed_on_days_without_any_usage() -> None:
    bill = charges(*(line("output", 1, 40, day=day) for day in (1, 2, 3)))
    assert found(bill, usage({"output": 1}, {"output": 1, "day": 3})) == {"missing_logs": Decimal(40)}


def test_a_day_with_usage_of_another_provider_only_is_missing() -> None:
    other = {"output": 1, "day": 2, "host": "azure"}
    assert found(charges(line("output", 1, 40, day=2)), usage(other)) == {"missing_logs": Decimal(40)}


def test_a_day_with_usage_of_another_model_is_not_missing() -> None:
    bill = charges(line("output", 1, 40), line("output", 1, 40, model_id="o9"))
    assert found(bill, usage({"output": 1, "model_id": "o9"})) == {"bypassed_gateway": Decimal(40)}


def test_a_day_with_failed_requests_only_is_not_missing() -> None:
    failed = {"price_status": "free", "effective_cost": Decimal(0), "price_id": None}
    assert found(charges(line("output", 1, 40)), usage(failed)) == {"bypassed_gateway": Decimal(40)}


# bypassed_gateway, not_billed


def test_tokens_billed_beyond_usage_bypassed_the_gateway() -> None:
    assert found(charges(line("output", 3, 120)), usage({"output": 1})) == {"bypassed_gateway": Decimal(80)}


def test_the_providers_report_confirms_what_bypassed_the_gateway() -> None:
    bill, logs = charges(line("output", 3, 120)), usage({"output": 1})
    assert found(bill, logs, reports=report({"output": 3})) == {"bypassed_gateway": Decimal(80)}
    assert found(bill, logs, reports=report({"output": 2})) == {"bypassed_gateway": Decimal(40), "unexplained": Decimal(40)}
    assert found(bill, logs, reports=report({"output": 1})) == {"unexplained": Decimal(80)}


def test_a_report_that_counts_more_than_was_billed_confirms_what_was_billed() -> None:
    bill, logs = charges(line("output", 2, 80)), usage({"output": 1})
    assert found(bill, logs, reports=report({"output": 3})) == {"bypassed_gateway": Decimal(40)}


def test_a_report_that_counts_less_than_the_gateway_confirms_nothing() -> None:
    bill, logs = charges(line("output", 3, 120)), usage({"output": 2})
    assert found(bill, logs, reports=report({"output": 1})) == {"unexplained": Decimal(40)}


def test_a_model_that_nobody_logged_is_priced_by_the_book() -> None:
    """At its base price, where the line's own is none of the book's."""
    o9 = {"model_id": "o9", "output_per_mtok": Decimal(40)}
    book = prices(
        o9 | {"price_id": "o9:base"},
        o9 | {"price_id": "o9:long", "context_min_tokens": 9, "output_per_mtok": Decimal(10)},
        o9 | {"price_id": "o9:eu", "region": "eu", "output_per_mtok": Decimal(11)},
    )
    counted = {"effective_cost": None, "currency": None, "price_status": "unpriced", "price_id": None, "model_id": "o9"}
    bill = charges(line("output", 1, 40), line("output", 1, 44, model_id="o9"))
    assert found(bill, usage({"output": 1}), book=book, reports=report(counted | {"output": 1})) == {
        "price_difference": Decimal(4),
        "bypassed_gateway": Decimal(40),
    }


def test_a_report_without_prices_confirms_by_its_tokens() -> None:
    unpriced = {"effective_cost": None, "currency": None, "price_status": "needs_request_grain", "price_id": None}
    bill, logs = charges(line("output", 3, 120)), usage({"output": 1})
    assert found(bill, logs, reports=report({"output": 3} | unpriced)) == {"bypassed_gateway": Decimal(80)}


def test_tokens_at_another_price_that_nobody_else_counted_stay_unexplained() -> None:
    assert found(charges(line("output", 2, 100)), usage({"output": 1})) == {
        "price_difference": Decimal(20),
        "unexplained": Decimal(40),
    }


def test_a_model_that_no_list_prices_and_nobody_logged_stays_unexplained() -> None:
    bill = charges(line("output", 1, 40), line("output", 1, 5, model_id="o9"))
    _, rows = tie_out(bill, usage({"output": 1}))
    row = rows.row(by_predicate=pl.col("model_id") == "o9", named=True)
    assert (row["tie_out_status"], row["unexplained_cost"]) == ("no_usage_seen", 5)


def test_tokens_used_beyond_the_bill_are_not_billed() -> None:
    assert found(charges(line("output", 1, 40)), usage({"output": 3})) == {"not_billed": Decimal(-80)}


def test_bypass_of_one_context_band_is_priced_in_that_band() -> None:
    """A blended price would leave a remainder: the row's usage is mostly of the dear band."""
    book = prices({"price_id": "gpt-5:long", "context_min_tokens": 200_000, "output_per_mtok": Decimal(60)})
    long = {"price_id": "gpt-5:long", "effective_cost": Decimal(600), "output": 10}
    bill = charges(line("output", 10, 600, context_band="long"), line("output", 3, 120))
    logs = usage({"output": 1}).vstack(usage(long))
    assert found(bill, logs, book=book) == {"bypassed_gateway": Decimal(80)}


# cache_semantics, tier_or_batch


def test_input_that_one_side_counts_in_another_class_is_cache_semantics() -> None:
    bill = charges(line("input_uncached", 2, 20))
    assert found(bill, usage({"input_uncached": 1, "cache_read": 1})) == {"cache_semantics": Decimal(9)}


def test_the_two_lifetimes_of_cache_writes_are_classes_too() -> None:
    bill = charges(line("cache_write_5m", 1, 12))
    assert found(bill, usage({"cache_write_1h": 1})) == {"cache_semantics": Decimal(-8)}


def test_output_is_no_class_of_input() -> None:
    assert found(charges(line("output", 1, 40)), usage({"cache_read": 1})) == {
        "bypassed_gateway": Decimal(40),
        "not_billed": Decimal(-1),
    }


def test_tokens_that_one_side_counts_in_another_price_class_are_tier_or_batch() -> None:
    assert found(charges(line("output", 1, 40)), usage({"output": 1} | BATCH)) == {"tier_or_batch": Decimal(20)}


def test_a_tier_is_told_apart_by_its_price_where_the_bill_does_not_name_it() -> None:
    bill = charges(line("output", 2, 80, processing=None))
    assert found(bill, usage({"output": 1}, {"output": 1} | BATCH)) == {"tier_or_batch": Decimal(20)}


def test_what_moved_and_what_is_more_are_told_apart() -> None:
    """Three million output tokens billed as standard; logged were one of batch and one of standard."""
    bill = charges(line("output", 3, 120))
    assert found(bill, usage({"output": 1}, {"output": 1} | BATCH)) == {
        "tier_or_batch": Decimal(20),
        "bypassed_gateway": Decimal(40),
    }


# price_difference


def test_the_same_tokens_at_another_price_are_a_price_difference() -> None:
    assert found(charges(line("output", 1, 44)), usage({"output": 1})) == {"price_difference": Decimal(4)}


def test_a_discount_that_our_prices_do_not_know_is_a_price_difference() -> None:
    assert found(charges(line("output", 1, 30)), usage({"output": 1})) == {"price_difference": Decimal(-10)}


def test_the_price_of_another_price_class_is_another_price() -> None:
    assert found(charges(line("output", 1, 20)), usage({"output": 1})) == {"price_difference": Decimal(-20)}


def test_price_and_volume_are_told_apart_with_the_report() -> None:
    bill, logs = charges(line("output", 3, 132)), usage({"output": 2})
    assert found(bill, logs, reports=report({"output": 3})) == {
        "price_difference": Decimal(12),
        "bypassed_gateway": Decimal(40),
    }


def test_a_price_that_is_no_longer_in_force_is_another_price() -> None:
    old = {"price_id": "gpt-5:old", "output_per_mtok": Decimal(44), "valid_to": dt.datetime(2026, 10, 1, tzinfo=dt.UTC)}
    bill, logs = charges(line("output", 1, 44)), usage({"output": 1})
    assert found(bill, logs, book=prices(old)) == {"price_difference": Decimal(4)}
    still = old | {"valid_to": None}
    assert found(bill, logs, book=prices(still)) == {"tier_or_batch": Decimal(4)}


def test_tokens_billed_at_nothing_are_a_price_difference() -> None:
    assert found(charges(line("output", 1, 0)), usage({"output": 1})) == {"price_difference": Decimal(-40)}


# unmapped_meter


def test_a_meter_without_a_model_is_unmapped_by_all_of_it() -> None:
    unmapped = {"model_id": None, "meter_mapping": "unmapped", "sku_meter": "mystery", "billed_cost": 12}
    assert found(charges(line("output", 1, 40), unmapped), usage({"output": 1})) == {"unmapped_meter": Decimal(12)}


def test_usage_beside_an_unnamed_meter_leaves_a_difference_unexplained() -> None:
    unmapped = {"model_id": None, "meter_mapping": "unmapped", "sku_meter": "mystery", "billed_cost": 50}
    assert found(charges(unmapped), usage({"output": 1})) == {"unexplained": Decimal(10)}


def test_tokens_of_models_that_a_meter_does_not_name_are_not_compared() -> None:
    unnamed = line("output", 3, 120, model_id=None, sku_meter="tokens")
    assert found(charges(unnamed), usage({"output": 1}, {"output": 1, "model_id": "o9"})) == {"unexplained": Decimal(40)}


# rounding


def test_lines_of_whole_cents_may_be_off_by_rounding() -> None:
    logs = usage({"output_tokens": 999_871})
    assert found(charges(line("output", 0.999871, 39.99)), logs) == {"rounding": Decimal("-0.00484")}


def test_two_lines_may_be_off_by_two_roundings() -> None:
    assert found(charges({"billed_cost": 20}, {"billed_cost": "20.02"}), usage({"output": 1})) == {"rounding": Decimal("0.02")}


def test_a_line_with_finer_digits_is_not_rounded_to_cents() -> None:
    logs = usage({"output": 1})
    assert found(charges(line("output", 1, 40.0000001)), logs) == {"rounding": Decimal("0.0000001")}
    assert found(charges(line("output", 1, 40.002)), logs) == {"price_difference": Decimal("0.002")}


def test_a_yen_is_the_smallest_step_of_a_bill_in_yen() -> None:
    yen = {"price_id": "yen", "currency": "JPY", "output_per_mtok": Decimal("40.4")}
    logs = usage({"output": 1, "currency": "JPY", "price_id": "yen", "effective_cost": Decimal("40.4")})
    bill = charges(line("output", 1, 40, billing_currency="JPY"))
    assert found(bill, logs, book=prices(yen)) == {"rounding": Decimal("-0.4")}


# bills without quantities


@pytest.mark.parametrize("unit", [None, "Tokens"])
def test_the_report_stands_for_quantities_that_the_bill_does_not_name(unit: str | None) -> None:
    """A quantity of 0 beside a cost says nothing, whatever its unit."""
    unnamed = {"tokens": 0, "consumed_unit": unit}
    bill = charges(line("input_uncached", 0, 22) | unnamed, line("output", 0, 120) | unnamed)
    counted = report({"input_uncached": 2, "output": 3})
    assert found(bill, usage({"input_uncached": 1, "cache_read": 1, "output": 2}), reports=counted) == {
        "price_difference": Decimal(2),
        "cache_semantics": Decimal(9),
        "bypassed_gateway": Decimal(40),
    }


def test_a_bill_without_quantities_and_without_report_is_compared_by_cost_alone() -> None:
    bill = charges(line("output", 0, 120) | {"tokens": 0})
    assert found(bill, usage({"output": 2})) == {"unexplained": Decimal(40)}


def test_a_report_that_is_partly_unpriced_is_no_witness_of_prices() -> None:
    unpriced = {"effective_cost": None, "currency": None, "price_status": "unpriced", "price_id": None}
    bill, logs = charges(line("output", 0, 120) | {"tokens": 0}), usage({"output": 2})
    assert found(bill, logs, reports=report({"output": 2}, {"output": 1} | unpriced)) == {"unexplained": Decimal(40)}


def test_a_bill_that_is_rounded_beside_its_report_has_no_price_difference() -> None:
    bill, logs = charges(line("output", 0, 119.99) | {"tokens": 0}), usage({"output": 3})
    assert found(bill, logs, reports=report({"output": 3})) == {"rounding": Decimal("-0.01")}


def test_usage_that_is_partly_unpriced_is_not_compared_with_the_report() -> None:
    unpriced = {"effective_cost": None, "currency": None, "price_status": "unpriced", "price_id": None}
    logs = usage({"output": 2}, {"output": 1} | unpriced)
    assert found(charges({"billed_cost": 125}), logs, reports=report({"output": 3})) == {"unexplained": Decimal(45)}


def test_costs_without_a_class_are_explained_by_the_report() -> None:
    logs = usage({"output": 2})
    assert found(charges({"billed_cost": 125}), logs, reports=report({"output": 3})) == {
        "price_difference": Decimal(5),
        "bypassed_gateway": Decimal(40),
    }
    assert found(charges({"billed_cost": 40}), logs, reports=report({"output": 1})) == {"not_billed": Decimal(-40)}


# awkward data


def test_a_refund_takes_back_what_it_billed() -> None:
    bill = charges(line("output", 2, 80), line("output", -1, -40))
    assert found(bill, usage({"output": 1})) == {}


@pytest.mark.parametrize(("tokens", "cost"), [(1, -40), (-1, 40), (1e-6, 40), (1_000_000, 40), (1e13, 40)])
def test_a_quantity_that_cannot_be_tokens_is_no_witness(tokens: float, cost: float) -> None:
    assert found(charges(line("output", tokens, cost)), usage({"output": 2})) == {"unexplained": Decimal(cost - 80)}


def test_quantities_in_another_unit_are_no_tokens() -> None:
    bill = charges(line("output", 3, 120, consumed_unit="Characters"))
    assert found(bill, usage({"output": 1})) == {"unexplained": Decimal(80)}


def test_usage_that_is_partly_unpriced_explains_nothing() -> None:
    unpriced = {"effective_cost": None, "currency": None, "price_status": "unpriced", "price_id": None}
    _, rows = tie_out(charges(line("output", 3, 120)), usage({"output": 1}, {"output": 2} | unpriced))
    assert (causes(rows), rows["tie_out_status"].to_list()) == ({"unexplained": Decimal(80)}, ["usage_not_priced"])


def test_amounts_at_the_limit_of_what_is_accepted_add_up() -> None:
    huge = Decimal(10**12) - Decimal("0.000000000000000001")
    logs = usage({"output_tokens": 10**13, "effective_cost": Decimal(400_000_000)})
    bill = charges(*({"token_class": "output_tokens", "billed_cost": huge, "tokens": 10**7} for _ in range(50)))
    _, rows = tie_out(bill, logs)
    assert rows["billed_cost"].sum() == 50 * huge


def test_empty_lines_leave_the_tokens_of_others_comparable() -> None:
    """Without a quantity, or with a quantity of 0 in another context band."""
    empty = {"token_class": "output_tokens", "processing": "standard", "billed_cost": 0}
    bill = charges(line("output", 1, 40), empty, empty | {"tokens": 0, "context_band": "long"})
    assert found(bill, usage({"output": 3})) == {"not_billed": Decimal(-80)}


def test_quantities_at_the_limit_of_what_can_be_stored_do_not_overflow() -> None:
    bill = charges(*(line("output", 9.9e13, 40) for _ in range(3)))
    assert found(bill, usage({"output": 3})) == {}


def test_a_price_beyond_all_money_explains_nothing() -> None:
    book = prices({"price_id": "o9", "model_id": "o9", "output_per_mtok": Decimal(10) ** 15})
    bill = charges(line("output", 1, 40), line("output", 10**7, 0, model_id="o9"))
    assert found(bill, usage({"output": 1}), book=book) == {}


def test_dividing_tokens_among_accounts_leaves_nothing_unexplained() -> None:
    bill = charges(*({"billing_account_id": f"org-{number}", "billed_cost": 1, "model_id": "o9"} for number in range(3)))
    unbilled = tie_out(bill, usage({"cache_read": 1}, {"cache_read": 3, "model_id": "o9"}))[1]
    assert set(causes(unbilled)) <= {"not_billed", "rounding"}


def test_the_long_day_of_a_zone_is_a_day() -> None:
    bill = charges(line("output", 1, 40)).with_columns(charge_period_end=pl.col("charge_period_start") + pl.duration(hours=25))
    assert tie_out(bill, usage({"output": 1}))[0].height == 1
