"""Landing: a source's bytes as received, stored for good and entered in the delivery index."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from usage_etl.errors import IntegrityError, LakeError
from usage_etl.keys import is_slug, safe_name, sha256_hex
from usage_etl.lake.clock import Clock, utc_now
from usage_etl.lake.deliveries import LandedDelivery, delivery_id
from usage_etl.lake.index import DeliveryIndex
from usage_etl.lake.objects import ObjectStore

_SUFFIXES = re.compile(r"(\.[A-Za-z0-9]{1,8}){1,2}$")


class Landing:
    """Writes landed objects below ``landing/`` and reads them back, checked."""

    def __init__(
        self, store: ObjectStore, index: DeliveryIndex, *, clock: Clock = utc_now, work_folder: Path | None = None
    ) -> None:
        """``work_folder`` holds local copies while they are read; the system's temporary folder unless given."""
        self._store, self._index, self._clock, self._work_folder = store, index, clock, work_folder

    def land(
        self,
        *,
        source: str,
        kind: str,
        dataset: str,
        origin_key: str,
        origin_version: str,
        content: bytes | Path,
        replaces_earlier: bool = False,
        members: tuple[str, Sequence[bytes]] | None = None,
    ) -> LandedDelivery | None:
        """Stores ``content`` and enters it in the index; None when this version of the origin is known already.

        ``replaces_earlier`` and ``members``: see DeliveryIndex.register. The object is written before the entry, so every
        entry has its object; an object left without one by a crash is written over or stays unread.
        """
        if not is_slug(source):
            raise LakeError(f"source {source!r}: not a name that may stand in a key")
        sha256 = _sha256(content)
        own_id = delivery_id(source=source, origin_key=origin_key, origin_version=origin_version, sha256=sha256)
        received_at = self._clock().astimezone(dt.UTC)
        key = f"landing/{source}/{received_at.date().isoformat()}/{own_id[:16]}-{safe_name(origin_key)}"
        if self._index.is_seen(source, origin_key, origin_version):
            return None
        if isinstance(content, Path):
            self._store.upload(key, content)
        else:
            self._store.write(key, content)
        landed = {
            "delivery_id": own_id,
            "source": source,
            "kind": kind,
            "dataset": dataset,
            "origin_key": origin_key,
            "origin_version": origin_version,
            "landed_key": key,
            "sha256": sha256,
            "bytes_count": len(content) if isinstance(content, bytes) else content.stat().st_size,
            "received_at": received_at,
        }
        return self._index.register(landed, replaces_earlier=replaces_earlier, members=members)

    @contextlib.contextmanager
    def open(self, delivery: LandedDelivery) -> Iterator[Path]:
        """A local copy of the landed bytes, with the origin's file name suffixes.

        Raises IntegrityError when the stored bytes are not those that were landed.
        """
        with tempfile.TemporaryDirectory(prefix="usage_etl-", dir=self._work_folder) as folder:
            path = Path(folder) / f"{delivery.delivery_id[:16]}{_suffixes(delivery.origin_key)}"
            self._store.download(delivery.landed_key, path)
            found = _sha256(path)
            if found != delivery.sha256:
                raise IntegrityError(delivery.landed_key, "sha256", delivery.sha256, found)
            yield path

    def verify(self) -> list[str]:
        """Reads every landed and every counted staged object; one line per fault, none when all is well."""
        landed = {delivery.landed_key: delivery.sha256 for delivery in self._index.deliveries()}
        return [fault for key, sha256 in (landed | self._index.staged_objects()).items() for fault in self._faults(key, sha256)]

    def _faults(self, key: str, sha256: str) -> Iterator[str]:
        if self._store.head(key) is None:
            yield f"{key}: there is no such object, the delivery index names it"
        elif (found := self._store.digest(key)) != sha256:
            yield f"{key}: sha256 is {found}, the delivery index says {sha256}"


def _sha256(content: bytes | Path) -> str:
    if isinstance(content, bytes):
        return sha256_hex(content)
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _suffixes(origin_key: str) -> str:
    found = _SUFFIXES.search(origin_key.rpartition("/")[2])
    return found.group() if found else ""
