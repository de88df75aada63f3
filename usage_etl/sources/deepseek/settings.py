"""Settings of the deepseek source."""

from __future__ import annotations

from typing import Literal

from usage_etl.config import FolderSourceSettings


class DeepSeekSettings(FolderSourceSettings):
    """DeepSeek's monthly usage export: the zip as downloaded, or its CSV files, in a folder or bucket."""

    kind: Literal["deepseek"]
    """Which reader."""
    pattern: str = "**/*.[cz][si][vp]*"
    """Which files below ``location`` are read: ``.csv``, ``.zip`` and their like, also compressed."""
    currency: Literal["CNY", "USD"] | None = None
    """Currency of costs where the export does not state it. It is never guessed: without it such costs are refused."""
