"""Calls of a phone provider as JSON lines, for the generic source with the mapping ``SETTINGS``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.line_words import Words, iso, write_records

SETTINGS: dict[str, Any] = {
    "columns": {
        "event_id": "sid",
        "started_at": "start",
        "quantity": "billing.seconds",
        "user_id": "caller.account",
        "team_id": "caller.team",
        "status": "state",
    },
    "constants": {"primitive": "phone.call"},
    "values": {"status": {"completed": "success", "busy": "cancelled", "*": "error"}},
    "quantity_in": "seconds",
    "quantity_rounding": "up",
}
"""What the settings of the source say besides kind, name and location."""


def _record(words: Words, ordinal: int) -> dict[str, Any]:
    user = words.user()
    return {
        "sid": f"CA{words.rng.getrandbits(128):032x}",
        "start": iso(words.moment()),
        "state": "busy" if words.failed() else "completed",
        "direction": "outbound-api",
        "caller": {"account": f"user-{user}", "team": f"team-{user % 12}", "number": f"+3110{ordinal % 10_000_000:07d}"},
        "callee": {"number": f"+4930{user:07d}", "country": "DE"},
        "billing": {"seconds": words.rng.randrange(0, 3600), "currency": "EUR"},
        "notes": words.text(2),
    }


def write_lines(path: Path, rows: int) -> None:
    """Write ``rows`` calls."""
    write_records(path, rows, _record, seed=19)
