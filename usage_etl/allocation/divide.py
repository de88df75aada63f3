"""One rule's steps as groups of owners: who gets which part of a line, before any money is looked at."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from usage_etl.allocation.bills import InvoiceLine
from usage_etl.allocation.owners import LEVELS, Owner, OwnerTree, Path, Portions
from usage_etl.allocation.rules import Step
from usage_etl.allocation.usage_weights import ALL_PROVIDERS, NO_WEIGHTS, UsageWeights, Weights
from usage_etl.units import UNALLOCATED

_SCOPES = ("model", "provider", "all")
_SCOPE_WORDS = {"model": "the model's ", "provider": "the provider's ", "all": "all providers' "}
_WEIGHT_WORDS = {"cost": "metered cost", "tokens": "tokens", "requests": "requests", "users": "users"}

_CHARGED_TEXT = "split by what owners pay of the account's other lines"

Members = Mapping[str | None, int]
"""Members of one level with whole positive weights."""


@dataclass(frozen=True, eq=False)
class Group:
    """Owners who share ``part`` of a line in proportion to their weights."""

    part: Fraction
    owners: Sequence[int]
    weights: Sequence[int]
    text: str
    metered: Weights | None = None
    """The weights as metered cost, where they are all that decided."""


class Divider:
    """Divides invoice lines by the steps of rules. Lines that look alike share one division."""

    def __init__(self, weights: UsageWeights, tree: OwnerTree) -> None:
        self.weights = weights
        self.tree = tree
        self._divisions: dict[tuple[object, ...], Sequence[Group]] = {}
        self._indexes: dict[tuple[int, tuple[int, ...]], dict[tuple[str | None, ...], list[tuple[int, int]]]] = {}

    def divide(
        self, line: InvoiceLine, currency: str, steps: Sequence[Step], *, charged: Weights = NO_WEIGHTS
    ) -> Sequence[Group]:
        """Groups whose parts add up to one; none where nothing is known to divide by.

        ``charged`` is what owners pay of the account's other lines, for the method of that name.
        """
        keys = line.keys
        direct = any(step.method == "direct" for step in steps)
        tagged = any(step.method == "tag" for step in steps)
        key = (
            tuple(steps),
            (line.provider_name, line.model_id, currency),
            (keys["user_id"], keys["api_key_id"], keys["sub_account_id"]) if direct else None,
            keys["owner_tags"] if tagged else None,
            charged if any(step.method == "charged" for step in steps) else None,
        )
        if key not in self._divisions:
            self._divisions[key] = list(_Division(self, line, currency, charged).groups(steps))
        return self._divisions[key]

    def owners_of(self, line: InvoiceLine) -> tuple[Portions, str]:
        """Owners that a line names, and by what: the owners of its user, else of its API key, else of its sub account."""
        tree, keys = self.tree, line.keys
        for column, directory, word in (
            ("user_id", tree.user_owners, "user"),
            ("api_key_id", tree.api_key_owners, "API key"),
            ("sub_account_id", tree.project_owners, "project"),
        ):
            found = directory.get(keys[column] or "")
            if found:
                return found, word
        return (), ""

    def within(self, weights: Weights, path: Path) -> Sequence[tuple[int, int]]:
        """(owner, weight) of the owners inside the members chosen above."""
        levels = tuple(sorted(path))
        key = (id(weights), levels)
        if key not in self._indexes:
            index: dict[tuple[str | None, ...], list[tuple[int, int]]] = defaultdict(list)
            owners = self.weights.owners.list
            for owner, weight in zip(weights.owners, weights.weights, strict=True):
                index[tuple(owners[owner][level] for level in levels)].append((owner, weight))
            self._indexes[key] = index
        return self._indexes[key].get(tuple(path[level] for level in levels), [])


class _Division:
    """The division of one line."""

    def __init__(self, divider: Divider, line: InvoiceLine, currency: str, charged: Weights) -> None:
        self._divider = divider
        self._weights = divider.weights
        self._tree = divider.tree
        self._line = line
        self._currency = currency
        self._charged = charged

    def groups(self, steps: Sequence[Step]) -> Iterator[Group]:
        is_by_cost = steps[0].method in ("usage", "proportional") and steps[0].weight == "cost"
        if steps[0].method == "direct":
            yield from self._direct({}, Fraction(1))
        elif steps[0].method == "charged" and len(steps) == 1:
            if self._charged.total:
                yield Group(Fraction(1), self._charged.owners, self._charged.weights, _CHARGED_TEXT)
        elif is_by_cost and len(steps) == 1:
            yield from self._all_levels(steps[0])
        else:
            yield from self._descend(steps, {}, Fraction(1), ())

    def _all_levels(self, step: Step) -> Iterator[Group]:
        for scope in _wider(step):
            found = self._scoped(scope, "cost")
            if found is not None and found.total:
                yield Group(Fraction(1), found.owners, found.weights, f"split by {_SCOPE_WORDS[scope]}metered cost", found)
                return

    def _direct(self, path: Path, part: Fraction) -> Iterator[Group]:
        portions, word = self._divider.owners_of(self._line)
        inside = [(owner, share) for owner, share in portions if all(owner[at] == name for at, name in path.items())]
        if inside:
            yield self._portions(inside, part, f"to the owner of its {word}")

    def _descend(self, steps: Sequence[Step], path: Path, part: Fraction, told: Sequence[str]) -> Iterator[Group]:
        """Divides ``part`` among the members of the first step's level inside ``path``, and each of those by the next steps."""
        step, *rest = steps
        assert step.level is not None, "only a single step goes to all levels at once"
        if step.method == "direct":
            found = list(self._direct(path, part))
            yield from found or [self._portions(self._tree.own(path), part, "; ".join((*told, "no owner is named below")))]
            return
        members, text = self._members(step, path)
        if not members:
            if path:
                yield self._portions(
                    self._tree.own(path), part, "; ".join((*told, f"nothing to divide {LEVELS[step.level]}s by"))
                )
            return
        total, texts = sum(members.values()), (*told, text)
        single: dict[int, int] = defaultdict(int)
        for member in sorted(members, key=lambda name: (name is not None, name or "")):
            below = {**path, step.level: member}
            own_part = part * Fraction(members[member], total)
            if rest:
                yield from self._descend(rest, below, own_part, texts)
                continue
            group = self._below(step, below, own_part, texts)
            if len(group.owners) == 1:
                single[group.owners[0]] += members[member]
            else:
                yield group
        if single:
            yield Group(part * Fraction(sum(single.values()), total), list(single), list(single.values()), "; ".join(texts))

    def _below(self, step: Step, path: Path, part: Fraction, told: Sequence[str]) -> Group:
        """What lies below a member: by metered cost, else the member itself."""
        for scope in _wider(step):
            found = self._scoped(scope, "cost")
            inside = self._divider.within(found, path) if found is not None else ()
            if inside:
                return Group(part, [owner for owner, _ in inside], [weight for _, weight in inside], "; ".join(told))
        return self._portions(self._tree.own(path), part, "; ".join(told))

    def _members(self, step: Step, path: Path) -> tuple[Members, str]:
        assert step.level is not None
        level = LEVELS[step.level]
        match step.method:
            case "fixed":
                known = set(self._tree.members(step.level, path))
                shares = {name: share for name, share in step.shares if name in known}
                return _whole({name: Fraction(share) for name, share in shares.items()}), f"{level}s by fixed shares"
            case "even":
                inside = self._tree.members(step.level, path)
                chosen = [name for name in inside if not step.members or name in step.members]
                return dict.fromkeys(chosen, 1), f"the same for each of {len(chosen)} {level}(s)"
            case "headcount":
                heads = self._tree.headcount(step.level, path)
                chosen_heads = {name: count for name, count in heads.items() if not step.members or name in step.members}
                return _whole(chosen_heads), f"{level}s by people in the directory"
            case "tag":
                return self._tagged(step, path)
            case _:
                return self._proportional(step, path)

    def _proportional(self, step: Step, path: Path) -> tuple[Members, str]:
        assert step.level is not None
        for scope in _wider(step):
            members = self._users_by_member(scope, step.level, path) if step.weight == "users" else self._sums(scope, step, path)
            if members and step.method == "charged":
                return members, _CHARGED_TEXT
            if members:
                return members, f"{LEVELS[step.level]}s by {_SCOPE_WORDS[scope]}{_WEIGHT_WORDS[step.weight]}"
        return {}, ""

    def _sums(self, scope: str, step: Step, path: Path) -> Members:
        assert step.level is not None
        found = self._charged if step.method == "charged" else self._scoped(scope, step.weight)
        if found is None:
            return {}
        sums: dict[str | None, int] = defaultdict(int)
        for owner, weight in self._divider.within(found, path):
            sums[self._owner(owner)[step.level]] += weight
        return sums

    def _users_by_member(self, scope: str, level: int, path: Path) -> Members:
        place = self._place(scope)
        if place is None:
            return {}
        users: dict[str | None, set[str]] = defaultdict(set)
        for number, user in self._weights.users(*place):
            owner = self._owner(number)
            if all(owner[at] == name for at, name in path.items()):
                users[owner[level]].add(user)
        return {member: len(found) for member, found in users.items()}

    def _tagged(self, step: Step, path: Path) -> tuple[Members, str]:
        """By the tag's values on the line, else by the metered cost of usage with each value; several values share equally."""
        assert step.level is not None
        assert step.tag_key is not None
        values = line_tag_values(self._line.keys["owner_tags"], step.tag_key)
        if values:
            part = Fraction(1, len(values))
            return self._known_values([(value, part) for value in values], step.level, path), f"by the line's tag {step.tag_key}"
        for scope in _wider(step):
            place = self._place(scope)
            rows = self._weights.tagged(*place, self._currency, step.tag_key) if place is not None else {}
            inside = [
                (value, weight)
                for (number, value), weight in rows.items()
                if all(self._owner(number)[at] == name for at, name in path.items())
            ]
            if any(value is not None for value, _ in inside):
                text = f"by {_SCOPE_WORDS[scope]}metered cost with tag {step.tag_key}"
                return self._known_values(inside, step.level, path), text
        return {}, ""

    def _known_values(self, found: Sequence[tuple[str | None, Fraction]], level: int, path: Path) -> Members:
        """Values that name no member that the directories know inside ``path`` are unallocated."""
        known = set(self._tree.members(level, path))
        sums: dict[str | None, Fraction] = defaultdict(Fraction)
        for value, weight in found:
            sums[value if value in known else UNALLOCATED] += weight
        return _whole(sums)

    def _scoped(self, scope: str, weight: str) -> Weights | None:
        place = self._place(scope)
        if place is None:
            return None
        return self._weights.costs(*place, self._currency) if weight == "cost" else self._weights.counts(*place, weight)

    def _place(self, scope: str) -> tuple[str, str | None] | None:
        """(host, model) of a scope; None where the line names no model to look at."""
        if scope == "model":
            return None if self._line.model_id is None else (self._line.provider_name, self._line.model_id)
        return (self._line.provider_name if scope == "provider" else ALL_PROVIDERS), None

    def _owner(self, number: int) -> Owner:
        return self._weights.owners.list[number]

    def _portions(self, portions: Portions, part: Fraction, text: str) -> Group:
        sums: dict[int, Fraction] = defaultdict(Fraction)
        for owner, share in portions:
            sums[self._weights.owners.number(owner)] += share
        scale = math.lcm(*(share.denominator for share in sums.values()))
        return Group(part, list(sums), [int(share * scale) for share in sums.values()], text)


def line_tag_values(owner_tags: str | None, tag_key: str) -> list[str]:
    """Values of a tag of an invoice line: a text, several behind ``;``, or a JSON list of texts."""
    found = json.loads(owner_tags).get(tag_key) if owner_tags else None
    texts = found if isinstance(found, list) else [] if found is None else [found]
    return sorted({value.strip() for text in texts for value in str(text).split(";") if value.strip()})


def _wider(step: Step) -> Sequence[str]:
    return _SCOPES[_SCOPES.index(step.scope) : _SCOPES.index(step.widest) + 1]


def _whole(members: Mapping[str | None, Fraction] | Mapping[str, Fraction]) -> Members:
    """The weights as whole numbers in the same proportions, those of zero left out."""
    kept: dict[str | None, Fraction] = {name: weight for name, weight in members.items() if weight}
    scale = math.lcm(*(weight.denominator for weight in kept.values()))
    return {name: int(weight * scale) for name, weight in kept.items()}
