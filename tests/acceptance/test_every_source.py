"""The whole AI estate in one lake: the recorded examples of every kind of source, from landing to the chargeback.

Each kind is configured as its own page shows it. What was landed directly is what its own fetch would land as one delivery.
"""

import gzip
import shutil
from collections import Counter
from decimal import Decimal
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
import yaml

from tests.assets.installation import Installation
from tests.unit.sources.every_source import ROOT, documented_settings, recorded
from tests.unit.sources.run_files import aws_run, azure_run, gzipped
from usage_etl.money import exact_sum
from usage_etl.schemas import (
    BILLING_CHARGES,
    FACT_CHARGES_MONTHLY,
    FACT_DELIVERIES_DAILY,
    FACT_USAGE_DAILY,
    MART_CHARGEBACK_MONTHLY,
    MART_DATA_QUALITY,
    MART_RECONCILIATION_MONTHLY,
    MART_SOURCE_COSTS,
    STAGED_CHARGES,
)
from usage_etl.sources.registry import SOURCES

SPECIAL = {"azure_cost", "aws_data_exports", "bedrock_logs", "langfuse", "azure_openai_logs"}
"""Kinds whose examples lie in a folder as their provider writes it, not as they are recorded."""

RECORDED = ROOT / "tests" / "recorded"
FIRST, LAST = "2026-10-01", "2026-11-25"


def lay(kind: str, folder: Path) -> None:
    """Puts the recorded examples of a kind where its documented settings look for them."""
    folder.mkdir(parents=True)
    if kind == "azure_cost":
        azure_run(folder, (RECORDED / kind / "actual_cost_ea.csv").read_bytes())
    elif kind == "aws_data_exports":
        aws_run(folder, gzipped((RECORDED / kind / "cur_2_0.csv").read_bytes()))
    elif kind == "bedrock_logs":
        content = (RECORDED / kind / "invocations.json").read_bytes()
        key = folder / "AWSLogs/123456789012/BedrockModelInvocationLogs/us-east-1/2026/11/01/00/a.json.gz"
        key.parent.mkdir(parents=True)
        key.write_bytes(gzip.compress(content))
    elif kind not in SPECIAL:
        for path in recorded(kind):
            target = folder / path.relative_to(RECORDED / kind)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


def settings_of(kind: str) -> dict[str, object]:
    """The first documented settings of a kind, reading its examples from the landing folder."""
    shown = documented_settings(kind)[0].model_dump(mode="json", exclude_defaults=True)
    kept = {name: part for name, part in shown.items() if name not in ("api_key", "database", "start_date", "exports", "pattern")}
    pattern = {"pattern": shown["pattern"]} if kind in SPECIAL and "pattern" in shown else {}
    return {**kept, "kind": kind, "name": kind, "account": kind, "location": f"landing/{kind}", **pattern}


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An installation with every kind, run from landing to the chargeback."""
    folder = tmp_path_factory.mktemp("estate")
    for kind in SOURCES:
        lay(kind, folder / "landing" / kind)
    document = {
        "version": "1",
        "organization": {"id": "estate", "name": "Estate"},
        "start_date": FIRST,
        "as_of_date": LAST,
        "sources": [settings_of(kind) for kind in SOURCES],
    }
    (folder / "usage_etl.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    installation = Installation(folder)
    with dg.instance_for_test() as instance:
        for job, span in (("land", ()), ("daily", (FIRST, LAST)), ("monthly", (FIRST, "2026-11-01"))):
            result = installation.run(job, instance, *span)
            failed = [f"{event.step_key}: {event.message}" for event in result.all_events if event.is_step_failure]
            assert result.success, failed
            verdicts = {item.asset_check_key.to_user_string(): item for item in result.get_asset_check_evaluations()}
            assert [
                name for name, item in verdicts.items() if not item.passed and item.severity == dg.AssetCheckSeverity.ERROR
            ] == []
    return installation


def test_every_kind_delivers_rows_or_says_why_not(estate: Installation) -> None:
    deliveries = estate.workspace.index.deliveries()
    rows = Counter[str]()
    for delivery in deliveries:
        rows[delivery.source] += delivery.rows_staged_count or 0
    silent = {kind for kind in SOURCES if not rows[kind]}
    assert silent == {"langfuse", "azure_openai_logs"}, "these two are landed by windows that tests of their own lay out"
    assert all(delivery.status_reason for delivery in deliveries if delivery.status in ("refused", "held"))


def test_every_charge_line_that_counts_is_in_its_month_to_the_last_digit(estate: Installation) -> None:
    workspace = estate.workspace
    index, store = workspace.index, workspace.store
    charges = workspace.lake.scan(BILLING_CHARGES).collect()
    staged = [pl.read_parquet(store.address(key)) for key in index.staged_objects() if f"/{STAGED_CHARGES.name}/" in f"/{key}"]
    in_lake = pl.concat(staged).filter(pl.col("charge_date").is_between(pl.lit(FIRST).str.to_date(), pl.lit(LAST).str.to_date()))
    counting = in_lake.join(charges, on=["source", "delivery_id", "raw_ordinal"], how="semi")
    months = workspace.lake.scan(FACT_CHARGES_MONTHLY).collect()
    for currency in charges["billing_currency"].unique():
        parts = (frame.filter(pl.col("billing_currency") == currency)["billed_cost"] for frame in (counting, charges, months))
        assert len({exact_sum(part) for part in parts}) == 1, currency
    assert charges["provider_name"].n_unique() >= 6


def test_nothing_is_counted_from_two_sources_and_reconciliation_is_only_compared(estate: Installation) -> None:
    daily = estate.workspace.lake.scan(FACT_USAGE_DAILY).collect()
    quality = estate.workspace.lake.scan(FACT_DELIVERIES_DAILY).collect()
    counted = set(daily["source"].cast(pl.String))
    compared = set(quality.filter(pl.col("reconciliation_count") > 0)["source"])
    roles = {source.name: source.role for source in estate.workspace.settings.sources}
    assert all(roles[source] == "usage" for source in counted)
    assert {"openai", "anthropic"} <= compared


def test_all_ten_primitives_arrive_with_exact_quantities(estate: Installation) -> None:
    daily = estate.workspace.lake.scan(FACT_USAGE_DAILY).collect().with_columns(pl.col("primitive").cast(pl.String))
    assert {"ai.chat", "ai.embed", "ai.image"} <= set(daily["primitive"])
    assert (
        daily.filter(pl.col("price_status").cast(pl.String) == "unpriced")["effective_cost"].null_count()
        == daily.filter(pl.col("price_status").cast(pl.String) == "unpriced").height
    )


def test_the_chargeback_equals_every_bill(estate: Installation) -> None:
    lines = estate.workspace.lake.scan(MART_CHARGEBACK_MONTHLY).collect()
    billed = estate.workspace.lake.scan(FACT_CHARGES_MONTHLY).collect()
    key = ["month", "provider_name", "billing_account_id", "billing_currency"]
    allocated = lines.filter(pl.col("charge_basis") == "billed").group_by(key).agg(pl.col("allocated_cost").sum())
    both = (
        billed.group_by(key).agg(pl.col("billed_cost").sum()).join(allocated, on=key, how="full", coalesce=True, nulls_equal=True)
    )
    assert both.height >= 7
    gaps = both.select((pl.col("billed_cost") - pl.col("allocated_cost")).abs())["billed_cost"]
    assert max(gaps) <= Decimal("0.005")


def test_every_source_has_its_line_in_the_quality_of_the_month(estate: Installation) -> None:
    quality = estate.workspace.lake.scan(MART_DATA_QUALITY, ["2026-10-01"]).collect()
    assert set(quality["source"]) == set(SOURCES)
    causes = estate.workspace.lake.scan(MART_RECONCILIATION_MONTHLY).collect()["tie_out_status"].cast(pl.String)
    assert causes.null_count() == 0


def test_every_difference_from_a_gateway_s_own_estimate_has_a_reason(estate: Installation) -> None:
    costs = estate.workspace.lake.scan(MART_SOURCE_COSTS).collect()
    assert {"litellm", "helicone"} <= set(costs["source"])
    assert costs["requests_count"].sum() > 0
    unequal = costs.filter(pl.col("source_cost_difference_usd").abs() > 1e-6)
    assert "agrees" not in set(unequal["source_cost_reason"])
