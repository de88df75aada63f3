"""Settings of the gcp_billing source."""

from __future__ import annotations

from typing import Literal

from usage_etl.config import FolderSourceSettings

AI_SERVICES = (
    *("*Vertex AI*", "*Gemini*", "Generative Language*", "Cloud AI Platform*", "*Claude*", "*Anthropic*", "*Mistral*"),
    *("*Llama*", "*DeepSeek*", "*Model Garden*", "Discovery Engine*", "Dialogflow*", "Cloud Document AI*"),
    *("Cloud Natural Language*", "Cloud Speech*", "Cloud Text-to-Speech*", "Cloud Translation*", "Cloud Vision*"),
)
"""Services that are AI, as the export names them; partner models are services of their own."""


class GcpBillingSettings(FolderSourceSettings):
    """Google Cloud's detailed billing export, as Parquet or JSON lines in a folder or bucket."""

    kind: Literal["gcp_billing"]
    """Which reader."""
    services: tuple[str, ...] = AI_SERVICES
    """Services whose lines are AI; ``*`` stands for any text, ``all`` takes every line, taxes and roundings too."""
