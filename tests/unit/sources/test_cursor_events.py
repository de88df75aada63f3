"""Cursor's usage events in every generation of the export: tokens disjoint, and money only where Cursor bills it."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.sources.bill_files import RECORDED, Outcome, parsed, total, write_csv
from usage_etl.errors import UnreadableDeliveryError

Row = dict[str, str | None]

EVENT: Row = {
    "Date": "2026-10-05T06:44:42.863Z",
    "User": "ada@example.org",
    "Cloud Agent ID": "bc-1",
    "Automation ID": "",
    "Kind": "On-Demand",
    "Model": "composer-2",
    "Max Mode": "No",
    "Input (w/ Cache Write)": "9541",
    "Input (w/o Cache Write)": "117382",
    "Cache Read": "1383578",
    "Output Tokens": "13232",
    "Total Tokens": "1523733",
    "Cost": "$0.12",
}


def event(**changes: str | None) -> Row:
    names = {"kind": "Kind", "cost": "Cost", "total": "Total Tokens", "written": "Input (w/ Cache Write)", "date": "Date"}
    names |= {"rest": "Input (w/o Cache Write)", "read": "Cache Read", "output": "Output Tokens", "model": "Model"}
    return {**EVENT, **{names[name]: cell for name, cell in changes.items()}}


def events(folder: Path, *rows: Row, **source: object) -> Outcome:
    return parsed("cursor", write_csv(folder / "usage-events.csv", rows), **source)


def test_a_billed_event_is_a_call_and_a_charge(tmp_path: Path) -> None:
    outcome = events(tmp_path, EVENT)
    call, charge = outcome.event, outcome.charge
    assert (call["grain"], call["status"], call["model_raw"], call["host_raw"]) == ("request", "success", "composer-2", "cursor")
    assert (call["reported_input_tokens"], call["cache_write_tokens"], call["cache_read_tokens"]) == (117382, 9541, 1383578)
    assert (call["reported_output_tokens"], call["reported_total_tokens"]) == (13232, 1523733)
    assert (call["token_convention"], call["user_id"], call["session_id"]) == ("cache_beside_input", "ada@example.org", "bc-1")
    assert call["started_at"] == dt.datetime(2026, 10, 5, 6, 44, 42, 863000, tzinfo=dt.UTC)
    assert (charge["billed_cost"], charge["billing_currency"], charge["user_id"]) == (Decimal("0.12"), "USD", "ada@example.org")
    assert (charge["provider_name"], charge["charge_category"], charge["model_raw"]) == ("cursor", "Usage", "composer-2")
    assert charge["bucket_key"] == "org-1/ada@example.org/2026-10-05T06:30Z"
    assert [bucket.bucket_key for bucket in outcome.covered] == [charge["bucket_key"]]


@pytest.mark.parametrize(
    ("kind", "cost", "status", "estimate"),
    [
        ("Included", "Included", "success", None),
        ("Included in Pro", "0.49", "success", 0.49),
        ("free", "Free", "success", None),
        ("User API Key", "-", "success", None),
        ("Errored, No Charge", "Free", "error", None),
        ("Aborted, Not Charged", "-", "cancelled", None),
        ("A kind of next year", "-", "unknown", None),
        ("A kind of next year", "$0.00", "unknown", 0.0),
    ],
)
def test_an_event_that_is_not_billed_has_no_charge(
    tmp_path: Path, kind: str, cost: str, status: str, estimate: float | None
) -> None:
    outcome = events(tmp_path, event(kind=kind, cost=cost))
    assert outcome.charges.height == 0
    assert (outcome.event["status"], outcome.event["source_cost_usd"]) == (status, estimate)


def test_a_cost_of_an_unknown_kind_is_refused_until_the_settings_know_the_kind(tmp_path: Path) -> None:
    row = event(kind="Express", cost="0.55")
    assert events(tmp_path, row).refused == {1: "Kind__unknown_with_a_cost"}
    assert events(tmp_path, row, billed_kinds=["express"]).charge["billed_cost"] == Decimal("0.55")
    assert events(tmp_path, row, not_billed_kinds=["exp*"]).charges.height == 0


@pytest.mark.parametrize(
    ("cost", "reasons"),
    [
        ("EUR 3,50", "Cost__not_a_decimal"),
        ("€0.12", "Cost__not_a_decimal"),
        ("3,50", "Cost__not_a_decimal"),
        ("1e400", "Cost__not_a_decimal"),
        ("$1000000000000", "Cost__out_of_range"),
        ("-", "Cost__missing"),
        ("", "Cost__missing"),
    ],
)
def test_a_cost_that_is_no_amount_of_dollars_is_refused(tmp_path: Path, cost: str, reasons: str) -> None:
    outcome = events(tmp_path, event(cost=cost), EVENT)
    assert outcome.refused == {1: reasons}
    assert (outcome.charges.height, outcome.usage.height) == (1, 1)


def test_cache_writes_may_stand_inside_the_first_column(tmp_path: Path) -> None:
    inside = events(tmp_path, event(written="160000", rest="159990", read="578207", output="2055", total="740262")).event
    assert (inside["reported_input_tokens"], inside["cache_write_tokens"]) == (159990, 10)
    beside = events(tmp_path, event(written="100", rest="50", read="200", output="30", total="380")).event
    assert (beside["reported_input_tokens"], beside["cache_write_tokens"]) == (50, 100)


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"total": "1"}, "Total Tokens__not_the_sum"),
        ({"date": "yesterday"}, "Date__not_a_time"),
        ({"date": ""}, "Date__missing"),
        ({"date": "2027-10-05T00:00:00Z"}, "Date__in_future"),
        ({"model": ""}, "Model__missing"),
        ({"output": "-5"}, "Output Tokens__out_of_range"),
        ({"output": "many"}, "Output Tokens__not_a_count"),
    ],
)
def test_a_bad_event_is_refused_by_name(tmp_path: Path, changes: dict[str, str], reasons: str) -> None:
    refused = events(tmp_path, event(**changes), EVENT).refused
    assert list(refused) == [1]
    assert reasons in refused[1].split(",")


def test_events_alike_are_all_kept_and_a_settled_cost_does_not_change_an_id(tmp_path: Path) -> None:
    first = events(tmp_path, EVENT, EVENT, event(output="13231", total="1523732"))
    assert first.usage["event_id"].n_unique() == 3
    later = events(tmp_path, event(cost="$0.13"), event(kind="Included", cost="Included"))
    assert later.usage["event_id"].to_list() == first.usage["event_id"].to_list()[:2]
    assert later.covered == first.covered
    assert events(tmp_path, event(kind="Included", cost="-")).covered == first.covered


def test_the_first_export_knew_totals_only(tmp_path: Path) -> None:
    row: Row = {
        "Date": "2025-08-20T03:58:45.884Z",
        "User": "You",
        "Kind": "Included in Pro",
        "Max Mode": "No",
        "Model": "auto",
        "Tokens": "1501891",
        "Cost ($)": "Included",
    }
    call = events(tmp_path, row).event
    assert (call["reported_total_tokens"], call["reported_input_tokens"], call["user_id"]) == (1501891, None, None)


def test_an_export_with_cost_to_you_bills_that(tmp_path: Path) -> None:
    row = {name: cell for name, cell in EVENT.items() if name not in ("Kind", "User")} | {"Cost": "0.40", "Cost to you": "0.10"}
    charge = events(tmp_path, row).charge
    assert (charge["billed_cost"], charge["list_cost"]) == (Decimal("0.1"), Decimal("0.4"))
    bare = {name: cell for name, cell in row.items() if name != "Cost to you"}
    assert events(tmp_path, bare).charges.height == 0


def test_requests_of_a_plan_are_counted_in_their_own_unit(tmp_path: Path) -> None:
    call = events(tmp_path, {**EVENT, "Requests": "0.5"}).event
    assert (call["native_unit"], call["native_quantity"], call["requests_count"]) == ("cursor_requests", Decimal("0.5"), 1)


@pytest.mark.parametrize("header", ["Date,Model\n", "Date,Model,Cost\n", "name,value\n"])
def test_another_table_is_refused_whole(tmp_path: Path, header: str) -> None:
    path = tmp_path / "other.csv"
    path.write_text(header)
    with pytest.raises(UnreadableDeliveryError, match="not Cursor's usage events"):
        parsed("cursor", path)


@pytest.mark.parametrize(("name", "count", "billed"), [("usage_events.csv", 6, "0.55"), ("usage_events_2025.csv", 3, "0")])
def test_the_recorded_examples_are_read_whole(tmp_path: Path, name: str, count: int, billed: str) -> None:
    path = tmp_path / name
    path.write_bytes((RECORDED / "cursor" / name).read_bytes())
    outcome = parsed("cursor", path)
    assert outcome.refused == {}
    assert outcome.usage.height == count
    assert total(outcome.charges["billed_cost"]) == total([Decimal(billed)])


COUNT = st.integers(0, 10**9)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(COUNT, COUNT, COUNT, COUNT, st.decimals(0, 10**6, places=6), st.sampled_from(["On-Demand", "Included"])),
        min_size=1,
        max_size=6,
    )
)
def test_tokens_and_dollars_are_conserved(tmp_path: Path, cells: list[tuple[int, int, int, int, Decimal, str]]) -> None:
    rows = [
        event(written=str(w), rest=str(i), read=str(r), output=str(o), total=str(w + i + r + o), cost=f"${cost:,f}", kind=kind)
        for w, i, r, o, cost, kind in cells
    ]
    outcome = events(tmp_path, *rows)
    assert outcome.refused == {}
    parts = ("reported_input_tokens", "cache_write_tokens", "cache_read_tokens", "reported_output_tokens")
    assert sum(outcome.usage[name].sum() for name in parts) == sum(w + i + r + o for w, i, r, o, *_ in cells)
    assert total(outcome.charges["billed_cost"]) == total(cost for *_, cost, kind in cells if kind == "On-Demand")
    assert events(tmp_path, *rows).usage.equals(outcome.usage)
