"""Objects of an invocation log that are not landed yet: an hour's folder together, sidecars never."""

from __future__ import annotations

import re
from collections.abc import Iterator

from usage_etl.sources.bedrock_logs.settings import BedrockLogsSettings
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.small_objects import list_packed
from usage_etl.sources.source import OBJECTS, FetchContext

_HOUR = re.compile(r"(?P<hour>(?:.*/)?\d{4}/\d\d/\d\d/\d\d)/[^/]+\.json\.gz")
_SIDECAR = re.compile(r"(?:.*/)?(?:data/.*|amazon-bedrock-logs-permission-check|aws-logs-write-test)")


def fetch(settings: BedrockLogsSettings, context: FetchContext) -> Iterator[FetchedObject]:
    """Objects and packs of objects that changed since they were last landed. Raises LakeError."""
    yield from list_packed(
        context.open_store(settings.location),
        pattern=settings.pattern,
        known=context.known,
        dataset=OBJECTS,
        pack_of=pack_of if settings.pack else _by_itself,
        is_wanted=lambda key: _SIDECAR.fullmatch(key) is None,
    )


def pack_of(key: str) -> str | None:
    """The pack of an object that Bedrock wrote: its account's, region's and hour's folder."""
    found = _HOUR.fullmatch(key)
    return f"{found['hour']}.bundle" if found else None


def _by_itself(_: str) -> None:
    return None
