"""Settings of the anthropic source."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from usage_etl.sources.fetching.report_api import ReportApiSettings

Family = Literal["auto", "admin", "enterprise", "enterprise_users", "analytics"]
Dimension = Literal[
    "actor",
    "actor_type",
    "agent_id",
    "api_key_id",
    "claude_tag_category",
    "claude_tag_user_id",
    "context_window",
    "deployment_id",
    "environment_id",
    "inference_geo",
    "model",
    "organization_id",
    "product",
    "service_tier",
    "session_id",
    "slack_channel_id",
    "speed",
    "user_profile_id",
    "workspace_id",
]
"""What analytics reports may be grouped by here. Not by RBAC group: those overlap, so their sums are not the organization's."""


class AnthropicSettings(ReportApiSettings):
    """Anthropic cost and usage reports of one family: API pages, fetched or saved, and downloads of the Console."""

    kind: Literal["anthropic"]
    """Which reader."""
    base_url: str = "https://api.anthropic.com"
    """Address of the API, for a proxy in front of it."""
    family: Family = "auto"
    """Reports that the account is read from. auto: analytics where the key may read them, admin for older days and else.
    admin: cost_report and usage_report/messages. analytics: analytics/cost and analytics/usage, admin for older days.
    enterprise, enterprise_users: the older analytics reports of Claude Enterprise, by group or by user."""
    group_by: Annotated[tuple[Dimension, ...], Field(max_length=5)] = (
        "actor",
        "api_key_id",
        "workspace_id",
        "model",
        "service_tier",
    )
    """Dimensions of the analytics family's reports, five at most; costs are grouped by type of token besides."""
