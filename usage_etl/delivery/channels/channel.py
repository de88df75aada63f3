"""What every channel is, and what an HTTP answer means for the message that it answers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Protocol

from usage_etl.delivery.guarded_http import Answer, GuardedHttp, NoAnswerError, NothingSentError, RefusedAddressError
from usage_etl.delivery.mail import HandOver
from usage_etl.schemas.notices import Notice

_CAN_BE_MENDED = frozenset({401, 403, 407})
_BUSY = frozenset({408, 409, 421, 423, 425, 429})
_DOUBTFUL = frozenset({502, 504})
_WORDS_LIMIT = 300


@dataclass(frozen=True)
class Told:
    """What became of one message. ``asked_pause``: how long the server asked to be left alone. ``is_gone``: for ever."""

    status: HandOver
    reason: str
    asked_pause: dt.timedelta | None = None
    is_gone: bool = False


class Channel(Protocol):
    """One configured channel. ``pace`` is the shortest time between two messages."""

    @property
    def name(self) -> str:
        """Name in the settings."""
        ...

    @property
    def pace(self) -> dt.timedelta:
        """Shortest time between two messages, over all processes."""
        ...

    def tell(self, notice: Notice, recipient: str, now: dt.datetime) -> Told:
        """Hand one notice over to one recipient. The same notice again carries the same identity."""
        ...


def called(
    http: GuardedHttp, method: str, url: str, *, headers: Mapping[str, str], content: bytes, now: dt.datetime
) -> tuple[Told, Answer | None]:
    """One call and what it means; without an answer there is none. Secrets of ``http`` do not stand in the reason."""
    answer = None
    try:
        answer = http.call(method, url, headers=headers, content=content)
    except RefusedAddressError as error:
        told = Told(HandOver.BLOCKED, str(error))
    except NothingSentError as error:
        told = Told(HandOver.UNSENT, str(error))
    except NoAnswerError as error:
        told = Told(HandOver.AMBIGUOUS, str(error))
    else:
        told = told_by(answer, now)
    return replace(told, reason=_without(told.reason, http.secrets)), answer


def _without(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***") if secret else text
    return text


def told_by(answer: Answer, now: dt.datetime) -> Told:
    """What an answer means.

    2xx: taken. 410: gone for good. 408, 409, 421, 423, 425, 429 and 5xx: later. 401, 403, 407 and redirects: later, once
    somebody mended the settings. Every other 4xx: the same message will never be taken.
    """
    status, words = answer.status, _words(answer)
    meaning, advice = _meaning(status)
    pause = None if meaning in (HandOver.SENT, HandOver.REFUSED) else retry_after(answer.headers.get("retry-after", ""), now)
    return Told(meaning, f"{words}{advice}", pause, is_gone=status == 410)


def _meaning(status: int) -> tuple[HandOver, str]:
    if 200 <= status < 300:
        return HandOver.SENT, ""
    if 300 <= status < 400:
        return HandOver.BLOCKED, " (redirects are not followed; put the new address into the settings)"
    if status in _CAN_BE_MENDED:
        return HandOver.BLOCKED, " (look at the channel's secrets)"
    if 400 <= status < 500 and status not in _BUSY:
        return HandOver.REFUSED, ""
    return (HandOver.AMBIGUOUS if status in _DOUBTFUL else HandOver.UNSENT), ""


def retry_after(text: str, now: dt.datetime) -> dt.timedelta | None:
    """The pause that a Retry-After header asks for, in seconds or as a date; None when it asks for none that makes sense."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return dt.timedelta(seconds=min(int(text[:12]), 10**9))
    try:
        instant = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    instant = instant.replace(tzinfo=dt.UTC) if instant.tzinfo is None else instant
    return max(instant - now, dt.timedelta())


def _words(answer: Answer) -> str:
    """Status and the beginning of the body, on one printable line."""
    text = answer.body[: 4 * _WORDS_LIMIT].decode("utf-8", "replace")
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(f"{answer.status} {printable}".split())[:_WORDS_LIMIT]
