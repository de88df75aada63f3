"""FOCUS rows of every version become charge lines: columns by name, values in any spelling, amounts to the last digit."""

import csv
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.sources.report_pages import CONTEXT, Parsed, read, total
from usage_etl.schemas.charge_line import CHARGE_CATEGORIES
from usage_etl.sources.forms.table_files import TableDialect, parse_table
from usage_etl.sources.rows.focus_columns import (
    FOCUS_NAMES,
    FOCUS_REQUIRED,
    FOCUS_TYPES,
    FOCUS_UNREAD,
    FocusSource,
    focus_mapping,
)
from usage_etl.sources.rows.mapping import value

ROW = {
    "BilledCost": "12.345678901234567891",
    "EffectiveCost": "1e-06",
    "ListCost": "15.00",
    "ContractedCost": "13.1",
    "BillingCurrency": "usd",
    "BillingAccountId": "acct-1",
    "BillingPeriodStart": "2026-10-01T00:00:00Z",
    "BillingPeriodEnd": "2026-11-01T00:00:00Z",
    "ChargePeriodStart": "2026-10-05T03:00:00Z",
    "ChargePeriodEnd": "2026-10-05T04:00:00Z",
    "ChargeCategory": "Usage",
    "ServiceName": "Amazon Bedrock",
    "ProviderName": "AWS",
    "ConsumedQuantity": "12.5",
    "ConsumedUnit": "1K Tokens",
}


def dialect() -> TableDialect:
    mapping = focus_mapping(FocusSource(bucket_key=value("BillingPeriodStart").dt.strftime("%Y-%m")))
    return TableDialect("a FOCUS file", FOCUS_NAMES, FOCUS_REQUIRED, (mapping,), FOCUS_UNREAD)


def parsed(folder: Path, *rows: Mapping[str, str | None]) -> Parsed:
    names = list(dict.fromkeys(name for row in rows for name in row))
    path = folder / "focus.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        writer.writerows(rows)
    return read(lambda file, context: parse_table(file, context, dialect=dialect()), path, CONTEXT)


def only(folder: Path, **changes: str | None) -> dict[str, object]:
    result = parsed(folder, {**ROW, **changes})
    assert result.reasons == []
    return result.charges.row(0, named=True)


def test_a_row_keeps_its_amounts_to_the_last_digit(tmp_path: Path) -> None:
    charge = only(tmp_path)
    assert charge["billed_cost"] == Decimal("12.345678901234567891")
    assert charge["effective_cost"] == Decimal("0.000001")
    assert (charge["list_cost"], charge["contracted_cost"]) == (Decimal(15), Decimal("13.1"))
    assert charge["is_list_cost_estimated"] is False
    assert (charge["billing_currency"], charge["provider_name"]) == ("USD", "aws")
    assert (charge["consumed_quantity"], charge["consumed_unit"]) == (Decimal(12500), "Tokens")
    assert (str(charge["charge_date"]), charge["bucket_key"]) == ("2026-10-05", "2026-10")


@pytest.mark.parametrize(
    "spelling",
    [
        "2026-10-05T03:00Z",
        "2026-10-05 03:00:00",
        "2026-10-05T03:00:00.000Z",
        "2026-10-05T05:00:00+02:00",
        "2026-10-05 03:00:00 UTC",
    ],
)
def test_instants_are_read_in_every_spelling(tmp_path: Path, spelling: str) -> None:
    assert str(only(tmp_path, ChargePeriodStart=spelling)["charge_period_start"]) == "2026-10-05 03:00:00+00:00"


def test_written_nulls_and_letter_case_do_not_matter(tmp_path: Path) -> None:
    charge = only(
        tmp_path,
        ChargeCategory=" usage ",
        ChargeFrequency="Usage-based",
        PricingCategory="",
        ChargeClass="NULL",
        ListCost="NULL",
        SubAccountId="null",
        ServiceName="NULL",
        SkuMeter="input tokens",
    )
    assert (charge["charge_category"], charge["charge_frequency"], charge["charge_class"]) == ("Usage", "Usage-Based", None)
    assert (charge["list_cost"], charge["is_list_cost_estimated"]) == (charge["billed_cost"], True)
    assert (charge["sub_account_id"], charge["pricing_category"], charge["service_name"]) == (None, None, "input tokens")


def test_names_of_older_and_newer_versions_are_read(tmp_path: Path) -> None:
    renamed = {"UsageQuantity": "3", "UsageUnit": "Requests", "Region": "eu-west-1", "ChargeSubcategory": "Unused Commitment"}
    preview = {name: text for name, text in ROW.items() if name not in ("ConsumedQuantity", "ConsumedUnit")} | renamed
    charge = parsed(tmp_path, preview).charges.row(0, named=True)
    assert (charge["consumed_quantity"], charge["consumed_unit"], charge["region_id"]) == (Decimal(3), "Requests", "eu-west-1")
    assert charge["commitment_discount_status"] == "Unused"
    newest = {name: text for name, text in ROW.items() if name != "ProviderName"}
    newest |= {"ServiceProviderName": "Anthropic", "HostProviderName": "AWS"}
    charge = parsed(tmp_path, newest).charges.row(0, named=True)
    assert (charge["provider_name"], charge["host_provider_name"]) == ("anthropic", "AWS")


def test_a_credit_of_the_preview_is_a_credit(tmp_path: Path) -> None:
    charge = only(tmp_path, ChargeCategory="Adjustment", ChargeSubcategory="Credit", BilledCost="-5.10")
    assert (charge["charge_category"], charge["billed_cost"]) == ("Credit", Decimal("-5.1"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"BilledCost": ""}, "BilledCost__missing"),
        ({"BilledCost": "$1.00"}, "BilledCost__not_a_decimal"),
        ({"BilledCost": "1,000.00"}, "BilledCost__not_a_decimal"),
        ({"BilledCost": "1e13"}, "BilledCost__out_of_range"),
        ({"BillingCurrency": "dollars"}, "BillingCurrency__not_iso_4217"),
        ({"ChargeCategory": "Gift"}, "ChargeCategory__unknown"),
        ({"ChargeClass": "Maybe"}, "ChargeClass__unknown"),
        ({"ChargePeriodEnd": "2026-10-05T03:00:00Z"}, "ChargePeriodEnd__not_after_start"),
        ({"ChargePeriodStart": "yesterday"}, "ChargePeriodStart__not_a_time"),
        ({"ChargePeriodStart": "0001-01-01T00:00:00Z"}, "ChargePeriodStart__too_early"),
        ({"ChargePeriodEnd": "9999-12-31T00:00:00Z"}, "ChargePeriodEnd__too_late"),
        ({"ConsumedQuantity": "many"}, "ConsumedQuantity__not_a_decimal"),
        ({"ConsumedQuantity": "1e17", "ConsumedUnit": "1K"}, "ConsumedQuantity__out_of_range"),
        ({"ProviderName": ""}, "ProviderName__missing"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(tmp_path: Path, changes: dict[str, str], reason: str) -> None:
    result = parsed(tmp_path, ROW, {**ROW, **changes})
    assert result.reasons == [reason]
    assert result.charges.height == 1


def test_a_correction_of_an_earlier_month_counts_in_its_billing_period(tmp_path: Path) -> None:
    charge = only(
        tmp_path,
        ChargeClass="correction",
        BilledCost="-3.5E-7",
        ChargePeriodStart="2026-08-30T00:00:00Z",
        ChargePeriodEnd="2026-08-31T00:00:00Z",
    )
    assert (charge["charge_class"], charge["billed_cost"]) == ("Correction", Decimal("-0.00000035"))
    assert str(charge["charge_date"]) == "2026-10-01"


@pytest.mark.parametrize(
    ("sent", "tags"),
    [
        ('{"Team": "a", "team ": "b"}', {"Team": "a", "team": "b"}),
        ('{"team": "a", "team ": "b"}', {"team": "b"}),
        ('"team": "a","n": 1', {"team": "a", "n": "1"}),
        ('[{"key": "team", "value": "a"}]', {"team": "a"}),
        ("team=a;cost center=7", {"team": "a", "cost center": "7"}),
        ("{broken", {"(unreadable)": "{broken"}),
    ],
)
def test_tags_become_one_object_in_every_dialect(tmp_path: Path, sent: str, tags: dict[str, str]) -> None:
    assert json.loads(str(only(tmp_path, Tags=sent)["tags"])) == tags


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                **{
                    name: st.text(max_size=20) for name in FOCUS_NAMES if name not in {*ROW, *FOCUS_TYPES.decimals, "ChargeClass"}
                },
                **dict.fromkeys(FOCUS_TYPES.decimals, st.decimals(-(10**6), 10**6, places=9, allow_nan=False).map(str)),
                "BilledCost": st.decimals(-(10**9), 10**9, places=12, allow_nan=False).map(str),
                "ChargeCategory": st.sampled_from(CHARGE_CATEGORIES),
                "ConsumedQuantity": st.decimals(0, 10**6, places=6, allow_nan=False).map(str),
                "ConsumedUnit": st.sampled_from(["1K", "1M", "10K", "Tokens", "1/Hour", "", "GB"]),
                "ServiceName": st.text(max_size=20),
            }
        ),
        min_size=1,
        max_size=20,
    )
)
def test_random_rows_are_staged_or_refused_and_their_sum_is_kept(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    given_rows = [{**ROW, **{name: text.replace("\0", "") for name, text in row.items()}} for row in rows]
    first, again = (parsed(tmp_path, *given_rows) for _ in range(2))
    assert first.charges.equals(again.charges)
    assert first.rows_read == len(rows)
    assert first.reasons == []
    assert total(first.charges["billed_cost"]) == total(Decimal(row["BilledCost"]) for row in rows)
    unpaired = first.charges.filter(pl.col("consumed_quantity").is_null() != pl.col("consumed_unit").is_null())
    assert unpaired.height == 0
