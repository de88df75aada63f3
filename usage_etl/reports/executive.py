"""Builds the executive report: marts in, model out. No clock, no disk, no formatting left to the outputs."""

from __future__ import annotations

import datetime as dt

from usage_etl.keys import fingerprint
from usage_etl.reports.attention import attention_items
from usage_etl.reports.burnup import burn_up
from usage_etl.reports.daily import daily_chart, window_of
from usage_etl.reports.formatting import display_name
from usage_etl.reports.headline import cards_of, headline_of, period_of, status_of
from usage_etl.reports.inputs import ExecutiveInputs, read_month
from usage_etl.reports.model import ExecutiveReport
from usage_etl.reports.rankings import cost_bars, movers_of
from usage_etl.reports.savings import savings_of
from usage_etl.reports.spikes import anomaly_items
from usage_etl.reports.teams import team_table
from usage_etl.reports.trust import trust_of

TITLE = "AI usage and cost"


def build_executive(
    inputs: ExecutiveInputs, *, organization_name: str, currency: str, as_of: dt.date, generated_for: str = ""
) -> ExecutiveReport:
    """The report on the month of ``as_of``, up to that day or to the last day with data.

    Raises ConservationError where two marts disagree about one amount, ValueError where mart_summary is in another
    currency.
    """
    facts = read_month(inputs, currency=currency, as_of=as_of)
    period = period_of(facts)
    anomalies = anomaly_items(facts)
    attention = attention_items(facts, period, anomalies=anomalies)
    days = window_of(facts)
    movers_title, movers = movers_of(facts, period)
    proof = inputs.proof
    report_id = fingerprint(
        {
            "organization_name": organization_name,
            "generated_for": generated_for,
            "currency": currency,
            "as_of": as_of,
            "manifests": dict(proof.manifests),
            "versions": [proof.code_version, proof.price_book_version, proof.run_id],
            "partial_days": sorted(inputs.partial_days),
        }
    )
    return ExecutiveReport(
        report_id=report_id,
        organization_name=display_name(organization_name, limit=80),
        generated_for=display_name(generated_for) if generated_for else "",
        currency=currency,
        title=TITLE,
        period=period,
        status=status_of(facts, period),
        headline=headline_of(facts, period, anomalies),
        cards=cards_of(facts, period, days),
        daily=daily_chart(facts, anomalies),
        burn_up=burn_up(facts, period),
        teams=cost_bars(facts, period, dimension="team"),
        models=cost_bars(facts, period, dimension="model"),
        features=cost_bars(facts, period, dimension="feature"),
        movers=movers,
        movers_title=movers_title,
        team_table=team_table(facts, period),
        attention=attention,
        savings=savings_of(facts),
        trust=trust_of(facts, report_id=report_id, generated_for=generated_for),
    )
