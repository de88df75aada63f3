"""Month-end projections on public series: ours beside the simple methods, in one run.

    python -m benchmarks.analytics.bench_forecast [--panel people] [--every 2]

Every method is asked on days 5, 10, 15, 20 and 25 of each month, knowing nothing of later days. WAPE: absolute errors of the
month's total over the totals, per series, then the mean over series. Grown: 56 days of history or more. Cold: half of the
series are cut to 7 to 55 days of history. Drift: each series times a random walk from week to week (people 25 %,
organizations 12 %, business 10 %), because usage of AI grows and moves while the panels stand still. Exit code 1 when ours is
more than 2 % worse than the straight line, or its 80 % band holds less than 75 or more than 85 % of the time.
"""

import argparse
import datetime as dt
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from benchmarks.analytics.panels import PANELS, Installation, load
from usage_etl.periods import Month
from usage_etl.projections.forecast import LEVEL_DAYS, WEEK, Horizon, period_lines, weekday_profile
from usage_etl.projections.outlook import outlook
from usage_etl.projections.panel import Counts, Floats, Panel, panel_of

ORIGIN_DAYS = (5, 10, 15, 20, 25)
GROWN_DAYS = 56
DRIFT = {"people": 0.25, "organizations": 0.12, "business": 0.10}
Method = Callable[[Floats, Counts, Horizon], Floats]


def straight(days: Floats, ages: Counts, horizon: Horizon) -> Floats:
    covered = np.minimum(horizon.elapsed, ages)
    return days[:, -horizon.elapsed :].sum(axis=1) / np.maximum(covered, 1) * horizon.ahead


def last_28(days: Floats, ages: Counts, horizon: Horizon) -> Floats:
    return days[:, -LEVEL_DAYS:].sum(axis=1) / np.clip(ages, 1, LEVEL_DAYS) * horizon.ahead


def last_week(days: Floats, ages: Counts, horizon: Horizon) -> Floats:  # noqa: ARG001 - a method like the others
    return np.take(days[:, -WEEK:], np.arange(horizon.ahead) % WEEK, axis=1).sum(axis=1)


def weekdays(days: Floats, ages: Counts, horizon: Horizon) -> Floats:
    profile, _ = weekday_profile(days, ages)
    shape = np.take(profile, np.arange(horizon.ahead) % WEEK, axis=1).mean(axis=1)
    return last_28(days, ages, horizon) * shape


def median_of_four(days: Floats, ages: Counts, horizon: Horizon) -> Floats:
    return np.median([one(days, ages, horizon) for one in (straight, last_28, last_week, weekdays)], axis=0)


def smoothing(days: Floats, ages: Counts, horizon: Horizon) -> Floats:
    """Exponential smoothing with a half-life of 13 days, drawn through the proven weekday profile."""
    return period_lines(days, ages, horizon)[:, 3]


METHODS: dict[str, Method] = {
    "straight line": straight,
    "last 28 days": last_28,
    "last week again": last_week,
    "weekday profile": weekdays,
    "smoothing 13 d": smoothing,
    "median of four": median_of_four,
}


@dataclass
class Score:
    """Errors and totals per series, and whether bands held."""

    errors: Floats
    totals: Floats
    held: list[bool]
    chances: list[tuple[float, bool]]


def moments(one: Installation) -> Iterator[tuple[Month, dt.date]]:
    month = Month.of(one.first_day)
    while month.last_day <= one.last_day:
        for number in ORIGIN_DAYS:
            day = month.first_day.replace(day=number)
            if (day - one.first_day).days + 1 >= GROWN_DAYS:
                yield month, day
        month = month.next


def drifted(panel: Panel, share: float, seed: int) -> Panel:
    rng = np.random.default_rng(seed)
    series, days = panel.days.shape
    walk = np.exp(np.cumsum(rng.normal(0, share, size=(series, days // WEEK + 1)), axis=1))
    return Panel(panel.keys, panel.days * np.repeat(walk, WEEK, axis=1)[:, :days], panel.ages, panel.last_day)


def cut_short(panel: Panel, rng: np.random.Generator) -> tuple[Panel, np.ndarray]:
    """Half of the series know 7 to 55 days only."""
    ages = np.minimum(panel.ages, rng.integers(7, GROWN_DAYS, size=panel.ages.size))
    is_cold = (rng.random(panel.ages.size) < 0.5) & (panel.ages >= GROWN_DAYS)
    ages = np.where(is_cold, ages, panel.ages)
    days = np.where(np.arange(panel.days.shape[1], 0, -1) <= ages[:, None], panel.days, 0.0)
    return Panel(panel.keys, days, ages, panel.last_day), is_cold


def measure(one: Installation, scores: dict[str, list[Score]], *, every: int, is_cold: bool, drift: float) -> None:
    """Adds the scores of an installation."""
    whole = panel_of(one.daily, keys=["series_id"], last_day=one.last_day, days_count=(one.last_day - one.first_day).days + 1)
    whole = drifted(whole, drift, seed=int.from_bytes(one.name.encode()[:4], "big")) if drift else whole
    rng = np.random.default_rng(7)
    size = whole.ages.size
    found = {name: Score(np.zeros(size), np.zeros(size), [], []) for name in (*METHODS, "ours")}
    for number, (month, day) in enumerate(moments(one)):
        if number // len(ORIGIN_DAYS) % every:
            continue
        panel = whole.until(day)
        live = (panel.ages >= GROWN_DAYS) & (panel.days[:, -GROWN_DAYS:].sum(axis=1) > 0)
        if is_cold:
            panel, cold = cut_short(panel, rng)
            live = live & cold & (panel.days.sum(axis=1) > 0)
        horizon = Horizon(elapsed=day.day, skipped=0, ahead=month.days_count - day.day)
        first = whole.days.shape[1] - (one.last_day - day).days
        rest = whole.days[:, first : first + horizon.ahead].sum(axis=1)
        total = np.where(live, rest + panel.days[:, -day.day :].sum(axis=1), 0.0)
        ours = outlook(panel, horizon)
        expected = {name: method(panel.days, panel.ages, horizon) for name, method in METHODS.items()} | {"ours": ours.middle}
        for name, middle in expected.items():
            found[name].errors += np.where(live, np.abs(middle - rest), 0.0)
            found[name].totals += total
        lower, upper = ours.band()
        found["ours"].held += ((rest >= lower - 1e-9) & (rest <= upper + 1e-9))[live].tolist()
        for row in np.flatnonzero(live):
            for factor in (0.7, 1.0, 1.4):
                limit = float(ours.middle[row]) * factor
                chance = ours.exceedance(int(row), limit)
                if chance is not None and limit > 0:
                    found["ours"].chances.append((chance, bool(rest[row] > limit)))
    for name, score in found.items():
        scores.setdefault(name, []).append(score)


def wape(scores: list[Score]) -> float:
    ratios = [score.errors[score.totals > 0] / score.totals[score.totals > 0] for score in scores]
    return float(np.concatenate(ratios).mean())


def report(panel: str, title: str, scores: dict[str, list[Score]]) -> bool:
    found = {name: wape(parts) for name, parts in scores.items()}
    held = np.mean([one for score in scores["ours"] for one in score.held])
    chances = [pair for score in scores["ours"] for pair in score.chances]
    worst = calibration(chances)
    ratio = found["ours"] / found["straight line"]
    line = "  ".join(f"{name} {100 * share:.1f}" for name, share in found.items())
    print(
        f"{panel:13} {title:6} {line}  ratio {ratio:.2f}  band holds {100 * held:.0f} %  chances off by {100 * worst:.0f} points"
    )
    return ratio <= 1.02 and 0.75 <= held <= 0.85


def calibration(chances: list[tuple[float, bool]]) -> float:
    """Largest distance between a stated chance and how often it came true, over fifths of the scale."""
    stated, came = np.array([pair[0] for pair in chances]), np.array([pair[1] for pair in chances])
    bins = np.minimum((stated * 5).astype(int), 4)
    return max(
        abs(float(stated[bins == number].mean() - came[bins == number].mean()))
        for number in np.unique(bins)
        if (bins == number).sum() >= 50
    )


def speed() -> None:
    rng = np.random.default_rng(1)
    days = rng.gamma(0.3, 30, size=(1000, 400)) * (rng.random((1000, 400)) < 0.6)
    ages = np.where(rng.random(1000) < 0.2, rng.integers(5, 80, 1000), 400)
    days = np.where(np.arange(400, 0, -1) <= ages[:, None], days, 0.0)
    panel = Panel(pl.DataFrame({"series_id": [str(one) for one in range(1000)]}), days, ages, dt.date(2026, 11, 8))
    start = time.process_time()
    outlook(panel, Horizon(elapsed=8, skipped=0, ahead=22))
    print(f"1,000 series of up to 400 days: {time.process_time() - start:.1f} s of CPU")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--panel", choices=PANELS, action="append", help="only this panel")
    parser.add_argument("--every", type=int, default=1, help="only every n-th month")
    arguments = parser.parse_args()
    is_good = True
    for panel in arguments.panel or PANELS:
        for title, is_cold, drift in (("grown", False, 0.0), ("cold", True, 0.0), ("drift", False, DRIFT[panel])):
            scores: dict[str, list[Score]] = {}
            for one in load(panel):
                measure(one, scores, every=arguments.every, is_cold=is_cold, drift=drift)
            is_good = report(panel, title, scores) and is_good
    speed()
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
