"""Answers of OpenRouter's activity endpoint: one row per UTC day, model and endpoint, as bucket usage and a charge.

``usage`` is what OpenRouter bills, in US dollars. ``byok_usage_inference`` is what calls with the customer's own provider
keys would have cost; the provider bills them, so it is noted on the charge and never part of its amount.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.keys import sha256_hex
from usage_etl.periods import day_start
from usage_etl.schemas.staged import STAGED_CHARGES, STAGED_USAGE
from usage_etl.sources.parsed import CoveredBucket, ParseContext, ParsedBatch, quarantine_rows, staged_rows
from usage_etl.sources.reading.exact_json import dumps
from usage_etl.sources.reading.pages import Page, read_pages
from usage_etl.sources.rows.cells import Cells

_log = logging.getLogger(__name__)

ACTIVITY = "activity"
PROVIDER = "openrouter"
FIELDS = frozenset(
    {"date", "model", "model_permaslug", "endpoint_id", "provider_name", "usage", "byok_usage_inference", "requests"}
    | {"prompt_tokens", "completion_tokens", "reasoning_tokens"}
)
_DIMENSIONS = ("model_permaslug", "model", "endpoint_id", "provider_name")
_BESIDE = "cache_in_input_reasoning_beside_output"


def parse_activity(path: Path, context: ParseContext, *, is_counted: bool) -> Iterator[ParsedBatch]:
    """One batch per answer. Raises UnreadableDeliveryError for anything but such answers."""
    reader = _Reader(context, is_counted=is_counted)
    for page in read_pages(path, source=context.source):
        yield reader.batch(page)
    if reader.unread:
        _log.warning(
            "source=%s delivery=%s unread_fields=%s", context.source, context.delivery_id, ", ".join(sorted(reader.unread))
        )


class _Reader:
    """One delivery: how many rows it held so far, and which days."""

    def __init__(self, context: ParseContext, *, is_counted: bool) -> None:
        self._context = context
        self._is_counted = is_counted
        self._rows_count = 0
        self._page_of_day: dict[dt.date, int] = {}
        self._pages_count = 0
        self.unread: set[str] = set()

    def batch(self, page: Page) -> ParsedBatch:
        """Usage and charges of one answer, and the days that it answers for."""
        rows = self._rows(page)
        self._pages_count += 1
        first = self._rows_count + 1
        self._rows_count += len(rows)
        usage: list[dict[str, Any]] = []
        charges: list[dict[str, Any]] = []
        refused: list[tuple[int, str, str]] = []
        seen: Counter[str] = Counter()
        days = set(_asked_days(page))
        for ordinal, row in enumerate(rows, first):
            cells = Cells()
            event, charge = self._row(row, cells, seen)
            if cells.faults:
                refused.append((ordinal, dumps(row), ",".join(dict.fromkeys(cells.faults))))
                continue
            days.add(event["usage_date"])
            usage.append({**event, "raw_ordinal": ordinal})
            charges.append({**charge, "raw_ordinal": ordinal})
        return ParsedBatch(
            rows_read=len(rows),
            usage=staged_rows(STAGED_USAGE, usage, self._context),
            charges=staged_rows(STAGED_CHARGES, charges, self._context) if self._is_counted else None,
            quarantine=quarantine_rows(refused, self._context),
            covered=tuple(self._covered(days)),
            raw_text=lambda raw_ordinal: dumps(rows[raw_ordinal - first]),
        )

    def _rows(self, page: Page) -> list[Any]:
        rows = page.document.get("data")
        if "error" in page.document:
            raise self._refusal(f"an error answer was saved, not activity: {dumps(page.document['error'])[:200]}")
        if not isinstance(rows, list) or any(isinstance(row, dict) and "results" in row for row in rows):
            raise self._refusal("not an answer of GET /api/v1/activity: it has no list `data` of daily rows")
        return rows

    def _covered(self, days: set[dt.date]) -> Iterator[CoveredBucket]:
        """Buckets of the days. A day that stands in two answers of one delivery would count twice: such files are refused."""
        for day in sorted(days):
            if self._page_of_day.setdefault(day, self._pages_count) != self._pages_count:
                raise self._refusal(f"{day} stands in two answers of one file; save each answer as a file of its own")
            yield CoveredBucket(STAGED_USAGE.name, self._key(day), day=day)
            if self._is_counted:
                yield CoveredBucket(STAGED_CHARGES.name, self._key(day), day=day)

    def _key(self, day: dt.date) -> str:
        return f"{self._context.source_account}/{ACTIVITY}/{day}"

    def _row(self, row: Any, cells: Cells, seen: Counter[str]) -> tuple[dict[str, Any], dict[str, Any]]:
        if not isinstance(row, dict):
            cells.fault("row", "not_an_object")
            return {}, {}
        self.unread |= row.keys() - FIELDS
        day = _day(row.get("date"), cells)
        if day_start(day) > self._context.received_at:
            cells.fault("date", "in_the_future")
        told = {name: cells.text(row.get(name), name) for name in _DIMENSIONS}
        if told["model_permaslug"] is None and told["model"] is None:
            cells.fault("model_permaslug", "missing")
        billed = cells.amount(row.get("usage"), "usage")
        byok = cells.quantity(row.get("byok_usage_inference"), "byok_usage_inference") or Decimal(0)
        event_id = sha256_hex(dumps([self._key(day), told]).encode())
        seen[event_id] += 1
        shared = {"bucket_key": self._key(day), "model_raw": told["model_permaslug"] or told["model"]}
        event = {
            **shared,
            **self._usage(row, cells),
            "event_id": event_id if seen[event_id] == 1 else f"{event_id}#{seen[event_id]}",
            "usage_date": day,
            "started_at": day_start(day),
            "ended_at": day_start(day) + dt.timedelta(days=1),
            "deployment": told["model"],
            "source_cost_usd": float(billed + byok),
        }
        return event, {
            **shared,
            **self._charge(day, told, billed, byok),
            "consumed_quantity": Decimal(event["requests_count"] or 0),
        }

    def _usage(self, row: Mapping[str, Any], cells: Cells) -> dict[str, Any]:
        completion = cells.whole(row.get("completion_tokens"), "completion_tokens", is_required=True)
        reasoning = cells.whole(row.get("reasoning_tokens"), "reasoning_tokens")
        is_beside = (reasoning or 0) > (completion or 0)  # more than the completion cannot be a part of it
        return {
            "source_role": self._context.role if self._is_counted else "reconciliation",
            "grain": "bucket",
            "requests_count": cells.whole(row.get("requests"), "requests", is_required=True),
            "status": "unknown",
            "token_convention": _BESIDE if is_beside else "cache_in_input",
            "reported_input_tokens": cells.whole(row.get("prompt_tokens"), "prompt_tokens", is_required=True),
            "reported_output_tokens": completion,
            "reasoning_tokens": reasoning,
            "primitive": "ai.chat",
            "host_raw": PROVIDER,
            "processing": "standard",
            "is_cache_hit": False,
        }

    def _charge(self, day: dt.date, told: Mapping[str, str | None], billed: Decimal, byok: Decimal) -> dict[str, Any]:
        noted = {"byok_usage_inference_usd": f"{byok.normalize():f}"} if byok else None
        return {
            "charge_date": day,
            "charge_period_start": day_start(day),
            "charge_period_end": day_start(day) + dt.timedelta(days=1),
            "provider_name": PROVIDER,
            "host_provider_name": told["provider_name"],
            "billing_account_id": self._context.source_account,
            "service_name": "OpenRouter API",
            "resource_id": told["endpoint_id"],
            "tags": json.dumps(noted) if noted else None,
            "charge_category": "Credit" if billed < 0 else "Usage",
            "charge_frequency": "Usage-Based",
            "charge_description": told["model"],
            **dict.fromkeys(("billed_cost", "effective_cost", "list_cost", "contracted_cost"), billed),
            "is_list_cost_estimated": True,
            "billing_currency": "USD",
            "consumed_unit": "Requests",
        }

    def _refusal(self, message: str) -> UnreadableDeliveryError:
        return UnreadableDeliveryError(self._context.source, message)


def _asked_days(page: Page) -> Iterator[dt.date]:
    """The day that our own fetch asked for: it is answered for also where the answer is empty."""
    if isinstance(page.pulled.facts.get("day"), str):
        yield dt.date.fromisoformat(page.pulled.facts["day"])


def _day(cell: Any, cells: Cells) -> dt.date:
    """UTC day, also where a midnight is written behind it."""
    text = cells.text(cell, "date")
    if text is None:
        cells.fault("date", "missing")
        return dt.date(2020, 1, 1)
    day, _, clock = text.strip().replace("T", " ").partition(" ")
    try:
        if clock.rstrip("Z").strip("0:.") == "":
            return dt.date.fromisoformat(day)
    except ValueError:
        pass
    cells.fault("date", "not_a_day")
    return dt.date(2020, 1, 1)
