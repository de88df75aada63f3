"""Months that a run takes up again because something else than their days changed."""

import dagster as dg

from assets.stale_months import months_to_build, stale_months
from tests.assets.installation import Installation
from usage_etl.periods import Month
from usage_etl.schemas import BILLING_CHARGES, DIM_INVOICE

OCTOBER, NOVEMBER = Month(2026, 10), Month(2026, 11)
HEADER = ",".join(DIM_INVOICE.columns)


def stale(installation: Installation) -> list[Month]:
    return stale_months(installation.workspace, last=NOVEMBER)


def register(installation: Installation, total: str) -> None:
    folder = installation.folder / "finance"
    folder.mkdir(exist_ok=True)
    row = f"INV-1,openai,default,2026-10,2026-11-02,,USD,{total},,"
    (folder / "invoices.csv").write_text(f"{HEADER}\n{row}\n", encoding="utf-8")


def test_a_new_invoice_makes_months_stale_until_they_are_allocated_by_it(
    landed: Installation, instance: dg.DagsterInstance
) -> None:
    assert landed.run("daily", instance, "2026-10-30", "2026-11-02").success
    assert landed.run("monthly", instance, "2026-10-01", "2026-11-01").success
    assert stale(landed) == []
    register(landed, "999999.00")
    assert landed.run("land", instance).success
    assert stale(landed) == [OCTOBER, NOVEMBER]
    assert months_to_build(landed.workspace, ["2026-11-01"], with_stale=True) == ["2026-10-01", "2026-11-01"]
    assert months_to_build(landed.workspace, ["2026-11-01"], with_stale=False) == ["2026-11-01"]
    landed.run("monthly", instance, "2026-10-01", "2026-11-01")
    assert stale(landed) == [OCTOBER], "the invoice is not the sum of its lines: October waits"
    assert stale_months(landed.workspace, last=NOVEMBER.previous.previous) == []
    (landed.folder / "finance" / "invoices.csv").unlink()
    assert landed.run("land", instance).success
    assert landed.run("monthly", instance, "2026-10-01", "2026-11-01").success
    assert stale(landed) == []


def test_months_whose_run_failed_or_whose_bill_moved_on_are_stale(landed: Installation, instance: dg.DagsterInstance) -> None:
    assert landed.run("daily", instance, "2026-10-30", "2026-11-02").success
    assert stale(landed) == [OCTOBER, NOVEMBER], "never allocated"
    assert landed.run("monthly", instance, "2026-10-01", "2026-11-01").success
    lake, day = landed.workspace.lake, "2026-10-31"
    charges = lake.scan(BILLING_CHARGES, [day]).collect()
    lake.commit(BILLING_CHARGES, day, charges.head(0))
    assert stale(landed) == ([OCTOBER] if charges.height else [])
    assert charges.height
