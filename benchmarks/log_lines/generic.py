"""Participants of voice rooms as JSON lines, in the shape of the first example on the page of the generic source."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.line_words import Words, iso, write_records


def _record(words: Words, ordinal: int) -> dict[str, Any]:
    user, began, seconds = words.user(), words.moment(), words.rng.randrange(5, 7200)
    return {
        "sid": f"PA_{words.rng.getrandbits(96):024x}",
        "room": {"sid": words.id(), "name": words.text(1), "project": f"project-{user % 35}", "region": "eu-central"},
        "participant": {"account": f"user-{user}", "team": f"team-{user % 12}", "client": {"sdk": "js", "version": "2.15.1"}},
        "joined_at": iso(began),
        "left_at": iso(began + timedelta(seconds=seconds)),
        "seconds": seconds,
        "tracks": [{"kind": "audio", "codec": "opus", "bytes": seconds * 4000 + ordinal}],
        "notes": words.text(2),
    }


def write_lines(path: Path, rows: int) -> None:
    """Write ``rows`` participants."""
    write_records(path, rows, _record, seed=19)
