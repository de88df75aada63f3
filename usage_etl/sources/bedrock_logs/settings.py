"""Settings of the bedrock_logs source."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from usage_etl.config import FolderSourceSettings

MetadataKey = Annotated[str, StringConstraints(pattern=r"^[^\"'\x00-\x1f]{1,256}$")]


class MetadataKeys(BaseModel):
    """Which keys of ``requestMetadata`` fill columns; null fills none."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    user: MetadataKey | None = "user"
    """Key whose value is the ``user_id``; without it the caller's identity is."""
    team: MetadataKey | None = "team"
    """Key whose value is the ``team_id``."""
    project: MetadataKey | None = "project"
    """Key whose value is the ``project_id``; without it the AWS account is."""
    feature: MetadataKey | None = "feature"
    """Key whose value is the ``feature_id``."""
    investigation: MetadataKey | None = "investigation"
    """Key whose value is the ``investigation_id``."""
    session: MetadataKey | None = "session"
    """Key whose value is the ``session_id``."""
    end_user: MetadataKey | None = None
    """Key whose value is the ``end_user_id``."""
    keep: tuple[MetadataKey, ...] = ("env",)
    """Keys that are kept in ``tag_set`` as ``key=value``."""


class BedrockLogsSettings(FolderSourceSettings):
    """Amazon Bedrock model invocation logs in a folder or bucket, as Bedrock or CloudWatch Logs deliver them."""

    kind: Literal["bedrock_logs"]
    """Which reader."""
    pattern: str = "**/*.gz"
    """Which files below ``location`` are read; sidecar folders ``data/`` never are."""
    metadata: MetadataKeys = MetadataKeys()
    """Which keys of ``requestMetadata`` fill columns."""
    user_from: Literal["session", "role", "none"] = "session"
    """Who the user of an assumed role is: the name of its session, the role, or nobody. A user of IAM is always itself."""
    profiles: dict[str, str] = Field(default_factory=dict)
    """Application inference profile, prompt router or provisioned model, by ARN or by the id at its end, to the model it runs."""
    bundle: Literal["none", "folder", "auto"] = "auto"
    """Whether new objects of up to 1 MiB of one folder are landed together, as one delivery. none: each on its own. folder:
    together. auto: together where the folder is one of Bedrock's hours, or holds a thousand and more."""
