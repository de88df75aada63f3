"""Settings of the openrouter source."""

from __future__ import annotations

from typing import Literal

from usage_etl.sources.fetching.report_api import ReportApiSettings


class OpenRouterSettings(ReportApiSettings):
    """OpenRouter's activity: API answers, fetched or found in a folder or bucket, and CSV exports of single generations."""

    kind: Literal["openrouter"]
    """Which reader."""
    pattern: str = "**/*.[cj]s[vo]*"
    """Which files below ``location`` are read: ``.json``, ``.csv`` and their like, also compressed."""
    base_url: str = "https://openrouter.ai"
    """Address of the API, for a proxy in front of it."""
    counted: Literal["activity", "generations"] = "activity"
    """Which of the two states what is used and billed. The other's usage is only compared, and its money is not booked:
    both state the same calls."""
