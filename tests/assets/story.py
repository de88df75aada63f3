"""A month that was published twice: before and after a late file."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from assets.resources import now
from tests.assets.installation import Installation, costs, request
from tests.unit.sources.report_pages import save

OCTOBER_KEY = "2026-10-01"
LATE_DAY = dt.date(2026, 10, 30)
LATE_FILE = "late.jsonl"
EDITIONS = ("report_executive", "report_chargeback")


@dataclass(frozen=True)
class Story:
    """October published twice: before and after a late file. Not to be changed; ``copied_to`` gives one to change."""

    installation: Installation
    before: dt.datetime
    """Before anything was built."""
    first: dt.datetime
    """After the first publication, before the late file."""


def tell_story(built: Installation, folder: Path) -> Story:
    """Publishes a copy of ``built`` with a higher bill in ``folder``, delivers a late file and publishes again."""
    before = now() - dt.timedelta(days=1)
    installation = built.copied_to(folder)
    save(folder / "landing" / "openai", costs({LATE_DAY: ("1.50", "0.70")}), name="costs2.json")
    with dg.DagsterInstance.ephemeral() as instance:
        assert installation.run("land", instance).success
        rebuild(installation, instance)
        first = now()
        installation.deliver(LATE_FILE, [request(LATE_DAY, 9, prompt_tokens=900_000)])
        assert installation.run("land", instance).success
        rebuild(installation, instance)
    return Story(installation, before, first)


def rebuild(installation: Installation, instance: dg.DagsterInstance) -> None:
    """Builds the late file's day and month, and publishes the month."""
    assert installation.run("daily", instance, LATE_DAY, LATE_DAY).success
    assert installation.run("monthly", instance, OCTOBER_KEY, OCTOBER_KEY).success
    for report in EDITIONS:
        assert installation.run("reports", instance, OCTOBER_KEY, OCTOBER_KEY, only=[report]).success
