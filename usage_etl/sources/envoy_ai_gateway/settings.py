"""Settings of the envoy_ai_gateway source."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints

from usage_etl.config import FolderSourceSettings

LogField = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class EnvoyFields(BaseModel):
    """Names of the access log's JSON fields, as your EnvoyProxy resource sets them. A null one is not read."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    start_time: LogField = "start_time"
    """``%START_TIME%``, with a zone or in UTC."""
    request_id: LogField | None = "x-request-id"
    """``%REQ(X-REQUEST-ID)%``."""
    model: LogField = "genai_model_name"
    """``%REQ(X-AI-EG-MODEL)%``: the model that the caller asked for."""
    model_override: LogField | None = "genai_model_name_override"
    """``io.envoy.ai_gateway:model_name_override``: the model that the backend was asked for."""
    response_model: LogField | None = "genai_response_model"
    """A field of your own with the model that answered, where you log one."""
    backend: LogField | None = "genai_backend_name"
    """``io.envoy.ai_gateway:backend_name``."""
    input_tokens: LogField = "genai_tokens_input"
    """Key of ``llmRequestCosts`` type ``InputToken``: cached tokens are in it."""
    cached_input_tokens: LogField | None = "genai_tokens_cached_input"
    """Key of type ``CachedInputToken``."""
    cache_creation_input_tokens: LogField | None = "genai_tokens_cache_creation_input"
    """Key of type ``CacheCreationInputToken``."""
    output_tokens: LogField = "genai_tokens_output"
    """Key of type ``OutputToken``: reasoning tokens are in it."""
    reasoning_tokens: LogField | None = "genai_tokens_reasoning"
    """Key of type ``ReasoningToken``."""
    total_tokens: LogField | None = "genai_tokens_total"
    """Key of type ``TotalToken``."""
    response_code: LogField | None = "response_code"
    """``%RESPONSE_CODE%``."""
    response_flags: LogField | None = "response_flags"
    """``%RESPONSE_FLAGS%``."""
    duration: LogField | None = "duration"
    """``%DURATION%``, in milliseconds."""
    path: LogField | None = "x-envoy-origin-path"
    """``%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%``."""
    user_id: LogField | None = None
    """A field of your own that fills ``user_id``, for example ``%REQ(X-USER-ID)%``."""
    team_id: LogField | None = None
    """A field of your own that fills ``team_id``."""
    project_id: LogField | None = None
    """A field of your own that fills ``project_id``."""
    feature_id: LogField | None = None
    """A field of your own that fills ``feature_id``."""
    investigation_id: LogField | None = None
    """A field of your own that fills ``investigation_id``."""
    session_id: LogField | None = None
    """A field of your own that fills ``session_id``."""
    end_user_id: LogField | None = None
    """A field of your own that fills ``end_user_id``."""
    api_key_id: LogField | None = None
    """A field of your own that fills ``api_key_id``; a key in clear (``sk-...``) is replaced by its hash."""


class EnvoyAIGatewaySettings(FolderSourceSettings):
    """Envoy AI Gateway's access log, format JSON: one object per line."""

    kind: Literal["envoy_ai_gateway"]
    """Which reader."""
    fields: EnvoyFields = EnvoyFields()
    """How your access log names its fields; the defaults are those of Envoy AI Gateway's own guide."""
