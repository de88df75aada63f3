"""Settings of the helicone source."""

from __future__ import annotations

from typing import Literal

from usage_etl.config import FolderSourceSettings
from usage_etl.sources.rows.attributes import AttributeMapping


class HeliconeSettings(FolderSourceSettings):
    """Helicone's request export (``.jsonl``, ``.json``, ``.csv``, compressed or not) in a folder or bucket."""

    kind: Literal["helicone"]
    """Which reader."""
    attributes: AttributeMapping = AttributeMapping()
    """Which request property (``Helicone-Property-...``) fills which column."""
    cache_in_prompt_tokens: Literal["auto", "inside", "beside"] = "auto"
    """Whether ``prompt_tokens`` holds the provider's cache tokens. auto: beside for Claude models, inside for all others."""
