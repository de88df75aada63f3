"""The pipeline finds in the demo's files what is true of them: to the last digit, to the row, to the day."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal

import polars as pl

from tests.acceptance.installation import Installation
from usage_etl.demo import DemoSummary
from usage_etl.demo.dirt import HTML_ERROR_PAGE
from usage_etl.demo.models import MODELS, SELF_HOSTED
from usage_etl.demo.rates import DISCOUNT_PCT, DISCOUNTED_MODEL, RateCard
from usage_etl.demo.requests import Request
from usage_etl.demo.truth import dollars
from usage_etl.periods import Month
from usage_etl.schemas import (
    BILLING_CHARGES,
    DIM_API_KEY,
    DIM_PRICE,
    FACT_CHARGES_MONTHLY,
    FACT_DELIVERIES_DAILY,
    FACT_USAGE_DAILY,
    FACT_USAGE_HOURLY,
    FACT_USAGE_MONTHLY,
    MART_ANOMALIES,
    MART_CHARGEBACK_MONTHLY,
    MART_DATA_QUALITY,
    MART_OUTCOMES,
    MART_RECONCILIATION_MONTHLY,
    MART_SUMMARY,
    USAGE_EVENTS,
    USAGE_EVENTS_QUARANTINE,
)
from usage_etl.schemas.summary import of_window

Traffic = Mapping[dt.date, list[Request]]


def sums(rows: Iterable[tuple[object, ...]]) -> dict[object, Decimal]:
    """Key to exact sum of its amounts, from rows that end with an amount. Keys whose every amount is null are absent."""
    found: defaultdict[object, Decimal] = defaultdict(Decimal)
    for *key, amount in rows:
        if amount is not None:
            found[tuple(key)] += amount
    return dict(found)


def monthly(frame: pl.DataFrame, member: str, amount: str = "effective_cost") -> dict[object, Decimal]:
    """(member, YYYY-MM) to exact sum, members without any amount left out."""
    return sums(frame.select(pl.col(member).fill_null(""), pl.col("month").dt.strftime("%Y-%m"), amount).iter_rows())


def cost_of(requests: Iterable[Request], truth: DemoSummary) -> Decimal:
    """Dollars at the prices that were agreed on."""
    card = RateCard(truth.scenario)
    priced = (request for request in requests if request.is_priced)
    return dollars(sum(card.rates(item.model, item.day, item.processing, item.input_tokens).cost(item.tokens) for item in priced))


def test_costs_by_provider_team_model_and_feature_are_exact(northwind: Installation, truth: DemoSummary) -> None:
    facts = northwind.table(FACT_USAGE_MONTHLY)
    assert monthly(facts, "provider") == dict(truth.usage.provider_cost)
    assert monthly(facts, "team_id") == dict(truth.usage.team_cost)
    assert monthly(facts, "model_id") == dict(truth.usage.model_cost)
    assert monthly(facts, "feature_id") == dict(truth.usage.feature_cost)


def test_rollups_are_exact_in_every_dimension(northwind: Installation, truth: DemoSummary) -> None:
    summary = of_window(northwind.table(MART_SUMMARY))

    def members(dimension: str) -> dict[object, Decimal]:
        """Members with cost in the month; one of the month before only has cost 0."""
        rows = summary.filter(pl.col("dimension") == dimension, pl.col("requests_count") > 0)
        return monthly(rows.with_columns(pl.col("member_id").replace("(none)", "")), "member_id")

    assert members("provider") == dict(truth.usage.provider_cost)
    assert members("team") == dict(truth.usage.team_cost)
    assert members("feature") == dict(truth.usage.feature_cost)
    by_model = {(f"{MODELS[model].provider}/{model}", month): cost for (model, month), cost in truth.usage.model_cost.items()}
    assert members("model") == by_model
    months: Counter[str] = Counter()
    for (_, month), cost in truth.usage.provider_cost.items():
        months[month] += cost  # type: ignore[assignment] # a counter of decimals
    assert {month: cost for (_, month), cost in members("organization").items()} == dict(months)


def test_requests_of_every_day_are_counted_once(northwind: Installation, truth: DemoSummary) -> None:
    wanted = {day: count for day, count in truth.usage.requests_by_day.items() if count}
    for table in (USAGE_EVENTS, FACT_USAGE_HOURLY, FACT_USAGE_DAILY):
        counts = northwind.table(table).group_by("usage_date").agg(pl.col("requests_count").sum())
        assert dict(counts.iter_rows()) == wanted, table.name
    assert northwind.table(USAGE_EVENTS).height == truth.usage.requests_count


def test_kinds_of_requests_are_told_apart(northwind: Installation, truth: DemoSummary) -> None:
    facts, kinds = northwind.table(FACT_USAGE_MONTHLY), truth.usage.kinds
    blocked = facts.filter(pl.col("status") == "blocked")["requests_count"].sum()
    assert facts["errors_count"].sum() + blocked == kinds["failed"]
    assert blocked > 0
    assert facts["cache_hits_count"].sum() == kinds["cache_hits"]
    assert facts["usage_missing_count"].sum() == kinds["without_usage"]
    assert facts.filter(pl.col("processing") == "batch")["requests_count"].sum() == kinds["batch"]
    events = northwind.table(USAGE_EVENTS)
    attempts = events.filter(pl.col("call_id").is_not_null()).group_by("usage_date", "call_id").len()
    assert attempts.filter(pl.col("len") > 1).height == kinds["retried"]
    billed_failures = events.filter((pl.col("errors_count") > 0) & (pl.col("effective_cost") > 0))
    assert billed_failures.height == kinds["failed_midway"]


def test_bills_and_credits_are_exact(northwind: Installation, truth: DemoSummary) -> None:
    charges = northwind.table(FACT_CHARGES_MONTHLY)
    usage = charges.filter(pl.col("charge_category") == "Usage")
    granted = charges.filter(pl.col("charge_category") == "Credit")
    assert monthly(usage, "provider_name", "billed_cost") == dict(truth.billing.usage)
    assert monthly(granted, "provider_name", "billed_cost") == dict(truth.billing.credits)
    assert charges.height == usage.height + granted.height
    assert set(northwind.table(BILLING_CHARGES)["billing_currency"]) == {"USD"}


def test_what_bypassed_the_gateway_is_named_to_the_last_digit(northwind: Installation, truth: DemoSummary) -> None:
    tie_out = northwind.table(MART_RECONCILIATION_MONTHLY)
    gross = tie_out.filter(pl.col("billed_cost").is_not_null()).with_columns(
        gross_cost=pl.col("billed_cost") - pl.col("credits_cost")
    )
    assert monthly(gross, "provider_name", "gross_cost") == dict(truth.billing.usage)
    bypassed = monthly(tie_out, "provider_name", "bypassed_gateway_cost")
    assert {key: cost for key, cost in bypassed.items() if cost} == {
        key: cost for key, cost in truth.billing.unexplained.items() if cost
    }
    granted = monthly(tie_out, "provider_name", "credits_cost")
    assert {key: cost for key, cost in granted.items() if cost} == dict(truth.billing.credits)
    assert not any(tie_out["unexplained_cost"])
    assert set(tie_out.filter(pl.col("bypassed_gateway_cost") > 0)["tie_out_status"]) == {"explained"}


def test_owners_pay_at_most_the_tolerance_of_what_bypassed_the_gateway(northwind: Installation, truth: DemoSummary) -> None:
    lines = northwind.table(MART_CHARGEBACK_MONTHLY).filter(pl.col("line_kind") == "unexplained")
    charged = monthly(lines, "provider_name", "allocated_cost")
    unexplained = {key: cost for key, cost in truth.billing.unexplained.items() if cost}
    assert charged.keys() == unexplained.keys()
    for key, cost in unexplained.items():
        logged = truth.billing.usage[key] - cost
        assert cost - logged * Decimal("0.005") - Decimal("0.05") <= charged[key] <= cost + Decimal("0.05")


def test_refused_lines_are_kept_with_reason_and_text(northwind: Installation, truth: DemoSummary) -> None:
    rows = northwind.table(USAGE_EVENTS_QUARANTINE)
    kept, whole = rows.filter(pl.col("raw_ordinal") > 0), rows.filter(pl.col("raw_ordinal") == 0)
    assert kept.height == truth.quarantined_count
    assert [reasons.partition(":")[0] for reasons in whole["reasons"]] == ["file__refused"]
    by_reason: defaultdict[str, list[str]] = defaultdict(list)
    for reasons, text in kept.select("reasons", "raw_text").iter_rows():
        by_reason[reasons].append(text)
    unreadable = by_reason.pop("line__not_a_json_object")
    assert len(unreadable) == truth.dirt["garbage_lines"] + truth.dirt["truncated_lines"]
    assert sum("connection reset by peer" in text for text in unreadable) == 1
    without_start = by_reason.pop("startTime__missing")
    assert len(without_start) == truth.dirt["missing_start_time"]
    assert all(text.startswith("{") and "startTime" not in text for text in without_start)
    (as_text,) = by_reason.pop("prompt_tokens__not_a_count")
    assert '"prompt_tokens":"n/a"' in as_text
    ((reasons, (negative,)),) = by_reason.items()
    assert "prompt_tokens__out_of_range" in reasons
    assert '"prompt_tokens":-' in negative
    assert kept["raw_ordinal"].min() > 0


def test_a_file_that_is_no_log_is_refused_whole_and_kept(northwind: Installation, truth: DemoSummary) -> None:
    refused = [item for item in northwind.workspace.index.deliveries("gateway") if item.status == "refused"]
    assert len(refused) == truth.dirt["refused_files"]
    assert "not JSON lines" in (refused[0].status_reason or "")
    assert northwind.workspace.store.read(refused[0].landed_key) == HTML_ERROR_PAGE.encode()


def test_copies_are_counted_as_duplicates_once_each(northwind: Installation, truth: DemoSummary) -> None:
    by_day = northwind.table(FACT_DELIVERIES_DAILY).filter(pl.col("source") == "gateway")
    assert by_day["duplicate_count"].sum() == truth.dirt["repeated_rows"] + truth.dirt["updated_rows"]
    deliveries = northwind.workspace.index.deliveries("gateway")
    (again,) = [item for item in deliveries if item.status == "duplicate"]
    assert again.origin_key.endswith("_redelivered.jsonl.gz")
    assert again.rows_read_count == truth.dirt["redelivered_rows"]


def test_every_line_of_every_log_is_accounted_for(northwind: Installation, truth: DemoSummary) -> None:
    deliveries = northwind.workspace.index.deliveries("gateway")
    assert sum(item.rows_read_count or 0 for item in deliveries) == truth.written.log_lines_count
    assert truth.written.log_lines_count == truth.usage.requests_count + truth.duplicates_count + truth.quarantined_count
    quality = northwind.table(MART_DATA_QUALITY).filter(pl.col("source") == "gateway")
    # What staged nothing counts in the month in which it was received, which is the day on which the tests run.
    received = {Month.of(item.received_at.date()).first_day for item in deliveries}
    is_in_a_mart = received <= set(quality["month"])
    repeated = 0 if is_in_a_mart else truth.dirt["redelivered_rows"]
    assert quality["rows_read_count"].sum() == truth.written.log_lines_count - repeated
    assert quality["rows_loaded_count"].sum() == truth.usage.requests_count
    assert quality["rows_duplicate_count"].sum() == truth.duplicates_count - repeated
    assert quality["rows_quarantined_count"].sum() == truth.quarantined_count
    assert quality["refused_deliveries_count"].sum() == (truth.dirt["refused_files"] if is_in_a_mart else 0)


def test_who_changes_team_costs_each_team_its_own_days(northwind: Installation, truth: DemoSummary, traffic: Traffic) -> None:
    own = {day: [request for request in requests if request.user_id == truth.mover_user_id] for day, requests in traffic.items()}
    before, after = truth.mover_teams
    wanted = {
        (day, before if day < truth.scenario.team_move else after): cost_of(requests, truth)
        for day, requests in own.items()
        if any(request.is_priced for request in requests)
    }
    facts = northwind.table(FACT_USAGE_DAILY).filter(pl.col("user_id") == truth.mover_user_id)
    assert sums(facts.select("usage_date", "team_id", "effective_cost").iter_rows()) == wanted
    assert {team for _, team in wanted} == {before, after}


def test_a_rotated_key_is_two_keys_of_one_team(northwind: Installation, truth: DemoSummary, traffic: Traffic) -> None:
    old, new = truth.rotated_key_ids
    facts = northwind.table(FACT_USAGE_DAILY).filter(pl.col("api_key_id").is_in([old, new]))
    days = {key: set(rows["usage_date"]) for (key,), rows in facts.group_by("api_key_id")}
    assert max(days[old]) < truth.scenario.key_rotation <= min(days[new])
    everything = [request for requests in traffic.values() for request in requests]
    for key in (old, new):
        cost = facts.filter(pl.col("api_key_id") == key)["effective_cost"].sum()
        assert cost == cost_of((request for request in everything if request.key.key_id == key), truth)
    directory = northwind.table(DIM_API_KEY).filter(pl.col("api_key_id").is_in([old, new]))
    assert directory["team_id"].n_unique() == 1
    assert set(facts.filter(pl.col("owner_basis") == "api_key")["team_id"]) == set(directory["team_id"])


def test_the_stranger_is_unallocated_and_nothing_else_is(northwind: Installation, truth: DemoSummary, traffic: Traffic) -> None:
    facts = northwind.table(FACT_USAGE_DAILY)
    unowned = facts.filter(pl.col("team_id") == "unallocated")
    assert set(unowned["user_id"]) == {truth.stranger_user_id}
    assert set(unowned["api_key_id"]) == {truth.stranger_key_id}
    assert set(unowned["owner_basis"]) == {"unallocated"}
    assert facts.filter(pl.col("user_id") == truth.stranger_user_id).equals(unowned)
    requests = [request for day in traffic.values() for request in day if request.key.key_id == truth.stranger_key_id]
    assert unowned["effective_cost"].sum() == cost_of(requests, truth) > 0


def test_the_runaway_is_found_with_its_days_key_and_team(northwind: Installation, truth: DemoSummary) -> None:
    runaway = truth.runaway
    assert runaway is not None
    found = northwind.table(MART_ANOMALIES).filter(pl.col("top_api_key_id") == runaway.api_key_id)
    team = found.filter(pl.col("scope_kind") == "team")
    assert {(day, name) for day, name in team.select("usage_date", "scope_id").iter_rows()} == {
        (day, runaway.team_id) for day in runaway.days
    }
    organization = found.filter(pl.col("scope_kind") == "organization")
    assert runaway.days[0] in set(organization["usage_date"]) <= set(runaway.days)
    assert abs(team["excess_cost"].sum() - runaway.cost) < runaway.cost / 20
    facts = northwind.table(FACT_USAGE_DAILY).filter(pl.col("api_key_id") == runaway.api_key_id)
    assert facts["effective_cost"].sum() == runaway.cost
    assert facts.filter(pl.col("price_status") == "priced")["requests_count"].sum() == runaway.requests_count
    in_month = northwind.table(MART_ANOMALIES).filter(pl.col("month") == Month.of(runaway.days[0]).first_day)
    dearest = in_month.sort("excess_cost", descending=True, nulls_last=True).row(0, named=True)
    assert dearest["top_api_key_id"] == runaway.api_key_id


def test_a_model_without_price_is_counted_and_never_free(northwind: Installation, truth: DemoSummary) -> None:
    facts = northwind.table(FACT_USAGE_MONTHLY).filter(pl.col("model_id") == SELF_HOSTED.key)
    asked = facts.filter(pl.col("price_status") == "unpriced")
    assert asked["requests_count"].sum() == truth.usage.kinds["unpriced"] > 0
    assert facts["effective_cost"].null_count() == facts.height
    assert facts["price_id"].null_count() == facts.height
    models = of_window(northwind.table(MART_SUMMARY)).filter(pl.col("dimension") == "model")
    shown = models.filter(pl.col("member_name") == SELF_HOSTED.key)
    assert shown["effective_cost"].to_list() == [None]
    assert shown["unpriced_requests_count"].to_list() == [truth.usage.kinds["unpriced"]]
    without_price = truth.usage.kinds["unpriced"] + truth.usage.kinds["without_usage"]
    assert models["unpriced_requests_count"].sum() == without_price


def test_a_new_price_is_another_price_id(northwind: Installation, truth: DemoSummary) -> None:
    prices = {row["price_id"]: row for row in northwind.table(DIM_PRICE).iter_rows(named=True)}
    facts = northwind.table(FACT_USAGE_DAILY).filter(
        (pl.col("model_id") == DISCOUNTED_MODEL) & (pl.col("price_status") == "priced") & (pl.col("processing") == "standard")
    )
    is_before = pl.col("usage_date") < truth.scenario.contract_start
    (old,), (new,) = (set(facts.filter(part)["price_id"]) for part in (is_before, ~is_before))
    assert old != new
    assert prices[old]["price_source"] == "genai-prices"
    assert prices[new]["price_source"] == "contract"
    for rate in ("input_uncached_per_mtok", "cache_read_per_mtok", "output_per_mtok"):
        assert prices[new][rate] == prices[old][rate] * (100 - DISCOUNT_PCT) / 100
    assert set(northwind.table(FACT_USAGE_DAILY)["price_id"].drop_nulls()) <= prices.keys()


def test_a_late_file_is_in_its_own_day(northwind: Installation, truth: DemoSummary) -> None:
    late = [item for item in northwind.workspace.index.deliveries("gateway") if "_late_" in item.origin_key]
    assert [item.rows_read_count for item in late] == [truth.dirt["late_rows"]]
    days = northwind.table(FACT_DELIVERIES_DAILY).filter(pl.col("delivery_id") == late[0].delivery_id)
    assert days["usage_date"].to_list() == [truth.scenario.late_day]
    assert days["loaded_count"].to_list() == [truth.dirt["late_rows"]]


def test_outcomes_of_a_feature_are_told_beside_its_cost(northwind: Installation) -> None:
    rows = northwind.table(MART_OUTCOMES).sort("month")
    assert set(rows["scope_id"]) == {"ticket-suggest"}
    newest, complete = rows.row(-1, named=True), rows.filter(pl.col("outcomes_count").is_not_null()).row(0, named=True)
    assert (newest["outcomes_count"], newest["cost_per_outcome"], newest["net_value"]) == (None, None, None)
    assert newest["effective_cost"] > 0
    assert complete["net_value"] == complete["outcomes_count"] * Decimal("1.40") - complete["effective_cost"]
    features = of_window(northwind.table(MART_SUMMARY)).filter(pl.col("dimension") == "feature")
    by_month = dict(features.filter(member_id="ticket-suggest").select("month", "effective_cost").iter_rows())
    assert dict(rows.select("month", "effective_cost").iter_rows()) == {month: by_month[month] for month in rows["month"]}
