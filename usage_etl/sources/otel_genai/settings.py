"""Settings of the otel_genai source."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from usage_etl.config import FolderSourceSettings

Primitive = Literal["ai.chat", "ai.embed", "ai.image", "safety.moderate"]


class OtelGenAiSettings(FolderSourceSettings):
    """OpenTelemetry GenAI spans as OTLP/JSON lines, as the collector's file and S3 exporters write them.

    Each list of attributes is tried in its order: for each key first the span's own attribute, then the resource's.
    """

    kind: Literal["otel_genai"]
    """Which reader."""
    pattern: str = "**/*.json*"
    """Which files below ``location`` are read."""
    user_attributes: tuple[str, ...] = (
        "enduser.id",
        "user.id",
        "langfuse.user.id",
        "traceloop.association.properties.user_id",
        "ai.telemetry.metadata.userId",
    )
    """Attributes that name the user."""
    team_attributes: tuple[str, ...] = ("team.id",)
    """Attributes that name the team."""
    project_attributes: tuple[str, ...] = ("project.id",)
    """Attributes that name the project."""
    feature_attributes: tuple[str, ...] = ("feature.id", "service.name")
    """Attributes that name the feature; features.csv knows its product."""
    investigation_attributes: tuple[str, ...] = ("investigation.id",)
    """Attributes that name the case or work item."""
    end_user_attributes: tuple[str, ...] = ()
    """Attributes that name the customer's own user."""
    api_key_attributes: tuple[str, ...] = ()
    """Attributes that name the API key; a key in clear is replaced by its hash."""
    session_attributes: tuple[str, ...] = (
        "gen_ai.conversation.id",
        "session.id",
        "langfuse.session.id",
        "traceloop.association.properties.session_id",
    )
    """Attributes that name the session or conversation."""
    tag_attributes: tuple[str, ...] = ("deployment.environment.name",)
    """Attributes that are kept in ``tag_set``, each as ``key=value``."""
    operations: dict[str, Primitive] = Field(default={})
    """Further values of ``gen_ai.operation.name`` that are calls of a model, and what each uses."""
    ignored_scopes: tuple[str, ...] = ()
    """Names of instrumentation scopes whose spans are not read, because another scope reports the same calls."""
    scopes_with_cache_beside_input: tuple[str, ...] = ()
    """Names of instrumentation scopes whose input tokens leave out cached ones, against the convention."""
    counted_copy: Literal["outermost", "innermost"] = "outermost"
    """Which of several spans of one response counts. outermost: the one that ended last, the caller's. innermost: the one
    that started last, nearest to the model. A span without token counts never wins over one that has them."""
