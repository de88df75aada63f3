"""Settings of the anthropic source."""

from __future__ import annotations

from typing import Literal

from usage_etl.sources.report_api import ReportApiSettings


class AnthropicSettings(ReportApiSettings):
    """Anthropic cost and messages usage reports: API pages, fetched or found in a folder or bucket."""

    kind: Literal["anthropic"]
    """Which reader."""
    base_url: str = "https://api.anthropic.com"
    """Address of the API, for a proxy in front of it."""
