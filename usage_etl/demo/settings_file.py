"""The demo's settings file: what a customer would write for the same folders."""

from __future__ import annotations

from usage_etl.demo.organization import ORGANIZATION_ID, ORGANIZATION_NAME
from usage_etl.demo.scenario import Scenario
from usage_etl.periods import Month

FIRST_LINE = "# Northwind AI Systems, the demo organisation: written by usage-etl demo, replaced by it."
"""Marks a folder that the demo may write over."""


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
mail:
  mode: files
  sender: AI usage reports <ai-usage@example.com>
reports:
  location: out
  executive_recipients: [cfo@example.com, cto@example.com]
  chargeback_recipients: [finance-ops@example.com]
  failure_recipients: [data-platform@example.com]
"""
