"""Asks OpenRouter's activity endpoint for each completed UTC day, with a management key, answers landed as received.

OpenRouter keeps the last 30 completed days: a day that was not fetched by then is lost, and said to be. Days that are landed
are asked again for ``trailing_days``; an answer that says the same is not handed over again.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Collection, Iterator

from usage_etl.errors import SourceError
from usage_etl.keys import sha256_hex
from usage_etl.periods import days_between
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.fetching.http import DEFAULT_POLICY, Answer, JsonApi, RetryPolicy
from usage_etl.sources.openrouter.activity import ACTIVITY
from usage_etl.sources.openrouter.settings import OpenRouterSettings
from usage_etl.sources.reading.exact_json import dumps
from usage_etl.sources.reading.pages import page_line, pull_line
from usage_etl.sources.source import FetchContext, fetch_folder

_log = logging.getLogger(__name__)

PATH = "/api/v1/activity"
KEPT_DAYS = 30
"""Completed UTC days that the endpoint answers for."""

_ORIGIN = f"api/{ACTIVITY}/"
_KEY_ADVICE = "an owner makes one under Settings, Management keys; a key for calling models cannot read activity"
_ADVICE = {
    401: f"api_key is not accepted; it must be a management key: {_KEY_ADVICE}",
    403: f"api_key may not read activity; it must be a management key: {_KEY_ADVICE}",
    404: "there is no activity at base_url; it must be https://openrouter.ai or a gateway that passes its paths on",
}


def fetch(
    settings: OpenRouterSettings, context: FetchContext, *, policy: RetryPolicy = DEFAULT_POLICY
) -> Iterator[FetchedObject]:
    """Saved files of the folder, or days that are new or changed, oldest first. Raises SourceError, or TransientSourceError."""
    if settings.location is not None:
        yield from fetch_folder(settings, context)
        return
    assert settings.api_key is not None, "the settings demand a location or an api_key"
    api_key = context.read_secret(settings.api_key)
    landed = _landed(context.known)
    first_day = settings.start_date or context.start_date
    _name_lost_days(settings.name, landed, first_day, context.today)
    with JsonApi(
        source=settings.name,
        base_url=settings.base_url,
        headers={"authorization": f"Bearer {api_key}"},
        secret=api_key,
        advice=_ADVICE,
        policy=policy,
    ) as api:
        for day in days_to_ask(landed, first_day=first_day, today=context.today, trailing_days=settings.trailing_days):
            answer = api.get(PATH, [("date", str(day))])
            mark = _content_mark(answer, day, settings.name)
            if landed.get(day, "").endswith(mark):
                _log.info("source=%s dataset=%s day=%s unchanged=1", settings.name, ACTIVITY, day)
                continue
            yield FetchedObject(
                dataset=ACTIVITY,
                origin_key=f"{_ORIGIN}{day}",
                origin_version=f"{context.pulled_at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}-{mark}",
                content=_envelope(answer, day, context.pulled_at),
            )


def days_to_ask(landed: Collection[dt.date], *, first_day: dt.date, today: dt.date, trailing_days: int) -> list[dt.date]:
    """Completed days that the endpoint still answers for and that are not landed, or are within the trailing days."""
    oldest = max(first_day, today - dt.timedelta(days=KEPT_DAYS))
    trailing = today - dt.timedelta(days=trailing_days)
    return [day for day in days_between(oldest, today) if day not in landed or day >= trailing]


def _landed(known: Collection[tuple[str, str]]) -> dict[dt.date, str]:
    """Newest landed version of each day."""
    newest: dict[dt.date, str] = {}
    for origin_key, version in known:
        if origin_key.startswith(_ORIGIN):
            day = dt.date.fromisoformat(origin_key.removeprefix(_ORIGIN))
            newest[day] = max(version, newest.get(day, ""))
    return newest


def _name_lost_days(source: str, landed: Collection[dt.date], first_day: dt.date, today: dt.date) -> None:
    lost = [day for day in days_between(first_day, today - dt.timedelta(days=KEPT_DAYS)) if day not in landed]
    if lost:
        _log.warning(
            "source=%s dataset=%s days_no_longer_kept_by_openrouter=%d first=%s last=%s",
            source,
            ACTIVITY,
            len(lost),
            lost[0],
            lost[-1],
        )


def _content_mark(answer: Answer, day: dt.date, source: str) -> str:
    """Mark of what the answer says, whatever the order of its rows. Raises SourceError where it is no answer for the day."""
    rows = answer.document.get("data")
    if not isinstance(rows, list):
        raise SourceError(source, f"GET {PATH} answered no list of activity; base_url must be OpenRouter's API")
    others = {str(row.get("date"))[:10] for row in rows if isinstance(row, dict)} - {str(day)}
    if others:
        raise SourceError(
            source, f"GET {PATH} for {day} answered other days too ({', '.join(sorted(others))}); nothing was landed"
        )
    return sha256_hex("\n".join(sorted(map(dumps, rows))).encode())[:16]


def _envelope(answer: Answer, day: dt.date, pulled_at: dt.datetime) -> bytes:
    facts = {
        "version": 1,
        "dataset": ACTIVITY,
        "endpoint": PATH,
        "day": str(day),
        "pulled_at": f"{pulled_at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    return pull_line(facts) + b"\n" + page_line(answer.body) + b"\n"
