"""Settings of the litellm source."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from usage_etl.config import SecretRef, SourceSettings, TagMapping


class LiteLLMSettings(SourceSettings):
    """LiteLLM's request log: exported or logged files in a folder or bucket, or its PostgreSQL database."""

    kind: Literal["litellm"]
    """Which reader."""
    pattern: str = "**/*.json*"
    """Which files below ``location`` are read: ``.json``, ``.jsonl``, ``.jsonl.gz``, ``.jsonl.zst``."""
    tags: TagMapping = TagMapping()
    """How request tags fill columns."""
    bundle: Literal["none", "folder", "auto"] = "auto"
    """Whether new objects of up to 1 MiB of one folder are landed together, as one delivery. none: each on its own. folder:
    together. auto: together where their names are those of a logger that writes one per call, or a folder holds a thousand."""
    database: SecretRef | None = None
    """Address of LiteLLM's PostgreSQL database (``DATABASE_URL``), read in place of files."""
    database_schema: Annotated[str, StringConstraints(min_length=1, max_length=63)] = "public"
    """Schema of the database in which LiteLLM's tables are."""
    window_hours: Literal[1, 2, 3, 4, 6, 8, 12, 24] = 6
    """Requests that began within so many hours are one delivery; a window that changed is read again whole."""
    daily_spend: Literal["user", "team", "organization"] | None = "user"
    """Which LiteLLM_Daily*Spend table is read beside the requests, for comparison; null reads none."""
    fetch_rows: Annotated[int, Field(ge=100, le=100_000)] = 5_000
    """Rows that the database hands over at a time."""
    statement_timeout_s: Annotated[int, Field(ge=1, le=3600)] = 120
    """After how long the database ends one of our statements by itself."""

    @property
    def origin(self) -> str:
        """The folder or bucket, or the variable that names the database; never its address."""
        return self.location or f"database {self.database.env if self.database else ''}"

    @model_validator(mode="after")
    def _location_or_database(self) -> Self:
        if (self.location is None) == (self.database is None):
            raise ValueError("needs either location (files) or database (LiteLLM's PostgreSQL)")
        return self
