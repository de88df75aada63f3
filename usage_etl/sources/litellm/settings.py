"""Settings of the litellm source."""

from __future__ import annotations

from typing import Literal

from usage_etl.config import LogSourceSettings


class LiteLLMSettings(LogSourceSettings):
    """LiteLLM SpendLogs as JSON lines (``.jsonl``, ``.jsonl.gz``, ``.jsonl.zst``) in a folder or bucket."""

    kind: Literal["litellm"]
    """Which reader."""
    pattern: str = "**/*.jsonl*"
    """Which files below ``location`` are read."""
