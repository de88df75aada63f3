"""A provider's bill by the generic contract: exact amounts, their signs, periods and what a later file replaces."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sources.source_files import Staged, lines, staged, table

KIND = "generic"
BILL: dict[str, Any] = {
    "rows": "charges",
    "grain": "bucket",
    "period": "month",
    "columns": {
        "period_start": "Month",
        "service_name": "Service",
        "quantity": "Minutes",
        "amount": "Amount",
        "currency": "Currency",
    },
    "constants": {"primitive": "phone.call", "provider_name": "PhoneCo"},
}
HEADER = ["Month", "Service", "Minutes", "Amount", "Currency"]
BOTH: dict[str, Any] = {
    "rows": "both",
    "columns": {"event_id": "id", "started_at": "at", "quantity": "n", "amount": "price", "user_id": "who"},
    "constants": {"primitive": "phone.call", "currency": "eur", "provider_name": "PhoneCo", "service_name": "Calls"},
}


def bill(*rows: list[object], **changes: Any) -> Staged:
    return staged(KIND, table(HEADER, *rows), **(BILL | changes))


def call(**changes: Any) -> dict[str, Any]:
    return {"id": "c-1", "at": "2026-11-02T23:30:00Z", "n": "2", "price": "0.0123", "who": "ana"} | changes


def test_a_bill_becomes_charges() -> None:
    found = bill(["2026-10", "Calls", 1204, "28.9760", "eur"], ["2026-10", "Goodwill", "", "-1.50", "EUR"])
    first, second = found.charges.rows(named=True)
    assert [row["billed_cost"] for row in (first, second)] == [Decimal("28.976"), Decimal("-1.5")]
    assert [row["charge_category"] for row in (first, second)] == ["Usage", "Credit"]
    assert first["billing_currency"] == "EUR"
    assert (first["consumed_quantity"], first["consumed_unit"]) == (Decimal(1204), "call_minutes")
    assert (second["consumed_quantity"], second["consumed_unit"]) == (None, None)
    assert first["charge_period_start"].isoformat() == "2026-10-01T00:00:00+00:00"
    assert first["charge_period_end"].isoformat() == "2026-11-01T00:00:00+00:00"
    assert (first["meter_mapping"], first["is_list_cost_estimated"], first["billing_account_id"]) == ("not_usage", True, "eu-1")
    assert [bucket.bucket_key for bucket in found.covered] == ["2026-10-01T00:00:00Z/2026-11-01T00:00:00Z"]
    assert found.usage.is_empty()


@settings(max_examples=50)
@given(
    st.lists(st.decimals(-(10**9), 10**9, allow_nan=False, allow_infinity=False, places=18), min_size=1, max_size=8),
    st.sampled_from(["{:f}", "{:e}", "{:E}"]),
    st.sampled_from([("units", 1), ("hundredths", 100)]),
    st.sampled_from([("costs", 1), ("debits", -1)]),
)
def test_charges_add_up_to_the_amounts_sent(
    amounts: list[Decimal], spelling: str, unit: tuple[str, int], sign: tuple[str, int]
) -> None:
    rows = [["2026-10", "Calls", 1, spelling.format(amount), "EUR"] for amount in amounts]
    found = bill(*rows, amount_in=unit[0], amounts_are=sign[0])
    tolerance = Decimal(0) if unit[1] == 1 else Decimal("1e-18")
    for billed, amount in zip(found.charges["billed_cost"], amounts, strict=True):
        assert abs(billed - sign[1] * amount / unit[1]) <= tolerance
    assert found.charges.filter(found.charges["billed_cost"] < 0)["charge_category"].unique().to_list() in ([], ["Credit"])


@pytest.mark.parametrize(
    ("amount", "reasons"),
    [
        ("", "amount__missing"),
        ("€5.00", "amount__not_a_decimal"),
        ("5.00 USD", "amount__not_a_decimal"),
        ("1,5", "amount__not_a_decimal"),
        ("1e13", "amount__out_of_range"),
        ("NaN", "amount__not_a_decimal"),
    ],
)
def test_an_amount_is_a_plain_number_or_refused(amount: str, reasons: str) -> None:
    text = table(HEADER, ["2026-10", "Calls", 1, f'"{amount}"', "EUR"])
    assert staged(KIND, text, **BILL).refused == {1: reasons}


@pytest.mark.parametrize(
    ("currency", "reasons"), [("", "currency__missing"), ("EURO", "currency__not_iso_4217"), ("€", "currency__not_iso_4217")]
)
def test_a_currency_has_three_letters(currency: str, reasons: str) -> None:
    assert bill(["2026-10", "Calls", 1, 1, currency]).refused == {1: reasons}


def test_a_charge_is_counted_within_its_billing_period() -> None:
    mapping = BILL | {
        "columns": BILL["columns"]
        | {"charge_start": "From", "charge_end": "To", "billing_period_start": "BFrom", "billing_period_end": "BTo"},
        "period_end_is": "inclusive",
    }
    text = table(
        [*HEADER, "From", "To", "BFrom", "BTo"],
        ["2026-10", "Late", 1, 1, "EUR", "2026-09-15", "2026-09-30", "2026-10-01", "2026-10-31"],
        ["2026-10", "Own", 1, 1, "EUR", "2026-10-15", "2026-10-15", "2026-10-01", "2026-10-31"],
    )
    late, own = staged(KIND, text, **mapping).charges.rows(named=True)
    assert (late["charge_date"].isoformat(), own["charge_date"].isoformat()) == ("2026-10-01", "2026-10-15")
    assert late["charge_period_end"].isoformat() == "2026-10-01T00:00:00+00:00"
    assert late["billing_period_end"].isoformat() == "2026-11-01T00:00:00+00:00"


def test_a_row_may_be_a_usage_and_its_charge() -> None:
    found = staged(KIND, lines(call(), call(id="c-2", price=None), call(id="c-3", price="0")), **BOTH)
    assert found.usage["event_id"].to_list() == ["c-1", "c-2", "c-3"]
    assert found.charges["billed_cost"].to_list() == [Decimal("0.0123"), Decimal(0)]
    first = found.charges.row(0, named=True)
    assert (first["charge_date"].isoformat(), first["user_id"], first["bucket_key"]) == ("2026-11-02", "ana", "event:c-1")
    assert first["charge_period_end"].isoformat() == "2026-11-03T00:00:00+00:00"
    assert {(bucket.table_name, bucket.bucket_key) for bucket in found.covered} == {
        ("staged_charges", "event:c-1"),
        ("staged_charges", "event:c-3"),
    }


def test_a_record_of_which_one_part_is_refused_is_refused_whole() -> None:
    found = staged(KIND, lines(call(), call(id="c-2", price="free"), call(id="c-3", n="-1")), **BOTH)
    assert (found.usage.height, found.charges.height) == (1, 1)
    assert found.refused == {2: "amount__not_a_decimal", 3: "quantity__negative"}


def test_a_list_price_is_no_estimate() -> None:
    mapping = BILL | {"columns": BILL["columns"] | {"list_amount": "List"}}
    found = staged(
        KIND, table([*HEADER, "List"], ["2026-10", "Calls", 1, 8, "EUR", 10], ["2026-10", "Calls", 1, 8, "EUR", ""]), **mapping
    )
    assert found.charges.select("list_cost", "is_list_cost_estimated").rows() == [(Decimal(10), False), (Decimal(8), True)]


@pytest.mark.parametrize(
    ("constants", "mapping"),
    [
        ({"primitive": "phone.call"}, "not_usage"),
        ({"primitive": "ai.chat", "model": "gpt-5.2"}, "unmapped"),
        ({"primitive": "ai.chat", "model": "gpt-5.2", "token_class": "output"}, None),
        ({"primitive": "ai.image", "charge_category": "Tax"}, "not_usage"),
        ({}, "not_usage"),
    ],
)
def test_what_meters_a_model_is_said(constants: dict[str, str], mapping: str | None) -> None:
    found = bill(["2026-10", "X", 1, 1, "EUR"], constants={"provider_name": "P", **constants})
    assert found.charges["meter_mapping"].to_list() == [mapping]


def test_a_later_file_names_the_same_bucket() -> None:
    first, second = (bill(["2026-10", "Calls", 1, amount, "EUR"]) for amount in (1, 2))
    assert first.covered == second.covered
    assert first.charges["bucket_key"].to_list() == second.charges["bucket_key"].to_list()


@pytest.mark.parametrize("bad_neighbour", [False, True])
def test_an_amount_that_is_a_number_of_json_keeps_every_digit(bad_neighbour: bool) -> None:
    numbers = ["12345678901.123456789012345678", "0.123456789012345678", "-987654321098.543210987654321", "1e-18", "0.10"]
    sent = [json.dumps(call(id=f"c-{at}")).replace('"0.0123"', number) for at, number in enumerate(numbers)]
    found = staged(KIND, "\n".join([*sent, *(["{bad}"] if bad_neighbour else [])]).encode(), **BOTH)
    assert found.charges["billed_cost"].to_list() == [Decimal(number) for number in numbers]
    assert list(found.refused.values()) == (["line__not_json"] if bad_neighbour else [])
