"""Why a day stood out, as one sentence made of its parts: the factors that carry it, and whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from usage_etl.anomalies.factors import EXPECTATION, WITHOUT_REQUESTS
from usage_etl.anomalies.members import OTHERS, REST, Member
from usage_etl.anomalies.shares import Parts
from usage_etl.units import NO_MEMBER, UNALLOCATED

TOLD_SHARE = 0.15
"""Factors below this share of the change are not told."""
CARRIED_SHARE = 0.5
"""A member is named when it carries at least this share."""
UNCHANGED_SHARE = 0.02
TIMES = "\u00d7"
_NOBODY = {OTHERS, REST, NO_MEMBER, UNALLOCATED}
_BY = {"api_key": "by key", "user": "by user", "model": "on", "feature": "for", "team": "of"}


@dataclass(frozen=True)
class Levels:
    """Levels of the factors on the day and on the comparison days; None where there is none."""

    observed: Mapping[str, float | None]
    compared: Mapping[str, float | None]

    def times(self, name: str) -> float | None:
        """How many times the level of the comparison days; None where that is nothing."""
        now, then = self.observed.get(name), self.compared.get(name)
        return now / then if now is not None and then else None


def cause_text(
    parts: Parts,
    members: Mapping[str, Sequence[Member]],
    *,
    measure: str,
    excess: Decimal,
    levels: Levels,
    names: Mapping[str, Mapping[str, str]],
    new_members: frozenset[tuple[str, str]] = frozenset(),
) -> str:
    """One sentence without its full stop; says that nothing stands out rather than guess."""
    if not excess:
        return "No change"
    shares = {name: float(part / excess) for name, part in parts.items()}
    told = [text for _, text in sorted(_told(shares, measure, levels, is_more=excess > 0), reverse=True)]
    lead = ", ".join(told[:3]) if told else "No single factor"
    carriers = _carriers(members, excess, names, new_members)
    unchanged = _unchanged(shares, measure)
    sentence = f"{lead[0].upper()}{lead[1:]}{carriers}"
    return f"{sentence}; {unchanged}" if unchanged and told else sentence


def top_member(members: Sequence[Member], excess: Decimal) -> tuple[str, float] | None:
    """The named member with the largest part in the direction of the change, and its share of it, at most 1."""
    ranked = [(float(one.change / excess), one.member_id) for one in members if excess and one.member_id not in _NOBODY]
    share, member = max(ranked, default=(0.0, ""))
    return (member, min(1.0, share)) if share > 0 else None


def _told(shares: Mapping[str, float], measure: str, levels: Levels, *, is_more: bool) -> list[tuple[float, str]]:
    found = [(shares.get("users", 0.0) + shares.get("volume", 0.0), _requests(shares, levels))]
    found += [(share, _factor(name, levels, measure, is_more=is_more)) for name, share in shares.items()]
    return [(share, text) for share, text in found if share >= TOLD_SHARE and text]


def _requests(shares: Mapping[str, float], levels: Levels) -> str:
    times = levels.times("requests")
    if times is None:
        return "first requests" if levels.observed.get("requests") else "no requests"
    more_users = levels.times("users")
    because = ""
    if more_users is not None and shares.get("users", 0.0) > shares.get("volume", 0.0):
        because = f" from {_times(more_users)} the users"
    return f"requests {_times(times)}{because}" if levels.observed.get("requests") else "no requests"


def _factor(name: str, levels: Levels, measure: str, *, is_more: bool) -> str:
    if name in ("tokens_per_request", "latency"):
        times = levels.times(name)
        words = {"tokens_per_request": "tokens per request", "latency": "time per request"}[name]
        return f"{words} {_times(times)}" if times is not None else ""
    if name in ("failures", "cache_share"):
        now, then = levels.observed.get(name), levels.compared.get(name)
        words = {"failures": "failed requests", "cache_share": "input from the cache"}[name]
        if now is None or then is None:
            return ""
        return f"{words} {now:.1%} after {then:.1%}".replace("%", " %")
    kinds = {"effective_cost": ("dearer", "cheaper"), "latency_average_ms": ("slower", "faster")}
    more, less = kinds.get(measure, ("more demanding", "less demanding"))
    plain = {
        "model_mix": f"a {more if is_more else less} mix of models",
        "price": "higher prices" if is_more else "lower prices",
        WITHOUT_REQUESTS: "cost without requests" if measure == "effective_cost" else "tokens without answered requests",
        EXPECTATION: "the days compared with were already off their expectation",
    }
    return plain.get(name, "")


def _carriers(
    members: Mapping[str, Sequence[Member]],
    excess: Decimal,
    names: Mapping[str, Mapping[str, str]],
    new_members: frozenset[tuple[str, str]],
) -> str:
    """Of which team, by which key or user, on which model; the share is that of the key or user."""
    found: dict[str, tuple[str, float]] = {}
    for kind, parts in members.items():
        top = top_member(parts, excess)
        if top is not None and top[1] >= CARRIED_SHARE:
            found[kind] = top
    whose = "api_key" if "api_key" in found else "user" if "user" in found else "feature"
    texts = []
    for kind in ("team", whose, "model"):
        if kind in found:
            member, share = found[kind]
            new = "new " if (kind, member) in new_members else ""
            name, word = _name(kind, member, names), _BY[kind]
            if name.lower().startswith("key"):
                word = "by"
            preposition, _, noun = word.partition(" ")
            part = f" ({share:.0%})".replace("%", " %") if kind == whose else ""
            texts.append(f" {preposition} {new}{noun}{' ' if noun else ''}{name}{part}")
    return "".join(texts)


def _name(kind: str, member: str, names: Mapping[str, Mapping[str, str]]) -> str:
    known = names.get(kind, {}).get(member)
    return known or (member.split("/", 1)[-1] if kind == "model" else member)


def _unchanged(shares: Mapping[str, float], measure: str) -> str:
    words = {"price": "price", "model_mix": "mix"} if measure == "effective_cost" else {}
    steady = [word for name, word in words.items() if abs(shares.get(name, 0.0)) < UNCHANGED_SHARE]
    return f"{' and '.join(steady)} unchanged" if steady else ""


def _times(times: float) -> str:
    return f"{TIMES}{times:.2f}" if times < 1 else f"{TIMES}{times:.1f}" if times < 10 else f"{TIMES}{times:,.0f}"
