"""From what is told to what is sent: one notice for each channel, silences, digests, and the cap of each channel."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from usage_etl.alerts import digests
from usage_etl.alerts.rule_versions import notice_id
from usage_etl.schemas.alert_state import ActiveSilence, AlertMemory, AlertState, Decision, KeptNotice
from usage_etl.schemas.notices import Notice

_RANK = {"critical": 0, "warning": 1, "info": 2}
HOUR = dt.timedelta(hours=1)


@dataclass(frozen=True)
class Policy:
    """How messages are grouped and limited."""

    messages_per_hour: int = 20
    groups: bool = True
    """Whether what one evaluation tells through one channel is grouped, but for what is critical."""


@dataclass(frozen=True)
class Told:
    """One thing that is told of one alert, before it is known through which channels."""

    state: AlertState
    transition: str
    """What happened, with its episode: it makes the notice's id."""
    notice: Notice
    """Without id and channel."""


def silence_of(
    rule_name: str, scope_kind: str, scope_id: str, silences: Sequence[ActiveSilence], now: dt.datetime
) -> ActiveSilence | None:
    """The silence that mutes an alert at ``now``; of several the one that ends last."""
    muting = [
        silence
        for silence in silences
        if _is_on(silence, now)
        and silence.rule in ("*", rule_name)
        and silence.scope_kind in (None, scope_kind)
        and (not silence.scope_ids or scope_id in silence.scope_ids)
    ]
    return max(muting, key=lambda silence: (silence.ends_at, silence.silence_id), default=None)


def dispatch(
    told: Iterable[Told],
    *,
    memory: AlertMemory,
    silences: Sequence[ActiveSilence],
    now: dt.datetime,
    organization_id: str,
    policy: Policy,
) -> Decision:
    """Notices for the outbox, and those that are kept: muted, grouped into a digest, or held by the cap."""
    kept: list[KeptNotice] = []
    told_in: dict[str, str] = {}
    queues: dict[str, list[Notice]] = {}
    for item in told:
        silence = silence_of(item.state.rule_name, item.state.scope_kind, item.state.scope_id, silences, now)
        for notice in _by_channel(item):
            if silence is not None:
                kept.append(KeptNotice(notice, "muted", silence.silence_id))
            else:
                queues.setdefault(notice.channel, []).append(notice)
    for summary in _summaries(memory, silences, now, organization_id):
        queues.setdefault(summary.channel, []).append(summary)
    held: dict[str, list[Notice]] = {}
    for kept_before in memory.kept:
        if kept_before.disposition == "held":
            held.setdefault(kept_before.notice.channel, []).append(kept_before.notice)
    notices: list[Notice] = []
    for channel in sorted({*queues, *held}):
        queue, waiting = _grouped(queues.get(channel, []), now, organization_id, policy), held.get(channel, [])
        sent_at = memory.sent_at.get(channel, ())
        sent, over = _capped(queue, waiting, sent_at, now=now, organization_id=organization_id, policy=policy)
        notices += sent
        kept += over
    for notice in notices:
        told_in |= {member.notice_id: notice.notice_id for member in notice.members}
    remembered = {item.notice.notice_id for item in memory.kept}
    kept += [
        KeptNotice(member, "grouped") for notice in notices for member in notice.members if member.notice_id not in remembered
    ]
    return Decision(notices=tuple(notices), kept=tuple(kept), told_in=told_in)


def _by_channel(told: Told) -> list[Notice]:
    return [
        digests.addressed(told.notice, notice_id(told.state.alert_key, told.transition, channel), channel)
        for channel in dict.fromkeys(told.state.channels)
    ]


def _summaries(memory: AlertMemory, silences: Sequence[ActiveSilence], now: dt.datetime, organization_id: str) -> list[Notice]:
    """For each silence that is over: what it muted, one digest for each channel."""
    known = {silence.silence_id: silence for silence in silences}
    groups: dict[tuple[str, str], list[Notice]] = {}
    for item in memory.kept:
        silence = known.get(item.silence_id)
        if item.disposition == "muted" and (silence is None or not _is_on(silence, now)):
            groups.setdefault((item.silence_id, item.notice.channel), []).append(item.notice)
    return [
        digests.silence_summary(known.get(silence_id), silence_id, members, now=now, organization_id=organization_id)
        for (silence_id, _), members in sorted(groups.items())
    ]


def _grouped(queue: Sequence[Notice], now: dt.datetime, organization_id: str, policy: Policy) -> list[Notice]:
    """Critical notices by themselves and first; what else there is as one digest."""
    at_once = [notice for notice in queue if notice.severity == "critical" or notice.action == "digest"]
    rest = [notice for notice in queue if notice not in at_once]
    if policy.groups and len(rest) > 1:
        rest = [digests.digest(rest, now=now, organization_id=organization_id)]
    return sorted([*at_once, *rest], key=lambda notice: _RANK[notice.severity])


def _capped(
    queue: Sequence[Notice],
    waiting: Sequence[Notice],
    sent_at: Sequence[dt.datetime],
    *,
    now: dt.datetime,
    organization_id: str,
    policy: Policy,
) -> tuple[list[Notice], list[KeptNotice]]:
    """What goes out and what is held. Above the cap there is one more message in an hour, which says how many more."""
    sent_count = sum(1 for instant in sent_at if instant > now - HOUR)
    room = max(0, policy.messages_per_hour - sent_count)
    out, over = list(queue[:room]), list(queue[room:])
    more = [*waiting, *(member for notice in over for member in (notice.members or (notice,)))]
    if not more:
        return out, []
    if sent_count + len(out) <= policy.messages_per_hour:
        return [*out, digests.many_more(more, now=now, organization_id=organization_id)], []
    known = {notice.notice_id for notice in waiting}
    return out, [KeptNotice(notice, "held") for notice in more if notice.notice_id not in known]


def _is_on(silence: ActiveSilence, now: dt.datetime) -> bool:
    return (silence.starts_at is None or silence.starts_at <= now) and now < silence.ends_at
