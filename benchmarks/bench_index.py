"""Time of the delivery index at size: deliveries of hourly buckets, pulled again and again, and monthly exports.

    python -m benchmarks.bench_index [state-url] [--deliveries 100000]

Fills a new database with deliveries that each cover 24 hourly buckets of one day, 20 deliveries a day, and with monthly
exports whose rows reach over all days of their month, then times what a run asks: staging one more delivery, the stale
days, what counts on a day. Prints one line per question.
"""

from __future__ import annotations

import argparse
import datetime as dt
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from usage_etl.lake import DeliveryIndex, StagedBucket, StagedDay, open_state
from usage_etl.lake.counting import as_fingerprint, recompute
from usage_etl.lake.state import writing
from usage_etl.schemas.state import bucket_claims, bucket_days, buckets, day_inputs, deliveries, delivery_days

FIRST = dt.date(2020, 1, 1)
RECEIVED = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
PULLS_A_DAY, HOURS, EXPORTS_A_MONTH = 20, 24, 60
USAGE, CHARGES = "staged_usage", "staged_charges"
ROWS_AT_ONCE = 20_000


def main() -> None:
    """Fill the index, ask it, print seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("state_url", nargs="?")
    parser.add_argument("--deliveries", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        engine = open_state(arguments.state_url or f"sqlite:///{folder}/state.sqlite")
        began = time.perf_counter()
        days = _fill(engine, arguments.deliveries)
        print(f"filled in {time.perf_counter() - began:.1f} s: {_sizes(engine)}")
        _ask(DeliveryIndex(engine), days)
        engine.dispose()


def _fill(engine: sa.Engine, count: int) -> list[dt.date]:
    days = [FIRST + dt.timedelta(days=number) for number in range(count // PULLS_A_DAY)]
    months = sorted({day.replace(day=1) for day in days})
    hourly = ((number, [day], [number // PULLS_A_DAY * HOURS + hour + 1 for hour in range(HOURS)])
              for number, day in ((n, days[n // PULLS_A_DAY]) for n in range(count)))  # fmt: skip
    offset = len(days) * HOURS
    exports = (
        (count + number, _days_of(months[number // EXPORTS_A_MONTH], days), [offset + number // EXPORTS_A_MONTH + 1])
        for number in range(len(months) * EXPORTS_A_MONTH)
    )
    with writing(engine) as connection:
        keys = [(USAGE, f"{day}T{hour:02d}") for day in days for hour in range(HOURS)] + [(CHARGES, f"{m}") for m in months]
        winners = [n // HOURS * PULLS_A_DAY + PULLS_A_DAY - 1 for n in range(offset)]
        winners += [count + n * EXPORTS_A_MONTH + EXPORTS_A_MONTH - 1 for n in range(len(months))]
        _insert(connection, buckets, (
            {"bucket_id": number, "source": "api", "table_name": name, "bucket_key": key, "winner_sequence": winner}
            for number, ((name, key), winner) in enumerate(zip(keys, winners, strict=True), start=1)
        ))  # fmt: skip
        for table, of_deliveries in ((USAGE, list(hourly)), (CHARGES, list(exports))):
            _insert(connection, deliveries, (_delivery(sequence) for sequence, _, _ in of_deliveries))
            _insert(connection, delivery_days, (_part(table, sequence, day) for sequence, own, _ in of_deliveries for day in own))
            _insert(connection, bucket_claims, (
                {"bucket_id": bucket, "sequence": sequence, "version_at": None}
                for sequence, _, ids in of_deliveries for bucket in ids
            ))  # fmt: skip
            _insert(connection, bucket_days, (
                {"bucket_id": bucket, "sequence": sequence, "usage_date": day, "rows_count": 10}
                for sequence, own, ids in of_deliveries for bucket in ids for day in own
            ))  # fmt: skip
        if connection.dialect.name == "postgresql":
            identity = "SELECT setval(pg_get_serial_sequence('usage_etl_buckets', 'bucket_id'), :last)"
            connection.execute(sa.text(identity), {"last": len(keys)})
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("ANALYZE"))
    began = time.perf_counter()
    with writing(engine) as connection:
        found = recompute(connection)
        rows = ({"table_name": name, "usage_date": day, "staged_fingerprint": mark} for (name, day), mark in found.items())
        _insert(connection, day_inputs, rows)
    print(f"{time.perf_counter() - began:8.3f} s  working out every fingerprint anew ({as_fingerprint(0)[:4]}…)")
    return days


def _ask(index: DeliveryIndex, days: Sequence[dt.date]) -> None:
    number = iter(range(10**9, 2 * 10**9))
    middle = days[len(days) // 2]
    month = _days_of(middle.replace(day=1), days)

    def restage_hours() -> object:
        name = _landed(index, next(number))
        hours = [StagedBucket(USAGE, f"{middle}T{hour:02d}", {middle: 11}) for hour in range(HOURS)]
        staged = [StagedDay(USAGE, middle, "key", name, 11 * HOURS)]
        return index.record_staged(name, staged, staged_buckets=hours, rows_read=9, rows_quarantined=0, parser_version="1")

    def restage_month() -> object:
        name = _landed(index, next(number))
        whole = StagedBucket(CHARGES, f"{middle.replace(day=1)}", dict.fromkeys(month, 11))
        staged = [StagedDay(CHARGES, day, "key", name, 11) for day in month]
        return index.record_staged(name, staged, staged_buckets=[whole], rows_read=9, rows_quarantined=0, parser_version="1")

    _time("landing and staging one more pull of 24 hours", restage_hours)
    _time("landing and staging one more export of a month", restage_month)
    _time("stale days of the whole lake", lambda: index.stale_days(USAGE))
    _time("what counts on a day, usage", lambda: index.day_inputs(USAGE, middle))
    _time("what counts on a day, charges", lambda: index.day_inputs(CHARGES, middle))
    _time("what counts of 24 buckets", lambda: index.bucket_versions("api", [(USAGE, f"{middle}T{h:02d}") for h in range(HOURS)]))
    _time("every staged object with what it lost", index.staged_rows, repeats=1)
    _time("faults", index.faults, repeats=1)


def _landed(index: DeliveryIndex, sequence: int) -> str:
    row = {key: value for key, value in _delivery(sequence).items() if key not in {"sequence", "status", "rows_read_count"}}
    found = index.register(row)
    assert found is not None, "the origin is new"
    return found.delivery_id


def _time(what: str, ask: Callable[[], object], *, repeats: int = 5) -> None:
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        ask()
        seconds.append(time.perf_counter() - began)
    print(f"{min(seconds):8.3f} s  {what}")


def _days_of(month: dt.date, days: Sequence[dt.date]) -> list[dt.date]:
    return [day for day in (month + dt.timedelta(days=n) for n in range(31)) if day.month == month.month and day <= days[-1]]


def _delivery(sequence: int) -> dict[str, Any]:
    name = f"{sequence:032x}"
    landed = {"source": "api", "kind": "openai", "dataset": "costs", "origin_key": name, "origin_version": "1", "sha256": name}
    more = {"landed_key": f"landing/{name}", "bytes_count": 1, "received_at": RECEIVED, "status": "staged", "rows_read_count": 9}
    return {"delivery_id": name, "sequence": sequence, **landed, **more}


def _part(table: str, sequence: int, day: dt.date) -> dict[str, Any]:
    name = f"{sequence:032x}"
    rows_count = 10 * (HOURS if table == USAGE else 1)
    place = {"delivery_id": name, "table_name": table, "usage_date": day, "staged_key": f"staged/{table}/{day}/{name}"}
    return {**place, "sha256": name, "rows_count": rows_count}


def _insert(connection: sa.Connection, table: sa.Table, rows: Iterator[dict[str, Any]]) -> None:
    held: list[dict[str, Any]] = []
    for row in rows:
        held.append(row)
        if len(held) == ROWS_AT_ONCE:
            connection.execute(table.insert(), held)
            held = []
    if held:
        connection.execute(table.insert(), held)


def _sizes(engine: sa.Engine) -> str:
    with engine.connect() as connection:
        tables = (deliveries, buckets, bucket_claims, bucket_days)
        counts = {table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() for table in tables}
    return ", ".join(f"{count} {name.removeprefix('usage_etl_')}" for name, count in counts.items())


if __name__ == "__main__":
    main()
