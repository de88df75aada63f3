"""One anomaly explained: its factors, its members and the sentence, from the rows of its day and of the days compared with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

import polars as pl

from usage_etl.anomalies.candidates import RATIOS, Candidate
from usage_etl.anomalies.causes import Levels, cause_text, top_member
from usage_etl.anomalies.factors import additive_parts, ratio_parts
from usage_etl.anomalies.members import Member, member_parts, sums_by_member
from usage_etl.anomalies.profiles import ZERO, PriceLine, Profile, profile_of
from usage_etl.anomalies.series import MEMBERS
from usage_etl.anomalies.shares import Parts
from usage_etl.units import INPUT_TOKEN_CLASSES

_OWN = {
    "error_ratio": "failures",
    "latency_average_ms": "latency",
    "tokens_per_request_ratio": "tokens_per_request",
}
"""What a ratio measures beyond the mix of models."""
_TOPS = {"api_key": "top_api_key_id", "model": "top_model_id", "user": "top_user_id", "feature": "top_feature_id"}


@dataclass(frozen=True)
class Explained:
    """What explains one anomaly."""

    rows: Sequence[Mapping[str, object]]
    """Of mart_anomaly_factors, without what they share with the anomaly."""
    tops: Mapping[str, object]
    price_part: Decimal
    priced_share: float
    """Share of the day's requests with a known cost."""
    models: frozenset[tuple[str, str]]
    """(provider, model) in use on the day."""
    text: str


@dataclass(frozen=True)
class Explainer:
    """Explains days of one history."""

    detail: pl.DataFrame
    lines: Mapping[str, PriceLine]
    organization_id: str
    names: Mapping[str, Mapping[str, str]]

    def explain(self, one: Candidate) -> Explained:
        """Parts and cause of an anomaly; its parts add up to its excess in each breakdown."""
        now, then = self._rows(one, [one.day]), self._rows(one, one.compared_days)
        days = len(one.compared_days)
        profiles = profile_of(now, self.lines, days_count=1), profile_of(then, self.lines, days_count=days)
        parts = _factor_parts(one, now, then, profiles)
        members = {kind: _members(one, now, then, kind) for kind in MEMBERS if kind != one.kind}
        levels = _levels(now, then, profiles)
        new = frozenset(
            (kind, part.member_id) for kind, found in members.items() for part in found if self._is_new(kind, part, one)
        )
        text = cause_text(
            parts, members, measure=one.measure, excess=one.excess, levels=levels, names=self.names, new_members=new
        )
        if one.detector == "first_appearance":
            text = f"First seen on {one.episode_start:%-d %b %Y}: {text[0].lower()}{text[1:]}"
        return Explained(
            rows=[*_factor_rows(parts, levels, one.excess), *self._member_rows(members, one, new)],
            tops=_tops(members, one),
            price_part=parts.get("price", ZERO),
            priced_share=_priced_share(now),
            models=frozenset(now.select("provider", "model_id").unique().iter_rows()),
            text=text,
        )

    @cached_property
    def _by_day(self) -> dict[dt.date, pl.DataFrame]:
        return {day: rows for (day,), rows in self.detail.partition_by("usage_date", as_dict=True).items()}

    @cached_property
    def _first_days(self) -> dict[str, dict[str, dt.date]]:
        """Kind to member to the first day it was seen."""
        return {
            kind: dict(self.detail.group_by(member_id=member).agg(pl.col("usage_date").min()).drop_nulls("member_id").iter_rows())
            for kind, member in MEMBERS.items()
        }

    def _rows(self, one: Candidate, days: Sequence[dt.date]) -> pl.DataFrame:
        frames = [self._by_day[day] for day in days if day in self._by_day]
        rows = pl.concat(frames) if frames else self.detail.clear()
        return rows if one.kind == "organization" else rows.filter(MEMBERS[one.kind] == one.scope_id)

    def _is_new(self, kind: str, part: Member, one: Candidate) -> bool:
        first = self._first_days.get(kind, {}).get(part.member_id)
        return first is not None and first >= one.episode_start and part.compared is None

    def _member_rows(
        self, members: Mapping[str, Sequence[Member]], one: Candidate, new: frozenset[tuple[str, str]]
    ) -> list[dict[str, object]]:
        return [
            {
                "breakdown": kind,
                "part_id": part.member_id,
                "part_name": self.names.get(kind, {}).get(part.member_id) or part.member_id,
                "change_quantity": part.change,
                "share_ratio": _share(part.change, one.excess),
                "observed_level": _float(part.observed),
                "comparison_level": _float(part.compared),
                "is_new": (kind, part.member_id) in new,
            }
            for kind, found in members.items()
            for part in found
        ]


def _factor_parts(one: Candidate, now: pl.DataFrame, then: pl.DataFrame, profiles: tuple[Profile, Profile]) -> Parts:
    if one.measure not in RATIOS:
        return additive_parts(*profiles, measure=one.measure, total=one.excess)
    top, bottom = RATIOS[one.measure]
    sides = [sums_by_member(rows, "model", numerator=top, denominator=bottom) for rows in (now, then)]
    models = sorted(sides[0].keys() | sides[1].keys())
    observed, compared = ([side.get(model, (ZERO, ZERO)) for model in models] for side in sides)
    return ratio_parts(observed, compared, own=_OWN[one.measure], total=one.excess)


def _members(one: Candidate, now: pl.DataFrame, then: pl.DataFrame, kind: str) -> list[Member]:
    top, bottom = RATIOS.get(one.measure, (one.measure, None))
    sides = [sums_by_member(rows, kind, numerator=top, denominator=bottom) for rows in (now, then)]
    days = len(one.compared_days)
    return member_parts(sides[0], sides[1], days_count=days, total=one.excess, is_ratio=bottom is not None)


def _levels(now: pl.DataFrame, then: pl.DataFrame, profiles: tuple[Profile, Profile]) -> Levels:
    observed, compared = (_side_levels(rows, side) for rows, side in zip((now, then), profiles, strict=True))
    return Levels(observed, compared)


def _side_levels(rows: pl.DataFrame, side: Profile) -> dict[str, float | None]:
    days = side.days_count
    sums = rows.select(pl.col(*INPUT_TOKEN_CLASSES, "total_tokens", "latency_ms_sum", "latency_count").sum()).row(0, named=True)
    whole_input = sum(sums[name] for name in INPUT_TOKEN_CLASSES)
    requests = float(side.requests)
    return {
        "users": float(side.users) / days if days else None,
        "requests": requests / days if days else None,
        "volume": requests / float(side.users) if side.users else None,
        "failures": float(side.failed) / requests if requests else None,
        "cache_share": sums["cache_read_tokens"] / whole_input if whole_input else None,
        "tokens_per_request": sums["total_tokens"] / requests if requests else None,
        "latency": sums["latency_ms_sum"] / sums["latency_count"] if sums["latency_count"] else None,
    }


def _factor_rows(parts: Parts, levels: Levels, excess: Decimal) -> list[dict[str, object]]:
    return [
        {
            "breakdown": "factor",
            "part_id": name,
            "part_name": name.replace("_", " "),
            "change_quantity": part,
            "share_ratio": _share(part, excess),
            "observed_level": levels.observed.get(name),
            "comparison_level": levels.compared.get(name),
            "is_new": False,
        }
        for name, part in parts.items()
    ]


def _tops(members: Mapping[str, Sequence[Member]], one: Candidate) -> dict[str, object]:
    found = {kind: top_member(parts, one.excess) for kind, parts in members.items()}
    tops: dict[str, object] = {column: top[0] if (top := found.get(kind)) else None for kind, column in _TOPS.items()}
    if one.kind in _TOPS:
        tops[_TOPS[one.kind]] = one.scope_id
    carrier = found.get("api_key") or found.get("model")
    return tops | {"top_share_ratio": carrier[1] if carrier else None}


def _priced_share(rows: pl.DataFrame) -> float:
    requests = int(rows["requests_count"].sum())
    priced = int(rows.drop_nulls("effective_cost")["requests_count"].sum())
    return priced / requests if requests else 0.0


def _share(part: Decimal, excess: Decimal) -> float | None:
    return float(part) / float(excess) if excess else None


def _float(level: Decimal | None) -> float | None:
    return None if level is None else float(level)
