"""Settings of the cloudflare_ai_gateway source."""

from __future__ import annotations

from typing import Literal

from usage_etl.config import FolderSourceSettings
from usage_etl.sources.rows.attributes import AttributeMapping


class CloudflareAIGatewaySettings(FolderSourceSettings):
    """Cloudflare AI Gateway logs in a folder or bucket: Logpush files, or answers of the logs API."""

    kind: Literal["cloudflare_ai_gateway"]
    """Which reader."""
    attributes: AttributeMapping = AttributeMapping(user_id="user")
    """Which key of the request's custom metadata fills which column."""
    timestamp_unit: Literal["ns", "ms", "s"] = "ns"
    """Unit of Logpush timestamps written as numbers: ``unixnano`` (Logpush's own default) is ns, ``unix`` is s."""
