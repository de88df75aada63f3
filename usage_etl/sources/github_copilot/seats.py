"""Lists of Copilot seats: the activity report (CSV) and answers of the seats endpoint (JSON). Neither states any money.

With a seat's price in the settings each seat becomes a purchase of its month, the user on the line; without one the lists
are counted and left out. A month's last list replaces the earlier ones.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from usage_etl.errors import UnreadableDeliveryError
from usage_etl.periods import Month, day_start
from usage_etl.schemas.staged import STAGED_CHARGES
from usage_etl.sources.forms.table_files import TableDialect, read_fields
from usage_etl.sources.github_copilot.reports import PROVIDER
from usage_etl.sources.github_copilot.settings import GitHubCopilotSettings
from usage_etl.sources.parsed import CoveredBucket, ParseContext, ParsedBatch, quarantine_rows, staged_rows
from usage_etl.sources.reading.exact_json import dumps
from usage_etl.sources.reading.pages import read_pages
from usage_etl.sources.rows.cells import Cells
from usage_etl.sources.rows.typed_text import instants

_NAMES: Mapping[str, tuple[str, ...]] = {"report_time": ("report_time", "Report Time"), "login": ("login", "User", "Login")}
_UNREAD = frozenset({"last_authenticated_at", "last_activity_at", "last_surface_used", "organization"})
_REPORT_TIMES = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f UTC", "%Y-%m-%d %H:%M:%S%.f")


def parse_activity_report(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Seats of one activity report. Raises UnreadableDeliveryError."""
    dialect = TableDialect("an activity report of Copilot seats", _NAMES, frozenset(_NAMES), (), _UNREAD)
    seats = _Seats(context)
    for table, flat in read_fields(path, context, dialect=dialect):
        times = instants(flat["report_time"], _REPORT_TIMES)
        rows = list(zip(flat["raw_ordinal"], flat["login"], times, strict=True))
        yield seats.batch(rows, table.rows_count, table.refused, table.raw_text)


def parse_seat_pages(path: Path, context: ParseContext) -> Iterator[ParsedBatch]:
    """Seats of all pages of one listing. Raises UnreadableDeliveryError where pages are missing."""
    listed: list[Any] = []
    told = 0
    for page in read_pages(path, source=context.source):
        rows = page.document.get("seats")
        if not isinstance(rows, list):
            raise UnreadableDeliveryError(context.source, "not an answer of GitHub's seats endpoint: it has no list `seats`")
        listed += rows
        told = max(told, Cells().whole(page.document.get("total_seats"), "total_seats") or 0)
    if len(listed) < told:
        message = f"holds {len(listed)} of {told} seats; save all pages of one listing in one file, one page a line"
        raise UnreadableDeliveryError(context.source, message)
    seats = _Seats(context)
    rows = [(ordinal, _login(seat), context.received_at) for ordinal, seat in enumerate(listed, 1)]
    yield seats.batch(rows, len(listed), [], lambda ordinal: dumps(listed[ordinal - 1]))


def _login(seat: Any) -> str | None:
    assignee = seat.get("assignee") if isinstance(seat, dict) else None
    login = assignee.get("login") if isinstance(assignee, dict) else None
    return login if isinstance(login, str) else None


class _Seats:
    """Seats of one delivery, each user once."""

    def __init__(self, context: ParseContext) -> None:
        self._context = context
        self._price = context.settings_as(GitHubCopilotSettings).seat_price
        self._users: set[str] = set()

    def batch(
        self, rows: list[tuple[int, str | None, dt.datetime | None]], count: int, refused: list[Any], text: Any
    ) -> ParsedBatch:
        """The purchases that seats become, or their number where there is no price."""
        if self._price is None:
            return ParsedBatch(rows_read=count, quarantine=quarantine_rows(refused, self._context), rows_out_of_scope=len(rows))
        bad = list(refused)
        charges: list[dict[str, Any]] = []
        for ordinal, login, at in rows:
            if fault := self._fault(login, at):
                bad.append((ordinal, text(ordinal), fault))
            else:
                assert login is not None, "a seat without fault has a user"
                assert at is not None, "a seat without fault has a time"
                self._users.add(login)
                charges.append({**self._charge(login, Month.of(at.date()), self._price), "raw_ordinal": ordinal})
        keys = dict.fromkeys((charge["bucket_key"], charge["charge_date"]) for charge in charges)
        return ParsedBatch(
            rows_read=count,
            charges=staged_rows(STAGED_CHARGES, charges, self._context),
            quarantine=quarantine_rows(sorted(bad), self._context),
            covered=tuple(CoveredBucket(STAGED_CHARGES.name, key, day=day) for key, day in keys),
            raw_text=text,
        )

    def _fault(self, login: str | None, at: dt.datetime | None) -> str | None:
        if not (login or "").strip():
            return "login__missing"
        if at is None:
            return "report_time__not_a_time"
        if at > self._context.received_at + dt.timedelta(hours=1):
            return "report_time__in_future"
        return "login__repeated" if login in self._users else None

    def _charge(self, login: str, month: Month, price: Decimal) -> dict[str, Any]:
        start, end = day_start(month.first_day), day_start(month.end)
        return {
            "bucket_key": f"{self._context.source_account}/seats/{month}",
            "charge_date": month.first_day,
            "charge_period_start": start,
            "charge_period_end": end,
            "billing_period_start": start,
            "billing_period_end": end,
            "provider_name": PROVIDER,
            "billing_account_id": self._context.source_account,
            "user_id": login,
            "service_name": "GitHub Copilot",
            "charge_category": "Purchase",
            "charge_frequency": "Recurring",
            "charge_description": "Seat, at the price in the settings",
            "sku_meter": "User-Months",
            "meter_mapping": "not_usage",
            **dict.fromkeys(("billed_cost", "effective_cost", "list_cost", "contracted_cost"), price),
            "is_list_cost_estimated": True,
            "billing_currency": "USD",
            "consumed_quantity": Decimal(1),
            "consumed_unit": "User-Months",
        }
