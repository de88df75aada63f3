"""Lines of a month's invoice: charge lines that agree in everything an allocation rule may ask for, added up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from usage_etl.facts.charge_kinds import charge_kind
from usage_etl.keys import fingerprint
from usage_etl.periods import Month
from usage_etl.schemas.chargeback import FACT_INVOICE_LINES_MONTHLY, INVOICE_LINE_KEYS

_USER_KINDS = ("seat", "overage")
_SUMS = ("billed_cost", "effective_cost", "list_cost", "contracted_cost")
_QUANTITIES = ("consumed_quantity", "pricing_quantity")


def invoice_lines_month(
    charges: pl.LazyFrame,
    *,
    month: Month,
    tag_keys: Sequence[str],
    keep_user: bool = False,
    keep_api_key: bool = False,
) -> pl.LazyFrame:
    """FACT_INVOICE_LINES_MONTHLY of the charge lines (BILLING_CHARGES) whose ``charge_date`` is in ``month``.

    Amounts and quantities are sums of the charge lines, conserved exactly; a quantity is null where no line has one.
    Seats and overage keep the user they are for; other lines do so only with ``keep_user``, and all lines keep their API key
    only with ``keep_api_key``. ``owner_tags`` holds of the lines' tags those that ``tag_keys`` names, in any letter case.
    """
    is_in_month = pl.col("charge_date").is_between(month.first_day, month.last_day)
    keeps_user = pl.lit(keep_user) | pl.col("charge_kind").is_in(_USER_KINDS)
    keyed = (
        charges.filter(is_in_month)
        .with_columns(charge_kind=charge_kind(), owner_tags=_owner_tags(tag_keys))
        .with_columns(
            user_id=pl.when(keeps_user).then("user_id"),
            api_key_id=pl.when(pl.lit(keep_api_key)).then("api_key_id"),
        )
    )
    summed = keyed.group_by(INVOICE_LINE_KEYS).agg(
        pl.len().cast(pl.Int64).alias("charges_count"),
        pl.col(_SUMS).sum(),
        pl.col("is_list_cost_estimated").any(),
        *(pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()).alias(name) for name in _QUANTITIES),
    )
    table = FACT_INVOICE_LINES_MONTHLY
    return summed.map_batches(lambda frame: _identified(frame, month), schema=table.polars_schema)


def _identified(summed: pl.DataFrame, month: Month) -> pl.DataFrame:
    ids = [invoice_line_id(month, row) for row in summed.select(INVOICE_LINE_KEYS).iter_rows(named=True)]
    named = summed.with_columns(month=pl.lit(month.first_day), invoice_line_id=pl.Series(ids, dtype=pl.String))
    return named.select(*FACT_INVOICE_LINES_MONTHLY.columns)


def invoice_line_id(month: Month, keys: Mapping[str, Any]) -> str:
    """Stable id of an invoice line: depends on the month and its key columns, not on amounts."""
    return fingerprint({"month": str(month), **keys})[:32]


def _owner_tags(tag_keys: Sequence[str]) -> pl.Expr:
    if not tag_keys:
        return pl.lit(None, pl.String)
    wanted = {key.lower(): key for key in tag_keys}
    return pl.col("tags").map_batches(lambda tags: _read_distinct(tags, wanted), return_dtype=pl.String)


def _read_distinct(tags: pl.Series, wanted: Mapping[str, str]) -> pl.Series:
    """Each distinct text is read once."""
    read = {text: named_tags(text, wanted) for text in tags.unique().drop_nulls()}
    return pl.Series(tags.name, [None if text is None else read[text] for text in tags], dtype=pl.String)


def named_tags(text: str, wanted: Mapping[str, str]) -> str | None:
    """Canonical JSON of those tags of the JSON object ``text`` that ``wanted`` names (small letters to key); None without any."""
    try:
        tags = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(tags, dict):
        return None
    kept = {wanted[key.lower()]: tags[key] for key in sorted(tags) if key.lower() in wanted and tags[key] not in (None, "", [])}
    return json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False) if kept else None
