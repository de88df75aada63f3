"""What a bill's meter counts, as far as a maintained table says: model, token class, price class, where the model may run.

A table is an ordered list of rules over the whole text of a meter's name. What no rule reads in full is ``unmapped``: its
row is kept, and counted. Nothing is matched by likeness.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import Literal

import polars as pl

from usage_etl.sources.reading.distinct import read_distinct


@dataclass(frozen=True)
class Meter:
    """What one meter counts. Null where its name does not say."""

    meter_mapping: Literal["mapped", "unmapped", "not_usage"] | None = None
    model_raw: str | None = None
    token_class: str | None = None
    """One of ``units.TOKEN_CLASSES``."""
    processing: str | None = None
    """standard, batch, flex, priority or fast."""
    context_band: str | None = None
    deployment_scope: str | None = None
    """global, data_zone, cross_region or regional."""
    meter_unit: str | None = None
    """Unit in it, where the bill's own unit is a bare number: ``Tokens``."""


UNMAPPED = Meter("unmapped")
NOT_USAGE = Meter("not_usage")
UNTOLD = Meter()
"""For charges of sources without a table."""

METER_COLUMNS = {name: pl.String() for name in Meter.__dataclass_fields__}

ReadMeter = Callable[..., Meter]
"""Takes one text (or null) per key column."""


def with_meters(flat: pl.DataFrame, keys: Sequence[str], read: ReadMeter) -> pl.DataFrame:
    """``flat`` with ``METER_COLUMNS``, read from the texts in ``keys``."""
    return read_distinct(flat, keys, lambda *texts: astuple(read(*texts)), METER_COLUMNS)


def meter_columns() -> dict[str, pl.Expr]:
    """Columns of a charge line that ``with_meters`` fills."""
    names = ("meter_mapping", "model_raw", "token_class", "processing", "context_band", "deployment_scope")
    return {name: pl.col(name) for name in names}


def metered_unit(unit: pl.Expr) -> pl.Expr:
    """``unit``, or the meter's own where the bill says no more than a number of units."""
    return pl.when((unit == "Units") & pl.col("meter_unit").is_not_null()).then(pl.col("meter_unit")).otherwise(unit)
