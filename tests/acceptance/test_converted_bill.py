"""A bill in euros where dollars are booked: the invoice is converted once, then divided; without a rate there is nothing."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from tests.acceptance.installation import Installation
from tests.acceptance.published import booked, cents, frame, of_month, rows
from tests.acceptance.three_months import JULY, TEAMS, Day, Known, requests
from tests.acceptance.three_months_files import Story
from usage_etl.cli.pipeline import run_pipeline

LAST = Day(2026, 7, 31)
SETTINGS = """\
version: "1"
organization: {id: tidewater, name: Tidewater Labs}
start_date: 2026-07-01
as_of_date: 2026-07-31
sources:
  - {kind: litellm, name: gateway, location: landing/litellm}
  - kind: generic
    name: euroco
    account: EU-1
    location: landing/euroco
    rows: charges
    grain: bucket
    period: day
    columns: {period_start: Day, service_name: Service, amount: Amount, currency: Currency}
    constants: {provider_name: euroco, charge_category: Purchase}
prices: {contract_file: prices/contract.csv}
allocation:
  currency: USD
  rules:
    - name: thirds
      match: {provider: [euroco]}
      steps: [{level: team, method: even, members: [vision, language, support]}]
"""
INVOICES = """\
invoice_id,provider_name,billing_account_id,billing_month,issued_date,currency,invoice_total
EU-7,euroco,EU-1,2026-07,2026-08-01,EUR,100.01
"""
RATE = Decimal("1.0837")
RATES = "from_currency,to_currency,rate_date,rate,rate_source\nEUR,USD,{day},1.0837,central bank\n"


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """One day of usage and a bill of 60.00 and 40.01 euros."""
    found = Story(tmp_path, Known(LAST))
    found.directories()
    found.contract(has_change=False)
    found.write("usage_etl.yaml", SETTINGS)
    found.logs("2026-07-31", requests(LAST, LAST))
    found.write(
        "landing/euroco/july.csv", "Day,Service,Amount,Currency\n2026-07-31,Scans,60.00,EUR\n2026-07-31,Voices,40.01,EUR\n"
    )
    found.write("finance/invoices.csv", INVOICES)
    return found


def test_the_invoice_is_converted_once_and_its_parts_add_up(story: Story) -> None:
    story.write("finance/fx_rates.csv", RATES.format(day="2026-07-31"))
    installation = Installation(story.folder)
    installation.run(first=LAST)
    out = installation.tree("out")
    lines = [row for row in frame(out, JULY).rows(named=True) if row["provider_name"] == "euroco"]
    total = (Decimal("100.01") * RATE).quantize(Decimal("0.01"))
    assert sum(row["allocated_cost"] for row in lines) == total == Decimal("108.38")
    parts = sorted(cents(sum(row["allocated_cost"] for row in lines if row["team_id"] == team)) for team in TEAMS)
    assert parts[:2] == [0, 0]
    assert parts[-1] - parts[2] <= 2  # each of two lines is rounded by itself
    of_rate = ("invoice_currency", "billing_currency", "fx_rate", "fx_rate_date", "fx_rate_source")
    printed = {tuple(row[name] for name in of_rate) for row in lines}
    assert printed == {("EUR", "USD", RATE, dt.date(2026, 7, 31), "central bank")}
    in_csv = [row for row in rows(of_month(out, JULY)["chargeback.csv"]) if row["provider_name"] == "euroco"]
    assert {row["fx_rate"] for row in in_csv} == {"1.0837"}
    assert sum(booked(of_month(out, JULY)["journal.csv"], "gl_account").values()) == 0


@pytest.mark.parametrize("rates", [None, "2026-07-20"], ids=["no rate", "a rate that is too old"])
def test_without_a_rate_nothing_is_published_and_the_error_says_which(story: Story, rates: str | None) -> None:
    if rates is not None:
        story.write("finance/fx_rates.csv", RATES.format(day=rates))
    summary = run_pipeline(Installation(story.folder).config, first=LAST, last=None, with_reports=True)
    said = "\n".join(text for outcome in summary.outcomes for text in outcome.failures)
    assert not summary.succeeded
    assert all(words in said for words in ("EUR", "USD", "2026-07-31", "fx_rates.csv"))
    assert not (story.folder / "out" / "chargeback").exists()
