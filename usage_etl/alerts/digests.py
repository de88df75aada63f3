"""Messages that group others: of one evaluation, of a silence that ended, and of what is above the cap."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from usage_etl.keys import fingerprint
from usage_etl.schemas.alert_state import ActiveSilence
from usage_etl.schemas.notices import Notice

Action = Literal["fired", "corrected", "resolved", "no_data", "digest"]
_ORDER: tuple[Literal["critical", "warning", "info"], ...] = ("critical", "warning", "info")
_WORDS: dict[Action, str] = {
    "fired": "fired",
    "corrected": "corrected",
    "resolved": "resolved",
    "no_data": "without data",
    "digest": "grouped",
}


def addressed(notice: Notice, identity: str, channel: str) -> Notice:
    """The notice under its id, for a channel."""
    return replace(notice, notice_id=identity, channel=channel)


def digest(members: Sequence[Notice], *, now: dt.datetime, organization_id: str) -> Notice:
    """One message for what one evaluation tells through one channel."""
    gravest = min(members, key=lambda member: _ORDER.index(member.severity))
    title = f"{len(members)} alerts, the first: {gravest.title}"
    notes = (f"{_counted(members).capitalize()}.",)
    return _group("digest", title, members, now=now, organization_id=organization_id, notes=notes)


def many_more(members: Sequence[Notice], *, now: dt.datetime, organization_id: str) -> Notice:
    """One message for what is above the cap."""
    title = f"{len(members)} more: {_counted(members)}"
    note = "More messages than the channel's cap allows in an hour; these come together."
    return _group("more", title, members, now=now, organization_id=organization_id, notes=(note,))


def silence_summary(
    silence: ActiveSilence | None, silence_id: str, members: Sequence[Notice], *, now: dt.datetime, organization_id: str
) -> Notice:
    """What a silence muted, told when it has ended."""
    title = f"Silence ended: {len(members)} muted, {_counted(members)}"
    note = f"Silenced by {silence.owner}: {silence.reason}" if silence else "The silence was removed."
    return _group(f"silence:{silence_id}", title, members, now=now, organization_id=organization_id, notes=(note,))


def _group(
    kind: str, title: str, members: Sequence[Notice], *, now: dt.datetime, organization_id: str, notes: tuple[str, ...] = ()
) -> Notice:
    ids = [member.notice_id for member in members]
    identity = fingerprint({"digest": kind, "members": sorted(ids), "channel": members[0].channel})
    severities = {member.severity for member in members}
    ordered = sorted(members, key=lambda member: _ORDER.index(member.severity))
    return Notice(
        notice_id=identity,
        alert_key=identity,
        action="digest",
        severity=next(severity for severity in _ORDER if severity in severities),
        channel=members[0].channel,
        organization_id=organization_id,
        title=title if len(title) <= 120 else f"{title[:119].rstrip()}…",
        lines=notes,
        facts={},
        happened_at=now,
        members=tuple(ordered),
    )


def _counted(members: Sequence[Notice]) -> str:
    counts = Counter(member.action for member in members)
    return ", ".join(f"{counts[action]} {word}" for action, word in _WORDS.items() if counts[action])
