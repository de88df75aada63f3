"""Objects of an invocation log that are not landed yet: the new ones of an hour's folder together, sidecars never."""

from __future__ import annotations

import re
from collections.abc import Iterator

from usage_etl.sources.bedrock_logs.settings import BedrockLogsSettings
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.source import FetchContext, fetch_folder

_HOUR = re.compile(r"(?:.*/)?\d{4}/\d\d/\d\d/\d\d/[^/]+\.json\.gz")
_SIDECAR = re.compile(r"(?:.*/)?(?:data/.*|amazon-bedrock-logs-permission-check|aws-logs-write-test)")


def fetch(settings: BedrockLogsSettings, context: FetchContext) -> Iterator[FetchedObject]:
    """Objects and bundles of objects that are new. Raises LakeError."""
    return fetch_folder(settings, context, is_wanted=lambda key: _SIDECAR.fullmatch(key) is None, is_small=is_of_an_hour)


def is_of_an_hour(key: str) -> bool:
    """Whether Bedrock wrote the object into an hour's folder."""
    return _HOUR.fullmatch(key) is not None
