"""The section on savings: three recommendations at most, their range and effort, and the verdict on last month's advice."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from decimal import Decimal
from html import unescape
from typing import Any

import polars as pl
import pytest
from pypdf import PdfReader

from tests.unit.reports.sample import Scenario, sample_inputs
from tests.unit.reports.savings_sample import judged, recommended, usual
from usage_etl.reports.email import render_email
from usage_etl.reports.executive import build_executive
from usage_etl.reports.formatting import NBSP
from usage_etl.reports.html import render_executive_html, render_executive_print_html
from usage_etl.reports.model import ExecutiveReport
from usage_etl.reports.pdf import render_pdf
from usage_etl.reports.plain_text import render_text

SCENARIO = Scenario()


def report(advice: pl.DataFrame | None = None, verdicts: pl.DataFrame | None = None) -> ExecutiveReport:
    usual_advice, usual_verdicts = usual()
    inputs = replace(
        sample_inputs(SCENARIO),
        recommendations=usual_advice if advice is None else advice,
        verdicts=usual_verdicts if verdicts is None else verdicts,
    )
    return build_executive(inputs, organization_name="Acme", currency="USD", as_of=SCENARIO.as_of)


NOTHING = report(recommended().clear(), judged().clear())


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", text)).replace(NBSP, " "))


def test_the_three_first_recommendations_are_told_with_range_effort_and_evidence() -> None:
    part = report().savings
    assert [one.title for one in part.advice] == [
        "Ticket triage: gpt-5-mini instead of gpt-5.2",
        "Call transcripts: through batch processing",
        "svc-contract-review in triage: cache what repeats in prompts to gpt-5.2",
    ]
    assert [one.savings.text for one in part.advice] == ["$1,077", "$290", "$62.60"]
    assert [one.effort for one in part.advice] == ["medium effort", "low effort", "medium effort"]
    assert [plain(one.detail) for one in part.advice] == [
        "$1,011 to $1,143; 1,395 requests, 9 % of cost.",
        "At listed prices; 1,395 requests, 9 % of cost.",
        "$62.60 to $188; 1,395 requests, 9 % of cost, in part assumed.",
    ]
    assert part.note == "$3,475 a month in all 5, no request counted twice; measured on 30 days"


def test_the_total_is_that_without_overlap() -> None:
    twice = recommended({}, {"net_monthly_savings_cost": Decimal(0)})
    assert report(twice).savings.note.startswith("$1,077 a month in all 2")


def test_the_verdicts_are_counted_and_those_acted_on_are_named() -> None:
    assert plain(report().savings.verdict) == (
        "Advice of October so far: 1 kept, 1 cost more than before, 1 not taken and 1 cannot be told. Meeting notes saved $139, "
        "where $135 was promised for this volume. Lead scoring costs $12.50 more, where $135 less was promised."
    )


@pytest.mark.parametrize("change", [{"currency": "EUR"}, {"month": SCENARIO.first_day}])
def test_advice_of_another_month_or_currency_is_not_this_reports(change: dict[str, Any]) -> None:
    assert not report(recommended(change), judged(change)).savings.has_content


@pytest.mark.parametrize(
    ("change", "title"),
    [
        ({"recommendation_kind": "flex_processing", "night_from_hour": 22}, "Ticket triage: through flex processing at night"),
        ({"recommendation_kind": "prompt_efficiency", "scope_kind": "team", "scope_name": "Legal"},
         "Legal in triage: prompts as short as other teams'"),
        ({"recommendation_kind": "unused_commitment"}, "Ticket triage: commitments by use"),
        ({"recommendation_kind": "unused_capacity"}, "Ticket triage: give back provisioned capacity"),
        ({"scope_name": "=cmd()\u202e<b>"}, "=cmd() <b>: gpt-5-mini instead of gpt-5.2"),
    ],
)  # fmt: skip
def test_every_kind_has_its_words_and_names_stay_harmless(change: dict[str, Any], title: str) -> None:
    assert report(recommended(change)).savings.advice[0].title == title


def test_every_output_says_the_same() -> None:
    made = report()
    page, letter, text = render_executive_html(made), render_email(made).html, render_text(made)
    printed = render_executive_print_html(made)
    for one in made.savings.advice:
        for output in (page, letter, text, printed):
            assert plain(one.title) in plain(output)
            assert f"{plain(one.savings.text)} a month" in plain(output)
            assert plain(one.detail) in plain(output)
    for output in (page, letter, text, printed):
        assert plain(made.savings.verdict) in plain(output)


def test_without_advice_and_verdicts_there_is_no_section() -> None:
    for output in (render_executive_html(NOTHING), render_email(NOTHING).html, render_text(NOTHING)):
        assert "money can be saved" not in output.lower()


def test_verdicts_without_new_advice_are_still_told() -> None:
    text = render_text(report(recommended().clear()))
    assert "Advice of October so far" in text


def test_a_report_from_before_there_was_advice_can_still_be_read() -> None:
    old = NOTHING.model_dump(mode="json")
    del old["savings"]
    read = ExecutiveReport.model_validate(old)
    assert (read.report_id, read.savings) == (NOTHING.report_id, ExecutiveReport.model_fields["savings"].default)


@pytest.mark.parametrize("page_size", ["A4", "Letter"])
def test_the_report_still_fits_two_pages(page_size: Any) -> None:
    pdf = render_pdf(render_executive_print_html(report(), page_size=page_size))
    assert len(PdfReader(io.BytesIO(pdf)).pages) == 2
