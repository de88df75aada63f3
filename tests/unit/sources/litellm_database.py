"""LiteLLM's tables in a real PostgreSQL, as its schema declares them, and what a fetch of them hands over."""

import dataclasses
import datetime as dt
import json
import tempfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from backports import zstd

from tests.unit.sources.fetching import fetch_context
from usage_etl.config import SecretRef
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.litellm.fetch import fetch
from usage_etl.sources.litellm.settings import LiteLLMSettings

PULLED_AT = dt.datetime(2026, 11, 4, 6, tzinfo=dt.UTC)

REQUEST_COLUMNS = {
    "request_id": "text primary key",
    "call_type": "text not null",
    "api_key": "text not null default ''",
    "spend": "double precision not null default 0.0",
    "total_tokens": "integer not null default 0",
    "prompt_tokens": "integer not null default 0",
    "completion_tokens": "integer not null default 0",
    "startTime": "timestamp(3) not null",
    "endTime": "timestamp(3) not null",
    "request_duration_ms": "integer",
    "completionStartTime": "timestamp(3)",
    "model": "text not null default ''",
    "model_id": "text default ''",
    "model_group": "text default ''",
    "custom_llm_provider": "text default ''",
    "api_base": "text default ''",
    "user": "text default ''",
    "metadata": "jsonb default '{}'",
    "cache_hit": "text default ''",
    "cache_key": "text default ''",
    "request_tags": "jsonb default '[]'",
    "team_id": "text",
    "organization_id": "text",
    "end_user": "text",
    "requester_ip_address": "text",
    "messages": "jsonb default '{}'",
    "response": "jsonb default '{}'",
    "session_id": "text",
    "status": "text",
    "mcp_namespaced_tool_name": "text",
    "agent_id": "text",
    "proxy_server_request": "jsonb default '{}'",
    "litellm_call_id": "text",
    "created_at": "timestamp(3) not null default current_timestamp",
    "updated_at": "timestamp(3) not null default current_timestamp",
}
"""LiteLLM_SpendLogs; versions before the last three columns had no ``updated_at``."""

SINCE_UPDATED_AT = ("litellm_call_id", "created_at", "updated_at")


def daily_columns(entity: str) -> dict[str, str]:
    """LiteLLM_Daily*Spend of one entity."""
    return {
        "id": "text primary key",
        entity: "text",
        "date": "text not null",
        "api_key": "text not null",
        "model": "text",
        "model_group": "text",
        "custom_llm_provider": "text",
        "mcp_namespaced_tool_name": "text",
        "endpoint": "text",
        **dict.fromkeys(("prompt_tokens", "completion_tokens"), "bigint not null default 0"),
        **dict.fromkeys(("cache_read_input_tokens", "cache_creation_input_tokens"), "bigint not null default 0"),
        "spend": "double precision not null default 0.0",
        **dict.fromkeys(("api_requests", "successful_requests", "failed_requests"), "bigint not null default 0"),
        "created_at": "timestamp(3) not null default current_timestamp",
        "updated_at": "timestamp(3) not null",
    }


@dataclasses.dataclass
class Gateway:
    """One LiteLLM database of a test."""

    address: str

    def __post_init__(self) -> None:
        self.engine = sa.create_engine(self.address, poolclass=sa.NullPool)

    def create(self, table: str, columns: Mapping[str, str], index: str, schema: str = "public") -> None:
        """Create a table with LiteLLM's index on ``index``."""
        body = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        with self.engine.begin() as connection:
            connection.execute(sa.text(f'create table "{schema}"."{table}" ({body})'))
            connection.execute(sa.text(f'create index on "{schema}"."{table}" ("{index}")'))

    def insert(self, table: str, rows: Iterable[Mapping[str, Any]], schema: str = "public") -> None:
        """Add rows; dictionaries and lists become JSON."""
        with self.engine.begin() as connection:
            for row in rows:
                add(connection, table, row, schema)

    def execute(self, sql: str) -> None:
        """Any statement, committed."""
        with self.engine.begin() as connection:
            connection.execute(sa.text(sql))


def add(connection: sa.Connection, table: str, row: Mapping[str, Any], schema: str = "public") -> None:
    """One row within a transaction of the test's own."""
    values = {
        f"p{number}": json.dumps(cell) if isinstance(cell, dict | list) else cell for number, cell in enumerate(row.values())
    }
    names = ", ".join(f'"{name}"' for name in row)
    connection.execute(
        sa.text(f'insert into "{schema}"."{table}" ({names}) values ({", ".join(f":{name}" for name in values)})'), values
    )


def spend_log(request_id: str, started: str, **changes: Any) -> dict[str, Any]:
    """A request as LiteLLM writes it."""
    return {
        "request_id": request_id,
        "call_type": "acompletion",
        "api_key": "a" * 64,
        "spend": 0.0021,
        "total_tokens": 1200,
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "startTime": started,
        "endTime": started,
        "model": "gpt-5.2",
        "custom_llm_provider": "openai",
        "user": "user-1",
        "metadata": {
            "status": "success",
            "user_api_key_project_id": "project-7",
            "usage_object": {"prompt_tokens_details": {"cached_tokens": 400}},
            "requester_ip_address": "10.1.2.3",
            "proxy_server_request": {"body": "the secret plan"},
            "error_information": {"error_code": "", "error_class": "", "traceback": "the secret trace"},
            "spend_logs_metadata": {"feature": "search", "note": "the secret note"},
        },
        "request_tags": ["env:prod"],
        "requester_ip_address": "10.1.2.3",
        "messages": [{"content": "the secret plan"}],
        "response": {"content": "the secret answer"},
        "proxy_server_request": {"body": "the secret plan"},
        "status": "success",
    } | changes


def settings(**changes: Any) -> LiteLLMSettings:
    """A source that reads the database."""
    fields = {"kind": "litellm", "name": "gateway", "database": SecretRef(env="LITELLM_DATABASE"), "daily_spend": None}
    return LiteLLMSettings(**(fields | changes))


def pull(
    address: str, *, known: Collection[tuple[str, str]] = (), pulled_at: dt.datetime = PULLED_AT, **changes: Any
) -> list[FetchedObject]:
    """Everything that a pull hands over."""
    context = fetch_context(address, start_date=dt.date(2026, 11, 1), known=known, pulled_at=pulled_at)
    return list(fetch(settings(**changes), context))


def marks(objects: Iterable[FetchedObject]) -> set[tuple[str, str]]:
    """What the index knows once ``objects`` are landed."""
    return {(item.origin_key, item.origin_version) for item in objects}


def text_of(item: FetchedObject) -> str:
    """The lines of one object."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "object"
        item.save(target)
        return zstd.decompress(target.read_bytes()).decode()


def records_of(objects: Iterable[FetchedObject]) -> list[dict[str, Any]]:
    """The rows of all objects."""
    return [json.loads(line) for item in objects for line in text_of(item).splitlines()]
