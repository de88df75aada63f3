"""OpenAI's organization usage reports, one table of them, and how their results become staged bucket usage.

Counting: ``input_tokens`` holds cached and cache-write tokens; audio and image splits of the input are of its uncached
part. A dimension that was not grouped by arrives null, like one that has no value. Calls of tools (searches, sessions)
happen inside model requests, which the completions report counts: they carry no request of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from usage_etl.schemas.staged import STAGED_USAGE
from usage_etl.sources.forms.reports import Bucket, Report, RowReader
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.rows.cells import Cells
from usage_etl.sources.rows.tags import tag_pairs

_PROVIDER = "openai"
_PROCESSINGS = {
    "batch": "batch",
    "flex": "flex",
    "priority": "priority",
    "default": "standard",
    "standard": "standard",
    "auto": "standard",
}
"""Service tiers that a price class says. Others, such as ``scale`` (prepaid), count as standard and stay visible as a tag."""

_MOST_NATIVE = 10**18
"""Bytes of stores go beyond any count of tokens."""

_PEOPLE = ("project_id", "user_id", "api_key_id")
_TAGGED = ("api_source", "context_level", "size", "vector_store_id")
"""Dimensions without a column of their own: they become pairs of ``tag_set``."""

_MODAL = {
    "input_audio_tokens": "input_audio_tokens",
    "input_image_tokens": "input_image_tokens",
    "input_cached_audio_tokens": "cache_read_audio_tokens",
    "input_cached_image_tokens": "cache_read_image_tokens",
    "output_audio_tokens": "output_audio_tokens",
    "output_image_tokens": "output_image_tokens",
}
"""Audio and image tokens as sent, to our columns."""

_DERIVED = ("input_uncached_tokens", "input_text_tokens", "input_cached_text_tokens", "output_text_tokens")
"""Known fields that say nothing new: what is left of a class without its cached, audio and image tokens."""

_CACHE_WRITES = ("input_cache_write_30m_tokens", "input_cache_write_12h_tokens")
_MODEL_TOKENS = (
    *("input_tokens", "output_tokens", "input_cached_tokens", "input_cache_write_tokens"),
    *_CACHE_WRITES,
    *_MODAL,
    *_DERIVED,
)


@dataclass(frozen=True)
class UsageReport:
    """One usage report: where it is, by what it is grouped, and what its counts are."""

    name: str
    """Last part of its path; ``usage_<name>`` is its dataset."""
    object_name: str
    """What its results say that they are."""
    dimensions: tuple[str, ...]
    tokens: tuple[str, ...] = ()
    primitive: str = "ai.chat"
    requests: str | None = "num_model_requests"
    """Field that counts requests; null where the calls are part of requests counted elsewhere."""
    quantity: str | None = None
    """Field in the unit of the primitive."""
    native: tuple[str, str] | None = None
    """Field that counts in a unit of its own, and that unit."""
    unread: tuple[str, ...] = ()
    """Known fields that are not read, because another report counts them."""
    may_be_absent: bool = False
    """Whether organizations exist without it."""

    @property
    def dataset(self) -> str:
        """Name of its results among the datasets of the source."""
        return f"usage_{self.name}"

    @property
    def measures(self) -> frozenset[str]:
        """Fields that count."""
        native = self.native[0] if self.native else None
        return frozenset({name for name in (*self.tokens, self.requests, self.quantity, native) if name})

    def report(self) -> Report:
        """The report for parsing."""
        return Report(
            dataset=self.dataset,
            table=STAGED_USAGE,
            read_row=_reader(self),
            fields=self.measures | {"object", *self.dimensions, *self.unread},
            dimensions=self.dimensions,
        )


_MODEL_DIMENSIONS = (*_PEOPLE, "model", "batch", "service_tier", "api_source")

USAGE_REPORTS = (
    UsageReport("completions", "organization.usage.completions.result", _MODEL_DIMENSIONS, _MODEL_TOKENS),
    UsageReport("decisions", "organization.usage.decisions.result", _MODEL_DIMENSIONS, _MODEL_TOKENS, may_be_absent=True),
    UsageReport(
        "embeddings", "organization.usage.embeddings.result", (*_PEOPLE, "model"), ("input_tokens",), primitive="ai.embed"
    ),
    UsageReport(
        "moderations",
        "organization.usage.moderations.result",
        (*_PEOPLE, "model"),
        ("input_tokens",),
        primitive="safety.moderate",
        quantity="num_model_requests",
    ),
    UsageReport(
        "images",
        "organization.usage.images.result",
        (*_PEOPLE, "model", "size", "source"),
        primitive="ai.image",
        quantity="images",
    ),
    UsageReport(
        "audio_speeches",
        "organization.usage.audio_speeches.result",
        (*_PEOPLE, "model"),
        native=("characters", "characters"),
    ),
    UsageReport(
        "audio_transcriptions",
        "organization.usage.audio_transcriptions.result",
        (*_PEOPLE, "model"),
        native=("seconds", "seconds"),
    ),
    UsageReport(
        "vector_stores",
        "organization.usage.vector_stores.result",
        ("project_id",),
        requests=None,
        native=("usage_bytes", "bytes"),
    ),
    UsageReport(
        "code_interpreter_sessions",
        "organization.usage.code_interpreter_sessions.result",
        ("project_id",),
        requests=None,
        native=("num_sessions", "code_interpreter_sessions"),
    ),
    UsageReport(
        "file_search_calls",
        "organization.usage.file_searches.result",
        (*_PEOPLE, "vector_store_id"),
        requests=None,
        native=("num_requests", "file_searches"),
    ),
    UsageReport(
        "web_search_calls",
        "organization.usage.web_searches.result",
        (*_PEOPLE, "model", "context_level", "api_source"),
        requests=None,
        native=("num_requests", "web_searches"),
        unread=("num_model_requests",),
    ),
)
"""Every usage report of the API."""


def _reader(kind: UsageReport) -> RowReader:
    """How one group of one bucket of the report becomes a staged row."""

    def read(result: Mapping[str, Any], bucket: Bucket, cells: Cells, _: ParseContext) -> dict[str, Any]:
        if result.get("object") is None:
            cells.fault("object", "missing")
        return {
            "bucket_key": bucket.key,
            "usage_date": bucket.started_at.date(),
            "started_at": bucket.started_at,
            "ended_at": bucket.ended_at,
            "grain": "bucket",
            "status": "unknown",
            "operation_name": cells.text(result.get("source"), "operation_name") or kind.name,
            "token_convention": "cache_in_input",
            "primitive": kind.primitive,
            "host_raw": _PROVIDER,
            "model_raw": cells.text(result.get("model"), "model_raw"),
            "processing": _processing(result, cells),
            "is_cache_hit": False,
            "user_id": cells.text(result.get("user_id"), "user_id"),
            "api_key_id": cells.text(result.get("api_key_id"), "api_key_id"),
            "project_id": cells.text(result.get("project_id"), "project_id"),
            "tag_set": _tag_set(kind, result, cells),
            **_counts(kind, result, cells),
        }

    return read


def _counts(kind: UsageReport, result: Mapping[str, Any], cells: Cells) -> dict[str, Any]:
    """What the report counts; what it does not count stays null."""
    requests = cells.whole(result.get(kind.requests), "requests_count", is_required=True) if kind.requests else 0
    counted: dict[str, Any] = {"requests_count": requests}
    if kind.quantity is not None:
        counted["quantity"] = _exact(cells.whole(result.get(kind.quantity), "quantity", is_required=True))
    if kind.native is not None:
        name, unit = kind.native
        counted["native_unit"] = unit
        counted["native_quantity"] = _exact(cells.whole(result.get(name), "native_quantity", is_required=True, most=_MOST_NATIVE))
    return counted | _tokens(kind, result, cells)


def _tokens(kind: UsageReport, result: Mapping[str, Any], cells: Cells) -> dict[str, Any]:
    if not kind.tokens:
        return {}
    read: dict[str, Any] = {
        "reported_input_tokens": cells.whole(result.get("input_tokens"), "reported_input_tokens", is_required=True)
    }
    if "output_tokens" not in kind.tokens:
        return read
    read["reported_output_tokens"] = cells.whole(result.get("output_tokens"), "reported_output_tokens", is_required=True)
    read["cache_read_tokens"] = cells.whole(result.get("input_cached_tokens"), "cache_read_tokens")
    read["cache_write_tokens"] = _cache_writes(result, cells)
    read |= {column: cells.whole(result.get(name), column) for name, column in _MODAL.items()}
    _check_parts(read, cells)
    return read


def _cache_writes(result: Mapping[str, Any], cells: Cells) -> int | None:
    """Tokens written to the cache: the total, else the sum of the lifetimes that are stated."""
    whole = cells.whole(result.get("input_cache_write_tokens"), "cache_write_tokens")
    parts = [cells.whole(result.get(name), "cache_write_tokens") for name in _CACHE_WRITES]
    stated = [part for part in parts if part is not None]
    if whole is None:
        return sum(stated) if stated else None
    if sum(stated) > whole:
        cells.fault("cache_write_tokens", "less_than_its_lifetimes")
    return whole


def _check_parts(read: Mapping[str, Any], cells: Cells) -> None:
    """Parts cannot exceed what they are parts of."""
    known = {name: count or 0 for name, count in read.items()}
    cached = known["cache_read_tokens"] + known["cache_write_tokens"]
    fresh = known["reported_input_tokens"] - cached
    if read["reported_input_tokens"] is not None and fresh < 0:
        cells.fault("cache_read_tokens", "more_than_input")
    elif read["reported_input_tokens"] is not None and known["input_audio_tokens"] + known["input_image_tokens"] > fresh:
        cells.fault("input_audio_tokens", "more_than_uncached_input")
    if known["cache_read_audio_tokens"] + known["cache_read_image_tokens"] > known["cache_read_tokens"]:
        cells.fault("cache_read_audio_tokens", "more_than_cache_read")
    if known["output_audio_tokens"] + known["output_image_tokens"] > known["reported_output_tokens"]:
        cells.fault("output_audio_tokens", "more_than_output")


def _tag_set(kind: UsageReport, result: Mapping[str, Any], cells: Cells) -> str | None:
    """Dimensions without a column, and a service tier that no price class says."""
    tagged = {name: cells.text(result.get(name), "tag_set") for name in _TAGGED if name in kind.dimensions}
    tier = cells.text(result.get("service_tier"), "processing")
    return tag_pairs(tagged | {"service_tier": None if tier in _PROCESSINGS else tier})


def _exact(count: int | None) -> Decimal | None:
    return None if count is None else Decimal(count)


def _processing(result: Mapping[str, Any], cells: Cells) -> str:
    if cells.flag(result.get("batch"), "processing"):
        return "batch"
    return _PROCESSINGS.get(cells.text(result.get("service_tier"), "processing") or "", "standard")
