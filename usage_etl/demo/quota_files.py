"""Quotas and purchased tokens of the demo: one person over her allocation, one near it, one team on its way past its limit."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from usage_etl.demo.csv_text import csv_text
from usage_etl.demo.organization import DIRECTORY_START, ORGANIZATION_ID, RUNAWAY_TEAM, Organization, owner_of
from usage_etl.demo.requests import Request
from usage_etl.demo.scenario import Scenario
from usage_etl.periods import Month

EMBEDDING_OPERATION = "aembedding"
_QUOTA_COLUMNS = (
    "scope_kind", "scope_id", "measure", "period_kind", "limit_quantity", "currency", "enforcement", "valid_from", "valid_to",
)  # fmt: skip
_PURCHASE_COLUMNS = (
    "purchase_id", "pool_id", "scope_kind", "scope_id", "token_kind", "purchased_tokens", "renewal", "valid_from", "valid_to",
)  # fmt: skip


@dataclass(frozen=True)
class QuotaStory:
    """Who stands where in the current month: what the pipeline must find."""

    over_user_id: str
    near_user_id: str
    breaching_team_id: str


def quota_files(
    scenario: Scenario, organization: Organization, by_day: Mapping[dt.date, Sequence[Request]]
) -> tuple[dict[str, str], QuotaStory]:
    """File name to text of quotas.csv and entitlements.csv, and the story that they tell."""
    users, teams, kinds = _tokens(scenario, by_day)
    people = sorted(person.user_id for person in organization.people)
    busiest = sorted(people, key=lambda user: (-users[user], user))
    busy_teams = sorted((team for team in teams if team.startswith("team-")), key=lambda team: (-teams[team], team))
    story = QuotaStory(busiest[0], busiest[1], next((team for team in busy_teams if team != RUNAWAY_TEAM), RUNAWAY_TEAM))
    usual = _nice(users[busiest[0]] * 3 // 2)
    allocations = dict.fromkeys(people, usual)
    allocations |= {story.over_user_id: _nice(users[story.over_user_id] * 4 // 5)}
    allocations |= {story.near_user_id: _nice(users[story.near_user_id] * 10 // 9)}
    so_far = teams[story.breaching_team_id]
    team_limit = _nice((so_far + _month_end(scenario, so_far)) // 2)
    quotas = csv_text(_QUOTA_COLUMNS, _quotas(allocations, story, team_limit))
    inference = sum(allocations.values()) * 9 // 10  # more is promised than was bought, as many do
    purchases = csv_text(_PURCHASE_COLUMNS, _purchases(scenario, inference, _month_end(scenario, kinds["embedding"])))
    return {"quotas.csv": quotas, "entitlements.csv": purchases}, story


def _tokens(scenario: Scenario, by_day: Mapping[dt.date, Sequence[Request]]) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Of the current month: inference tokens by user, all tokens by team, tokens by kind."""
    users, teams, kinds = Counter[str](), Counter[str](), Counter[str]()
    for day, requests in by_day.items():
        if Month.of(day) != scenario.current_month:
            continue
        for request in requests:
            tokens = sum(request.tokens) if request.has_usage else 0
            kind = "embedding" if request.model.operation == EMBEDDING_OPERATION else "inference"
            kinds[kind] += tokens
            teams[owner_of(request.person, request.key, day)] += tokens
            if kind == "inference":
                users[request.user_id] += tokens
    return users, teams, kinds


def _quotas(allocations: Mapping[str, int], story: QuotaStory, team_limit: int) -> Iterator[tuple[object, ...]]:
    span = (DIRECTORY_START, None)
    for user, tokens in allocations.items():
        enforcement = "hard" if user == story.over_user_id else "soft"
        yield "user", user, "inference_tokens", "calendar_month", tokens, None, enforcement, *span
    yield "team", story.breaching_team_id, "total_tokens", "calendar_month", team_limit, None, "soft", *span


def _purchases(scenario: Scenario, inference: int, embedding: int) -> Iterator[tuple[object, ...]]:
    pool = ("enterprise", "organization", ORGANIZATION_ID)
    start = Month.of(scenario.first_day).first_day
    yield "PO-4711", *pool, "inference", _nice(inference), "calendar_month", start, None
    yield "PO-4712", *pool, "embedding", _nice(embedding * 9), "once", start, start.replace(year=start.year + 1)


def _month_end(scenario: Scenario, so_far: int) -> int:
    """What the month comes to by a straight line."""
    return so_far * scenario.current_month.days_count // scenario.as_of.day


def _nice(tokens: int) -> int:
    """Two digits that mean something, as people write limits; never 0."""
    step = int("1".ljust(max(1, len(str(tokens)) - 1), "0"))
    return max(1, tokens // step * step)
