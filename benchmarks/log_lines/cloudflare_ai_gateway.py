"""Records of Cloudflare's logs API, metadata as JSON in text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.line_words import Words, iso, write_records


def request(words: Words, ordinal: int) -> dict[str, Any]:
    """One request."""
    model, provider = words.model()
    prompt, completion, _ = words.tokens()
    user, failed = words.user(), words.failed()
    return {
        "id": f"01{words.rng.getrandbits(110):026X}",
        "created_at": iso(words.moment()),
        "cached": words.rng.random() < 0.03,
        "cost": round(prompt * 1.25e-6 + completion * 1e-5, 12),
        "custom_cost": False,
        "duration": words.rng.randrange(200, 30_000),
        "model": model,
        "model_type": "chat",
        "path": "chat/completions",
        "provider": provider,
        "request_content_type": "application/json",
        "request_type": "native",
        "response_content_type": "application/json",
        "status_code": 429 if failed else 200,
        "step": ordinal % 2,
        "success": not failed,
        "tokens_in": prompt,
        "tokens_out": completion,
        "metadata": json.dumps({"team": f"team-{user % 12}", "user": f"user-{user}", "feature": f"feature-{user % 30}"}),
        "request_head": words.text(2),
        "response_head": words.text(2),
    }


def write_lines(path: Path, rows: int) -> None:
    """Write ``rows`` requests."""
    write_records(path, rows, request, seed=13)
