"""The staging of SpendLogs written for DuckDB: the same columns, the same rules, the same files by day.

Two forms. ``same`` accepts metadata as an object or as JSON in text and numbers the lines, as ours does. ``least`` is the
cheapest DuckDB can do: metadata declared as an object (text would fail), no line numbers.
"""

from __future__ import annotations

from pathlib import Path

_USAGE = """STRUCT(service_tier VARCHAR, cache_read_input_tokens BIGINT, cache_creation_input_tokens BIGINT,
    prompt_tokens_details STRUCT(cached_tokens BIGINT, cache_creation_tokens BIGINT,
        cache_creation_token_details STRUCT(ephemeral_5m_input_tokens BIGINT, ephemeral_1h_input_tokens BIGINT)),
    cache_creation_token_details STRUCT(ephemeral_5m_input_tokens BIGINT, ephemeral_1h_input_tokens BIGINT),
    completion_tokens_details STRUCT(reasoning_tokens BIGINT))"""

_METADATA = f"""STRUCT(status VARCHAR, user_api_key_user_id VARCHAR, user_api_key_team_id VARCHAR,
    user_api_key_project_id VARCHAR, error_information STRUCT(error_code VARCHAR, error_class VARCHAR), usage_object {_USAGE},
    additional_usage_values STRUCT(cache_read_input_tokens BIGINT, cache_creation_input_tokens BIGINT),
    batch_models VARCHAR[], spend_logs_metadata STRUCT(feature VARCHAR, investigation VARCHAR))"""

_COLUMNS = {
    **dict.fromkeys(("request_id", "call_type", "api_key", "model", "model_group", "custom_llm_provider", "user"), "VARCHAR"),
    **dict.fromkeys(("cache_hit", "team_id", "end_user", "session_id", "status", "litellm_call_id"), "VARCHAR"),
    **dict.fromkeys(("total_tokens", "prompt_tokens", "completion_tokens", "request_duration_ms"), "BIGINT"),
    **dict.fromkeys(("startTime", "endTime", "completionStartTime", "updated_at"), "TIMESTAMP"),
    "spend": "DOUBLE",
}

_MODAL_NULLS = ", ".join(
    f"NULL::BIGINT AS {part}_{media}_tokens" for media in ("audio", "image") for part in ("input", "cache_read", "output")
)

_ROWS = """
SELECT 'gateway' AS source, 'default' AS source_account, 'usage' AS source_role, '{delivery}' AS delivery_id,
    1::BIGINT AS delivery_sequence, raw_ordinal, NULL::VARCHAR AS bucket_key, request_id AS event_id,
    nullif(litellm_call_id, '') AS call_id,
    updated_at AS record_version_at, startTime::DATE AS usage_date, startTime AS started_at, endTime AS ended_at,
    'request' AS grain, 1::BIGINT AS requests_count,
    CASE WHEN coalesce(nullif(status, ''), m.status) = 'success' THEN 'success'
        WHEN m.error_information.error_class IN ('GuardrailRaisedException', 'ContentPolicyViolationError') THEN 'blocked'
        WHEN m.error_information.error_class = 'CancelledError' THEN 'cancelled'
        WHEN coalesce(nullif(status, ''), m.status) IN ('failure', 'failed', 'error')
            OR m.error_information.error_class IS NOT NULL THEN 'error' ELSE 'unknown' END AS status,
    TRY_CAST(m.error_information.error_code AS BIGINT) AS http_status, nullif(m.error_information.error_class, '') AS error_type,
    NULL::VARCHAR AS operation_name,
    CASE WHEN reasoning > 0 AND total_tokens = prompt_tokens + completion_tokens + reasoning
        THEN 'cache_in_input_reasoning_beside_output' ELSE 'cache_in_input' END AS token_convention,
    prompt_tokens AS reported_input_tokens, completion_tokens AS reported_output_tokens, total_tokens AS reported_total_tokens,
    cache_read AS cache_read_tokens, cache_write AS cache_write_tokens, cache_write_1h AS cache_write_1h_tokens,
    reasoning AS reasoning_tokens, {nulls},
    CASE WHEN call_type IN ('embedding', 'aembedding') THEN 'ai.embed'
        WHEN call_type IN ('image_generation', 'aimage_generation', 'image_edit', 'aimage_edit') THEN 'ai.image'
        WHEN call_type IN ('moderation', 'amoderation') THEN 'safety.moderate' ELSE 'ai.chat' END AS primitive,
    CASE WHEN call_type IN ('moderation', 'amoderation') THEN 1::DECIMAL(38, 18) END AS quantity,
    nullif(custom_llm_provider, '') AS host_raw, nullif(model, '') AS model_raw, nullif(model_group, '') AS deployment,
    NULL::VARCHAR AS native_unit, NULL::DECIMAL(38, 18) AS native_quantity, NULL::VARCHAR AS region,
    NULL::BIGINT AS context_min_tokens,
    CASE WHEN contains(call_type, 'batch') OR len(m.batch_models) > 0 THEN 'batch'
        WHEN lower(m.usage_object.service_tier) IN ('batch', 'flex', 'priority') THEN lower(m.usage_object.service_tier)
        ELSE 'standard' END AS processing,
    coalesce(lower(cache_hit) = 'true', false) AS is_cache_hit,
    coalesce(nullif("user", ''), m.user_api_key_user_id) AS user_id,
    coalesce(nullif(team_id, ''), m.user_api_key_team_id) AS team_id,
    CASE WHEN starts_with(api_key, 'sk-') THEN sha256(api_key) ELSE nullif(api_key, '') END AS api_key_id,
    nullif(m.user_api_key_project_id, '') AS project_id,
    coalesce(substr(list_filter(tags, lambda tag: starts_with(tag, 'investigation:'))[1], 15),
        m.spend_logs_metadata.investigation) AS investigation_id,
    coalesce(substr(list_filter(tags, lambda tag: starts_with(tag, 'feature:'))[1], 9),
        m.spend_logs_metadata.feature) AS feature_id,
    nullif(session_id, '') AS session_id, nullif(end_user, '') AS end_user_id,
    replace(array_to_string(list_sort(list_filter(tags, lambda tag: starts_with(tag, 'env:'))), ','), ':', '=') AS tag_set,
    NULL::VARCHAR AS client_ip, NULL::VARCHAR AS prompt_excerpt,
    CASE WHEN request_duration_ms >= 0 THEN request_duration_ms END AS latency_ms,
    CASE WHEN completionStartTime >= startTime THEN date_diff('millisecond', startTime, completionStartTime) END AS ttft_ms,
    spend AS source_cost_usd
FROM (SELECT *,
        greatest(m.usage_object.cache_read_input_tokens, m.usage_object.prompt_tokens_details.cached_tokens,
            m.additional_usage_values.cache_read_input_tokens) AS cache_read,
        greatest(m.usage_object.cache_creation_input_tokens, m.usage_object.prompt_tokens_details.cache_creation_tokens,
            m.additional_usage_values.cache_creation_input_tokens) AS cache_write,
        greatest(m.usage_object.cache_creation_token_details.ephemeral_1h_input_tokens,
            m.usage_object.prompt_tokens_details.cache_creation_token_details.ephemeral_1h_input_tokens) AS cache_write_1h,
        m.usage_object.completion_tokens_details.reasoning_tokens AS reasoning
    FROM raw)
WHERE request_id <> '' AND length(request_id) <= 512 AND startTime >= '2015-01-01' AND startTime <= '2026-11-03 01:00:00'
    AND coalesce(abs(spend) < 1e12, true)
    AND coalesce(prompt_tokens BETWEEN 0 AND 10000000000000, true)
    AND coalesce(completion_tokens BETWEEN 0 AND 10000000000000, true)
    AND coalesce(total_tokens BETWEEN 0 AND 10000000000000, true) AND coalesce(cache_read BETWEEN 0 AND 10000000000000, true)
    AND coalesce(cache_write BETWEEN 0 AND 10000000000000, true) AND coalesce(reasoning BETWEEN 0 AND 10000000000000, true)
    AND coalesce(cache_read, 0) + coalesce(cache_write, 0) <= coalesce(prompt_tokens, 0)
    AND coalesce(cache_write_1h <= cache_write, true)
"""


def staging_sql(source: Path, target: Path, *, form: str) -> str:
    """One statement that stages ``source`` below ``target``, one folder per usage day."""
    is_least = form == "least"
    types = _COLUMNS | {"metadata": _METADATA if is_least else "JSON", "request_tags": "VARCHAR[]" if is_least else "JSON"}
    columns = ", ".join(f"\"{name}\": '{kind}'" for name, kind in types.items())
    reader = f"read_json('{source}', format = 'newline_delimited', columns = {{{columns}}})"
    if is_least:
        raw = f"SELECT *, 0::BIGINT AS raw_ordinal, metadata AS m, request_tags AS tags FROM {reader}"
    else:
        raw = f"""SELECT *, row_number() OVER () AS raw_ordinal,
            from_json(CASE WHEN json_type(metadata) = 'VARCHAR' THEN (metadata->>'$')::JSON ELSE metadata END,
                '{_transform(_METADATA)}') AS m,
            from_json(CASE WHEN json_type(request_tags) = 'VARCHAR' THEN (request_tags->>'$')::JSON ELSE request_tags END,
                '["VARCHAR"]') AS tags
        FROM {reader}"""
    return (
        f"COPY (WITH raw AS ({raw}) {_ROWS.format(delivery='d' * 32, nulls=_MODAL_NULLS)}) TO '{target}' "
        "(FORMAT parquet, COMPRESSION zstd, PARTITION_BY (usage_date), WRITE_PARTITION_COLUMNS true)"
    )


def _transform(kind: str) -> str:
    """A SQL STRUCT type as the JSON structure that from_json takes."""
    text = " ".join(kind.split())
    if text.endswith("[]"):
        return f"[{_transform(text[:-2])}]"
    if not text.startswith("STRUCT("):
        return f'"{text}"'
    fields, depth, start = [], 0, len("STRUCT(")
    for at in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if (text[at] == "," and depth == 0) or depth < 0:
            name, _, inner = text[start:at].strip().partition(" ")
            fields.append(f'"{name}":{_transform(inner)}')
            start = at + 1
    return f"{{{','.join(fields)}}}"
