"""Google's detailed export becomes charges: costs and credits apart, to the last digit, in the month of the invoice."""

import datetime as dt
import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.sources.bill_files import RECORDED, Outcome, parsed, total
from tests.unit.sources.gcp_rows import credit, export_row, number, write_lines, write_parquet
from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.reading.bundles import write_bundle


def lines(folder: Path, *rows: Any, **source: Any) -> Outcome:
    return parsed("gcp_billing", write_lines(folder / "export.json", *rows), **source)


def test_a_row_becomes_a_charge(tmp_path: Path) -> None:
    charge = lines(tmp_path, export_row()).charge
    assert charge["billed_cost"] == charge["effective_cost"] == Decimal("2.662600000000000001")
    assert (charge["list_cost"], charge["is_list_cost_estimated"]) == (Decimal("3.1"), False)
    assert (charge["billing_currency"], charge["provider_name"], charge["service_name"]) == ("EUR", "google", "Vertex AI")
    assert (charge["model_raw"], charge["token_class"], charge["context_band"], charge["processing"]) == (
        "gemini-2.5-pro",
        "input_uncached_tokens",
        "long",
        "standard",
    )
    assert (charge["sku_meter"], charge["meter_mapping"]) == ("Text Input", "mapped")
    assert (charge["consumed_quantity"], charge["consumed_unit"]) == (Decimal(1_065_040), "Tokens")
    assert (charge["pricing_quantity"], charge["pricing_unit"]) == (Decimal(1_065_040), "count")
    assert charge["contracted_unit_price"] == Decimal("0.0000025")
    assert (charge["charge_category"], charge["charge_class"]) == ("Usage", None)
    assert charge["billing_period_start"] == dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
    assert charge["billing_period_end"] == dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    assert charge["charge_period_end"] == dt.datetime(2026, 10, 5, 8, tzinfo=dt.UTC)
    assert (charge["sub_account_id"], charge["resource_name"]) == ("search-prod", "endpoint-1")
    assert charge["bucket_key"] == "org-1/2026-10-06"
    assert json.loads(charge["tags"]) == {
        "111/unit": "retail",
        "env": 'prod, "cost": 1',
        "project/team": "search",
        "team": "ranking",
    }


@pytest.mark.parametrize("cost", ['"2.5"', "2.5", "25e-1", "2.50000000000000000000000"])
def test_amounts_are_read_as_they_are_written(tmp_path: Path, cost: str) -> None:
    row = export_row(cost=json.loads(cost) if cost.startswith('"') else number(cost))
    assert lines(tmp_path, row).charge["billed_cost"] == Decimal("2.5")


def test_credits_are_lines_of_their_own_and_never_netted(tmp_path: Path) -> None:
    given = [credit("-1.000000000000000001"), credit("-0.25", full_name=None, type="DISCOUNT"), credit("1E-9")]
    outcome = lines(tmp_path, export_row(credits=given), export_row(credits=None))
    assert outcome.rows_read == 2
    assert outcome.charges["raw_ordinal"].to_list() == [1, 1, 1, 1, 2]
    assert outcome.charges["charge_category"].to_list() == ["Usage", "Credit", "Credit", "Credit", "Usage"]
    given_back = outcome.charges.filter(pl.col("charge_category") == "Credit")
    assert given_back["billed_cost"].to_list() == [Decimal("-1.000000000000000001"), Decimal("-0.25"), Decimal("1E-9")]
    assert given_back["charge_description"].to_list() == ["Free trial", "Free trial: $300", "Free trial"]
    assert set(given_back["list_cost"]) == {Decimal(0)}
    assert set(given_back["meter_mapping"]) == {"not_usage"}
    assert given_back["token_class"].null_count() == 3
    assert total(outcome.charges["list_cost"]) == total([Decimal("6.2")])


def test_a_row_with_a_bad_credit_is_refused_whole(tmp_path: Path) -> None:
    outcome = lines(tmp_path, export_row(credits=[credit("-1"), {**credit("-1"), "amount": "much"}]), export_row())
    assert outcome.refused == {1: "credit_amount__not_a_decimal"}
    assert outcome.charges["raw_ordinal"].to_list() == [2]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"cost_type": "tax"}, ("Tax", None, "not_usage")),
        ({"cost_type": "rounding_error"}, ("Adjustment", None, "not_usage")),
        ({"cost_type": "adjustment"}, ("Adjustment", None, "not_usage")),
        ({"cost_type": None}, ("Usage", None, "mapped")),
        ({"adjustment_info": {"id": "a", "mode": "PARTIAL_CORRECTION", "type": "CORRECTION"}}, ("Adjustment", None, "not_usage")),
        ({"sku": {"id": "1", "description": "A meter that no table knows"}}, ("Usage", None, "unmapped")),
        ({"sku": {"id": "1", "description": "Vertex AI: Provisioned Throughput 1 month"}}, ("Purchase", None, "not_usage")),
    ],
)
def test_kinds_of_cost(tmp_path: Path, changes: dict[str, Any], expected: tuple[str | None, ...]) -> None:
    charge = lines(tmp_path, export_row(**changes)).charge
    assert (charge["charge_category"], charge["charge_class"], charge["meter_mapping"]) == expected


def test_a_correction_of_an_earlier_month_is_named_and_counts_in_the_month_of_its_invoice(tmp_path: Path) -> None:
    late = export_row(
        adjustment_info={"id": "a", "description": "", "mode": "COMPLETE_NEGATION", "type": "CORRECTION"},
        usage_start_time="2026-08-31 23:00:00 UTC",
        usage_end_time="2026-09-01 00:00:00 UTC",
        cost=number("-7"),
    )
    charge = lines(tmp_path, late).charge
    assert (charge["charge_class"], charge["charge_category"]) == ("Correction", "Adjustment")
    assert charge["charge_date"] == dt.date(2026, 10, 1)


def test_usage_of_a_pacific_month_end_counts_in_that_month(tmp_path: Path) -> None:
    edge = export_row(usage_start_time="2026-11-01 06:00:00 UTC", usage_end_time="2026-11-01 07:00:00 UTC")
    assert lines(tmp_path, edge).charge["charge_date"] == dt.date(2026, 10, 31)


def test_rows_of_other_services_are_counted_and_their_export_days_covered(tmp_path: Path) -> None:
    other = export_row(
        service={"id": "6F81", "description": "Compute Engine"}, export_time="2026-10-07 00:00:00 UTC", cost="not read"
    )
    tax = export_row(service={"id": "x", "description": "Invoice"}, cost_type="tax")
    outcome = lines(tmp_path, export_row(), other, tax)
    assert (outcome.rows_read, outcome.out_of_scope, outcome.charges.height) == (3, 2, 1)
    assert [(bucket.bucket_key, bucket.version_at) for bucket in outcome.covered] == [
        ("org-1/2026-10-06", dt.datetime(2026, 10, 6, 3, 14, 15, 926535, tzinfo=dt.UTC)),
        ("org-1/2026-10-07", dt.datetime(2026, 10, 7, tzinfo=dt.UTC)),
    ]
    everything = lines(tmp_path, export_row(), tax, services=["all"])
    assert everything.charges["service_category"].to_list() == ["AI and Machine Learning", "Other"]


def test_the_version_of_an_export_day_is_its_newest_row(tmp_path: Path) -> None:
    rows = [export_row(export_time=f"2026-10-06 0{hour}:00:00 UTC") for hour in (5, 9, 1)]
    assert [bucket.version_at for bucket in lines(tmp_path, *rows).covered] == [dt.datetime(2026, 10, 6, 9, tzinfo=dt.UTC)]


def test_the_parts_of_one_export_are_read_as_one(tmp_path: Path) -> None:
    parts = [
        write_lines(tmp_path / "0", export_row(export_time="2026-10-06 09:00:00 UTC"), "", "{broken}"),
        write_parquet(
            tmp_path / "1", export_row(export_time="2026-10-06 05:00:00 UTC", cost=number("1"), credits=[credit("-1")])
        ),
    ]
    path = tmp_path / "bundle"
    write_bundle(path, [(f"export/00000000000{at}.json", part.read_bytes()) for at, part in enumerate(parts)])
    outcome = parsed("gcp_billing", path)
    assert outcome.charges["raw_ordinal"].to_list() == [1, 4, 4]
    assert outcome.refused == {3: "line__not_json"}
    assert [bucket.version_at for bucket in outcome.covered] == [dt.datetime(2026, 10, 6, 9, tzinfo=dt.UTC)]


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"cost": "€2.50"}, "cost__not_a_decimal"),
        ({"cost": None}, "cost__missing"),
        ({"cost": number("1e12")}, "cost__out_of_range"),
        ({"currency": "euro"}, "currency__not_iso_4217"),
        ({"currency": None}, "currency__missing"),
        ({"cost_type": "gift"}, "cost_type__unknown"),
        ({"usage_start_time": None}, "usage_start_time__missing"),
        ({"usage_start_time": "yesterday"}, "usage_start_time__not_a_time"),
        ({"usage_end_time": "2026-10-05 06:00:00 UTC"}, "usage_end_time__before_start"),
        ({"export_time": "2027-10-05 06:00:00 UTC"}, "export_time__in_future"),
        ({"export_time": None}, "export_time__missing"),
        ({"invoice": {"month": "2026-10"}}, "invoice_month__not_a_month"),
        ({"invoice": {"month": "202613"}}, "invoice_month__not_a_month"),
        ({"credits": "none"}, "credits__not_a_list"),
        ({"usage": []}, "usage__not_an_object"),
        ({"sku": {"id": {}}}, "id__not_a_scalar"),
    ],
)
def test_a_bad_row_is_refused_by_name_and_the_rest_is_used(tmp_path: Path, changes: dict[str, Any], reasons: str) -> None:
    outcome = lines(tmp_path, export_row(), export_row(**changes), export_row())
    assert outcome.refused == {2: reasons}
    assert outcome.charges["raw_ordinal"].to_list() == [1, 3]


def test_lines_that_are_no_records_are_refused_one_by_one(tmp_path: Path) -> None:
    outcome = lines(tmp_path, export_row(), "{broken}", "[]", "", '{"cost": 1', export_row())
    assert outcome.refused == {2: "line__not_json", 3: "line__not_a_json_object", 5: "line__not_a_json_object"}
    assert outcome.charges["raw_ordinal"].to_list() == [1, 6]


def test_a_row_without_the_newer_fields_is_read(tmp_path: Path) -> None:
    newer = ("consumption_model", "cost_at_list", "price", "subscription", "transaction_type", "seller_name", "tags", "resource")
    old = {name: cell for name, cell in export_row().items() if name not in newer}
    charge = lines(tmp_path, old).charge
    assert (charge["publisher_name"], charge["is_list_cost_estimated"]) == ("Google", True)
    assert charge["list_cost"] == charge["billed_cost"]


def test_a_partner_model_is_published_by_its_seller(tmp_path: Path) -> None:
    row = export_row(
        service={"id": "x", "description": "Claude Sonnet 4.5"},
        sku={"id": "y", "description": "Claude Sonnet 4.5 - Batch Output Tokens"},
        transaction_type="THIRD_PARTY_AGENCY",
        seller_name="Anthropic, PBC",
    )
    charge = lines(tmp_path, row).charge
    assert (charge["publisher_name"], charge["invoice_issuer_name"]) == ("Anthropic, PBC", "Anthropic, PBC")
    assert (charge["model_raw"], charge["token_class"], charge["processing"]) == ("claude-sonnet-4-5", "output_tokens", "batch")


def test_parquet_says_the_same_as_json(tmp_path: Path) -> None:
    rows = [export_row(cost=number("2.123456789"), credits=[credit("-0.5")]), export_row(cost=number("-0.000000001"))]
    table = parsed("gcp_billing", write_parquet(tmp_path / "export.parquet", *rows))
    assert table.refused == {}
    assert table.charges.equals(lines(tmp_path, *rows).charges)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"cost": 1, "currency": "USD", "export_time": "x"}\n', "no column usage_start_time, service, sku"),
        (b"cost,currency\n1,USD\n", "not JSON lines"),
        (b"PAR1garbage", "Parquet file is cut"),
        (b'[{"cost": 1}]', "JSON array"),
    ],
)
def test_a_file_of_another_kind_is_refused_whole(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "export.json"
    path.write_bytes(content)
    with pytest.raises(UnreadableDeliveryError, match=message):
        parsed("gcp_billing", path)


def test_parquet_of_another_table_or_shape_is_refused_whole(tmp_path: Path) -> None:
    path = tmp_path / "export.parquet"
    pl.DataFrame({"cost": [1.0]}).write_parquet(path)
    with pytest.raises(UnreadableDeliveryError, match="no column currency"):
        parsed("gcp_billing", path)
    write_parquet(path, export_row())
    pl.read_parquet(path).with_columns(credits=pl.lit("none")).write_parquet(path)
    with pytest.raises(UnreadableDeliveryError, match="column credits is String"):
        parsed("gcp_billing", path)


def test_an_empty_file_is_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.write_bytes(b"\n")
    assert parsed("gcp_billing", path).rows_read == 0


def test_the_recorded_export_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.write_bytes((RECORDED / "gcp_billing" / "detailed_export.jsonl").read_bytes())
    outcome = parsed("gcp_billing", path)
    assert outcome.refused == {}
    rows = [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in path.read_text().splitlines()]
    counted = [row for row in rows if row["service"]["description"] in ("Vertex AI", "Gemini API", "Claude Sonnet 4.5")]
    wanted = sum((Fraction(Decimal(row["cost"])) for row in counted), Fraction(0))
    wanted += sum((Fraction(one["amount"]) for row in counted for one in row["credits"]), Fraction(0))
    assert total(outcome.charges["billed_cost"]) == wanted
    assert outcome.out_of_scope == len(rows) - len(counted) > 0


def test_the_fast_and_the_patient_reading_agree(tmp_path: Path) -> None:
    rows = [export_row(cost=number(f"{count}.000000000000000001"), credits=[credit(f"-0.{count}")]) for count in range(1, 6)]
    fast = lines(tmp_path, *rows).charges
    patient = lines(tmp_path, *rows, "{broken}").charges
    assert patient.equals(fast)


AMOUNTS = st.decimals(-(10**11), 10**11, places=18).map(lambda amount: f"{amount:f}")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ROWS = st.builds(
    lambda cost, given, month, labels, sku, is_quoted: export_row(
        cost=cost if is_quoted else number(cost),
        credits=[credit(amount) for amount in given],
        invoice={"month": month},
        labels=[{"key": key, "value": value} for key, value in labels],
        sku={"id": "s", "description": sku},
    ),
    AMOUNTS,
    st.lists(AMOUNTS, max_size=3),
    st.sampled_from(["202609", "202610", None]),
    st.lists(st.tuples(TEXTS, TEXTS), max_size=3),
    st.sampled_from(["Gemini 2.5 Flash Text Output - Predictions", "?"]) | TEXTS,
    st.booleans(),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROWS, min_size=1, max_size=6))
def test_costs_and_credits_are_conserved_and_a_second_reading_is_the_same(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    outcome = lines(tmp_path, *rows)
    assert outcome.refused == {}
    amounts = [Decimal(row["cost"]) for row in rows] + [Decimal(one["amount"]) for row in rows for one in row["credits"]]
    assert total(outcome.charges["billed_cost"]) == total(amounts)
    assert lines(tmp_path, *rows).charges.equals(outcome.charges)
