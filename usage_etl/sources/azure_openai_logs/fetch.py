"""Hours of Azure's diagnostic logs: the objects of one hour and resource are one delivery, whichever log they belong to.

Each log has a container of its own; below it the path of the resource and the hour are the same, so that is what belongs
together. An object grows while its hour runs, and the hour comes again then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

from usage_etl.keys import sha256_hex
from usage_etl.sources.azure_openai_logs.settings import AzureOpenAILogsSettings
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.fetching.folder import list_objects
from usage_etl.sources.reading.bundles import Content, write_bundle
from usage_etl.sources.source import FetchContext

HOURS = "hours"
"""Dataset: the objects of one hour and resource."""

_HOUR = re.compile(r"(?:.*/)?(?:insights-logs-|am-)[a-z]+/(?P<rest>.*/y=\d{4}/m=\d\d/d=\d\d/h=\d\d)/m=\d\d/[^/]+", re.IGNORECASE)
_LLM = re.compile(r"gatewayllmlogs?/", re.IGNORECASE)


def fetch(settings: AzureOpenAILogsSettings, context: FetchContext) -> Iterator[FetchedObject]:
    """Every hour that is not landed yet or has grown since; files in no hour's folder one by one. Raises LakeError."""
    known = set(context.known)
    listed = list_objects(context.open_store(settings.location), dataset=HOURS, pattern=settings.pattern, known=())
    for name, objects in groupby(sorted(listed, key=_order), _name):
        delivery = _delivery(name, list(objects))
        if (delivery.origin_key, delivery.origin_version) not in known:
            yield delivery


def _name(one: FetchedObject) -> str:
    """What the objects of one delivery share."""
    found = _HOUR.fullmatch(one.origin_key)
    return found["rest"] if found else one.origin_key


def _order(one: FetchedObject) -> tuple[str, bool, str]:
    """By hour, the LLM log before the log that completes it."""
    return _name(one), _LLM.search(one.origin_key) is None, one.origin_key


def _delivery(name: str, objects: list[FetchedObject]) -> FetchedObject:
    if len(objects) == 1 and name == objects[0].origin_key:
        return objects[0]
    versions = "\n".join(f"{one.origin_key} {one.origin_version}" for one in objects)
    members: list[tuple[str, Content]] = [(one.origin_key, one.content) for one in objects]
    return FetchedObject(
        dataset=HOURS,
        origin_key=name,
        origin_version=f"{len(objects)}-{sha256_hex(versions.encode())[:32]}",
        content=lambda target: write_bundle(target, members),
    )
