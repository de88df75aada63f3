"""Jobs: what runs together. Every job has a maximal run time, because nothing else ends a run whose host has died."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

MAX_RUNTIME = {"dagster/max_runtime": str(6 * 3600)}
QUARTER_HOUR = {"dagster/max_runtime": str(15 * 60)}


@dataclass(frozen=True)
class Jobs:
    """The jobs of the pipeline, left to right in the asset graph, the one that closes months, and those of alerts."""

    land: Any
    daily: Any
    monthly: Any
    reports: Any
    close: Any
    alerts: Any
    alerts_delivery: Any

    def all(self) -> list[Any]:
        """The jobs in order."""
        return [self.land, self.daily, self.monthly, self.reports, self.close, self.alerts, self.alerts_delivery]


def pipeline_jobs(
    *,
    daily_keys: Sequence[dg.AssetKey],
    monthly_keys: Sequence[dg.AssetKey],
    report_keys: Sequence[dg.AssetKey],
    close: Any,
    alerts: Sequence[Any],
) -> Jobs:
    """Jobs over the asset keys of each partitioning; landing and directories are whatever has no partitions."""
    return Jobs(
        land=dg.define_asset_job(
            "land",
            selection=dg.AssetSelection.groups("1_land"),
            tags=MAX_RUNTIME,
            description="Fetch new objects, stage them, and refresh directories and prices.",
        ),
        daily=dg.define_asset_job(
            "daily",
            selection=dg.AssetSelection.assets(*daily_keys),
            tags=MAX_RUNTIME,
            description="Build usage days and charge days; a range of days is one run that commits day by day.",
        ),
        monthly=dg.define_asset_job(
            "monthly",
            selection=dg.AssetSelection.assets(*monthly_keys),
            tags=MAX_RUNTIME,
            description="Roll up, tie out, allocate, project and look for anomalies, month by month.",
        ),
        reports=dg.define_asset_job(
            "reports",
            selection=dg.AssetSelection.assets(*report_keys),
            tags=MAX_RUNTIME,
            description="Render, publish and send the reports of a month; each content goes out once.",
        ),
        close=close,
        alerts=alerts[0],
        alerts_delivery=alerts[1],
    )
