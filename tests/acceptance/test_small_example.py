"""The example one_gateway from end to end, against figures worked out line by line from its log files."""

import csv
import datetime as dt
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from genai_prices import Usage, calc_price

from usage_etl.cli.pipeline import RunSummary, run_pipeline

EXAMPLE = Path(__file__).parents[2] / "examples" / "one_gateway"
FIRST, LAST = dt.date(2026, 11, 1), dt.date(2026, 11, 3)
CENT = Decimal("0.01")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copied = tmp_path_factory.mktemp("example") / "one_gateway"
    shutil.copytree(EXAMPLE, copied)
    return copied


@pytest.fixture(scope="module")
def summary(folder: Path) -> RunSummary:
    return run_pipeline(folder / "usage_etl.yaml", first=FIRST, last=LAST, with_reports=True)


def log_lines() -> Iterator[Mapping[str, Any]]:
    for file in sorted((EXAMPLE / "landing" / "litellm").glob("*.jsonl")):
        yield from map(json.loads, file.read_text(encoding="utf-8").splitlines())


def team_of(line: Mapping[str, Any]) -> str:
    """The example's directories by hand: Ana moved on 3 November; the key of the nightly evaluation is Search's."""
    day = line["startTime"][:10]
    if line["user"] == "ana":
        return "search" if day < "2026-11-03" else "support"
    return {"ben": "support", "": "search"}[line["user"]]


def cost_of(line: Mapping[str, Any]) -> Decimal:
    """List price of one request, by the calculator of genai-prices itself."""
    details = json.loads(line["metadata"])["usage_object"]["prompt_tokens_details"]
    usage = Usage(
        input_tokens=line["prompt_tokens"], cache_read_tokens=details["cached_tokens"], output_tokens=line["completion_tokens"]
    )
    started_at = dt.datetime.fromisoformat(line["startTime"]).replace(tzinfo=dt.UTC)
    priced = calc_price(usage, line["model"], provider_id=line["custom_llm_provider"], genai_request_timestamp=started_at)
    return priced.total_price


def query(folder: Path, table: str, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a query on a stored table, read by another program than the one that wrote it."""
    source = f"read_parquet('{folder}/lake/{table}/**/*.parquet')"
    return duckdb.sql(sql.format(table=source)).fetchall()


def test_every_job_succeeds(summary: RunSummary) -> None:
    assert [outcome.job_name for outcome in summary.outcomes] == ["land", "daily", "monthly", "reports", "alerts"]
    assert [failure for outcome in summary.outcomes for failure in outcome.failures] == []
    assert summary.succeeded


def test_requests_and_tokens_are_those_of_the_log(summary: RunSummary, folder: Path) -> None:
    found = query(
        folder,
        "fact_usage_daily",
        "select team_id, sum(requests_count), sum(input_uncached_tokens + cache_read_tokens), sum(output_tokens) "
        "from {table} group by all",
    )
    requests, inputs, outputs = Counter[str](), Counter[str](), Counter[str]()
    for line in log_lines():
        requests[team_of(line)] += 1
        inputs[team_of(line)] += line["prompt_tokens"]
        outputs[team_of(line)] += line["completion_tokens"]
    assert {team: (int(a), int(b), int(c)) for team, a, b, c in found} == {
        team: (requests[team], inputs[team], outputs[team]) for team in requests
    }


def test_cost_is_that_of_an_independent_calculator(summary: RunSummary, folder: Path) -> None:
    found = query(folder, "fact_usage_daily", "select usage_date, sum(effective_cost) from {table} group by all order by 1")
    wanted: dict[dt.date, Decimal] = {}
    for line in log_lines():
        day = dt.date.fromisoformat(line["startTime"][:10])
        wanted[day] = wanted.get(day, Decimal(0)) + cost_of(line)
    assert dict(found) == wanted


def test_a_person_who_moves_takes_cost_along_from_that_day(summary: RunSummary, folder: Path) -> None:
    found = query(
        folder, "fact_usage_daily", "select distinct usage_date, team_id from {table} where user_id = 'ana' order by usage_date"
    )
    assert dict(found) == {
        dt.date.fromisoformat(line["startTime"][:10]): team_of(line) for line in log_lines() if line["user"] == "ana"
    }
    assert len({team for _, team in found}) == 2


def test_without_a_bill_owners_get_estimates_at_metered_cost(summary: RunSummary, folder: Path) -> None:
    text = (folder / "out" / "chargeback" / "2026-11" / "chargeback.csv").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(text.splitlines()))
    assert {row["line_kind"] for row in rows} == {"estimate"}
    by_provider: dict[str, Decimal] = {}
    for line in log_lines():
        provider = line["custom_llm_provider"]
        by_provider[provider] = by_provider.get(provider, Decimal(0)) + cost_of(line)
    charged: dict[str, Decimal] = {}
    for row in rows:
        charged[row["provider_name"]] = charged.get(row["provider_name"], Decimal(0)) + Decimal(row["allocated_cost"])
    assert charged == {provider: cost.quantize(CENT) for provider, cost in by_provider.items()}


def test_reports_are_made_and_nobody_is_mailed(summary: RunSummary, folder: Path) -> None:
    names = {Path(place).name for place, _ in summary.files}
    assert {"report.pdf", "index.html", "chargeback.csv", "chargeback.parquet", "manifest.json"} <= names
    assert not (folder / "out" / "mail").exists()


def test_running_again_changes_no_byte(summary: RunSummary, folder: Path) -> None:
    def content() -> dict[str, bytes]:
        kept = [
            path for area in ("lake", "out") for path in (folder / area).rglob("*") if path.suffix in {".parquet", ".csv", ".pdf"}
        ]
        return {str(path.relative_to(folder)): path.read_bytes() for path in kept}

    before = content()
    again = run_pipeline(folder / "usage_etl.yaml", first=FIRST, last=LAST, with_reports=True)
    assert again.succeeded
    assert content() == before
