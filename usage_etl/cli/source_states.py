"""How each configured source does, by the delivery index."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from assets.resources import Workspace, now, open_workspace
from usage_etl.config import SourceSettings
from usage_etl.lake import LandedDelivery

COUNTED = ("staged", "duplicate")


@dataclass(frozen=True)
class SourceState:
    """One configured source."""

    name: str
    kind: str
    account: str
    role: str
    origin: str
    state: str
    """``never delivered``, ``waits``, ``held``, ``refused``, ``late`` or ``fresh``: the first that holds."""
    last_delivery_at: dt.datetime | None
    newest_day: dt.date | None
    """Newest day with rows that count."""
    deliveries_count: int
    rows_staged_count: int
    rows_quarantined_count: int
    rows_out_of_scope_count: int
    refused_count: int
    """Files refused whole."""
    held_count: int
    rows_early_count: int
    """Staged rows of days before the lake's first day: kept, and not counted."""


def source_states(config: Path) -> list[SourceState]:
    """One per configured source, in the order of the settings. Raises ConfigError."""
    return states_of(open_workspace(str(config.resolve())))


def states_of(workspace: Workspace) -> list[SourceState]:
    """One per configured source, in the order of the settings."""
    newest: dict[str, dt.date] = {}
    early: Counter[str] = Counter()
    for source, _, _, day, rows_count, lost_count in workspace.index.staged_rows():
        if rows_count > lost_count:
            newest[source] = max(day, newest.get(source, day))
        if day < workspace.settings.start_date:
            early[source] += rows_count - lost_count
    return [_state(workspace, source, newest.get(source.name), early[source.name]) for source in workspace.settings.sources]


def _state(workspace: Workspace, source: SourceSettings, newest_day: dt.date | None, rows_early_count: int) -> SourceState:
    deliveries = workspace.index.deliveries(source.name)
    statuses = Counter(delivery.status for delivery in deliveries)
    last_at = max((delivery.received_at for delivery in deliveries), default=None)
    return SourceState(
        name=source.name,
        kind=source.kind,
        account=source.account,
        role=source.role,
        origin=source.origin,
        state=_word(deliveries, statuses, last_at, source),
        last_delivery_at=last_at,
        newest_day=newest_day,
        deliveries_count=len(deliveries),
        rows_staged_count=_sum(deliveries, "rows_staged_count"),
        rows_quarantined_count=_sum(deliveries, "rows_quarantined_count"),
        rows_out_of_scope_count=_sum(deliveries, "rows_out_of_scope_count"),
        refused_count=statuses["refused"],
        held_count=statuses["held"],
        rows_early_count=rows_early_count,
    )


def _word(
    deliveries: Sequence[LandedDelivery], statuses: Counter[str], last_at: dt.datetime | None, source: SourceSettings
) -> str:
    if last_at is None:
        return "never delivered"
    if statuses["landed"]:
        return "waits"
    if statuses["held"]:
        return "held"
    if deliveries[-1].status == "refused":
        return "refused"
    return "late" if now() - last_at > dt.timedelta(hours=source.expected_hours) else "fresh"


def _sum(deliveries: Sequence[LandedDelivery], name: str) -> int:
    """Over deliveries whose rows count."""
    return sum(getattr(delivery, name) or 0 for delivery in deliveries if delivery.status == "staged")
