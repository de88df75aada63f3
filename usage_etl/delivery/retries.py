"""When a message is tried again: longer and longer waits with full jitter, for three days.

Jitter spreads what failed together. The waits are drawn evenly between nothing and the step of the table, so that a
server that comes back is not met by everybody at once; the chance is an argument, for replays and tests.
"""

from __future__ import annotations

import datetime as dt
import random

GIVE_UP_AFTER = dt.timedelta(days=3)
"""Age at which a message gets its last attempt."""

STEPS = tuple(
    dt.timedelta(seconds=seconds) for seconds in (10, 60, 5 * 60, 15 * 60, 3600, 2 * 3600, 4 * 3600, 8 * 3600, 12 * 3600)
)
"""Longest wait after the first, second, ... attempt; the last step repeats."""

SHORTEST = dt.timedelta(seconds=1)
LONGEST_ASKED = dt.timedelta(days=1)
"""A server that asks for a longer pause is asked again after this one."""


def next_attempt_at(
    attempts_count: int,
    *,
    now: dt.datetime,
    give_up_at: dt.datetime,
    chance: random.Random,
    asked_pause: dt.timedelta | None = None,
) -> dt.datetime | None:
    """When to try again after ``attempts_count`` attempts that failed; None when that was the last.

    ``asked_pause`` is what the server asked for (Retry-After); it is kept to, up to a day. The last attempt is at
    ``give_up_at``, never before it.
    """
    if now >= give_up_at:
        return None
    step = STEPS[min(max(attempts_count, 1), len(STEPS)) - 1]
    wait = max(SHORTEST, step * chance.random(), min(asked_pause or dt.timedelta(), LONGEST_ASKED))
    return min(now + wait, give_up_at)
