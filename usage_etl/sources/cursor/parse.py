"""A landed CSV of Cursor's usage events to staged usage, and charges for the events that are billed.

Columns came, went and changed names over the generations of the export; they are found by name. Events have no id of their
own: one is made of everything but kind and cost, which Cursor may settle later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.schemas.staged import STAGED_CHARGES
from usage_etl.sources.cursor.settings import CursorSettings
from usage_etl.sources.forms.table_files import TableDialect, batch_of_parts, read_fields
from usage_etl.sources.parsed import CoveredBucket, ParseContext, ParsedBatch
from usage_etl.sources.rows.event_ids import EventIds, quarter_hour
from usage_etl.sources.rows.focus_columns import amount_rules
from usage_etl.sources.rows.mapping import (
    FieldTypes,
    RowMapping,
    RowWriter,
    charge_columns,
    instant_rules,
    request_columns,
    value,
)
from usage_etl.sources.rows.money_cells import dollar_text
from usage_etl.sources.rows.service_scope import matches_any

USAGE_EVENTS = "usage_events"
PARSER_VERSION = "1"
PROVIDER = "cursor"

_NAMES: Mapping[str, tuple[str, ...]] = {
    "Date": ("Date",),
    "User": ("User", "User Email", "Email"),
    "Cloud Agent ID": ("Cloud Agent ID",),
    "Automation ID": ("Automation ID",),
    "Kind": ("Kind",),
    "Model": ("Model",),
    "Max Mode": ("Max Mode",),
    "Input (w/ Cache Write)": ("Input (w/ Cache Write)",),
    "Input (w/o Cache Write)": ("Input (w/o Cache Write)",),
    "Cache Read": ("Cache Read",),
    "Output Tokens": ("Output Tokens", "Output"),
    "Total Tokens": ("Total Tokens", "Tokens"),
    "Requests": ("Requests",),
    "Cost": ("Cost", "Cost ($)"),
    "Cost to you": ("Cost to you",),
}
_CLASSES = ("Input (w/ Cache Write)", "Input (w/o Cache Write)", "Cache Read", "Output Tokens")
_OWN_FIELDS = ("Date", "User", "Cloud Agent ID", "Automation ID", "Model", "Max Mode", *_CLASSES, "Total Tokens", "Requests")
_NO_AMOUNT = ("included", "free", "-", "--", "n/a", "nan", "null")
_TYPES = FieldTypes(
    counts=(*_CLASSES, "Total Tokens"),
    instants=("Date",),
    decimals=("Cost", "Cost to you", "Requests"),
    spellings=("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d"),
)


def parse(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Batches of one landed file. Raises UnreadableDeliveryError."""
    ids = EventIds()
    dialect = TableDialect("Cursor's usage events", _NAMES, frozenset({"Date", "Model"}), (_USAGE, _CHARGE), _UNREAD)
    usage, charges = RowWriter(_USAGE, context), RowWriter(_CHARGE, context)
    for table, flat in read_fields(path, context, dialect=dialect):
        names = {name.strip().lower() for name in table.frame.columns}
        if not names & {"total tokens", "tokens", "output tokens", "output"}:
            raise UnreadableDeliveryError(context.source, "not Cursor's usage events: there is no column of tokens")
        events = ids.with_ids(_prepared(flat, context), _OWN_FIELDS)
        batch = batch_of_parts(table, [(usage, events), (charges, events.filter(pl.col("is_billed")))], context)
        yield replace(batch, covered=_covered(batch, context))


_UNREAD = frozenset({"request type", "provider"})


def _prepared(flat: pl.DataFrame, context: ParseContext) -> pl.DataFrame:
    """With the digits of costs, and what the kind says of billing."""
    settings = context.settings_as(CursorSettings)
    billed, not_billed = settings.billed_kinds, settings.not_billed_kinds
    kind = [pl.col("Kind").str.strip_chars()]
    costs = [dollar_text(pl.col(name), _NO_AMOUNT).alias(name) for name in ("Cost", "Cost to you")]
    paid = flat.with_columns(*costs, pl.col("Requests").str.strip_chars().replace("-", None))
    is_settled = pl.col("Cost to you").is_not_null()
    is_billed_kind = matches_any(kind, billed) & ~matches_any(kind, not_billed)
    return paid.with_columns(
        (is_settled | is_billed_kind).alias("is_billed"),
        (is_settled | is_billed_kind | matches_any(kind, not_billed) | pl.col("Kind").is_null()).alias("is_known_kind"),
    )


def _rules(context: ParseContext) -> dict[str, pl.Expr]:
    written, rest, read, output = (value(name).fill_null(0) for name in _CLASSES)
    total, has_classes = value("Total Tokens"), pl.any_horizontal(pl.col(name).is_not_null() for name in _CLASSES)
    is_sum = (total == written + rest + read + output) | _is_cache_inside()
    states_cost = (value("Cost") != 0).fill_null(value=False)
    return {
        **instant_rules("Date", context),
        "Model__missing": pl.col("Model").is_null(),
        "Total Tokens__not_the_sum": has_classes & ~is_sum,
        "Kind__unknown_with_a_cost": ~pl.col("is_known_kind") & states_cost,
        **amount_rules(("Cost", "Cost to you")),
        "Cost__missing": pl.col("is_billed") & pl.coalesce("Cost to you", "Cost").is_null(),
    }


def _is_cache_inside() -> pl.Expr:
    """Whether the column with cache writes holds the one without: the total counts it once then."""
    written, rest, read, output = (value(name).fill_null(0) for name in _CLASSES)
    total = value("Total Tokens")
    is_inside = (total == written + read + output) & (written >= rest) & (rest > 0)
    return is_inside.fill_null(value=False)


def _usage_columns(_: ParseContext) -> dict[str, pl.Expr]:
    written, rest = value("Input (w/ Cache Write)"), value("Input (w/o Cache Write)")
    kind = pl.col("Kind").str.to_lowercase()
    status = (
        pl.when(kind.str.starts_with("errored")).then(pl.lit("error"))
        .when(kind.str.starts_with("aborted")).then(pl.lit("cancelled"))
        .when(kind.is_not_null() & pl.col("is_known_kind")).then(pl.lit("success"))
        .otherwise(pl.lit("unknown"))
    )  # fmt: skip
    return {
        **request_columns(value("Date")),
        "event_id": pl.col("own_id"),
        "status": status,
        "token_convention": pl.lit("cache_beside_input"),
        "reported_input_tokens": rest,
        "reported_output_tokens": value("Output Tokens"),
        "reported_total_tokens": value("Total Tokens"),
        "cache_read_tokens": value("Cache Read"),
        "cache_write_tokens": pl.when(_is_cache_inside()).then(written - rest).otherwise(written),
        "native_unit": pl.when(value("Requests").is_not_null()).then(pl.lit("cursor_requests")),
        "native_quantity": value("Requests"),
        "host_raw": pl.lit(PROVIDER),
        "model_raw": pl.col("Model"),
        "user_id": _user(),
        "session_id": pl.coalesce("Cloud Agent ID", "Automation ID"),
        "source_cost_usd": value("Cost").cast(pl.Float64),
    }


def _bucket_key(context: ParseContext, user: pl.Expr, at: pl.Expr) -> pl.Expr:
    return pl.concat_str([pl.lit(context.source_account), user.fill_null(""), quarter_hour(at)], separator="/")


def _covered(batch: ParsedBatch, context: ParseContext) -> tuple[CoveredBucket, ...]:
    """The quarters of an hour of all events, billed or not: what a later export no longer bills is billed no more."""
    assert batch.usage is not None, "every event is usage"
    key = _bucket_key(context, pl.col("user_id").cast(pl.String), pl.col("started_at"))
    buckets = batch.usage.select(key.alias("key"), pl.col("usage_date")).unique(maintain_order=True)
    return tuple(CoveredBucket(STAGED_CHARGES.name, key, day=day) for key, day in buckets.iter_rows())


def _user() -> pl.Expr:
    """The user; an export of one's own events says ``You``, which names nobody."""
    return pl.when(pl.col("User").str.to_lowercase() != "you").then(pl.col("User"))


def _charge_columns(context: ParseContext) -> dict[str, pl.Expr]:
    at, billed = value("Date"), pl.coalesce(value("Cost to you"), value("Cost"))
    return {
        **charge_columns(billed),
        "list_cost": pl.coalesce(value("Cost"), billed),
        "is_list_cost_estimated": value("Cost to you").is_null(),
        "bucket_key": _bucket_key(context, _user(), at),
        "charge_date": at.dt.date(),
        "charge_period_start": at,
        "charge_period_end": at + pl.duration(microseconds=1),
        "provider_name": pl.lit(PROVIDER),
        "billing_account_id": pl.lit(context.source_account),
        "service_name": pl.lit("Cursor"),
        "charge_category": pl.when(billed < 0).then(pl.lit("Credit")).otherwise(pl.lit("Usage")),
        "charge_frequency": pl.lit("Usage-Based"),
        "charge_description": pl.col("Kind"),
        "model_raw": pl.col("Model"),
        "user_id": _user(),
        "billing_currency": pl.lit("USD"),
        "consumed_quantity": pl.lit(1),
        "consumed_unit": pl.lit("Requests"),
    }


_USAGE = RowMapping(types=_TYPES, columns=_usage_columns, rules=_rules)
_CHARGE = RowMapping(types=_TYPES, columns=_charge_columns, rules=_rules, table=STAGED_CHARGES)
