"""What every part of the settings file is made of: the strict base, names, currencies, places, zones and secrets."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
CurrencyCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Location = Annotated[str, StringConstraints(min_length=1)]
"""A folder (absolute, or relative to the settings file) or ``s3://bucket/prefix``."""


def _known_zone(zone: str) -> str:
    if zone not in available_timezones():
        raise ValueError(f"unknown time zone {zone!r}; use an IANA name such as Europe/Berlin")
    return zone


ZoneName = Annotated[str, AfterValidator(_known_zone)]
"""IANA name of a time zone, such as Europe/Berlin."""


class SettingsPart(BaseModel):
    """Frozen; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class SecretRef(SettingsPart):
    """Name of the environment variable that holds a secret; written ``{env: NAME}``. Never the secret itself."""

    env: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]
    """Name of the environment variable, in capitals."""
