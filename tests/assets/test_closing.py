"""Closing as Dagster runs it: what is closed and refused, what a crash leaves, and that closed months never change."""

import datetime as dt
from decimal import Decimal

import dagster as dg
import polars as pl
import pytest

from assets.allocation import commit_journal
from assets.booking import Booking, booking_months, commit_booked
from assets.closing import close_month
from assets.closing_checks import closing_faults
from assets.closing_facts import stale_inputs
from assets.periods import edition_periods, period_states
from tests.assets.closing_shop import AUGUST, JULY, MONTHS, NOVEMBER, OCTOBER, SEPTEMBER, Shop
from tests.unit.allocation.booking_lines import dispute, totals
from usage_etl.errors import ClosedPeriodError, IntegrityError, PeriodBusyError, UsageEtlError
from usage_etl.lake import WHOLE
from usage_etl.lake.periods import Recording
from usage_etl.schemas import DIM_COST_CENTER, DIM_TEAM, MART_ALLOCATION_MONTHLY, MART_CHARGEBACK_CLOSED, MART_JOURNAL_MONTHLY
from usage_etl.schemas.periods import ALL_OTHERS

KEY = JULY.first_day.isoformat()


@pytest.fixture
def shop(tmp_path):
    """July to October are allocated to openai and aws; data reach 20 November."""
    return Shop(tmp_path)


def outcome(result):
    """Metadata of the closing that a run recorded."""
    events = [event for event in result.get_asset_materialization_events()
              if event.asset_key == dg.AssetKey(MART_CHARGEBACK_CLOSED.name)]  # fmt: skip
    return {name: entry.value for name, entry in events[-1].materialization.metadata.items()}


def closed_names(shop, month):
    return {closing.provider_name for closing in shop.book.periods() if closing.month == month}


def checks_of(result):
    return {item.check_name: item.passed for item in result.get_asset_check_evaluations()}


def test_job_closes_every_provider_that_passes_and_then_the_month(shop):
    result = shop.close(JULY, closed_by="Ada")
    assert result.success
    assert outcome(result)["closed"] == ["aws (closing 1)", "openai (closing 1)"]
    assert outcome(result)["refused"] == {}
    assert closed_names(shop, JULY) == {"aws", "openai", ALL_OTHERS}
    assert set(checks_of(result).values()) == {True}
    assert len(checks_of(result)) == 6
    openai = shop.book.periods().in_force("openai", JULY)
    assert (openai.closed_by, openai.lines_count, openai.totals) == ("Ada", 2, {"USD": "100.000000000000000000"})
    assert set(openai.inputs) >= {"2026-07/bill", "2026-07/directory", f"{MART_ALLOCATION_MONTHLY.name}/{KEY}"}
    assert shop.booked(JULY)["period_status"].unique().to_list() == ["closed"]
    assert closing_faults(shop.workspace) == []


def test_closing_again_changes_nothing(shop):
    shop.close(JULY)
    before, head = shop.stored(JULY), shop.book.head()
    again = shop.close(JULY)
    assert again.success
    assert (outcome(again)["closed"], outcome(again)["refused"]) == ([], {})
    assert (shop.stored(JULY), shop.book.head()) == (before, head)


def test_what_does_not_pass_is_refused_with_its_reasons_and_stays_open(shop):
    shop.failures = ["12 USD are unexplained"]
    result = shop.close(JULY)
    assert result.success
    assert outcome(result)["closed"] == []
    assert [faults[0].partition(";")[0] for faults in outcome(result)["refused"].values()] == ["12 USD are unexplained"] * 2
    assert shop.booked(JULY)["period_status"].unique().to_list() == ["preliminary"]


def test_named_provider_alone_is_closed(shop):
    assert outcome(shop.close(JULY, provider="aws"))["closed"] == ["aws (closing 1)"]
    assert closed_names(shop, JULY) == {"aws"}
    assert outcome(shop.close(JULY, provider="aws"))["refused"]["aws"][0].startswith("it was closed on")
    assert outcome(shop.close(JULY, provider="Aws"))["refused"]["Aws"][0].startswith("Aws has no line in 2026-07")


def test_run_that_must_close_fails_when_it_cannot(shop):
    assert not shop.close(AUGUST, must_close=True).success
    assert closed_names(shop, AUGUST) == set()
    assert shop.close(JULY, must_close=True).success


def test_months_are_closed_in_order_and_a_range_closes_all_of_them(shop):
    faults = outcome(shop.close(SEPTEMBER))["refused"]["openai"]
    assert [fault.partition(";")[0] for fault in faults] == [
        "2026-07 of openai is not closed",
        "2026-08 of openai is not closed",
    ]
    assert shop.close(JULY, OCTOBER).success
    assert {month for month in MONTHS if shop.book.periods().is_month_closed(month)} == set(MONTHS[:4])


def test_running_month_and_one_that_has_not_settled_stay_open(tmp_path):
    shop = Shop(tmp_path, as_of="2026-09-02")
    shop.allocate(SEPTEMBER, openai={"red": "1"})
    shop.close(JULY)
    assert "closed from 2026-09-03 on" in outcome(shop.close(AUGUST))["refused"]["aws"][0]
    assert "closed from 2026-10-03 on" in outcome(shop.close(SEPTEMBER))["refused"]["openai"][0]


def test_estimates_need_no_invoice_only_where_none_is_required(tmp_path):
    shop = Shop(tmp_path, invoice="true")
    shop.lines[JULY]["aws"] = [{**shop.lines[JULY]["aws"][0], "charge_basis": "priced_usage", "line_kind": "estimate"}]
    shop.allocate(JULY)
    result = outcome(shop.close(JULY))
    assert result["closed"] == ["openai (closing 1)"]
    assert "no bill of aws was delivered" in result["refused"]["aws"][0]
    assert not shop.book.periods().is_sealed(JULY)


def test_late_changes_are_corrections_with_their_reason_in_the_next_open_month(shop):
    shop.close(JULY)
    before = shop.stored(JULY)
    shop.allocate(JULY, openai={"red": "62", "green": "40"}, google={"blue": "3"})
    result = shop.run("monthly", JULY, OCTOBER)
    assert set(checks_of(result).values()) == {True}
    assert shop.stored(JULY) == before
    corrections = shop.booked(AUGUST).filter(pl.col("corrects_month").is_not_null())
    assert totals(corrections, "provider_name", "team_id") == {
        ("openai", "red"): Decimal(2),
        ("openai", "blue"): Decimal(-40),
        ("openai", "green"): Decimal(40),
        ("google", "blue"): Decimal(3),
    }
    assert dict(corrections.select("provider_name", "correction_reason").iter_rows()) == {
        "openai": "no recorded input differs",
        "google": "delivered after the month was closed",
    }
    assert booking_months(shop.workspace, [JULY]) == [JULY, AUGUST]


def test_reason_names_the_directory_that_changed(shop):
    shop.close(JULY)
    teams = shop.workspace.table(DIM_TEAM).with_columns(cost_center_id=pl.lit("moved"))
    shop.workspace.lake.commit(DIM_TEAM, WHOLE, teams)
    shop.allocate(JULY, openai={"red": "100"})
    shop.run("monthly", AUGUST)
    reasons = shop.booked(AUGUST)["correction_reason"].drop_nulls().unique().to_list()
    assert reasons == ["directory changed"]


def test_crash_between_lines_and_book_leaves_the_month_open_and_the_next_closing_mends_it(shop, monkeypatch):
    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Recording, "close", die)
        with pytest.raises(KeyboardInterrupt):
            close_month(shop.workspace, JULY, failed_gates=shop.gates, closed_by="Ada")
    assert shop.workspace.lake.scan(MART_CHARGEBACK_CLOSED, [KEY]).collect().height == 3
    assert list(shop.book.periods()) == []
    shop.allocate(JULY, openai={"red": "61", "blue": "40"})
    result = shop.run("monthly", JULY)
    assert totals(shop.booked(JULY), "provider_name", "period_status")["openai", "preliminary"] == Decimal(101)
    result = shop.close(JULY)
    assert set(checks_of(result).values()) == {True}
    assert shop.workspace.lake.scan(MART_CHARGEBACK_CLOSED, [KEY]).collect()["closing_number"].to_list() == [1, 1, 1]
    assert shop.book.periods().in_force("openai", JULY).totals == {"USD": "101.000000000000000000"}


def test_closing_made_from_an_older_book_is_not_recorded(shop):
    def gates(*args, **kwargs):
        if not list(shop.book.periods()):
            close_month(shop.workspace, JULY, failed_gates=shop.gates, closed_by="Bob")
        return []

    with pytest.raises(PeriodBusyError, match="closing of 2026-07"):
        close_month(shop.workspace, JULY, failed_gates=gates, closed_by="Ada")
    assert {closing.closed_by for closing in shop.book.periods().closings} == {"Bob"}
    assert closing_faults(shop.workspace) == []


def test_allocation_that_changes_while_it_is_closed_is_not_closed(shop):
    def gates(*args, **kwargs):
        shop.allocate(JULY, openai={"red": "61", "blue": "40"})
        return []

    with pytest.raises(PeriodBusyError, match="the allocation changed meanwhile"):
        close_month(shop.workspace, JULY, failed_gates=gates, closed_by="Ada")
    assert list(shop.book.periods()) == []


def test_only_months_whose_allocation_changed_are_compared(shop):
    def compared(month):
        return Booking(shop.workspace, month, shop.book.periods()).compared

    shop.close(JULY, AUGUST)
    assert compared(SEPTEMBER) == []
    shop.allocate(JULY, openai={"red": "62", "blue": "40"})
    assert compared(SEPTEMBER) == [JULY]
    shop.close(SEPTEMBER)
    assert compared(OCTOBER) == []
    shop.allocate(JULY, openai={"red": "60", "blue": "40"})
    assert compared(OCTOBER) == [JULY]
    shop.run("monthly", OCTOBER)
    corrections = shop.booked(OCTOBER).filter(pl.col("corrects_month").is_not_null())
    assert corrections["allocated_cost"].to_list() == [Decimal(-2)]
    shop.allocate(AUGUST, google={"red": "1"})
    assert compared(OCTOBER) == [JULY, AUGUST]


def test_late_provider_that_is_reopened_is_compared_again(shop):
    shop.close(JULY)
    shop.allocate(JULY, google={"blue": "3"})
    shop.close(AUGUST)
    assert totals(shop.booked(AUGUST), "provider_name")["google",] == Decimal(3)
    assert Booking(shop.workspace, SEPTEMBER, shop.book.periods()).compared == []
    shop.book.reopen("google", AUGUST, by="Ada", reason="which bill is this?")
    shop.run("monthly", AUGUST)
    corrections = shop.booked(AUGUST).filter(pl.col("provider_name") == "google")
    assert corrections.select("allocated_cost", "period_status").rows() == [(Decimal(3), "preliminary")]
    shop.allocate(JULY, google={})
    shop.run("monthly", AUGUST)
    assert "google" not in shop.booked(AUGUST)["provider_name"]


def test_carried_changes_are_found_again_after_the_next_closing(tmp_path):
    shop = Shop(tmp_path, threshold="5")
    shop.close(JULY)
    shop.allocate(JULY, openai={"red": "64", "blue": "40"})
    shop.close(AUGUST)
    assert shop.booked(AUGUST)["corrects_month"].null_count() == shop.booked(AUGUST).height
    shop.allocate(JULY, openai={"red": "66", "blue": "40"})
    shop.run("monthly", SEPTEMBER)
    corrections = shop.booked(SEPTEMBER).filter(pl.col("corrects_month").is_not_null())
    assert corrections["allocated_cost"].to_list() == [Decimal(6)]


def test_allocation_that_is_lost_corrects_nothing(shop):
    shop.close(JULY)
    shop.workspace.lake.discard(MART_ALLOCATION_MONTHLY, KEY)
    shop.run("monthly", AUGUST)
    assert shop.booked(AUGUST)["corrects_month"].null_count() == shop.booked(AUGUST).height
    assert all(not rest[-1] for rest in period_states(shop.workspace))


def test_reopened_lines_are_kept_beside_those_of_the_next_closing(shop):
    shop.close(JULY)
    shop.book.reopen("openai", JULY, by="Ada", reason="wrong bill")
    shop.allocate(JULY, openai={"red": "50"})
    result = shop.close(JULY)
    assert outcome(result)["closed"] == ["openai (closing 2)"]
    assert set(checks_of(result).values()) == {True}
    stored = shop.workspace.lake.scan(MART_CHARGEBACK_CLOSED, [KEY]).collect()
    assert totals(stored, "provider_name", "closing_number") == {
        ("openai", 1): Decimal(100),
        ("openai", 2): Decimal(50),
        ("aws", 1): Decimal(7),
    }
    assert totals(shop.booked(JULY), "provider_name") == {("openai",): Decimal(50), ("aws",): Decimal(7)}


def test_provider_without_lines_after_it_was_reopened_is_closed_empty(shop):
    shop.close(JULY)
    shop.book.reopen("aws", JULY, by="Ada", reason="not our bill")
    shop.allocate(JULY, aws={})
    assert outcome(shop.close(JULY))["closed"] == ["aws (closing 2)"]
    assert shop.book.periods().is_month_closed(JULY)
    assert shop.booked(JULY)["provider_name"].unique().to_list() == ["openai"]


def test_changed_closed_lines_stop_the_chargeback(shop):
    shop.close(JULY)
    stored = shop.workspace.lake.scan(MART_CHARGEBACK_CLOSED, [KEY]).collect()
    shop.workspace.lake.commit(MART_CHARGEBACK_CLOSED, KEY, stored.with_columns(team_name=pl.lit("other")))
    with pytest.raises(IntegrityError, match="closing 1 of 2026-07"):
        commit_booked(shop.workspace, JULY)
    assert len(closing_faults(shop.workspace)) == 2
    assert not shop.close(JULY).success


def test_dispute_of_a_closed_month_is_carried_into_the_next_close(shop):
    shop.close(JULY)
    line_id = shop.booked(JULY).filter((pl.col("team_id") == "red") & (pl.col("provider_name") == "openai"))["line_id"].item()
    shop.dispute(dispute("D-1", line_id, "15", to="blue"))
    result = shop.close(AUGUST)
    assert set(checks_of(result).values()) == {True}
    lines = shop.booked(AUGUST).filter(pl.col("dispute_id") == "D-1")
    assert totals(lines, "team_id", "period_status") == {("red", "closed"): Decimal(-15), ("blue", "closed"): Decimal(15)}
    shop.run("monthly", SEPTEMBER)
    assert shop.booked(SEPTEMBER)["dispute_id"].null_count() == shop.booked(SEPTEMBER).height


def test_dispute_of_a_closed_month_does_not_stop_months_that_do_not_book_it(shop):
    shop.close(JULY)
    line_id = shop.booked(JULY).filter((pl.col("team_id") == "red") & (pl.col("provider_name") == "openai"))["line_id"].item()
    shop.dispute(dispute("D-1", line_id, "15", to="blue"))
    assert shop.run("monthly", AUGUST, SEPTEMBER, OCTOBER).success
    assert [shop.booked(month)["dispute_id"].drop_nulls().len() for month in (AUGUST, SEPTEMBER, OCTOBER)] == [2, 0, 0]
    assert shop.close(AUGUST).success
    shop.book.reopen("aws", AUGUST, by="Ada", reason="late bill")
    shop.book.reopen("aws", JULY, by="Ada", reason="late bill")
    assert shop.run("monthly", JULY, AUGUST).success


def test_wrong_dispute_stops_the_chargeback_and_the_last_good_version_stays(shop):
    shop.run("monthly", JULY)
    before = shop.booked(JULY)
    shop.dispute(dispute("D-1", "f" * 32, "15"))
    assert not shop.run("monthly", JULY).success
    assert shop.booked(JULY).equals(before)


def test_open_dispute_of_a_line_that_a_restatement_removes_stops_nothing_and_is_told(shop):
    shop.run("monthly", JULY)
    line_id = shop.booked(JULY).filter((pl.col("team_id") == "red") & (pl.col("provider_name") == "openai"))["line_id"].item()
    shop.dispute(dispute("D-1", line_id, "15", resolution="open"))
    assert checks_of(shop.run("monthly", JULY))["open_disputes_can_be_accepted"]
    shop.allocate(JULY, openai={"blue": "100"})
    result = shop.run("monthly", JULY)
    assert result.success
    assert totals(shop.booked(JULY).filter(pl.col("provider_name") == "openai"), "team_id") == {("blue",): Decimal(100)}
    (told,) = [item for item in result.get_asset_check_evaluations() if not item.passed]
    assert (told.check_name, told.severity) == ("open_disputes_can_be_accepted", dg.AssetCheckSeverity.WARN)
    assert f"dispute D-1: line {line_id} is in no published chargeback" in str(told.metadata["faults"].value)


RERUNS = {
    "the same run again": lambda shop: None,
    "a restated bill": lambda shop: shop.allocate(JULY, openai={"red": "1", "green": "2"}),
    "a bill that vanished": lambda shop: shop.allocate(JULY, openai={}, aws={}),
    "a provider that comes late": lambda shop: shop.allocate(JULY, google={"red": "9"}),
    "a later month": lambda shop: shop.allocate(AUGUST, openai={"red": "8"}),
    "an accepted dispute": lambda shop: shop.dispute(dispute("D-1", shop.booked(JULY)["line_id"][0], "1")),
    "other directories": lambda shop: shop.workspace.lake.commit(DIM_TEAM, WHOLE, DIM_TEAM.empty()),
    "a chargeback built from nothing": lambda shop: shop.workspace.lake.discard(MART_ALLOCATION_MONTHLY, KEY),
    "the next closing": lambda shop: shop.close(AUGUST, OCTOBER),
}


@pytest.mark.parametrize("event", RERUNS.values(), ids=RERUNS)
def test_no_rerun_and_no_backfill_changes_a_byte_of_a_closed_month(shop, event):
    shop.close(JULY)
    first = shop.publish(JULY)
    stored, published = shop.stored(JULY), shop.published(JULY)
    event(shop)
    shop.close(JULY)
    shop.run("monthly", JULY)
    shop.run("monthly", JULY, NOVEMBER)
    shop.close(JULY, OCTOBER)
    again = shop.publish(JULY)
    assert (again.is_new, again.manifest_sha256) == (False, first.manifest_sha256)
    assert shop.stored(JULY) == stored
    assert shop.published(JULY) == published


def test_reopened_month_is_published_anew_as_a_version_that_names_the_closed_one(shop):
    shop.run("monthly", JULY)
    preliminary = shop.publish(JULY)
    shop.close(JULY)
    closed = shop.publish(JULY)
    assert closed.restates == preliminary.manifest_sha256
    shop.allocate(JULY, openai={"red": "61"})
    shop.book.reopen("openai", JULY, by="Ada", reason="wrong bill")
    with pytest.raises(UsageEtlError, match="stored lines of openai are older than its closing"):
        edition_periods(shop.workspace, "chargeback", JULY)
    shop.run("monthly", JULY)
    reopened = shop.publish(JULY)
    assert (reopened.is_new, reopened.restates) == (True, closed.manifest_sha256)
    shop.close(JULY)
    assert shop.publish(JULY).restates == reopened.manifest_sha256
    shop.allocate(JULY, openai={"red": "99"})
    shop.run("monthly", JULY)
    assert not shop.publish(JULY).is_new


def test_files_of_a_closed_month_that_would_change_are_refused(shop, monkeypatch):
    shop.close(JULY)
    shop.publish(JULY)
    monkeypatch.setattr(Shop, "booked", lambda self, month: pl.DataFrame({"requests_count": [1], "a": [2]}))
    with pytest.raises(ClosedPeriodError, match=r"chargeback\.csv"):
        shop.publish(JULY)


def test_changed_input_of_the_allocation_is_named(shop):
    lake = shop.workspace.lake
    teams = lake.head(DIM_TEAM, WHOLE).sha256
    lake.commit(MART_ALLOCATION_MONTHLY, KEY, lake.scan(MART_ALLOCATION_MONTHLY, [KEY]).collect(), inputs={"dim_team/all": teams})
    assert stale_inputs(shop.workspace, MART_ALLOCATION_MONTHLY, KEY) == []
    lake.commit(DIM_TEAM, WHOLE, DIM_TEAM.empty())
    assert stale_inputs(shop.workspace, MART_ALLOCATION_MONTHLY, KEY) == ["dim_team/all"]
    assert "before these changed: dim_team/all" in outcome(shop.close(JULY))["refused"]["aws"][0]
    assert stale_inputs(shop.workspace, MART_ALLOCATION_MONTHLY, "2026-11-01") == [
        "mart_allocation_monthly/2026-11-01 was never computed"
    ]


def test_waiting_corrections_are_listed_by_the_month_they_correct(shop):
    shop.close(JULY)
    shop.allocate(JULY, openai={"red": "62", "blue": "40"})
    states = {(month, name): rest for month, name, *rest in period_states(shop.workspace)}
    status, closing, invoices, pending = states[JULY, "openai"]
    assert (status, closing.number, invoices, pending) == ("closed", 1, (), (("USD", Decimal(2)),))
    assert states[AUGUST, "openai"] == ["preliminary", None, (), ()]
    assert (JULY, ALL_OTHERS) in states


@pytest.mark.parametrize(
    ("tick", "partition"),
    [
        ("2026-08-08T13:00", "2026-07-01"),
        ("2026-09-01T03:00", "2026-07-01"),
        ("2026-07-08T13:00", None),
        ("2027-01-08T14:00", None),
    ],
)
def test_schedule_closes_the_month_before_in_the_organizations_zone(shop, tick, partition):
    repository = shop.definitions.get_repository_def()
    schedule = repository.get_schedule_def("close_month")
    instant = dt.datetime.fromisoformat(f"{tick}:00+00:00")
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance=instance, scheduled_execution_time=instant, repository_def=repository
        )  # fmt: skip
        ticks = schedule.evaluate_tick(context).run_requests
    assert [request.partition_key for request in ticks] == ([partition] if partition else [])
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 9 8 * *", "America/New_York")


def test_account_that_the_directory_names_later_does_not_change_a_closed_months_journal(shop):
    shop.close(JULY)
    first = commit_journal(shop.workspace, JULY)[MART_JOURNAL_MONTHLY.name]
    named = [{"cost_center_id": name, "cost_center_name": name, "gl_account": "9999", "valid_from": JULY.first_day}
             for name in shop.booked(JULY)["cost_center_id"].unique()]  # fmt: skip
    shop.workspace.lake.commit(DIM_COST_CENTER, WHOLE, pl.DataFrame(named, schema=DIM_COST_CENTER.polars_schema))
    assert commit_journal(shop.workspace, JULY)[MART_JOURNAL_MONTHLY.name].sha256 == first.sha256
    shop.workspace.lake.discard(MART_JOURNAL_MONTHLY, KEY)
    assert commit_journal(shop.workspace, JULY)[MART_JOURNAL_MONTHLY.name].sha256 != first.sha256, "it would"
