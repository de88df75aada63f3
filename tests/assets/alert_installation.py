"""An installation with rules of alerts whose marts are written, not built: what alerts read is all that it holds."""

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl

from assets import resources
from tests.assets.installation import SETTINGS, Installation
from tests.unit.alerts.test_observations import summary
from usage_etl.periods import day_start
from usage_etl.schemas import MART_SUMMARY

FIRST = dt.date(2026, 11, 1)
RULES = """\
channels:
  - {kind: email, name: ops, recipients: [ops@example.com]}
alerts:
  channels: [ops]
  rules:
    - {name: spend, measure: requests_count, levels: [LEVELS]}
"""


def alerting(folder: Path, levels: str = "1, 2", rules: str = RULES) -> Installation:
    """A rule on the requests of the month, of which November has eight."""
    for name in ("landing/gateway", "landing/openai", "directory"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "usage_etl.yaml").write_text(SETTINGS + rules.replace("LEVELS", levels), encoding="utf-8")
    resources.open_workspace.cache_clear()
    installation = Installation(folder)
    write_requests(installation, 8)
    return installation


def write_requests(installation: Installation, count: int) -> None:
    """Commits November's summary: so many requests of the organization."""
    row = summary(
        dimension="organization",
        member_id="acme",
        member_name="Acme",
        requests_count=count,
        errors_count=0,
        currency="USD",
        through_date=installation.workspace.as_of_date,
    )
    filled = {name: row.get(name, _blank(column)) for name, column in MART_SUMMARY.columns.items()}
    frame = pl.DataFrame([filled], schema=MART_SUMMARY.polars_schema, orient="row")
    installation.workspace.lake.commit(MART_SUMMARY, "2026-11-01", frame, inputs={"requests": str(count)})


def _blank(column: Any) -> object:
    """What a column that the test does not care for holds."""
    blanks = {pl.Int64: 0, pl.Boolean: False, pl.Date: FIRST, pl.String: "", pl.Datetime: day_start(FIRST)}
    return None if column.nullable else next((blank for kind, blank in blanks.items() if column.dtype == kind), None)
