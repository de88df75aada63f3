"""What was used of a quota: by day, calendar month and billing month, with limits that change and data that is not there."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.quotas.samples import ORGANIZATION, daily, day, feeds, quota, quotas
from usage_etl.periods import Month, days_between
from usage_etl.quotas.feeds import Feeds
from usage_etl.quotas.periods import period_of
from usage_etl.quotas.status import QuotaDays, as_projected, quota_days, with_projection
from usage_etl.quotas.usage import quota_usage, scope_feeds
from usage_etl.schemas import MART_PROJECTION

NO_NAMES = pl.DataFrame(schema={"scope_kind": pl.String, "scope_id": pl.String, "scope_name": pl.String})
NOVEMBER = Month(2026, 11)


def built(
    usage: pl.LazyFrame,
    limits: pl.DataFrame,
    *,
    month: Month = NOVEMBER,
    through: dt.date | None = None,
    known: Feeds | None = None,
    billing_day: int = 1,
    names: pl.DataFrame = NO_NAMES,
) -> QuotaDays:
    last = through or month.last_day
    return quota_days(
        limits,
        quota_usage(usage, limits, organization_id=ORGANIZATION),
        scope_feeds(usage, limits, organization_id=ORGANIZATION),
        names,
        feeds=known or feeds(days_between(dt.date(2026, 1, 1), last + dt.timedelta(days=1))),
        month=month,
        through_date=last,
        first_date=dt.date(2020, 1, 1),
        billing_day=billing_day,
    )


def figures(found: QuotaDays, *columns: str, on: dt.date | None = None) -> list[Any]:
    frame = found.status.filter(pl.col("status_date") == on) if on else found.status
    wanted = frame.sort("status_date", "quota_id").select(columns)
    return wanted.to_series().to_list() if len(columns) == 1 else wanted.rows()


def test_a_month_counts_up_day_by_day_and_begins_anew() -> None:
    usage = daily(*({"usage_date": day(number, month), "tokens": 10} for month in (10, 11) for number in (1, 15, 30)))
    found = built(usage, quotas(quota("user:ada", "total_tokens", 100)), through=day(20))
    assert figures(found, "used_quantity", "remaining_quantity", "days_left_count", on=day(14)) == [(10, 90, 16)]
    assert figures(found, "used_quantity", "used_ratio", "period_start", "period_end", on=day(20)) == [(20, 0.2, day(1), day(30))]
    assert found.status.height == 20


def test_the_leap_day_is_a_day_of_its_month() -> None:
    usage = daily({"usage_date": dt.date(2028, 2, 29), "tokens": 7})
    months = built(
        usage, quotas(quota("organization:me", "total_tokens", 10), quota("organization:me", "total_tokens", 10, period="day")),
        month=Month(2028, 2), known=feeds(days_between(dt.date(2028, 2, 1), dt.date(2028, 3, 1))),
    )  # fmt: skip
    last = figures(months, "period_kind", "used_quantity", "period_end", "days_left_count", on=dt.date(2028, 2, 29))
    assert last == [("calendar_month", 7, dt.date(2028, 2, 29), 0), ("day", 7, dt.date(2028, 2, 29), 0)]


@pytest.mark.parametrize(
    ("at", "billing_day", "period"),
    [
        (day(27), 28, (day(28, 10), day(27))),
        (day(28), 28, (day(28), day(27, 12))),
        (dt.date(2027, 2, 28), 28, (dt.date(2027, 2, 28), dt.date(2027, 3, 27))),
        (dt.date(2027, 2, 27), 28, (dt.date(2027, 1, 28), dt.date(2027, 2, 27))),
        (dt.date(2028, 3, 1), 28, (dt.date(2028, 2, 28), dt.date(2028, 3, 27))),
        (dt.date(2027, 1, 1), 2, (dt.date(2026, 12, 2), dt.date(2027, 1, 1))),
        (day(30), 1, (day(1), day(30))),
    ],
)
def test_a_billing_month_begins_on_its_day(at: dt.date, billing_day: int, period: tuple[dt.date, dt.date]) -> None:
    assert period_of(at, period_kind="billing_month", billing_day=billing_day) == period


@given(
    at=st.dates(dt.date(2024, 1, 1), dt.date(2032, 12, 31)),
    kind=st.sampled_from(["day", "calendar_month", "billing_month"]),
    billing_day=st.integers(1, 28),
)
def test_periods_hold_their_day_and_follow_each_other_without_a_hole(at: dt.date, kind: str, billing_day: int) -> None:
    start, end = period_of(at, period_kind=kind, billing_day=billing_day)
    assert start <= at <= end
    assert period_of(end + dt.timedelta(days=1), period_kind=kind, billing_day=billing_day)[0] == end + dt.timedelta(days=1)
    assert period_of(start, period_kind=kind, billing_day=billing_day) == (start, end)


def test_a_billing_month_counts_from_the_month_before() -> None:
    usage = daily(*({"usage_date": at, "tokens": 1} for at in (day(27, 10), day(28, 10), day(27), day(28))))
    found = built(usage, quotas(quota("user:ada", "total_tokens", 100, period="billing_month")), billing_day=28, through=day(28))
    assert figures(found, "used_quantity", on=day(1)) == [1]
    assert figures(found, "used_quantity", on=day(27)) == [2]
    assert figures(found, "used_quantity", "period_start", on=day(28)) == [(1, day(28))]


def test_a_limit_that_changes_inside_a_period_is_one_quota_whose_use_goes_on() -> None:
    usage = daily({"usage_date": day(3), "tokens": 60})
    rows = quotas(
        quota("team:web", "total_tokens", 50, end=day(10)),
        quota("team:web", "total_tokens", 80, start=day(10)),
    )
    found = built(usage, rows, through=day(10))
    assert figures(found, "limit_quantity", "used_ratio", on=day(9)) == [(50, 1.2)]
    assert figures(found, "limit_quantity", "used_ratio", "remaining_quantity", on=day(10)) == [(80, 0.75, 20)]
    assert found.status["quota_id"].n_unique() == 1
    assert found.limits.height == 1


def test_a_quota_that_begins_inside_a_month_counts_the_whole_month() -> None:
    usage = daily({"usage_date": day(3), "tokens": 60})
    found = built(usage, quotas(quota("team:web", "total_tokens", 50, start=day(16), end=day(18))), through=day(20))
    assert figures(found, "status_date", "used_quantity") == [(day(16), 60), (day(17), 60)]
    assert found.limits.is_empty()


def test_what_a_shared_user_used_counts_on_the_team_that_the_facts_name() -> None:
    usage = daily(
        {"usage_date": day(3), "tokens": 60, "team_id": "web"},
        {"usage_date": day(4), "tokens": 5, "team_id": "ops"},
    )
    rows = quotas(*(quota(scope, "total_tokens", 100) for scope in ("team:web", "team:ops", "user:ada", "department:eng")))
    assert figures(built(usage, rows, through=day(5)), "quota_id", "used_quantity", on=day(5)) == [
        ("department:eng:total_tokens:calendar_month:soft", 65),
        ("team:ops:total_tokens:calendar_month:soft", 5),
        ("team:web:total_tokens:calendar_month:soft", 60),
        ("user:ada:total_tokens:calendar_month:soft", 65),
    ]


def test_every_measure_and_kind_of_scope_is_counted() -> None:
    usage = daily(
        {"usage_date": day(3), "tokens": 60, "requests_count": 2, "effective_cost": Decimal("0.123456789012345678")},
        {"usage_date": day(3), "tokens": 7, "primitive": "ai.embed", "user_id": None, "requests_count": 3},
    )
    measures = ("total_tokens", "inference_tokens", "embedding_tokens", "requests_count", "effective_cost")
    scopes = ("organization:me", "api_key:key-1", "feature:chat")
    found = built(usage, quotas(*(quota(scope, measure, 100) for scope in scopes for measure in measures)), through=day(3))
    by_measure = dict(zip(measures, (67, 60, 7, 5, Decimal("0.123456789012345678")), strict=True))
    used = dict(figures(found, "quota_id", "used_quantity", on=day(3)))
    assert used == {
        f"{scope}:{measure}:calendar_month:soft": quantity for scope in scopes for measure, quantity in by_measure.items()
    }


def test_no_data_is_not_nothing() -> None:
    usage = daily({"usage_date": day(3), "tokens": 60})
    rows = quotas(quota("user:ada", "total_tokens", 100, period="day"), quota("user:bob", "total_tokens", 100, period="day"))
    found = built(usage, rows, through=day(6), known=feeds([day(3), day(5)]))
    assert figures(found, "status_date", "scope_id", "used_quantity")[4:] == [
        (day(3), "ada", 60),
        (day(3), "bob", 0),
        (day(4), "ada", None),
        (day(4), "bob", None),
        (day(5), "ada", 0),
        (day(5), "bob", 0),
        (day(6), "ada", None),
        (day(6), "bob", None),
    ]
    assert figures(found, "used_ratio", "remaining_quantity", on=day(6)) == [(None, None)] * 2
    assert found.limits.is_empty()


def test_without_any_feed_nothing_is_known_and_everything_is_late() -> None:
    found = built(daily(), quotas(quota("user:bob", "total_tokens", 100)), through=day(6), known=feeds([]))
    assert set(figures(found, "used_quantity", "is_stale", "is_preliminary")) == {(None, True, True)}


def test_a_late_feed_freezes_the_scopes_that_it_feeds_and_no_other() -> None:
    usage = daily(
        {"usage_date": day(1), "tokens": 1, "team_id": "web", "source": "gateway"},
        {"usage_date": day(1), "tokens": 1, "team_id": "ops", "source": "logs"},
    )
    days = [("gateway", day(n)) for n in range(1, 11)] + [("logs", day(n)) for n in range(1, 8)]
    known = Feeds(
        pl.DataFrame(days, schema={"source": pl.String, "usage_date": pl.Date}, orient="row"),
        {"gateway": day(11), "logs": day(8)},
        {"gateway": 48, "logs": 48, "never": 48},
    )
    scopes = ("team:web", "team:ops", "team:new")
    found = built(usage, quotas(*(quota(scope, "total_tokens", 9) for scope in scopes)), through=day(10), known=known)
    assert figures(found, "scope_id", "is_stale", "is_preliminary", on=day(10)) == [
        ("new", True, True),
        ("ops", True, True),
        ("web", False, False),
    ]
    assert figures(found, "is_stale", "is_preliminary", on=day(8)) == [(False, True), (False, True), (False, False)]
    assert found.limits.sort("limit_id")["settled_date"].to_list() == [day(7), day(7), day(10)]


def test_a_quiet_weekend_is_not_late_while_deliveries_come() -> None:
    known = Feeds(feeds([day(6)]).days, {"gateway": day(9)}, {"gateway": 24})
    found = built(daily({"usage_date": day(6)}), quotas(quota("team:web", "requests_count", 9)), through=day(8), known=known)
    assert figures(found, "is_stale", "is_preliminary", "used_quantity", on=day(8)) == [(False, True, 1)]


def test_unpriced_is_never_nothing() -> None:
    lost = {"effective_cost": None, "price_status": "unpriced", "currency": None, "requests_count": 4}
    rows = quotas(quota("team:web", "effective_cost", 10), quota("team:ops", "effective_cost", 10))
    usage = daily(
        {"usage_date": day(1), "tokens": 5, **lost},
        {"usage_date": day(2), "tokens": 5, "effective_cost": Decimal(3)},
        {"usage_date": day(1), "team_id": "ops", **lost},
    )
    found = built(usage, rows, through=day(2))
    assert figures(found, "scope_id", "used_quantity", "unpriced_requests_count") == [
        ("ops", None, 4),
        ("web", None, 4),
        ("ops", None, 4),
        ("web", 3, 4),
    ]


def test_money_in_another_currency_is_not_added_and_not_called_nothing() -> None:
    usage = daily(
        {"usage_date": day(1), "effective_cost": Decimal(3), "currency": "USD", "requests_count": 2},
        {"usage_date": day(2), "effective_cost": Decimal(4), "currency": "EUR", "requests_count": 5},
    )
    rows = quotas(*(quota("team:web", "effective_cost", 8, currency=unit, enforcement=kind) for unit, kind in
                    (("USD", "soft"), ("EUR", "hard"))))  # fmt: skip
    found = built(usage, rows, through=day(2))
    assert figures(found, "currency", "used_quantity", "unpriced_requests_count") == [
        ("EUR", None, 2),
        ("USD", 3, 0),
        ("EUR", 4, 2),
        ("USD", 3, 5),
    ]


def test_a_restatement_that_lowers_usage_lowers_what_was_used() -> None:
    rows = quotas(quota("user:ada", "total_tokens", 50, enforcement="hard"))
    before = built(daily({"usage_date": day(3), "tokens": 60}), rows, through=day(4))
    after = built(daily({"usage_date": day(3), "tokens": 40}), rows, through=day(4))
    assert figures(before, "used_ratio", on=day(4)) == [1.2]
    assert figures(after, "used_ratio", on=day(4)) == [0.8]


def test_a_limit_of_nothing_is_reached_by_anything() -> None:
    found = built(daily({"usage_date": day(2), "tokens": 1}), quotas(quota("user:ada", "total_tokens", 0)), through=day(2))
    assert figures(found, "used_ratio", "remaining_quantity") == [(0.0, 0), (1.0, 0)]


def test_a_scope_is_called_by_its_name_and_by_its_id_where_it_has_none() -> None:
    names = pl.DataFrame([("user", "ada", "Ada L.")], schema=NO_NAMES.schema, orient="row")
    rows = quotas(quota("user:ada", "total_tokens", 1), quota("user:bob", "total_tokens", 1))
    assert figures(built(daily(), rows, through=day(1), names=names), "scope_name") == ["Ada L.", "bob"]


def test_only_the_newest_day_is_projected() -> None:
    found = built(daily({"usage_date": day(1), "tokens": 5}), quotas(quota("user:ada", "total_tokens", 9)), through=day(2))
    projected = found.limits.select(
        "limit_id", linear_quantity=pl.lit(Decimal(75)), projected_quantity=pl.lit(Decimal(70)),
        projected_lower_quantity=pl.lit(None), projected_upper_quantity=pl.lit(None),
        breach_probability_ratio=pl.lit(0.9), breach_date=pl.lit(day(4)),
    )  # fmt: skip
    status = with_projection(found.status, projected, through_date=day(2))
    assert status["linear_quantity"].to_list() == [None, 75]
    assert status["breach_date"].to_list() == [None, day(4)]
    assert status["breach_probability_ratio"].to_list() == [None, 0.9]


def test_no_quota_is_no_row() -> None:
    found = built(daily({"usage_date": day(1)}), quotas(), through=day(2))
    assert found.status.is_empty()
    assert found.limits.is_empty()


@given(
    amounts=st.lists(st.tuples(st.integers(1, 30), st.sampled_from(["a", "b", "c"]), st.integers(0, 10**12)), max_size=40),
    billing_day=st.integers(1, 28),
)
def test_users_add_up_to_the_organization_and_days_to_the_month(amounts: list[tuple[int, str, int]], billing_day: int) -> None:
    usage = daily(*({"usage_date": day(number), "user_id": user, "tokens": tokens} for number, user, tokens in amounts))
    rows = [quota(scope, "total_tokens", 1, period=period) for scope in ("organization:me", "user:a", "user:b", "user:c")
            for period in ("day", "calendar_month", "billing_month")]  # fmt: skip
    status = built(usage, quotas(*rows), billing_day=billing_day).status
    by_kind = status.group_by("status_date", "period_kind", is_whole=pl.col("scope_kind") == "organization").agg(
        pl.col("used_quantity").sum()
    )
    assert (
        by_kind.filter("is_whole")
        .drop("is_whole")
        .sort("status_date", "period_kind")
        .equals(by_kind.filter(~pl.col("is_whole")).drop("is_whole").sort("status_date", "period_kind"))
    )
    whole = status.filter(pl.col("scope_kind") == "organization")
    assert whole.filter(pl.col("period_kind") == "day")["used_quantity"].sum() == sum(tokens for _, _, tokens in amounts)


def test_a_whole_month_ends_where_the_projection_says_and_is_passed_as_it_says_for_the_same_limit() -> None:
    usage = daily({"usage_date": day(1), "tokens": 10})
    found = built(
        usage,
        quotas(quota("user:ada", "total_tokens", 100), quota("user:ada", "total_tokens", 50, enforcement="hard")),
        through=day(5),
    )
    said = {
        "month": day(1), "through_date": day(5), "settled_date": day(5), "scope_kind": "user", "scope_id": "ada",
        "measure": "total_tokens", "currency": None, "to_date_quantity": Decimal(10), "projected_quantity": Decimal(70),
        "projected_lower_quantity": Decimal(60), "projected_upper_quantity": Decimal(80), "linear_quantity": Decimal(65),
        "limit_quantity": Decimal(50), "breach_probability_ratio": 0.75, "breach_date": day(20), "band_samples_count": 40,
    }  # fmt: skip
    projection = pl.DataFrame([said], schema=MART_PROJECTION.polars_schema)
    status = as_projected(found.status, projection).sort("status_date", "limit_quantity")
    last = status.filter(pl.col("status_date") == day(5))
    assert last["projected_quantity"].to_list() == [70, 70]
    assert last["linear_quantity"].to_list() == [65, 65]
    assert last["breach_probability_ratio"].to_list() == [0.75, None], "the other limit is not that of the projection"
    assert last["breach_date"].to_list() == [day(20), None]
    assert status.filter(pl.col("status_date") < day(5))["projected_quantity"].null_count() == 8, "earlier days are as they were"
    other_month = projection.with_columns(month=pl.lit(day(1, 10)))
    assert as_projected(found.status, other_month).equals(found.status)
