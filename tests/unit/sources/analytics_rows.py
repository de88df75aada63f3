"""Rows of Anthropic's analytics reports for tests: flat, nested as the API nests them."""

import datetime as dt
from typing import Any

from tests.unit.sources.report_pages import CONTEXT, FIRST_DAY, number
from usage_etl.sources.anthropic.settings import AnthropicSettings, Family
from usage_etl.sources.parsed import ParseContext

USER = {"type": "user_actor", "user_id": "user_01", "email_address": "ada@example.com", "name": "Ada", "deleted": False}


def context_of(family: Family) -> ParseContext:
    """A source whose settings name a family."""
    settings = AnthropicSettings(kind="anthropic", name="bills", location="landing", family=family)
    return ParseContext(**{**vars(CONTEXT), "settings": settings})


def _period(day: int) -> dict[str, str]:
    started = FIRST_DAY + dt.timedelta(days=day)
    return {"starting_at": f"{started}T00:00:00Z", "ending_at": f"{started + dt.timedelta(days=1)}T00:00:00Z"}


def flat_cost(amount: Any, *, day: int = 0, list_amount: str = "200", requests: Any = None, **group: Any) -> dict[str, Any]:
    """A row of analytics/cost."""
    money = {"amount": amount, "list_amount": list_amount, "currency": "USD", "requests": requests}
    return {**_period(day), "group": {"model": "claude-opus-5", **group}, "cost": money}


def flat_usage(*, day: int = 0, requests: Any = None, searches: str = "0", **group: Any) -> dict[str, Any]:
    """A row of analytics/usage."""
    usage = {
        "uncached_input_tokens": number("10"),
        "cache_creation": {"ephemeral_5m_input_tokens": number("2"), "ephemeral_1h_input_tokens": number("3")},
        "cache_read_input_tokens": number("4"),
        "output_tokens": number("5"),
        "total_tokens": number("24"),
        "server_tool_use": {"web_search_requests": number(searches)},
        "requests": requests,
    }
    return {**_period(day), "group": {"model": "claude-opus-5", **group}, "usage": usage}


def flat_page(*rows: Any, next_page: str | None = None, refreshed_at: str | None = None) -> dict[str, Any]:
    """A page of flat rows."""
    return {"data": list(rows), "has_more": next_page is not None, "next_page": next_page, "data_refreshed_at": refreshed_at}
