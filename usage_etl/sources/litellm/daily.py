"""Rows of a LiteLLM_Daily*Spend table: sums by day, compared with what was counted and never counted themselves.

The tables count on: a row is updated in place as calls come in, so a day is replaced whole and its newest ``updated_at`` is
its version. Each table groups the same calls in another way, and calls with several tags stand several times in the one of
tags; rows of two tables are never added.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.keys import sha256_hex
from usage_etl.money import MAX_AMOUNT
from usage_etl.schemas.staged import STAGED_USAGE
from usage_etl.sources.forms.log_files import LogDialect, parse_log
from usage_etl.sources.parsed import CoveredBucket, ParseContext, ParsedBatch
from usage_etl.sources.reading.records import RecordShape
from usage_etl.sources.rows.mapping import FieldTypes, RowMapping, request_columns, value, with_hashed_secrets, word

ENTITIES = ("user_id", "team_id", "organization_id", "end_user_id", "agent_id")
"""Columns of which each table has one besides ``tag``."""

_TAG = "tag"
_NAMES = (
    *("id", "date", "api_key", "model", "model_group", "custom_llm_provider", "mcp_namespaced_tool_name", "endpoint"),
    *("prompt_tokens", "completion_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "spend"),
    *("api_requests", "successful_requests", "failed_requests", "updated_at", _TAG, *ENTITIES),
)
_KEY = ("date", "api_key", "model", "custom_llm_provider", "mcp_namespaced_tool_name", "endpoint", *ENTITIES)

_SHAPE = RecordShape(fields={name: (name,) for name in _NAMES})
_TYPES = FieldTypes(
    counts=tuple(name for name in _NAMES if name.endswith(("_tokens", "_requests"))),
    instants=("date", "updated_at"),
    numbers=("spend",),
    spellings=("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z"),
)
_DAY = r"^\d{4}-\d{2}-\d{2}$"


def _prepared(flat: pl.DataFrame, _: ParseContext) -> pl.DataFrame:
    """With the day as an instant, an id for rows without one, and keys in clear hashed."""
    joined = pl.concat_str([pl.col(name).fill_null("\x00") for name in _KEY], separator="\x1f")
    keys = flat.select(joined).to_series()
    ids = flat["id"] if not flat["id"].null_count() else pl.Series("id", [
        found or sha256_hex(key.encode()) for found, key in zip(flat["id"], keys, strict=True)
    ], pl.String)  # fmt: skip
    day = pl.col("date")
    midnight = pl.when(day.str.contains(_DAY)).then(day + "T00:00:00").otherwise(day)
    return with_hashed_secrets(flat, "api_key").with_columns(midnight.alias("date"), ids.alias("id"))


def _columns(context: ParseContext) -> dict[str, pl.Expr]:
    started_at = value("date")
    endpoint = pl.col("endpoint").fill_null("")
    return {
        **request_columns(started_at),
        "source_role": pl.lit("reconciliation"),
        "grain": pl.lit("bucket"),
        "bucket_key": pl.lit(f"{_bucket_prefix(context)}/") + started_at.dt.strftime("%Y-%m-%d"),
        "event_id": pl.col("id"),
        "record_version_at": value("updated_at"),
        "ended_at": started_at + dt.timedelta(days=1),
        "requests_count": value("api_requests"),
        "reported_input_tokens": value("prompt_tokens"),
        "reported_output_tokens": value("completion_tokens"),
        "cache_read_tokens": value("cache_read_input_tokens"),
        "cache_write_tokens": value("cache_creation_input_tokens"),
        "source_cost_usd": value("spend"),
        "primitive": pl.when(endpoint.str.contains("embedding", literal=True)).then(pl.lit("ai.embed"))
        .when(endpoint.str.contains("/images/", literal=True)).then(pl.lit("ai.image"))
        .when(endpoint.str.contains("/moderations", literal=True)).then(pl.lit("safety.moderate"))
        .otherwise(pl.lit("ai.chat")),
        "operation_name": word("endpoint"),
        "host_raw": word("custom_llm_provider"),
        "model_raw": word("model"),
        "deployment": word("model_group"),
        "user_id": word("user_id"),
        "team_id": word("team_id"),
        "api_key_id": word("api_key"),
        "end_user_id": word("end_user_id"),
    }  # fmt: skip


def _rules(context: ParseContext) -> dict[str, pl.Expr]:
    cached = value("cache_read_input_tokens").fill_null(0) + value("cache_creation_input_tokens").fill_null(0)
    return {
        "date__missing": pl.col("date").is_null(),
        "date__not_a_day": value("date") != value("date").dt.truncate("1d"),
        "date__in_future": value("date") > context.received_at + dt.timedelta(days=1),
        "date__too_early": value("date") < dt.datetime(2023, 1, 1, tzinfo=dt.UTC),
        "api_requests__missing": value("api_requests").is_null() & pl.col("api_requests").is_null(),
        "spend__out_of_range": value("spend").abs() >= float(MAX_AMOUNT),
        "cached_tokens__exceed_prompt_tokens": cached > value("prompt_tokens").fill_null(0),
        "tag__overlaps": pl.col(_TAG).is_not_null(),
    }


def _bucket_prefix(context: ParseContext) -> str:
    return f"{context.source_account}/daily_spend"


_DIALECT = LogDialect(
    title="a table LiteLLM_Daily*Spend",
    shape=_SHAPE,
    mapping=RowMapping(types=_TYPES, columns=_columns, rules=_rules, prepare=_prepared),
    recognised_by=("api_requests",),
)


def parse_daily_spend(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of one export, and at its end the days that it answers for.

    Raises UnreadableDeliveryError when it is no such export, or holds a row twice.
    """
    versions: dict[dt.date, dt.datetime | None] = {}
    seen: set[str] = set()
    for batch in parse_log(path, context, dialect=_DIALECT):
        assert batch.usage is not None, "a log's batches hold usage"
        _refuse_repeated(batch.usage["event_id"], seen, context.source)
        newest = batch.usage.group_by("usage_date").agg(pl.col("record_version_at").max())
        for day, version_at in newest.rows():
            versions[day] = _later(versions.get(day), version_at)
        yield batch
    yield ParsedBatch(rows_read=0, covered=tuple(_covered(versions, context)))


def _refuse_repeated(ids: pl.Series, seen: set[str], source: str) -> None:
    repeated = next((found for found in ids if found in seen), None) if seen else None
    repeated = repeated or next(iter(ids.filter(ids.is_duplicated())), None)
    if repeated is not None:
        raise UnreadableDeliveryError(
            source, f"row {repeated} stands twice: the days count on, so keep each export in a file of its own"
        )
    seen.update(ids)


def _later(one: dt.datetime | None, other: dt.datetime | None) -> dt.datetime | None:
    return max((at for at in (one, other) if at is not None), default=None)


def _covered(versions: Mapping[dt.date, dt.datetime | None], context: ParseContext) -> Iterator[CoveredBucket]:
    for day, version_at in sorted(versions.items()):
        yield CoveredBucket(STAGED_USAGE.name, f"{_bucket_prefix(context)}/{day}", day=day, version_at=version_at)
