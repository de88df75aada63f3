"""Settings of the openai source."""

from __future__ import annotations

from typing import Literal

from usage_etl.sources.report_api import ReportApiSettings


class OpenAISettings(ReportApiSettings):
    """OpenAI organization costs and completions usage: API pages, fetched or found in a folder or bucket."""

    kind: Literal["openai"]
    """Which reader."""
    base_url: str = "https://api.openai.com"
    """Address of the API, for a proxy in front of it."""
