"""The executive model: what it says is what the marts hold, in every state a month can be in."""

import datetime as dt
import json
from dataclasses import replace
from decimal import Decimal

import polars as pl
import pytest

from tests.unit.reports.sample import Scenario, sample_inputs, sample_report
from usage_etl.errors import ConservationError
from usage_etl.reports.executive import build_executive
from usage_etl.reports.formatting import NBSP, day_label, money_exact
from usage_etl.reports.model import ExecutiveReport

COMPLETE = Scenario(
    as_of=dt.date(2026, 10, 31),
    first_day=dt.date(2026, 9, 1),
    spike_days=(dt.date(2026, 10, 13), dt.date(2026, 10, 14), dt.date(2026, 10, 15)),
    organization_budget=Decimal(19000),
)
FIRST_MONTH = Scenario(first_day=dt.date(2026, 11, 1), organization_budget=None)
UNPRICED = Scenario(is_priced=False)
SIXTY = Scenario(teams=tuple(f"Team {index:02d}" for index in range(60)))


def build(inputs, *, currency="USD", as_of=dt.date(2026, 11, 19)):
    return build_executive(inputs, organization_name="Northwind AI Systems", currency=currency, as_of=as_of)


def plain(text):
    return text.replace(NBSP, " ")


def item(report, kind):
    return next(one for one in report.attention if one.kind == kind)


@pytest.mark.parametrize("scenario", [Scenario(), COMPLETE, FIRST_MONTH, UNPRICED])
def test_the_model_survives_json(scenario):
    report = sample_report(scenario)
    assert ExecutiveReport.model_validate_json(report.model_dump_json()) == report


def test_money_is_a_decimal_string_in_json():
    card = json.loads(sample_report().model_dump_json())["cards"][0]
    assert Decimal(card["figure"]["value"]) == sample_report().cards[0].figure.value
    assert isinstance(card["figure"]["value"], str)


def test_the_headline_says_spent_compared_projected_and_why():
    assert plain(sample_report().headline) == (
        "AI usage has cost $12,414 in the first 19 days of November, 23 % more than in the same days of October. "
        "The month is on course for $19,876, $1,076 over the $18,800 budget. Research added most ($873), with a spike on "
        "10 Nov. 4 % of requests have no price and are in none of these amounts."
    )
    assert sample_report().period.label == "November 2026, month to date, 19 of 30 days"
    assert plain(sample_report().status.text) == "Likely 6 % over budget"
    assert sample_report().status.tone == "warn"


def test_a_complete_month_is_told_in_the_past_tense_and_projects_nothing():
    report = sample_report(COMPLETE)
    assert plain(report.headline).startswith(
        "AI usage cost $21,195 in October 2026, 24 % more than in September. That is $2,195 over the $19,000 budget."
    )
    assert report.period.label == "October 2026, complete month"
    assert plain(report.status.text) == "12 % over budget"
    assert report.status.tone == "bad"
    assert report.burn_up.projected is None
    assert report.burn_up.lower_cost is None


def test_without_earlier_data_nothing_is_compared():
    report = sample_report(FIRST_MONTH)
    assert "there is no earlier data to compare it with" in report.headline
    assert [card.note for card in report.cards] == ["no earlier data", "no budget set", *["no earlier data"] * 3]
    assert {row.change.text for row in report.team_table.rows if row.kind == "team"} == {"no earlier data"}
    assert all(bar.previous_cost is None for bar in report.teams.bars)
    assert report.movers_title == "Where the money went"
    assert report.daily.has_data == (False,) * 11 + (True,) * 19
    assert "No earlier data before 1 Nov." in plain(report.daily.note)
    assert report.status.text == "No budget set"


def test_nothing_priced_is_no_data_and_never_zero():
    report = sample_report(UNPRICED)
    assert report.cards[0].figure.text == "no data"
    assert report.headline.startswith("None of the 580,539 requests")
    assert report.team_table.total.cost.text == "no price"
    assert report.daily.total.value is None
    assert report.teams.bars == ()
    assert item(report, "unpriced").title == "580,539 requests without a price"
    assert "$0" not in report.model_dump_json()


def test_a_month_without_usage_says_so():
    inputs = sample_inputs(Scenario())
    empty = replace(
        inputs,
        **{
            name: getattr(inputs, name).clear()
            for name in ("summary", "spend_daily", "projection", "anomalies", "reconciliation", "chargeback", "data_quality")
        },
    )
    report = build(empty)
    assert report.headline == "No usage has arrived for November 2026."
    assert report.team_table.rows == ()
    assert report.attention == ()
    assert not any(report.daily.has_data)


@pytest.mark.parametrize(
    ("budget", "text", "tone", "sentence"),
    [
        (Decimal(0), "Budget passed, ends $19,876 over", "bad", "$19,876 over the $0 budget"),
        (Decimal(12000), "Budget passed, ends 66 % over", "bad", "$7,876 over the $12,000 budget"),
        (Decimal(19876), "On budget", "good", "on the $19,876 budget"),
        (Decimal(39752), "Likely 50 % under budget", "good", "$19,876 under the $39,752 budget"),
        (Decimal(19950), "Likely $74 under budget", "good", "$74 under the $19,950 budget"),
        (Decimal(100), "Budget passed, ends $19,776 over", "bad", "$19,776 over the $100 budget"),
    ],
)
def test_the_pill_and_the_sentence_say_the_same_of_the_budget(budget, text, tone, sentence):
    inputs = sample_inputs(Scenario())
    is_whole = pl.col("scope_kind") == "organization"
    limit = pl.lit(budget, dtype=inputs.projection.schema["limit_quantity"])
    report = build(
        replace(
            inputs,
            projection=inputs.projection.with_columns(limit_quantity=pl.when(is_whole).then(limit).otherwise("limit_quantity")),
        )
    )
    assert plain(report.status.text) == text
    assert report.status.tone == tone
    assert sentence in plain(report.headline)


def test_team_rows_and_bars_add_up_to_the_organization():
    for scenario in (Scenario(), SIXTY, COMPLETE):
        report = sample_report(scenario)
        table, total = report.team_table, report.team_table.total
        assert sum(row.cost.value for row in table.rows if row.cost.value is not None) == total.cost.value
        assert sum(row.charged.value for row in table.rows if row.charged.value is not None) == total.charged.value
        assert sum(row.requests.value for row in table.rows if row.requests.value is not None) == total.requests.value
        for ranking in (report.teams, report.models, report.features):
            assert sum(bar.cost.value for bar in ranking.bars) == total.cost.value
        assert abs(total.cost.value - report.cards[0].figure.value) <= Decimal("0.005")


def test_sixty_teams_are_thirteen_and_others_that_keep_the_sums():
    table = sample_report(SIXTY).team_table
    assert [row.kind for row in table.rows] == ["team"] * 13 + ["others", "unallocated", "unexplained"]
    assert table.rows[13].name == "47 other teams"
    assert table.rows[13].users.text == "–"  # noqa: RUF001  # distinct users cannot be added
    assert [bar.is_member for bar in sample_report(SIXTY).teams.bars] == [True] * 7 + [False] * 2
    assert len(sample_report(SIXTY).teams.bars) == 9


def test_one_team_has_no_others_and_no_driver():
    report = sample_report(Scenario(teams=("Engineering",), unallocated_share=0.0, spike_team=0))
    assert [bar.name for bar in report.teams.bars] == ["Engineering"]
    assert "added most" not in report.headline


def test_negative_credits_are_charged_and_shown():
    rows = {row.kind: row for row in sample_report(Scenario(unallocated_share=0.0, credit=Decimal("-142.17"))).team_table.rows}
    assert rows["unallocated"].charged.text == "\u2212142.17"
    assert rows["unallocated"].cost.value is None
    assert rows["unexplained"].charged.text == "38.61"


@pytest.mark.parametrize("scenario", [Scenario(), COMPLETE])
def test_the_marked_bars_are_the_days_the_sentence_names(scenario):
    report = sample_report(scenario)
    anomaly = item(report, "anomaly")
    assert [mark.day for mark in report.daily.marks] == list(scenario.spike_days)
    assert anomaly.days == scenario.spike_days
    assert report.daily.marks[0].text == anomaly.mark
    assert anomaly.mark.startswith(day_label(scenario.spike_days[0]))
    assert anomaly.title.startswith(anomaly.mark)
    sums = [sum(series.daily_costs[index] or 0 for series in report.daily.series) for index in range(30)]
    assert report.daily.days[sums.index(max(sums))] == scenario.spike_days[0]
    assert f"highest on {day_label(scenario.spike_days[0])}" in report.daily.alt


def test_an_anomaly_names_money_owner_and_cause():
    detail = plain(item(sample_report(), "anomaly").detail)
    assert detail == (
        "$1,506 against $756 expected, $750 more · Research"
        " · Requests \u00d72.0 by key research-batch (94 %) on gpt-5.2; price and mix unchanged."
    )


def test_attention_names_what_finance_must_act_on():
    titles = [plain(one.title) for one in sample_report().attention]
    assert titles == [
        "10 Nov: 2.0\u00d7 the expected cost",
        "$116 of usage has no owner",
        "Mobile is on course to end $99 over its budget",
        "OpenAI: $37.89 of traffic bypassed the gateway",
        "23,227 requests without a price",
        "2 further points",
    ]
    assert "Missing days: anthropic-costs 1 day" in sample_report().attention[-1].detail


def test_late_data_shortens_the_period_and_is_announced():
    scenario = Scenario(data_through=dt.date(2026, 11, 17))
    report = sample_report(scenario)
    assert report.period.label == "November 2026, month to date, 17 of 30 days"
    assert report.daily.days[-1] == dt.date(2026, 11, 17)
    assert any("Data ends on 17 Nov, 2 days before" in plain(one.title + one.detail) for one in report.attention)


def test_days_still_filling_are_marked():
    report = sample_report(Scenario(partial_days=frozenset({dt.date(2026, 11, 19)})))
    assert report.daily.is_partial == (False,) * 29 + (True,)
    assert "Paler: still filling (19 Nov)." in plain(report.daily.note)


def test_a_hole_in_the_days_is_a_gap_and_not_a_zero():
    inputs = sample_inputs(Scenario())
    october = dt.date(2026, 10, 28)
    report = build(replace(inputs, spend_daily=inputs.spend_daily.filter(pl.col("usage_date") != october)))
    assert report.daily.has_data[report.daily.days.index(october)] is False
    assert "No data on 28 Oct." in plain(report.daily.note)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("spend_daily", pl.col("usage_date") != dt.date(2026, 11, 3)),
        ("summary", ~((pl.col("dimension").cast(pl.String) == "team") & (pl.col("member_id") == "team-03"))),
        ("summary", ~((pl.col("dimension").cast(pl.String) == "model") & (pl.col("member_id") == "openai/gpt-5.2"))),
    ],
)
def test_marts_that_disagree_make_no_report(name, change):
    inputs = sample_inputs(Scenario())
    with pytest.raises(ConservationError, match="nothing was published"):
        build(replace(inputs, **{name: getattr(inputs, name).filter(change)}))


def test_the_report_says_how_far_its_projections_were_off():
    said = plain(sample_report().burn_up.note)
    assert "Team projections made on day 15 of the last 3 months missed by 6 % (straight line: 9 %); 79 % ended inside" in said


def test_where_no_projection_was_measured_nothing_is_said_of_it():
    inputs = sample_inputs(Scenario())
    assert "missed by" not in plain(build(replace(inputs, accuracy=inputs.accuracy.clear())).burn_up.note)
    later = inputs.accuracy.with_columns(month=pl.col("month").dt.offset_by("6mo"))
    assert "missed by" not in plain(build(replace(inputs, accuracy=later)).burn_up.note), "a later month is not known yet"
    foreign = inputs.accuracy.with_columns(currency=pl.lit("EUR"))
    assert "missed by" not in plain(build(replace(inputs, accuracy=foreign)).burn_up.note)


def test_a_projection_from_another_cost_makes_no_report():
    inputs = sample_inputs(Scenario())
    shifted = inputs.projection.with_columns(pl.col("to_date_quantity") + pl.lit(Decimal("0.01")))
    with pytest.raises(ConservationError, match="mart_projection"):
        build(replace(inputs, projection=shifted.cast(inputs.projection.schema)))


def test_a_summary_in_another_currency_is_refused():
    with pytest.raises(ValueError, match="is in USD, the report in EUR"):
        build(sample_inputs(Scenario()), currency="EUR")


def test_charges_in_another_currency_are_named_and_not_added():
    inputs = sample_inputs(Scenario())
    euro = inputs.chargeback.head(2).with_columns(billing_currency=pl.lit("EUR"))
    report = build(replace(inputs, chargeback=pl.concat([inputs.chargeback, euro])))
    assert report.team_table.total.charged == sample_report().team_table.total.charged
    assert "Charges in other currencies are not included: €" in " ".join(one.title + one.detail for one in report.attention)


def test_usage_that_names_no_feature_is_shown_and_never_ranked():
    inputs = sample_inputs(Scenario())
    renamed = pl.when(pl.col("member_id") == "Draft replies").then(pl.lit("(none)")).otherwise("member_id")
    report = build(replace(inputs, summary=inputs.summary.with_columns(member_id=renamed, member_name=renamed)))
    last = report.features.bars[-1]
    assert (last.name, last.is_member) == ("No feature named", False)
    assert "(none)" not in [mover.name for mover in report.movers[2].movers]


def test_a_team_that_stopped_is_a_saving():
    inputs = sample_inputs(Scenario())
    gone = (pl.col("dimension").cast(pl.String) == "team") & (pl.col("member_id") == "team-11")
    money = inputs.summary.schema["effective_cost"]
    ghost = inputs.summary.filter(gone).with_columns(
        member_id=pl.lit("team-99"),
        member_name=pl.lit("Closed team"),
        requests_count=pl.lit(0, dtype=pl.Int64),
        effective_cost=pl.lit(Decimal(0), dtype=money),
        previous_effective_cost=pl.lit(Decimal(5000), dtype=money),
    )
    report = build(replace(inputs, summary=pl.concat([inputs.summary, ghost])))
    mover = next(one for one in report.movers[0].movers if one.name == "Closed team")
    assert plain(mover.note) == "\u2212100 %"
    assert "Closed team" not in [bar.name for bar in report.teams.bars]


def test_trust_figures_come_from_bills_owners_prices_and_deliveries():
    facts = {fact.label: (plain(fact.figure.text), fact.tone) for fact in sample_report().trust.facts}
    assert facts == {
        "Bill match": ("99.6 %", "good"),
        "Allocated to a team": ("99.0 %", "good"),
        "Requests priced": ("95.9 %", "warn"),
        "Rows quarantined": ("99", "warn"),
        "Freshest source": ("20 Nov 06:10", "neutral"),
        "Days missing": ("1", "warn"),
    }
    bills = {row.provider: row for row in sample_report().trust.bills}
    assert bills["Google"].billed.text == "no bill yet"
    assert bills["OpenAI"].difference.text == money_exact(bills["OpenAI"].difference.value, "USD") == "$37.89"


def test_invoice_match_does_not_net_errors_of_opposite_sign():
    inputs = sample_inputs(Scenario())
    first, second = (
        inputs.reconciliation.filter(pl.col("provider_name") == "openai").head(2).with_columns(
            billed_cost=pl.lit(Decimal(100), dtype=pl.Decimal(38, 18)),
            difference_cost=pl.lit(Decimal(difference), dtype=pl.Decimal(38, 18)),
        ).head(1)
        for difference in (10, -10)
    )  # fmt: skip
    report = build(replace(inputs, reconciliation=pl.concat([first, second])))
    assert report.trust.facts[0].figure.value == Decimal("0.9")


def test_the_report_id_follows_the_inputs_and_nothing_else():
    inputs = sample_inputs(Scenario())
    again = build(replace(inputs, summary=inputs.summary.reverse(), anomalies=inputs.anomalies.reverse()))
    assert again == build(inputs)
    other = replace(inputs.proof, manifests=dict(inputs.proof.manifests) | {"mart_summary/2026-11-01": "f" * 64})
    assert build(replace(inputs, proof=other)).report_id != again.report_id


def test_a_provider_without_any_cost_is_named_and_not_drawn():
    inputs = sample_inputs(Scenario())
    money = inputs.spend_daily.schema["effective_cost"]
    own = inputs.spend_daily.head(1).with_columns(
        provider=pl.lit("hosted_vllm").cast(pl.Categorical), team_id=pl.lit("team-00").cast(pl.Categorical),
        effective_cost=pl.lit(Decimal(0), dtype=money),
    )  # fmt: skip
    moved = own.cast(dict(inputs.spend_daily.schema)).with_columns(usage_date=pl.lit(dt.date(2026, 11, 2)))
    report = build(replace(inputs, spend_daily=pl.concat([inputs.spend_daily, moved])))
    assert "No cost: hosted_vllm." in report.daily.note
    assert "hosted_vllm" not in [series.name for series in report.daily.series]


def test_a_team_without_a_row_spent_nothing_but_a_day_without_rows_is_unknown():
    inputs = sample_inputs(Scenario())
    quiet, lost = dt.date(2026, 10, 28), dt.date(2026, 10, 29)
    is_gone = (pl.col("usage_date") == lost) | (
        (pl.col("usage_date") == quiet) & (pl.col("team_id").cast(pl.String) == "team-00")
    )
    trend = build(replace(inputs, spend_daily=inputs.spend_daily.filter(~is_gone))).team_table.rows[0].trend
    first = dt.date(2026, 11, 19) - dt.timedelta(days=27)
    assert trend[(quiet - first).days] == 0
    assert trend[(lost - first).days] is None


def test_many_small_spikes_are_two_items_and_a_sum_with_every_day_marked():
    days = tuple(dt.date(2026, 11, day) for day in (3, 5, 10, 12, 17))
    report = sample_report(Scenario(spike_days=days))
    told = " ".join(f"{one.title} {one.detail}" for one in report.attention)
    assert "3 smaller spikes, $" in told
    assert [mark.day for mark in report.daily.marks] == list(days)
    labelled = [mark for mark in report.daily.marks if mark.text]
    assert len(labelled) == 2
    assert all(mark.text in told for mark in labelled)


def test_a_month_whose_data_begins_late_says_so():
    report = sample_report(Scenario(first_day=dt.date(2026, 11, 5), organization_budget=None))
    assert plain(report.period.label) == "November 2026, month to date, 19 of 30 days, data from 5 Nov"


def test_red_is_for_budgets_that_are_passed():
    tones = {row.name: row.budget_tone for row in sample_report().team_table.rows}
    assert tones["Mobile"] == "warn"
    assert tones["Sales"] == "neutral"
    passed = {row.name: row.budget_tone for row in sample_report(COMPLETE).team_table.rows}
    assert passed["Mobile"] == "bad"
    assert sample_report(COMPLETE).attention[0].tone == "bad"


def test_gaps_in_every_source_are_one_statement():
    inputs = sample_inputs(Scenario())
    quality = inputs.data_quality.with_columns(days_missing_count=pl.lit(2, dtype=pl.Int64))
    report = build(replace(inputs, data_quality=quality))
    assert "2 days without any data" in " ".join(one.title + one.detail for one in report.attention)
    assert (report.trust.facts[5].figure.text, report.trust.facts[5].note) == ("2", "in 3 sources")


def test_a_running_month_projects_and_a_complete_one_does_not():
    running, complete = sample_report().burn_up, sample_report(COMPLETE).burn_up
    assert (running.projected.text, running.linear.text, running.budget.text) == ("$19,876", "$19,601", "$18,800")
    assert running.lower_cost < running.projected.value < running.upper_cost
    assert len(running.cumulative_costs) == 19
    assert running.cumulative_costs[-1] == running.spent.value
    assert (complete.projected, complete.linear) == (None, None)
    assert len(complete.cumulative_costs) == 31
