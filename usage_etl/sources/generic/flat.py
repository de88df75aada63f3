"""A customer's columns as the fields of the contract, still as text: constants, words and spellings put right, nothing typed."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from usage_etl.sources.generic.fields import CHARGE_TIMES, KINDS, TIMES
from usage_etl.sources.generic.settings import ANY_OTHER, GenericSettings
from usage_etl.sources.rows.event_ids import EventIds
from usage_etl.sources.rows.mapping import FieldTypes, with_hashed_secrets
from usage_etl.sources.rows.typed_text import INSTANT_FORMATS

_DATES = ("%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M%#z", "%Y-%m-%d", "%Y%m%d")
_MONTH = r"^\d{4}-\d{2}$"
_TIMES = (*TIMES, *CHARGE_TIMES)


def types_of(settings: GenericSettings) -> FieldTypes:
    """How the mapped fields are typed; fields that are not mapped have no value at all."""
    kinds: dict[str, tuple[str, ...]] = {
        kind: tuple(name for name in KINDS if KINDS[name] == kind and name in settings.mapped) for kind in set(KINDS.values())
    }
    unit = settings.time_format.removeprefix("epoch_") if settings.time_format.startswith("epoch_") else None
    spellings = (*INSTANT_FORMATS, *_DATES) if settings.time_format == "iso" else (settings.time_format,)
    return FieldTypes(
        counts=kinds["count"],
        instants=kinds["instant"] if unit is None else (),
        epochs=dict.fromkeys(kinds["instant"], unit) if unit is not None else None,
        milliseconds=kinds["duration"] if settings.duration_in == "ms" else (),
        seconds=kinds["duration"] if settings.duration_in == "s" else (),
        numbers=kinds["number"],
        decimals=kinds["decimal"],
        spellings=spellings,
        zone=settings.time_zone,
    )


class FieldReader:
    """Turns the columns of one file into fields, block by block."""

    def __init__(self, settings: GenericSettings, columns: Mapping[str, str]) -> None:
        """``columns``: our field to the flat column that holds it."""
        self._settings, self._columns = settings, columns
        self._ids = EventIds()

    def fields(self, flat: pl.DataFrame) -> pl.DataFrame:
        """``flat`` with every field of the contract as text, absent ones null, and ``own_id`` where ids are made."""
        chosen = flat.select("raw_ordinal", *(self._text(name).alias(name) for name in KINDS))
        spelled = chosen.with_columns(self._spelled(name).alias(name) for name in sorted(self._settings.mapped))
        has_id = self._settings.grain == "request" and "event_id" in self._settings.mapped
        return with_hashed_secrets(
            spelled if has_id else self._ids.with_ids(spelled, sorted(self._settings.mapped)), "api_key_id"
        )

    def _text(self, name: str) -> pl.Expr:
        constant = self._settings.constants.get(name)
        fallback = pl.lit(None if constant is None else str(constant), pl.String)
        column = self._columns.get(name)
        return fallback if column is None else pl.coalesce(pl.when(pl.col(column) != "").then(pl.col(column)), fallback)

    def _spelled(self, name: str) -> pl.Expr:
        text = pl.col(name).str.strip_chars()
        words = dict(self._settings.values.get(name, {}))
        if words:
            other = words.pop(ANY_OTHER, None)
            default = text if other is None else pl.when(text.is_not_null()).then(pl.lit(other))
            text = text.replace_strict(words, default=default, return_dtype=pl.String) if words else default
        if KINDS[name] in ("decimal", "number", "count", "duration") and self._settings.decimal_mark == "comma":
            text = text.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
        if name in _TIMES and self._settings.time_format == "iso":
            text = pl.when(text.str.contains(_MONTH)).then(text + "-01").otherwise(text)
        return text
