"""chargeback.xlsx holds real numbers and dates, no formula, every amount to the cent, and the same bytes for the same content."""

import io
import re
import zipfile
from dataclasses import replace
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.reports.finance_months import HOSTILE, awkward_month
from tests.unit.reports.finance_rows import AS_OF, MONTH, D, chargeback, cost
from usage_etl.errors import ConservationError
from usage_etl.reports.chargeback_files import month_lines
from usage_etl.reports.finance import sheets, workbook
from usage_etl.reports.finance.workbook import Cover, chargeback_xlsx

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
COVER = Cover(organization_name="=Northwind", month=MONTH, as_of=AS_OF, versions={"code": "1.2.3", "price_book": "p"})
SHEETS = {"Summary": 1, "Lines": 2, "Corrections": 3, "Trust": 4}


def book(lines, **changes):
    return chargeback_xlsx(month_lines(lines), cover=replace(COVER, **changes), gl_accounts={"cc-100": "6100"})


def part(file, name):
    with zipfile.ZipFile(io.BytesIO(file.content)) as package:
        return package.read(name).decode()


def cells(file, sheet):
    """Rows of a sheet as (type, text) by column letter, read by another parser."""
    shared = [
        "".join(text.text or "" for text in item.iter(f"{MAIN}t")) for item in ET.fromstring(part(file, "xl/sharedStrings.xml"))
    ]
    rows = []
    for row in ET.fromstring(part(file, f"xl/worksheets/sheet{SHEETS[sheet]}.xml")).iter(f"{MAIN}row"):
        found = {}
        for cell in row:
            value, kind = cell.findtext(f"{MAIN}v"), cell.get("t", "n")
            if value is not None:
                found[re.sub(r"\d", "", cell.get("r"))] = (kind, shared[int(value)] if kind == "s" else value)
        rows.append(found)
    return rows


def table(file, sheet):
    """Rows below the header as dictionaries by column name."""
    _, header, *rows = cells(file, sheet)
    return [{name: row.get(letter) for letter, (_, name) in header.items()} for row in rows]


def test_sheets_hold_all_lines_and_their_totals():
    lines = awkward_month()[0]
    file = book(lines)
    assert (len(table(file, "Lines")), len(table(file, "Corrections"))) == (lines.height - 4, 4)
    totals = {row["billing_currency"][1]: row for row in table(file, "Summary") if row["cost_center_id"] is None}
    assert {currency: Decimal(row["allocated_cost"][1]) for currency, row in totals.items()} == {
        "EUR": D("15.1"),
        "USD": D("2233.41"),
    }
    assert totals["USD"]["cost_center_name"] == ("s", "Total USD")
    assert {row["gl_account"] for row in table(file, "Summary") if row["cost_center_id"] == ("s", "cc-100")} == {("s", "6100")}
    assert file.rows_count == lines.height


def test_numbers_are_numbers_dates_are_dates_and_text_is_text():
    file = book(awkward_month()[0])
    for row in table(file, "Lines"):
        assert {row[name][0] for name in ("allocated_cost", "requests_count", "total_tokens")} == {"n"}
        assert {row[name][0] for name in ("provider_name", "line_id", "billing_currency")} == {"s"}
    late = [row["corrects_month"] for row in table(file, "Corrections") if row["dispute_id"] is None]
    assert late == [("n", "46266"), ("n", "46266")], "1 September 2026 as a spreadsheet counts days"
    assert HOSTILE in {row["service_name"][1] for row in table(file, "Lines") if row["service_name"]}


@pytest.mark.parametrize("name", SHEETS)
def test_no_formula_no_link_and_a_frozen_filtered_header(name):
    file = book(awkward_month()[0])
    xml = part(file, f"xl/worksheets/sheet{SHEETS[name]}.xml")
    assert "<f>" not in xml
    assert "hyperlink" not in xml
    assert 'state="frozen"' in xml
    assert "<autoFilter" in xml
    assert "<cols>" in xml


def test_amounts_wear_their_currency():
    styles = part(
        book(chargeback({}, cost("7") | {"billing_currency": "JPY"}, cost("1") | {"billing_currency": "US$"})), "xl/styles.xml"
    )
    assert "[$USD] #,##0.00;" in styles
    assert "[$JPY] #,##0;" in styles
    assert "US$]" not in styles, "a code that is none stays out of the format"


def test_equal_content_has_equal_bytes_and_the_clock_is_not_read():
    lines = awkward_month()[0]
    assert book(lines).content == book(lines.reverse()).content
    assert "2026-11-01T00:00:00Z" in part(book(lines), "docProps/core.xml")


def test_trust_sheet_says_status_versions_and_totals():
    facts = {row["A"][1]: row["B"][1] for row in cells(book(awkward_month()[0]), "Trust")}
    assert facts["Organization"] == "=Northwind"
    assert facts["Status of openai"] == "preliminary"
    assert facts["Version of code"] == "1.2.3"
    assert facts["Total of allocated_cost in USD"] == "2233.41"
    assert facts["Amounts written as text, being too large for a spreadsheet"] == "0"


def test_lines_beyond_the_limit_are_said_to_be_missing(monkeypatch):
    monkeypatch.setattr(workbook, "MAX_LINES", 2)
    file = book(chargeback({}, {}, cost("5.00")))
    assert len(table(file, "Lines")) == 2
    assert cells(file, "Lines")[0]["A"][1] == "The first 2 of 3 lines. All of them stand in chargeback.csv."
    assert Decimal(table(file, "Summary")[-1]["allocated_cost"][1]) == D("7.48"), "totals are of all lines"
    assert cells(book(chargeback({}, {})), "Lines")[0]["A"][1] == "All 2 lines."


def test_amount_that_no_double_holds_is_text_and_counted():
    file = book(chargeback(cost("9007199254740.93"), cost("90071992547409931.01")))
    found = [row["allocated_cost"] for row in table(file, "Lines")]
    assert found == [("n", "9007199254740.93"), ("s", "90071992547409931.010000000000000000")]
    facts = {row["A"][1]: row["B"][1] for row in cells(file, "Trust")}
    assert facts["Amounts written as text, being too large for a spreadsheet"] == "6"


def test_text_that_is_too_long_is_cut_with_a_mark_and_controls_survive():
    file = book(chargeback({"service_name": "x" * 40_000, "team_name": "a\x00\x1f_x0041_\u202e"}))
    row = table(file, "Lines")[0]
    assert row["service_name"][1] == "x" * 32_000 + " …"
    assert row["team_name"][1].startswith("a")


def test_no_lines_make_a_workbook():
    file = book(chargeback())
    assert table(file, "Lines") == table(file, "Summary") == []
    assert file.control_totals == {}


def test_a_changed_amount_is_found(monkeypatch):
    real = sheets.is_held
    monkeypatch.setattr(sheets.Sheet, "_write_amounts", lambda self, sheet, styles, place, found: 0)
    with pytest.raises(ConservationError, match="Summary billed_cost in row 3"):
        book(chargeback({}))
    assert real(D("0.10"), "USD")


AMOUNTS = st.decimals(min_value=-(10**13), max_value=10**13, places=2, allow_nan=False)


@settings(max_examples=30, deadline=None)
@given(st.lists(AMOUNTS, min_size=1, max_size=20))
def test_every_amount_reads_back_to_the_cent(amounts):
    rows = table(book(chargeback(*(cost(amount) for amount in amounts))), "Lines")
    assert [Decimal(row["allocated_cost"][1]).quantize(D("0.01")) for row in rows] == amounts


def test_sums_stand_apart_and_are_left_out_of_the_filter():
    file = book(awkward_month()[0])
    xml = part(file, "xl/worksheets/sheet1.xml")
    last = len(cells(file, "Summary"))
    assert f'<autoFilter ref="A2:K{last - 2}"/>' in xml, "two currencies, two sums"
    assert f'<conditionalFormatting sqref="A{last - 1}:K{last}">' in xml


@pytest.mark.parametrize("name", ["Summary", "Lines", "Corrections"])
def test_paper_shows_every_column_on_one_page_under_the_header_and_the_year(name):
    file = book(awkward_month()[0])
    setup = re.search(r"<pageSetup ([^>]*)/>", part(file, f"xl/worksheets/sheet{SHEETS[name]}.xml"))
    assert setup
    assert {'orientation="landscape"', 'fitToHeight="0"'} <= set(setup[1].split())
    assert f'<definedName name="_xlnm.Print_Titles" localSheetId="{SHEETS[name] - 1}">{name}!$1:$2' in part(
        file, "xl/workbook.xml"
    )
    assert f"Chargeback {MONTH.first_day:%B %Y}" in cells(file, "Summary")[0]["A"][1]
