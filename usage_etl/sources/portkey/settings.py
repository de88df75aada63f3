"""Settings of the portkey source."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from usage_etl.config import FolderSourceSettings
from usage_etl.sources.rows.attributes import AttributeMapping


class PortkeySettings(FolderSourceSettings):
    """Portkey's log export as JSON lines in a folder or bucket."""

    kind: Literal["portkey"]
    """Which reader."""
    pattern: str = "**/*.json*"
    """Which files below ``location`` are read."""
    cost_unit: Literal["cents", "usd"]
    """What ``cost`` counts. Portkey's documentation says cents, its sample files hold dollars: look at yours and say."""
    attributes: AttributeMapping = AttributeMapping(user_id="_user")
    """Which key of the request's metadata fills which column."""

    @model_validator(mode="after")
    def _no_key_of_pairs(self) -> Self:
        clash = sorted({"key", "value"} & set(self.attributes.keys))
        if clash:
            raise ValueError(f"attributes: {', '.join(clash)} cannot be read; Portkey's own pairs stand under these names")
        return self
