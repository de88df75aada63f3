"""Opening the state database."""

import datetime as dt
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from usage_etl.errors import ConfigError
from usage_etl.lake import DeliveryIndex, StagedBucket, StagedDay, open_state
from usage_etl.lake.state import writing
from usage_etl.schemas.state import deliveries, metadata


def test_all_tables_are_made_and_opening_again_keeps_them(state: sa.Engine) -> None:
    assert set(sa.inspect(state).get_table_names()) >= set(metadata.tables)
    again = open_state(state.url.render_as_string(hide_password=False))
    assert set(sa.inspect(again).get_table_names()) >= set(metadata.tables)
    again.dispose()


def test_sqlite_waits_for_other_writers_and_keeps_every_commit(tmp_path: Path) -> None:
    engine = open_state(f"sqlite:///{tmp_path}/new/folder/state.sqlite")
    with engine.connect() as connection:
        names = ("journal_mode", "busy_timeout", "foreign_keys", "synchronous")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
    assert found == ["wal", 30_000, 1, 2]
    engine.dispose()


def test_many_processes_may_open_a_new_database_at_once(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            open_state(f"sqlite:///{tmp_path}/state.sqlite").dispose()
        except BaseException as error:  # noqa: BLE001 - everything is a fault here
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_transaction_that_fails_leaves_nothing(state: sa.Engine) -> None:
    table = metadata.tables["usage_etl_day_builds"]

    def fail() -> None:
        with writing(state) as connection:
            connection.execute(sa.text(f"INSERT INTO {table.name} VALUES ('t', '2026-11-01', 'f', '2026-11-01 00:00:00')"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with state.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() == 0


@pytest.mark.parametrize("url", ["nonsense", "mysql://user:s3cret@host/db", "postgres:/x", ""])
def test_an_address_that_cannot_be_used_is_named_without_its_secret(url: str) -> None:
    with pytest.raises(ConfigError, match=r"state\.url") as caught:
        open_state(url)
    assert "s3cret" not in str(caught.value)


OLD_TABLES = ("usage_etl_deliveries", "usage_etl_delivery_days", "usage_etl_day_builds", "usage_etl_sends")
"""Tables of a database from before buckets were indexed."""


def test_an_older_database_has_what_counted_staged_anew_and_keeps_every_other_fate(state: sa.Engine) -> None:
    with state.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            if table.name not in OLD_TABLES:
                table.drop(connection)
        rows = (("staged", None), ("staged", "released"), ("held", "too small"), ("refused", "unreadable"), ("duplicate", "same"))
        for number, (status, reason) in enumerate(rows, start=1):
            landed = (
                f"'d{number}', {number}, 'bill', 'openai', 'costs', 'k{number}', '1', 'l', 's{number}', 1, '2026-11-01 00:00:00'"
            )
            values = f"{landed}, '{status}', NULLIF('{reason or ''}', '')"
            columns = "delivery_id, sequence, source, kind, dataset, origin_key, origin_version, landed_key, sha256, bytes_count"
            statement = f"INSERT INTO usage_etl_deliveries ({columns}, received_at, status, status_reason) VALUES ({values})"
            connection.execute(sa.text(statement))
            if number <= 3:
                part = f"'d{number}', 'staged_charges', '2026-10-01', 'key', 's', 5"
                connection.execute(sa.text(f"INSERT INTO usage_etl_delivery_days VALUES ({part})"))
        build = "'staged_charges', '2026-10-01', 'an older fingerprint', '2026-11-01 00:00:00'"
        connection.execute(sa.text(f"INSERT INTO usage_etl_day_builds VALUES ({build})"))
    url = state.url.render_as_string(hide_password=False)
    upgraded = open_state(url)
    index = DeliveryIndex(upgraded)
    fates = [(item.delivery_id, item.status, item.is_released) for item in index.deliveries()]
    expected = [("d1", "landed", True), ("d2", "landed", True), ("d3", "held", False), ("d4", "refused", False)]
    assert fates == [*expected, ("d5", "duplicate", False)]
    assert (index.restaging_count(), len(index.pending())) == (2, 2)
    for number in (1, 2):
        day = StagedDay("staged_charges", dt.date(2026, 10, 1), f"key {number}", "s", 5)
        bucket = StagedBucket("staged_charges", "october", {day.day: 5})
        index.record_staged(f"d{number}", [day], staged_buckets=[bucket], rows_read=5, rows_quarantined=0, parser_version="2")
    assert index.restaging_count() == 0
    assert index.stale_days("staged_charges") == {dt.date(2026, 10, 1)}, "built anew once"
    assert (index.release("d3").status, index.delivery("d2").status) == ("landed", "staged")
    open_state(url).dispose()
    assert index.delivery("d2").status == "staged", "opening again changes nothing"
    upgraded.dispose()


def test_a_database_without_the_newest_columns_gets_them_empty_and_keeps_its_rows(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.sqlite"
    before = open_state(url)
    with before.begin() as connection:
        for name in ("records_staged_count", "rows_out_of_scope_count"):
            connection.execute(sa.text(f"ALTER TABLE {deliveries.name} DROP COLUMN {name}"))
        connection.execute(
            sa.text(
                f"INSERT INTO {deliveries.name} (delivery_id, sequence, source, kind, dataset, origin_key, origin_version, "
                "landed_key, sha256, bytes_count, received_at, status) "
                "VALUES ('d', 1, 's', 'litellm', 'objects', 'k', '1', 'l', 'x', 1, '2026-11-02 00:00:00.000000', 'staged')"
            )
        )
    before.dispose()

    after = open_state(url)
    with after.connect() as connection:
        row = connection.execute(sa.select(deliveries)).one()
    after.dispose()
    assert (row.status, row.records_staged_count, row.rows_out_of_scope_count) == ("staged", None, None)
