"""What a table contract is: a dataframely schema plus its grain, partition, order and owner.

From one declaration come the Parquet schema, the asset checks, the Columns tab, the reference page and the CSV header.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import dataframely as dy
import polars as pl

from usage_etl.errors import ContractError
from usage_etl.keys import fingerprint
from usage_etl.money import MAX_AMOUNT, MAX_TOKENS, MONEY_PRECISION, MONEY_SCALE


def _metadata(unit: str | None, source: str | None, sensitivity: str | None) -> dict[str, str]:
    pairs = {"unit": unit, "source": source, "sensitivity": sensitivity}
    return {name: text for name, text in pairs.items() if text is not None}


def text(
    description: str, *, nullable: bool = True, source: str | None = None, sensitivity: str | None = None, **rules: Any
) -> dy.String:
    """A free or rarely repeated text column."""
    return dy.String(nullable=nullable, description=description, metadata=_metadata(None, source, sensitivity), **rules)


def label(
    description: str, *, nullable: bool = True, source: str | None = None, sensitivity: str | None = None, **rules: Any
) -> dy.Categorical:
    """A repeated text column, stored dictionary-encoded; other readers see plain strings."""
    return dy.Categorical(nullable=nullable, description=description, metadata=_metadata(None, source, sensitivity), **rules)


def count(description: str, *, nullable: bool = False, unit: str = "count", source: str | None = None, **rules: Any) -> dy.Int64:
    """A whole number from 0 to the accepted maximum."""
    limits = {"min": 0, "max": MAX_TOKENS * 10**5} | rules
    return dy.Int64(nullable=nullable, description=description, metadata=_metadata(unit, source, None), **limits)


def tokens(description: str, *, nullable: bool = False, source: str | None = None) -> dy.Int64:
    """A token count."""
    return count(description, nullable=nullable, unit="tokens", source=source)


def money(description: str, *, nullable: bool = False, source: str | None = None, **rules: Any) -> dy.Decimal:
    """An exact amount in the currency named by the row's currency column."""
    limit = MAX_AMOUNT * 10**5
    return dy.Decimal(
        MONEY_PRECISION,
        MONEY_SCALE,
        nullable=nullable,
        description=description,
        metadata=_metadata("currency of the row", source, None),
        **({"min": -limit, "max": limit} | rules),
    )


def quantity(description: str, *, nullable: bool = False, unit: str, source: str | None = None, **rules: Any) -> dy.Decimal:
    """An exact quantity in the unit that ``unit`` names."""
    return dy.Decimal(
        MONEY_PRECISION, MONEY_SCALE, nullable=nullable, description=description, metadata=_metadata(unit, source, None), **rules
    )


def day(description: str, *, nullable: bool = False, **rules: Any) -> dy.Date:
    """A UTC calendar day."""
    return dy.Date(nullable=nullable, description=description, metadata=_metadata("UTC day", None, None), **rules)


def instant(description: str, *, nullable: bool = False, source: str | None = None, **rules: Any) -> dy.Datetime:
    """A UTC instant with microseconds."""
    return dy.Datetime(
        nullable=nullable,
        description=description,
        time_unit="us",
        time_zone="UTC",
        metadata=_metadata("UTC instant", source, None),
        **rules,
    )


def flag(description: str, *, nullable: bool = False, source: str | None = None) -> dy.Bool:
    """True or false."""
    return dy.Bool(nullable=nullable, description=description, metadata=_metadata(None, source, None))


def ratio(description: str, *, nullable: bool = True, unit: str = "ratio") -> dy.Float64:
    """A share or a statistic that is shown, never booked. Never money."""
    return dy.Float64(
        nullable=nullable, allow_inf=False, allow_nan=False, description=description, metadata=_metadata(unit, None, None)
    )


def one_of(*allowed: str) -> Any:
    """Check that a text column holds one of ``allowed`` (null passes)."""
    return lambda column: column.cast(pl.String).is_in(allowed)


def allowed_values(column: Any) -> tuple[str, ...]:
    """What a column declared with ``one_of`` may hold; empty for any other column."""
    check = getattr(column, "check", None)
    found = inspect.getclosurevars(check).nonlocals.get("allowed") if inspect.isfunction(check) else None
    return tuple(found or ())


@dataclass(frozen=True)
class Table:
    """One stored table. ``name`` is asset key, storage prefix, docs heading and CSV stem at once."""

    name: str
    schema: type[dy.Schema]
    grain: str
    """What one row is, as a sentence."""
    partition: str | None
    """Hive partition: ``usage_date``, ``month`` or None for one object."""
    sort_by: tuple[str, ...]
    """Columns that order rows; with the total order of the row key the same content has the same bytes."""
    group: str
    """Dagster group: 1_land, 2_facts, 3_allocate, 4_insights, 5_reports."""
    owner: str = "team:data"
    control_totals: tuple[str, ...] = field(default=())
    """Columns whose sums stand in every commit's manifest and in the Parquet metadata."""

    @cached_property
    def columns(self) -> dict[str, Any]:
        """Column name to its dataframely declaration, in stored order."""
        return self.schema.columns()

    @cached_property
    def polars_schema(self) -> pl.Schema:
        """Stored Polars types, in order."""
        return pl.Schema({name: column.dtype for name, column in self.columns.items()})

    @cached_property
    def columns_fingerprint(self) -> str:
        """Hash of the columns' names and types in order: whether a stored partition has the columns of today."""
        return fingerprint({"columns": [(name, str(kind)) for name, kind in self.polars_schema.items()]})

    @property
    def notes(self) -> str:
        """What the contract says beyond what one row is: the schema's docstring without its first paragraph."""
        _, _, notes = inspect.cleandoc(self.schema.__doc__ or "").partition("\n\n")
        return notes

    def empty(self) -> pl.DataFrame:
        """No rows in the right shape: what an empty day commits."""
        return pl.DataFrame(schema=self.polars_schema)

    def conform(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """Columns in stored order with text dictionary-encoded where declared. Never casts numbers or money."""
        labels = {name for name, dtype in self.polars_schema.items() if dtype == pl.Categorical}
        return frame.select(pl.col(name).cast(pl.Categorical) if name in labels else pl.col(name) for name in self.columns)

    def validate(self, frame: pl.DataFrame) -> pl.DataFrame:
        """``frame`` itself when it keeps the contract. Raises ContractError: shape first, then rows by rule."""
        if frame.schema != self.polars_schema:
            raise ContractError(self.name, _shape_faults(frame.schema, self.polars_schema), frame.height)
        if self._keeps_row_rules(frame):
            return frame
        _, failure = self.schema.filter(frame)
        if failure.invalid().height:
            raise ContractError(self.name, dict(failure.counts()), failure.invalid().height)
        return frame

    def _keeps_row_rules(self, frame: pl.DataFrame) -> bool:
        """Whether no row breaks a rule, without the report of who broke which: a tenth of the cost of ``filter``."""
        return all(frame.select(self._row_rules).row(0))

    @cached_property
    def _row_rules(self) -> list[pl.Expr]:
        """One expression per rule: whether all rows keep it. A rule that is null for a row passes, as in dataframely."""
        if vars(self.schema).get("__dataframely_rules__", True):
            return [pl.lit(value=False)]  # rules over several columns or rows: only dataframely itself can judge them
        rules = ((name, column.validation_rules(pl.col(name))) for name, column in self.columns.items())
        return [rule.all().alias(f"{name}|{kind}") for name, found in rules for kind, rule in found.items()]

    def rule_failures(self, frame: pl.DataFrame) -> dict[str, int]:
        """Rows that break each rule of the contract; empty when it is kept."""
        return dict(self.schema.filter(frame)[1].counts())


def _shape_faults(found: pl.Schema, wanted: pl.Schema) -> dict[str, int]:
    faults = {f"{name}|missing": 1 for name in wanted if name not in found}
    faults |= {f"{name}|unexpected": 1 for name in found if name not in wanted}
    faults |= {
        f"{name}|is {found[name]}, wants {wanted[name]}": 1 for name in wanted if name in found and found[name] != wanted[name]
    }
    return faults or {"column order": 1}
