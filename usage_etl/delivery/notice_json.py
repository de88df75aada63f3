"""A notice as JSON and back: what the outbox keeps, and what its hash is taken of."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from usage_etl.schemas.notices import Notice


def notice_document(notice: Notice) -> dict[str, Any]:
    """The notice as plain JSON values; equal notices give equal documents."""
    return {
        "notice_id": notice.notice_id,
        "alert_key": notice.alert_key,
        "action": notice.action,
        "severity": notice.severity,
        "channel": notice.channel,
        "organization_id": notice.organization_id,
        "title": notice.title,
        "lines": list(notice.lines),
        "facts": dict(notice.facts),
        "happened_at": notice.happened_at.astimezone(dt.UTC).isoformat(),
        "members": [notice_document(member) for member in notice.members],
    }


def notice_to_json(notice: Notice) -> str:
    """The notice as text. The order of facts stays, because people read them in it."""
    return json.dumps(notice_document(notice), separators=(",", ":"), ensure_ascii=True)


def notice_from_json(text: str) -> Notice:
    """The notice that ``notice_to_json`` wrote."""
    return _notice(json.loads(text))


def _notice(document: Mapping[str, Any]) -> Notice:
    return Notice(
        **{
            **document,
            "lines": tuple(document["lines"]),
            "happened_at": dt.datetime.fromisoformat(document["happened_at"]),
            "members": tuple(_notice(member) for member in document["members"]),
        }
    )
