"""The traffic looks like people and services, not like a random number generator."""

import datetime as dt
from collections import Counter, defaultdict
from decimal import Decimal
from random import Random
from statistics import mean, median, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage_etl.demo.directory_files import planned_budgets
from usage_etl.demo.features import FEATURES
from usage_etl.demo.hours import instant
from usage_etl.demo.models import MODELS
from usage_etl.demo.organization import RUNAWAY_TEAM, build_organization
from usage_etl.demo.rates import RateCard
from usage_etl.demo.scenario import Scenario
from usage_etl.demo.sizes import compacted, log_normal, request_size
from usage_etl.demo.truth import Truth, dollars


@pytest.fixture(scope="module")
def truth(scenario, traffic):
    found, card = Truth(), RateCard(scenario)
    for day, requests in traffic.items():
        found.add(requests, card=card, day=day)
    return found


def test_thirty_features_in_seven_products_fourteen_models_of_four_providers():
    assert (len(FEATURES), len({feature.product_id for feature in FEATURES})) == (30, 7)
    assert (len(MODELS), len({model.provider for model in MODELS.values()})) == (14, 4)
    assert {name for feature in FEATURES for name, _ in feature.models} == set(MODELS)


def test_every_feature_and_model_is_used(traffic):
    requests = [request for day in traffic.values() for request in day]
    assert {request.feature.feature_id for request in requests if request.feature} == {feature.feature_id for feature in FEATURES}
    assert {request.model.key for request in requests} == {*MODELS, "internal-llama-ft"}


def test_people_are_bursty(scenario, traffic):
    active = defaultdict(Counter)
    for day, requests in traffic.items():
        for request in requests:
            if request.person is not None:
                active[request.user_id][day] += 1
    idle = [1 - len(days) / scenario.days_count for days in active.values()]
    assert 0.3 < median(idle) < 0.5
    assert sum(0.12 <= share <= 0.68 for share in idle) > 0.9 * len(idle)
    whole = [[*days.values(), *[0] * (scenario.days_count - len(days))] for days in active.values()]
    assert median(pstdev(series) / mean(series) for series in whole) > 1.1


def test_teams_prefer_different_models(traffic):
    favourites = defaultdict(Counter)
    for requests in traffic.values():
        for request in requests:
            favourites[request.key.team_id][request.model.key] += 1
    assert len({counts.most_common(1)[0][0] for counts in favourites.values()}) >= 5


def test_weekends_dip_and_use_grows(scenario, truth):
    by_day = truth.requests
    weekend = mean(count for day, count in by_day.items() if day.weekday() >= 5)
    weekday = mean(count for day, count in by_day.items() if day.weekday() < 5)
    assert weekend < 0.45 * weekday
    days = sorted(day for day in by_day if day.weekday() < 5 and day not in scenario.runaway_days)
    assert mean(by_day[day] for day in days[-10:]) > 1.1 * mean(by_day[day] for day in days[:10])


def test_the_runaway_is_plain_in_money(scenario, truth):
    month = str(scenario.current_month)
    assert truth.runaway > sum(cost for (_, of), cost in truth.teams.items() if of == month) / 10
    assert truth.runaway > truth.teams[RUNAWAY_TEAM, month] / 2


def test_the_runaway_is_one_key_of_one_team_on_two_days(demo):
    runaway = demo.summary.runaway
    rows = [row for row in demo.newest.values() if row["api_key"] == runaway.api_key_id]
    assert len(rows) >= runaway.requests_count
    assert {row["startTime"][:10] for row in rows} == {str(day) for day in runaway.days}
    assert {row["team_id"] for row in rows} == {runaway.team_id}


def test_the_organisation_heads_for_six_percent_over_and_one_team_is_over(scenario, truth):
    month = str(scenario.current_month)
    budgets = {budget.scope_id: budget.monthly_budget for budget in planned_budgets(scenario, truth)}
    spent = {team: dollars(cost) for (team, of), cost in truth.teams.items() if of == month}
    usual = sum(spent.values()) - dollars(truth.runaway)
    weights = [Decimal("0.28") if day.weekday() >= 5 else Decimal(1) for day in scenario.current_month.days()]
    expected = usual / sum(weights[: scenario.as_of.day]) * sum(weights) + dollars(truth.runaway)
    assert Decimal("1.05") < expected / budgets["northwind"] < Decimal("1.07")
    assert [team for team, budget in budgets.items() if spent.get(team, 0) > budget] == [RUNAWAY_TEAM]


def test_the_mover_uses_each_teams_key_in_its_time(demo):
    summary = demo.summary
    teams = defaultdict(set)
    for row in demo.newest.values():
        if row["user"] == summary.mover_user_id:
            teams[row["startTime"][:10] >= str(summary.scenario.team_move)].add(row["team_id"])
    assert (teams[False], teams[True]) == ({summary.mover_teams[0]}, {summary.mover_teams[1]})


def test_a_rotated_key_falls_silent_when_its_successor_speaks(demo):
    old, new = demo.summary.rotated_key_ids
    days = defaultdict(set)
    for row in demo.newest.values():
        days[row["api_key"]].add(row["startTime"][:10])
    assert max(days[old]) < str(demo.summary.scenario.key_rotation) == min(days[new])


def test_strangers_are_in_no_directory_and_stay_unallocated(demo):
    folder, summary = demo.folder / "directory", demo.summary
    assert summary.stranger_user_id not in (folder / "users.csv").read_text(encoding="utf-8")
    assert summary.stranger_key_id not in (folder / "api_keys.csv").read_text(encoding="utf-8")
    assert any(row["user"] == summary.stranger_user_id for row in demo.newest.values())
    assert summary.usage.team_cost["unallocated", str(summary.scenario.previous_month)] > 0


def test_an_outage_fails_one_provider_for_an_afternoon(scenario, traffic):
    afternoon = [r for r in traffic[scenario.outage] if 14 <= r.started_us // 3_600_000_000 % 24 < 17]
    share = {name: mean(r.failure is not None for r in afternoon if r.model.provider == name) for name in ("anthropic", "openai")}
    assert share["anthropic"] > 0.15
    assert share["openai"] < 0.08


def test_totals_by_team_model_and_feature_are_one_total(demo):
    usage = demo.summary.usage
    totals = [sum(amounts.values()) for amounts in (usage.provider_cost, usage.team_cost, usage.model_cost, usage.feature_cost)]
    assert len(set(totals)) == 1


def test_a_month_costs_what_a_company_of_this_size_pays(scenario, truth):
    month = str(scenario.previous_month)
    assert 15_000 < sum(dollars(cost) for (_, of), cost in truth.providers.items() if of == month) < 30_000


@given(feature=st.sampled_from(FEATURES), number=st.integers(0, 10**6), carried=st.integers(0, 500_000), is_warm=st.booleans())
def test_a_request_holds_what_it_carries_and_reasons_within_its_answer(feature, number, carried, is_warm):
    for name, _ in feature.models:
        size = request_size(Random(number), feature, MODELS[name], carried_tokens=carried, is_warm=is_warm)
        assert min(size.tokens) >= 0
        assert 0 <= size.reasoning_tokens <= size.tokens[4]
        if MODELS[name].operation != "aembedding":
            assert sum(size.tokens[:4]) > carried


@given(context=st.integers(0, 10**7), number=st.integers(0, 10**6))
def test_compaction_never_grows_a_context(context, number):
    agent = next(feature for feature in FEATURES if feature.feature_id == "code-agent")
    assert compacted(Random(number), agent, context) <= max(context, 1)


def test_sizes_of_nothing_are_nothing():
    assert log_normal(Random(1), 0, 0.5) == 0


def test_office_hours_follow_the_place():
    day = dt.date(2026, 10, 14)
    random = Random(5)
    hours = {
        zone: median(instant(random, zone=zone, day=day, hours="office") // 3_600_000_000 % 24 for _ in range(300))
        for zone in ("Asia/Kolkata", "Europe/Berlin", "America/New_York")
    }
    assert hours["Asia/Kolkata"] < hours["Europe/Berlin"] < hours["America/New_York"]


def test_the_same_seed_is_the_same_organisation_and_another_seed_another():
    as_of = dt.date(2026, 11, 19)
    first, again, other = (build_organization(Scenario.of(seed=seed, days=95, as_of=as_of)) for seed in (1, 1, 2))
    assert first == again
    assert [person.name for person in first.people] != [person.name for person in other.people]
    assert (len(first.people), len(first.teams), len({team.department_id for team in first.teams})) == (152, 12, 3)
    assert len({person.email for person in first.people}) == len(first.people)
