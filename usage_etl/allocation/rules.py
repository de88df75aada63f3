"""The allocation rules of a month: yours, then those that come with the product. The first that matches a line divides it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from usage_etl.allocation.owners import LEVELS, OwnerTree
from usage_etl.config.finance import AllocationRule, AllocationSettings, RuleMatch, RuleStep
from usage_etl.errors import UnknownOwnerError
from usage_etl.periods import Month

_MATCHED_COLUMNS = {
    "provider": "provider_name",
    "billing_account": "billing_account_id",
    "sub_account": "sub_account_id",
    "service": "service_name",
    "charge_kind": "charge_kind",
    "charge_category": "charge_category",
    "model": "model_id",
    "commitment": "commitment_discount_id",
    "commitment_status": "commitment_discount_status",
}
"""Key of ``RuleMatch`` to the column of the invoice line."""


@dataclass(frozen=True)
class Step:
    """One division of a rule. ``level`` None goes straight to the owners that usage names, all levels at once."""

    method: str
    level: int | None = None
    weight: str = "cost"
    scope: str = "model"
    widest: str = "all"
    """Widest scope that is looked at where narrower ones saw nothing."""
    shares: tuple[tuple[str, Decimal], ...] = ()
    members: tuple[str, ...] = ()
    tag_key: str | None = None

    @classmethod
    def of(cls, step: RuleStep) -> Step:
        """The step of a configured rule."""
        shares = tuple(sorted(step.shares.items()))
        level = LEVELS.index(step.level)
        return cls(
            method=step.method,
            level=level,
            weight=step.weight,
            scope=step.scope,
            shares=shares,
            members=tuple(sorted(set(step.members))),
            tag_key=step.tag_key,
        )


@dataclass(frozen=True)
class Rule:
    """One rule in force: which lines, and by which steps. ``note`` is said on every line that it makes."""

    name: str
    match: RuleMatch
    steps: tuple[Step, ...]
    note: str = ""
    fallback: tuple[Step, ...] = field(default=())
    """Steps for what the first ones find nothing for; none leave it unallocated."""

    def matches(self, line: Mapping[str, Any]) -> bool:
        """Whether every key of the match holds for an invoice line."""
        return all(
            not wanted or _fits(line[column], wanted)
            for key, column in _MATCHED_COLUMNS.items()
            if (wanted := getattr(self.match, key)) is not None
        )


def _default(name: str, kinds: Sequence[str], step: Step, note: str = "", *, fallback: Step | None = None, **match: Any) -> Rule:
    steps = () if fallback is None else (fallback,)
    return Rule(f"default-{name}", RuleMatch(charge_kind=tuple(kinds), **match), (step,), note, steps)


_BY_COST = Step("proportional", widest="provider")
_BY_USAGE = Step("usage", widest="provider")

DEFAULT_RULES: tuple[Rule, ...] = (
    _default("usage", ("usage", "marketplace"), _BY_USAGE),
    _default("seat", ("seat",), Step("direct"), "seat"),
    _default("overage", ("overage",), Step("direct"), "overage", fallback=_BY_USAGE),
    _default("capacity", ("capacity",), _BY_COST, "provisioned capacity"),
    _default("commitment-unused", ("commitment",), _BY_COST, "unused commitment", commitment_status=("Unused",)),
    _default("commitment", ("commitment",), _BY_COST, "commitment"),
    _default("prepaid", ("prepaid",), _BY_COST, "prepaid, not yet used"),
    _default("purchase", ("purchase",), _BY_COST, "purchase"),
    _default("support", ("support",), Step("charged"), "support"),
    _default("tax", ("tax",), Step("charged"), "tax"),
    _default("credit", ("credit",), _BY_COST, "credit"),
    _default("adjustment", ("adjustment",), _BY_COST, "adjustment"),
)
"""Rules that come with the product: one for every charge kind, after yours."""


def rules_of(settings: AllocationSettings, month: Month) -> tuple[Rule, ...]:
    """The rules in force in ``month``, in the order in which they are asked."""
    own = [
        Rule(rule.name, rule.match, tuple(Step.of(step) for step in rule.steps))
        for rule in settings.rules
        if rule.is_in_force(month.first_day)
    ]
    return (*own, *DEFAULT_RULES)


def rule_for(line: Mapping[str, Any], rules: Sequence[Rule]) -> Rule:
    """The first rule that matches an invoice line; the default rules leave none without."""
    return next(rule for rule in rules if rule.matches(line))


def refuse_unknown_owners(settings: AllocationSettings, tree: OwnerTree, month: Month) -> None:
    """Raises UnknownOwnerError naming every owner of a rule in force that no directory knows in the month."""
    problems = [
        f"rule {rule.name}: {step.level} {member} is in no directory in {month}; add it, or take it out of the rule"
        for rule in settings.rules
        if rule.is_in_force(month.first_day)
        for step in rule.steps
        for member in sorted({*step.shares, *step.members})
        if not tree.knows(LEVELS.index(step.level), member)
    ]
    if problems:
        raise UnknownOwnerError(str(month), problems)


def levels_of(rules: Sequence[AllocationRule], detail: Sequence[str], month: Month) -> tuple[str, ...]:
    """Levels below the team that lines name: those of ``allocation.detail`` and those that a rule in force divides by."""
    asked = {step.level for rule in rules if rule.is_in_force(month.first_day) for step in rule.steps}
    return tuple(level for level in ("project", "investigation") if level in detail or level in asked)


def _fits(text: str | None, wanted: Sequence[str]) -> bool:
    if text is None:
        return False
    return any(text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern for pattern in wanted)
