"""Settings of the codex source."""

from __future__ import annotations

from typing import Literal

from usage_etl.sources.rows.sessions import SessionLogSettings


class CodexSettings(SessionLogSettings):
    """Rollout files of Codex: what lies below ``~/.codex/sessions``, collected in a folder or bucket."""

    kind: Literal["codex"]
    """Which reader."""
