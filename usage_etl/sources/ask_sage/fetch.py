"""Fetches the activity log of one Ask Sage user, newest rows first, back to the last row that was landed.

Built from second-hand notes of the API (a log of at most 100 rows an answer, older ones by ``before_id``) and tried against
a local server only. Rows never change, so a row that is landed is not asked for again. What people wrote and read is taken out
of the answers before they are landed, unless the settings keep prompts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from usage_etl.errors import SourceError
from usage_etl.sources.ask_sage.columns import TEXTS_OF_PEOPLE
from usage_etl.sources.ask_sage.parse import ACTIVITY
from usage_etl.sources.ask_sage.settings import AskSageSettings
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.fetching.http import DEFAULT_POLICY, JsonApi, RetryPolicy
from usage_etl.sources.reading.exact_json import dumps
from usage_etl.sources.source import FetchContext, fetch_folder

ROWS_OF_AN_ANSWER = 100
"""The most that the endpoint gives at once."""

ANSWERS_LIMIT = 1000
"""Answers of one pull; more means that paging does not end, or that the log was not read for very long."""

_ORIGIN = "api/user-logs/"
_TOKEN_PATH = "/user/get-token-with-api-key"  # noqa: S105 - a path
_KEY_ADVICE = "the API key and email must belong together; make a key in Ask Sage under Settings, API keys"
_ADVICE = {
    400: _KEY_ADVICE,
    401: _KEY_ADVICE,
    403: _KEY_ADVICE,
    404: "there is no such endpoint at base_url; set base_url to your instance, or logs_path to its path of the log",
}

_Row = Mapping[str, Any]


def fetch(settings: AskSageSettings, context: FetchContext, *, policy: RetryPolicy = DEFAULT_POLICY) -> Iterator[FetchedObject]:
    """Exports of the folder, or the rows of the log that are not landed yet. Raises SourceError, or TransientSourceError."""
    if settings.location is not None:
        yield from fetch_folder(settings, context)
        return
    assert settings.api_key is not None, "the settings demand a location or an api_key"
    assert settings.email is not None, "the settings demand a location or an email"
    api_key = context.read_secret(settings.api_key)
    with JsonApi(
        source=settings.name, base_url=settings.base_url, headers={}, secret=api_key, advice=_ADVICE, policy=policy
    ) as api:
        token = _access_token(api, settings, api_key)
        rows = list(
            _new_rows(api, settings, token, last_landed=_last_landed(context.known), start=context.start_date.isoformat())
        )
    if rows:
        newest = max(_number(row, settings.name) for row in rows)
        yield FetchedObject(
            dataset=ACTIVITY,
            origin_key=f"{_ORIGIN}{newest}",
            origin_version=f"{context.pulled_at:%Y-%m-%dT%H:%M:%SZ}",
            content="".join(f"{_line(row, settings)}\n" for row in rows).encode(),
        )


def _access_token(api: JsonApi, settings: AskSageSettings, api_key: str) -> str:
    document = api.post(_TOKEN_PATH, {"email": settings.email, "api_key": api_key}).document
    answer = document.get("response")
    token = answer.get("access_token") if isinstance(answer, dict) else None
    if not isinstance(token, str) or not token:
        raise SourceError(settings.name, f"POST {_TOKEN_PATH} answered without an access token: {_KEY_ADVICE}")
    return token


def _new_rows(api: JsonApi, settings: AskSageSettings, token: str, *, last_landed: int, start: str) -> Iterator[_Row]:
    """Rows above ``last_landed``, newest first, down to those that are older than ``start``."""
    before: int | None = None
    for _ in range(ANSWERS_LIMIT):
        question = {"limit": ROWS_OF_AN_ANSWER} | ({} if before is None else {"before_id": before})
        rows = _rows(api.post(settings.logs_path, question, headers=(("x-access-tokens", token),)).document, settings)
        numbers = [_number(row, settings.name) for row in rows]
        if before is not None and any(number >= before for number in numbers):
            raise SourceError(settings.name, f"POST {settings.logs_path} does not heed before_id: rows above {before} came again")
        yield from (row for row, number in zip(rows, numbers, strict=True) if number > last_landed)
        is_old = rows and str(rows[-1].get("date_time") or start)[:10] < start
        if len(rows) < ROWS_OF_AN_ANSWER or min(numbers) <= last_landed or is_old:
            return
        before = min(numbers)
    raise SourceError(
        settings.name, f"the log goes on after {ANSWERS_LIMIT} answers; export it as a file, and set a later start_date"
    )


def _rows(document: Mapping[str, Any], settings: AskSageSettings) -> list[_Row]:
    rows = document.get("response")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise SourceError(settings.name, f"POST {settings.logs_path} answered no list of rows under response")
    return rows


def _number(row: _Row, source: str) -> int:
    try:
        return int(str(row["id"]))
    except (KeyError, ValueError) as error:
        raise SourceError(source, "a row of the log has no id in numbers; the log cannot be read on from it") from error


def _line(row: _Row, settings: AskSageSettings) -> str:
    left_out = TEXTS_OF_PEOPLE - ({"prompt", "message"} if settings.keep_prompts else set())
    owner = {} if row.get("user") or row.get("email") else {"user": settings.user_id or settings.email}
    return dumps({name: found for name, found in row.items() if name.lower() not in left_out} | owner)


def _last_landed(known: Collection[tuple[str, str]]) -> int:
    """Number of the newest row that was landed; 0 where none was."""
    numbers = [key.removeprefix(_ORIGIN) for key, _ in known if key.startswith(_ORIGIN)]
    return max((int(number) for number in numbers if number.isdigit()), default=0)
