"""Northwind AI Systems: departments, teams, people and API keys, each with the span of days in which it is true."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from random import Random

from usage_etl.demo.features import FEATURES, Feature
from usage_etl.demo.names import FIRST_NAMES, LAST_NAMES
from usage_etl.demo.scenario import Scenario
from usage_etl.units import UNALLOCATED

ORGANIZATION_ID = "northwind"
ORGANIZATION_NAME = "Northwind AI Systems"
EMAIL_DOMAIN = "northwind.example.com"
DIRECTORY_START = dt.date(2026, 1, 1)


@dataclass(frozen=True)
class Team:
    """One team, its place in the organisation, and where its people sit."""

    team_id: str
    name: str
    department_id: str
    department_name: str
    cost_center_id: str
    cost_center_name: str
    people_count: int
    zone: str
    has_code_agent: bool = False


@dataclass(frozen=True)
class Person:
    """One person: where she works when, and how she uses AI."""

    user_id: str
    name: str
    email: str
    teams: tuple[tuple[str, dt.date, dt.date | None], ...]
    """(team_id, first day, first day no longer) in order."""
    idle_share: float
    """Share of days without a single request."""
    weekend_ratio: float
    """Chance to work on a weekend day, relative to a weekday."""
    volume: float
    """Sessions on a usual active day."""
    away: tuple[dt.date, dt.date]
    """Holiday: first day, first day back."""
    favourite: str
    """Model she asks for where she may choose."""

    def team_on(self, day: dt.date) -> str | None:
        """Team on ``day``; None before the first and after the last."""
        return next((team for team, start, end in self.teams if start <= day and (end is None or day < end)), None)


@dataclass(frozen=True)
class ApiKey:
    """One gateway key. ``key_id`` is the hash that logs carry; None as end is open."""

    alias: str
    team_id: str
    valid_from: dt.date
    valid_to: dt.date | None = None
    is_listed: bool = True
    """Whether the directory knows it."""
    shared_with: tuple[str, int] | None = None
    """Another team, and the percent that it pays: less than half, so usage shows ``team_id``."""

    @property
    def owners(self) -> tuple[tuple[str, int | None], ...]:
        """Who pays which percent, main owner first; None is all of it."""
        if self.shared_with is None:
            return ((self.team_id, None),)
        other, percent = self.shared_with
        return ((self.team_id, 100 - percent), (other, percent))

    def is_valid_on(self, day: dt.date) -> bool:
        """Whether the key works on ``day``."""
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)

    @cached_property
    def key_id(self) -> str:
        """Hash that stands in logs and directories."""
        return hashlib.sha256(f"sk-{self.alias}-{self.valid_from}".encode()).hexdigest()


@dataclass(frozen=True)
class Organization:
    """Everyone and every key, as they really are; the directory files are written from it."""

    teams: tuple[Team, ...]
    people: tuple[Person, ...]
    keys: tuple[ApiKey, ...]
    mover: Person
    """Who changes team mid-month."""
    stranger_key: ApiKey
    stranger_user_id: str
    """Key and user that no directory knows."""
    _keys_by_alias: dict[str, tuple[ApiKey, ...]] = field(repr=False, default_factory=dict)

    def team(self, team_id: str) -> Team:
        """The team of that id."""
        return next(team for team in self.teams if team.team_id == team_id)

    def key(self, alias: str, day: dt.date) -> ApiKey:
        """The key of that name in force on ``day``."""
        return next(key for key in self._keys_by_alias[alias] if key.is_valid_on(day))


def interactive_alias(team_id: str) -> str:
    """Name of the key that a team's people share."""
    return f"{team_id}-interactive"


def agent_alias(team_id: str) -> str:
    """Name of the key behind a team's coding agents."""
    return f"{team_id}-code-agent"


def service_alias(feature: Feature) -> str:
    """Name of the key that a feature running without people uses."""
    return f"svc-{feature.feature_id}"


_ENGINEERING = ("engineering", "Engineering")
_OPERATIONS = ("customer-operations", "Customer Operations")
_CORPORATE = ("corporate", "Corporate")
_PLATFORM = ("CC-1100", "Platform Engineering")
_PRODUCT = ("CC-1200", "Product Engineering")
_SECURITY = ("CC-1300", "Security")
_DELIVERY = ("CC-2100", "Service Delivery")
_EXPERIENCE = ("CC-2200", "Customer Experience")
_FINANCE = ("CC-3100", "Finance")
_MARKET = ("CC-3200", "Go-to-Market")
_NEW_YORK = "America/New_York"

TEAMS = (
    Team("team-platform", "Platform Core", *_ENGINEERING, *_PLATFORM, 16, _NEW_YORK, has_code_agent=True),
    Team("team-data", "Data and Models", *_ENGINEERING, *_PLATFORM, 9, _NEW_YORK, has_code_agent=True),
    Team("team-apps", "PSA and CRM Apps", *_ENGINEERING, *_PRODUCT, 18, "Europe/Berlin", has_code_agent=True),
    Team("team-rmm", "RMM and Agents", *_ENGINEERING, *_PRODUCT, 12, "Europe/Berlin", has_code_agent=True),
    Team("team-qa", "Quality Automation", *_ENGINEERING, *_PRODUCT, 10, "Asia/Kolkata", has_code_agent=True),
    Team("team-defend", "Defend Security", *_ENGINEERING, *_SECURITY, 14, _NEW_YORK, has_code_agent=True),
    Team("team-servicedesk", "Service Desk", *_OPERATIONS, *_DELIVERY, 22, _NEW_YORK),
    Team("team-noc", "Network Operations", *_OPERATIONS, *_DELIVERY, 12, "Asia/Manila"),
    Team("team-voice", "Voice Operations", *_OPERATIONS, *_EXPERIENCE, 8, "America/Chicago"),
    Team("team-success", "Customer Success", *_OPERATIONS, *_EXPERIENCE, 11, _NEW_YORK),
    Team("team-finance", "Finance and Books", *_CORPORATE, *_FINANCE, 8, _NEW_YORK),
    Team("team-sales", "Sales and Marketing", *_CORPORATE, *_MARKET, 12, "America/Los_Angeles"),
)

RUNAWAY_ALIAS = "qa-regression-runner"
RUNAWAY_TEAM = "team-qa"
ROTATED_ALIAS = "svc-behavioral-analysis"
SHARED_ALIAS = "svc-sla-digest"
_SHARED_WITH = ("team-servicedesk", 40)
_MOVE = ("team-apps", "team-data")
_FAVOURITES = ("claude-opus-5", "claude-sonnet-4-6", "gpt-5.6-sol", "gpt-5.2", "gpt-5.4-mini", "gemini-2.5-pro")


def build_organization(scenario: Scenario) -> Organization:
    """The organisation of the demo, the same for the same scenario."""
    random = scenario.random("organization")
    names = [f"{first} {last}" for first in FIRST_NAMES for last in LAST_NAMES]
    chosen = random.sample(names, sum(team.people_count for team in TEAMS))
    people: list[Person] = []
    for team in TEAMS:
        for _ in range(team.people_count):
            moves = team.team_id == _MOVE[0] and not any(len(person.teams) > 1 for person in people)
            person = _person(random, scenario, team.team_id, number=len(people), name=chosen[len(people)], moves=moves)
            people.append(person)
    mover = next(person for person in people if len(person.teams) > 1)
    keys = _keys(scenario)
    stranger = ApiKey("contractor-notebook", "", scenario.back(80), is_listed=False)
    by_alias: dict[str, tuple[ApiKey, ...]] = {}
    for key in (*keys, stranger):
        by_alias[key.alias] = (*by_alias.get(key.alias, ()), key)
    return Organization(TEAMS, tuple(people), tuple(keys), mover, stranger, "u-7777", by_alias)


def _person(random: Random, scenario: Scenario, team_id: str, *, number: int, name: str, moves: bool) -> Person:
    joined = DIRECTORY_START
    if random.random() < 0.06:
        joined = scenario.first_day + dt.timedelta(days=random.randrange(10, 60))
    teams: tuple[tuple[str, dt.date, dt.date | None], ...] = ((team_id, joined, None),)
    if moves:
        teams = ((_MOVE[0], DIRECTORY_START, scenario.team_move), (_MOVE[1], scenario.team_move, None))
    idle_share = 0.14 + 0.5 * random.betavariate(2.4, 2.6)
    weekend_ratio = max(min(1.0, random.expovariate(9.0)), (7 * (1 - idle_share) / 0.98 - 5) / 2)
    volume = random.lognormvariate(0.1, 0.6)
    away_from = scenario.first_day + dt.timedelta(days=random.randrange(scenario.days_count))
    away_days = random.choice((0, 0, 2, 3, 5, 7))
    if moves:
        idle_share, volume, away_days = 0.25, 2.2, 0
    return Person(
        user_id=f"u-{1001 + number}",
        name=name,
        email=f"{name.lower().replace(' ', '.')}@{EMAIL_DOMAIN}",
        teams=teams,
        idle_share=idle_share,
        weekend_ratio=weekend_ratio,
        volume=volume,
        away=(away_from, away_from + dt.timedelta(days=away_days)),
        favourite=random.choice(_FAVOURITES),
    )


def _keys(scenario: Scenario) -> list[ApiKey]:
    keys = [ApiKey(interactive_alias(team.team_id), team.team_id, DIRECTORY_START) for team in TEAMS]
    keys += [ApiKey(agent_alias(team.team_id), team.team_id, DIRECTORY_START) for team in TEAMS if team.has_code_agent]
    for feature in FEATURES:
        if feature.owner_team is None:
            continue
        alias = service_alias(feature)
        if alias == ROTATED_ALIAS:
            keys.append(ApiKey(alias, feature.owner_team, DIRECTORY_START, scenario.key_rotation))
            keys.append(ApiKey(alias, feature.owner_team, scenario.key_rotation))
        else:
            shared_with = _SHARED_WITH if alias == SHARED_ALIAS else None
            keys.append(ApiKey(alias, feature.owner_team, DIRECTORY_START, shared_with=shared_with))
    keys.append(ApiKey(RUNAWAY_ALIAS, RUNAWAY_TEAM, DIRECTORY_START))
    return keys


def owner_of(person: Person | None, key: ApiKey, day: dt.date) -> str:
    """Team that answers for a request: the person's on that day, else the key's; ``unallocated`` where neither is known."""
    team = person.team_on(day) if person is not None else None
    if team is None and key.is_listed:
        team = key.team_id
    return team or UNALLOCATED
