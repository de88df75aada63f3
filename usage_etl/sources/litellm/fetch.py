"""What LiteLLM has that is not landed yet: files of a folder or bucket, or windows of its database."""

from __future__ import annotations

import re
from collections.abc import Iterator

from usage_etl.keys import sha256_hex
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.litellm.database import fetch_database
from usage_etl.sources.litellm.settings import LiteLLMSettings
from usage_etl.sources.small_objects import list_packed
from usage_etl.sources.source import OBJECTS, FetchContext

_S3_CALL = re.compile(r"(?P<folder>(?:.*/)?)time-(?P<tens>\d\d-\d)\d-\d\d-\d+_.*\.json")
_GCS_CALL = re.compile(r"(?P<folder>(?:.*/)?\d{4}-\d\d-\d\d/)(?P<name>[^/.]+)")
_AUDIT_LOGS = "audit_logs/"


def fetch(settings: LiteLLMSettings, context: FetchContext) -> Iterator[FetchedObject]:
    """Objects of a folder, or what changed in a database since it was last landed.

    Raises SourceError, TransientSourceError where trying again may help, or LakeError.
    """
    if settings.database is not None:
        yield from fetch_database(settings, context)
        return
    assert settings.location is not None, "the settings demand a location or a database"
    yield from list_packed(
        context.open_store(settings.location),
        pattern=settings.pattern,
        known=context.known,
        dataset=OBJECTS,
        pack_of=pack_of if settings.pack else _by_itself,
        is_wanted=lambda key: _AUDIT_LOGS not in key,
    )


def pack_of(key: str) -> str | None:
    """The pack of an object that a logger wrote for one call: its folder and ten minutes, or a sixteenth of its folder.

    The folders are of the proxy's local clock; here they only keep together what lies together.
    """
    if found := _S3_CALL.fullmatch(key):
        return f"{found['folder']}time-{found['tens']}x.bundle"
    if found := _GCS_CALL.fullmatch(key):
        return f"{found['folder']}{sha256_hex(found['name'].encode())[0]}.bundle"
    return None


def _by_itself(_: str) -> None:
    return None
