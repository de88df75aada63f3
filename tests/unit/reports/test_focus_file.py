"""focus.csv keeps the rules of its version, adds up to the invoices exactly, and divides what invoice lines say."""

import csv
import datetime as dt
import io
from collections import defaultdict
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.reports.finance_months import HOSTILE, awkward_month, late_lines
from tests.unit.reports.finance_rows import MONTH, D, allocated, chargeback, cost, invoice_lines, invoices, owner
from tests.unit.reports.focus_rules import MANDATORY, broken_rules
from usage_etl.errors import ConservationError
from usage_etl.reports.chargeback_files import month_lines
from usage_etl.reports.finance.focus_columns import CUSTOM_COLUMNS, VERSIONS, focus_columns
from usage_etl.reports.finance.focus_file import focus_charges, focus_csv

MAP = {"BilledCost": "billed_cost", "ListCost": "list_cost", "ContractedCost": "contracted_cost"}


def focus(lines, bill, papers=None, *, version="1.2"):
    """The file for tables in any order."""
    ordered = month_lines(lines)
    rows = focus_charges(ordered, bill, invoices() if papers is None else papers, month=MONTH)
    return focus_csv(rows, ordered, version=version)


def read(file):
    """Rows as an independent reader sees them."""
    return list(csv.DictReader(io.StringIO(file.content.decode(), newline="")))


def total(rows, column, **wanted):
    return sum((Decimal(row[column]) for row in rows if all(row[key] == text for key, text in wanted.items())), Decimal(0))


@pytest.mark.parametrize("version", VERSIONS)
def test_awkward_month_keeps_every_rule(version):
    assert broken_rules(focus(*awkward_month(), version=version).content, version) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_versions_have_their_columns(version):
    columns = focus_columns(version)
    assert set(MANDATORY[version]) <= set(columns)
    assert columns[-len(CUSTOM_COLUMNS) :] == CUSTOM_COLUMNS
    assert ("ProviderName" in columns) == (version != "1.4")
    assert ("HostProviderName" in columns) == (version != "1.2")
    assert ("InvoiceDetailId" in columns) == (version == "1.4")


def test_unknown_version_is_refused():
    with pytest.raises(ValueError, match=r"1\.2, 1\.3, 1\.4"):
        focus_columns("1.1")


def test_machine_dialect_has_no_mark_no_return_and_no_guard():
    file = focus(*awkward_month())
    assert file.content.startswith(b"BilledCost,BillingAccountId,")
    assert b"\r" not in file.content
    assert HOSTILE in {row["ServiceName"] for row in read(file)}
    assert (file.guarded_cells, file.schema_version, file.name) == ({}, "FOCUS 1.2", "focus.csv")


def test_billed_cost_by_invoice_is_the_invoice():
    rows = read(focus(*awkward_month()))
    assert total(rows, "BilledCost", InvoiceId="INV-1") == D("1177.36")
    assert total(rows, "BilledCost", InvoiceId="E-7") == D("15.10")
    assert {row["ProviderName"] for row in rows if row["InvoiceId"] == "INV-1"} == {"openai"}


def test_estimates_stay_out_and_are_counted():
    file = focus(*awkward_month())
    assert "estimate" not in {row["x_LineKind"] for row in read(file)}
    assert file.control_totals["USD"]["estimates_left_out_count"] == "1"
    assert file.control_totals["USD"]["estimates_left_out_cost"] == "55.55"
    only = focus(chargeback({"charge_basis": "priced_usage", "line_kind": "estimate"} | cost("2.00")), invoice_lines())
    assert only.rows_count == 0
    assert only.control_totals == {"USD": {"estimates_left_out_count": "1", "estimates_left_out_cost": "2.00"}}


def test_corrections_stand_in_the_booked_period_for_the_corrected_one_and_on_no_invoice():
    rows = [row for row in read(focus(*awkward_month())) if row["x_CorrectsMonth"]]
    assert {row["ChargeClass"] for row in rows} == {"Correction"}
    assert {(row["ChargePeriodStart"], row["ChargePeriodEnd"]) for row in rows} == {
        ("2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z")
    }
    assert {(row["BillingPeriodStart"], row["InvoiceId"], row["x_OriginalInvoiceId"]) for row in rows} == {
        ("2026-10-01T00:00:00Z", "", "OLD")
    }
    assert sum(Decimal(row["BilledCost"]) for row in rows) == D("0.50")


def test_disputes_are_adjustments_with_their_reference():
    rows = [row for row in read(focus(*awkward_month())) if row["x_DisputeId"]]
    assert {(row["ChargeCategory"], row["InvoiceId"], row["x_DisputeId"]) for row in rows} == {("Adjustment", "", "D-1")}
    assert sorted(row["BilledCost"] for row in rows) == ["-1.00", "1.00"]


def test_costs_and_quantities_of_invoice_lines_are_divided_exactly():
    lines, bill, papers = awkward_month()
    rows = read(focus(lines, bill, papers))
    for line in bill.to_dicts():
        mine = {"x_InvoiceLineId": line["invoice_line_id"]}
        if line["charge_category"] != "Credit":
            assert total(rows, "ListCost", **mine) == line["list_cost"]
            assert total(rows, "ContractedCost", **mine) == line["contracted_cost"]
    assert total(rows, "ConsumedQuantity", x_InvoiceLineId="il-00000") == 123456789
    assert total(rows, "PricingQuantity", x_InvoiceLineId="il-00004") == 6
    tokens = [row for row in rows if row["x_InvoiceLineId"] == "il-00000"]
    assert {row["ConsumedUnit"] for row in tokens} == {row["PricingUnit"] for row in tokens} == {"Tokens"}
    assert {(row["x_ConsumedQuantityEstimated"], row["x_PricingQuantityEstimated"]) for row in tokens} == {("false", "true")}
    assert {row["x_ListCostEstimated"] for row in tokens} == {"false"}


def test_line_without_any_quantity_counts_as_one_unit():
    rows = [row for row in read(focus(*awkward_month())) if row["x_InvoiceLineId"] == "il-00005"]
    assert [row["PricingQuantity"] for row in rows] == ["0.70", "0.30"]
    assert {(row["PricingUnit"], row["x_PricingQuantityEstimated"]) for row in rows} == {("Units", "true")}


def test_effective_cost_is_the_amortised_view():
    lines = chargeback(cost("0.00") | {"allocated_effective_cost": D("9.99"), "invoice_line_id": "il-00000"})
    bill = invoice_lines({"billed_cost": D(0), "list_cost": D("12"), "contracted_cost": D("12")})
    (row,) = read(focus(lines, bill))
    assert (row["BilledCost"], row["EffectiveCost"], row["ListCost"]) == ("0.00", "9.99", "12.00")


def test_commitment_without_a_known_status_stays_in_our_own_column():
    shares = {"invoice_line_id": "il-00000", "commitment_discount_id": "res-1"}
    for status, wanted in (("USED", ("res-1", "Used")), ("Expired", ("", "")), (None, ("", ""))):
        bill = invoice_lines({"commitment_discount_id": "res-1", "commitment_discount_status": status})
        (row,) = read(focus(chargeback(shares), bill))
        assert (row["CommitmentDiscountId"], row["CommitmentDiscountStatus"]) == wanted
        assert row["x_CommitmentDiscountId"] == "res-1"


def test_one_service_has_one_category_and_what_was_sent_is_kept():
    bill = invoice_lines(
        *({"service_category": sent, "list_cost": D(1)} for sent in ("compute", "Compute", "Made Up", "AI and Machine Learning"))
    )
    file = focus(allocated(bill, [[("ads", None, 1)]] * 4), bill)
    rows = read(file)
    assert {(row["ServiceCategory"], row["ServiceSubcategory"]) for row in rows} == {("Compute", "Other (Compute)")}
    assert sorted(row["x_ServiceCategorySent"] for row in rows) == ["AI and Machine Learning", "Compute", "Made Up", "compute"]
    assert broken_rules(file.content, "1.2") == []


def test_currency_without_minor_units_and_with_three():
    for currency, amount in (("JPY", "700"), ("KWD", "0.125")):
        bill = invoice_lines({"billing_currency": currency, "billed_cost": D(amount), "list_cost": D(amount)})
        lines = chargeback(cost(amount) | {"billing_currency": currency, "invoice_line_id": "il-00000"})
        (row,) = read(focus(lines, bill))
        assert Decimal(row["BilledCost"]) == D(amount)
        assert "." in row["BilledCost"], "readers that guess types see a decimal"


def test_converted_invoice_shows_rate_and_divides_list_cost_in_the_new_currency():
    bill = invoice_lines({"billed_cost": D("100.00"), "list_cost": D("120"), "contracted_cost": D("110")})
    papers = invoices({"invoice_total": D("100.00")})
    rate = ("EUR", D("0.91234"), dt.date(2026, 10, 30))
    lines = allocated(bill, [[("ads", D(1), 1), ("ops", D(2), 2)]], totals={("openai", "org-1", "USD"): D("100.00")}, rate=rate)
    file = focus(lines, bill, papers, version="1.4")
    rows = read(file)
    assert broken_rules(file.content, "1.4") == []
    assert total(rows, "BilledCost") == D("91.23")
    assert total(rows, "ListCost") == D("120") * D("0.91234")
    assert {(row["BillingCurrency"], row["PricingCurrency"], row["x_FxRate"], row["x_FxRateDate"]) for row in rows} == {
        ("EUR", "USD", "0.91234", "2026-10-30")
    }


@pytest.mark.parametrize("change", [D("0.01"), D("-0.01"), D(1000)])
def test_charges_that_are_not_the_invoice_are_refused(change):
    lines, bill, papers = awkward_month()
    wrong = papers.with_columns(invoice_total=(pl.col("invoice_total") + change).cast(pl.Decimal(38, 18)))
    with pytest.raises(ConservationError, match="openai org-1 in USD and the invoice"):
        focus(lines, bill, wrong)


def test_charges_that_are_not_the_bill_are_refused_where_no_invoice_is_registered():
    lines = chargeback(cost("1.25") | {"invoice_line_id": "il-00000"})
    with pytest.raises(ConservationError, match="openai org-1"):
        focus(lines, invoice_lines())


def test_closed_account_is_as_its_closing_left_it():
    """Its bill changed since; the line it was a share of is gone. What it says of itself is kept."""
    lines = chargeback(cost("9.00") | {"invoice_line_id": "gone", "period_status": "closed", "invoice_id": "INV-1"})
    file = focus(lines, invoice_lines(), version="1.4")
    (row,) = read(file)
    assert (row["BilledCost"], row["ListCost"], row["x_ListCostEstimated"]) == ("9.00", "9.00", "true")
    assert broken_rules(file.content, "1.4") == []


def test_two_rates_for_one_account_are_refused():
    fx = {"invoice_currency": "USD", "billing_currency": "EUR", "fx_rate_date": dt.date(2026, 10, 30)}
    lines = chargeback(fx | {"fx_rate": D("0.9")}, fx | {"fx_rate": D("0.8")})
    with pytest.raises(ConservationError, match="rates"):
        focus(lines, invoice_lines())


def test_several_invoices_of_one_account_are_tied_together():
    bill = invoice_lines({"invoice_id": "A", "billed_cost": D("1.005")}, {"invoice_id": "B", "billed_cost": D("2.005")})
    papers = invoices({"invoice_id": "A", "invoice_total": D("1.00")}, {"invoice_id": "B", "invoice_total": D("2.01")})
    lines = allocated(bill, [[("ads", None, 1)], [("ops", None, 1)]], totals={("openai", "org-1", "USD"): D("3.01")})
    rows = read(focus(lines, bill, papers))
    assert {row["InvoiceId"] for row in rows} == {"A", "B"}
    assert total(rows, "BilledCost") == D("3.01")


def test_order_of_the_tables_does_not_matter():
    lines, bill, papers = awkward_month()
    for version in VERSIONS:
        assert focus(lines, bill, papers, version=version) == focus(
            lines.reverse(), bill.reverse(), papers.reverse(), version=version
        )


CENTS = st.decimals(min_value=-(10**9), max_value=10**9, places=2, allow_nan=False)
EXACT = st.decimals(min_value=-(10**9), max_value=10**9, places=18, allow_nan=False)
QUANTITY = st.none() | st.decimals(min_value=0, max_value=10**12, places=6, allow_nan=False)
BILLS = st.fixed_dictionaries(
    {
        "provider_name": st.sampled_from(["openai", "azure"]),
        "billing_account_id": st.sampled_from(["a", "b"]),
        "billing_currency": st.sampled_from(["USD", "JPY"]),
        "charge_category": st.sampled_from(["Usage", "Purchase", "Tax", "Credit", "Adjustment"]),
        "charge_kind": st.sampled_from(["usage", "seat", "capacity", "prepaid"]),
        "charge_class": st.sampled_from([None, "Correction"]),
        "service_name": st.sampled_from(["A", "B", " ", "", HOSTILE]),
        "service_category": st.sampled_from([None, "", "Compute", "AI and machine learning", "x"]),
        "commitment_discount_id": st.sampled_from([None, "", "c-1"]),
        "commitment_discount_status": st.sampled_from([None, "Used", "unused", "?"]),
        "sub_account_id": st.sampled_from([None, "s"]),
        "sub_account_name": st.sampled_from([None, "", "S"]),
        "invoice_issuer_name": st.sampled_from([None, "", "Reseller"]),
        "model_id": st.sampled_from([None, "m"]),
        "billed_cost": EXACT | CENTS,
        "list_cost": EXACT,
        "contracted_cost": EXACT,
        "is_list_cost_estimated": st.booleans(),
        "consumed_quantity": QUANTITY,
        "consumed_unit": st.sampled_from([None, "Tokens", ""]),
        "pricing_quantity": QUANTITY,
        "pricing_unit": st.sampled_from([None, "1000 Tokens", "GB-Hours"]),
    }
)
SHARES = st.lists(
    st.tuples(
        st.sampled_from(["search", "ads", "ops", "unallocated", "unexplained"]),
        st.none() | st.decimals(min_value=0, max_value=10**6, places=9, allow_nan=False),
        st.integers(min_value=1, max_value=10**6),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(BILLS, SHARES), max_size=6), st.booleans(), st.sampled_from(VERSIONS))
def test_any_month_keeps_the_rules_and_the_sums(found, is_converted, version):
    bill = invoice_lines(*(line for line, _ in found))
    rate = ("EUR", D("0.93"), dt.date(2026, 10, 30)) if is_converted else None
    own = allocated(bill, [shares for _, shares in found], rate=rate)
    lines = pl.concat([own, late_lines()])
    file = focus(lines, bill, version=version)
    rows = read(file)
    assert broken_rules(file.content, version) == []
    billed = lines.filter(pl.col("charge_basis") == "billed").group_by("billing_currency").agg(pl.col("allocated_cost").sum())
    for currency, amount in billed.iter_rows():
        assert total(rows, "BilledCost", BillingCurrency=currency) == amount
        assert Decimal(file.control_totals[currency]["BilledCost"]) == amount
    if not is_converted:
        _check_divided(rows, bill)


def _check_divided(rows, bill):
    sums = defaultdict(lambda: defaultdict(Decimal))
    for row in rows:
        for column in ("ListCost", "ContractedCost"):
            sums[row["x_InvoiceLineId"]][column] += Decimal(row[column])
    for line in bill.filter(~pl.col("charge_category").is_in(["Credit", "Adjustment"])).to_dicts():
        for column in ("ListCost", "ContractedCost"):
            assert sums[line["invoice_line_id"]][column] == line[MAP[column]]


def test_owner_is_named_in_allocated_columns_and_unallocated_in_none():
    rows = read(focus(*awkward_month(), version="1.3"))
    by_kind = {row["x_LineKind"]: row for row in rows}
    assert by_kind["allocated"]["AllocatedResourceId"] == by_kind["allocated"]["x_TeamId"]
    for kind in ("unallocated", "unexplained", "rounding"):
        assert by_kind[kind]["AllocatedResourceId"] == by_kind[kind]["AllocatedTags"] == ""
    assert by_kind["rounding"]["AllocatedMethodId"] == by_kind["rounding"]["AllocatedMethodDetails"] == ""
    assert by_kind["unexplained"]["AllocatedMethodId"] == "usage"
    assert owner("ads")["team_name"] in {row["AllocatedResourceName"] for row in rows}
