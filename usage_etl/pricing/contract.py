"""Negotiated and hand-kept prices: rows of the contract file as prices and surcharges, every fault named at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

import polars as pl

from usage_etl.errors import PriceBookError
from usage_etl.money import parse_amount
from usage_etl.pricing.price import RATE_COLUMNS, RATE_DECIMALS, WHOLE_DAY, Price
from usage_etl.pricing.surcharges import Surcharge
from usage_etl.schemas.staged import PROCESSINGS

_END_OF_TIME = dt.datetime.max.replace(tzinfo=dt.UTC)
_Row = TypeVar("_Row", Price, Surcharge)


def contract_prices(contract: pl.DataFrame, *, price_source: str = "contract", origin: str = "contract prices") -> list[Price]:
    """Prices of the contract file's rows, all text. Raises PriceBookError naming every unreadable or overlapping row."""
    key = ("provider", "model_id", "processing", "region", "unit", "context_min_tokens")
    return _read(contract, lambda row: _price(row, price_source), key, origin)


def contract_surcharges(rows: pl.DataFrame, *, origin: str = "surcharges") -> list[Surcharge]:
    """Surcharges of the surcharge file's rows, all text. Raises PriceBookError naming every unreadable or overlapping row."""
    return _read(rows, _surcharge, ("provider", "model_id", "region"), origin)


def _read(rows: pl.DataFrame, read: Callable[[Mapping[str, str | None]], _Row], key: Sequence[str], origin: str) -> list[_Row]:
    found: dict[tuple[object, ...], list[_Row]] = {}
    problems: list[str] = []
    for line, row in enumerate(rows.iter_rows(named=True), start=2):
        try:
            one = read(row)
        except (ValueError, ArithmeticError) as error:
            problems.append(f"line {line}: {error}")
            continue
        others = found.setdefault(tuple(getattr(one, name) for name in key), [])
        if any(_overlap(one, other) for other in others):
            problems.append(f"line {line}: {one.provider}/{one.model_id or 'all models'} overlaps an earlier line")
        others.append(one)
    if problems:
        raise PriceBookError(f"{origin}: " + "; ".join(problems))
    return [one for group in found.values() for one in group]


def _price(row: Mapping[str, str | None], price_source: str) -> Price:
    valid_from, valid_to = _span(row)
    from_minute, to_minute = _minute(row.get("daily_from"), 0), _minute(row.get("daily_to"), WHOLE_DAY)
    if to_minute <= from_minute:
        raise ValueError("daily_to must be after daily_from; a window over midnight is two rows")
    rates = tuple(_rate(row.get(name)) for name in RATE_COLUMNS)
    unit, per_unit = row.get("unit"), _rate(row.get("per_unit"))
    if (unit is None) != (per_unit is None):
        raise ValueError("unit and per_unit stand together")
    if unit is not None and any(rate is not None for rate in rates):
        raise ValueError("a row with unit prices that unit only; give tokens and requests a row of their own")
    processing = row.get("processing") or "standard"
    if processing not in PROCESSINGS:
        raise ValueError(f"processing {processing!r}: allowed are {', '.join(PROCESSINGS)}")
    return Price(
        provider=_required(row, "provider"),
        model_id=_required(row, "model_id"),
        processing=processing,
        context_min_tokens=_whole(row, "context_min_tokens", "0"),
        valid_from=valid_from,
        valid_to=valid_to,
        rates=rates,
        currency=_required(row, "currency"),
        price_source=price_source,
        price_source_version=row.get("note") or price_source,
        region=row.get("region"),
        unit=unit,
        per_unit=per_unit,
        unit_count=_whole(row, "unit_count", "1"),
        from_minute=from_minute,
        to_minute=to_minute,
        provenance=row.get("note"),
    )


def _surcharge(row: Mapping[str, str | None]) -> Surcharge:
    valid_from, valid_to = _span(row)
    multiplier = parse_amount(_required(row, "multiplier"))
    if multiplier <= 0 or multiplier != round(multiplier, 6):
        raise ValueError("multiplier must be above 0, with at most 6 decimals; 1.1 is ten per cent more")
    return Surcharge(
        provider=_required(row, "provider"),
        model_id=row.get("model_id"),
        region=_required(row, "region"),
        multiplier=multiplier,
        valid_from=valid_from,
        valid_to=valid_to,
        origin="contract",
    )


def _required(row: Mapping[str, str | None], name: str) -> str:
    cell = row.get(name)
    if not cell:
        raise ValueError(f"{name} is empty")
    return cell


def _span(row: Mapping[str, str | None]) -> tuple[dt.datetime, dt.datetime | None]:
    valid_from, end = _midnight(_required(row, "valid_from")), row.get("valid_to")
    valid_to = _midnight(end) if end else None
    if valid_to is not None and valid_to <= valid_from:
        raise ValueError("valid_to must be after valid_from")
    return valid_from, valid_to


def _rate(cell: str | None) -> Decimal | None:
    if not cell:
        return None
    rate = parse_amount(cell)
    if rate < 0 or rate != round(rate, RATE_DECIMALS):
        raise ValueError(f"rates must be finite, not negative, with at most {RATE_DECIMALS} decimals")
    return rate


def _whole(row: Mapping[str, str | None], name: str, default: str) -> int:
    cell = row.get(name) or default
    if not cell.isascii() or not cell.isdigit() or len(cell) > 12 or (name == "unit_count" and not int(cell)):
        raise ValueError(f"{name} {cell!r} is not a whole number of up to 12 digits")
    return int(cell)


def _minute(cell: str | None, default: int) -> int:
    if not cell:
        return default
    if cell == "24:00":
        return WHOLE_DAY
    time = dt.time.fromisoformat(cell)
    if time.second or time.microsecond or time.tzinfo:
        raise ValueError(f"{cell!r} is not a time of the UTC day as HH:MM")
    return time.hour * 60 + time.minute


def _midnight(text: str) -> dt.datetime:
    return dt.datetime.combine(dt.date.fromisoformat(text), dt.time(), tzinfo=dt.UTC)


def _overlap(left: Price | Surcharge, right: Price | Surcharge) -> bool:
    in_days = left.valid_from < (right.valid_to or _END_OF_TIME) and right.valid_from < (left.valid_to or _END_OF_TIME)
    if isinstance(left, Price) and isinstance(right, Price):
        return in_days and left.from_minute < right.to_minute and right.from_minute < left.to_minute
    return in_days
