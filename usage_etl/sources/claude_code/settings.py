"""Settings of the claude_code source."""

from __future__ import annotations

from typing import Literal

from usage_etl.sources.rows.sessions import SessionLogSettings


class ClaudeCodeSettings(SessionLogSettings):
    """Session logs of Claude Code: what lies below ``~/.claude/projects``, collected in a folder or bucket."""

    kind: Literal["claude_code"]
    """Which reader."""
