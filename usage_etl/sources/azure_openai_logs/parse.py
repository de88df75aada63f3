"""A landed hour of Azure's logs to staged usage rows.

By the setting ``usage_log`` the rows of one log are the usage. Rows of the LLM log wait until the delivery is read, and take
the caller, the outcome and the duration from the gateway log's row with the same correlation id.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.schemas.staged import STAGED_USAGE
from usage_etl.sources.azure_openai_logs.records import GATEWAY, KIND, LLM, REQUEST, SHAPE, named
from usage_etl.sources.azure_openai_logs.rows import (
    GATEWAY_MAPPING,
    LLM_MAPPING,
    REQUEST_MAPPING,
    gateway_columns,
)
from usage_etl.sources.azure_openai_logs.settings import AzureOpenAILogsSettings
from usage_etl.sources.parsed import ParseContext, ParsedBatch, quarantine_rows
from usage_etl.sources.reading.bundles import is_bundle, open_bundle
from usage_etl.sources.reading.json_documents import read_record_blocks
from usage_etl.sources.reading.json_lines import FlatRecords, LineReader
from usage_etl.sources.rows.mapping import Broken, RowWriter, typed
from usage_etl.sources.rows.typed_text import milliseconds

PARSER_VERSION = "1"
"""Changes when the same file would give other rows."""

_CALLS = r"completions|embeddings|responses|images?_?generations|images_|transcriptions|translations|speech|realtime"
_NO_CALLS = r"_(get|list|delete|cancel|retrieve)"


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of one hour's objects, or of one file. Raises UnreadableDeliveryError when none of it is a log of Azure's."""
    hour = _Hour(context)
    with _members(path, context.source) as members:
        for member in members:
            yield from hour.read(member)
    yield from hour.close()


@contextmanager
def _members(path: Path, source: str) -> Iterator[Iterator[Path]]:
    if not is_bundle(path):
        yield iter((path,))
        return
    with open_bundle(path, source) as members:
        yield (local for _, local in members)


class _Hour:
    """The objects of one delivery, read one after the other; what has to wait for its counterpart is held."""

    def __init__(self, context: ParseContext) -> None:
        self._context, self._settings = context, context.settings_as(AzureOpenAILogsSettings)
        self._is_llm = self._settings.usage_log == "gateway_llm"
        self._llm, self._requests = RowWriter(LLM_MAPPING, context), RowWriter(REQUEST_MAPPING, context)
        self._gateway_requests = RowWriter(GATEWAY_MAPPING, context)
        self._held = _Held(context)
        self._records_before = 0

    def read(self, path: Path) -> Iterator[ParsedBatch]:
        """Batches of what can be told at once: refused lines, rows of the request log, and what is not read."""
        reader, before, count = LineReader(SHAPE), self._records_before, 0
        for block in read_record_blocks(path, self._context.source):
            records = reader.read(block)
            if not records.lines_count:
                continue
            count += records.lines_count
            flat = named(records.flat)
            if block.first_ordinal == 1 and flat.height and flat["category"].null_count() == flat.height:
                raise UnreadableDeliveryError(self._context.source, "no line has a category: not a diagnostic log of Azure's")
            yield self._batch(records, flat, before)
        self._records_before = before + count

    def _batch(self, records: FlatRecords, flat: pl.DataFrame, before: int) -> ParsedBatch:
        no_category = flat.filter(pl.col("category").is_null())
        refused = [*records.refused, *_quoted(records, dict.fromkeys(no_category["raw_ordinal"], "category__missing"))]
        usage, held_count, merged_count = STAGED_USAGE.empty(), 0, 0
        broken: Broken = {}
        if self._is_llm:
            calls, gateway = flat.filter(pl.col(KIND) == LLM), flat.filter(pl.col(KIND) == GATEWAY)
            firsts = calls.filter(_holds_tokens())
            merged_count = calls.height - firsts.height
            wanted = firsts.filter(~_is_probe())
            staged, broken = self._llm.staged(wanted)
            alone, broken_alone = self._gateway_requests.staged(gateway.filter(pl.col("apiId").is_in(self._settings.llm_apis)))
            broken |= broken_alone
            told = gateway.filter(~pl.col("raw_ordinal").is_in(list(broken_alone)))
            self._held.add(_numbered_on(staged, before), _numbered_on(alone, before), told)
            held_count = staged.height + told.height
            read_count = wanted.height + merged_count + gateway.height
        else:
            wanted = flat.filter((pl.col(KIND) == REQUEST) & _is_call())
            usage, broken = self._requests.staged(wanted)
            usage, read_count = _numbered_on(usage, before), wanted.height
        refused += _quoted(records, broken)
        return ParsedBatch(
            rows_read=records.lines_count - held_count,
            usage=usage,
            quarantine=quarantine_rows(sorted((at + before, text, rule) for at, text, rule in refused), self._context),
            rows_out_of_scope=flat.height - no_category.height - read_count,
            rows_merged=merged_count,
            raw_text=lambda ordinal: next(text for _, text, _ in _quoted(records, {ordinal - before: ""})),
        )

    def close(self) -> Iterator[ParsedBatch]:
        """The batch of calls that waited."""
        if self._is_llm:
            yield self._held.batch()


class _Held:
    """What waits until the delivery is read: calls of the LLM log, and what the gateway's log says of all calls."""

    def __init__(self, context: ParseContext) -> None:
        self._said = gateway_columns(context)
        self._calls: list[pl.DataFrame] = []
        self._alone: list[pl.DataFrame] = []
        self._told: list[pl.DataFrame] = []

    def add(self, calls: pl.DataFrame, alone: pl.DataFrame, gateway: pl.DataFrame) -> None:
        """Hold staged calls, staged rows of the gateway's log that count by themselves, and the flat rows of that log."""
        self._calls.append(calls)
        self._alone.append(alone)
        types = STAGED_USAGE.polars_schema
        said = [found.cast(types[name]).alias(f"gateway {name}") for name, found in self._said.items()]
        duration = milliseconds(gateway["durationMs"]).alias(typed("durationMs"))
        self._told.append(gateway.with_columns(duration).select(pl.col("correlationId").alias("event_id"), *said))

    def batch(self) -> ParsedBatch:
        """Every call once, completed where the gateway's log has it. Its row there goes into the call's own."""
        if not self._calls:
            return ParsedBatch(rows_read=0)
        calls, alone, told = pl.concat(self._calls), pl.concat(self._alone), pl.concat(self._told)
        ids = calls["event_id"].implode()
        merged = told.filter(pl.col("event_id").is_in(ids).fill_null(value=False))
        counted = alone.filter(~pl.col("event_id").is_in(ids))
        completed = self._completed(calls, merged.unique("event_id", keep="last", maintain_order=True))
        return ParsedBatch(
            rows_read=calls.height + told.height,
            usage=pl.concat([completed, counted]),
            rows_merged=merged.height,
            rows_out_of_scope=told.height - merged.height - counted.height,
        )

    def _completed(self, calls: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
        if not told.height:
            return calls
        joined = calls.join(told, on="event_id", how="left", maintain_order="left")
        return joined.with_columns(pl.coalesce(f"gateway {name}", name).alias(name) for name in self._said).select(calls.columns)


def _holds_tokens() -> pl.Expr:
    """Whether a row of the LLM log is the first of its call, which alone has the tokens; the others carry messages."""
    number = pl.col("sequenceNumber").cast(pl.Float64, strict=False)
    return number.is_null() | (number == 0)


def _is_probe() -> pl.Expr:
    """Rows that the gateway writes for calls of no model."""
    says_nothing = pl.all_horizontal(pl.col("modelName", "deploymentName", "requestId").is_null())
    tokens = [
        pl.col(name).fill_null("0") == "0" for name in ("promptTokens", "completionTokens", "totalTokens", "promptCachedTokens")
    ]
    return says_nothing & pl.all_horizontal(tokens)


def _is_call() -> pl.Expr:
    """Whether an operation of the request log calls a model; without a name it may."""
    operation = pl.col("operationName").str.to_lowercase()
    return (operation.str.contains(_CALLS) & ~operation.str.contains(_NO_CALLS)).fill_null(value=True)


def _numbered_on(rows: pl.DataFrame, before: int) -> pl.DataFrame:
    return rows.with_columns(pl.col("raw_ordinal") + before) if before else rows


def _quoted(records: FlatRecords, rules: dict[int, str]) -> list[tuple[int, str, str]]:
    if not rules:
        return []
    lines = records.lines.filter(pl.col("raw_ordinal").is_in(list(rules)))
    return [(ordinal, text, rules[ordinal]) for ordinal, text in lines.rows()]
