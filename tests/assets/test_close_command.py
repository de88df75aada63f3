"""The commands close, reopen and periods on the small installation, with everything that the job `close` runs."""

import datetime as dt

import pytest
from typer.testing import CliRunner

from assets.closing_facts import MonthFacts
from tests.assets.installation import DAYS, costs
from tests.unit.sources.report_pages import save
from usage_etl.cli.main import app
from usage_etl.cli.periods import close_month, parse_month, period_rows, user_name
from usage_etl.errors import UsageEtlError
from usage_etl.periods import Month
from usage_etl.schemas import MART_CHARGEBACK_MONTHLY
from usage_etl.schemas.periods import ALL_OTHERS

OCTOBER = Month(2026, 10)
LENIENT = "close: {settle_days: 0, requires_invoice: false, gates: []}\n"


def command(*words):
    return CliRunner().invoke(app, list(words))


def lenient(installation):
    """The installation, closed without invoice and without waiting."""
    with installation.config.open("a", encoding="utf-8") as file:
        file.write(LENIENT)
    return installation


def finance_files(installation):
    return installation.fingerprints("out/chargeback/2026-10")


def test_close_says_everything_that_holds_a_provider_and_exits_with_1(built):
    found = command("close", "2026-10", "-c", str(built.config), "--by", "Ada")
    assert found.exit_code == 1, found.output
    assert "not closed: 2026-10 of openai" in found.output
    assert "2026-10 is closed from 2026-11-03 on; wait, or lower close.settle_days (3)" in found.output
    assert "no invoice of account" in found.output
    assert list(built.workspace.period_book.periods()) == []


def test_closed_month_is_published_as_closed_and_stays_so_until_it_is_reopened(built):
    installation = lenient(built)
    config = str(installation.config)
    found = command("close", "2026-10", "-c", config, "--by", "Ada")
    assert found.exit_code == 0, found.output
    assert "closed 2026-10 of openai (closing 1)" in found.output
    assert "closed 2026-10 as a whole" in found.output
    files = finance_files(installation)
    assert files
    save(installation.folder / "landing" / "openai", costs(dict.fromkeys(DAYS, ("0.4", "0.2"))), name="costs_again.json")
    assert command("run", "-c", config, "--from", "2026-10-01").exit_code == 0
    assert finance_files(installation) == files

    again = command("close", "2026-10", "-c", config)
    assert (again.exit_code, "nothing to close in 2026-10" in again.output) == (0, True)
    assert finance_files(installation) == files

    listed = command("periods", "-c", config)
    assert listed.exit_code == 0
    assert [line.split()[:3] for line in listed.output.splitlines()[1:]][:3] == [
        ["2026-11", "openai", "open"],
        ["2026-10", "all", "others"],
        ["2026-10", "openai", "closed"],
    ]
    (waiting,) = [
        row.pending for row in period_rows(installation.config) if (row.month, row.provider_name) == (OCTOBER, "openai")
    ]
    assert waiting

    reopened = command("reopen", "2026-10", "-c", config, "--provider", "openai", "--reason", "the bill came anew", "--by", "Bob")
    assert "next: `usage-etl run --from 2026-10-01` publishes it" in reopened.output, "later months lose its corrections too"
    assert reopened.exit_code == 0, reopened.output
    assert command("run", "-c", config, "--from", "2026-10-01").exit_code == 0
    assert finance_files(installation) != files
    assert "the bill came anew" in command("periods", "-c", config).output
    assert command("verify", "-c", config).exit_code == 0


def test_reopening_without_a_reason_or_of_an_open_month_is_refused(built):
    words = ("reopen", "2026-10", "-c", str(built.config), "--provider", "openai")
    assert command(*words).exit_code == 2
    assert isinstance(command(*words, "--reason", " ").exception, UsageEtlError)
    assert "is not closed" in str(command(*words, "--reason", "why").exception)


@pytest.mark.parametrize("text", ["2026", "2026-13", "10-2026", "2026-10-15", "next"])
def test_what_is_no_month_is_refused(text):
    assert command("close", text).exit_code == 2


def test_month_outside_the_lake_is_refused(built):
    with pytest.raises(UsageEtlError, match="nothing of 2026-12"):
        close_month(built.config, parse_month("2026-12"), provider_name="", by="Ada")


def test_who_closes_has_a_name():
    assert user_name()


def facts_of(installation, month=OCTOBER):
    workspace = installation.workspace
    found = MonthFacts(workspace, month, workspace.period_book.periods(), lambda *_, **__: [])
    return found.of("openai", MART_CHARGEBACK_MONTHLY.empty())


def test_sources_of_a_provider_are_those_of_its_bill_and_of_its_usage(built):
    gateway, bill = facts_of(built).sources
    assert (gateway.source, gateway.is_bill, gateway.last_date) == ("gateway", False, DAYS[-1])
    assert (bill.source, bill.is_bill) == ("openai", True)
    assert bill.last_received_at > dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    assert facts_of(built).stale == []


def test_delivered_rows_that_are_not_built_hold_the_closing(built, instance):
    save(built.folder / "landing" / "openai", costs(dict.fromkeys(DAYS, ("0.4", "0.2"))), name="costs_again.json")
    assert built.run("land", instance).success
    assert "rows delivered for 2026-10-31" in facts_of(built).stale


def test_bad_rows_hold_the_closing_until_the_same_file_comes_clean(built, instance):
    good = (built.folder / "landing" / "gateway" / f"{DAYS[0]}.jsonl").read_text(encoding="utf-8").splitlines()
    built.deliver(f"{DAYS[0]}.jsonl", [*good, "{not json"])
    assert built.run("land", instance).success
    (doubtful,) = facts_of(built).doubtful
    assert (doubtful.source, doubtful.status, doubtful.rows_quarantined_count) == ("gateway", "staged", 1)
    built.deliver(f"{DAYS[0]}.jsonl", [*good, ""])
    assert built.run("land", instance).success
    assert facts_of(built).doubtful == []


def test_month_closed_as_a_whole_is_told_in_the_book(built):
    close_month(lenient(built).config, OCTOBER, provider_name="", by="Ada")
    assert {item.provider_name for item in built.workspace.period_book.periods()} == {"openai", ALL_OTHERS}
