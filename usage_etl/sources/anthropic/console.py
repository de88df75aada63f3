"""Downloads of the Claude Console, in all their generations: tokens by day and model, and costs by day and token type.

The generations differ in columns only. They carry names of keys and workspaces, ids of keys since the newest one, and
display names of models in the cost file. Amounts are whole dollars rounded to cents, so many small lines lose much of
their digits: the API's reports are exact.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from usage_etl.sources.anthropic.families import CONSOLE_COST, CONSOLE_USAGE, DOWNLOAD
from usage_etl.sources.forms.report_downloads import Download, Downloads, Row

_DAY = "usage_date_utc"
_TOKEN_TYPES = {
    "input_no_cache": "uncached_input_tokens",
    "input_cache_read": "cache_read_input_tokens",
    "input_cache_write": "cache_creation.ephemeral_5m_input_tokens",
    "input_cache_write_5m": "cache_creation.ephemeral_5m_input_tokens",
    "input_cache_write_1h": "cache_creation.ephemeral_1h_input_tokens",
    "output": "output_tokens",
}
"""Token type of the download to that of the API. Writes of the generation without lifetimes were of five minutes."""

_COST_TYPES = {"token": "tokens"}
_TIERS = frozenset({"batch", "flex", "priority", "standard"})
"""Usage types that are service tiers; others, such as ``message``, are not."""

_DEFAULT_WORKSPACE = "Default"
_USAGE_COLUMNS = frozenset(
    {_DAY, "model_version", "api_key", "api_key_id", "workspace", "usage_type", "web_search_count"}
    | {"usage_input_tokens_no_cache", "usage_input_tokens_cache_read", "usage_output_tokens"}
    | {"usage_input_tokens_cache_write", "usage_input_tokens_cache_write_5m", "usage_input_tokens_cache_write_1h"}
)
_COST_COLUMNS = frozenset(
    {_DAY, "model", "api_key", "api_key_id", "workspace", "usage_type", "token_type", "cost_type", "cost_usd", "list_price_usd"}
)


def _bucket(row: Row) -> dict[str, Any]:
    """The UTC day of the row, also where the column holds a time; unreadable text stays for the refusal to quote."""
    text = row.get(_DAY)
    try:
        day = dt.datetime.fromisoformat(text or "").date()
    except ValueError:
        return {"starting_at": text, "ending_at": None}
    return {"starting_at": f"{day}T00:00:00Z", "ending_at": f"{day + dt.timedelta(days=1)}T00:00:00Z"}


def _shared(row: Row) -> dict[str, Any]:
    """What both downloads say in the same words; the key's name stands for it where the generation has no id."""
    usage_type, workspace = row.get("usage_type"), row.get("workspace")
    return {
        "api_key_id": row.get("api_key_id") or row.get("api_key"),
        "workspace": None if workspace == _DEFAULT_WORKSPACE else workspace,
        "service_tier": usage_type if usage_type in _TIERS else None,
    }


def _usage(row: Row) -> dict[str, Any]:
    others = {name: cell for name, cell in row.items() if name not in _USAGE_COLUMNS}
    unstated = row.get("usage_input_tokens_cache_write")
    return {
        DOWNLOAD: CONSOLE_USAGE,
        **others,
        **_shared(row),
        "model": row.get("model_version"),
        "uncached_input_tokens": row.get("usage_input_tokens_no_cache"),
        "cache_read_input_tokens": row.get("usage_input_tokens_cache_read"),
        "cache_creation": {
            "ephemeral_5m_input_tokens": row.get("usage_input_tokens_cache_write_5m") or unstated,
            "ephemeral_1h_input_tokens": row.get("usage_input_tokens_cache_write_1h"),
        },
        "output_tokens": row.get("usage_output_tokens"),
        "server_tool_use": {"web_search_requests": row.get("web_search_count")},
    }


def _cost(row: Row) -> dict[str, Any]:
    others = {name: cell for name, cell in row.items() if name not in _COST_COLUMNS}
    token_type, cost_type, model = row.get("token_type"), row.get("cost_type"), row.get("model")
    return {
        DOWNLOAD: CONSOLE_COST,
        **others,
        **_shared(row),
        "description": ", ".join(word for word in (model, token_type or cost_type) if word) or None,
        "model": model_id(model),
        "token_type": _TOKEN_TYPES.get(token_type or "", token_type),
        "cost_type": _COST_TYPES.get(cost_type or "", cost_type),
        "amount": row.get("cost_usd"),
        "list_amount": row.get("list_price_usd"),
    }


def model_id(shown: str | None) -> str | None:
    """Id of a model from the name that the Console shows: ``Claude Haiku 4.5`` is ``claude-haiku-4-5``."""
    if shown is None:
        return None
    dated = re.sub(r"\b(\d{4})-(\d{2})-(\d{2})\b", r"\1\2\3", shown.strip().lower())
    return re.sub(r"[ .]+", "-", dated)


DOWNLOADS = Downloads(
    title="a download of the Claude Console",
    bucket_columns=frozenset({_DAY}),
    bucket=_bucket,
    kinds=(
        Download(CONSOLE_USAGE, frozenset({_DAY, "usage_input_tokens_no_cache", "usage_output_tokens"}), _usage),
        Download(CONSOLE_COST, frozenset({_DAY, "cost_usd"}), _cost),
    ),
)
