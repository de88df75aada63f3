"""Sends what is due in the outbox: every channel at its own pace and on its own, within a time that is given."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from usage_etl.delivery.channels.channel import Channel, Told
from usage_etl.delivery.mail import HandOver
from usage_etl.delivery.outbox import Outbox, OutboxItem

BUDGET = dt.timedelta(seconds=45)
"""Time of one call; the message that is on its way when it ends is finished."""

_FAILURES_IN_A_ROW = 3
"""So many failures of a channel in a row end its part of the call: the rest waits instead of being spent on it."""
_THREADS = 8
_log = logging.getLogger(__name__)


@dataclass
class DueReport:
    """What one call did. ``counts``: messages by what became of them. ``dead``: those that nobody will get by themselves.

    ``disabled`` are channels whose address said that it is gone, ``faults`` what is wrong with channels that cannot be used.
    """

    counts: Counter[str] = field(default_factory=Counter)
    dead: list[str] = field(default_factory=list)
    disabled: list[str] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)

    def problems(self) -> list[str]:
        """What a person must look at, one line each."""
        return [
            *(f"dead letter {line}" for line in self.dead),
            *(f"channel {name} is disabled: its address is gone" for name in self.disabled),
            *(f"channel {name} cannot be used: {fault}" for name, fault in sorted(self.faults.items())),
        ]


def deliver_due(
    outbox: Outbox,
    channels: Mapping[str, Channel],
    now: dt.datetime,
    *,
    budget: dt.timedelta = BUDGET,
    held_back: frozenset[str] = frozenset(),
    sleep: Callable[[float], None] = time.sleep,
) -> DueReport:
    """Try everything that is due, as far as ``budget`` reaches; ask as often as you like.

    Channels work side by side: one that is slow or down holds up no other. ``held_back`` are configured channels that
    cannot be used now, whose messages wait; those of a channel that is not configured at all become dead letters.
    """
    shift, report = _Shift(now, budget, sleep), DueReport()
    recovered = outbox.recover(now)
    if recovered:
        report.counts["recovered"] = recovered
    for item in outbox.due(now):
        if item.channel not in channels and item.channel not in held_back:
            _refuse(outbox, item, shift, report)
    names = sorted(set(channels) - held_back)
    if names:
        with ThreadPoolExecutor(min(len(names), _THREADS), thread_name_prefix="channel") as pool:
            for part in pool.map(lambda name: _Sender(outbox, channels[name], shift).run(), names):
                report.counts += part.counts
                report.dead += part.dead
                report.disabled += part.disabled
    return report


class _Shift:
    """The time of one call."""

    def __init__(self, now: dt.datetime, budget: dt.timedelta, sleep: Callable[[float], None]) -> None:
        self._began, self._now, self._end, self._sleep = time.monotonic(), now, now + budget, sleep

    def instant(self) -> dt.datetime:
        """The present, as far from the call's ``now`` as time has passed."""
        return self._now + dt.timedelta(seconds=time.monotonic() - self._began)

    @property
    def end(self) -> dt.datetime:
        """When nothing new is begun any more."""
        return self._end

    def wait_until(self, instant: dt.datetime) -> None:
        """Sleep until then."""
        seconds = (instant - self.instant()).total_seconds()
        if seconds > 0:
            self._sleep(seconds)


class _Sender:
    """Sends the due messages of one channel."""

    def __init__(self, outbox: Outbox, channel: Channel, shift: _Shift) -> None:
        self._outbox, self._channel, self._shift = outbox, channel, shift
        self._report, self._failures, self._tried = DueReport(), 0, set[int]()

    def run(self) -> DueReport:
        """Until nothing is due, the time is over, or the channel fails."""
        is_open = True
        while is_open:
            due = self._outbox.due(self._shift.instant(), channel=self._channel.name, limit=100)
            fresh = [item for item in due if item.position not in self._tried]
            is_open = bool(fresh) and all(self._try(item) for item in fresh)
        return self._report

    def _try(self, item: OutboxItem) -> bool:
        """Whether to go on with this channel."""
        slot = self._outbox.states.reserve(
            self._channel.name, self._shift.instant(), pace=self._channel.pace, latest=self._shift.end
        )
        if slot is None:
            return False
        self._shift.wait_until(slot)
        self._tried.add(item.position)
        held = self._outbox.claim(item.position, self._shift.instant())
        if held is None:
            return True  # somebody else was faster
        told = self._tell(held)
        self._record(held, told)
        is_failure = told.status in (HandOver.UNSENT, HandOver.BLOCKED, HandOver.AMBIGUOUS)
        self._failures = self._failures + 1 if is_failure else 0
        return told.asked_pause is None and not told.is_gone and self._failures < _FAILURES_IN_A_ROW

    def _tell(self, held: OutboxItem) -> Told:
        try:
            return self._channel.tell(held.notice, held.recipient, self._shift.instant())
        except Exception as error:  # noqa: BLE001 - a fault of one channel must not end the others
            _log.error("channel=%s message=%s fault=%s", held.channel, held.position, type(error).__name__)
            return Told(HandOver.AMBIGUOUS, f"the channel failed in an unforeseen way: {type(error).__name__}")

    def _record(self, held: OutboxItem, told: Told) -> None:
        state = _marked(self._outbox, held, told)
        self._report.counts[state] += 1
        if state == "dead":
            self._report.dead.append(f"{held.position} {held.channel} {held.recipient}".rstrip() + f": {told.reason}")
        instant = self._shift.instant()
        if told.is_gone:
            self._outbox.states.disable(held.channel, told.reason, instant)
            self._report.disabled.append(held.channel)
        if told.asked_pause is not None:
            self._outbox.states.pause(held.channel, instant + min(told.asked_pause, dt.timedelta(days=1)))


def _marked(outbox: Outbox, held: OutboxItem, told: Told) -> str:
    match told.status:
        case HandOver.SENT:
            outbox.mark_sent(held, told.reason)
            return "sent"
        case HandOver.REFUSED:
            outbox.mark_dead(held, told.reason)
            return "dead"
        case HandOver.AMBIGUOUS:
            return outbox.mark_ambiguous(held, told.reason, asked_pause=told.asked_pause)
        case HandOver.UNSENT | HandOver.BLOCKED:
            return outbox.mark_unsent(held, told.reason, asked_pause=told.asked_pause)


def _refuse(outbox: Outbox, item: OutboxItem, shift: _Shift, report: DueReport) -> None:
    held = outbox.claim(item.position, shift.instant())
    if held is not None:
        reason = f"no channel named {item.channel} is configured"
        outbox.mark_dead(held, reason)
        report.counts["dead"] += 1
        report.dead.append(f"{item.position} {item.channel}: {reason}")
