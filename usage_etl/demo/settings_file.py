"""The demo's settings file: what a customer would write for the same folders."""

from __future__ import annotations

from usage_etl.demo.organization import ORGANIZATION_ID, ORGANIZATION_NAME
from usage_etl.demo.scenario import Scenario
from usage_etl.periods import Month

FIRST_LINE = "# Northwind AI Systems, the demo organisation: written by usage-etl demo, replaced by it."
"""Marks a folder that the demo may write over."""


_FINANCE = """\
finance: finance
reconciliation:
  tolerance_pct: 0.5
  publish_gates:
    - {provider: "*", unexplained_pct: 2, difference_pct: 5}
allocation:
  detail: [project]
  rules:
    # Granted for the evaluation programme, which these two teams run.
    - name: evaluation-credit
      match: {provider: [openai], charge_kind: [credit]}
      steps:
        - {level: team, method: fixed, shares: {team-data: 70, team-platform: 30}}
    # An apology for an outage goes to those who pay for the service.
    - name: outage-credit
      match: {provider: [anthropic], charge_kind: [credit]}
      steps:
        - {level: team, method: charged}
    # The search index of all company knowledge serves everybody alike.
    - name: knowledge-index
      match: {provider: [openai], model: [text-embedding-3-small]}
      steps:
        - {level: team, method: headcount}
close:
  settle_days: 3
  # These send no bill here: their lines stay estimates.
  estimated_providers: [google, mistral]
  gates:
    - {provider: "*", unexplained_pct: 1}
journal:
  clearing_account: 2190-AI-CLEARING
  expense_account: 6400-AI-OTHER
  unallocated_account: 6490-AI-UNALLOCATED
  unexplained_account: 6491-AI-UNEXPLAINED
  rounding_account: 6498-AI-ROUNDING
  fx_account: 7710-AI-FX
"""
_RECOMMENDATIONS = """\
recommendations:
  minimum_monthly_savings: 50
  equivalence_classes:
    # Judged alike on our own tickets and documents.
    - name: large-chat
      models: [openai/gpt-5.6-sol, openai/gpt-5.2, anthropic/claude-sonnet-4-6, google/gemini-2.5-pro]
      features: [rca-generation, account-enrichment, invoice-capture, model-evaluation, coaching-notes]
    - name: security-analysis
      models: [anthropic/claude-opus-5, anthropic/claude-sonnet-4-6]
      features: [attack-narrative]
      difficulty: high
    - name: small-chat
      models: [openai/gpt-5.4-mini, anthropic/claude-haiku-4-5, google/gemini-2.5-flash]
      features: [ticket-suggest, sla-digest, phishing-triage]
      difficulty: low
  background_features: [knowledge-index, model-evaluation, sla-digest, coaching-notes, patch-analysis, account-enrichment]
"""


_ALERTS = """\
channels:
  - {kind: email, name: ai-owners, recipients: [ai-governance@example.com]}
alerts:
  channels: [ai-owners]
  rules:
    - name: team-tokens
      measure: quota_used_ratio
      scope: {kind: team}
      limit_measures: [total_tokens, inference_tokens]
      levels: [50, 80, 100, projected]
    - name: team-budget
      measure: budget_used_ratio
      scope: {kind: team}
      levels: [80, 100, projected]
    # Every anomaly of a team that comes to more than 20 USD above what was expected.
    - name: team-anomalies
      measure: anomaly
      scope: {kind: team}
      levels: [20, 1000]
    - name: gateway-late
      measure: data_late_hours
      scope: {kind: source}
      levels: [48]
"""


def settings_text(scenario: Scenario) -> str:
    """The settings as YAML."""
    return f"""{FIRST_LINE}
version: "1"
organization:
  id: {ORGANIZATION_ID}
  name: {ORGANIZATION_NAME}
  currency: USD
  time_zone: America/New_York
start_date: {Month.of(scenario.first_day).first_day}
as_of_date: {scenario.as_of}
lake:
  location: lake
state:
  url: sqlite:///state.sqlite
directory: directory
sources:
  - name: gateway
    kind: litellm
    account: northwind-gateway
    location: landing/litellm
  - name: openai
    kind: openai
    account: org-northwind
    location: landing/openai
  - name: anthropic
    kind: anthropic
    account: northwind-anthropic
    location: landing/anthropic
prices:
  contract_file: prices/contract.csv
{_FINANCE}{_RECOMMENDATIONS}{_ALERTS}mail:
  mode: files
  sender: AI usage reports <ai-usage@example.com>
reports:
  location: out
  executive_recipients: [cfo@example.com, cto@example.com]
  chargeback_recipients: [finance-ops@example.com]
  failure_recipients: [data-platform@example.com]
"""
