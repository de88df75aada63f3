"""GitHub's reports in every generation: money once, seats as purchases, nothing in another currency, nothing lost."""

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.sources.bill_files import RECORDED, Outcome, parsed, total, write_csv
from usage_etl.errors import UnreadableDeliveryError

Row = dict[str, str | None]

CREDIT_USE: Row = {
    "date": "2026-10-05",
    "username": "ada",
    "product": "copilot",
    "sku": "copilot_ai_credit",
    "model": "Auto: Claude Haiku 4.5",
    "quantity": "4.212603",
    "unit_type": "ai-credits",
    "applied_cost_per_quantity": "0.01",
    "gross_amount": "0.04212603",
    "discount_amount": "0.04",
    "net_amount": "0.00212603",
    "total_monthly_quota": "1900",
    "organization": "example",
    "repository": "",
    "cost_center_name": "Platform",
    "aic_quantity": "0",
    "aic_gross_amount": "0",
    "input": "16",
    "output": "475",
    "cache_read": "32507",
    "cache_write": "32932",
}
METERED: Row = {
    "date": "2026-10-05",
    "product": "copilot",
    "sku": "copilot_for_business",
    "quantity": "0.032258064",
    "unit_type": "user-months",
    "applied_cost_per_quantity": "19",
    "gross_amount": "0.612903216",
    "discount_amount": "0",
    "net_amount": "0.612903216",
    "username": "ada",
    "organization": "example",
    "repository": "",
    "workflow_path": "",
    "cost_center_name": "",
}


def report(folder: Path, *rows: Row, **source: Any) -> Outcome:
    return parsed("github_copilot", write_csv(folder / "report.csv", rows), **source)


def test_use_of_a_model_is_usage_and_a_charge(tmp_path: Path) -> None:
    outcome = report(tmp_path, CREDIT_USE)
    use, charge = outcome.event, outcome.charge
    assert (use["grain"], use["requests_count"], use["native_unit"], use["native_quantity"]) == (
        "bucket",
        0,
        "ai_credits",
        Decimal("4.212603"),
    )
    assert (use["reported_input_tokens"], use["cache_read_tokens"], use["cache_write_tokens"]) == (16, 32507, 32932)
    assert (use["reported_output_tokens"], use["token_convention"], use["user_id"]) == (475, "cache_beside_input", "ada")
    assert (charge["billed_cost"], charge["list_cost"]) == (Decimal("0.00212603"), Decimal("0.04212603"))
    assert (charge["charge_category"], charge["model_raw"], charge["user_id"]) == ("Usage", "Auto: Claude Haiku 4.5", "ada")
    assert (charge["consumed_quantity"], charge["consumed_unit"]) == (Decimal("4.212603"), "AI Credits")
    assert json.loads(charge["tags"]) == {"cost_center": "Platform", "repository": None}
    assert charge["billing_period_end"] == dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    assert [bucket.bucket_key for bucket in outcome.covered] == [
        "org-1/example/requests/2026-10-05",
        "org-1/example/copilot_ai_credit/2026-10-05",
    ]


def test_a_seat_is_a_purchase_with_its_user(tmp_path: Path) -> None:
    outcome = report(tmp_path, METERED)
    charge = outcome.charge
    assert (charge["charge_category"], charge["charge_frequency"], charge["user_id"]) == ("Purchase", "Recurring", "ada")
    assert (charge["billed_cost"], charge["meter_mapping"]) == (Decimal("0.612903216"), "not_usage")
    assert (charge["consumed_quantity"], charge["consumed_unit"]) == (Decimal("0.032258064"), "User-Months")
    assert outcome.usage.height == 0


def test_both_reports_of_the_same_money_share_their_bucket(tmp_path: Path) -> None:
    with_model = report(tmp_path, CREDIT_USE).charge
    metered = {**METERED, **{name: CREDIT_USE[name] for name in ("sku", "unit_type", "quantity", "net_amount")}}
    metered |= {"gross_amount": None, "discount_amount": None}
    without = report(tmp_path, metered).charge
    assert without["bucket_key"] == with_model["bucket_key"]
    assert without["meter_mapping"] == "unmapped"
    spelled = report(tmp_path, {**metered, "sku": "Copilot AI Credit"}).charge
    assert spelled["bucket_key"] == with_model["bucket_key"]


def test_other_products_are_counted_and_left_out(tmp_path: Path) -> None:
    other = {**METERED, "product": "actions", "sku": "actions_linux", "unit_type": "minutes", "net_amount": "free"}
    outcome = report(tmp_path, METERED, other)
    assert (outcome.charges.height, outcome.out_of_scope, outcome.refused) == (1, 1, {})
    assert report(tmp_path, METERED, {**other, "net_amount": "0.1", "gross_amount": "0.1"}, products=["all"]).charges.height == 2


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"net_amount": "€0.10"}, "net_amount__not_a_decimal"),
        ({"net_amount": "0,10"}, "net_amount__not_a_decimal"),
        ({"net_amount": ""}, "net_amount__missing"),
        ({"net_amount": "5"}, "net_amount__not_gross_less_discount"),
        ({"date": "5/29/26"}, "date__not_a_time"),
        ({"date": "2027-01-01"}, "date__in_future"),
        ({"quantity": "some"}, "quantity__not_a_decimal"),
        ({"sku": ""}, "sku__missing"),
        ({"input": "-1"}, "input__out_of_range"),
    ],
)
def test_a_bad_line_is_refused_by_name_with_its_usage(tmp_path: Path, changes: Row, reasons: str) -> None:
    outcome = report(tmp_path, {**CREDIT_USE, **changes}, CREDIT_USE)
    assert outcome.refused == {1: reasons}
    assert (outcome.usage.height, outcome.charges.height) == (1, 1)


def test_dollar_signs_and_exponents_are_read(tmp_path: Path) -> None:
    row = {**CREDIT_USE, "gross_amount": "$6.72E-08", "discount_amount": "6.72E-08", "net_amount": "$0"}
    charge = report(tmp_path, row).charge
    assert (charge["billed_cost"], charge["list_cost"]) == (0, Decimal("6.72E-08"))


def test_the_first_report_had_single_uses_and_no_money(tmp_path: Path) -> None:
    row: Row = {
        "Timestamp": "2025-06-10T05:13:27.8766440Z",
        "User": "ada",
        "Model": "gpt-4.1-2025-04-14",
        "Requests Used": "0.25",
        "Exceeds Monthly Quota": "False",
        "Total Monthly Quota": "Unlimited",
    }
    outcome = report(tmp_path, row, row)
    assert outcome.usage["event_id"].n_unique() == 2
    use = outcome.usage.row(0, named=True)
    assert (use["grain"], use["native_quantity"], use["user_id"]) == ("request", Decimal("0.25"), "ada")
    assert use["started_at"] == dt.datetime(2025, 6, 10, 5, 13, 27, 876644, tzinfo=dt.UTC)
    assert outcome.charges.height == 0
    assert report(tmp_path, {**row, "Requests Used": ""}).refused == {1: "Requests Used__missing"}


SEAT: Row = {
    "report_time": "2026-10-20T08:00:00Z",
    "login": "ada",
    "last_authenticated_at": "None",
    "last_activity_at": "2026-10-19T08:00:00Z",
    "last_surface_used": "VS Code 1.126.0",
}


def test_lists_of_seats_are_left_out_without_a_price(tmp_path: Path) -> None:
    outcome = report(tmp_path, SEAT, {**SEAT, "login": "bob"})
    assert (outcome.out_of_scope, outcome.charges.height) == (2, 0)


def test_a_listed_seat_is_a_purchase_of_its_month_at_the_price_of_the_settings(tmp_path: Path) -> None:
    outcome = report(tmp_path, SEAT, SEAT, {**SEAT, "login": ""}, {**SEAT, "login": "c", "report_time": "x"}, seat_price="19.5")
    assert outcome.refused == {2: "login__repeated", 3: "login__missing", 4: "report_time__not_a_time"}
    charge = outcome.charges.row(0, named=True)
    assert (charge["charge_category"], charge["user_id"], charge["billed_cost"]) == ("Purchase", "ada", Decimal("19.5"))
    assert charge["bucket_key"] == "org-1/seats/2026-10"
    assert (charge["charge_date"], charge["is_list_cost_estimated"]) == (dt.date(2026, 10, 1), True)


def test_seats_of_the_endpoint_are_read_from_all_pages_of_a_listing(tmp_path: Path) -> None:
    path = tmp_path / "seats.json"
    pages = [{"total_seats": 2, "seats": [{"assignee": {"login": name, "id": 1}, "plan_type": "business"}]} for name in "ab"]
    path.write_text("\n".join(map(json.dumps, pages)))
    assert parsed("github_copilot", path, seat_price="19").charges["user_id"].to_list() == ["a", "b"]
    path.write_text(json.dumps(pages[0]))
    with pytest.raises(UnreadableDeliveryError, match="holds 1 of 2 seats"):
        parsed("github_copilot", path, seat_price="19")
    path.write_text(json.dumps({"message": "Not Found"}))
    with pytest.raises(UnreadableDeliveryError, match="no list `seats`"):
        parsed("github_copilot", path)


@pytest.mark.parametrize("header", ["date,product,quantity\n", "name,value\n"])
def test_another_table_is_refused_whole(tmp_path: Path, header: str) -> None:
    path = tmp_path / "other.csv"
    path.write_text(header)
    with pytest.raises(UnreadableDeliveryError, match="not a report of GitHub"):
        parsed("github_copilot", path)


@pytest.mark.parametrize(
    ("name", "usage", "billed"),
    [
        ("ai_usage_report.csv", 3, "2.50712603"),
        ("premium_requests_2025_10.csv", 2, "0.144"),
        ("premium_requests_2025_06.csv", 2, "0"),
        ("metered_usage_report.csv", 0, "21.505"),
    ],
)
def test_the_recorded_examples_are_read_whole(tmp_path: Path, name: str, usage: int, billed: str) -> None:
    path = tmp_path / name
    path.write_bytes((RECORDED / "github_copilot" / name).read_bytes())
    outcome = parsed("github_copilot", path)
    assert outcome.refused == {}
    assert outcome.usage.height == usage
    assert total(outcome.charges["billed_cost"]) == total([Decimal(billed)])


AMOUNT = st.decimals(0, 10**6, places=9)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(AMOUNT, AMOUNT, AMOUNT, st.booleans(), st.sampled_from(["a", "b", None])), min_size=1, max_size=6))
def test_quantities_and_amounts_are_conserved(
    tmp_path: Path, cells: list[tuple[Decimal, Decimal, Decimal, bool, str | None]]
) -> None:
    rows: list[Row] = [
        {
            **CREDIT_USE,
            "quantity": f"{quantity:f}",
            "gross_amount": f"{gross + off:f}",
            "discount_amount": f"{off:f}",
            "net_amount": f"{gross:f}",
            "sku": "copilot_enterprise" if is_seat else "copilot_premium_request",
            "organization": organization,
        }
        for quantity, gross, off, is_seat, organization in cells
    ]
    outcome = report(tmp_path, *rows)
    assert outcome.refused == {}
    assert total(outcome.charges["billed_cost"]) == total(gross for _, gross, *_ in cells)
    assert total(outcome.usage["native_quantity"]) == total(cell[0] for cell in cells if not cell[3])
    assert report(tmp_path, *rows).charges.equals(outcome.charges)
