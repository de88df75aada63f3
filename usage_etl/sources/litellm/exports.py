"""What is selected of LiteLLM's tables: the columns that a version has, none with prompts, responses or addresses.

A row comes as one line of JSON, as ``row_to_json`` writes it, so that a window of the database reads like an export.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from usage_etl.errors import SourceError
from usage_etl.sources.litellm.daily import ENTITIES
from usage_etl.sources.litellm.spend_logs import FIELDS

SPEND_LOGS_TABLE = "LiteLLM_SpendLogs"
DAILY_TABLES = {
    "user": "LiteLLM_DailyUserSpend",
    "team": "LiteLLM_DailyTeamSpend",
    "organization": "LiteLLM_DailyOrganizationSpend",
}
"""Tables of sums by the setting that chooses one. The one of tags is not among them: calls with several tags stand there
several times."""

_BESIDE = ("organization_id", "model_id", "agent_id", "mcp_namespaced_tool_name", "created_at")
"""Columns that are kept for a later reading though nothing is read from them yet."""

_REQUEST_COLUMNS = tuple(dict.fromkeys([*(place[0] for place in FIELDS.values()), *_BESIDE]))
_REQUEST_VERSION = ("updated_at", "spend", "status", "prompt_tokens", "completion_tokens", "endTime")
_WHOLE = frozenset({"usage_object", "additional_usage_values", "batch_models"})
"""Parts of ``metadata`` that hold nothing but numbers and names of models."""

_DAILY_COLUMNS = (
    *("id", "date", "api_key", "model", "model_group", "custom_llm_provider", "mcp_namespaced_tool_name", "endpoint"),
    *("prompt_tokens", "completion_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "spend"),
    *("api_requests", "successful_requests", "failed_requests", "created_at", "updated_at", *ENTITIES),
)
_DAILY_VERSION = ("updated_at", "spend", "api_requests", "prompt_tokens", "completion_tokens")


@dataclass(frozen=True)
class Export:
    """How one table is read."""

    dataset: str
    time: sa.ColumnElement[Any]
    """What windows are cut by, as it is indexed."""
    seconds: sa.ColumnElement[Any]
    """The same in seconds since 1970."""
    bound: Callable[[dt.datetime], Any]
    """An instant as ``time`` is compared with."""
    day_of: Callable[[Any], dt.date]
    selected: tuple[sa.ColumnElement[Any], ...]
    """What makes a line."""
    key: sa.ColumnElement[Any]
    version: tuple[sa.ColumnElement[Any], ...]
    """Columns in which a changed row differs."""
    cleaned: Callable[[str], str] = str

    def extent(self, start: dt.datetime, end: dt.datetime) -> sa.Select[Any]:
        """Least and greatest time of the rows from ``start`` to before ``end``."""
        return sa.select(sa.func.min(self.time), sa.func.max(self.time)).where(*self._between(start, end))

    def marks(self, start: dt.datetime, end: dt.datetime, window: dt.timedelta) -> sa.Select[Any]:
        """Number, count of rows and mark of each window: the order of rows does not matter to a mark, any change of one does."""
        parts = sa.func.concat_ws("|", *(sa.cast(column, sa.Text) for column in (self.key, *self.version)))
        digest = sa.cast(sa.func.hashtextextended(parts, sa.literal_column("0")), sa.Numeric)
        number = sa.cast(sa.func.floor(self.seconds / int(window.total_seconds())), sa.BigInteger).label("number")
        counted = sa.select(number, digest.label("digest")).where(*self._between(start, end)).subquery()
        by_window = sa.select(counted.c.number, sa.func.count(), sa.func.sum(counted.c.digest))
        return by_window.group_by(counted.c.number).order_by(counted.c.number)

    def lines(self, start: dt.datetime, end: dt.datetime) -> sa.Select[Any]:
        """The rows as lines of JSON, in a fixed order."""
        rows = sa.select(*self.selected).where(*self._between(start, end)).order_by(self.time, self.key).subquery("line")
        return sa.select(sa.cast(sa.func.row_to_json(sa.literal_column("line")), sa.Text)).select_from(rows)

    def _between(self, start: dt.datetime, end: dt.datetime) -> tuple[sa.ColumnElement[bool], ...]:
        return self.time >= self.bound(start), self.time < self.bound(end)


def spend_logs_export(columns: Collection[str], *, schema: str, source: str) -> Export:
    """How the requests are read from a table with ``columns``. Raises SourceError where it is not LiteLLM's."""
    _demand(columns, ("request_id", "startTime"), SPEND_LOGS_TABLE, source)
    rows = sa.table(SPEND_LOGS_TABLE, *map(sa.column, sorted(columns)), schema=schema).c
    return Export(
        dataset="spend_logs",
        time=rows["startTime"],
        seconds=sa.extract("epoch", rows["startTime"]),
        bound=lambda at: at.replace(tzinfo=None),
        day_of=lambda at: at.date(),
        selected=tuple(
            _read_metadata(rows[name]).label(name) if name == "metadata" else rows[name]
            for name in _REQUEST_COLUMNS
            if name in columns
        ),
        key=rows["request_id"],
        version=tuple(rows[name] for name in _REQUEST_VERSION if name in columns),
        cleaned=_without_private,
    )


def daily_export(table: str, columns: Collection[str], *, schema: str, source: str) -> Export:
    """How a table of sums is read. Raises SourceError where it is not LiteLLM's."""
    _demand(columns, ("id", "date", "api_requests"), table, source)
    rows = sa.table(table, *map(sa.column, sorted(columns)), schema=schema).c
    return Export(
        dataset="daily_spend",
        time=rows["date"],
        seconds=sa.extract("epoch", sa.cast(rows["date"], sa.Date)),
        bound=lambda at: str(at.date()),
        day_of=dt.date.fromisoformat,
        selected=tuple(rows[name] for name in _DAILY_COLUMNS if name in columns),
        key=rows["id"],
        version=tuple(rows[name] for name in _DAILY_VERSION if name in columns),
    )


def _demand(columns: Collection[str], needed: tuple[str, ...], table: str, source: str) -> None:
    if not columns:
        raise SourceError(source, f"the database has no table {table} that the role may read; check database_schema and grants")
    if missing := [name for name in needed if name not in columns]:
        raise SourceError(source, f"table {table} has no column {', '.join(missing)} that the role may read")


def _metadata_tree() -> dict[str, Any]:
    """The parts of ``metadata`` that are read, as they are nested; those of ``_WHOLE`` undivided."""
    tree: dict[str, Any] = {}
    for place in FIELDS.values():
        if place[0] == "metadata":
            node, parts = tree, place[1:2] if place[1] in _WHOLE else place[1:]
            for part in parts[:-1]:
                node = node.setdefault(part, {})
            node[parts[-1]] = None
    return tree


def _read_metadata(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """``metadata`` with those parts only: the column also holds addresses, requests and what guardrails saw."""
    document = sa.cast(column, JSONB)
    kept = sa.func.jsonb_strip_nulls(_object_of(document, _metadata_tree(), ()))
    return sa.case((sa.func.jsonb_typeof(document) == "object", kept), else_=document)


def _object_of(document: sa.ColumnElement[Any], tree: Mapping[str, Any], above: tuple[str, ...]) -> sa.ColumnElement[Any]:
    parts: list[Any] = []
    for name, inner in tree.items():
        place = (*above, name)
        found = sa.func.jsonb_extract_path(document, *place) if inner is None else _object_of(document, inner, place)
        parts += [sa.cast(name, sa.Text), found]
    return sa.func.jsonb_build_object(*parts)


def _without_private(line: str) -> str:
    """A line whose ``metadata`` is JSON in text, as some versions write it, with the same parts only."""
    if '"metadata":"' not in line:
        return line
    record = json.loads(line)
    try:
        metadata = json.loads(record["metadata"])
    except (ValueError, RecursionError):
        metadata = None
    record["metadata"] = _pruned(metadata, _metadata_tree())
    return json.dumps(record, ensure_ascii=False)


def _pruned(found: Any, tree: Mapping[str, Any]) -> Any:
    if not isinstance(found, dict):
        return None
    return {name: found[name] if inner is None else _pruned(found[name], inner) for name, inner in tree.items() if name in found}
