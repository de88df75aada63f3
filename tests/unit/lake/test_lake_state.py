"""Opening the state database."""

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from usage_etl.errors import ConfigError
from usage_etl.lake import open_state
from usage_etl.lake.state import writing
from usage_etl.schemas.state import metadata


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
