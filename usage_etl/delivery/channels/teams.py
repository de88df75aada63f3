"""Microsoft Teams: an Adaptive Card posted to a workflow ("Post to a channel when a webhook request is received")."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import Any

from usage_etl.delivery.channels.channel import Told, called
from usage_etl.delivery.guarded_http import GuardedHttp
from usage_etl.delivery.texts import clipped, one_line
from usage_etl.schemas.notices import Notice

SIZE_LIMIT = 20_000
"""Bytes of a whole message. Teams says about 28 KB and counts what it makes of the card; people have been refused from 21 KB."""
_LINE_LIMIT, _LABEL_LIMIT = 1000, 100
_COLOURS = {"critical": "Attention", "warning": "Warning", "info": "Accent"}


@dataclass(frozen=True)
class TeamsChannel:
    """A workflow, whose address is its own password."""

    name: str
    pace: dt.timedelta
    http: GuardedHttp
    url: str = field(repr=False)

    def tell(self, notice: Notice, recipient: str, now: dt.datetime) -> Told:  # noqa: ARG002 - there is one recipient
        """One POST. Teams knows no identity of messages: in doubt it may stand there twice."""
        headers = {"Content-Type": "application/json"}
        return called(self.http, "POST", self.url, headers=headers, content=teams_message(notice), now=now)[0]


def teams_message(notice: Notice) -> bytes:
    """A message with one card, at most ``SIZE_LIMIT`` bytes; what does not fit is counted at its end."""
    parts = [*map(_line, notice.lines), *_facts(notice), *[part for member in notice.members for part in _member(member)]]
    for kept in range(len(parts), -1, -1):
        message = _message(notice, parts[:kept], left_out=len(parts) - kept)
        if len(message) <= SIZE_LIMIT:
            return message
    raise AssertionError("a card without parts fits")


def _message(notice: Notice, parts: list[dict[str, Any]], *, left_out: int) -> bytes:
    end = [_line(f"{left_out} further lines do not fit into a message of Teams.")] if left_out else []
    foot = f"{notice.organization_id} · {notice.happened_at:%Y-%m-%d %H:%M} UTC"
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": clipped(_safe(notice.title), _LINE_LIMIT),
        "msteams": {"width": "Full"},
        "body": [
            _text(notice.title, size="Large", weight="Bolder", color=_colour(notice)),
            *parts,
            *end,
            _text(foot, size="Small", isSubtle=True),
        ],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return json.dumps({"type": "message", "attachments": [attachment]}, separators=(",", ":"), ensure_ascii=False).encode()


def _line(text: str) -> dict[str, Any]:
    return _text(text)


def _facts(notice: Notice) -> list[dict[str, Any]]:
    return [
        {
            "type": "ColumnSet",
            "spacing": "Small",
            "columns": [
                {"type": "Column", "width": "140px", "items": [_text(label, limit=_LABEL_LIMIT, isSubtle=True)]},
                {"type": "Column", "width": "stretch", "items": [_text(printed, weight="Bolder")]},
            ],
        }
        for label, printed in notice.facts.items()
    ]


def _member(member: Notice) -> list[dict[str, Any]]:
    return [_text(member.title, weight="Bolder", color=_colour(member)), *map(_line, member.lines[:1])]


def _colour(notice: Notice) -> str:
    return "Good" if notice.action in ("resolved", "corrected") else _COLOURS[notice.severity]


def _text(text: str, *, limit: int = _LINE_LIMIT, **looks: Any) -> dict[str, Any]:
    """A paragraph without markup: a TextRun knows no Markdown, which a TextBlock does."""
    return {
        "type": "RichTextBlock",
        "inlines": [{"type": "TextRun", "text": clipped(_safe(text), limit), **looks}],
    }


def _safe(text: str) -> str:
    """One line in which nothing reads as one of the card's date functions."""
    return one_line(text).replace("{{", "{ {").replace("${", "$ {") or " "
