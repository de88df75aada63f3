"""A landed file of Ask Sage to staged usage rows: the activity log as CSV or JSON, or the table of monthly tokens."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.sources.ask_sage.columns import ADDRESS, ALLOCATION, LOG, MONTHLY, PROMPT, USER_LIST
from usage_etl.sources.ask_sage.log_rows import log_mapping
from usage_etl.sources.ask_sage.monthly_rows import KINDS, covered_months, monthly_mapping
from usage_etl.sources.ask_sage.settings import AskSageSettings
from usage_etl.sources.forms.log_files import LogDialect, parse_log
from usage_etl.sources.forms.table_files import TableDialect, batch_of_parts, parse_table
from usage_etl.sources.parsed import ParseContext, ParsedBatch
from usage_etl.sources.reading.json_documents import begins_as_json, read_record_blocks
from usage_etl.sources.reading.lines import LineBlock
from usage_etl.sources.reading.records import RecordShape
from usage_etl.sources.reading.text_tables import read_tables
from usage_etl.sources.rows.mapping import RowWriter

ACTIVITY = "activity"
"""The activity log or the monthly table, told by its columns."""

PARSER_VERSION = "1"
"""Changes when the same file would give other rows."""

_LOG_TITLE = "an activity log of Ask Sage"


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of staged and refused rows of one file. Raises UnreadableDeliveryError, also for the list of users."""
    settings = context.settings_as(AskSageSettings)
    if begins_as_json(path, context.source):
        return parse_log(path, context, dialect=_json_dialect(settings))
    header = {name.strip().lower() for name in next(read_tables(path, context.source)).frame.columns[1:]}
    if not _has_any(header, LOG["total_tokens"]):
        if _has_any(header, MONTHLY["inference"]) and _has_any(header, MONTHLY["period"]) and not _has_any(header, ALLOCATION):
            return _months(path, context, settings)
        _refuse_users(header, context.source)
    return parse_table(path, context, dialect=_table_dialect(settings))


def _has_any(header: set[str], names: tuple[str, ...]) -> bool:
    return any(name.lower() in header for name in names)


def _refuse_users(header: set[str], source: str) -> None:
    if _has_any(header, ALLOCATION) or len(header & USER_LIST) > 1:
        raise UnreadableDeliveryError(
            source,
            "this is Ask Sage's list of users: it says what each may use, not what was used. Move it out of the source's "
            "folder; users and their teams belong in directory/users.csv",
        )


def _fields(settings: AskSageSettings) -> Mapping[str, tuple[str, ...]]:
    """What is read of the log: prompts and addresses only where the settings say so."""
    return {
        **LOG,
        **(PROMPT if settings.keep_prompts else {}),
        **(ADDRESS if settings.keep_ip_addresses else {}),
    }


def _json_dialect(settings: AskSageSettings) -> LogDialect:
    """Answers of the API, arrays and lines; a field has its first spelling that a record knows."""
    spellings = {
        name: tuple(dict.fromkeys(spelling.replace(" ", "_").replace("/", "_").lower() for spelling in found))
        for name, found in _fields(settings).items()
    }
    taken: dict[str, str] = {}
    for name, found in spellings.items():
        for spelling in found:
            taken.setdefault(spelling, name)
    rows = log_mapping(settings)

    def prepare(flat: pl.DataFrame, context: ParseContext) -> pl.DataFrame:
        chosen = flat.select(
            "raw_ordinal",
            *(
                pl.coalesce([pl.col(spelling) for spelling in found if taken[spelling] == name] or [pl.lit(None)]).alias(name)
                for name, found in spellings.items()
            ),
        )
        return rows.prepare(chosen, context)

    return LogDialect(
        title=_LOG_TITLE,
        shape=RecordShape(
            fields={spelling: (spelling,) for spelling in taken},
            exact=frozenset(spelling for spelling in spellings["total_tokens"] if spelling in taken),
        ),
        mapping=dataclasses.replace(rows, prepare=prepare),
        recognised_by=tuple(spelling for spelling in spellings["total_tokens"] + spellings["prompt_tokens"] if spelling in taken),
        read_blocks=_answers,
    )


def _answers(path: Path, source: str) -> Iterator[LineBlock]:
    return read_record_blocks(path, source, page_keys=("response", "logs", "data"))


def _table_dialect(settings: AskSageSettings) -> TableDialect:
    unread = {**PROMPT, **ADDRESS}
    return TableDialect(
        title=_LOG_TITLE,
        names=_fields(settings),
        required=frozenset({"model", "prompt_tokens", "completion_tokens", "total_tokens"}),
        mappings=(log_mapping(settings),),
        ignored=frozenset(spelling for found in unread.values() for spelling in found) | {"response", "completion"},
    )


def _months(path: Path, context: ParseContext, settings: AskSageSettings) -> Iterator[ParsedBatch]:
    """Two rows a month. A month of which one column is refused is refused whole."""
    dialect = TableDialect(
        title="Ask Sage's monthly tokens", names=MONTHLY, required=frozenset({"period", "inference"}), mappings=()
    )
    fields: dict[str, str] | None = None
    for table in read_tables(path, context.source):
        fields = fields if fields is not None else dialect.fields_of(table.frame.columns[1:], context.source)
        flat = table.frame.select("raw_ordinal", *fields).rename(fields)
        columns = [column for column in KINDS if column in flat.columns]
        absent = [pl.lit(None, pl.String).alias(name) for name in MONTHLY if name not in flat.columns]
        whole = flat.with_columns(absent)
        writers = [RowWriter(monthly_mapping(settings, column=column), context) for column in columns]
        batch = batch_of_parts(table, [(writer, whole) for writer in writers], context)
        yield batch if batch.usage is None else dataclasses.replace(batch, covered=covered_months(batch.usage))
