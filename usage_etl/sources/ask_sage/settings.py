"""Settings of the ask_sage source."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from usage_etl.config import SecretRef, SourceSettings, ZoneName
from usage_etl.units import PRIMITIVE_UNITS

Text = Annotated[str, StringConstraints(min_length=1, max_length=300)]


class AskSageSettings(SourceSettings):
    """Ask Sage: exports of its activity log and of its monthly tokens, or the log of one user, fetched."""

    kind: Literal["ask_sage"]
    """Which reader."""
    api_key: SecretRef | None = None
    """Ask Sage API key of ``email``; needed when ``location`` is null."""
    email: Text | None = None
    """Login of the key's owner; the API answers with the log of this user only."""
    base_url: str = "https://api.asksage.ai"
    """Address of the API, for a dedicated or government instance."""
    logs_path: str = "/user/get-user-logs"
    """Path of the log's endpoint; some descriptions of the API have it at ``/server/get-user-logs``."""
    time_zone: ZoneName = "UTC"
    """Zone of times that the log writes without one; IANA name."""
    user_id: Text | None = None
    """User of rows that name none, as in an export of one user's log."""
    interactions: Annotated[dict[str, str], Field(max_length=100)] = {}  # noqa: RUF012 - pydantic copies it
    """Type of interaction, as logged, to primitive; every other one is ``ai.chat``, or ``ai.embed`` where training is set."""
    counted: Literal["log", "monthly"] = "log"
    """Which of the two is usage where both are delivered; the other is compared only, never added."""
    keep_prompts: bool = False
    """Read the prompt and keep its first characters in ``prompt_excerpt``."""
    excerpt_characters: Annotated[int, Field(ge=1, le=120)] = 120
    """How many characters of a prompt are kept."""
    keep_ip_addresses: bool = False
    """Read the caller's address and keep it in ``client_ip``."""

    @property
    def origin(self) -> str:
        """The folder or bucket of exports, or the API's address."""
        return self.location or self.base_url

    @field_validator("interactions")
    @classmethod
    def _known_primitives(cls, interactions: dict[str, str]) -> dict[str, str]:
        unknown = sorted(set(interactions.values()) - set(PRIMITIVE_UNITS))
        if unknown:
            raise ValueError(f"{', '.join(unknown)} is none of {', '.join(PRIMITIVE_UNITS)}")
        return interactions

    @model_validator(mode="after")
    def _key_or_location(self) -> Self:
        if self.location is None and (self.api_key is None or self.email is None):
            raise ValueError("needs location (exports), or api_key and email (the log of that user, fetched)")
        return self
