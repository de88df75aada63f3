"""Booking: what the chargeback of a month holds, given which months are closed. Closed lines never change."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from decimal import Decimal

import polars as pl

from usage_etl.allocation.corrections import ReasonOf, correction_lines, corrections, due_changes
from usage_etl.allocation.disputes import dispute_lines
from usage_etl.allocation.owner_paths import OwnerPaths
from usage_etl.errors import IntegrityError
from usage_etl.periods import Month
from usage_etl.schemas.chargeback import MART_CHARGEBACK_CLOSED, MART_CHARGEBACK_MONTHLY
from usage_etl.schemas.periods import Closing, Periods


def booked_month(
    month: Month,
    allocation_now: Mapping[Month, pl.DataFrame],
    closed_lines: pl.DataFrame,
    disputes: pl.DataFrame,
    published: pl.DataFrame,
    *,
    periods: Periods,
    owners: OwnerPaths,
    as_of: dt.date,
    correction_threshold: Decimal,
    reason_of: ReasonOf,
) -> pl.DataFrame:
    """MART_CHARGEBACK_MONTHLY of ``month``: one line as it is booked.

    A closed provider has the lines of its closing, exactly. Any other has its lines of ``allocation_now[month]``, then
    corrections of the closed months right before (``corrections.corrections``), then accepted disputes
    (``disputes.dispute_lines``). A month that was closed as a whole takes no provider in any more: what arrives of one
    is a correction in its first month after that.

    ``allocation_now`` maps ``month`` and the closed months before it to MART_ALLOCATION_MONTHLY. Closed months without an
    entry are not compared: nothing may have changed in them. ``closed_lines`` are those of closings in force
    (``lines_in_force``): of ``month``, of compared months with their corrections, disputes and disputed lines. ``published``
    are lines that disputes may name, of months that are not closed. ``as_of`` is the last complete day. Corrections that move
    no more than ``correction_threshold`` are carried: not booked, and found again the next time. Raises DisputeError,
    ConservationError.
    """
    closed = own_closed_lines(closed_lines, month)
    if periods.is_month_closed(month):
        return _finished(closed)
    own = _own_lines(allocation_now.get(month), month, periods, as_of)
    changes = due_changes(corrections(month, allocation_now, closed_lines, periods), threshold=correction_threshold)
    statuses = _Statuses(periods, month, as_of)
    corrected = correction_lines(month, changes, statuses=statuses, reason_of=reason_of)
    disputed = dispute_lines(
        month,
        disputes,
        pl.concat([published.filter(pl.col("month") != month.first_day), own, corrected, own_closed_lines(closed_lines)]),
        closed_lines,
        periods=periods,
        owners=owners,
        statuses=statuses,
    )
    return _finished(pl.concat([closed, own, corrected, disputed]))


def own_closed_lines(closed_lines: pl.DataFrame, month: Month | None = None) -> pl.DataFrame:
    """Lines of closings as they are booked, of ``month`` or of all."""
    found = closed_lines if month is None else closed_lines.filter(pl.col("month") == month.first_day)
    return found.select(*MART_CHARGEBACK_MONTHLY.columns)


def lines_in_force(stored: pl.LazyFrame, periods: Periods) -> pl.LazyFrame:
    """Of stored MART_CHARGEBACK_CLOSED the lines of closings in force.

    Left out are those of reopened closings, and those of a closing that was cut short before it was recorded.
    """
    keys = [(closing.provider_name, closing.month.first_day, closing.number) for closing in periods]
    schema = {"provider_name": pl.String, "month": pl.Date, "closing_number": pl.Int64}
    standing = pl.LazyFrame(keys, schema=schema, orient="row")
    return stored.join(standing, on=list(schema), how="semi")


def closing_lines(lines: pl.DataFrame, *, number: int, closed_at: dt.datetime) -> pl.DataFrame:
    """MART_CHARGEBACK_CLOSED lines of a provider that is about to be closed, from those booked for it."""
    closed = lines.with_columns(
        period_status=pl.lit("closed"),
        closing_number=pl.lit(number, pl.Int64),
        closed_at=pl.lit(closed_at, pl.Datetime("us", "UTC")),
    )
    return closed.select(*MART_CHARGEBACK_CLOSED.columns)


def lines_sha256(lines: pl.DataFrame) -> str:
    """Hash of lines by their content, in any order, whatever wrote or stored them.

    Each line is its columns that are not null, by name, as ``<length>:<name>=<value>``: text as UTF-8, amounts as whole attos,
    days and instants as whole days and microseconds since 1970. A column that a later version adds changes no earlier hash.
    """
    cells = [
        pl.when(pl.col(name).is_not_null()).then(_netstring(pl.lit(f"{name}=") + _as_text(name, lines.schema[name])))
        for name in sorted(lines.columns)
    ]
    rows = lines.select(line=pl.concat_str(cells, ignore_nulls=True)).sort("line")["line"]
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{len(row.encode())}:".encode())
        digest.update(row.encode())
    return digest.hexdigest()


def check_closed_lines(lines: pl.DataFrame, closing: Closing) -> None:
    """Raises IntegrityError unless ``lines`` are those that the closing recorded."""
    what = f"closing {closing.number} of {closing.month} of {closing.provider_name}"
    if lines.height != closing.lines_count:
        raise IntegrityError(what, "number of lines", closing.lines_count, lines.height)
    if (found := lines_sha256(lines)) != closing.lines_sha256:
        raise IntegrityError(what, "sha256 of its lines", closing.lines_sha256, found)


class _Statuses(dict[str, str]):
    """Status of any provider's month, found when it is asked for."""

    def __init__(self, periods: Periods, month: Month, as_of: dt.date) -> None:
        super().__init__()
        self._of = (periods, month, as_of)

    def __missing__(self, provider_name: str) -> str:
        periods, month, as_of = self._of
        self[provider_name] = periods.status_of(provider_name, month, as_of=as_of)
        return self[provider_name]


def _own_lines(allocation: pl.DataFrame | None, month: Month, periods: Periods, as_of: dt.date) -> pl.DataFrame:
    if allocation is None:
        return MART_CHARGEBACK_MONTHLY.empty()
    providers = allocation["provider_name"].unique().to_list()
    statuses = {name: periods.status_of(name, month, as_of=as_of) for name in providers}
    still_open = [name for name, status in statuses.items() if status != "closed"]
    types = MART_CHARGEBACK_MONTHLY.polars_schema
    missing = [pl.lit(None, types[name]).alias(name) for name in types if name not in (*allocation.columns, "period_status")]
    own = allocation.filter(pl.col("provider_name").is_in(still_open)).with_columns(
        *missing, period_status=pl.col("provider_name").replace_strict(statuses, return_dtype=pl.String)
    )
    return own.select(types.names())


def _finished(lines: pl.DataFrame) -> pl.DataFrame:
    ordered = lines.select(*MART_CHARGEBACK_MONTHLY.columns).sort(*MART_CHARGEBACK_MONTHLY.sort_by, nulls_last=False)
    return MART_CHARGEBACK_MONTHLY.validate(ordered)


def _as_text(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if dtype == pl.Date or isinstance(dtype, pl.Decimal | pl.Datetime):
        column = column.to_physical()
    return column.cast(pl.String)


def _netstring(text: pl.Expr) -> pl.Expr:
    return text.str.len_bytes().cast(pl.String) + pl.lit(":") + text
