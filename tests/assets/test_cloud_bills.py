"""Clouds' bills in the product: runs land once, rows of other services close the count, a shrunken month waits."""

from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest

from tests.assets.installation import Installation
from tests.unit.sources.report_pages import RECORDED
from tests.unit.sources.run_files import aws_run, azure_run, gzipped
from usage_etl.schemas import BILLING_CHARGES

SETTINGS = """\
version: "1"
organization: {id: acme, name: Acme}
start_date: 2026-10-01
as_of_date: 2026-10-31
sources:
  - {name: azure, kind: azure_cost, location: landing/azure}
  - {name: aws, kind: aws_data_exports, location: landing/aws}
"""
ACTUAL_COST = (RECORDED / "azure_cost" / "actual_cost_ea.csv").read_bytes()
CUR = (RECORDED / "aws_data_exports" / "cur_2_0.csv").read_bytes()


@pytest.fixture
def clouds(tmp_path: Path) -> Installation:
    """An installation with a run of each cloud, not landed."""
    azure_run(tmp_path / "landing" / "azure", ACTUAL_COST)
    aws_run(tmp_path / "landing" / "aws", gzipped(CUR))
    (tmp_path / "usage_etl.yaml").write_text(SETTINGS)
    return Installation(tmp_path)


def test_runs_are_landed_once_and_every_record_is_accounted_for(clouds: Installation, instance: dg.DagsterInstance) -> None:
    assert clouds.run("land", instance).success, "its check counts records read, staged and refused"
    assert clouds.run("land", instance).success
    landed = clouds.workspace.index.deliveries()
    assert sorted((delivery.source, delivery.status) for delivery in landed) == [("aws", "staged"), ("azure", "staged")]
    staged = clouds.workspace.index.staged_rows()
    assert {source: sum(row[4] for row in staged if row[0] == source) for source in ("azure", "aws")} == {"azure": 8, "aws": 10}


def test_charges_of_both_clouds_are_built_to_the_last_digit(clouds: Installation, instance: dg.DagsterInstance) -> None:
    assert clouds.run("land", instance).success
    assert clouds.run("daily", instance, "2026-10-05", "2026-10-06", only=["fact_charges_daily", "billing_charges"]).success
    charges = clouds.workspace.lake.scan(BILLING_CHARGES, ["2026-10-06"]).collect()
    assert charges.select("billed_cost", "model_id", "deployment_scope").rows() == [
        (Decimal("0.0000564902"), "gpt-5.4-mini", "global")
    ]


def test_a_month_that_shrank_is_held(clouds: Installation, instance: dg.DagsterInstance) -> None:
    assert clouds.run("land", instance).success
    header, row, *_ = ACTUAL_COST.splitlines(keepends=True)
    azure_run(clouds.folder / "landing" / "azure", header + row, run_id="next", submitted="2026-10-07T01:00:00Z")
    assert clouds.run("land", instance).success
    newest = clouds.workspace.index.deliveries()[-1]
    assert (newest.source, newest.status) == ("azure", "held")
    assert "1 row(s), the version that counts has 8" in (newest.status_reason or "")
