"""Pages and contexts for tests of bucketed reports: written with exact digits, read back as staged rows."""

import datetime as dt
import gzip
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl

from usage_etl.schemas.staged import STAGED_CHARGES, STAGED_USAGE
from usage_etl.sources.parsed import CoveredBucket, ParseContext, ParsedBatch
from usage_etl.sources.reading.exact_json import JsonNumber, dumps

RECORDED = Path(__file__).parents[2] / "recorded"
DAY_SECONDS = 86_400
FIRST_DAY = dt.date(2026, 10, 1)
FIRST_SECOND = 1_790_812_800

CONTEXT = ParseContext(
    source="bills",
    source_account="org-1",
    role="reconciliation",
    delivery_id="d" * 32,
    delivery_sequence=7,
    object_key="landing/bills/2026-10-05/d-page.json",
    received_at=dt.datetime(2026, 10, 31, 6, tzinfo=dt.UTC),
)

Parse = Callable[[Path, ParseContext], Iterator[ParsedBatch]]


@dataclass
class Parsed:
    """Everything that one file became."""

    charges: pl.DataFrame
    usage: pl.DataFrame
    quarantine: pl.DataFrame
    rows_read: int
    covered: list[CoveredBucket]
    batches: list[ParsedBatch]

    @property
    def reasons(self) -> list[str]:
        """Rule names per refused row."""
        return self.quarantine["reasons"].to_list()


def read(parse: Parse, path: Path, context: ParseContext = CONTEXT) -> Parsed:
    """One file, with what must hold for every file: the count closes and the contracts are kept."""
    batches = list(parse(path, context))
    for batch in batches:
        staged = sum(frame.height for frame in (batch.usage, batch.charges) if frame is not None)
        assert batch.rows_read == staged + batch.quarantine.height
        assert (batch.usage is None) != (batch.charges is None)
    charges = pl.concat([STAGED_CHARGES.empty(), *(batch.charges for batch in batches if batch.charges is not None)])
    usage = pl.concat([STAGED_USAGE.empty(), *(batch.usage for batch in batches if batch.usage is not None)])
    quarantine = pl.concat([batch.quarantine for batch in batches]) if batches else pl.DataFrame({"reasons": []})
    STAGED_CHARGES.validate(charges)
    STAGED_USAGE.validate(usage)
    ordinals = [*charges["raw_ordinal"], *usage["raw_ordinal"], *(quarantine["raw_ordinal"] if batches else [])]
    rows_read = sum(batch.rows_read for batch in batches)
    assert sorted(ordinals) == list(range(1, rows_read + 1))
    covered = [bucket for batch in batches for bucket in batch.covered]
    return Parsed(charges, usage, quarantine, rows_read, covered, batches)


def total(amounts: Iterable[Decimal]) -> Fraction:
    """Sum that no decimal context can round."""
    return sum(map(Fraction, amounts), Fraction(0))


def number(text: str) -> JsonNumber:
    """A JSON number with exactly these characters."""
    return JsonNumber(text)


def save(folder: Path, *pages: Any, name: str = "page.json", is_gzip: bool = False) -> Path:
    """Pages as JSON lines."""
    content = "".join(dumps(page) + "\n" for page in pages).encode()
    path = folder / name
    path.write_bytes(gzip.compress(content) if is_gzip else content)
    return path


def openai_bucket(*results: Any, day: int = 0, start: int | None = None, end: int | None = None) -> dict[str, Any]:
    """The bucket of a day of October 2026, 0 being the first."""
    started = FIRST_SECOND + day * DAY_SECONDS if start is None else start
    ended = FIRST_SECOND + (day + 1) * DAY_SECONDS if end is None else end
    return {"object": "bucket", "start_time": number(str(started)), "end_time": number(str(ended)), "results": list(results)}


def openai_page(*buckets: Any, next_page: str | None = None) -> dict[str, Any]:
    return {"object": "page", "data": list(buckets), "has_more": next_page is not None, "next_page": next_page}


def openai_cost(value: Any, line_item: str | None = "gpt-5.2, input", **fields: Any) -> dict[str, Any]:
    amount = {"value": number(value) if isinstance(value, str) else value, "currency": "usd"}
    return {"object": "organization.costs.result", "amount": amount, "line_item": line_item, "project_id": None, **fields}


def openai_usage(**fields: Any) -> dict[str, Any]:
    counts = {"input_tokens": "1000", "input_cached_tokens": "400", "output_tokens": "250", "num_model_requests": "8"}
    names = dict.fromkeys(("project_id", "user_id", "api_key_id", "service_tier"))
    return {
        "object": "organization.usage.completions.result",
        **{name: number(text) for name, text in counts.items()},
        **names,
        "model": "gpt-5.2",
        "batch": False,
        **fields,
    }


def anthropic_bucket(*results: Any, day: int = 0, start: str | None = None, end: str | None = None) -> dict[str, Any]:
    started, ended = FIRST_DAY + dt.timedelta(days=day), FIRST_DAY + dt.timedelta(days=day + 1)
    return {
        "starting_at": start or f"{started}T00:00:00Z",
        "ending_at": end or f"{ended}T00:00:00Z",
        "results": list(results),
    }


def anthropic_page(*buckets: Any, next_page: str | None = None) -> dict[str, Any]:
    return {"data": list(buckets), "has_more": next_page is not None, "next_page": next_page}


def anthropic_cost(amount: Any, **fields: Any) -> dict[str, Any]:
    return {"amount": amount, "currency": "USD", "description": "Usage", "cost_type": "tokens", "workspace_id": None, **fields}


def anthropic_usage(**fields: Any) -> dict[str, Any]:
    return {
        "uncached_input_tokens": number("10"),
        "cache_creation": {"ephemeral_5m_input_tokens": number("2"), "ephemeral_1h_input_tokens": number("3")},
        "cache_read_input_tokens": number("4"),
        "output_tokens": number("5"),
        "api_key_id": None,
        "workspace_id": None,
        "model": "claude-opus-5",
        "service_tier": "standard",
        "context_window": "0-200k",
        **fields,
    }
