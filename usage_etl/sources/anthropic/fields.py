"""What the fields of Anthropic's reports mean, the same in every family: tables, and readers that use them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from usage_etl.schemas.staged import PROCESSINGS
from usage_etl.sources.rows.cells import Cells

PROVIDER = "anthropic"

TOKEN_CLASSES = {
    "uncached_input_tokens": "input_uncached_tokens",
    "cache_read_input_tokens": "cache_read_tokens",
    "cache_creation.ephemeral_5m_input_tokens": "cache_write_5m_tokens",
    "cache_creation.ephemeral_1h_input_tokens": "cache_write_1h_tokens",
    "output_tokens": "output_tokens",
}
"""Token type as sent, to token class."""

TOOL_COST_TYPES = frozenset({"web_search", "code_execution", "session_usage"})
"""Cost types that meter no model."""

CONTEXT_WINDOWS = {"0-200k": 0, "200k-1M": 200_000, "≤ 200k": 0, "> 200k": 200_000}
"""Context window as sent, by the API and by the Console, to the lower bound of its band in tokens."""

_SPEEDS = {"fast": "fast"}
"""Speeds with a price class of their own."""

_NOWHERE = frozenset({"not_available"})
"""Words for a region that is not set."""

_ACTORS = {
    "user_actor": ("user_id", "user_id"),
    "service_account_actor": ("service_account_id", "user_id"),
    "federated_actor": ("subject", "user_id"),
    "api_actor": ("api_key_id", "api_key_id"),
}
"""Type of actor to the field that identifies it, and to our column. Names and addresses are not read: a deleted user has
none, and its id stays."""

TAGGED = (
    *("actor_type", "agent_id", "claude_tag_category", "claude_tag_user_id", "deployment_id", "environment_id"),
    *("organization_id", "slack_channel_id"),
)
"""Dimensions without a column of their own in any table."""


def processing(result: Mapping[str, Any], cells: Cells) -> str | None:
    """Price class that the row names; null where it names none, or a tier without a price class of its own."""
    tier = cells.text(result.get("service_tier"), "processing")
    speed = _SPEEDS.get(cells.text(result.get("speed"), "processing") or "")
    if speed is not None and tier in (None, "standard"):
        return speed
    return tier if tier in PROCESSINGS else None


def region(result: Mapping[str, Any], cells: Cells, column: str) -> str | None:
    """Where the model ran, as sent; null where it is not set."""
    found = cells.text(result.get("inference_geo"), column)
    return None if found in _NOWHERE else found


def identity(result: Mapping[str, Any], cells: Cells) -> dict[str, str | None]:
    """``user_id`` and ``api_key_id`` of the row. The key of the request wins over a key that is the actor itself."""
    accounts = [cells.text(result.get(name), "user_id") for name in ("account_id", "service_account_id")]
    found = {
        "user_id": next((account for account in accounts if account), None),
        "api_key_id": cells.text(result.get("api_key_id"), "api_key_id"),
    }
    actor = result.get("actor")
    if actor is None:
        return found
    if not isinstance(actor, dict):
        cells.fault("actor", "not_an_object")
        return found
    name, column = _ACTORS.get(str(actor.get("type")), ("", ""))
    if name and found[column] is None:
        found[column] = cells.text(actor.get(name), column)
    return found


def tags(result: Mapping[str, Any], cells: Cells, column: str, *more: str) -> dict[str, str | None]:
    """Dimensions that have no column in the table, and a tier or speed that the row's price class does not say."""
    found = {name: cells.text(result.get(name), column) for name in (*TAGGED, *more)}
    said = processing(result, cells)
    for name in ("service_tier", "speed"):
        word = result.get(name)
        if isinstance(word, str) and word not in (said, "standard"):
            found[name] = cells.text(word, column)
    return found


def part(result: Mapping[str, Any], name: str, column: str, cells: Cells) -> Mapping[str, Any]:
    """An object within the result; empty where it is absent."""
    found = result.get(name)
    if found is None or isinstance(found, dict):
        return found or {}
    cells.fault(column, "not_an_object")
    return {}
