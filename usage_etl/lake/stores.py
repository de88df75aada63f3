"""Opens the store of a configured location."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from usage_etl.errors import ConfigError
from usage_etl.lake.folder import FolderStore
from usage_etl.lake.objects import ObjectStore

_ALLOWED = "use an absolute folder or s3://bucket/prefix"


def open_store(
    location: str, *, endpoint_url: str | None = None, region: str = "us-east-1", must_exist: bool = False
) -> ObjectStore:
    """Store at an absolute folder or ``s3://bucket/prefix``; ``endpoint_url`` and ``region`` matter for S3 only.

    With ``must_exist`` a folder that is not there is an error (LakeError), where otherwise it is an empty store: for
    places to read from. Raises ConfigError for any other location.
    """
    if location.startswith("s3://"):
        # Imported here because boto3 costs 0.2 s and 30 MB that a lake on a folder need not pay.
        from usage_etl.lake.s3 import S3Store  # noqa: PLC0415

        parts = urlsplit(location)
        if not parts.netloc or parts.query or parts.fragment:
            raise ConfigError(location, [_ALLOWED])
        return S3Store(parts.netloc, parts.path.strip("/"), endpoint_url=endpoint_url, region=region)
    if "://" in location or not Path(location).is_absolute():
        raise ConfigError(location, [_ALLOWED])
    return FolderStore(Path(location), must_exist=must_exist)
