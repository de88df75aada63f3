"""Slack's incoming webhooks: a text for notifications, and blocks for the channel."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import Any

from usage_etl.delivery.channels.channel import Told, called
from usage_etl.delivery.guarded_http import GuardedHttp
from usage_etl.delivery.texts import clipped, one_line
from usage_etl.schemas.notices import Notice

_TITLE_LIMIT, _TEXT_LIMIT, _FIELD_LIMIT, _FIELDS, _BLOCKS = 150, 3000, 2000, 10, 50
_MARKS = {"critical": "🔴", "warning": "🟠", "info": "🔵"}
_RESOLVED = "🟢"
_SECTIONS_FOR_MEMBERS = 40


@dataclass(frozen=True)
class SlackChannel:
    """An incoming webhook, whose address is its own password."""

    name: str
    pace: dt.timedelta
    http: GuardedHttp
    url: str = field(repr=False)

    def tell(self, notice: Notice, recipient: str, now: dt.datetime) -> Told:  # noqa: ARG002 - there is one recipient
        """One POST. Slack knows no identity of messages: in doubt it may stand there twice."""
        content = json.dumps(slack_message(notice), ensure_ascii=True).encode("ascii")
        return called(self.http, "POST", self.url, headers={"Content-Type": "application/json"}, content=content, now=now)[0]


def slack_message(notice: Notice) -> dict[str, Any]:
    """Text and blocks. What stands in a notice is shown as it is: nobody is mentioned by it, nothing becomes a link."""
    blocks = [{"type": "header", "text": _plain(f"{mark(notice)} {notice.title}", _TITLE_LIMIT)}, *_body(notice)]
    for member in notice.members[:_SECTIONS_FOR_MEMBERS]:
        text = "\n".join([f"{mark(member)} {one_line(member.title)}", *map(one_line, member.lines[:1])])
        blocks.append({"type": "section", "text": _plain(text, _TEXT_LIMIT, is_one_line=False)})
    if (left_out := len(notice.members) - _SECTIONS_FOR_MEMBERS) > 0:
        blocks.append({"type": "section", "text": _plain(f"and {left_out} more", _TEXT_LIMIT)})
    foot = f"{notice.organization_id} · {notice.happened_at:%Y-%m-%d %H:%M} UTC"
    blocks.append({"type": "context", "elements": [_plain(foot, _TEXT_LIMIT)]})
    assert len(blocks) <= _BLOCKS
    text = clipped(one_line(f"{mark(notice)} {notice.title}"), _TEXT_LIMIT, escape=slack_escaped)
    return {"text": text, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False, "blocks": blocks}


def slack_escaped(text: str) -> str:
    """``text`` with the three characters by which Slack knows mentions and links, as it asks for them."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def mark(notice: Notice) -> str:
    """A coloured sign for the severity, green once it is over."""
    return _RESOLVED if notice.action in ("resolved", "corrected") else _MARKS[notice.severity]


def _body(notice: Notice) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if text := "\n".join(filter(None, map(one_line, notice.lines))):
        blocks.append({"type": "section", "text": _plain(text, _TEXT_LIMIT, is_one_line=False)})
    fields = [
        {
            "type": "mrkdwn",
            "verbatim": True,
            "text": f"*{clipped(one_line(label), 100, escape=slack_escaped)}*\n"
            + clipped(one_line(printed), _FIELD_LIMIT - 110, escape=slack_escaped),
        }
        for label, printed in notice.facts.items()
    ]
    if fields:
        blocks.append({"type": "section", "fields": fields[:_FIELDS]})
    return blocks


def _plain(text: str, limit: int, *, is_one_line: bool = True) -> dict[str, Any]:
    shown = one_line(text) if is_one_line else text
    return {"type": "plain_text", "emoji": False, "text": clipped(shown, limit, escape=slack_escaped)}
