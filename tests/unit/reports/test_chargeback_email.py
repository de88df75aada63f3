"""The chargeback mail: two cuts of the same money, and amounts that are the mart's."""

from decimal import Decimal

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.reports.paper_sample import OCTOBER, center_lines, mart, usual_lines
from tests.unit.reports.test_statement import CELLS, to_line
from usage_etl.money import exact_sum
from usage_etl.reports.chargeback_email import render_chargeback_email
from usage_etl.reports.formatting import money_exact

FIRST_CUT = ("Billed, to the cent", "Credits", "Corrections of closed months", "Disputes", "Estimated, no bill delivered")
SECOND_CUT = ("By cost center", "Charged to nobody")
NOBODY = {
    "line_kind": "unallocated",
    "cost_center_id": "unallocated",
    "cost_center_name": "Unallocated",
    "allocated_cost": "12.30",
}


def mail_of(*lines):
    return render_chargeback_email(mart(*lines), month=OCTOBER, organization_name="Northwind AI Systems")


def blocks(text, currency):
    """Heading to the amounts below it."""
    found = {}
    for block in text.split("\n\n"):
        title, _, rows = block.partition(f" ({currency})\n")
        if rows:
            found[title] = [line.rsplit(maxsplit=1)[1] for line in rows.splitlines() if line.strip()]
    return found


def number(text):
    return Decimal(text.replace("\N{MINUS SIGN}", "-").replace(",", "").lstrip("-$€¥KWD") or "0") * (
        -1 if text.startswith("\N{MINUS SIGN}") else 1
    )


def test_every_section_is_the_sum_of_the_marts_lines():
    text = mail_of(*usual_lines(), NOBODY).text
    found = blocks(text, "USD")
    assert list(found) == [*FIRST_CUT, *SECOND_CUT]
    assert found["Credits"] == ["\N{MINUS SIGN}$250.00"]
    assert found["Disputes"] == ["\N{MINUS SIGN}$75.00"]
    assert found["Estimated, no bill delivered"] == ["$57.31"]
    assert sorted(found["Corrections of closed months"]) == ["$12.05", "\N{MINUS SIGN}$31.50"]
    assert found["Charged to nobody"] == ["$12.30"]
    assert "September 2026, Anthropic: The provider restated its bill on 12 October 2026" in text


@given(st.lists(CELLS.map(lambda cells: cells | {"billing_currency": "USD", "dispute_id": None}), min_size=1, max_size=25))
@settings(max_examples=60, deadline=None)
def test_both_cuts_add_up_to_the_total(cells):
    lines = [to_line(one) for one in cells]
    frame = mart(*lines)
    total = exact_sum(frame["allocated_cost"])
    mail = render_chargeback_email(frame, month=OCTOBER, organization_name="N")
    found = blocks(mail.text, "USD")
    for cut in (FIRST_CUT, SECOND_CUT):
        assert sum(number(amount) for title in cut for amount in found.get(title, [])) == total
    assert money_exact(total, "USD") in mail.html
    assert money_exact(total, "USD") in mail.subject


def test_hundreds_of_cost_centers_become_forty_and_a_row_that_ties():
    mail = mail_of(*center_lines(300))
    amounts = blocks(mail.text, "USD")["By cost center"]
    assert len(amounts) == 41
    assert "260 more, in the files" in mail.text
    assert sum(map(number, amounts)) == exact_sum(mart(*center_lines(300))["allocated_cost"])
    assert len(mail.html.encode()) < 60_000


def test_the_status_is_said_and_named_where_providers_differ():
    assert "Closed: these files do not change any more." in mail_of({}).text.replace("\n", " ")
    assert mail_of({}).subject == "AI chargeback, October 2026: $0.00, closed"
    mixed = mail_of({}, {"provider_name": "anthropic", "period_status": "preliminary"})
    assert "Closed: OpenAI. Preliminary: Anthropic." in mixed.text.replace("\n", " ")
    assert mixed.subject.endswith(", preliminary")
    assert mail_of({"period_status": "open"}).subject.endswith("$0.00 so far")


def test_currencies_stay_apart():
    mail = mail_of({"allocated_cost": "5"}, {"allocated_cost": "7", "billing_currency": "JPY"})
    assert mail.subject == "AI chargeback, October 2026: ¥7 and $5.00, closed"
    assert blocks(mail.text, "JPY")["Billed, to the cent"] == ["¥7"]


def test_a_month_without_lines():
    mail = mail_of()
    assert mail.subject == "AI chargeback, October 2026: no charges"
    assert "No charge and no priced usage in this month." in mail.html


def test_names_are_escaped():
    mail = mail_of({"cost_center_name": "<script>alert(1)</script>", "correction_reason": None, "allocated_cost": "1"})
    assert "<script" not in mail.html
    assert pl.Series([mail.html]).str.contains("&lt;script&gt;").all()
