"""Which attributes say what: the convention's own names, its earlier ones, and those of widespread instrumentations.

A field is named after the convention's newest name. Of several names on one span the first listed one is read. Prompts and
answers are attributes, too, and are in no list.
"""

from __future__ import annotations

from collections.abc import Mapping

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
RESPONSE_MODEL = "gen_ai.response.model"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_ID = "gen_ai.response.id"
INPUT = "gen_ai.usage.input_tokens"
OUTPUT = "gen_ai.usage.output_tokens"
TOTAL = "gen_ai.usage.total_tokens"
CACHE_READ = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE = "gen_ai.usage.cache_write.input_tokens"
REASONING = "gen_ai.usage.reasoning.output_tokens"
AUDIO_INPUT = "gen_ai.usage.audio.input_tokens"
AUDIO_OUTPUT = "gen_ai.usage.audio.output_tokens"
IMAGE_INPUT = "gen_ai.usage.image.input_tokens"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
FIRST_CHUNK_MS = "ai.response.msToFirstChunk"
SERVICE_TIER = "openai.response.service_tier"
ERROR_TYPE = "error.type"
HTTP_STATUS = "http.response.status_code"
COST = "gen_ai.usage.cost"
AGENT = "gen_ai.agent.name"
OPENINFERENCE_KIND = "openinference.span.kind"
REQUEST_TYPE = "llm.request.type"
WORKFLOW_KIND = "traceloop.span.kind"
AI_SDK_OPERATION = "ai.operationId"

FIELDS: Mapping[str, tuple[str, ...]] = {
    OPERATION: (OPERATION,),
    OPENINFERENCE_KIND: (OPENINFERENCE_KIND,),
    AI_SDK_OPERATION: (AI_SDK_OPERATION,),
    REQUEST_TYPE: (REQUEST_TYPE,),
    WORKFLOW_KIND: (WORKFLOW_KIND,),
    AGENT: (AGENT, "gen_ai.agent.id", "agent_name"),
    PROVIDER: (PROVIDER, "gen_ai.system", "llm.provider", "llm.system", "ai.model.provider"),
    RESPONSE_MODEL: (RESPONSE_MODEL, "ai.response.model"),
    REQUEST_MODEL: (REQUEST_MODEL, "llm.model_name", "embedding.model_name", "ai.model.id"),
    RESPONSE_ID: (RESPONSE_ID, "ai.response.id"),
    INPUT: (
        INPUT,
        "gen_ai.usage.prompt_tokens",
        "llm.usage.prompt_tokens",
        "llm.token_count.prompt",
        "ai.usage.inputTokens",
        "ai.usage.promptTokens",
        "ai.usage.tokens",
    ),
    OUTPUT: (
        OUTPUT,
        "gen_ai.usage.completion_tokens",
        "llm.usage.completion_tokens",
        "llm.token_count.completion",
        "ai.usage.outputTokens",
        "ai.usage.completionTokens",
    ),
    TOTAL: (TOTAL, "llm.usage.total_tokens", "llm.token_count.total", "ai.usage.totalTokens"),
    CACHE_READ: (
        CACHE_READ,
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.input_tokens.cached",
        "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.usage.details.cached_tokens",
        "llm.token_count.prompt_details.cache_read",
        "ai.usage.cachedInputTokens",
    ),
    CACHE_WRITE: (
        CACHE_WRITE,
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.input_tokens.cache_write",
        "gen_ai.usage.details.cache_write_tokens",
        "llm.token_count.prompt_details.cache_write",
    ),
    REASONING: (
        REASONING,
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.output_tokens.reasoning",
        "gen_ai.usage.details.reasoning_tokens",
        "llm.usage.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
        "ai.usage.reasoningTokens",
    ),
    AUDIO_INPUT: (AUDIO_INPUT, "gen_ai.usage.details.input_audio_tokens", "llm.token_count.prompt_details.audio"),
    AUDIO_OUTPUT: (AUDIO_OUTPUT, "gen_ai.usage.details.output_audio_tokens", "llm.token_count.completion_details.audio"),
    IMAGE_INPUT: (IMAGE_INPUT,),
    FIRST_CHUNK: (FIRST_CHUNK, "gen_ai.server.time_to_first_token"),
    FIRST_CHUNK_MS: (FIRST_CHUNK_MS,),
    SERVICE_TIER: (
        SERVICE_TIER,
        "gen_ai.openai.response.service_tier",
        "openai.request.service_tier",
        "gen_ai.openai.request.service_tier",
    ),
    ERROR_TYPE: (ERROR_TYPE,),
    HTTP_STATUS: (HTTP_STATUS, "http.status_code"),
    COST: (COST, "operation.cost", "llm.cost.total"),
}
"""Field to the attributes that say it, the first one first."""

TOKENS = (INPUT, OUTPUT, TOTAL, CACHE_READ, CACHE_WRITE, REASONING, AUDIO_INPUT, AUDIO_OUTPUT, IMAGE_INPUT)
"""Fields that count tokens."""
