"""What LiteLLM has that is not landed yet: files of a folder or bucket, or windows of its database."""

from __future__ import annotations

import re
from collections.abc import Iterator

from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.litellm.database import fetch_database
from usage_etl.sources.litellm.settings import LiteLLMSettings
from usage_etl.sources.source import FetchContext, fetch_folder

_S3_CALL = re.compile(r"(?:.*/)?time-\d\d-\d\d-\d\d-\d+_.*\.json")
_GCS_CALL = re.compile(r"(?:.*/)?\d{4}-\d\d-\d\d/[^/.]+")
_AUDIT_LOGS = "audit_logs/"


def fetch(settings: LiteLLMSettings, context: FetchContext) -> Iterator[FetchedObject]:
    """Objects of a folder, or what changed in a database since it was last landed.

    Raises SourceError, TransientSourceError where trying again may help, or LakeError.
    """
    if settings.database is not None:
        return fetch_database(settings, context)
    return fetch_folder(settings, context, is_wanted=lambda key: _AUDIT_LOGS not in key, is_small=is_call)


def is_call(key: str) -> bool:
    """Whether a logger wrote the object for one call."""
    return bool(_S3_CALL.fullmatch(key) or _GCS_CALL.fullmatch(key))
