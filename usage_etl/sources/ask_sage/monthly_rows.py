"""Ask Sage's table of monthly tokens to staged bucket rows: one for inference and one for embedding, in Ask Sage's own tokens."""

from __future__ import annotations

import polars as pl

from usage_etl.money import MAX_AMOUNT
from usage_etl.schemas.staged import STAGED_USAGE
from usage_etl.sources.ask_sage.log_rows import NATIVE_UNIT
from usage_etl.sources.ask_sage.settings import AskSageSettings
from usage_etl.sources.parsed import CoveredBucket, ParseContext
from usage_etl.sources.rows.mapping import EARLIEST, FieldTypes, RowMapping, request_columns, value

KINDS = {"inference": "ai.chat", "embedding": "ai.embed"}
"""Column of the table to the primitive that its tokens were used for."""

_SPELLINGS = ("%Y-%m-%d", "%Y/%m/%d", "%B %d %Y", "%b %d %Y")


def monthly_mapping(settings: AskSageSettings, *, column: str) -> RowMapping:
    """Months to rows of STAGED_USAGE, for the tokens of one column."""

    def prepare(flat: pl.DataFrame, _: ParseContext) -> pl.DataFrame:
        return flat.with_columns(_month().alias("month"), _plain(column).alias(column))

    return RowMapping(
        types=FieldTypes(instants=("month",), decimals=(column,), spellings=_SPELLINGS, zone=settings.time_zone),
        columns=lambda context: _columns(settings, context, column),
        rules=lambda context: {
            "period__missing": pl.col("month").is_null(),
            "period__too_early": value("month") < EARLIEST,
            "period__in_future": value("month") > context.received_at,
            f"{column}_tokens__missing": pl.col(column).is_null(),
            f"{column}_tokens__negative": value(column) < 0,
            f"{column}_tokens__out_of_range": value(column).abs() >= MAX_AMOUNT,
        },
        prepare=prepare,
    )


def covered_months(usage: pl.DataFrame) -> tuple[CoveredBucket, ...]:
    """The months that a frame of staged rows holds."""
    return tuple(CoveredBucket(STAGED_USAGE.name, key) for key in usage["bucket_key"].unique(maintain_order=True))


def _month() -> pl.Expr:
    """First day of the month as text, from ``2026-11``, ``11/2026``, ``November 2026`` or a year beside a month."""
    period, year = pl.col("period").str.strip_chars(), pl.col("year").str.strip_chars()
    whole = pl.when(year.is_not_null() & ~period.str.contains(r"\d{4}")).then(pl.format("{} {}", period, year)).otherwise(period)
    number_first = whole.str.replace(r"^(\d{1,2})[/ -](\d{4})$", "${2}-${1}")
    return (
        pl.when(number_first.str.contains(r"^\d{4}[-/]\d{1,2}$"))
        .then(number_first.str.replace("/", "-", literal=True) + "-01")
        .when(whole.str.contains(r"^[A-Za-z]{3,9} \d{4}$"))
        .then(whole.str.replace(r"^(\w+) (\d{4})$", "${1} 01 ${2}"))
        .otherwise(whole)
    )


def _plain(name: str) -> pl.Expr:
    return pl.col(name).str.replace_all(",", "", literal=True)


def _columns(settings: AskSageSettings, context: ParseContext, column: str) -> dict[str, pl.Expr]:
    start = value("month")
    end = start.dt.convert_time_zone(settings.time_zone).dt.offset_by("1mo").dt.convert_time_zone("UTC")
    month = start.dt.convert_time_zone(settings.time_zone).dt.strftime("%Y-%m")
    return request_columns(start) | {
        "source_role": pl.lit(context.role if settings.counted == "monthly" else "reconciliation"),
        "grain": pl.lit("bucket"),
        "requests_count": pl.lit(0),
        "bucket_key": pl.lit("monthly/") + month,
        "event_id": pl.format("{}/{}/{}", month, pl.lit(column), pl.col("raw_ordinal")),
        "ended_at": end,
        "primitive": pl.lit(KINDS[column]),
        "native_unit": pl.lit(NATIVE_UNIT),
        "native_quantity": value(column),
        "host_raw": pl.lit("ask_sage"),
    }
