"""Settings of the kong source."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from usage_etl.config import FolderSourceSettings
from usage_etl.sources.rows.attributes import AttributeMapping

PluginName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,60}$")]

PROXIES = ("proxy", "ai-proxy", "ai-proxy-advanced")
"""Under which names generations of Kong log the call of the client itself."""

NO_HEADERS = AttributeMapping(team_id=None, project_id=None, feature_id=None, investigation_id=None)


class KongSettings(FolderSourceSettings):
    """Access logs of Kong Gateway with AI plugins, as a logging plugin writes them: one JSON object per line."""

    kind: Literal["kong"]
    """Which reader."""
    plugins: Annotated[tuple[PluginName, ...], Field(min_length=1, max_length=12)] = (
        *PROXIES,
        "ai-request-transformer",
        "ai-response-transformer",
    )
    """Keys below ``ai`` that hold one call of a model each. A line may hold several."""
    consumer_is: Literal["user_id", "team_id", "project_id", "api_key_id", "end_user_id"] = "user_id"
    """Column that the consumer's name fills: what a Kong consumer stands for is the operator's choice."""
    headers: AttributeMapping = NO_HEADERS
    """Which logged request header (in small letters) fills which column."""
