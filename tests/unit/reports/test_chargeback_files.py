"""The finance files print the mart exactly, add up, and hold nothing that a spreadsheet would run."""

import csv
import datetime as dt
import io
import unicodedata
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.reports.finance_rows import chargeback as mart
from usage_etl.errors import ConservationError, ContractError
from usage_etl.reports.chargeback_files import (
    chargeback_csv,
    chargeback_files,
    chargeback_parquet,
    check_printed_totals,
    cost_center_csv,
)
from usage_etl.reports.csv_dialect import guard_text, print_amount, read_printed, spreadsheet_csv
from usage_etl.schemas.chargeback import MART_CHARGEBACK_MONTHLY


def by_excel(content):
    """Rows as an independent reader sees them, header first."""
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def is_live(cell):
    """Whether a spreadsheet could take the cell for a formula: the rule written a second time, by character class."""
    for character in cell:
        if unicodedata.normalize("NFKC", character)[:1] in tuple("=+-@\N{MINUS SIGN}") or unicodedata.category(character) == "Cc":
            return True
        if not (character in ' "' or unicodedata.category(character) in ("Zs", "Zl", "Zp", "Cf")):
            return False
    return False


def test_dialect_is_bom_crlf_and_mart_order():
    file = chargeback_csv(mart({}, {"team_id": "ads", "cost_center_name": 'a "b", c'}))
    assert file.content.startswith(b"\xef\xbb\xbfmonth,line_id,")
    assert file.content.count(b"\r\n") == file.content.count(b"\n") == 3
    assert by_excel(file.content)[0] == list(MART_CHARGEBACK_MONTHLY.columns) == list(file.columns)
    place = list(file.columns).index("team_id")
    assert [row[place] for row in by_excel(file.content)[1:]] == ["ads", "search"]
    assert 'a "b", c' in by_excel(file.content)[1]
    assert (file.name, file.rows_count) == ("chargeback.csv", 2)


def test_amounts_have_minor_digits_and_metered_has_all_its_digits():
    file = chargeback_csv(
        mart(
            {"allocated_cost": Decimal(-3), "metered_cost": Decimal("0.000000000000000001")},
            {"allocated_cost": Decimal(12), "metered_cost": Decimal(5), "billing_currency": "JPY"},
            {"allocated_cost": Decimal("0.125"), "metered_cost": Decimal("0.1"), "billing_currency": "KWD"},
            {"allocated_cost": Decimal("1e15"), "metered_cost": None},
        )
    )
    cells = {row["line_id"]: (row["allocated_cost"], row["metered_cost"]) for row in read_printed(file.content).to_dicts()}
    assert cells["line-00000"] == ("-3.00", "0.000000000000000001")
    assert cells["line-00001"] == ("12", "5")
    assert cells["line-00002"] == ("0.125", "0.100")
    assert cells["line-00003"] == ("1000000000000000.00", None)
    assert file.control_totals["USD"]["allocated_cost"] == "999999999999997.00"
    assert file.control_totals["KWD"] == {
        "allocated_cost": "0.125",
        "allocated_effective_cost": "0.125",
        "metered_cost": "0.100",
        "requests_count": "10",
        "total_tokens": "1000",
    }


def test_null_is_empty_and_empty_text_is_quoted():
    file = chargeback_csv(mart({"billing_account_id": None, "model_id": ""}))
    assert b'openai,,,OpenAI API,usage,Usage,,,"",' in file.content
    assert read_printed(file.content).select("billing_account_id", "model_id").row(0) == (None, "")


def test_amount_below_the_minor_unit_is_refused_not_rounded():
    with pytest.raises(ConservationError, match="minor units"):
        chargeback_csv(mart({"allocated_cost": Decimal("1.005")}))
    with pytest.raises(ConservationError, match="minor units"):
        chargeback_csv(mart({"allocated_cost": Decimal("1.5"), "billing_currency": "JPY"}))


def test_contract_and_month_are_checked_again():
    with pytest.raises(ContractError):
        chargeback_csv(mart({"line_kind": "guess"}))
    with pytest.raises(ValueError, match="holds 2"):
        chargeback_csv(mart({}, {"month": dt.date(2026, 11, 1)}))


def test_no_line_still_makes_files_with_headers():
    sheet, centers, parquet = chargeback_files(mart())
    assert (sheet.rows_count, centers.rows_count, parquet.rows_count) == (0, 0, 0)
    assert len(by_excel(sheet.content)) == 1
    assert sheet.control_totals == {}


def test_input_order_does_not_matter():
    lines = mart({"team_id": "b"}, {"team_id": "a"}, {"provider_name": "Anthropic"}, {"billing_account_id": None})
    for one, other in zip(chargeback_files(lines), chargeback_files(lines.reverse()), strict=True):
        assert one == other


def test_parquet_is_exact_and_unguarded():
    lines = mart({"team_name": "=1+1", "metered_cost": Decimal("0.000000000000000001")})
    found = pl.read_parquet(io.BytesIO(chargeback_parquet(lines).content))
    assert found.schema == MART_CHARGEBACK_MONTHLY.polars_schema
    assert found.equals(lines)


def test_cost_centers_keep_their_four_parts_apart_and_add_up():
    september = dt.date(2026, 9, 1)
    file = cost_center_csv(
        mart(
            {"allocated_cost": Decimal("10.01")},
            {"allocated_cost": Decimal("-2.00"), "charge_category": "Credit"},
            {"allocated_cost": Decimal("5.00"), "charge_basis": "priced_usage", "line_kind": "estimate", "period_status": "open"},
            {"allocated_cost": Decimal("-0.50"), "corrects_month": september, "charge_class": "Correction"},
            {"allocated_cost": Decimal("-3.00"), "line_kind": "dispute", "dispute_id": "D-1", "corrects_month": september},
            {"allocated_cost": Decimal("3.00"), "line_kind": "dispute", "dispute_id": "D-1", "cost_center_id": "cc-9"},
            {"allocated_cost": Decimal("0.99"), "cost_center_id": "unallocated", "line_kind": "unallocated"},
            {"allocated_cost": Decimal(700), "billing_currency": "JPY"},
        ),
        gl_accounts={"cc-100": "6100", "cc-9": "=1+1"},
    )
    rows = [tuple(row.values()) for row in read_printed(file.content).drop("month").to_dicts()]
    assert rows == [
        ("cc-100", "R&D", "6100", "700", "0", "0", "0", "700", "JPY", "1", "preliminary"),
        ("cc-100", "R&D", "6100", "8.01", "5.00", "-0.50", "-3.00", "9.51", "USD", "5", "open"),
        ("cc-9", "R&D", "'=1+1", "0.00", "0.00", "0.00", "3.00", "3.00", "USD", "1", "preliminary"),
        ("unallocated", "R&D", None, "0.99", "0.00", "0.00", "0.00", "0.99", "USD", "1", "preliminary"),
    ]
    assert file.control_totals["USD"]["allocated_cost"] == "13.50"
    assert file.guarded_cells == {"gl_account": 1}
    assert file.schema_version == "2"


def test_changed_cell_breaks_the_total_check_of_its_account():
    lines = mart({}, {"billing_account_id": "org-2", "allocated_cost": Decimal("7.00")})
    content = chargeback_csv(lines).content
    with pytest.raises(ConservationError, match="org-2"):
        check_printed_totals(
            "x.csv",
            content.replace(b"7.00", b"7.01"),
            lines,
            columns=("allocated_cost",),
            by=("provider_name", "billing_account_id"),
        )
    with pytest.raises(ConservationError, match=r"rows of x\.csv"):
        check_printed_totals("x.csv", content[: content.rindex(b"2026")], lines, columns=("allocated_cost",), by=("team_id",))


AMOUNTS = st.decimals(min_value=-(10**14), max_value=10**14, places=2, allow_nan=False)
LINES = st.fixed_dictionaries(
    {
        "allocated_cost": AMOUNTS,
        "metered_cost": st.none() | st.decimals(min_value=0, max_value=10**9, places=18, allow_nan=False),
        "provider_name": st.sampled_from(["OpenAI", "Anthropic"]),
        "billing_account_id": st.sampled_from(["a", "b", None]),
        "billing_currency": st.sampled_from(["USD", "EUR"]),
        "cost_center_id": st.sampled_from(["cc-1", "cc-2", "-cc", "unallocated"]),
        "charge_basis": st.sampled_from(["billed", "priced_usage"]),
        "team_name": st.text(max_size=6),
    }
)


@settings(max_examples=40, deadline=None)
@given(st.lists(LINES, max_size=12))
def test_printed_cells_add_up_to_the_mart(lines):
    frame = mart(*lines)
    for file in chargeback_files(frame)[:2]:
        header, *rows = by_excel(file.content)
        for currency in ("USD", "EUR"):
            printed = sum(
                (
                    Decimal(row[header.index("allocated_cost")])
                    for row in rows
                    if row[header.index("billing_currency")] == currency
                ),
                Decimal(0),
            )
            assert printed == sum((line["allocated_cost"] for line in lines if line["billing_currency"] == currency), Decimal(0))
            assert printed == Decimal(file.control_totals.get(currency, {}).get("allocated_cost", "0"))


@settings(max_examples=200, deadline=None)
@given(st.decimals(min_value=-(10**17), max_value=10**17, places=18, allow_nan=False))
def test_exact_amount_reads_back_without_exponent(amount):
    printed = print_amount(amount, "USD", is_exact=True)
    assert Decimal(printed) == amount
    assert "E" not in printed.upper()
    assert len(printed.partition(".")[2]) >= 2


FORMS = [form for form in map(chr, range(0x80, 0xFFFF)) if unicodedata.normalize("NFKC", form)[0] in "=+-@\N{MINUS SIGN}"]
PREFIXES = ["", " ", "\xa0", "\u3000", "\u200b", "\ufeff", '"', '" ', "\t", "\r", "\n", "\x00", "\x0b", "\x1f", "\x85"]
TRIGGERS = [*"=+-@", *FORMS, "\t", "\r", "\n", "\r\n", "\x00", "\x7f"]
PAYLOADS = ["", "1+1", "cmd|' /C calc'!A0", 'HYPERLINK("http://x.example","y")', "SUM(A1:A9)", "1;=2", "x\n=y", '5"', "1,=2"]
LEADS = ["", "R&D", "a;", "a; ", 'a;"', "a\t", "a\n", "a\r\n ", "a,"]


def hostile_names():
    """More than 10,000 names: every lead, prefix, trigger and payload, all with each other."""
    return [
        lead + prefix + trigger + payload for lead in LEADS for prefix in PREFIXES for trigger in TRIGGERS for payload in PAYLOADS
    ]


def test_ten_thousand_hostile_names_start_no_cell_and_shift_none():
    names = hostile_names()
    assert len(names) > 10_000
    frame = pl.DataFrame({"name": names, "currency": ["USD"] * len(names), "cost": [Decimal("-0.01")] * len(names)})
    frame = frame.with_columns(pl.col("cost").cast(pl.Decimal(38, 18)))
    printed = spreadsheet_csv(frame, currency_column="currency")
    rows = by_excel(printed.content)[1:]
    assert len(rows) == len(names)
    assert all(len(row) == 3 and row[1:] == ["USD", "-0.01"] for row in rows), "negative amounts stay numbers"
    assert not [row[0] for row in rows if is_live(row[0])]
    assert [row[0].replace("'", "") for row in rows] == [name.replace("'", "") for name in names], "nothing but quotes added"
    assert printed.guarded_cells == {"name": sum(row[0] != name for row, name in zip(rows, names, strict=True))}


def test_cells_cut_at_semicolons_are_guarded_too():
    """A spreadsheet in a country with decimal commas cuts cells at semicolons and does not know our quotes."""
    text = spreadsheet_csv(pl.DataFrame({"name": hostile_names(), "currency": "USD"}), currency_column="currency").content.decode(
        "utf-8-sig"
    )
    cells = [cell for line in text.splitlines() for cell in line.split(";")[1:]]
    assert not [cell for cell in cells if cell.lstrip(' "\xa0\u3000\u200b\ufeff')[:1] in ("=", "+", "-", "@", *FORMS)]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*TRIGGERS, *PREFIXES, ";", ",", "a", "'", "1"]) | st.characters(), max_size=8).map("".join))
@example("'=1")
def test_guard_leaves_no_live_cell_and_changes_no_other(text):
    guarded = guard_text(text)
    assert not is_live(guarded)
    if not is_live(text) and not any(separator in text for separator in ";\t\r\n"):
        assert guarded == text
    assert guard_text(guarded) == guarded


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.none() | st.text(max_size=8), st.none() | st.integers()), max_size=6))
def test_any_text_reads_back_in_both_readers(rows):
    numbers = [None if number is None else number % 2**63 for _, number in rows]
    frame = pl.DataFrame(
        {"name": [name for name, _ in rows], "n": numbers, "currency": ["USD"] * len(rows)},
        schema={"name": pl.String, "n": pl.Int64, "currency": pl.String},
    )
    content = spreadsheet_csv(frame, currency_column="currency").content
    wanted = [
        [guard_text(name) if name else "", "" if number is None else str(number), "USD"]
        for (name, _), number in zip(rows, numbers, strict=True)
    ]
    assert by_excel(content)[1:] == wanted


def test_file_that_reads_back_otherwise_is_not_made(monkeypatch):
    monkeypatch.setattr("usage_etl.reports.csv_dialect._quote", lambda cell: cell or "")
    with pytest.raises(ConservationError, match="team_name"):
        chargeback_csv(mart({"team_name": "a\rb"}, {"team_name": ""}))


def test_float_columns_are_refused():
    with pytest.raises(ValueError, match="Float64"):
        spreadsheet_csv(pl.DataFrame({"cost": [0.1], "currency": ["USD"]}), currency_column="currency")
