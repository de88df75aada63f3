"""Settings of the langfuse source."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from usage_etl.config import LogSourceSettings


class LangfuseSettings(LogSourceSettings):
    """Langfuse's scheduled blob storage exports: observations (CSV, JSON, JSON lines or Parquet) with their traces."""

    kind: Literal["langfuse"]
    """Which reader."""
    table: Literal["auto", "observations", "observations_v2"] = "auto"
    """Which table is the usage. auto: observations_v2 where a window has it, else observations. Never both."""
    earlier_trace_windows: Annotated[int, Field(ge=0, le=50)] = 1
    """How many windows of traces before an observation's own are searched for its trace, which names user and session."""
    feature_from: Literal["observation_name", "trace_name"] = "observation_name"
    """What names the feature where no tag does."""
