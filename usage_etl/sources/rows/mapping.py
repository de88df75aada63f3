"""Flat text records to the rows of a staged table: how each field is typed, which rules a record must keep, what becomes what.

Nearly all rows pass at once: numbers written as numbers, times in the file's usual spelling. Those that do not are read
again with patience (``12.0``, other spellings of a time), and only then refused, each with the names of all rules it breaks.
Rules are named ``<field>__<rule>`` after the field as its source spells it, so that the name leads to the fault in the
record. Expressions read fields as text under their own names and converted ones through ``value(name)``.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from usage_etl.money import MAX_TOKENS
from usage_etl.schemas.contract import Table
from usage_etl.schemas.staged import STAGED_USAGE
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.rows.typed_text import (
    INSTANT_FORMATS,
    counts,
    decimals,
    epochs,
    instant_text,
    instants,
    milliseconds,
    numbers,
)

Broken = dict[int, str]
"""Ordinal of each refused row, and the names of the rules it breaks, comma-separated."""

CLOCK_TOLERANCE = dt.timedelta(hours=1)
"""How far after its arrival a record may claim to have happened."""

EARLIEST = dt.datetime(2015, 1, 1, tzinfo=dt.UTC)
"""No model was called through an API before; an earlier instant is a default value, not a time."""

MAX_ID_BYTES = 512


def typed(name: str) -> str:
    """Column that holds the converted value of a field, beside its text."""
    return f"{name} typed"


def value(name: str) -> pl.Expr:
    """The converted value of a field."""
    return pl.col(typed(name))


def word(name: str) -> pl.Expr:
    """The text of a field; null where it is empty."""
    return pl.when(pl.col(name) != "").then(pl.col(name))


@dataclass(frozen=True)
class FieldTypes:
    """How the text of fields is converted. A field stands in one list; those in none stay text."""

    counts: tuple[str, ...] = ()
    """Whole numbers from 0 to the accepted maximum."""
    instants: tuple[str, ...] = ()
    """Instants written as text; without a zone they are of ``zone``."""
    epochs: Mapping[str, str] | None = None
    """Instants written as numbers since 1970: field to unit ``s``, ``ms``, ``us`` or ``ns``. Never guessed by magnitude."""
    milliseconds: tuple[str, ...] = ()
    """Durations in milliseconds, rounded to whole ones."""
    seconds: tuple[str, ...] = ()
    """Durations in seconds, converted to whole milliseconds."""
    numbers: tuple[str, ...] = ()
    """Float64 numbers that are shown or compared, never booked."""
    decimals: tuple[str, ...] = ()
    """Exact amounts and quantities, ``Decimal(38, 18)``."""
    spellings: tuple[str, ...] = INSTANT_FORMATS
    """Accepted spellings of ``instants``, the usual one first."""
    zone: str = "UTC"
    """Zone of instants written without one; IANA name."""

    @property
    def kinds(self) -> Mapping[str, str]:
        """Field to the fault that its text has when it does not convert."""
        return {
            **dict.fromkeys((*self.instants, *(self.epochs or {})), "not_a_time"),
            **dict.fromkeys((*self.milliseconds, *self.seconds, *self.numbers), "not_a_number"),
            **dict.fromkeys(self.decimals, "not_a_decimal"),
            **dict.fromkeys(self.counts, "not_a_count"),
        }

    def quick(self, spelling: str) -> list[pl.Expr]:
        """Conversions that read the usual spelling only; what they do not read is null."""
        return [
            *(pl.col(name).cast(pl.Int64, strict=False).alias(typed(name)) for name in (*self.counts, *self.milliseconds)),
            *(instant_text(pl.col(name), spelling, self.zone).alias(typed(name)) for name in self.instants),
            *(pl.col(name).cast(pl.Float64, strict=False).alias(typed(name)) for name in self.numbers),
        ]

    def patient(self, flat: pl.DataFrame, *, is_second_reading: bool = True) -> list[pl.Series]:
        """Conversions that read every accepted spelling. Without a second reading only those that ``quick`` leaves out."""
        return [*(self._again(flat) if is_second_reading else ()), *self._always(flat)]

    def _again(self, flat: pl.DataFrame) -> Iterator[pl.Series]:
        yield from (counts(flat[name]).alias(typed(name)) for name in self.counts)
        yield from (instants(flat[name], self.spellings, self.zone).alias(typed(name)) for name in self.instants)
        yield from (milliseconds(flat[name]).alias(typed(name)) for name in self.milliseconds)
        yield from (numbers(flat[name]).alias(typed(name)) for name in self.numbers)

    def _always(self, flat: pl.DataFrame) -> Iterator[pl.Series]:
        yield from (epochs(flat[name], unit).alias(typed(name)) for name, unit in (self.epochs or {}).items())
        yield from (milliseconds(flat[name], factor=1000).alias(typed(name)) for name in self.seconds)
        yield from (decimals(flat[name]).alias(typed(name)) for name in self.decimals)

    def spelling_of(self, flat: pl.DataFrame) -> str | None:
        """The first spelling that reads most of the first instant field's texts."""
        if not self.instants:
            return None
        texts = flat.select(pl.col(self.instants[0])).drop_nulls().to_series()
        for spelling in self.spellings:
            read = texts.to_frame("text").select(instant_text(pl.col("text"), spelling, self.zone)).to_series()
            if read.null_count() * 2 < len(texts):
                return spelling
        return None

    def rules(self) -> dict[str, pl.Expr]:
        """Rules over one converted field each: what has text has a value, and counts are in range."""
        return {
            **{f"{name}__{fault}": value(name).is_null() & pl.col(name).is_not_null() for name, fault in self.kinds.items()},
            **{f"{name}__out_of_range": ~value(name).is_between(0, MAX_TOKENS) for name in self.counts},
        }

    def keeps_rules(self, rows: pl.DataFrame) -> bool:
        """Whether all rows keep all ``rules``: the same by counts and extremes of columns, at a tenth of the cost."""
        if any(rows[typed(name)].null_count() != rows[name].null_count() for name in self.kinds):
            return False
        extremes: list[tuple[Any, Any]] = [(rows[typed(name)].min(), rows[typed(name)].max()) for name in self.counts]
        return all(least is None or 0 <= least <= most <= MAX_TOKENS for least, most in extremes)


def _as_it_is(flat: pl.DataFrame, _: ParseContext) -> pl.DataFrame:
    return flat


@dataclass(frozen=True)
class RowMapping:
    """How flat text records of one kind become rows of ``table``."""

    types: FieldTypes
    columns: Callable[[ParseContext], Mapping[str, pl.Expr]]
    """Columns of the staged table; delivery columns are filled in, absent nullable ones are null."""
    rules: Callable[[ParseContext], Mapping[str, pl.Expr]]
    """Rule name to an expression that is true where the record breaks it; null passes."""
    derived: Sequence[pl.Expr] = ()
    """Columns that ``rules`` and ``columns`` read besides the fields, from converted fields."""
    prepare: Callable[[pl.DataFrame, ParseContext], pl.DataFrame] = _as_it_is
    """What expressions cannot say: hashing, tags. One row stays one row, in order."""
    table: Table = STAGED_USAGE


class RowWriter:
    """Turns flat records of one file into staged rows; remembers the spelling of times that fitted last."""

    def __init__(self, mapping: RowMapping, context: ParseContext) -> None:
        self._mapping, self._context = mapping, context
        of_records = mapping.rules(context)
        self._rules = {**of_records, **mapping.types.rules()}
        self._any_record_rule = pl.any_horizontal([*of_records.values(), pl.lit(value=False)]).any()
        self._spelling = mapping.types.spellings[0]

    @property
    def table(self) -> str:
        """Name of the staged table that rows are written for."""
        return self._mapping.table.name

    @cached_property
    def _staged(self) -> list[pl.Expr]:
        """The columns of the staged table in stored order and type."""
        table = self._mapping.table
        shared = {name: pl.lit(found) for name, found in self._context.columns().items() if name in table.columns}
        found = {"raw_ordinal": pl.col("raw_ordinal"), **shared, **self._mapping.columns(self._context)}
        if unknown := found.keys() - table.columns.keys():
            raise KeyError(f"{table.name} has no column {', '.join(sorted(unknown))}")
        return [found.get(name, pl.lit(None)).cast(kind).alias(name) for name, kind in table.polars_schema.items()]

    def staged(self, flat: pl.DataFrame) -> tuple[pl.DataFrame, Broken]:
        """Rows of the staged table, and those of ``flat`` (text columns after ``raw_ordinal``) that break a rule."""
        types = self._mapping.types
        prepared = self._mapping.prepare(flat, self._context)
        typed_rows = prepared.with_columns(types.quick(self._spelling)).with_columns(
            types.patient(prepared, is_second_reading=False)
        )
        rows = typed_rows.with_columns(self._mapping.derived)
        if types.keeps_rules(rows) and not rows.select(self._any_record_rule).item():
            return rows.select(self._staged), {}
        is_broken = rows.select(pl.any_horizontal(self._rules.values()).fill_null(value=False)).to_series()
        again, broken = self._patiently(prepared.filter(is_broken))
        passed = [part.select(self._staged) for part in (rows.filter(~is_broken), again)]
        return pl.concat(passed).sort("raw_ordinal"), broken

    def _patiently(self, prepared: pl.DataFrame) -> tuple[pl.DataFrame, Broken]:
        """The rows that pass once they are read with patience, and those that are refused."""
        types, texts = self._mapping.types, [name for name, kind in prepared.schema.items() if kind == pl.String]
        filled = prepared.with_columns(pl.when(pl.col(name) != "").then(pl.col(name)) for name in texts)
        self._spelling = types.spelling_of(filled) or self._spelling
        rows = filled.with_columns(types.patient(filled)).with_columns(self._mapping.derived)
        verdicts = rows.select("raw_ordinal", *(rule.fill_null(value=False).alias(name) for name, rule in self._rules.items()))
        is_broken = verdicts.select(pl.any_horizontal(list(self._rules))).to_series()
        broken = {
            verdict["raw_ordinal"]: ",".join(name for name in self._rules if verdict[name])
            for verdict in verdicts.filter(is_broken).iter_rows(named=True)
        }
        return rows.filter(~is_broken), broken


def instant_rules(field: str, context: ParseContext) -> dict[str, pl.Expr]:
    """Rules of the field that says when a record happened: it is there, and neither in the future nor a default value."""
    return {
        f"{field}__missing": pl.col(field).is_null() | (pl.col(field) == ""),
        f"{field}__in_future": value(field) > context.received_at + CLOCK_TOLERANCE,
        f"{field}__too_early": value(field) < EARLIEST,
    }


def id_rules(field: str) -> dict[str, pl.Expr]:
    """Rules of the field that identifies a record."""
    return {
        f"{field}__missing": pl.col(field).is_null() | (pl.col(field) == ""),
        f"{field}__too_long": pl.col(field).str.len_bytes() > MAX_ID_BYTES,
    }


def request_columns(started_at: pl.Expr) -> dict[str, pl.Expr]:
    """Columns that most request logs share; a source's own expressions go on top of them."""
    return {
        "grain": pl.lit("request"),
        "requests_count": pl.lit(1),
        "usage_date": started_at.dt.date(),
        "started_at": started_at,
        "status": pl.lit("unknown"),
        "token_convention": pl.lit("cache_in_input"),
        "primitive": pl.lit("ai.chat"),
        "processing": pl.lit("standard"),
        "is_cache_hit": pl.lit(value=False),
    }


def charge_day(started_at: pl.Expr, period_start: pl.Expr, period_end: pl.Expr) -> pl.Expr:
    """The day that a charge line is counted on: the day of its start, moved into its billing period where it lies outside.

    So the days of a calendar month add up to the invoice of that month, corrections of earlier days included. Wants UTC
    instants; where the period is null the start's own day counts.
    """
    day, last = started_at.dt.date(), (period_end - pl.duration(microseconds=1)).dt.date()
    return pl.max_horizontal(pl.min_horizontal(day, last), period_start.dt.date())


def charge_columns(billed_cost: pl.Expr) -> dict[str, pl.Expr]:
    """Amounts of a source that states one amount only: the others are copies, and said to be."""
    return {
        **dict.fromkeys(("billed_cost", "effective_cost", "list_cost", "contracted_cost"), billed_cost),
        "is_list_cost_estimated": pl.lit(value=True),
    }


def with_hashed_secrets(flat: pl.DataFrame, name: str) -> pl.DataFrame:
    """``flat`` with every key logged in clear (``sk-...``) replaced by its sha256: secrets are not stored."""
    is_secret = flat[name].str.starts_with("sk-").fill_null(value=False)
    if not is_secret.any():
        return flat
    hashed = [hashlib.sha256(text.encode()).hexdigest() for text in flat[name].filter(is_secret)]
    return flat.with_columns(flat[name].scatter(is_secret.arg_true(), hashed))
