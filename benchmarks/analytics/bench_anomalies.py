"""Recall and excess caught of the anomaly detector, beside z-score, weekday MAD and the 50 % rule, on the public panels.

    python -m benchmarks.analytics.bench_anomalies

The product's detector runs as it is: its own threshold, no tuning. The others are given the budget of false alarms exactly,
in hindsight; the plain 50 % rule runs as tools ship it.
"""

import time

import numpy as np

from benchmarks.analytics import incidents
from benchmarks.analytics.panels import PANELS, load
from usage_etl.anomalies.detection import judge

DAYS = 320
"""Of each series: 56 days that are judged, and what any detector remembers before them."""


def panel_matrix(panel: str) -> tuple[np.ndarray, np.ndarray]:
    """The last days of every series, and the weekday of the first column of each."""
    matrices, weekdays = [], []
    for installation in load(panel):
        days = (installation.last_day - installation.first_day).days + 1
        ids = installation.daily["series_id"].unique().sort().to_list()
        values = np.full((len(ids), days), np.nan)
        for row, series in enumerate(ids):
            part = installation.daily.filter(series_id=series)
            places = (part["usage_date"] - installation.first_day).dt.total_days().to_numpy()
            values[row, places.min() :] = 0
            values[row, places] = part["quantity"].cast(float).to_numpy()
        kept = values[:, -DAYS:]
        matrices.append(np.pad(kept, ((0, 0), (DAYS - kept.shape[1], 0)), constant_values=np.nan))
        weekdays += [(installation.last_day.weekday() - DAYS + 1) % 7] * len(ids)
    return np.vstack(matrices), np.array(weekdays)


def main() -> None:
    rivals = {
        "z-score, 28 days": (incidents.zscore_28, True),
        "z-score, spread of 84 days": (incidents.long_memory, True),
        "weekday MAD, 8 weeks": (incidents.weekday_mad, True),
        "above 98 % quantile of 84 days": (incidents.above_quantile, True),
        "50 % off the mean of 7 days, at the budget": (incidents.half_of_week_score, True),
        "50 % off the mean of 7 days, as it is": (incidents.half_of_week, False),
        "usage-etl, as it is": (lambda values: judge(values).is_flagged.astype(float), False),
    }
    print("| panel | detector | recall | excess caught | false alarms per series and 30 days |\n|---|---|---|---|---|")
    for panel in PANELS:
        values, weekdays = panel_matrix(panel)
        for name, (detector, is_score) in rivals.items():
            found = incidents.measured(values, weekdays, detector, is_score=is_score)
            figures = f"{found.recall:.2f} | {found.excess_caught:.2f} | {found.false_alarms:.2f}"
            print(f"| {panel} ({len(values)}) | {name} | {figures} |")
            if name.startswith("usage-etl"):
                print("".join(f"\n  {kind}: {share:.2f}" for kind, share in found.by_incident.items()))
    values = np.random.default_rng(0).lognormal(3, 1, (1000, 400))
    started = time.process_time()
    judge(values)
    print(f"\n1,000 series of 400 days: {time.process_time() - started:.1f} CPU seconds")


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
