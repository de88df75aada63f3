"""The versions that were published of a report and period, read back from the out location."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from usage_etl.delivery.manifest import MANIFEST_NAME
from usage_etl.delivery.store import OutStore
from usage_etl.errors import DeliveryError, IntegrityError
from usage_etl.keys import sha256_hex

_NUMBER = re.compile(r"v([1-9][0-9]{0,5})")
_SHA = re.compile(r"(?:v-)?([0-9a-f]{4,64})")
_WAYS = "name a version as v1, v2, ..., latest, closed, or by the first characters of its manifest's sha256"


@dataclass(frozen=True)
class PublishedVersion:
    """One version of a report and period. ``number`` counts from 1, the first that was published."""

    report: str
    period: str
    number: int
    manifest_sha256: str
    prefix: str
    """Where its files lie."""
    manifest: Mapping[str, Any]
    published_at: dt.datetime | None
    """When the store wrote its manifest, where the store says so."""

    @property
    def name(self) -> str:
        """As people name it."""
        return f"{self.period}@v{self.number}"

    @property
    def files(self) -> dict[str, str]:
        """File name to sha256."""
        return {entry["name"]: entry["sha256"] for entry in self.manifest["files"]}


def published_versions(store: OutStore, report: str, period: str) -> list[PublishedVersion]:
    """All versions that were ever in force, the first first; none where nothing was published.

    They are chained by ``restates``, from the one that ``latest.json`` names backwards. Raises IntegrityError when a
    manifest is not the one that its name or its successor says.
    """
    prefix = f"{report}/{period}"
    if store.head(f"{prefix}/latest.json") is None:
        return []
    sha256: str | None = json.loads(store.read(f"{prefix}/latest.json"))["manifest_sha256"]
    chain: list[tuple[str, str, Mapping[str, Any], dt.datetime | None]] = []
    while sha256 is not None:
        folder = f"{prefix}/v-{sha256[:12]}"
        key = f"{folder}/{MANIFEST_NAME}"
        data = store.read(key)
        if sha256_hex(data) != sha256:
            raise IntegrityError(key, "sha256", sha256, sha256_hex(data))
        written_at = getattr(store.head(key), "modified_at", None)
        manifest = json.loads(data)
        chain.append((sha256, folder, manifest, written_at))
        sha256 = manifest["restates"]
    return [PublishedVersion(report, period, number, *found) for number, found in enumerate(reversed(chain), start=1)]


def choose_version(versions: Sequence[PublishedVersion], selector: str, *, report: str, period: str) -> PublishedVersion:
    """The version that ``selector`` names: ``v2``, ``latest``, ``closed`` (the newest closed one) or the start of a sha256.

    Raises DeliveryError, which lists the versions, when it names none or several.
    """
    found = [version for version in versions if _is_named(version, selector)]
    if selector in {"latest", "closed"}:
        found = found[-1:]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"v{one.number} ({one.manifest_sha256[:12]}, {one.manifest['period_status']})" for one in versions)
    fault = "names several versions" if found else "names no version"
    raise DeliveryError(f"{report} {period}@{selector} {fault}; published: {listed or 'none'}; {_WAYS}")


def read_file(store: OutStore, version: PublishedVersion, name: str) -> bytes:
    """A file of a version. Raises DeliveryError when it has none of the name, IntegrityError when it was changed."""
    wanted = version.files.get(name)
    if wanted is None:
        raise DeliveryError(f"{version.report} {version.name} holds no {name}; it holds {', '.join(version.files)}")
    key = f"{version.prefix}/{name}"
    content = store.read(key)
    if sha256_hex(content) != wanted:
        raise IntegrityError(key, "sha256", wanted, sha256_hex(content))
    return content


def _is_named(version: PublishedVersion, selector: str) -> bool:
    if selector == "latest":
        return True
    if selector == "closed":
        return bool(version.manifest["period_status"] == "closed")
    if number := _NUMBER.fullmatch(selector):
        return version.number == int(number[1])
    sha = _SHA.fullmatch(selector)
    return sha is not None and version.manifest_sha256.startswith(sha[1])
