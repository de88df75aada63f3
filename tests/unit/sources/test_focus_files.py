"""FOCUS files of any issuer: which lines count, what a file replaces, and amounts to the last digit whatever the dialect."""

import datetime as dt
import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.sources.bill_files import RECORDED, Outcome, parsed, total, write_csv
from tests.unit.sources.fetching import fetch_context
from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.focus import SOURCE
from usage_etl.sources.focus.settings import AI_CATEGORY, FocusSettings
from usage_etl.sources.focus.versions import focus_version

ROW: dict[str, str | None] = {
    "BilledCost": "0.000012345678901234",
    "EffectiveCost": "1e-05",
    "ListCost": "2",
    "ContractedCost": "1.5",
    "BillingCurrency": "EUR",
    "BillingAccountId": "acct-1",
    "BillingAccountName": "Example",
    "BillingPeriodStart": "2026-10-01T00:00:00Z",
    "BillingPeriodEnd": "2026-11-01T00:00:00Z",
    "ChargePeriodStart": "2026-10-05T00:00:00Z",
    "ChargePeriodEnd": "2026-10-06T00:00:00Z",
    "ChargeCategory": "Usage",
    "ChargeClass": None,
    "ChargeDescription": "tokens",
    "ServiceCategory": "AI and Machine Learning",
    "ServiceName": "Model Service",
    "ProviderName": "Example Cloud",
    "InvoiceIssuerName": "Example Cloud Ltd",
    "Tags": '{"team": "a", "team ": "b"}',
    "x_Own": "kept out",
}


def file_of(folder: Path, *rows: dict[str, Any]) -> Path:
    return write_csv(folder / "focus.csv", rows)


def row(**changes: str | None) -> dict[str, str | None]:
    return {**ROW, **changes}


def test_a_line_becomes_a_charge(tmp_path: Path) -> None:
    charge = parsed("focus", file_of(tmp_path, ROW)).charge
    assert charge["billed_cost"] == Decimal("0.000012345678901234")
    assert charge["effective_cost"] == Decimal("0.00001")
    assert (charge["billing_currency"], charge["provider_name"]) == ("EUR", "example cloud")
    assert charge["bucket_key"] == "org-1/acct-1/2026-10-01T00:00:00Z"
    assert charge["tags"] == '{"team": "b"}'
    assert charge["meter_mapping"] == "unmapped"


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"ProviderName": "P", "PublisherName": "Maker"}, ("p", None, "Maker")),
        ({"ProviderName": "P", "ServiceProviderName": "S", "HostProviderName": "H"}, ("s", "H", None)),
        ({"ServiceProviderName": "S", "HostProviderName": "H"}, ("s", "H", None)),
    ],
    ids=["1.0 to 1.2", "1.3", "1.4"],
)
def test_parties_are_read_in_the_words_of_each_version(tmp_path: Path, own: dict[str, str], expected: tuple[Any, ...]) -> None:
    bare = {name: cell for name, cell in ROW.items() if name != "ProviderName"}
    charge = parsed("focus", file_of(tmp_path, bare | own)).charge
    assert (charge["provider_name"], charge["host_provider_name"], charge["publisher_name"]) == expected
    assert charge["invoice_issuer_name"] == "Example Cloud Ltd"


@pytest.mark.parametrize(
    ("header", "version"),
    [
        (["BilledCost", "ProviderName"], "1.0"),
        (["BilledCost", "ProviderName", "SkuMeter"], "1.1"),
        (["ProviderName", "SkuMeter", "InvoiceId"], "1.2"),
        (["ProviderName", "InvoiceId", "ServiceProviderName", "HostProviderName"], "1.3"),
        (["InvoiceId", "ServiceProviderName", "HostProviderName"], "1.4"),
        (["providername", "INVOICEDETAILID "], "1.4"),
    ],
)
def test_the_version_is_told_by_the_columns(header: list[str], version: str) -> None:
    assert focus_version(header) == version


def test_lines_that_are_not_about_ai_are_counted_and_left_out(tmp_path: Path) -> None:
    rows = [
        ROW,
        row(ServiceCategory="Compute", ServiceName="Virtual Machines", BilledCost="not read"),
        row(ServiceCategory="ai and machine LEARNING "),
        row(ServiceCategory="Other", ServiceName=None, ChargeDescription="Claude Sonnet (Amazon Bedrock Edition)"),
        row(ServiceCategory=None, ServiceName=None),
    ]
    outcome = parsed("focus", file_of(tmp_path, *rows))
    assert outcome.charges["raw_ordinal"].to_list() == [1, 3, 4]
    assert (outcome.rows_read, outcome.out_of_scope, outcome.refused) == (5, 2, {})


def test_all_takes_every_line_and_patterns_choose_others(tmp_path: Path) -> None:
    path = file_of(tmp_path, ROW, row(ServiceCategory="Compute", ServiceName="Virtual Machines"))
    assert parsed("focus", path, service_categories=["all"]).charges.height == 2
    chosen = parsed("focus", path, service_categories=[], services=["virtual *"])
    assert chosen.charges["raw_ordinal"].to_list() == [2]
    assert parsed("focus", path, service_categories=[], services=["virtual"]).charges.height == 0


def test_a_file_answers_for_its_periods_whole_also_where_no_line_counts(tmp_path: Path) -> None:
    rows = [
        ROW,
        row(BillingPeriodStart="2026-09-01 00:00:00", BillingPeriodEnd="2026-10-01 00:00:00", ServiceCategory="Compute"),
        row(BillingAccountId="acct-2"),
        row(BillingAccountId="NULL"),
        row(BillingPeriodStart="unreadable"),
    ]
    outcome = parsed("focus", file_of(tmp_path, *rows))
    assert [bucket.bucket_key for bucket in outcome.covered] == [
        "org-1//2026-10-01T00:00:00Z",
        "org-1/acct-1/2026-09-01T00:00:00Z",
        "org-1/acct-1/2026-10-01T00:00:00Z",
        "org-1/acct-2/2026-10-01T00:00:00Z",
    ]
    assert set(outcome.charges["bucket_key"]) <= {bucket.bucket_key for bucket in outcome.covered}
    assert outcome.refused == {5: "BillingPeriodStart__not_a_time"}


def test_a_correction_counts_in_its_billing_period(tmp_path: Path) -> None:
    late = row(
        ChargeClass="correction", BilledCost="-1.5", ChargePeriodStart="2026-08-31T00:00:00Z", ChargePeriodEnd="2026-09-01"
    )
    charge = parsed("focus", file_of(tmp_path, late)).charge
    assert (charge["charge_class"], charge["billed_cost"]) == ("Correction", Decimal("-1.5"))
    assert charge["charge_date"] == dt.date(2026, 10, 1)


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"BilledCost": "$1.00"}, "BilledCost__not_a_decimal"),
        ({"BilledCost": "1,5"}, "BilledCost__not_a_decimal"),
        ({"BilledCost": None}, "BilledCost__missing"),
        ({"BillingCurrency": "€"}, "BillingCurrency__not_iso_4217"),
        ({"ChargeCategory": "Refund"}, "ChargeCategory__unknown"),
        ({"BillingPeriodStart": "NULL"}, "BillingPeriodStart__missing"),
        ({"ProviderName": ""}, "ProviderName__missing"),
    ],
)
def test_a_bad_line_is_refused_by_name_and_the_rest_is_used(tmp_path: Path, changes: dict[str, str | None], reasons: str) -> None:
    outcome = parsed("focus", file_of(tmp_path, row(**changes), ROW))
    assert outcome.refused == {1: reasons}
    assert outcome.charges["raw_ordinal"].to_list() == [2]


def test_the_peculiarities_of_the_public_sample_data_are_read(tmp_path: Path) -> None:
    outcome = _recorded(tmp_path, "sample_like.csv")
    assert outcome.refused == {}
    assert (outcome.rows_read, outcome.out_of_scope) == (8, 4)
    assert total(outcome.charges["billed_cost"]) == total(map(Decimal, ("0.00000000000", "1.234567890123456", "-0.5", "6E-9")))
    assert set(outcome.charges["charge_frequency"]) == {"Usage-Based", "One-Time"}


def test_the_recorded_file_of_version_1_4_is_read(tmp_path: Path) -> None:
    outcome = _recorded(tmp_path, "focus_1_4.csv")
    assert outcome.refused == {}
    mapped = outcome.charges.filter(pl.col("meter_mapping") == "mapped")
    assert mapped["model_raw"].to_list() == ["gemini-2.5-pro"]
    assert mapped["consumed_quantity"].to_list() == [Decimal(4_000_000)]
    assert set(outcome.charges["provider_name"]) == {"google"}


def _recorded(folder: Path, name: str) -> Outcome:
    path = folder / name
    path.write_bytes((RECORDED / "focus" / name).read_bytes())
    return parsed("focus", path)


def test_gzip_and_parquet_say_the_same_as_csv(tmp_path: Path) -> None:
    path = file_of(tmp_path, ROW, row(BilledCost="-3"))
    zipped, table = tmp_path / "focus.csv.gz", tmp_path / "focus.parquet"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    frame = pl.read_csv(path, infer_schema=False)
    frame.with_columns(
        pl.col("BilledCost").cast(pl.Decimal(38, 18)), pl.col("ChargePeriodStart").str.to_datetime("%Y-%m-%dT%H:%M:%SZ")
    ).write_parquet(table)
    wanted = parsed("focus", path).charges
    for other in (zipped, table):
        assert parsed("focus", other).charges.equals(wanted)


@pytest.mark.parametrize(
    ("changes", "model", "mapping"),
    [
        ({"ProviderName": "AWS", "SkuMeter": "USE1-Nova2.0Lite-input-tokens-flex"}, "nova", "mapped"),
        ({"ProviderName": "AWS", "x_UsageType": "USE1-Nova2.0Lite-input-tokens-flex"}, "nova", "mapped"),
        ({"ProviderName": "Microsoft", "SkuMeter": "gpt 4.1 cached Inp glbl Tokens"}, "gpt-4.1", "mapped"),
        (
            {"ProviderName": "Google Cloud", "SkuMeter": "Gemini 2.5 Flash GA Text Input - Predictions"},
            "gemini-2.5-flash",
            "mapped",
        ),
        ({"ProviderName": "Google Cloud", "SkuMeter": "?"}, "", "unmapped"),
        ({"ProviderName": "Other Cloud", "SkuMeter": "Gemini 2.5 Flash GA Text Input - Predictions"}, "", "unmapped"),
        ({"ProviderName": "AWS", "ChargeCategory": "Tax"}, "", "not_usage"),
    ],
)
def test_meters_of_providers_with_a_table_are_read(tmp_path: Path, changes: dict[str, str], model: str, mapping: str) -> None:
    charge = parsed("focus", file_of(tmp_path, ROW | changes)).charge
    assert charge["meter_mapping"] == mapping
    assert model in (charge["model_raw"] or "")


@pytest.mark.parametrize("missing", ["BilledCost", "BillingPeriodStart", "ServiceName"])
def test_a_file_without_a_required_column_is_refused_whole(tmp_path: Path, missing: str) -> None:
    path = file_of(tmp_path, {name: cell for name, cell in ROW.items() if name != missing})
    with pytest.raises(UnreadableDeliveryError, match=missing):
        parsed("focus", path)


def test_the_parts_of_one_file_are_one_delivery(tmp_path: Path) -> None:
    landing = tmp_path / "landing"
    landing.mkdir()
    for number, amount in enumerate(("1", "2", "4")):
        write_csv(landing / f"october-0000{number}.csv", [row(BilledCost=amount)])
    write_csv(landing / "september.csv", [row(BillingPeriodStart="2026-09-01T00:00:00Z")])
    source = FocusSettings(kind="focus", name="bills", location=str(landing))
    found = list(SOURCE.fetch(source, fetch_context()))
    assert [one.origin_key for one in found] == ["october-#.csv", "september.csv"]
    path = tmp_path / "bundle"
    found[0].save(path)
    outcome = parsed("focus", path)
    assert outcome.charges["raw_ordinal"].to_list() == [1, 2, 3]
    assert total(outcome.charges["billed_cost"]) == 7
    assert len(outcome.covered) == 1

    known = [(one.origin_key, one.origin_version) for one in found]
    assert list(SOURCE.fetch(source, fetch_context(known=known))) == []
    write_csv(landing / "october-00003.csv", [row(BilledCost="8")])
    (again,) = SOURCE.fetch(source, fetch_context(known=known))
    again.save(path)
    assert total(parsed("focus", path).charges["billed_cost"]) == 15

    known.append((again.origin_key, again.origin_version))
    write_csv(landing / "october-00001.csv", [row(BilledCost="2.000000000000000001")])
    (changed,) = SOURCE.fetch(source, fetch_context(known=known))
    assert changed.origin_version != again.origin_version


AMOUNTS = st.decimals(-(10**11), 10**11, places=18).map(lambda amount: f"{amount:f}") | st.sampled_from(["-0", "1E-9", "5e3"])


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(AMOUNTS, st.booleans()), min_size=1, max_size=8))
def test_amounts_are_conserved_and_a_second_reading_is_the_same(tmp_path: Path, cells: list[tuple[str, bool]]) -> None:
    rows = [row(BilledCost=amount, ServiceCategory="Compute" if is_other else AI_CATEGORY) for amount, is_other in cells]
    path = file_of(tmp_path, *rows)
    outcome = parsed("focus", path)
    assert total(outcome.charges["billed_cost"]) == total(Decimal(amount) for amount, is_other in cells if not is_other)
    assert outcome.out_of_scope == sum(is_other for _, is_other in cells)
    assert parsed("focus", path).charges.equals(outcome.charges)
