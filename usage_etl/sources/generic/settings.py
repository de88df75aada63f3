"""Settings of the generic source: how a customer's own columns fill ours. What cannot work is an error when they are read."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from usage_etl.config import FolderSourceSettings, ZoneName
from usage_etl.schemas.charge_line import CHARGE_CATEGORIES
from usage_etl.schemas.staged import PROCESSINGS, STATUSES
from usage_etl.sources.generic.fields import KINDS, MEASURED, TOKENS
from usage_etl.units import PRIMITIVE_UNITS

Name = Annotated[str, StringConstraints(min_length=1, max_length=300)]

ANY_OTHER = "*"
"""Key of a value map: what every word that is not in it becomes."""

CLOSED_WORDS: Mapping[str, tuple[str, ...]] = {
    "primitive": tuple(PRIMITIVE_UNITS),
    "status": STATUSES,
    "processing": PROCESSINGS,
    "charge_category": CHARGE_CATEGORIES,
    "charge_class": ("Correction",),
}
"""Fields that take a few words only."""


class GenericSettings(FolderSourceSettings):
    """Usage and bills of any tool as CSV, JSON lines, a JSON array or Parquet: the mapping says which column is what."""

    kind: Literal["generic"]
    """Which reader."""
    format: Literal["auto", "csv", "json", "parquet"] = "auto"
    """What the files are. auto: told from their content; the others refuse a file that is something else."""
    rows: Literal["usage", "charges", "both"] = "usage"
    """What a row is: a usage of something, a line of a bill, or both at once."""
    grain: Literal["request", "bucket"] = "request"
    """request: a row is one call, message, crawl. bucket: a row sums up an hour, a day or a month."""
    columns: Annotated[dict[str, Name], Field(min_length=1)]
    """Our field to the file's column, or to the place in a JSON record as ``a.b.c``; a dot in a name is written ``\\.``."""
    constants: dict[str, str | int] = {}  # noqa: RUF012 - pydantic copies it
    """Our field to a value that holds for every row; a column of the same field is used first."""
    values: dict[str, dict[str, str]] = {}  # noqa: RUF012 - pydantic copies it
    """Our field to a map from the file's words to ours; the key ``*`` stands for every other word."""
    time_format: Name = "iso"
    """How times are written: iso, epoch_s, epoch_ms, epoch_us, epoch_ns, or a pattern such as ``%d.%m.%Y %H:%M``."""
    time_zone: ZoneName = "UTC"
    """Zone of times that are written without one, and of the days and months of ``period``; IANA name."""
    period: Literal["hour", "day", "month"] | None = None
    """Length of a bucket's period where no column says when it ends."""
    period_end_is: Literal["exclusive", "inclusive"] = "exclusive"
    """inclusive: the end that a column names is the last day of the period."""
    bucket_by: tuple[str, ...] = ()
    """Fields that together with the period say what a later file replaces; none where a file holds all of a period."""
    quantity_in: Literal["units", "seconds", "milliseconds", "hours", "thousands"] = "units"
    """What ``quantity`` counts. Seconds, milliseconds and hours become minutes, for voice.room and phone.call."""
    quantity_rounding: Literal["none", "up"] = "none"
    """up: the quantity of each row is rounded up to a whole one, as phone providers bill begun minutes."""
    duration_in: Literal["ms", "s"] = "ms"
    """Unit of ``latency`` and ``ttft``."""
    amount_in: Literal["units", "hundredths"] = "units"
    """Whether amounts are in whole currency units or in cents."""
    amounts_are: Literal["costs", "debits"] = "costs"
    """debits: the file books what is taken from a balance, so a cost is negative and a refund positive."""
    decimal_mark: Literal["point", "comma"] = "point"
    """How decimals are written. comma: ``1.234,56``; a point is then a mark of thousands."""
    tokens_counted: Literal["cache_in_input", "cache_beside_input", "cache_in_input_reasoning_beside_output"] = "cache_in_input"
    """Whether input tokens hold the cached ones, and output tokens the reasoning."""

    @property
    def mapped(self) -> frozenset[str]:
        """Fields that have a column or a constant."""
        return frozenset(self.columns) | frozenset(self.constants)

    @property
    def has_usage(self) -> bool:
        """Whether rows are usage."""
        return self.rows != "charges"

    @property
    def has_charges(self) -> bool:
        """Whether rows are lines of a bill."""
        return self.rows != "usage"

    @field_validator("time_format")
    @classmethod
    def _known_time_format(cls, text: str) -> str:
        if text not in ("iso", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns") and not {"%Y", "%y"} & set(_directives(text)):
            raise ValueError(f"{text!r} is neither iso, epoch_s, epoch_ms, epoch_us, epoch_ns nor a pattern with a year (%Y)")
        return text

    @model_validator(mode="after")
    def _mapping_can_work(self) -> Self:
        faults = [
            *self._unknown_names(),
            *self._places_in_each_other(),
            *self._unknown_words(),
            *(self._usage_faults() if self.has_usage else ()),
            *(self._charge_faults() if self.has_charges else ()),
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _unknown_names(self) -> Iterable[str]:
        for section in ("columns", "constants", "values"):
            for name in sorted(set(getattr(self, section)) - set(KINDS)):
                close = difflib.get_close_matches(name, KINDS, n=1)
                yield f"{section}: there is no field {name!r}" + (f"; did you mean {close[0]}" if close else "")
        for name in sorted(set(self.values) - self.mapped):
            if name in KINDS:
                yield f"values: {name} has no column"
        for name in sorted(set(self.bucket_by) - set(self.columns)):
            yield f"bucket_by: {name} has no column"

    def _places_in_each_other(self) -> Iterable[str]:
        places = {place_of(name): name for name in self.columns.values()}
        for place, name in places.items():
            for length in range(1, len(place)):
                if place[:length] in places:
                    yield f"columns: {name!r} lies within {places[place[:length]]!r}; one of them cannot be read"

    def _unknown_words(self) -> Iterable[str]:
        for name, allowed in CLOSED_WORDS.items():
            said = {*self.values.get(name, {}).values(), *([str(self.constants[name])] if name in self.constants else [])}
            for word in sorted(said - set(allowed)):
                yield f"{name}: {word!r} is none of {', '.join(allowed)}"

    def _usage_faults(self) -> Iterable[str]:
        if "primitive" not in self.mapped:
            yield f"primitive has neither column nor constant; it is one of {', '.join(PRIMITIVE_UNITS)}"
        if self.grain == "request" and "started_at" not in self.columns:
            yield "started_at has no column: when did the request happen"
        if self.grain == "bucket":
            yield from self._period_faults()
        primitives = self._primitives()
        if "quantity" not in self.mapped:
            for primitive in sorted(primitives & set(MEASURED)):
                yield f"quantity has no column: {primitive} is counted in {PRIMITIVE_UNITS[primitive]}"
            if primitives & {"ai.chat"} and not {"input_tokens", "output_tokens", "usage_body", "native_quantity"} & self.mapped:
                yield "ai.chat needs a column for input_tokens or output_tokens, or for a provider's usage_body"
        yield from self._body_faults()
        if ("native_quantity" in self.mapped) != ("native_unit" in self.mapped):
            yield "native_quantity and native_unit belong together; one of them is not mapped"
        is_time = "primitive" in self.columns or primitives & {"voice.room", "phone.call"}
        if self.quantity_in in ("seconds", "milliseconds", "hours") and not is_time:
            yield f"quantity_in: {self.quantity_in} become minutes, which only voice.room and phone.call are counted in"

    def _body_faults(self) -> Iterable[str]:
        if "usage_body" not in self.mapped:
            return
        for name in sorted(set(TOKENS) & self.mapped):
            yield f"{name} and usage_body are both mapped; the body says it already"
        if self.grain == "bucket":
            yield "usage_body is of one request, and rows are buckets"

    def _primitives(self) -> set[str]:
        """Primitives that rows may be of, as far as the settings tell."""
        if "primitive" not in self.columns:
            return {str(self.constants["primitive"])} if "primitive" in self.constants else set()
        return set(self.values.get("primitive", {}).values())

    def _period_faults(self) -> Iterable[str]:
        if "period_start" not in self.columns:
            yield "period_start has no column: when does the bucket begin"
        if "period_end" not in self.columns and self.period is None:
            yield "period_end has no column; map it, or say by period how long a bucket is"

    def _charge_faults(self) -> Iterable[str]:
        for name in ("amount", "currency", "provider_name", "service_name"):
            if name not in self.mapped:
                yield f"{name} has neither column nor constant"
        if self.grain == "bucket":
            if "charge_start" not in self.columns:
                yield from self._period_faults()
        elif not {"started_at", "charge_start"} & set(self.columns):
            yield "started_at has no column: when did the charge arise"


def place_of(column: str) -> tuple[str, ...]:
    r"""Where a column stands in a JSON record: ``a.b`` is ``b`` in ``a``, ``a\.b`` is one name."""
    return tuple(part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.", column))


def name_of(column: str) -> str:
    """The name of a table's column."""
    return column.replace("\\.", ".")


def _directives(pattern: str) -> list[str]:
    return re.findall(r"%[A-Za-z]", pattern)
