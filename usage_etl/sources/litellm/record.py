"""Which fields of a SpendLogs record are read, and how a record is flattened to text.

Every leaf is read as text and typed later in one place: a token count may come as ``12``, ``"12"`` or ``12.0``, and no
reader's own idea of a number may change it on the way. Prompts, responses and IP addresses are not among the fields.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

_USAGE = ("metadata", "usage_object")
_EXTRA = ("metadata", "additional_usage_values")
_PROMPT = (*_USAGE, "prompt_tokens_details")

FIELDS: Mapping[str, tuple[str, ...]] = {
    "request_id": ("request_id",),
    "call_type": ("call_type",),
    "api_key": ("api_key",),
    "spend": ("spend",),
    "total_tokens": ("total_tokens",),
    "prompt_tokens": ("prompt_tokens",),
    "completion_tokens": ("completion_tokens",),
    "startTime": ("startTime",),
    "endTime": ("endTime",),
    "completionStartTime": ("completionStartTime",),
    "request_duration_ms": ("request_duration_ms",),
    "updated_at": ("updated_at",),
    "model": ("model",),
    "model_group": ("model_group",),
    "custom_llm_provider": ("custom_llm_provider",),
    "user": ("user",),
    "cache_hit": ("cache_hit",),
    "team_id": ("team_id",),
    "end_user": ("end_user",),
    "session_id": ("session_id",),
    "status": ("status",),
    "litellm_call_id": ("litellm_call_id",),
    "request_tags": ("request_tags",),
    "metadata_status": ("metadata", "status"),
    "key_user_id": ("metadata", "user_api_key_user_id"),
    "key_team_id": ("metadata", "user_api_key_team_id"),
    "project_id": ("metadata", "user_api_key_project_id"),
    "error_code": ("metadata", "error_information", "error_code"),
    "error_class": ("metadata", "error_information", "error_class"),
    "service_tier": (*_USAGE, "service_tier"),
    "cache_read_input_tokens": (*_USAGE, "cache_read_input_tokens"),
    "cached_tokens": (*_PROMPT, "cached_tokens"),
    "added_cache_read_input_tokens": (*_EXTRA, "cache_read_input_tokens"),
    "cache_creation_input_tokens": (*_USAGE, "cache_creation_input_tokens"),
    "cache_creation_tokens": (*_PROMPT, "cache_creation_tokens"),
    "added_cache_creation_input_tokens": (*_EXTRA, "cache_creation_input_tokens"),
    "ephemeral_5m_input_tokens": (*_USAGE, "cache_creation_token_details", "ephemeral_5m_input_tokens"),
    "ephemeral_1h_input_tokens": (*_USAGE, "cache_creation_token_details", "ephemeral_1h_input_tokens"),
    "prompt_ephemeral_5m_input_tokens": (*_PROMPT, "cache_creation_token_details", "ephemeral_5m_input_tokens"),
    "prompt_ephemeral_1h_input_tokens": (*_PROMPT, "cache_creation_token_details", "ephemeral_1h_input_tokens"),
    "reasoning_tokens": (*_USAGE, "completion_tokens_details", "reasoning_tokens"),
    "batch_models": ("metadata", "batch_models"),
    "noted_feature": ("metadata", "spend_logs_metadata", "feature"),
    "noted_investigation": ("metadata", "spend_logs_metadata", "investigation"),
}
"""Flat text column to the field's place in the record."""

INSTANT_FIELDS = ("startTime", "endTime", "completionStartTime", "updated_at")
"""Fields that hold an instant."""

COUNT_FIELDS = tuple(name for name in FIELDS if name.endswith("_tokens"))
"""Fields that hold a token count."""


def typed(name: str) -> str:
    """Column that holds the converted value of a field, beside its text."""
    return f"{name} typed"


REASONING_BESIDE = "cache_in_input_reasoning_beside_output"
"""Token convention of the records whose total counts reasoning beside the completion."""

LIST_FIELDS = ("request_tags", "batch_models")
"""Fields that hold a list of texts."""

LIST_SEPARATOR = "\x1f"
"""Between the elements of a list once flattened; a control character that none of them holds."""


def _struct(fields: Mapping[str, Any]) -> pl.Struct:
    return pl.Struct({name: _leaf_type(name) if inner is None else _struct(inner) for name, inner in fields.items()})


def _leaf_type(name: str) -> pl.DataType:
    return pl.List(pl.String) if name in LIST_FIELDS else pl.String()


def _tree(paths: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for path in paths.values():
        node = root
        for name in path[:-1]:
            node = node.setdefault(name, {})
        node[path[-1]] = None
    return root


_TREE = _tree(FIELDS)
METADATA_TYPE = _struct(_TREE["metadata"])


def _leaf_names(tree: Mapping[str, Any], above: tuple[str, ...]) -> list[str]:
    names = {path: name for name, path in FIELDS.items()}
    return [
        leaf
        for name, inner in tree.items()
        for leaf in ([names[*above, name]] if inner is None else _leaf_names(inner, (*above, name)))
    ]


FLAT_SCHEMA = pl.Schema(dict.fromkeys(_leaf_names(_TREE, ()), pl.String))
"""Flattened records: every field as text, lists joined by ``LIST_SEPARATOR``."""

RECORD_TYPES = {"object": _struct(_TREE), "text": _struct(_TREE | {"metadata": None})}
"""JSON type of a record whose ``metadata`` is an object, or JSON in text. A text in place of a list becomes its element."""


def flat_frame(records: pl.DataFrame) -> pl.DataFrame:
    """Records in the columns of ``RECORD_TYPES["object"]``, flattened to the columns of ``FLAT_SCHEMA``, in order."""
    return pl.DataFrame(list(_leaves(records, _TREE, ())))


_NAMES = {path: name for name, path in FIELDS.items()}


def _leaves(frame: pl.DataFrame, tree: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[pl.Series]:
    """Leaf by leaf in the order of the tree. Whole levels are unnested: far cheaper than reaching for single leaves."""
    for name, inner in tree.items():
        column = frame[name]
        if inner is not None:
            yield from _leaves(column.struct.unnest(), inner, (*above, name))
        else:
            flat = column.list.join(LIST_SEPARATOR) if name in LIST_FIELDS else column
            yield flat.alias(_NAMES[*above, name])


def flatten(record: Mapping[str, Any]) -> dict[str, str | None]:
    """One record, already read by Python's json, in the columns of ``FLAT_SCHEMA``.

    Raises ValueError with a rule name when a part that must be an object is something else.
    """
    opened = {**record, "metadata": _opened(record.get("metadata"), "metadata")}
    return {
        name: _joined(_find(opened, path), name) if name in LIST_FIELDS else _text(_find(opened, path), name)
        for name, path in FIELDS.items()
    }


def _opened(found: Any, name: str) -> Any:
    """A JSON object that may stand as JSON text."""
    if not isinstance(found, str):
        return found
    if found in ("", "None"):
        return None
    try:
        return json.loads(found)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name}__not_json") from error


def _find(record: Any, path: tuple[str, ...]) -> Any:
    found = record
    for depth, name in enumerate(path):
        if found is None or found == "":
            return None
        if not isinstance(found, dict):
            raise ValueError(f"{path[depth - 1]}__not_an_object")
        found = found.get(name)
    return found


def _text(found: Any, name: str) -> str | None:
    if found is None or found == "":
        return None
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, dict | list):
        raise ValueError(f"{name}__not_a_scalar")
    return str(found).encode("utf-8", "replace").decode() if isinstance(found, str) else repr(found)


def _joined(found: Any, name: str) -> str | None:
    if found is None or found == {}:
        return None
    elements = [found] if isinstance(found, str) else found
    if not isinstance(elements, list) or any(isinstance(element, dict | list) for element in elements):
        raise ValueError(f"{name}__not_a_list")
    return LIST_SEPARATOR.join(_text(element, name) or "" for element in elements if element is not None) or None
