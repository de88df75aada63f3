"""Everything that Northwind asked of models: people in sessions, services on their schedules, one script out of control."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from random import Random

from usage_etl.demo.features import FEATURES, TEAM_HABITS, Feature, feature
from usage_etl.demo.hours import growth, instant, is_weekend, season_level, weekday_level
from usage_etl.demo.mishaps import with_mishaps
from usage_etl.demo.models import MODELS, SELF_HOSTED, Model
from usage_etl.demo.organization import RUNAWAY_ALIAS, ApiKey, Organization, Person, agent_alias, interactive_alias, service_alias
from usage_etl.demo.requests import MICROSECONDS, SECONDS_PER_DAY, Request, day_of, day_seconds
from usage_etl.demo.scenario import Scenario
from usage_etl.demo.sizes import Size, compacted, duration_ms, request_size

_FAVOURITE_BONUS = 2.5
_WARM_SHARE = 0.85
_RUNAWAY_REQUESTS = (1300, 1500)
_CODE_FEATURES = frozenset({"code-agent", "script-writer"})
EXCERPTS_COUNT = 24


def all_requests(scenario: Scenario, organization: Organization) -> dict[dt.date, list[Request]]:
    """Requests of each UTC day of the window, in order of time; days without any are empty lists."""
    by_day: dict[dt.date, list[Request]] = {day: [] for day in scenario.days()}
    for request in _everything(scenario, organization):
        if (requests := by_day.get(request.day)) is not None:
            requests.append(request)
    for day, requests in by_day.items():
        requests.sort(key=lambda request: (request.started_us, request.request_id))
        by_day[day] = with_mishaps(scenario.random("mishaps", day), scenario, day, requests)
    return by_day


def _everything(scenario: Scenario, organization: Organization) -> Iterator[Request]:
    local_days = [scenario.first_day - dt.timedelta(days=1), *scenario.days(), scenario.end]
    for day in local_days:
        for person in organization.people:
            yield from _person_day(scenario, organization, person, day)
        for served in FEATURES:
            if served.owner_team is not None:
                yield from _service_day(scenario, organization, served, day)
        yield from _stranger_day(scenario, organization, day)
        if day in scenario.runaway_days:
            yield from _runaway_day(scenario, organization, day)


def _person_day(scenario: Scenario, organization: Organization, person: Person, day: dt.date) -> Iterator[Request]:
    team_id = person.team_on(day)
    if team_id is None or person.away[0] <= day < person.away[1]:
        return
    random = scenario.random(person.user_id, day)
    weekday_chance = min(0.98, 7 * (1 - person.idle_share) / (5 + 2 * person.weekend_ratio))
    if random.random() >= (weekday_chance * person.weekend_ratio if is_weekend(day) else weekday_chance):
        return
    burst = random.lognormvariate(-0.25, 0.75)
    sessions = max(1, round(person.volume * burst * growth(scenario, day)))
    zone = organization.team(team_id).zone
    habits, weights = zip(*TEAM_HABITS[team_id], strict=True)
    for _ in range(min(sessions, 40)):
        if random.random() >= scenario.volume:
            continue
        used = feature(_in_season(random.choices(habits, weights)[0], day))
        key_alias = agent_alias(team_id) if used.feature_id == "code-agent" else interactive_alias(team_id)
        start_us = instant(random, zone=zone, day=day, hours=used.hours)
        key = organization.key(key_alias, day_of(start_us))
        model = _chosen_model(random, used, person.favourite)
        yield from _session(random, used, model, person=person, key=key, start_us=start_us)


def _in_season(feature_id: str, day: dt.date) -> str:
    """Month-end work waits for the end of the month."""
    if feature_id == "month-end-narrative" and 4 <= day.day <= 26:
        return "custom-gpts"
    return feature_id


def _chosen_model(random: Random, used: Feature, favourite: str | None = None) -> Model:
    names = [name for name, _ in used.models]
    weights = [weight * _FAVOURITE_BONUS if name == favourite else weight for name, weight in used.models]
    return MODELS[random.choices(names, weights)[0]]


def _session(random: Random, used: Feature, model: Model, *, person: Person, key: ApiKey, start_us: int) -> Iterator[Request]:
    """Requests that build on each other: each carries what came before, mostly from the provider's cache."""
    turns = 1 + min(80, int(random.expovariate(1 / max(0.2, used.turns - 1))))
    session_id = _uuid(random)
    investigation = f"INV-{random.randrange(2026_0400, 2026_1900)}" if used.is_investigation else ""
    carried, at_us = used.prefix_tokens, start_us
    is_warm = random.random() < 0.5  # a colleague's instructions may be in the cache already
    for _ in range(turns):
        size = request_size(random, used, model, carried_tokens=carried, is_warm=is_warm)
        request = _request(random, used, model, size, key=key, start_us=at_us)
        request.person, request.user_id, request.session_id = person, person.user_id, session_id
        request.investigation = investigation
        yield request
        carried = compacted(random, used, size.context_tokens)
        pause_s = random.expovariate(1 / 18.0 if used.feature_id in _CODE_FEATURES else 1 / 75.0)
        is_warm = pause_s < 290 and random.random() < _WARM_SHARE + 0.12
        at_us = request.ended_us + round(pause_s * MICROSECONDS)


def _service_day(scenario: Scenario, organization: Organization, served: Feature, day: dt.date) -> Iterator[Request]:
    random = scenario.random(served.feature_id, day)
    level = weekday_level(day, served.weekend_ratio) * season_level(random, served, day) * growth(scenario, day)
    expected = served.per_weekday * level * scenario.volume
    assert served.owner_team is not None
    zone = organization.team(served.owner_team).zone
    is_batch = served.is_batched and day >= scenario.batch_start
    for _ in range(max(0, round(random.gauss(expected, expected**0.5)))):
        start_us = instant(random, zone=zone, day=day, hours=served.hours)
        key = organization.key(service_alias(served), day_of(start_us))
        model = _service_model(random, scenario, served, day)
        is_warm = bool(served.prefix_tokens) and random.random() < _WARM_SHARE
        size = request_size(random, served, model, carried_tokens=served.prefix_tokens, is_warm=is_warm)
        request = _request(random, served, model, size, key=key, start_us=start_us)
        if is_batch and day_of(start_us) >= scenario.batch_start:
            request.processing = "batch"
        if served.is_investigation:
            request.investigation = f"INV-{random.randrange(2026_0400, 2026_1900)}"
        yield request


def _service_model(random: Random, scenario: Scenario, served: Feature, day: dt.date) -> Model:
    if served.feature_id == "ticket-triage" and day >= scenario.self_hosted_trial and random.random() < 0.12:
        return SELF_HOSTED
    return _chosen_model(random, served)


def _stranger_day(scenario: Scenario, organization: Organization, day: dt.date) -> Iterator[Request]:
    """A contractor's notebook: user and key that nobody registered."""
    random = scenario.random("stranger", day)
    key = organization.stranger_key
    if day < key.valid_from or is_weekend(day) or random.random() < 0.45:
        return
    for _ in range(1 + int(random.expovariate(0.14))):
        used = feature("playground")
        model = MODELS[random.choice(("gpt-5.6-sol", "claude-opus-5", "gpt-5.2"))]
        size = request_size(random, feature("malware-report"), model, carried_tokens=0, is_warm=False)
        start_us = instant(random, zone="Europe/Berlin", day=day, hours="office")
        request = _request(random, used, model, size, key=key, start_us=start_us)
        request.user_id, request.feature, request.environment = organization.stranger_user_id, None, ""
        yield request


def _runaway_day(scenario: Scenario, organization: Organization, day: dt.date) -> Iterator[Request]:
    """A test script retries a failing assertion all night and sends the whole report each time."""
    random = scenario.random("runaway", day)
    is_first = day == scenario.runaway_days[0]
    opened, closed = (15 * 3600, SECONDS_PER_DAY) if is_first else (0, 9 * 3600 + 1200)
    count = round(_RUNAWAY_REQUESTS[0 if is_first else 1] * scenario.volume)
    model, used = MODELS["claude-opus-5"], feature("code-agent")
    key = organization.key(RUNAWAY_ALIAS, day)
    for number in range(count):
        at_s = day_seconds(day) + opened + (closed - opened) * (number + random.random()) / count
        output = 900 + int(random.random() * 2600)
        size = Size((186_000 + int(random.random() * 72_000), 0, 0, 0, output), 0)
        request = _request(random, used, model, size, key=key, start_us=int(at_s * MICROSECONDS))
        request.environment = "ci"
        yield request


def _request(random: Random, used: Feature, model: Model, size: Size, *, key: ApiKey, start_us: int) -> Request:
    ttft, duration = duration_ms(random, model, size)
    call_id = _uuid(random)
    return Request(
        request_id=f"chatcmpl-{_uuid(random)}",
        call_id=call_id,
        started_us=start_us,
        duration_ms=duration,
        ttft_ms=ttft,
        model=model,
        feature=used,
        person=None,
        user_id="",
        key=key,
        session_id=call_id,
        environment="prod" if random.random() < 0.88 else "staging",
        investigation="",
        tokens=size.tokens,
        reasoning_tokens=size.reasoning_tokens,
        excerpt=random.randrange(EXCERPTS_COUNT),
    )


def _uuid(random: Random) -> str:
    text = f"{random.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"
