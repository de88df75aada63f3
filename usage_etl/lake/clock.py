"""The clock of the lake, given to its objects so that tests and replays can give another."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

Clock = Callable[[], dt.datetime]
"""Answers the present instant, with its zone."""


def utc_now() -> dt.datetime:
    """The present instant in UTC."""
    return dt.datetime.now(tz=dt.UTC)
