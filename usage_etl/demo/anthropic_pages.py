"""Anthropic's cost report and messages usage report, as saved API pages. Amounts are decimal strings of cents."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from usage_etl.demo.bill import BillKey, BillLine, Lines
from usage_etl.demo.pulls import Page, pages
from usage_etl.demo.scenario import Scenario

WORKSPACES: Mapping[str, str | None] = {
    "interactive": None,  # the default workspace has no id
    "psa": "wrkspc_01QmVzR8kTnXb3YwLcJ5uHdE",
    "crm": "wrkspc_01Fy6PgKs2NtWxUr9LqVhZcB",
    "defend": "wrkspc_01Ha7XeLnDvQ1hRzK8wCmTsJ",
    "ai-platform": "wrkspc_01Ws4DpVhLcRz8QnGt9BxKyM",
    "rmm": "wrkspc_01Bz5NqWtKfA0yUeJr6MvLgP",
}
OUTAGE_CREDIT = Decimal("-250.00")
_TOKEN_TYPES = (
    ("uncached_input_tokens", "Input Tokens"),
    ("cache_read_input_tokens", "Input Tokens, Cache Hit"),
    ("cache_creation.ephemeral_5m_input_tokens", "Input Tokens, Cache Write"),
    ("cache_creation.ephemeral_1h_input_tokens", "Input Tokens, Cache Write (1h)"),
    ("output_tokens", "Output Tokens"),
)


def cost_files(scenario: Scenario, by_day: dict[dt.date, Lines]) -> Iterator[tuple[str, str]]:
    """(file name, text) of each cost report page, grouped by workspace and description."""
    for page in pages(scenario):
        buckets = [_bucket(day, _cost_results(scenario, page.lines(by_day, day), day)) for day in page.days]
        yield page.file_name("cost_report"), _page(page, buckets)


def usage_files(scenario: Scenario, by_day: dict[dt.date, Lines]) -> Iterator[tuple[str, str]]:
    """(file name, text) of each messages usage page, grouped by workspace, model, service tier and context window."""
    for page in pages(scenario):
        buckets = [_bucket(day, [_usage(key, line) for key, line in page.lines(by_day, day)]) for day in page.days]
        yield page.file_name("usage_report_messages"), _page(page, buckets)


def _page(page: Page, buckets: list[dict[str, Any]]) -> str:
    document = {"data": buckets, "has_more": page.has_more, "next_page": page.next_page()}
    return json.dumps(document, indent=1) + "\n"


def _bucket(day: dt.date, results: list[dict[str, Any]]) -> dict[str, Any]:
    end = day + dt.timedelta(days=1)
    return {"starting_at": f"{day}T00:00:00Z", "ending_at": f"{end}T00:00:00Z", "results": results}


def _cost_results(scenario: Scenario, lines: Lines, day: dt.date) -> list[dict[str, Any]]:
    results = [
        _cost(
            line.amount(index),
            workspace=WORKSPACES[key.project],
            description=_description(key, words),
            details={
                "cost_type": "tokens",
                "token_type": token_type,
                "model": key.model.billed_name,
                "service_tier": key.processing,
                "context_window": _window(key),
                "inference_geo": "global",
            },
        )
        for key, line in lines
        for index, (token_type, words) in enumerate(_TOKEN_TYPES)
        if line.tokens[index]
    ]
    if day == scenario.outage_credit:
        nothing = dict.fromkeys(("cost_type", "token_type", "model", "service_tier", "context_window", "inference_geo"))
        description = f"Service credit for the incident of {scenario.outage:%d %b %Y}"
        results.append(_cost(OUTAGE_CREDIT, workspace=None, description=description, details=nothing))
    return results


def _cost(amount: Decimal, *, workspace: str | None, description: str, details: dict[str, str | None]) -> dict[str, Any]:
    return {
        "amount": f"{(amount * 100).normalize():f}",
        "currency": "USD",
        "workspace_id": workspace,
        "description": description,
        **details,
    }


def _description(key: BillKey, words: str) -> str:
    batch = ", Batch" if key.processing == "batch" else ""
    return f"{key.model.title} Usage - {words}{batch}"


def _window(key: BillKey) -> str:
    return "200k-1M" if key.is_long else "0-200k"


def _usage(key: BillKey, line: BillLine) -> dict[str, Any]:
    fresh, read, write_5m, write_1h, output = line.tokens
    return {
        "uncached_input_tokens": fresh,
        "cache_creation": {"ephemeral_1h_input_tokens": write_1h, "ephemeral_5m_input_tokens": write_5m},
        "cache_read_input_tokens": read,
        "output_tokens": output,
        "server_tool_use": {"web_search_requests": 0},
        "api_key_id": None,
        "workspace_id": WORKSPACES[key.project],
        "model": key.model.billed_name,
        "service_tier": key.processing,
        "context_window": _window(key),
        "inference_geo": "global",
    }
