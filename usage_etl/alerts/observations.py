"""From marts to observations: which figures rules can look at now. Each mart is read where a rule needs it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from usage_etl.alerts.limits import budget_rows, pool_rows, projected_cost_rows, quota_rows
from usage_etl.alerts.looked_up import Watch
from usage_etl.alerts.observation import Observation, Observations
from usage_etl.alerts.occurrences import anomaly_rows, source_rows
from usage_etl.alerts.usage_rows import summary_rows
from usage_etl.config.alerts import AlertRule
from usage_etl.schemas.alert_measures import ALERT_MEASURES


@dataclass(frozen=True)
class Handling:
    """What somebody made of an anomaly, or of the episode that it belongs to."""

    status: str
    """open, acknowledged or resolved."""
    reason: str = ""


@dataclass(frozen=True)
class Marts:
    """The stored months that one evaluation reads, by table name; a table that is not stored is missing."""

    frames: Mapping[str, pl.DataFrame]
    months: Mapping[str, Sequence[dt.date]]
    """By table name: months whose partition was read whole."""
    handling: Mapping[str, Handling] = field(default_factory=dict)
    """By anomaly_id or episode_id."""


_READERS: dict[str, Callable[[Watch, pl.DataFrame], Iterator[Observation]]] = {
    "mart_quota_status": quota_rows,
    "mart_pools": pool_rows,
    "mart_summary": summary_rows,
    "mart_data_quality": source_rows,
}


def observe(marts: Marts, rules: Sequence[AlertRule], watch: Watch) -> Observations:
    """Every figure that one of ``rules`` may look at.

    A mart that is not stored gives nothing: no data is not zero. ``covered`` names the periods whose members were all read.
    """
    measures = {rule.measure for rule in rules}
    tables = {ALERT_MEASURES[measure].table for measure in measures}
    rows: list[Observation] = []
    for table in sorted(tables & marts.frames.keys()):
        frame = marts.frames[table]
        if table == "mart_projection":
            rows += [*budget_rows(watch, frame), *projected_cost_rows(watch, frame)]
        elif table == "mart_anomalies":
            handled = {key: (one.status, one.reason) for key, one in marts.handling.items()}
            rows += anomaly_rows(watch, frame, handled)
        else:
            rows += _READERS[table](watch, frame)
    wanted = tuple(row for row in rows if row.measure in measures)
    covered = frozenset(
        (measure, month)
        for measure in measures
        for month in marts.months.get(ALERT_MEASURES[measure].table, ())
        if not ALERT_MEASURES[measure].is_day
    )
    return Observations(wanted, covered | frozenset((row.measure, row.period_start) for row in wanted))
