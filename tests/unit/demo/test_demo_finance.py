"""Finance's side of the demo: owners above teams, invoices to the cent, rates, rules; nothing that hides what nobody owns."""

import csv
import datetime as dt
from collections import Counter, defaultdict
from decimal import Decimal
from fractions import Fraction

import pytest

from usage_etl.config import load_settings
from usage_etl.config.finance_files import read_finance_files, unknown_finance_files
from usage_etl.demo import write_demo
from usage_etl.demo.bill import SANDBOX
from usage_etl.demo.openai_pages import PROJECTS
from usage_etl.demo.organization import TEAMS
from usage_etl.periods import Month
from usage_etl.schemas import (
    DIM_API_KEY,
    DIM_BUSINESS_UNIT,
    DIM_COST_CENTER,
    DIM_DEPARTMENT,
    DIM_DISPUTE,
    DIM_FX_RATE,
    DIM_INVESTIGATION,
    DIM_INVOICE,
    DIM_PROJECT,
)
from usage_etl.sources.registry import SOURCE_KINDS

TABLES = {
    "directory/business_units.csv": DIM_BUSINESS_UNIT,
    "directory/departments.csv": DIM_DEPARTMENT,
    "directory/cost_centers.csv": DIM_COST_CENTER,
    "directory/projects.csv": DIM_PROJECT,
    "directory/investigations.csv": DIM_INVESTIGATION,
    "directory/api_keys.csv": DIM_API_KEY,
    "finance/invoices.csv": DIM_INVOICE,
    "finance/fx_rates.csv": DIM_FX_RATE,
    "finance/disputes/team-success.csv": DIM_DISPUTE,
}


def rows(demo, name):
    with (demo.folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", TABLES)
def test_files_have_the_columns_of_their_table_in_order(demo, name):
    table = TABLES[name]
    header = (demo.folder / name).read_text(encoding="utf-8").splitlines()[0].split(",")
    assert set(table.columns) - set(header) <= {"split_pct"}
    assert header == [column for column in table.columns if column in header]


def test_finance_files_have_no_fault_and_none_is_unknown(demo):
    frames = read_finance_files(demo.folder / "finance")
    assert {name: frame.height for name, frame in frames.items()} == {"dim_invoice": 4, "dim_fx_rate": 2, "dim_dispute": 0}
    assert unknown_finance_files(demo.folder / "finance") == []


def test_every_owner_has_a_place_up_to_the_top(demo):
    units = {row["business_unit_id"]: row["parent_id"] for row in rows(demo, "directory/business_units.csv")}
    departments = {row["department_id"]: row["business_unit_id"] for row in rows(demo, "directory/departments.csv")}
    centers = {row["cost_center_id"]: row for row in rows(demo, "directory/cost_centers.csv")}
    teams = rows(demo, "directory/teams.csv")
    assert {row["department_id"] for row in teams} == set(departments)
    assert {row["cost_center_id"] for row in teams} == set(centers)
    assert set(departments.values()) == set(units)
    assert {parent for parent in units.values() if parent} <= set(units)
    assert any(units.values())
    assert all(row["gl_account"] and "@" in row["owner_email"] for row in centers.values())
    assert len({row["owner_email"] for row in centers.values()}) == len(centers)


def test_all_billed_projects_are_named_but_the_one_nobody_registered(demo):
    named = {row["project_id"]: row["team_id"] for row in rows(demo, "directory/projects.csv")}
    billed = {r["project_id"] for results in demo.buckets("openai", "costs").values() for r in results} - {None}
    spaces = {r["workspace_id"] for results in demo.buckets("anthropic", "cost_report").values() for r in results} - {None}
    assert (billed | spaces) - set(named) == {PROJECTS[SANDBOX]}
    assert set(named.values()) <= {team.team_id for team in TEAMS}


def test_investigations_are_of_the_traffic_and_of_the_team_that_works_on_them(demo):
    teams = defaultdict(Counter)
    for row in demo.newest.values():
        for tag in row["request_tags"]:
            if tag.startswith("investigation:"):
                teams[tag.removeprefix("investigation:")][row["team_id"]] += 1
    named = {row["investigation_id"]: row["team_id"] for row in rows(demo, "directory/investigations.csv")}
    assert len(named) == 5
    assert all(teams[investigation][team] == max(teams[investigation].values()) for investigation, team in named.items())


def test_one_key_is_shared_and_usage_shows_who_pays_most(demo):
    summary = demo.summary
    shares = {row["team_id"]: int(row["split_pct"]) for row in rows(demo, "directory/api_keys.csv") if row["split_pct"]}
    assert shares == dict(summary.shared_key_owners) == {"team-success": 60, "team-servicedesk": 40}
    used = [row for row in demo.newest.values() if row["api_key"] == summary.shared_key_id]
    assert {row["team_id"] for row in used} == {summary.shared_key_owners[0][0]}
    centers = {team.team_id: team.cost_center_id for team in TEAMS}
    assert len({centers[team] for team in shares}) == 2


def test_invoices_are_the_pages_of_months_that_are_over_to_the_cent(demo):
    exact = defaultdict(Fraction)
    for provider, stem in (("openai", "costs"), ("anthropic", "cost_report")):
        for bucket, results in demo.buckets(provider, stem).items():
            instant = int(bucket) if bucket.isdigit() else dt.datetime.fromisoformat(bucket).timestamp()
            month = dt.datetime.fromtimestamp(instant, tz=dt.UTC).strftime("%Y-%m-01")
            for r in results:
                amount = Fraction(r["amount"]["value"]) if provider == "openai" else Fraction(r["amount"]) / 100
                exact[provider, month] += amount
    invoices = rows(demo, "finance/invoices.csv")
    found = {(row["provider_name"], row["billing_month"]): Fraction(row["invoice_total"]) for row in invoices}
    running = str(demo.summary.scenario.current_month.first_day)
    assert found == {key: Fraction(round(amount * 100), 100) for key, amount in exact.items() if amount and key[1] != running}
    assert len({row["invoice_id"] for row in invoices}) == len(invoices) == len(demo.summary.invoices) == 4
    accounts = {row["provider_name"]: row["billing_account_id"] for row in invoices}
    settings = load_settings(demo.summary.settings_path, kinds=SOURCE_KINDS)
    assert accounts == {source.name: source.account for source in settings.sources if source.name in accounts}


def test_an_invoice_comes_after_its_month_and_before_the_last_day(demo):
    for row in rows(demo, "finance/invoices.csv"):
        issued, due = dt.date.fromisoformat(row["issued_date"]), dt.date.fromisoformat(row["due_date"])
        month = Month.of(dt.date.fromisoformat(row["billing_month"]))
        assert month.end <= issued <= demo.summary.scenario.as_of
        assert (due - issued).days == 30


def test_a_month_whose_invoice_has_not_come_has_none(tmp_path):
    first = write_demo(tmp_path / "first", days=3, as_of=dt.date(2026, 11, 1))
    second = write_demo(tmp_path / "second", days=3, as_of=dt.date(2026, 11, 2))
    assert first.invoices == ()
    assert {str(invoice.month) for invoice in second.invoices} == {"2026-10"}


def test_rates_are_of_the_last_weekday_of_each_month_and_say_that_they_are_made_up(demo):
    found = rows(demo, "finance/fx_rates.csv")
    assert [row["rate_date"] for row in found] == ["2026-09-30", "2026-10-30"]
    assert all(Decimal("0.8") < Decimal(row["rate"]) < Decimal("0.9") for row in found)
    assert all(row["rate_source"].startswith("made up for the demo") for row in found)


def test_rules_divide_what_they_name_and_leave_the_bypass_unexplained(demo):
    settings = load_settings(demo.summary.settings_path, kinds=SOURCE_KINDS)
    assert [rule.name for rule in settings.allocation.rules] == ["evaluation-credit", "outage-credit", "knowledge-index"]
    for rule in settings.allocation.rules:
        assert rule.match.charge_kind == ("credit",) or rule.match.model == ("text-embedding-3-small",)
        assert PROJECTS[SANDBOX] not in rule.match.sub_account
    bypassed = {
        item["line_item"].split(",")[0]
        for results in demo.buckets("openai", "costs").values()
        for item in results
        if item["project_id"] == PROJECTS[SANDBOX]
    }
    assert bypassed
    assert not any("embedding" in name for name in bypassed)
