"""What the tests of this folder share: a demo written with little traffic but every event, and the full traffic unwritten."""

import datetime as dt
import gzip
import json
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from usage_etl.demo import DEFAULT_AS_OF, DEFAULT_SEED, DemoSummary, write_demo
from usage_etl.demo.organization import build_organization
from usage_etl.demo.requests import Request
from usage_etl.demo.scenario import Scenario
from usage_etl.demo.traffic import all_requests

DAYS = 68


@dataclass
class Demo:
    """A written demo with its log rows as any reader would find them."""

    summary: DemoSummary
    rows: list[dict[str, Any]]
    """Readable rows in file order, copies included; nested JSON unpacked."""
    unreadable_lines: list[str]

    @property
    def folder(self) -> Path:
        """Where the demo is."""
        return self.summary.target

    @cached_property
    def newest(self) -> dict[str, dict[str, Any]]:
        """One row per request id, the one updated last; rows that a parser must refuse are left out."""
        newest: dict[str, dict[str, Any]] = {}
        for row in self.rows:
            if "startTime" not in row or not isinstance(row["prompt_tokens"], int) or row["prompt_tokens"] < 0:
                continue
            kept = newest.get(row["request_id"])
            if kept is None or row["updated_at"] > kept["updated_at"]:
                newest[row["request_id"]] = row
        return newest

    def buckets(self, provider: str, stem: str) -> dict[str, list[dict[str, Any]]]:
        """Bucket start to its results, later pulls replacing earlier ones; numbers with a fraction are exact decimals."""
        found: dict[str, list[dict[str, Any]]] = {}
        for path in sorted((self.folder / "landing" / provider).glob(f"{stem}_*.json")):
            page = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
            for bucket in page["data"]:
                found[str(bucket.get("start_time", bucket.get("starting_at")))] = bucket["results"]
        return found


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    summary = write_demo(tmp_path_factory.mktemp("demo"), days=DAYS, volume=0.12)
    rows: list[dict[str, Any]] = []
    unreadable: list[str] = []
    for path in sorted((summary.target / "landing" / "litellm").glob("*.gz")):
        for line in gzip.decompress(path.read_bytes()).decode("utf-8-sig").split("\n"):
            if line:
                try:
                    rows.append(_unpacked(json.loads(line)))
                except ValueError:
                    unreadable.append(line)
    return Demo(summary, rows, unreadable)


def _unpacked(row: dict[str, Any]) -> dict[str, Any]:
    for name in ("metadata", "request_tags"):
        if isinstance(row[name], str):
            row[name] = json.loads(row[name])
    return row


@pytest.fixture(scope="session")
def scenario() -> Scenario:
    return Scenario.of(seed=DEFAULT_SEED, days=DAYS, as_of=DEFAULT_AS_OF)


@pytest.fixture(scope="session")
def traffic(scenario: Scenario) -> dict[dt.date, list[Request]]:
    """Every request of the window, by day."""
    return all_requests(scenario, build_organization(scenario))
