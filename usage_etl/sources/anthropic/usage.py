"""Anthropic's usage reports of every family as staged bucket usage.

``uncached_input_tokens`` holds no cache tokens. The messages report and the Console's download count no requests; the
analytics reports count them, for code execution as spans.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from usage_etl.sources.anthropic.fields import CONTEXT_WINDOWS, PROVIDER, identity, part, processing, region, tags
from usage_etl.sources.forms.reports import Bucket
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.rows.cells import Cells
from usage_etl.sources.rows.tags import tag_pairs


def read_usage(result: Mapping[str, Any], bucket: Bucket, cells: Cells, _: ParseContext) -> dict[str, Any]:
    """One group of one bucket."""
    created = part(result, "cache_creation", "cache_write_tokens", cells)
    written_5m = cells.whole(created.get("ephemeral_5m_input_tokens"), "cache_write_tokens") or 0
    written_1h = cells.whole(created.get("ephemeral_1h_input_tokens"), "cache_write_1h_tokens") or 0
    window = cells.text(result.get("context_window"), "context_min_tokens")
    return {
        "bucket_key": bucket.key,
        "usage_date": bucket.started_at.date(),
        "started_at": bucket.started_at,
        "ended_at": bucket.ended_at,
        "grain": "bucket",
        "requests_count": cells.whole(result.get("requests"), "requests_count") or 0,
        "status": "unknown",
        "token_convention": "cache_beside_input",
        "reported_input_tokens": cells.whole(result.get("uncached_input_tokens"), "reported_input_tokens", is_required=True),
        "reported_output_tokens": cells.whole(result.get("output_tokens"), "reported_output_tokens", is_required=True),
        "reported_total_tokens": cells.whole(result.get("total_tokens"), "reported_total_tokens"),
        "cache_read_tokens": cells.whole(result.get("cache_read_input_tokens"), "cache_read_tokens"),
        "cache_write_tokens": written_5m + written_1h,
        "cache_write_1h_tokens": written_1h,
        "primitive": "ai.chat",
        "host_raw": PROVIDER,
        "model_raw": cells.text(result.get("model"), "model_raw"),
        "region": region(result, cells, "region"),
        "context_min_tokens": CONTEXT_WINDOWS.get(window or ""),
        "processing": processing(result, cells) or "standard",
        "is_cache_hit": False,
        "project_id": cells.text(result.get("workspace_id"), "project_id") or cells.text(result.get("workspace"), "project_id"),
        "feature_id": cells.text(result.get("product"), "feature_id"),
        "session_id": cells.text(result.get("session_id"), "session_id"),
        "end_user_id": cells.text(result.get("user_profile_id"), "end_user_id"),
        "tag_set": tag_pairs(tags(result, cells, "tag_set")),
        **_web_searches(result, cells),
        **identity(result, cells),
    }


def _web_searches(result: Mapping[str, Any], cells: Cells) -> dict[str, Any]:
    """Searches in their own unit; nothing where there were none, so that such rows stay together with those before."""
    used = part(result, "server_tool_use", "native_quantity", cells)
    searches = cells.whole(used.get("web_search_requests"), "native_quantity")
    return {"native_unit": "web_searches", "native_quantity": Decimal(searches)} if searches else {}
