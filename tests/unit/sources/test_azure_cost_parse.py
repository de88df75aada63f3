"""Azure exports of every dataset and generation become charge lines, exactly, or a named refusal."""

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.sources.report_pages import RECORDED, total
from tests.unit.sources.run_files import (
    Read,
    azure_run,
    azure_settings,
    csv_text,
    fetched,
    gzipped,
    known_of,
    parquet,
    read_only,
    read_run,
    rows_with,
)
from usage_etl.errors import SourceError, UnreadableDeliveryError
from usage_etl.money import exact_sum

FILES = RECORDED / "azure_cost"
ROW = {
    "Date": "10/5/2026",
    "CostInBillingCurrency": "1.5",
    "BillingCurrencyCode": "USD",
    "BillingPeriodStartDate": "10/1/2026",
    "BillingPeriodEndDate": "10/31/2026",
    "MeterCategory": "Azure OpenAI",
    "MeterName": "gpt 4.1 Inp glbl Tokens",
    "UnitOfMeasure": "1K",
    "Quantity": "10",
    "ChargeType": "Usage",
}


def recorded(folder: Path, name: str, dataset: str, **changes: Any) -> Read:
    azure_run(folder / "in", (FILES / name).read_bytes(), dataset=dataset)
    return read_only(azure_settings(folder / "in", **changes), folder / "work")


def read_rows(folder: Path, *changes: dict[str, str], dataset: str = "ActualCost", **settings: Any) -> Read:
    azure_run(folder / "in", csv_text(rows_with(ROW, *changes)), dataset=dataset)
    return read_only(azure_settings(folder / "in", **settings), folder / "work")


def only(folder: Path, **changes: str) -> dict[str, Any]:
    found = read_rows(folder, changes)
    assert found.reasons == []
    return found.charges.row(0, named=True)


def test_the_recorded_run_is_read_as_its_manifest_says(tmp_path: Path) -> None:
    manifest = json.loads((FILES / "manifest.json").read_text())
    name = manifest["blobs"][0]["blobName"].removeprefix("exports/")
    for key, file in ((name, "actual_cost_ea.csv"), (f"{name.rpartition('/')[0]}/manifest.json", "manifest.json")):
        target = tmp_path / "in" / key
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((FILES / file).read_bytes())
    found = read_only(azure_settings(tmp_path / "in"), tmp_path / "work")
    assert (found.staged.rows_read, found.charges.height, found.staged.rows_out_of_scope) == (10, 8, 2)
    (bucket,) = found.staged.covered
    assert bucket.bucket_key == "subscriptions/1f7c0b52-0000-4000-8000-000000000001/daily-actual/actual_cost/2026-10"
    assert str(bucket.version_at) == "2026-10-07 01:33:03.103207+00:00"
    assert found.charges["bucket_key"].unique().to_list() == [bucket.bucket_key]


def test_an_enterprise_export_keeps_amounts_units_and_periods(tmp_path: Path) -> None:
    charges = recorded(tmp_path, "actual_cost_ea.csv", "ActualCost").charges
    assert charges["billed_cost"].to_list() == [
        Decimal("4.166663625"),
        Decimal("1.33245"),
        Decimal("0.0000564902"),
        Decimal(0),
        Decimal(17550),
        Decimal(-702),
        Decimal("0.2"),
        Decimal("-0.000000001"),
    ]
    assert charges["effective_cost"].equals(charges["billed_cost"].rename("effective_cost"))
    assert charges.select("consumed_quantity", "consumed_unit").rows()[:4] == [
        (Decimal(1234567), "Tokens"),
        (Decimal(98700), "Tokens"),
        (Decimal(1674), "Tokens"),
        (Decimal(1200), "Hours"),
    ]
    assert charges["billing_currency"].unique().to_list() == ["CAD"]
    assert {str(day) for day in charges["billing_period_end"]} == {"2026-11-01 00:00:00+00:00"}
    assert [str(day) for day in charges["charge_date"]][1:3] == ["2026-10-05", "2026-10-06"]
    first = charges.row(0, named=True)
    assert str(first["charge_period_end"] - first["charge_period_start"]) == "1 day, 0:00:00"
    assert json.loads(first["tags"]) == {"team": "search", "env": "prod"}


def test_meters_name_models_classes_scopes_and_what_they_do_not_know(tmp_path: Path) -> None:
    charges = recorded(tmp_path, "actual_cost_ea.csv", "ActualCost").charges
    assert charges.select("meter_mapping", "model_raw", "token_class", "deployment_scope").rows() == [
        ("mapped", "gpt-4o-2024-08-06", "input_uncached_tokens", "global"),
        ("mapped", "gpt-4o-2024-08-06", "output_tokens", "global"),
        ("mapped", "gpt-5.4-mini", "cache_read_tokens", "global"),
        ("not_usage", None, None, "global"),
        ("not_usage", None, None, None),
        ("not_usage", None, None, None),
        ("unmapped", None, None, None),
        ("not_usage", None, None, None),
    ]
    assert charges["charge_category"].to_list()[3:] == ["Usage", "Purchase", "Adjustment", "Usage", "Adjustment"]
    assert charges["commitment_discount_status"].to_list()[3:6] == ["Used", None, None]
    assert charges["charge_frequency"].to_list()[3:5] == ["Usage-Based", "One-Time"]


def test_a_customer_agreement_names_its_columns_otherwise(tmp_path: Path) -> None:
    charges = recorded(tmp_path, "amortized_cost_mca.csv", "AmortizedCost").charges
    usage, unused, tax = charges.rows(named=True)
    assert (usage["billed_cost"], usage["list_cost"]) == (Decimal("0.92023"), Decimal("1.1502875"))
    assert (usage["is_list_cost_estimated"], usage["billing_currency"]) == (False, "EUR")
    assert (usage["list_unit_price"], usage["contracted_unit_price"]) == (None, None), "they are in the pricing currency"
    assert (usage["consumed_quantity"], usage["token_class"]) == (Decimal(2000500), "cache_read_tokens")
    assert (unused["charge_category"], unused["commitment_discount_status"]) == ("Usage", "Unused")
    assert unused["is_list_cost_estimated"] is True
    assert (tax["charge_category"], tax["meter_mapping"], tax["invoice_id"]) == ("Tax", "not_usage", "G1")
    assert (tax["consumed_quantity"], tax["consumed_unit"]) == (None, None)


def test_the_oldest_generation_is_read(tmp_path: Path) -> None:
    charge = recorded(tmp_path, "actual_cost_2019.csv", "Usage").charges.row(0, named=True)
    assert (charge["billed_cost"], charge["charge_category"]) == (Decimal("0.006765"), "Usage")
    assert str(charge["billing_period_start"])[:10] == "2026-10-01", "of the run: the row names none"
    assert str(charge["billing_period_end"])[:10] == "2026-11-01"


def test_focus_datasets_are_read_in_both_generations(tmp_path: Path) -> None:
    newer = recorded(tmp_path / "new", "focus_1_2_preview.csv", "FocusCost")
    assert newer.staged.rows_out_of_scope == 1
    assert newer.charges.select("model_raw", "token_class", "consumed_quantity", "consumed_unit").row(0) == (
        "gpt-4.1",
        "input_uncached_tokens",
        Decimal(1250000),
        "Tokens",
    )
    assert newer.charges["provider_name"].unique().to_list() == ["azure"]
    assert newer.charges["effective_cost"].to_list() == [Decimal("2.5"), Decimal("1.000000000000000001"), Decimal(0)]
    older = recorded(tmp_path / "old", "focus_1_0_preview.csv", "FocusCost").charges
    assert older["charge_category"].to_list() == ["Usage", "Credit"]
    assert older.select("contracted_cost", "pricing_category", "region_id").row(0) == (Decimal("2.6"), "Standard", "eastus2")
    assert older["model_raw"].to_list() == ["gpt-4.1", None]


@pytest.mark.parametrize("suffix", [".csv.gz", ".parquet"])
def test_compressed_and_columnar_files_say_the_same(tmp_path: Path, suffix: str) -> None:
    text = (FILES / "actual_cost_ea.csv").read_bytes()
    frame = pl.read_csv(text, infer_schema=False).with_columns(pl.col("CostInBillingCurrency", "Quantity").cast(pl.Float64))
    content = gzipped(text) if suffix == ".csv.gz" else parquet(frame)
    azure_run(tmp_path / "in", content, suffix=suffix)
    found = read_only(azure_settings(tmp_path / "in"), tmp_path / "work").charges
    plain = recorded(tmp_path / "plain", "actual_cost_ea.csv", "ActualCost").charges
    assert found.equals(plain)


def test_actual_and_amortized_cost_together_give_both_sums_once(tmp_path: Path) -> None:
    feeds = {"actual_cost_feeds": "billed", "amortized_cost_feeds": "effective"}
    folder, names = tmp_path / "in", ["a", "b"]
    used = {"PricingModel": "Reservation", "CostInBillingCurrency": "0"}
    actual = rows_with(
        ROW, {}, used, {"ChargeType": "Purchase", "CostInBillingCurrency": "100", "ProductName": "Azure OpenAI PTU"}
    )
    amortized = rows_with(
        ROW, {}, {**used, "CostInBillingCurrency": "60"}, {"ChargeType": "UnusedReservation", "CostInBillingCurrency": "40"}
    )
    azure_run(folder, csv_text(actual), export="a")
    azure_run(folder, csv_text(amortized), export="b", dataset="AmortizedCost")
    options = azure_settings(folder, exports=names, **feeds)
    parts = [read_run(options, item, tmp_path / item.dataset).charges for item in fetched(options)]
    charges = pl.concat(parts)
    assert exact_sum(charges["billed_cost"]) == Decimal("101.5")
    assert exact_sum(charges["effective_cost"]) == Decimal("101.5")
    assert exact_sum(charges["consumed_quantity"]) == Decimal(30000), "of the actual rows alone"
    with pytest.raises(SourceError, match="two views of the same money"):
        fetched(azure_settings(folder, exports=names))
    landed = fetched(azure_settings(folder, exports=["a"]))
    with pytest.raises(SourceError, match="two views of the same money"):
        fetched(azure_settings(folder, exports=names), known_of(landed))


def test_a_focus_export_beside_an_actual_one_is_refused(tmp_path: Path) -> None:
    azure_run(tmp_path, csv_text([ROW]), export="a")
    azure_run(tmp_path, (FILES / "focus_1_2_preview.csv").read_bytes(), export="f", dataset="FocusCost")
    with pytest.raises(SourceError, match="FOCUS export holds what actual"):
        fetched(azure_settings(tmp_path, exports=["a", "f"]))


@pytest.mark.parametrize(
    ("end", "exclusive"),
    [
        ("10/31/2026", "2026-11-01"),
        ("2026-10-31T23:59:59Z", "2026-11-01"),
        ("2026-11-01", "2026-11-01"),
        ("10/15/2026", "2026-10-16"),
    ],
)
def test_inclusive_ends_become_exclusive(tmp_path: Path, end: str, exclusive: str) -> None:
    assert str(only(tmp_path, BillingPeriodEndDate=end)["billing_period_end"])[:10] == exclusive


def test_a_line_of_another_month_counts_in_the_billing_period(tmp_path: Path) -> None:
    assert str(only(tmp_path, Date="9/30/2026")["charge_date"]) == "2026-10-01"
    assert str(only(tmp_path / "late", Date="11/2/2026")["charge_date"]) == "2026-10-31"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"CostInBillingCurrency": ""}, "Cost__missing"),
        ({"CostInBillingCurrency": "CA$1"}, "Cost__not_a_decimal"),
        ({"CostInBillingCurrency": "1,5"}, "Cost__not_a_decimal"),
        ({"CostInBillingCurrency": "1e12"}, "Cost__out_of_range"),
        ({"Date": "31/12/2026"}, "Date__not_a_time"),
        ({"Date": "1/1/0001"}, "Date__too_early"),
        ({"BillingCurrencyCode": ""}, "BillingCurrency__missing"),
        ({"ChargeType": "Surprise"}, "ChargeType__unknown"),
        ({"Quantity": "lots"}, "Quantity__not_a_decimal"),
        ({"BillingPeriodStartDate": "11/1/2026"}, "BillingPeriodEnd__not_after_start"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(tmp_path: Path, changes: dict[str, str], reason: str) -> None:
    found = read_rows(tmp_path, {}, changes)
    assert found.reasons == [reason]
    assert found.charges.height == 1
    assert found.quarantine["raw_ordinal"].to_list() == [2]


def test_rows_of_other_services_are_counted_whatever_they_hold(tmp_path: Path) -> None:
    found = read_rows(tmp_path, {}, {"MeterCategory": "Storage", "CostInBillingCurrency": "broken"})
    assert (found.staged.rows_read, found.staged.rows_out_of_scope, found.staged.rows_quarantined) == (2, 1, 0)
    everything = read_rows(tmp_path / "all", {}, {"MeterCategory": "Storage"}, services=["all"])
    assert (everything.staged.rows_out_of_scope, everything.charges.height) == (0, 2)


def test_rows_are_numbered_through_all_files_of_a_run(tmp_path: Path) -> None:
    parts = [
        csv_text(rows_with(ROW, {}, {"CostInBillingCurrency": "x"})),
        csv_text(rows_with(ROW, {"CostInBillingCurrency": "y"}, {})),
    ]
    azure_run(tmp_path / "in", *parts, rows_count=4)
    found = read_only(azure_settings(tmp_path / "in"), tmp_path / "work")
    assert found.charges["raw_ordinal"].to_list() == [1, 4]
    assert found.quarantine["raw_ordinal"].to_list() == [2, 3]
    assert "y" in found.quarantine["raw_text"][1]


def test_a_count_that_the_manifest_contradicts_is_an_error_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    azure_run(tmp_path / "in", csv_text([ROW]), rows_count=2)
    read_only(azure_settings(tmp_path / "in"), tmp_path / "work")
    assert "the manifest says 2 rows, the files hold 1" in caplog.text


def test_an_emptied_month_covers_its_period(tmp_path: Path) -> None:
    azure_run(tmp_path / "in")
    found = read_only(azure_settings(tmp_path / "in"), tmp_path / "work")
    assert (found.staged.is_empty, len(found.staged.covered)) == (True, 1)


def test_unknown_columns_are_named_and_a_foreign_table_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read_rows(tmp_path, {"BrandNew": "1"})
    assert "unread_columns=BrandNew" in caplog.text
    azure_run(tmp_path / "foreign", b"a,b\n1,2\n")
    with pytest.raises(UnreadableDeliveryError, match="not an Azure cost export"):
        read_only(azure_settings(tmp_path / "foreign"), tmp_path / "work2")


AMOUNTS = st.decimals(-(10**6), 10**6, places=10, allow_nan=False)
CELLS = st.fixed_dictionaries(
    {
        "CostInBillingCurrency": AMOUNTS.map(lambda amount: f"{amount:E}"),
        "Quantity": AMOUNTS.map(str),
        "UnitOfMeasure": st.sampled_from(["1K", "1M", "10K", "1 GB", "1/Hour", "100 Hours", "1 GB/Month", ""]),
        "ChargeType": st.sampled_from(
            ["Usage", "Purchase", "Refund", "UnusedReservation", "RoundingAdjustment", "Tax", "usage", ""]
        ),
        "Date": st.dates(min_value=dt.date(2026, 10, 1), max_value=dt.date(2026, 10, 31)).map(
            lambda day: f"{day.month}/{day.day}/{day.year}"
        ),
        **{
            name: st.text(max_size=12)
            for name in ("MeterName", "ProductName", "Tags", "ResourceId", "SubscriptionId", "InvoiceId")
        },
    }
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(CELLS, min_size=1, max_size=15))
def test_random_rows_keep_their_sum_and_read_the_same_twice(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("azure")
    cells = [{name: text.replace("\0", "") for name, text in row.items()} for row in rows]
    found = read_rows(folder, *cells)
    assert found.reasons == []
    assert total(found.charges["billed_cost"]) == total(Decimal(row["CostInBillingCurrency"]) for row in rows)
    again = read_only(azure_settings(folder / "in"), folder / "again")
    assert [file.sha256 for file in again.staged.files] == [file.sha256 for file in found.staged.files]


def test_models_of_the_marketplace_count_by_their_publisher(tmp_path: Path) -> None:
    market = {
        "MeterCategory": "SaaS",
        "MeterName": "Input tokens",
        "PublisherName": "Anthropic PBC",
        "ProductName": "Model usage",
    }
    found = read_rows(tmp_path, market, {**market, "PublisherName": "Canonical"})
    assert (found.charges.height, found.staged.rows_out_of_scope) == (1, 1)
    assert found.charges.select("service_name", "publisher_name", "meter_mapping").row(0) == ("SaaS", "Anthropic PBC", "unmapped")
