"""What made-up log lines are made of: texts, models, users and times. Same arguments, same bytes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

DAY = datetime(2026, 11, 2, tzinfo=UTC)
_TEXT = (
    "the customer asks for a refund of the second invoice and wants to know when the next shipment leaves our warehouse "
    "in Rotterdam please draft an answer that names the date and the carrier"
)
_WORDS = _TEXT.split()
MODELS = (
    ("gpt-5.2", "openai", 30),
    ("gpt-5.2-mini", "openai", 25),
    ("claude-sonnet-4-5-20250929", "anthropic", 25),
    ("gemini-2.5-flash", "google", 12),
    ("text-embedding-3-small", "openai", 8),
)


class Words:
    """Random but repeatable words of one file."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def text(self, sentences: int) -> str:
        """What somebody wrote, a dozen words a sentence."""
        return " ".join(self.rng.choices(_WORDS, k=12 * sentences))

    def model(self) -> tuple[str, str]:
        """Model and provider."""
        name, provider, _ = self.rng.choices(MODELS, weights=[share for _, _, share in MODELS])[0]
        return name, provider

    def user(self) -> int:
        """Number of a user; few users do most."""
        return int(self.rng.paretovariate(0.9) * 20) % 5000

    def moment(self) -> datetime:
        """A time of the day."""
        return DAY + timedelta(microseconds=self.rng.randrange(86_400_000_000))

    def tokens(self) -> tuple[int, int, int]:
        """Prompt, completion and cached tokens."""
        prompt = int(self.rng.lognormvariate(7, 1.2))
        return prompt, int(self.rng.lognormvariate(5.5, 1)), prompt * self.rng.choice((0, 0, 0, 5, 8)) // 10

    def id(self) -> str:
        """An id in the form of a UUID."""
        number = f"{self.rng.getrandbits(128):032x}"
        return f"{number[:8]}-{number[8:12]}-{number[12:16]}-{number[16:20]}-{number[20:]}"

    def failed(self) -> bool:
        """Whether the request failed."""
        return self.rng.random() < 0.02


def iso(moment: datetime) -> str:
    """With milliseconds and Z, as JavaScript writes it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def write_records(path: Path, rows: int, record: Callable[[Words, int], dict[str, Any]], *, seed: int) -> None:
    """One record a line."""
    words = Words(seed)
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8") as sink:
        for ordinal in range(rows):
            sink.write(json.dumps(record(words, ordinal), separators=(",", ":")) + "\n")
    part.rename(path)
