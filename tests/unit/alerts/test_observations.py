"""From marts as they are stored to observations: units, words, freshness, and what a mart that is not there means."""

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest

from tests.unit.alerts.samples import Remembering, rate_rule, rule
from usage_etl.alerts import Handling, Marts, Watch, observe
from usage_etl.config.alerts import AlertRule, token_quota_rule
from usage_etl.schemas import TABLES_BY_NAME
from usage_etl.schemas.quotas import MART_POOLS, MART_QUOTA_STATUS

NOW = dt.datetime(2026, 11, 20, 8, tzinfo=dt.UTC)
NOVEMBER, OCTOBER = dt.date(2026, 11, 1), dt.date(2026, 10, 1)
THROUGH = dt.date(2026, 11, 19)


def watch(**changes):
    return Watch(**({"instant": NOW, "organization_id": "acme", "currency": "EUR", "late_sources": frozenset()} | changes))


def mart(name, *rows):
    """Rows of a mart in its stored types; columns that a row does not name are null."""
    table = {table.name: table for table in (*TABLES_BY_NAME.values(), MART_POOLS, MART_QUOTA_STATUS)}[name]
    filled = [{column: row.get(column) for column in table.columns} for row in rows]
    return pl.DataFrame(filled, schema=table.polars_schema, orient="row")


def look(frames, *rules, handling=None, months=(NOVEMBER,), **changes):
    marts = Marts(frames, dict.fromkeys(frames, months), handling or {})
    return observe(marts, rules, watch(**changes))


def quota(**changes):
    base = {
        "month": NOVEMBER, "status_date": THROUGH, "quota_id": "organization:acme:total_tokens", "scope_kind": "organization",
        "scope_id": "acme", "scope_name": "Acme", "measure": "total_tokens", "period_kind": "calendar_month",
        "period_start": NOVEMBER, "period_end": dt.date(2026, 11, 30), "enforcement": "soft",
        "limit_quantity": Decimal(3_000_000),
        "used_quantity": Decimal(2_400_000), "used_ratio": 0.8, "projected_quantity": Decimal(3_789_473),
        "breach_probability_ratio": 0.93, "breach_date": dt.date(2026, 11, 24), "is_stale": False, "is_preliminary": False,
    }  # fmt: skip
    return base | changes


def test_the_shipped_rule_tells_at_80_percent_of_a_monthly_token_quota():
    seen = look({"mart_quota_status": mart("mart_quota_status", quota())}, token_quota_rule())
    book = Remembering(token_quota_rule().model_copy(update={"channels": ("mail",)}))
    book.now = NOW
    (notice,) = book.look(*seen.rows, covered=seen.covered)
    assert notice.title == "Acme: 80 % of the monthly quota of total tokens used"
    assert notice.lines == (
        "2,400,000 tokens of 3,000,000 tokens are used.",
        "The period is expected to end at 3,789,473 tokens, 126.3 % of the limit.",
        "The limit is expected to be passed on 2026-11-24 (chance of passing it: 93 %): raise it, or move work, before that day.",
    )
    assert dict(notice.facts) == {
        "scope": "organization Acme", "used": "2,400,000 tokens", "limit": "3,000,000 tokens", "projected": "3,789,473 tokens",
        "level": "80 %", "period": "2026-11-01 to 2026-11-30", "data as of": "2026-11-19", "rule": "monthly-token-quota",
    }  # fmt: skip


@pytest.mark.parametrize("changes", [{"measure": "effective_cost"}, {"period_kind": "day"}, {"scope_kind": "team"}])
def test_the_shipped_rule_is_about_monthly_tokens_of_the_organization_alone(changes):
    seen = look({"mart_quota_status": mart("mart_quota_status", quota(**changes))}, token_quota_rule())
    assert not [row for row in seen.rows if row.is_of(token_quota_rule())]


def test_a_share_is_exact_and_never_rounded_up():
    almost = quota(used_quantity=Decimal(2_399_999), limit_quantity=Decimal(3_000_000), used_ratio=0.8)
    huge = quota(quota_id="q2", used_quantity=Decimal("7999999999999999999.9"), limit_quantity=Decimal("1e19"))
    seen = look({"mart_quota_status": mart("mart_quota_status", almost, huge)}, rule())
    assert all(row.observed_quantity < 80 for row in seen.rows)
    assert not any(row.printed == "80 %" for row in seen.rows)


def test_of_a_limit_of_zero_everything_is_used_as_soon_as_anything_is():
    rows = [
        quota(quota_id="a", limit_quantity=Decimal(0)),
        quota(quota_id="b", limit_quantity=Decimal(0), used_quantity=Decimal(0)),
    ]
    seen = look({"mart_quota_status": mart("mart_quota_status", *rows)}, rule())
    assert [row.observed_quantity for row in seen.rows] == [100, 0]


def test_of_a_quota_the_newest_day_of_each_period_counts_and_settled_periods_do_not():
    rows = [
        quota(status_date=dt.date(2026, 11, 18), used_quantity=Decimal(1)),
        quota(),
        quota(month=OCTOBER, status_date=dt.date(2026, 10, 31), period_start=OCTOBER, period_end=dt.date(2026, 10, 31)),
    ]
    frames = {"mart_quota_status": mart("mart_quota_status", *rows)}
    assert [(row.period_start, row.as_of) for row in look(frames, rule()).rows] == [(NOVEMBER, THROUGH)]
    early = look(frames, rule(), instant=dt.datetime(2026, 11, 3, 8, tzinfo=dt.UTC))
    assert [row.period_start for row in early.rows] == [OCTOBER, NOVEMBER]


def test_what_was_not_delivered_is_unknown_and_not_zero():
    seen = look({"mart_quota_status": mart("mart_quota_status", quota(used_quantity=None, projected_quantity=None))}, rule())
    assert [(row.observed_quantity, row.printed) for row in seen.rows] == [(None, "an unknown share")]
    assert look({}, rule(), months=()).rows == ()
    assert look({}, rule(), months=()).covered == frozenset()


def test_late_feeds_freeze_quotas_by_themselves_and_all_else_together():
    frames = {
        "mart_quota_status": mart("mart_quota_status", quota(is_stale=True), quota(quota_id="other")),
        "mart_projection": mart("mart_projection", projection()),
    }
    budget = rule(name="budget", measure="budget_used_ratio")
    fresh, late = look(frames, rule(), budget), look(frames, rule(), budget, late_sources=frozenset({"gateway"}))
    assert [row.is_stale for row in fresh.rows] == [False, True, False]
    assert [row.is_stale for row in late.rows] == [True, True, False]


def projection(**changes):
    base = {
        "month": NOVEMBER, "through_date": THROUGH, "settled_date": THROUGH, "scope_kind": "team", "scope_id": "team-a",
        "measure": "effective_cost", "currency": "EUR", "to_date_quantity": Decimal("950.50"),
        "projected_quantity": Decimal(1400), "projected_lower_quantity": Decimal(1200),
        "projected_upper_quantity": Decimal(1600), "linear_quantity": Decimal(1500), "limit_quantity": Decimal(1000),
        "breach_probability_ratio": 0.99, "breach_date": dt.date(2026, 11, 21), "band_samples_count": 12,
    }  # fmt: skip
    return base | changes


def test_budgets_are_shares_of_the_budget_and_projections_are_money():
    frames = {"mart_projection": mart("mart_projection", projection(), projection(scope_id="free", limit_quantity=None))}
    budget, expected = rule(name="b", measure="budget_used_ratio"), rule(name="p", measure="projected_cost", levels=("1300",))
    seen = {(row.measure, row.scope_id): row for row in look(frames, budget, expected).rows}
    assert seen["budget_used_ratio", "team-a"].observed_quantity == Decimal("95.05")
    assert seen["budget_used_ratio", "team-a"].projected_percent == 140
    assert ("budget_used_ratio", "free") not in seen
    assert seen["projected_cost", "free"].printed == "1,400.00 EUR"
    assert "between 1,200.00 EUR and 1,600.00 EUR" in seen["projected_cost", "free"].lines[1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"measure": "effective_cost"}, "monthly budget"),
        ({"measure": "effective_cost", "enforcement": "hard"}, "monthly hard limit of spend"),
        ({"period_kind": "day", "measure": "requests_count"}, "daily quota of requests"),
    ],
)
def test_a_quota_is_named_by_its_period_and_what_it_limits(changes, words):
    seen = look({"mart_quota_status": mart("mart_quota_status", quota(**changes))}, rule())
    assert [row.what for row in seen.rows] == [words]


@pytest.mark.parametrize(("chance", "words"), [(0.998, "over 99 %"), (1.0, "100 %"), (0.001, "under 1 %"), (0.414, "41 %")])
def test_only_what_is_certain_is_printed_as_certain(chance, words):
    seen = look({"mart_quota_status": mart("mart_quota_status", quota(breach_probability_ratio=chance))}, rule())
    assert f"(chance of passing it: {words})" in seen.rows[0].lines[2]


def test_a_budget_is_named_by_the_name_of_its_owner_where_one_is_known():
    frames = {"mart_projection": mart("mart_projection", projection(), projection(scope_id="team-b"))}
    seen = look(frames, rule(measure="budget_used_ratio"), names={("team", "team-a"): "Team A", ("user", "team-b"): "Bo"})
    assert [row.scope_name for row in seen.rows] == ["Team A", "team-b"]


def summary(**changes):
    base = {
        "month": NOVEMBER, "through_date": THROUGH, "window": "month", "dimension": "team", "member_id": "team-a",
        "member_name": "Team A", "requests_count": 2000, "errors_count": 50, "active_users_count": 7, "input_tokens": 1000,
        "cache_read_tokens": 250, "total_tokens": 123456, "unpriced_requests_count": 20, "latency_ms_sum": 9000,
        "latency_count": 10, "effective_cost": Decimal("12.345"), "currency": "EUR",
    }  # fmt: skip
    return base | changes


def test_usage_is_looked_at_by_month_by_day_and_by_window():
    frame = mart("mart_summary", summary(), summary(dimension="day", member_id="2026-11-19"))
    if "window" not in frame.columns:
        frame = frame.with_columns(window=pl.lit("month"))
    day = frame.filter(pl.col("dimension") == "team").with_columns(window=pl.lit("day_24h").cast(frame["window"].dtype))
    if "latency_p95_ms" not in frame.columns:
        frame, day = (one.with_columns(latency_p95_ms=pl.lit(870.5)) for one in (frame, day))
    frames = {"mart_summary": pl.concat([frame, day])}
    names = ("effective_cost", "daily_requests_count", "error_ratio", "cache_read_ratio", "latency_average_ms")
    rules = [rule(name=f"r{number}", measure=name, levels=("1",)) for number, name in enumerate(names)]
    seen = {row.measure: row for row in look(frames, *rules).rows}
    assert set(seen) == set(names)
    assert (seen["effective_cost"].printed, seen["effective_cost"].period_end) == ("12.34 EUR", dt.date(2026, 11, 30))
    assert (seen["daily_requests_count"].observed_quantity, seen["daily_requests_count"].period_start) == (2000, THROUGH)
    assert (seen["error_ratio"].observed_quantity, seen["error_ratio"].printed) == (Decimal("2.5"), "2.5 %")
    assert seen["cache_read_ratio"].observed_quantity == 25
    assert seen["latency_average_ms"].printed == "900 ms"
    assert seen["error_ratio"].is_of(rate_rule(name="r", levels=("1",)))
    assert not seen["error_ratio"].is_of(rate_rule(name="r", levels=("1",), window="days_7"))


def test_a_rate_of_no_requests_is_unknown():
    frame = mart("mart_summary", summary(requests_count=0, errors_count=0))
    frame = frame.with_columns(window=pl.lit("day_24h"))
    assert [row.observed_quantity for row in look({"mart_summary": frame}, rate_rule()).rows] == [None]


def test_a_summary_without_windows_is_of_months():
    frame = mart("mart_summary", summary())
    frame = frame.drop("window", strict=False)
    spend = rule(measure="effective_cost", levels=("10",))
    assert [row.observed_quantity for row in look({"mart_summary": frame}, spend).rows] == [Decimal("12.345")]


def anomaly(**changes):
    base = {
        "month": NOVEMBER, "anomaly_id": "a" * 64, "episode_id": "e" * 64, "episode_start_date": dt.date(2026, 11, 17),
        "usage_date": dt.date(2026, 11, 17), "scope_kind": "team", "scope_id": "team-a", "scope_name": "Team A",
        "measure": "effective_cost", "detector": "own_past", "observed_quantity": Decimal(130), "expected_quantity": Decimal(30),
        "excess_quantity": Decimal(100), "currency": "EUR", "excess_cost": Decimal(100), "is_alerting": True,
        "cause_text": "volume +90 EUR, price +10 EUR",
    }  # fmt: skip
    return base | changes


def anomaly_rule(**changes):
    return AlertRule.model_validate(
        {"name": "anomalies", "measure": "anomaly", "scope": {"kind": "team"}, "levels": ("0", "1000"), "channels": ("mail",)}
        | changes
    )


def told_of(book, *rows, handling=None):
    seen = look({"mart_anomalies": mart("mart_anomalies", *rows)}, anomaly_rule(), handling=handling)
    return book.told(*seen.rows, covered=seen.covered)


def test_an_anomaly_is_one_alert_until_somebody_resolves_it():
    book = Remembering(anomaly_rule())
    book.now = NOW
    assert told_of(book, anomaly()) == ["fired 0 EUR"]
    (notice,) = book.notices.values()
    assert notice.title == "Team A: unusual spend on 2026-11-17, 130.00 EUR where 30.00 EUR was expected"
    assert "volume +90 EUR, price +10 EUR" in notice.lines
    next_day = anomaly(anomaly_id="b" * 64, usage_date=dt.date(2026, 11, 18), excess_cost=Decimal(80))
    assert told_of(book, anomaly(), next_day) == [], "the same episode"
    assert told_of(book, anomaly(excess_cost=Decimal(1200)), next_day) == ["fired 1,000 EUR"]
    assert told_of(book, anomaly(), next_day, handling={"e" * 64: Handling("resolved", "known job")}) == ["resolved"]
    settled = {"e" * 64: Handling("resolved", "known job")}
    assert told_of(book, anomaly(excess_cost=Decimal(5000)), next_day, handling=settled) == [], "resolved is resolved"
    assert [notice.lines for notice in book.notices.values() if notice.action == "resolved"] == [("known job",)]
    assert told_of(book, anomaly(), next_day) == ["fired 0 EUR"], "it went on and was opened again"
    assert told_of(book, anomaly(), next_day, handling=settled) == ["resolved"]


def test_an_acknowledged_anomaly_says_no_more():
    book = Remembering(anomaly_rule())
    book.now = NOW
    told_of(book, anomaly())
    grown = anomaly(excess_cost=Decimal(5000))
    assert told_of(book, grown, handling={"a" * 64: Handling("acknowledged")}) == []
    assert told_of(book, grown) == []


def test_a_suppressed_anomaly_is_not_told_and_one_that_is_explained_later_is_corrected():
    book = Remembering(anomaly_rule())
    book.now = NOW
    suppressed = anomaly(is_alerting=False, suppressed_by="price change")
    assert told_of(book, suppressed) == []
    assert told_of(book, anomaly()) == ["fired 0 EUR"]
    assert told_of(book, suppressed) == ["corrected 0 EUR"]
    assert told_of(book, anomaly(is_alerting=False)) == [], "a ranked one is no alert"


def test_an_anomaly_that_is_restated_away_is_corrected_and_one_that_is_old_is_resolved():
    book = Remembering(anomaly_rule())
    book.now = NOW
    told_of(book, anomaly())
    assert told_of(book) == ["corrected 0"]
    told_of(book, anomaly())
    book.now += dt.timedelta(days=40)
    assert told_of(book, anomaly()) == ["resolved"]


def test_an_anomaly_without_money_counts_as_none():
    book = Remembering(anomaly_rule(levels=("10",)), anomaly_rule(name="every", levels=("0",)))
    book.now = NOW
    errors = anomaly(
        measure="error_ratio",
        currency=None,
        excess_cost=None,
        observed_quantity=Decimal("0.25"),
        expected_quantity=Decimal("0.01"),
    )
    assert told_of(book, errors) == ["fired 0"]
    assert "unusual error on 2026-11-17, 25 % where 1 % was expected" in next(iter(book.notices.values())).title


def quality(**changes):
    return {
        "month": NOVEMBER,
        "source": "gateway",
        "source_kind": "litellm",
        "days_missing_count": 2,
        "last_date": THROUGH,
    } | changes


def test_a_source_is_as_late_as_its_newest_delivery_in_any_month_and_is_never_frozen():
    frame = mart(
        "mart_data_quality",
        quality(month=OCTOBER, last_received_at="2026-10-31T08:00:00Z"),
        quality(last_received_at=None),
        quality(source="bill", last_received_at="2026-11-20T07:30:00Z"),
    )
    late = rule(name="late", measure="data_late_hours", scope={"kind": "source"}, levels=("48",))
    seen = look({"mart_data_quality": frame}, late, late_sources=frozenset({"gateway"}))
    assert [(row.scope_id, row.observed_quantity, row.printed) for row in seen.rows] == [
        ("bill", Decimal("0.5"), "0 hours"),
        ("gateway", 480, "480 hours"),
    ]
    book = Remembering(late)
    (notice,) = book.look(*seen.rows)
    assert notice.title == "gateway: time since the newest delivery is 480 hours, above 48 hours"


def pool(**changes):
    base = {
        "month": NOVEMBER, "through_date": THROUGH, "pool_id": "main", "token_kind": "inference", "purchased_tokens": 1000,
        "purchased_monthly_tokens": 100, "assigned_tokens": 120, "used_tokens": 910, "remaining_tokens": 90,
    }  # fmt: skip
    return base | changes


def test_pools_are_watched_by_use_assignment_and_runway():
    frame = mart("mart_pools", pool())
    names = ("pool_used_ratio", "pool_assigned_ratio", "pool_runway_days")
    rules = [rule(name=f"r{number}", measure=name, scope={"kind": "pool"}, levels=("30",)) for number, name in enumerate(names)]
    seen = {row.measure: row.observed_quantity for row in look({"mart_pools": frame}, *rules).rows}
    assert seen["pool_used_ratio"] == 91
    assert seen["pool_assigned_ratio"] in (120, 12)
    runway = frame.with_columns(runway_date=pl.lit(THROUGH + dt.timedelta(days=12)))
    seen = {row.measure: row for row in look({"mart_pools": runway}, *rules).rows}
    assert seen["pool_runway_days"].printed == "12 days"
    book = Remembering(rules[2])
    assert book.told(seen["pool_runway_days"]) == ["fired 30 days"]
