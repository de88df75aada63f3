"""Three months of a promise: made, taken or not, and measured on the new month's own rows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from tests.unit.pricing.requests import contract_of
from tests.unit.recommendations.hours import (
    BIG,
    BOOK,
    CATALOG,
    advice,
    equivalent,
    hourly,
    price,
    request,
    settings_of,
    window_of,
)
from tests.unit.recommendations.test_charge_advice import lines, seats, used
from usage_etl.config.recommendations import RecommendationSettings
from usage_etl.periods import Month
from usage_etl.pricing import ListPrices, price_book
from usage_etl.pricing.alternatives import price_alternatives
from usage_etl.recommendations import (
    asked_of,
    charges_measured,
    checks,
    measured,
    month_rows,
    traffic_rows,
    verdicts,
)
from usage_etl.schemas import FACT_USAGE_HOURLY, MART_RECOMMENDATION_VERDICTS

OCTOBER, NOVEMBER, DECEMBER = Month(2026, 10), Month(2026, 11), Month(2026, 12)
CHAT = settings_of(equivalence_classes=equivalent("acme/big", "acme/small"), tokenizer_margin_ratio="0.1")


def promises(month: Month, *requests: dict[str, Any], told: RecommendationSettings = CHAT, charges: Any = ()) -> pl.DataFrame:
    facts = hourly(*(request(month=month, **one) for one in requests)) if requests else FACT_USAGE_HOURLY.empty()
    return advice(facts, told, window=window_of(month), charges=charges)


def verdict(
    promised: pl.DataFrame,
    month: Month,
    *requests: dict[str, Any],
    through: int | None = None,
    minimum_days: int = 1,
    bill: pl.DataFrame | None = None,
    book: pl.DataFrame = BOOK,
) -> pl.DataFrame:
    facts = hourly(*(request(month=month, **one) for one in requests), book=book) if requests else FACT_USAGE_HOURLY.empty()
    last = month.last_day if through is None else month.first_day.replace(day=through)
    rows = month_rows(traffic_rows(facts.lazy(), prices=book, zone="UTC"), month, last)
    found = checks(promised, rows, currency="USD")
    answered = price_alternatives(asked_of(found, rows), book=book, catalog=CATALOG)
    frame = verdicts(
        measured(found, answered, currency="USD"),
        charges_measured(promised, lines() if bill is None else bill, currency="USD"),
        month=month,
        through_date=last,
        minimum_days=minimum_days,
    )
    return MART_RECOMMENDATION_VERDICTS.validate(frame)


def one(frame: pl.DataFrame) -> dict[str, Any]:
    assert frame.height == 1
    return frame.row(0, named=True)


SMALL_ONE = {"model_raw": "small"}
SAVING = (1000 * Decimal(9) + 100 * Decimal(45)) / 10**6
"""Of one request of a thousand and a hundred tokens, from big to small."""


def test_three_months_promise_taken_in_part_then_kept_whole() -> None:
    october = promises(OCTOBER, {"count": 31, "reported_input_tokens": 31_000, "reported_output_tokens": 3100})
    november = one(verdict(october, NOVEMBER, *[{"event_id": f"b{n}"} for n in range(20)],
                           *[SMALL_ONE | {"event_id": f"s{n}"} for n in range(10)]))  # fmt: skip
    assert (november["verdict"], november["whole_count"], november["part_count"]) == ("partly", 30, 10)
    assert november["moved_ratio"] == pytest.approx(1 / 3)
    assert november["realised_savings_cost"] == 10 * SAVING
    assert november["promised_month"] == OCTOBER.first_day
    again = promises(
        NOVEMBER, *[{"event_id": f"b{n}"} for n in range(20)], *[SMALL_ONE | {"event_id": f"s{n}"} for n in range(10)]
    )
    assert again["recommendation_id"].to_list() == october["recommendation_id"].to_list()
    assert (one(again)["whole_count"], one(again)["part_count"]) == (30, 10)
    december = one(verdict(again, DECEMBER, *[SMALL_ONE | {"event_id": f"s{n}"} for n in range(30)]))
    assert (december["verdict"], december["moved_ratio"]) == ("kept", 1.0)
    assert december["realised_savings_cost"] == 20 * SAVING, "ten were there before: the earlier promise saved those"


def test_the_promise_is_brought_to_the_new_volume() -> None:
    october = promises(OCTOBER, {})
    twice = one(verdict(october, NOVEMBER, SMALL_ONE, SMALL_ONE | {"event_id": "x"}))
    assert twice["promised_monthly_savings_cost"] == SAVING
    assert twice["promised_cost"] == 2 * SAVING == twice["realised_savings_cost"]
    assert twice["volume_ratio"] == pytest.approx(2 * 31 / 30)
    assert twice["verdict"] == "kept"


def test_a_running_month_is_judged_for_its_days_and_says_so() -> None:
    october = promises(OCTOBER, {"count": 31, "reported_input_tokens": 31_000, "reported_output_tokens": 3100})
    row = one(verdict(october, NOVEMBER, *[SMALL_ONE | {"day": day, "event_id": str(day)} for day in range(1, 11)], through=10))
    assert row["is_preliminary"]
    assert row["verdict"] == "kept"
    assert row["promised_cost"] == row["realised_savings_cost"] == 10 * SAVING
    assert "kept so far" in row["verdict_text"]


def test_nothing_moved_is_not_taken() -> None:
    row = one(verdict(promises(OCTOBER, {}), NOVEMBER, {}))
    assert (row["verdict"], row["moved_ratio"], row["realised_savings_cost"]) == ("not_taken", 0.0, 0)


def test_a_move_to_what_has_become_dearer_costs_more() -> None:
    dearer = price("small", input="30", read="3", write="30", write_1h="30", output="90")
    book = price_book(ListPrices(()), contract_of(BIG, dearer))
    row = one(verdict(promises(OCTOBER, {}), NOVEMBER, SMALL_ONE, book=book))
    assert row["verdict"] == "cost_more"
    assert row["realised_savings_cost"] == (1000 * Decimal(-20) + 100 * Decimal(-40)) / 10**6
    assert "0.02 USD more instead of less" in row["verdict_text"]


def test_a_price_that_fell_in_the_new_month_saves_less_than_was_promised() -> None:
    cheaper = price("big", input="2", read="1", write="2", write_1h="2", output="10")
    small = price("small", input="1", read="0.1", write="1", write_1h="1", output="5")
    row = one(verdict(promises(OCTOBER, {}), NOVEMBER, SMALL_ONE, book=price_book(ListPrices(()), contract_of(cheaper, small))))
    assert row["verdict"] == "partly"
    assert row["realised_savings_cost"] == (1000 * Decimal(1) + 100 * Decimal(5)) / 10**6, "both prices are the new month's"


@pytest.mark.parametrize(
    ("requests", "options", "reason"),
    [
        ((), {}, "there is no such traffic"),
        (({"feature_id": "other"},), {}, "there is no such traffic"),
        ((SMALL_ONE,), {"through": 5, "minimum_days": 14}, "only 5 day(s) of the month have data, 14 are needed"),
    ],
)
def test_what_cannot_be_told_says_why(requests: Any, options: dict[str, Any], reason: str) -> None:
    row = one(verdict(promises(OCTOBER, {}), NOVEMBER, *requests, **options))
    assert row["verdict"] == "cannot_tell"
    assert row["verdict_reason"].startswith(reason)
    assert row["realised_savings_cost"] is None


def test_a_model_whose_old_price_is_gone_cannot_be_compared() -> None:
    only_small = price_book(
        ListPrices(()), contract_of(price("small", input="1", read="0.1", write="1", write_1h="1", output="5"))
    )
    row = one(verdict(promises(OCTOBER, {}), NOVEMBER, SMALL_ONE, book=only_small))
    assert (row["verdict"], row["verdict_reason"]) == ("cannot_tell", "what moved has no price to compare it with")


def test_batch_is_kept_when_the_work_goes_through_it() -> None:
    told = settings_of(background_features=["search"])
    row = one(verdict(promises(OCTOBER, {}, told=told), NOVEMBER, {"processing": "batch"}))
    assert (row["verdict"], row["moved_ratio"]) == ("kept", 1.0)
    assert row["realised_savings_cost"] == (1000 * Decimal(5) + 100 * Decimal(25)) / 10**6


def test_night_work_is_compared_with_the_nights_only() -> None:
    told = settings_of(night_from_hour=22, night_to_hour=6)
    october = promises(OCTOBER, {"hour": 23}, told=told)
    row = one(verdict(october, NOVEMBER, {"hour": 23, "processing": "batch"}, {"hour": 12}, {"hour": 1, "user_id": "ada"}))
    assert (row["whole_count"], row["part_count"], row["verdict"]) == (1, 1, "kept")


CACHED = settings_of(cache_minimum_tokens=1000, cache_requests_per_hour=6)
LONG = {"count": 10, "reported_input_tokens": 100_000}


def test_caching_saves_what_is_read_beyond_the_share_of_before() -> None:
    october = promises(OCTOBER, LONG | {"cache_read_tokens": 500}, told=CACHED)
    row = one(verdict(october, NOVEMBER, LONG | {"cache_read_tokens": 50_000, "cache_write_tokens": 5_000}))
    assert row["actual_cost"] == (45_000 * Decimal(10) + 50_000 + 5_000 * Decimal("12.5") + 100 * Decimal(50)) / 10**6
    assert row["former_cost"] == (99_450 * Decimal(10) + 500 + 50 * Decimal("12.5") + 100 * Decimal(50)) / 10**6
    assert row["verdict"] == "kept"
    assert one(verdict(october, NOVEMBER, LONG | {"cache_read_tokens": 500}))["verdict"] == "not_taken"


def test_caching_that_writes_more_than_it_reads_costs_more() -> None:
    october = promises(OCTOBER, LONG, told=CACHED)
    row = one(verdict(october, NOVEMBER, LONG | {"cache_read_tokens": 10_000, "cache_write_tokens": 90_000}))
    assert row["verdict"] == "cost_more"
    assert row["realised_savings_cost"] == (100_000 * Decimal(10) - 10_000 - 90_000 * Decimal("12.5")) / 10**6


def test_shorter_prompts_are_measured_per_request() -> None:
    told = settings_of(cache_requests_per_hour=10**6)
    teams = [{"user_id": user, "api_key_id": user, "count": 100, "reported_input_tokens": tokens}
             for user, tokens in (("a", 100_000), ("b", 200_000), ("c", 300_000), ("d", 1_000_000))]  # fmt: skip
    facts = hourly(*(request(month=OCTOBER, **team) for team in teams)).with_columns(team_id=pl.col("user_id"))
    october = advice(facts, told, window=window_of(OCTOBER))
    assert october["scope_id"].to_list() == ["d"]
    rows = hourly(request(user_id="d", api_key_id="d", count=50, reported_input_tokens=250_000)).with_columns(
        team_id=pl.col("user_id")
    )
    traffic = traffic_rows(rows.lazy(), prices=BOOK, zone="UTC")
    found = checks(october, traffic, currency="USD")
    answered = price_alternatives(asked_of(found, traffic), book=BOOK, catalog=CATALOG)
    row = one(verdicts(measured(found, answered, currency="USD"), iter(()), month=NOVEMBER, through_date=NOVEMBER.last_day,
                       minimum_days=1))  # fmt: skip
    assert row["realised_savings_cost"] == 250_000 * Decimal(10) / 10**6, "half the input of each of fifty requests"
    assert (row["verdict"], row["volume_ratio"]) == ("partly", pytest.approx(0.5 * 31 / 30))


NAMED = lines(*({"user_id": user} for user in ("ada", "bob", "cyd", "dan")))


def test_seats_given_back_are_saved_at_the_price_of_the_new_bill() -> None:
    october = promises(OCTOBER, charges=seats(NAMED, used(("ada", 20, False), ("bob", 20, False))))
    new_bill = lines({"user_id": "ada", "effective_cost": Decimal(40)}, {"user_id": "bob", "effective_cost": Decimal(40)})
    row = one(verdict(october, NOVEMBER, bill=new_bill))
    assert (row["former_cost"], row["actual_cost"], row["realised_savings_cost"]) == (160, 80, 80)
    assert row["verdict"] == "kept"
    assert one(verdict(october, NOVEMBER, bill=NAMED))["verdict"] == "not_taken"
    assert one(verdict(october, NOVEMBER, bill=new_bill, through=20))["verdict_reason"] == "the month's bill is not complete"
    assert one(verdict(october, NOVEMBER))["verdict_reason"].startswith("there is no such traffic or charge")


def test_a_verdict_reads_nothing_after_the_day_it_covers() -> None:
    october = promises(OCTOBER, {})
    early = verdict(october, NOVEMBER, {"day": 3}, through=15)
    later = verdict(october, NOVEMBER, {"day": 3}, SMALL_ONE | {"day": 20, "count": 50, "event_id": "late"}, through=15)
    assert early.equals(later)
