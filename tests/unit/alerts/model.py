"""A small model of what alerts must tell, written from the promises and not from the machine.

It keeps plain lists of what was seen and told, and judges each level by itself. Messages are tuples; the machine's notices
are turned into the same tuples, and both must be equal as multisets.
"""

import datetime as dt
from dataclasses import dataclass, field
from fractions import Fraction

SETTLE, HOUR = dt.timedelta(days=3), dt.timedelta(hours=1)
CRITICAL, WARNING, INFO = range(3)
CHANNELS = ("chat", "mail")


@dataclass
class Seen:
    """What the world shows of one member when it is looked at."""

    scope: str
    percent: Fraction | None
    projected: Fraction | None = None
    is_late: bool = False


@dataclass
class ModelRule:
    """One rule in the model's words. ``levels`` are numbers and the word projected."""

    name: str
    levels: tuple
    channels: tuple
    is_rate: bool = False
    fire_after: int = 1
    clear_after: int = 1
    is_daily: bool = False
    severities: dict = field(default_factory=dict)

    def limits(self):
        return [level for level in self.levels if level != "projected" and level >= 100]

    def order(self):
        """From the lowest to the highest."""
        below = [level for level in self.levels if level != "projected" and level < 100]
        return [*below, *(level for level in self.levels if level == "projected"), *self.limits()]


@dataclass
class LevelMemory:
    """One level of one alert."""

    is_armed: bool = True
    is_met: bool = False
    awaits_correction: bool = False
    is_active: bool = False
    days: list = field(default_factory=list)
    """For rates: (day, met, clear), one entry a day."""


@dataclass
class Alert:
    """One rule, member and period."""

    levels: dict
    has_open_thread: bool = False
    over: str = ""
    told_to: tuple = ()
    told_on: object = None
    end: object = None


@dataclass
class Model:
    """What was told so far, and what is told next."""

    rules: list
    cap: int
    alerts: dict = field(default_factory=dict)
    late: set = field(default_factory=set)
    silences: list = field(default_factory=list)
    """(name, scope or None, end)"""
    muted: list = field(default_factory=list)
    """(silence, channel, severity, message)"""
    held: list = field(default_factory=list)
    """(channel, message)"""
    sent: list = field(default_factory=list)
    """(instant, channel, frozenset of what is told)"""

    def look(self, now, seen):
        """One evaluation. ``seen``: (rule name, period start, period end) to Seen rows, all of which were read."""
        out = self.ends(now)
        for rule in self.rules:
            groups = [(start, end, rows) for (name, start, end), rows in seen.items() if name == rule.name]
            for start, end, rows in groups:
                if end is None or end + SETTLE >= now.date():
                    for row in rows:
                        out += self.one(rule, row, start, end, now)
            if not rule.is_rate:
                out += self.gone(rule, groups, now)
            out += self.lateness(rule, groups, now)
        self.send(now, out)

    def ends(self, now):
        out, names = [], {rule.name for rule in self.rules}
        for key, alert in self.alerts.items():
            is_withdrawn = key[0] not in names
            if not alert.over and (is_withdrawn or (alert.end is not None and alert.end + SETTLE < now.date())):
                alert.over = "rule" if is_withdrawn else "period"
                if is_withdrawn and key[2] is None:
                    self.late.discard(key[0])
                    for level in alert.levels.values():
                        level.days, level.is_active = [], False
                if alert.has_open_thread:
                    out += self.told(alert, INFO, "resolved", key)
                    alert.has_open_thread = False
        return out

    def one(self, rule, row, start, end, now):
        key = (rule.name, row.scope, start)
        if row.is_late or row.percent is None:
            return []
        alert = self.alerts.setdefault(key, Alert({level: LevelMemory() for level in rule.levels}, end=end))
        if alert.over == "period":
            return []
        alert.over = ""
        look = self.rate if rule.is_rate else self.ladder
        return look(rule, alert, key, row, now)

    def gone(self, rule, groups, now):
        out = []
        for start, _, rows in groups:
            there = {row.scope for row in rows}
            for (name, scope, period), alert in self.alerts.items():
                if name == rule.name and period == start and scope and scope not in there and not alert.over:
                    out += self.ladder(rule, alert, (name, scope, period), None, now)
        return out

    def ladder(self, rule, alert, key, row, now):
        """A figure that grows: crossings, falls and reminders. Without a row there is nothing any more."""
        crossings, falls = [], []
        for name in rule.order():
            level, is_projection = alert.levels[name], name == "projected"
            number = Fraction(100 if is_projection else name)
            figure = Fraction(-1) if row is None else row.projected if is_projection else row.percent
            met, clear = figure >= number, figure < number * Fraction(95, 100)
            level.is_armed = level.is_armed or clear
            if met and level.is_armed:
                level.is_armed = False
                crossings.append(name)
            if level.awaits_correction and (clear if is_projection else not met):
                level.awaits_correction = False
                falls.append(name)
            level.is_met = met or (is_projection and level.is_met and not clear)
        out = []
        if falls:
            severity = WARNING if any(level.is_met for level in alert.levels.values()) else INFO
            out += self.told(alert, severity, "corrected", key, falls[-1], now)
        if crossings[-1:] == ["projected"] and any(
            alert.levels[level].is_met for level in rule.order() if level in rule.limits()
        ):
            crossings.pop()
        if crossings:
            alert.levels[crossings[-1]].awaits_correction = True
            return out + self.fired(rule, alert, key, crossings[-1], now)
        top = rule.order()[-1]
        is_due = rule.is_daily and alert.has_open_thread and alert.levels[top].is_met and alert.told_on < now.date()
        if not out and is_due and row is not None and self.silence(key[1], now) is None:
            out += self.told(alert, rule.severities[top], "reminder", key, top, now)
        return out

    def rate(self, rule, alert, key, row, now):
        """A figure that rises and falls: days of data in a row."""
        crossings = []
        was_active = any(level.is_active for level in alert.levels.values())
        for name in rule.order():
            level, today = alert.levels[name], now.date()
            met, clear = row.percent >= name, row.percent < name * Fraction(95, 100)
            level.days = [day for day in level.days if day[0] != today] + [(today, met, clear)]
            last = [day[2] for day in level.days[-rule.clear_after :]]
            if level.is_active and last == [True] * rule.clear_after:
                level.is_active = False
            last = [day[1] for day in level.days[-rule.fire_after :]]
            if not level.is_active and last == [True] * rule.fire_after:
                level.is_active = True
                crossings.append(name)
        is_active = any(level.is_active for level in alert.levels.values())
        out = []
        if was_active and not is_active and alert.has_open_thread:
            out += self.told(alert, INFO, "resolved", key)
            alert.has_open_thread = False
        return out + (self.fired(rule, alert, key, crossings[-1], now) if crossings else [])

    def fired(self, rule, alert, key, level, now):
        alert.told_to, alert.has_open_thread = rule.channels, True
        return self.told(alert, rule.severities[level], "fired", key, level, now)

    def told(self, alert, severity, action, key, level="", now=None):  # noqa: PLR0917 - a message and its day
        alert.told_on = alert.told_on if now is None else now.date()
        return [(channel, severity, (action, *key, str(level))) for channel in alert.told_to]

    def lateness(self, rule, groups, now):
        if not any(rows for _, _, rows in groups):
            return []
        key = (rule.name, "", None)
        is_late = any(row.is_late for _, end, rows in groups for row in rows if end is None or end + SETTLE >= now.date())
        if is_late == (rule.name in self.late):
            return []
        alert = self.alerts.setdefault(key, Alert({}))
        alert.over, alert.has_open_thread = "", is_late
        if not is_late:
            self.late.discard(rule.name)
            return self.told(alert, INFO, "resolved", key)
        self.late.add(rule.name)
        alert.told_to = rule.channels
        return self.told(alert, WARNING, "no_data", key)

    def silence(self, scope, now):
        """The silence that mutes; of several the one that ends last."""
        on = [one for one in self.silences if now < one[2] and one[1] in (None, scope)]
        return max(on, key=lambda one: (one[2], one[0]))[0] if on else None

    def send(self, now, out):
        """Silences first, then digests, then the cap."""
        queues = {channel: [] for channel in CHANNELS}
        for channel, severity, message in out:
            name = self.silence(message[2], now)
            if name is None:
                queues[channel].append((severity, message))
            else:
                self.muted.append((name, channel, severity, message))
        over = sorted(name for name, _, end in self.silences if end <= now)
        for channel, queue in queues.items():
            line = [(severity, [(severity, message)]) for severity, message in queue if severity == CRITICAL]
            rest = [item for item in queue if item[0] != CRITICAL]
            for name in over:
                ours = [one for one in self.muted if one[:2] == (name, channel)]
                self.muted = [one for one in self.muted if one not in ours]
                line += [(min(one[2] for one in ours), [one[2:] for one in ours])] if ours else []
            line += [(min(item[0] for item in rest), rest)] if rest else []
            self.queue(now, channel, sorted(line, key=lambda item: item[0]))

    def queue(self, now, channel, line):
        """At most ``cap`` messages in an hour, and one more that says how many more there are."""
        recent = sum(1 for at, where, _ in self.sent if where == channel and at > now - HOUR)
        room = max(0, self.cap - recent)
        for _, items in line[:room]:
            self.sent.append((now, channel, frozenset(message for _, message in items)))
        more = [message for where, message in self.held if where == channel]
        more += [message for _, items in line[room:] for _, message in items]
        self.held = [one for one in self.held if one[0] != channel]
        if more and recent + len(line[:room]) <= self.cap:
            self.sent.append((now, channel, frozenset(more)))
        else:
            self.held += [(channel, message) for message in more]
