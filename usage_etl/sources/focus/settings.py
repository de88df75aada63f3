"""Settings of the focus source."""

from __future__ import annotations

from typing import Literal

from usage_etl.config import FolderSourceSettings

AI_CATEGORY = "AI and Machine Learning"

AI_NAMES = (
    *("*Bedrock*", "*OpenAI*", "*Anthropic*", "*Claude*", "*Gemini*", "*Vertex AI*", "*Cohere*", "*Mistral*"),
    *("*DeepSeek*", "*OpenRouter*", "*GitHub Copilot*"),
)
"""Models and model services that bills also file under other categories, or under none, as marketplaces do."""


class FocusSettings(FolderSourceSettings):
    """FOCUS cost and usage files, versions 1.0 to 1.4, in a folder or bucket."""

    kind: Literal["focus"]
    """Which reader."""
    pattern: str = "**/*.[cp][sa][vr]*"
    """Which files below ``location`` are read: ``.csv``, ``.csv.gz``, ``.parquet`` and their like."""
    service_categories: tuple[str, ...] = (AI_CATEGORY,)
    """Service categories whose lines are AI; ``*`` stands for any text, ``all`` takes every line."""
    services: tuple[str, ...] = AI_NAMES
    """Besides those, lines whose service, publisher, meter or description fits; ``*`` stands for any text."""
