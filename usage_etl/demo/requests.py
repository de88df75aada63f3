"""One request as it really happened, before any file describes it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cache

from usage_etl.demo.features import Feature
from usage_etl.demo.models import Model
from usage_etl.demo.organization import ApiKey, Person

MICROSECONDS = 1_000_000
SECONDS_PER_DAY = 86_400
_EPOCH = dt.date(1970, 1, 1)


def day_seconds(day: dt.date) -> int:
    """Seconds from the epoch to the day's first instant, UTC."""
    return (day - _EPOCH).days * SECONDS_PER_DAY


def day_of(microseconds: int) -> dt.date:
    """UTC day of an instant."""
    return _numbered_day(microseconds // (SECONDS_PER_DAY * MICROSECONDS))


@cache
def _numbered_day(number: int) -> dt.date:
    return _EPOCH + dt.timedelta(days=number)


@dataclass(frozen=True)
class Failure:
    """Why a call failed, in the gateway's words."""

    code: int
    error_class: str
    message: str


@dataclass(slots=True)
class Request:
    """One call through the gateway. ``started_us`` counts microseconds since the epoch, UTC."""

    request_id: str
    call_id: str
    """Shared by the attempts of one call."""
    started_us: int
    duration_ms: int
    ttft_ms: int
    model: Model
    feature: Feature | None
    person: Person | None
    user_id: str
    """As logged: a person's id, a stranger's, or empty for services."""
    key: ApiKey
    session_id: str
    environment: str
    investigation: str
    tokens: tuple[int, int, int, int, int]
    """Billable classes in the order of ``rates.TOKEN_CLASSES``."""
    reasoning_tokens: int
    processing: str = "standard"
    failure: Failure | None = None
    is_cache_hit: bool = False
    updated_us: int = 0
    """When the gateway last changed the row, if later than its end."""
    has_usage: bool = True
    """False for a stream that ended without usage."""
    excerpt: int = 0
    """Which short prompt and answer the log shows."""

    @property
    def day(self) -> dt.date:
        """UTC day on which it began; bills and facts go by it."""
        return day_of(self.started_us)

    @property
    def ended_us(self) -> int:
        """When the last token arrived."""
        return self.started_us + self.duration_ms * 1000

    @property
    def input_tokens(self) -> int:
        """All four input classes."""
        return self.tokens[0] + self.tokens[1] + self.tokens[2] + self.tokens[3]

    @property
    def is_billed(self) -> bool:
        """Whether a provider, or the organisation's own machines, answered it."""
        return not self.is_cache_hit and any(self.tokens)

    @property
    def is_priced(self) -> bool:
        """Whether it has a known price."""
        return self.is_billed and self.model.is_listed
