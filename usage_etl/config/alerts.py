"""Settings of alerts: rules with their ladders of thresholds, silences, caps. What does not fit is a named error at load."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from usage_etl.config.base import SettingsPart, Slug
from usage_etl.schemas.alert_measures import ALERT_MEASURES, SCOPE_KINDS, AlertMeasure, near_names

PROJECTED: Literal["projected"] = "projected"
Level = Decimal | Literal["projected"]
Severity = Literal["info", "warning", "critical"]
Window = Literal["day_24h", "days_7", "days_14", "days_30"]
Line = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]*$")]

SHIPPED_RULE = "monthly-token-quota"
"""Name of the rule that is there unless it is switched off or replaced by a rule of this name."""
_HUNDRED = Decimal(100)
_TOKEN_MEASURES = ("total_tokens", "inference_tokens", "embedding_tokens")


def level_text(level: Level) -> str:
    """A level as people write it: ``80``, ``99.5`` or ``projected``. Equal levels have equal texts."""
    return level if isinstance(level, str) else f"{level.normalize():f}"


class AlertScope(SettingsPart):
    """About whom a rule is."""

    kind: str = "organization"
    """organization, department, team, user, api_key, feature, product, project, provider, model, pool or source."""
    ids: tuple[str, ...] = ()
    """Members; none are all. Each is watched by itself."""

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in SCOPE_KINDS:
            raise ValueError(f"unknown kind of scope {kind!r}; {near_names(kind, SCOPE_KINDS)}")
        return kind


class AlertRule(SettingsPart):
    """One rule. An alert is one rule, one member of its scope and one period."""

    name: Slug
    """Name printed on its alerts."""
    measure: str
    """What is watched; docs/reference/alerts.md lists the measures."""
    scope: AlertScope = AlertScope()
    """About whom."""
    levels: Annotated[tuple[Level, ...], Field(min_length=1)]
    """Thresholds in the measure's unit (percent for shares), each stricter than the one before, and ``projected``: the period
    is expected to end beyond its limit. Each notifies at most once a period; of several at once only the highest does."""
    direction: Literal["above", "below"] | None = None
    """On which side of a threshold the alert is; null is the measure's own side."""
    fire_after: Annotated[int, Field(ge=1, le=60)] = 1
    """For rates: how many days of data in a row must be beyond a threshold."""
    clear_after: Annotated[int, Field(ge=1, le=60)] = 1
    """For rates: how many days of data in a row must be clear of it before the alert is resolved."""
    clear_pct: Annotated[Decimal, Field(gt=0, le=100)] = Decimal(95)
    """A level is clear below this share of it (or as far above it, for ``below``). In between nothing is told."""
    severity: dict[str, Severity] = Field(default={})
    """Level to info, warning or critical. Critical messages are never grouped. Levels not named here: critical from 100 %
    of a limit on, info below 80 %, else warning."""
    channels: tuple[str, ...] = ()
    """Names of channels that are told; none are those of ``alerts.channels``."""
    organizations: tuple[str, ...] = ()
    """Organization ids that the rule is for; none are all."""
    valid_from: dt.date | None = None
    """First UTC day on which the rule is evaluated; null is from ever."""
    valid_to: dt.date | None = None
    """First UTC day on which it no longer is; null is open."""
    repeat: Literal["off", "daily"] = "off"
    """Whether the highest threshold is told again each day while it stands."""
    window: Window = "day_24h"
    """For rates of usage: the days that are looked at together."""
    limit_measures: tuple[str, ...] = ()
    """For quotas: what the limit is on, for example total_tokens or effective_cost; none are all."""
    period_kinds: tuple[Literal["day", "calendar_month", "billing_month"], ...] = ()
    """For quotas: the kinds of period; none are all."""

    @field_validator("measure")
    @classmethod
    def _known(cls, measure: str) -> str:
        if measure not in ALERT_MEASURES:
            raise ValueError(f"unknown measure {measure!r}; {near_names(measure, ALERT_MEASURES)}")
        return measure

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self._check_levels()
        known = self.watched.scope_kinds
        if self.scope.kind not in known:
            raise ValueError(f"{self.measure} has no scope {self.scope.kind!r}; it has {', '.join(known)}")
        unknown = [text for text in self.severity if text not in {level_text(level) for level in self.levels}]
        if unknown:
            raise ValueError(f"severity names levels that the rule has not: {', '.join(unknown)}")
        if self.valid_from and self.valid_to and self.valid_from >= self.valid_to:
            raise ValueError(f"valid_from {self.valid_from} is not before valid_to {self.valid_to}")
        if self.measure != "quota_used_ratio" and (self.limit_measures or self.period_kinds):
            raise ValueError(f"limit_measures and period_kinds belong to quota_used_ratio, not to {self.measure}")
        return self

    def _check_levels(self) -> None:
        measure, numbers = self.watched, self.thresholds
        lowest = -1 if measure.movement == "event" else 0
        wrong = [level_text(level) for level in numbers if not level.is_finite() or level <= lowest]
        if wrong:
            raise ValueError(f"levels must be numbers above {'or at 0' if lowest else '0'}; found {', '.join(wrong)}")
        if self.levels.count(PROJECTED) > 1 or (self.levels.count(PROJECTED) and not measure.has_projection):
            raise ValueError(f"levels: {PROJECTED} may stand once, for measures with a limit; {self.measure} is watched")
        is_rising = self.side == "above"
        if any((after <= before) if is_rising else (after >= before) for before, after in pairwise(numbers)):
            order = "rise" if is_rising else "fall"
            raise ValueError(f"levels must {order} strictly; found {', '.join(level_text(level) for level in self.levels)}")

    @property
    def watched(self) -> AlertMeasure:
        """The measure's declaration."""
        return ALERT_MEASURES[self.measure]

    @property
    def side(self) -> Literal["above", "below"]:
        """On which side of a threshold the alert is."""
        return self.direction or self.watched.direction

    @property
    def thresholds(self) -> tuple[Decimal, ...]:
        """The levels that are numbers."""
        return tuple(level for level in self.levels if not isinstance(level, str))

    def ladder(self) -> tuple[Level, ...]:
        """Levels from the lowest to the highest; ``projected`` stands right below the limit itself."""
        before = tuple(level for level in self.thresholds if level < _HUNDRED)
        after = tuple(level for level in self.thresholds if level >= _HUNDRED)
        middle: tuple[Level, ...] = (PROJECTED,) if PROJECTED in self.levels else ()
        return (*before, *middle, *after)

    def severity_of(self, level: Level) -> Severity:
        """How grave it is to be beyond ``level``."""
        named = self.severity.get(level_text(level))
        if named or isinstance(level, str) or not self.watched.has_projection:
            return named or "warning"
        return "critical" if level >= _HUNDRED else "warning" if level >= 80 else "info"

    def is_in_force(self, day: dt.date, organization_id: str) -> bool:
        """Whether the rule is evaluated on ``day`` for the organization."""
        starts, ends = self.valid_from or dt.date.min, self.valid_to or dt.date.max
        return starts <= day < ends and (not self.organizations or organization_id in self.organizations)


class AlertSilence(SettingsPart):
    """A time in which alerts are recorded but not told. When it ends, one summary is sent."""

    rule: str = "*"
    """Name of a rule; * is any."""
    scope_kind: str | None = None
    """Kind of scope; null is any."""
    scope_ids: tuple[str, ...] = ()
    """Members; none are all."""
    owner: Line
    """Who answers for the silence."""
    reason: Line
    """Why; it is printed in the summary."""
    starts_at: dt.datetime | None = None
    """UTC unless it names a zone; null is from ever."""
    ends_at: dt.datetime
    """UTC unless it names a zone. A silence without an end does not exist."""

    @field_validator("starts_at", "ends_at")
    @classmethod
    def _in_utc(cls, instant: dt.datetime | None) -> dt.datetime | None:
        if instant is None:
            return None
        return instant.replace(tzinfo=dt.UTC) if instant.tzinfo is None else instant.astimezone(dt.UTC)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.starts_at and self.starts_at >= self.ends_at:
            raise ValueError(f"starts_at {self.starts_at} is not before ends_at {self.ends_at}")
        if self.scope_kind is not None and self.scope_kind not in SCOPE_KINDS:
            raise ValueError(f"unknown kind of scope {self.scope_kind!r}; {near_names(self.scope_kind, SCOPE_KINDS)}")
        return self


class AlertSettings(SettingsPart):
    """What is watched, who is told, and how often at most."""

    token_quota_alert: bool = True
    """Whether the shipped rule ``monthly-token-quota`` is there: 80 % of an organization's monthly token quota."""
    channels: tuple[str, ...] = ()
    """Channels of the shipped rule and of rules that name none."""
    rules: tuple[AlertRule, ...] = ()
    """The rules."""
    silences: tuple[AlertSilence, ...] = ()
    """Silences beside those of ``usage-etl alerts silence``."""
    messages_per_hour: Annotated[int, Field(ge=1, le=1000)] = 20
    """Most messages through one channel in an hour; what is more comes in one message that says how many."""
    digest: bool = True
    """Whether the messages of one evaluation through one channel are grouped into one; critical ones never are."""
    settle_days: Annotated[int, Field(ge=0, le=60)] = 3
    """Days after a period's end in which late data can still raise its alerts. Then they are resolved."""
    anomaly_days: Annotated[int, Field(ge=1, le=400)] = 35
    """Days after which an anomaly's alert is resolved though nobody resolved the anomaly."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [rule.name for rule in self.rules]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"rules: name(s) used twice: {', '.join(repeated)}")
        known = {rule.name: rule for rule in self.all_rules()}
        for silence in self.silences:
            if silence.rule not in {"*", *known}:
                raise ValueError(f"silences: unknown rule {silence.rule!r}; {near_names(silence.rule, known)}")
        return self

    def all_rules(self) -> tuple[AlertRule, ...]:
        """The shipped rule, unless it is switched off or replaced, and the configured ones; each with its channels."""
        shipped = self.token_quota_alert and SHIPPED_RULE not in {rule.name for rule in self.rules}
        rules = (*((token_quota_rule(),) if shipped else ()), *self.rules)
        return tuple(rule if rule.channels else rule.model_copy(update={"channels": self.channels}) for rule in rules)

    def unknown_channels(self, known: Mapping[str, object]) -> list[str]:
        """One line for each channel that is named here and not configured."""
        named = [("channels", name) for name in self.channels]
        named += [(f"rules ({rule.name})", name) for rule in self.rules for name in rule.channels]
        return [f"{where}: unknown channel {name!r}; {near_names(name, known)}" for where, name in named if name not in known]


def token_quota_rule() -> AlertRule:
    """The shipped rule: 80 % of every organization's monthly token quota."""
    return AlertRule(
        name=SHIPPED_RULE,
        measure="quota_used_ratio",
        levels=(Decimal(80),),
        limit_measures=_TOKEN_MEASURES,
        period_kinds=("calendar_month", "billing_month"),
    )
