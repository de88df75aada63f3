"""A statement says each amount once: ladder, tables, sentences and CSV are the same money."""

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.reports.paper_sample import CENTER, DISPUTES, LINE, OCTOBER, mart, statement, usage_lines, usual_lines
from usage_etl.errors import ConservationError
from usage_etl.money import exact_sum, minor_unit
from usage_etl.reports import statement as statement_module
from usage_etl.reports.booked_lines import PARTS, read_lines
from usage_etl.reports.csv_dialect import read_printed
from usage_etl.reports.formatting import money_exact
from usage_etl.reports.statement import build_statement
from usage_etl.reports.statement_disputes import disputes_by_cost_center
from usage_etl.reports.statement_model import CostCenter, DisputeFact, Statement
from usage_etl.reports.statement_print import statement_csv
from usage_etl.schemas import DIM_DISPUTE
from usage_etl.schemas.chargeback import CHARGE_KINDS

MINUS = "\N{MINUS SIGN}"


def number(text: str) -> Decimal:
    """The amount that a reader sees."""
    return Decimal(text.replace(MINUS, "-").replace(",", "").lstrip("$€¥+"))


def ladder(sheet: Statement, place: int = 0) -> dict[str, str]:
    return {row.kind: row.amount.text for row in sheet.parts[place].ladder}


def test_the_ladder_goes_from_charges_to_the_total():
    steps = ladder(statement())
    assert list(steps) == ["charge", "credit", "tax_support", "correction", "dispute", "subtotal", "estimate", "total"]
    assert steps["credit"] == f"{MINUS}250.00"
    assert steps["tax_support"] == "228.12"
    assert steps["correction"] == f"{MINUS}19.45"
    assert steps["dispute"] == f"{MINUS}75.00"
    assert steps["estimate"] == "57.31"
    printed = [number(text) for kind, text in steps.items() if kind not in {"subtotal", "total"}]
    assert sum(printed) == number(steps["total"])
    assert number(steps["subtotal"]) == sum(printed) - number(steps["estimate"])


def test_a_ladder_without_estimates_has_no_subtotal_and_says_total_due():
    sheet = statement(usage_lines())
    assert list(ladder(sheet)) == ["charge", "total"]
    assert sheet.parts[0].ladder[-1].label == "Total due"
    assert statement(usage_lines(), status="open").parts[0].ladder[-1].label == "Total due so far"
    assert sheet.parts[0].estimated.value is None


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ({}, "charge"),
        ({"charge_kind": "seat"}, "charge"),
        ({"charge_category": "Credit"}, "credit"),
        ({"charge_kind": "credit"}, "credit"),
        ({"charge_category": "Tax"}, "tax_support"),
        ({"charge_kind": "support"}, "tax_support"),
        ({"line_kind": "rounding", "charge_category": "Tax"}, "rounding"),
        ({"charge_basis": "priced_usage"}, "estimate"),
        ({"charge_basis": "priced_usage", "corrects_month": dt.date(2026, 9, 1)}, "correction"),
        ({"charge_category": "Credit", "corrects_month": dt.date(2026, 9, 1)}, "correction"),
        ({"dispute_id": "D-1", "corrects_month": dt.date(2026, 9, 1)}, "dispute"),
        ({"line_kind": "dispute"}, "dispute"),
    ],
)
def test_every_line_has_one_place(line, part):
    (booked,) = read_lines(mart(line))
    assert booked.part == part


CELLS = st.fixed_dictionaries(
    {
        "allocated_cost": st.integers(-(10**11), 10**11),
        "charge_kind": st.sampled_from(CHARGE_KINDS),
        "charge_category": st.sampled_from(["Usage", "Purchase", "Tax", "Credit", "Adjustment"]),
        "line_kind": st.sampled_from(["allocated", "unallocated", "estimate", "rounding", "dispute"]),
        "charge_basis": st.sampled_from(["billed", "priced_usage"]),
        "corrects_month": st.none() | st.just(dt.date(2026, 9, 1)),
        "dispute_id": st.none() | st.text("=D1\u05d0", min_size=1, max_size=3),
        "model_id": st.none() | st.text(max_size=4) | st.just("m" * 200),
        "team_name": st.text(min_size=0, max_size=5),
        "provider_name": st.sampled_from(["openai", "anthropic", "=cmd", "x" * 80]),
        "billing_currency": st.sampled_from(["USD", "EUR", "JPY", "KWD"]),
        "requests_count": st.integers(0, 10**9),
    }
)


def to_line(cells):
    team = {"team_id": f"t-{cells['team_name']}"}
    return cells | team | {"allocated_cost": cells["allocated_cost"] * minor_unit(cells["billing_currency"])}


@given(st.lists(CELLS, max_size=25), st.lists(CELLS, max_size=6), st.sampled_from(["open", "preliminary", "closed"]))
@settings(max_examples=150, deadline=None)
def test_every_part_of_any_statement_is_the_sum_of_its_lines(cells, earlier, status):
    lines = [to_line(one) for one in cells]
    frame = mart(*lines)
    sheet = statement(lines, previous=[to_line(one) for one in earlier], status=status)
    assert [part.currency for part in sheet.parts] == sorted({line["billing_currency"] for line in lines})
    for part in sheet.parts:
        total = exact_sum(frame.filter(pl.col("billing_currency") == part.currency)["allocated_cost"])
        assert part.total.value == total
        assert part.ladder[-1].amount.text == money_exact(total, part.currency)
        steps = [number(row.amount.text) for row in part.ladder if row.kind in PARTS and row.amount.value is not None]
        assert sum(steps) == total
        for table in (part.owners, part.subjects):
            place = next(index for index, column in enumerate(table.columns) if column.is_strong)
            cells_shown = [number(row.figures[place].text) for row in table.rows]
            assert sum(cells_shown[:-1]) == cells_shown[-1] == total
        place = next(index for index, column in enumerate(part.owners.columns) if column.is_strong)
        for row in part.owners.rows if place else ():
            assert sum(one.value or 0 for one in row.figures[:place]) == row.figures[place].value
        assert sum(number(row.amount.text) for row in part.rules) == total
        assert money_exact(abs(total), part.currency) in sheet.headline
    csv = statement_csv(sheet, frame)
    printed = read_printed(csv.content)
    for part in sheet.parts:
        rows = printed.filter(pl.col("billing_currency") == part.currency)
        assert sum(map(Decimal, rows["allocated_cost"])) == part.total.value


def test_a_statement_that_lost_a_line_is_refused(monkeypatch):
    monkeypatch.setattr(statement_module, "read_lines", lambda frame: read_lines(frame)[1:])
    with pytest.raises(ConservationError, match="statement, total in USD"):
        statement()


def test_the_csv_of_other_lines_is_refused():
    sheet = statement()
    with pytest.raises(ConservationError, match=r"statement_cc-1100_uc\.csv"):
        statement_csv(sheet, mart(*usual_lines()[1:]))


def test_lines_of_another_cost_center_are_refused():
    with pytest.raises(ValueError, match="CC-9"):
        build_statement(
            mart({"cost_center_id": "CC-9"}), None, CENTER, month=OCTOBER, as_of=dt.date(2026, 10, 31), organization_name="N",
            status="open",
        )  # fmt: skip


def test_the_headline_names_amount_comparison_cause_and_estimate():
    model = {"provider_name": "openai", "model_id": "gpt-5.2"}
    other = {"provider_name": "anthropic", "model_id": "claude-opus-5"}
    sheet = statement(
        [model | {"allocated_cost": "150.00"}, other | {"allocated_cost": "20.00"}],
        previous=[model | {"allocated_cost": "80.00"}, other | {"allocated_cost": "20.00"}],
    )
    assert sheet.headline.replace("\u00a0", " ") == (
        "Platform Engineering is charged $170.00 for October 2026, 70 % more than for September ($100.00). "
        "gpt-5.2 of OpenAI added most, $70.00."
    )
    assert sheet.subject == "AI charges of Platform Engineering, October 2026: $170.00, 70 % more than for September ($100.00)"
    assert "$57.31 of it is an estimate, because DeepSeek has delivered no bill." in statement().headline


@pytest.mark.parametrize(
    ("now", "before", "said"),
    [
        ("90.00", "100.00", "10\u00a0% less than for September ($100.00). gpt-5.2 took off most, $10.00."),
        ("100.00", "100.00", "October 2026, the same as for September."),
        ("100.10", "100.00", "less than 1\u00a0% more than for September ($100.00)."),
        ("2000.00", "100.00", "20\N{MULTIPLICATION SIGN} as much as for September ($100.00)."),
        ("5.00", "-100.00", f"after {MINUS}$100.00 for September."),
        ("-5.00", "100.00", "is credited $5.00 for October 2026, after $100.00 for September."),
    ],
)
def test_comparisons_are_never_nonsense(now, before, said):
    found = statement([{"allocated_cost": now}], previous=[{"allocated_cost": before}]).headline
    assert said.replace("\u00a0", " ") in found.replace("\u00a0", " ")


def test_no_earlier_month_is_not_the_same_as_nothing_earlier():
    unknown = statement(usage_lines(), has_previous=False)
    assert "There is no earlier month to compare with." in unknown.headline
    assert "vs Sep" not in [column.label for column in unknown.parts[0].owners.columns]
    nothing = statement(usage_lines(), previous=[])
    assert "after nothing for September" in nothing.headline
    assert nothing.parts[0].owners.rows[0].figures[-1].text == "new"


def test_a_statement_about_nothing_says_so_and_adds_no_zero():
    sheet = statement([], previous=[])
    assert sheet.headline.replace("\u00a0", " ") == "Nothing is charged to Platform Engineering for October 2026."
    assert sheet.parts == ()
    assert (sheet.lines.value, sheet.how_to_dispute) == (0, ())
    assert statement_csv(sheet, mart()).rows_count == 0


@pytest.mark.parametrize(
    ("center_id", "audience", "headline"),
    [
        ("unallocated", "unallocated", "Nobody owns $31.74 of the AI charges of October 2026"),
        ("unexplained", "unexplained", "No logged usage explains $31.74 of the AI bills of October 2026"),
    ],
)
def test_money_of_nobody_is_finances(center_id, audience, headline):
    center = CostCenter(center_id, center_id.capitalize(), "AI-OPEN")
    line = {
        "line_kind": center_id,
        "team_id": center_id,
        "team_name": center_id,
        "allocated_cost": "31.74",
        "sub_account_id": "p-1",
    }
    sheet = statement([line], center=center, has_previous=False)
    assert sheet.audience == audience
    assert sheet.headline.replace("\u00a0", " ").startswith(headline)
    assert sheet.parts[0].owners.first == "Account"
    assert sheet.parts[0].owners.rows[0].name == "org-northwind / p-1"


def test_currencies_are_never_added():
    sheet = statement([*usage_lines(), *usage_lines(("Tokyo",), billing_currency="JPY", allocated_cost="1000")])
    assert [part.total.text for part in sheet.parts] == ["¥6,000", "$11,523.60"]
    assert "¥6,000 and $11,523.60" in sheet.headline
    assert sheet.subject.endswith("¥6,000 and $11,523.60")


def test_long_tables_end_in_a_row_that_ties():
    table = statement(usage_lines(tuple(f"Team {place}" for place in range(60)))).parts[0].owners
    assert [row.kind for row in table.rows[-3:]] == ["member", "rest", "total"]
    assert len(table.rows) == 42
    assert table.rows[-2].name == "200 more rows, in the CSV"


def test_two_teams_of_one_name_are_told_apart():
    sheet = statement([{"team_id": "a", "allocated_cost": "2"}, {"team_id": "b", "allocated_cost": "1"}])
    assert [row.name for row in sheet.parts[0].owners.rows] == ["Platform Core (a)", "Platform Core (b)", "Total"]


def test_requests_are_those_of_charged_use_alone():
    sheet = statement(
        [
            {"requests_count": 5, "total_tokens": 9, "allocated_cost": "2"},
            {"requests_count": 5, "corrects_month": dt.date(2026, 9, 1), "correction_reason": "late", "allocated_cost": "1"},
        ]
    )
    assert [row.figures[0].text for row in sheet.parts[0].subjects.rows] == ["5", "\N{EN DASH}", "5"]


def test_corrections_name_month_and_reason_and_are_told_as_one_rule():
    line = {"rule_name": "correction", "corrects_month": dt.date(2026, 9, 1), "correction_reason": "bill restated"}
    sheet = statement([line | {"allocated_cost": "1", "allocation_rule": f"2026-09: {n} now"} for n in range(3)])
    (row,) = sheet.parts[0].corrections
    assert (row.month, row.provider, row.reason, row.lines.text, row.amount.text) == (
        "September 2026", "OpenAI", "bill restated", "3", "3.00",
    )  # fmt: skip
    assert [rule.name for rule in sheet.parts[0].rules] == ["correction"]


def test_conversions_name_rate_day_and_source():
    rate = {
        "invoice_currency": "EUR",
        "fx_rate": Decimal("1.0834"),
        "fx_rate_date": dt.date(2026, 10, 30),
        "fx_rate_source": "ECB",
    }
    (sentence,) = statement(usage_lines(("A",), **rate)).parts[0].conversions
    assert sentence.replace("\u00a0", " ") == (
        "Invoices of Anthropic, Google, Mistral and OpenAI in EUR are converted at 1.0834 USD for 1 EUR, "
        "the rate of 30 October 2026 by ECB."
    )
    assert statement(usage_lines()).parts[0].conversions == ()


def test_statuses_of_providers_are_named_where_they_differ():
    sheet = statement([{}, {"provider_name": "anthropic", "period_status": "preliminary"}], status="preliminary", version="")
    assert sheet.header.status.text == "Preliminary"
    assert sheet.header.status_note.startswith("Closed: OpenAI. Preliminary: Anthropic.")


def test_the_id_is_that_of_the_content():
    assert statement().statement_id == statement(as_of=dt.date(2026, 10, 30), proof=None).statement_id
    others = [
        statement(version="2"),
        statement(status="preliminary"),
        statement(usual_lines()[1:]),
        statement(disputes=()),
        statement(previous=[]),
        statement(center=CostCenter("CC-1100", "Renamed", "6410-AI")),
    ]
    assert len({one.statement_id for one in [statement(), *others]}) == 7


def test_disputes_reach_who_is_charged_and_who_takes_over():
    line = mart({"line_id": "a" * 32}, {"dispute_id": "D-1", "cost_center_id": "CC-2", "allocated_cost": "5"})
    row = {
        "dispute_id": "D-1", "line_id": "a" * 32, "disputed_cost": Decimal(5), "reason": "not ours", "raised_by": "x",
        "raised_date": dt.date(2026, 10, 2), "resolution": "accepted", "accepted_cost": None, "charge_to_team_id": None,
        "resolved_date": dt.date(2026, 10, 9),
    }  # fmt: skip
    frame = pl.DataFrame([row, row | {"dispute_id": "D-2", "line_id": "gone"}], schema=DIM_DISPUTE.polars_schema, orient="row")
    fact = DisputeFact("D-1", "accepted", "not ours", Decimal(5), "USD", dt.date(2026, 10, 9))
    assert disputes_by_cost_center(frame, [line]) == {LINE["cost_center_id"]: (fact,), "CC-2": (fact,)}


def test_disputes_say_what_was_decided_and_what_is_booked_here():
    accepted, waiting = statement().disputes
    assert accepted.decision.replace("\u00a0", " ") == "Accepted, 20 Oct 2026"
    assert (accepted.disputed.text, accepted.booked.text) == ("$75.00", f"{MINUS}$75.00")
    assert (waiting.dispute_id, waiting.decision, waiting.booked.value) == ("DSP-0051", "Not decided yet", None)
    many = [DisputeFact(f"D-{place:03d}", "rejected", "r", Decimal(1), "USD") for place in range(30)]
    sheet = statement(disputes=[*DISPUTES, *many])
    assert sheet.disputes[0].dispute_id == "DSP-0042"
    assert (len(sheet.disputes), sheet.disputes_rest) == (10, "22 more disputes; booked ones are in the CSV")


def test_a_statement_survives_json():
    assert Statement.model_validate_json(statement().model_dump_json()) == statement()
