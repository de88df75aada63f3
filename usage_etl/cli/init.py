"""``usage-etl init``: a commented settings file and empty directory and finance files to start from."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterator
from pathlib import Path

from usage_etl.config.contract_files import CONTRACT_COLUMNS
from usage_etl.config.directory_files import DIRECTORY_FILES
from usage_etl.config.finance_files import FINANCE_FILES
from usage_etl.config.load import DEFAULT_FILE

STARTER = """# Settings of usage_etl. Every key is explained in docs/reference/settings.md; unknown keys are errors.
version: 1

organization:
  id: my-company            # a-z, 0-9, - and _
  name: My Company
  currency: USD
  time_zone: UTC            # schedules run in this zone; days of facts are UTC days

start_date: {start_date}      # first day of the lake, a first of a month

lake: {{location: lake}}      # a folder, or s3://bucket/prefix
state: {{url: "sqlite:///state.sqlite"}}   # or {{url: {{env: USAGE_ETL_STATE_URL}}}} holding postgresql+psycopg2://...
directory: directory        # who owns what: users.csv, teams.csv, cost_centers.csv, ...
finance: finance            # invoices.csv, fx_rates.csv, disputes/*.csv

sources:
  - kind: litellm           # LiteLLM SpendLogs as JSON lines
    name: gateway
    location: landing/litellm     # a folder, or s3://bucket/prefix
  # - kind: openai          # organization costs and usage, fetched from the API
  #   name: openai
  #   account: org-...
  #   api_key: {{env: OPENAI_ADMIN_KEY}}
  # - kind: anthropic       # cost and usage reports, fetched from the API
  #   name: anthropic
  #   account: my-organization
  #   api_key: {{env: ANTHROPIC_ADMIN_KEY}}
  # Other gateways, clouds and tools: `usage-etl sources kinds`, docs/reference/sources.md

prices: {{contract_file: prices/contract.csv}}   # negotiated prices; empty: list prices

reports:
  location: out             # a folder, or s3://bucket/prefix
  executive_recipients: []
  chargeback_recipients: []
  failure_recipients: []

mail: {{mode: files}}         # files writes .eml into the out location; smtp sends
"""


def write_starter(folder: Path, *, today: dt.date | None = None) -> Iterator[Path]:
    """Writes what does not exist yet and yields each path written."""
    first = (today or dt.datetime.now(tz=dt.UTC).date()).replace(day=1)
    start = (first - dt.timedelta(days=1)).replace(day=1)
    files = {DEFAULT_FILE: STARTER.format(start_date=start), "prices/contract.csv": _header(CONTRACT_COLUMNS)}
    files |= {f"directory/{name}": _header(tuple(file.table.columns)) for name, file in DIRECTORY_FILES.items()}
    files |= {f"finance/{kind.place.replace('*', 'my-team')}": _header(tuple(kind.table.columns)) for kind in FINANCE_FILES}
    for name, text in files.items():
        path = folder / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            yield path
    (folder / "landing" / "litellm").mkdir(parents=True, exist_ok=True)


def _header(columns: tuple[str, ...]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(columns)
    return text.getvalue()
