"""Settings of the openai source."""

from __future__ import annotations

from typing import Literal

from usage_etl.sources.fetching.report_api import ReportApiSettings

ReportName = Literal[
    "costs",
    "usage_completions",
    "usage_decisions",
    "usage_embeddings",
    "usage_moderations",
    "usage_images",
    "usage_audio_speeches",
    "usage_audio_transcriptions",
    "usage_vector_stores",
    "usage_code_interpreter_sessions",
    "usage_file_search_calls",
    "usage_web_search_calls",
]


class OpenAISettings(ReportApiSettings):
    """OpenAI organization costs and usage: API pages, fetched or saved, and downloads of the dashboard."""

    kind: Literal["openai"]
    """Which reader."""
    base_url: str = "https://api.openai.com"
    """Address of the API, for a proxy in front of it."""
    leave_out: tuple[ReportName, ...] = ()
    """Reports that are not asked of the API: ``costs``, ``usage_completions`` and so on. Saved files are read all the same."""
