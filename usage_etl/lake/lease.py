"""A lock for stores that have no locks: a small object, taken over by compare-and-swap, that expires on its own."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterator
from typing import Any, Protocol

from usage_etl.errors import TransientLakeError
from usage_etl.lake.objects import AssertHeld

LEASE_SECONDS = 300.0
"""Longest time a holder may take; also the longest time a dead holder blocks others."""
WAIT_SECONDS = 400.0
_PAUSE_SECONDS = 0.05


class Slots(Protocol):
    """Small objects that are written only over the version that was read."""

    def read_slot(self, key: str) -> tuple[bytes, str] | None:
        """Bytes and version; None when there is none."""
        ...

    def swap_slot(self, key: str, data: bytes, *, expected: str | None) -> str | None:
        """Writes over version ``expected``, or over nothing; the new version, None when it was another."""
        ...


@contextlib.contextmanager
def leased(slots: Slots, key: str) -> Iterator[AssertHeld]:
    """Holds the lease at ``key`` for the time of the block. Raises TransientLakeError after ``WAIT_SECONDS``.

    The object stays, marked free, so that the next holder takes it by compare-and-swap as well. Clocks of different
    machines may differ by seconds; the lease is minutes long.
    """
    holder = secrets.token_hex(8)
    version, until = _acquire(slots, key, holder)

    def assert_held() -> None:
        if time.time() >= until:
            raise TransientLakeError(f"{key}: the lock expired after {LEASE_SECONDS:.0f} s of work; run again")

    try:
        yield assert_held
    finally:
        slots.swap_slot(key, _slot("", 0.0), expected=version)


def _acquire(slots: Slots, key: str, holder: str) -> tuple[str, float]:
    """Version and end of a lease that is now ours."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        found = slots.read_slot(key)
        state: dict[str, Any] = json.loads(found[0]) if found else {"holder": "", "until": 0.0}
        if found and state["holder"] == holder:
            return found[1], state["until"]  # our own write, whose answer was lost on the way
        now = time.time()
        if state["until"] <= now:
            until = now + LEASE_SECONDS
            if version := slots.swap_slot(key, _slot(holder, until), expected=found[1] if found else None):
                return version, until
        if time.monotonic() > deadline:
            raise TransientLakeError(f"{key}: another run holds the lock for more than {WAIT_SECONDS:.0f} s")
        time.sleep(_PAUSE_SECONDS)


def _slot(holder: str, until: float) -> bytes:
    return json.dumps({"holder": holder, "until": until}).encode()
