"""Who pays which exact part of which bill: every invoice line by its rule, owners never above their usage plus the tolerance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from usage_etl.allocation.bills import Bill, InvoiceLine
from usage_etl.allocation.divide import Divider, Group
from usage_etl.allocation.owners import NOBODY_KNOWN, NOTHING_SEEN
from usage_etl.allocation.parts import Origin, Part, single
from usage_etl.allocation.rules import Rule, Step, rule_for
from usage_etl.allocation.usage_weights import ALL_PROVIDERS, NO_WEIGHTS, UsageWeights, Weights

_VIEWS = ("billed", "effective")


@dataclass(frozen=True, eq=False)
class _Task:
    """One invoice line with the rule that divides it."""

    bill: Bill
    line: InvoiceLine
    rule: Rule
    steps: Sequence[Step]

    @property
    def place(self) -> tuple[str, str | None]:
        """(host, model) whose usage bounds what owners pay of a line of metered usage."""
        scope = self.steps[0].scope
        if scope == "all":
            return ALL_PROVIDERS, None
        return self.line.provider_name, self.line.model_id if scope == "model" else None


def split_bills(bills: Sequence[Bill], divider: Divider, rules: Sequence[Rule], *, tolerance_pct: Decimal) -> list[Part]:
    """Every invoice line as parts that add up to it exactly, in the billed and in the amortised view.

    Lines of metered usage share a limit: all lines of one model at one provider, over all its accounts, are paid by owners
    (``unallocated`` among them) up to metered cost times one plus the tolerance, the rest is ``unexplained``; lines that name
    no model have what the named ones left of it. Each view has its own limit. Other lines know none. Lines that follow what
    owners pay (``charged``) are divided last. Lines that nothing is known to divide by are ``unallocated``.
    """
    tasks = [_task(bill, line, divider, rules) for bill in bills for line in bill.lines]
    usage = [task for task in tasks if task.steps[0].method == "usage"]
    parts = list(_Usage(divider, tolerance_pct).split(usage))
    charged = [task for task in tasks if any(step.method == "charged" for step in task.steps)]
    rest = set(tasks) - set(usage) - set(charged)
    for task in tasks:
        if task in rest:
            parts += _divided(task, divider, NO_WEIGHTS)
    paid: dict[int, Weights] = {}
    for bill in {id(task.bill): task.bill for task in charged}.values():
        paid[id(bill)] = _paid(
            part
            for part in parts
            if (part.origin.provider_name, part.origin.billing_account_id, part.origin.invoice_currency) == bill.account
        )
    for task in charged:
        parts += _divided(task, divider, paid[id(task.bill)])
    return parts


def _task(bill: Bill, line: InvoiceLine, divider: Divider, rules: Sequence[Rule]) -> _Task:
    rule = rule_for(line.keys, rules)
    is_nameless = rule.steps[0].method == "direct" and not divider.owners_of(line)[0]
    return _Task(bill, line, rule, rule.fallback if is_nameless and rule.fallback else rule.steps)


def _divided(task: _Task, divider: Divider, charged: Weights) -> Iterator[Part]:
    line, origin = task.line, Origin.of(task.bill, task.line)
    note = _note(task, divider.weights)
    groups = divider.divide(line, task.bill.currency, task.steps, charged=charged)
    if groups:
        yield from _parts(origin, groups, line.billed, line.effective, rule_name=task.rule.name, note=note)
    elif line.billed or line.effective:
        owner = divider.weights.owners.number(NOBODY_KNOWN)
        rule = (task.rule.name, f"unallocated: {_why_unallocated(task)}")
        yield single(origin, owner, line.billed, line.effective, rule=rule)


def _parts(
    origin: Origin, groups: Sequence[Group], billed: Fraction, effective: Fraction, *, rule_name: str, note: str
) -> Iterator[Part]:
    """Groups as parts of two amounts; a number tells apart the lines of an owner who stands in several groups."""
    seen: dict[int, int] = defaultdict(int)
    for group in groups:
        number = max(seen[owner] for owner in group.owners)
        for owner in group.owners:
            seen[owner] = number + 1
        text = f"{note} {group.text}".strip()
        yield Part(
            origin, "billed", group.owners, group.weights, billed * group.part, effective * group.part, rule_name, text,
            metered=group.metered, number=number,
        )  # fmt: skip


class _Usage:
    """Lines of metered usage, and the room that owners have left at each provider."""

    def __init__(self, divider: Divider, tolerance_pct: Decimal) -> None:
        self._divider = divider
        self._weights = divider.weights
        self._limit = 1 + Fraction(tolerance_pct) / 100
        self._limit_text = f"metered cost plus {tolerance_pct.normalize():f} %"
        self._taken: dict[tuple[str, str, str], Fraction] = defaultdict(Fraction)

    def split(self, tasks: Sequence[_Task]) -> Iterator[Part]:
        """Parts of all lines: those that name a model first, those of all providers together last."""
        families: dict[tuple[str, str | None, str], list[_Task]] = defaultdict(list)
        for task in tasks:
            families[*task.place, task.bill.currency].append(task)
        for host, model_id, currency in sorted(families, key=lambda key: (key[0] == ALL_PROVIDERS, key[1] is None, str(key))):
            family = families[host, model_id, currency]
            weights = self._weights.costs(host, model_id, currency)
            if weights.total:
                yield from self._capped(family, host, model_id, currency, weights)
            else:
                for task in family:
                    yield from self._unexplained(
                        task, task.line.billed, task.line.effective, self._why_unmetered(host, model_id, currency)
                    )

    def _capped(
        self, family: Sequence[_Task], host: str, model_id: str | None, currency: str, weights: Weights
    ) -> Iterator[Part]:
        billed_ratio, effective_ratio = (
            self._paid_ratio([getattr(task.line, view) for task in family], (host, currency, view), model_id, weights)
            for view in _VIEWS
        )
        for task in family:
            line = task.line
            billed, effective = _capped(line.billed, billed_ratio), _capped(line.effective, effective_ratio)
            is_capped = (billed, effective) != (line.billed, line.effective)
            if billed or effective or not is_capped:
                what = "the model's usage" if model_id is not None else "usage that names no model"
                note = f"bill for {what}"
                groups = self._divider.divide(line, task.bill.currency, task.steps)
                capped = f", up to {self._limit_text}" if is_capped else ""
                for part in _parts(Origin.of(task.bill, line), groups, billed, effective, rule_name=task.rule.name, note=note):
                    yield _with_text(part, f"{part.text}{capped}")
            if is_capped:
                yield from self._unexplained(
                    task, line.billed - billed, line.effective - effective, f"billed above {self._limit_text}"
                )

    def _paid_ratio(
        self, amounts: Sequence[Fraction], room: tuple[str, str, str], model_id: str | None, weights: Weights
    ) -> Fraction:
        """Part of the amounts above zero that owners pay, and notes it as taken from the provider's room."""
        charged = sum((amount for amount in amounts if amount > 0), Fraction(0))
        left = self._limit * Fraction(weights.total, weights.scale)
        if model_id is None:
            left = max(Fraction(0), left - self._taken_of(room))
        ratio = min(Fraction(1), left / charged) if charged else Fraction(1)
        self._taken[room] += charged * ratio
        return ratio

    def _taken_of(self, room: tuple[str, str, str]) -> Fraction:
        host, *rest = room
        if host != ALL_PROVIDERS:
            return self._taken[room]
        return sum((taken for (_, *other), taken in self._taken.items() if other == rest), Fraction(0))

    def _unexplained(self, task: _Task, billed: Fraction, effective: Fraction, why: str) -> Iterator[Part]:
        if billed or effective:
            owner = self._weights.owners.number(NOTHING_SEEN)
            yield single(Origin.of(task.bill, task.line), owner, billed, effective, rule=(task.rule.name, f"unexplained: {why}"))

    def _why_unmetered(self, host: str, model_id: str | None, currency: str) -> str:
        if host == ALL_PROVIDERS:
            return "the logs show no usage that has a price"
        others = self._weights.currencies(host, model_id) - {currency}
        if others:
            return f"usage is priced in {', '.join(sorted(others))}, the bill is in {currency}"
        if model_id is None:
            return (
                "usage of the provider has no price" if host in self._weights.hosts else "the logs show no usage of the provider"
            )
        seen = self._weights.has_model(host, model_id)
        return "usage of the model has no price" if seen else "the logs show no usage of the model"


def _with_text(part: Part, text: str) -> Part:
    return Part(**{**vars(part), "text": text})


def _capped(amount: Fraction, ratio: Fraction) -> Fraction:
    return amount * ratio if amount > 0 else amount


def _paid(parts: Iterable[Part]) -> Weights:
    """What owners pay of an account's lines, in whole attos, as weights; who is credited more than charged has none.

    The billed view decides, also of the amortised amounts; where nothing is billed, the amortised view.
    """
    found = list(parts)
    for view in _VIEWS:
        sums: dict[int, int] = defaultdict(int)
        for part in found:
            amount: Fraction = getattr(part, view)
            denominator = amount.denominator * sum(part.weights)
            for owner, weight in zip(part.owners, part.weights, strict=True):
                sums[owner] += amount.numerator * weight // denominator
        sign = -1 if sum(sums.values()) < 0 else 1
        kept = {owner: sign * paid for owner, paid in sorted(sums.items()) if sign * paid > 0}
        if kept:
            return Weights(list(kept), list(kept.values()))
    return NO_WEIGHTS


def _note(task: _Task, weights: UsageWeights) -> str:
    kind = task.rule.note or task.line.keys["charge_kind"]
    user = task.line.keys["user_id"]
    if task.line.keys["charge_kind"] != "seat" or user is None:
        return str(kind)
    seen = weights.is_user_seen(task.line.provider_name, user)
    if seen is None:
        return f"{kind} (no log says whether it was used)"
    return str(kind) if seen else f"{kind} (idle: no usage in the month)"


def _why_unallocated(task: _Task) -> str:
    kind = task.line.keys["charge_kind"]
    match task.steps[0].method:
        case "direct":
            named = any(task.line.keys[name] for name in ("user_id", "api_key_id", "sub_account_id"))
            return f"no directory knows who the {kind} is for" if named else f"the {kind} line names nobody"
        case "charged":
            return f"owners pay nothing else on the account to split {kind} by"
        case "proportional":
            return f"no metered usage of the provider to split {kind} by"
        case method:
            return f"nothing to split {kind} by with the method {method}"
