"""Which spans are calls of a model, and their attributes under one name each.

Agents, workflows and tools have spans of their own, which repeat the tokens of the calls below them: they are out of scope.
A span with tokens of which nothing says what it is goes to quarantine: it may be a call, and it may be a repetition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from usage_etl.sources.otel_genai import attributes as names
from usage_etl.sources.otel_genai.documents import FIXED, SCOPE, SPAN, TRACE, Wanted, resource_column
from usage_etl.sources.otel_genai.settings import OtelGenAiSettings
from usage_etl.sources.rows.tags import tag_set

PRIMITIVE = "primitive"
"""Column: what the call used; null where nothing says whether the span is a call."""

OPERATIONS: Mapping[str, str] = {
    "chat": "ai.chat",
    "completion": "ai.chat",
    "generate_content": "ai.chat",
    "responses": "ai.chat",
    "text_completion": "ai.chat",
    "embedding": "ai.embed",
    "embeddings": "ai.embed",
    "image_generation": "ai.image",
    "generate_image": "ai.image",
}
"""Operation names of calls, the convention's and those that instrumentations use, to primitive."""

NO_CALLS = (
    "create_agent",
    "invoke_agent",
    "invoke_workflow",
    "execute_tool",
    "plan",
    "retrieval",
    "rerank",
    "create_memory",
    "create_memory_store",
    "delete_memory",
    "delete_memory_store",
    "search_memory",
    "update_memory",
    "upsert_memory",
)
"""Operation names of spans that are no calls; their tokens are those of the calls below them."""

_OPENINFERENCE_KINDS = {"LLM": "ai.chat", "EMBEDDING": "ai.embed"}
_REQUEST_TYPES = {"chat": "ai.chat", "completion": "ai.chat", "embedding": "ai.embed"}
_AI_SDK_CALLS = {"doGenerate": "ai.chat", "doStream": "ai.chat", "doEmbed": "ai.embed"}

OWNERS = ("user", "team", "project", "feature", "investigation", "end_user", "api_key", "session")
"""Columns filled by the settings ``<name>_attributes``."""

TAGS = "tags"


def wanted(settings: OtelGenAiSettings) -> Wanted:
    """Every attribute that the settings or the convention name."""
    chosen = [*(key for name in OWNERS for key in _keys(settings, name)), *settings.tag_attributes]
    of_convention = [key for keys in names.FIELDS.values() for key in keys]
    return Wanted(tuple(dict.fromkeys([*of_convention, *chosen])), tuple(dict.fromkeys(chosen)))


def _keys(settings: OtelGenAiSettings, owner: str) -> tuple[str, ...]:
    found: tuple[str, ...] = getattr(settings, f"{owner}_attributes")
    return found


def in_scope(spans: pl.DataFrame, settings: OtelGenAiSettings) -> pl.DataFrame:
    """The spans that are calls or may be: ``raw_ordinal``, FIXED, the convention's fields, OWNERS, TAGS and PRIMITIVE."""
    fields = [pl.coalesce(keys).alias(field) for field, keys in names.FIELDS.items()]
    tags = tag_set({key: pl.coalesce(key, resource_column(key)) for key in settings.tag_attributes})
    read = spans.select("raw_ordinal", pl.col(FIXED), *fields, *_owners(settings), tags.alias(TAGS))
    judged = read.with_columns(_primitive(settings.operations).alias(PRIMITIVE))
    is_ignored = pl.col(SCOPE).is_in(settings.ignored_scopes).fill_null(value=False)
    return judged.filter(~is_ignored & (pl.col(PRIMITIVE).is_not_null() | _is_unclear())).with_columns(
        _hexadecimal(TRACE, 16), _hexadecimal(SPAN, 8)
    )


def _owners(settings: OtelGenAiSettings) -> Iterable[pl.Expr]:
    for owner in OWNERS:
        places = [column for key in _keys(settings, owner) for column in (key, resource_column(key))]
        yield (pl.coalesce(places) if places else pl.lit(None, pl.String)).alias(owner)


def _primitive(further: Mapping[str, str]) -> pl.Expr:
    """What the call used; null where the span is no call or does not say."""
    operation, ai_sdk = pl.col(names.OPERATION), pl.col(names.AI_SDK_OPERATION).str.split(".").list.last()
    says_call = pl.col(names.REQUEST_MODEL).is_not_null() | pl.col(names.RESPONSE_MODEL).is_not_null()
    return (
        pl.when(operation.is_not_null()).then(_looked_up(operation, {**OPERATIONS, **further}))
        .when(pl.col(names.OPENINFERENCE_KIND).is_not_null())
        .then(_looked_up(pl.col(names.OPENINFERENCE_KIND).str.to_uppercase(), _OPENINFERENCE_KINDS))
        .when(ai_sdk.is_not_null()).then(_looked_up(ai_sdk, _AI_SDK_CALLS))
        .when(pl.col(names.REQUEST_TYPE).is_not_null()).then(_looked_up(pl.col(names.REQUEST_TYPE), _REQUEST_TYPES))
        .when(says_call & _has_tokens() & pl.all_horizontal(pl.col(names.WORKFLOW_KIND, names.AGENT).is_null()))
        .then(pl.lit("ai.chat"))
    )  # fmt: skip


def _looked_up(text: pl.Expr, found: Mapping[str, str]) -> pl.Expr:
    return text.replace_strict(found, default=None, return_dtype=pl.String)


def _has_tokens() -> pl.Expr:
    return pl.any_horizontal(pl.col(name).is_not_null() for name in names.TOKENS)


def _is_unclear() -> pl.Expr:
    """Whether a span with tokens says too little: an operation that nobody knows, or nothing at all."""
    operation = pl.col(names.OPERATION)
    says_nothing = pl.all_horizontal(
        pl.col(name).is_null()
        for name in (names.OPENINFERENCE_KIND, names.AI_SDK_OPERATION, names.REQUEST_TYPE, names.WORKFLOW_KIND, names.AGENT)
    )
    is_unknown = operation.is_not_null() & ~operation.is_in(NO_CALLS)
    return _has_tokens() & (is_unknown | (operation.is_null() & says_nothing))


def _hexadecimal(name: str, size: int) -> pl.Expr:
    """An id of ``size`` bytes in small hexadecimal digits, also where it came as base64; anything else as it is."""
    text = pl.col(name)
    is_base64 = (text.str.len_bytes() == (size + 2) // 3 * 4) & text.str.ends_with("=")
    decoded = pl.when(is_base64).then(text).str.decode("base64", strict=False).bin.encode("hex")
    return pl.coalesce(decoded, text.str.to_lowercase()).alias(name)
