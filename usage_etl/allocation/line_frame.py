"""Finished lines as a frame: what parts and owners say is looked up for rows that are already in their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from usage_etl.allocation.owners import LEVELS, NOTHING_SEEN, OWNER_COLUMNS, TEAM, Owner, OwnerDirectories
from usage_etl.allocation.parts import Part
from usage_etl.allocation.rates import SAME
from usage_etl.periods import Month
from usage_etl.remainder import from_attos
from usage_etl.schemas.chargeback import MART_ALLOCATION_MONTHLY

_LINE_COLUMNS = ("sub_account_id", "service_name", "commitment_discount_id")


@dataclass
class LineColumns:
    """Columns of finished rows, as long as each other; money in attos, ``part`` and ``owner`` by their numbers."""

    part: list[int] = field(default_factory=list)
    owner: list[int] = field(default_factory=list)
    line_id: list[str] = field(default_factory=list)
    allocated: list[int] = field(default_factory=list)
    effective: list[int] = field(default_factory=list)
    invoiced: list[int | None] = field(default_factory=list)
    metered: list[int | None] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)


def line_frame(
    columns: LineColumns,
    parts: Sequence[Part],
    texts: Sequence[str],
    owners: Sequence[Owner],
    directories: OwnerDirectories,
    *,
    month: Month,
) -> pl.DataFrame:
    """MART_ALLOCATION_MONTHLY rows in stored order; ``texts`` says for each part how its amounts were found."""
    part_ranks = _ranks([_part_order(part) for part in parts])
    owner_ranks = _ranks([(owner.cost_center_id, owner.team_id) for owner in owners])
    narrow = pl.DataFrame(
        {
            "part": pl.Series(columns.part, dtype=pl.UInt32),
            "owner": pl.Series(columns.owner, dtype=pl.UInt32),
            "line_id": pl.Series(columns.line_id, dtype=pl.String),
            "requests_count": pl.Series(columns.requests, dtype=pl.Int64),
            "total_tokens": pl.Series(columns.tokens, dtype=pl.Int64),
            "metered_cost": from_attos(columns.metered, "metered_cost"),
            "allocated_cost": from_attos(columns.allocated, "allocated_cost"),
            "allocated_effective_cost": from_attos(columns.effective, "allocated_effective_cost"),
            "invoice_cost": from_attos(columns.invoiced, "invoice_cost"),
        }
    )
    ordered = narrow.sort(part_ranks.gather(narrow["part"]), owner_ranks.gather(narrow["owner"]), "line_id")
    said = _part_frame(parts, texts, month)[ordered["part"]]
    owned = _owner_frame(owners, directories, month)[ordered["owner"]]
    wide = pl.concat([ordered, said, owned], how="horizontal")
    kind = pl.coalesce("part_kind", "owner_kind").alias("line_kind")
    return wide.with_columns(kind).select(*MART_ALLOCATION_MONTHLY.columns)


def kind_of(owner: Owner) -> str:
    """Kind of a line that the owner decides."""
    if owner == NOTHING_SEEN:
        return "unexplained"
    return "allocated" if owner.is_known else "unallocated"


def _part_order(part: Part) -> tuple[tuple[bool, str], ...]:
    origin = part.origin
    keys = (origin.provider_name, origin.billing_account_id, origin.charge_category, origin.model_id)
    return tuple((key is not None, key or "") for key in keys)


def _ranks(keys: Sequence[Any]) -> pl.Series:
    """Place of each key among the distinct ones in order."""
    places = {key: place for place, key in enumerate(sorted(set(keys)))}
    return pl.Series([places[key] for key in keys], dtype=pl.UInt32)


def _part_frame(parts: Sequence[Part], texts: Sequence[str], month: Month) -> pl.DataFrame:
    """One row per part with what all its lines say."""
    rows = [_part_row(part, text, month) for part, text in zip(parts, texts, strict=True)]
    schema = {name: MART_ALLOCATION_MONTHLY.polars_schema.get(name, pl.String()) for name in rows[0]}
    return pl.DataFrame(rows, schema=schema)


def _part_row(part: Part, text: str, month: Month) -> dict[str, Any]:
    origin, rate = part.origin, part.origin.rate
    keys = origin.line.keys if origin.line is not None else {}
    return {
        "month": month.first_day,
        "part_kind": part.line_kind,
        "charge_basis": part.charge_basis,
        "invoice_line_id": keys.get("invoice_line_id"),
        "invoice_id": origin.invoice_id,
        "provider_name": origin.provider_name,
        "billing_account_id": origin.billing_account_id,
        **{name: keys.get(name) for name in _LINE_COLUMNS},
        "charge_kind": origin.charge_kind,
        "charge_category": origin.charge_category,
        "charge_class": keys.get("charge_class"),
        "model_id": origin.model_id,
        "billing_currency": origin.currency,
        "invoice_currency": None if rate is SAME else origin.invoice_currency,
        "fx_rate": rate.rate,
        "fx_rate_date": rate.date,
        "fx_rate_source": rate.source,
        "rule_name": part.rule_name,
        "allocation_rule": text,
    }


def _owner_frame(owners: Sequence[Owner], directories: OwnerDirectories, month: Month) -> pl.DataFrame:
    """One row per owner with ids, names as of the month's last day, and the kind of line that the owner makes."""
    frame = pl.DataFrame(owners, schema=dict.fromkeys(OWNER_COLUMNS, pl.String), orient="row")
    names = directories.names(month.last_day)
    named = [pl.col(f"{level}_id").replace(names[level]).alias(f"{level}_name") for level in LEVELS[: TEAM + 1]]
    return frame.with_columns(*named, owner_kind=pl.Series([kind_of(owner) for owner in owners], dtype=pl.String))
