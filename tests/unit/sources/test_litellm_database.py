"""LiteLLM's own PostgreSQL as a source: what is read, what is never read, and that nothing is missed or landed twice."""

import datetime as dt
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from tests.unit.sources.litellm_database import (
    PULLED_AT,
    REQUEST_COLUMNS,
    SINCE_UPDATED_AT,
    Gateway,
    add,
    daily_columns,
    marks,
    pull,
    records_of,
    settings,
    spend_log,
    text_of,
)
from tests.unit.sources.spend_logs import outcome_of
from usage_etl.config import SecretRef
from usage_etl.errors import SourceError, TransientSourceError
from usage_etl.sources.litellm import connection as connections
from usage_etl.sources.litellm.connection import Database

LOGS = "LiteLLM_SpendLogs"


@pytest.fixture
def gateway(postgres_database: str) -> Gateway:
    """A database with LiteLLM's request log, empty."""
    found = Gateway(postgres_database)
    found.create(LOGS, REQUEST_COLUMNS, "startTime")
    return found


def ids(items: list) -> list[str]:
    return [record["request_id"] for record in records_of(items)]


def test_a_window_reads_like_the_documented_export(gateway: Gateway) -> None:
    gateway.insert(LOGS, [spend_log(f"r{n}", f"2026-11-02 0{n}:20:46.847", user=f"u{n}") for n in range(5)])
    with gateway.engine.begin() as connection:
        exported = connection.execute(
            sa.text('select row_to_json(t)::text from "LiteLLM_SpendLogs" t order by "startTime"')
        ).scalars()
        whole = outcome_of("\n".join(exported))
    (item,) = pull(gateway.address)
    pulled = outcome_of(text_of(item))

    assert item.dataset == "spend_logs"
    assert pulled.usage.equals(whole.usage)
    assert pulled.usage["cache_read_tokens"].to_list() == [400] * 5
    assert pulled.usage["started_at"][0] == dt.datetime(2026, 11, 2, 0, 20, 46, 847000, tzinfo=dt.UTC)
    assert pulled.usage["feature_id"].to_list() == ["search"] * 5


@pytest.mark.parametrize("kind", ["jsonb", "json", "text"])
def test_prompts_answers_and_addresses_do_not_leave_the_database(gateway: Gateway, kind: str) -> None:
    """Also where they stand within metadata, and where metadata is JSON in text."""
    gateway.execute(f'alter table "{LOGS}" alter metadata drop default, alter metadata type {kind} using metadata::{kind}')
    row = spend_log("a", "2026-11-02 09:00:00")
    gateway.insert(LOGS, [row])
    if kind == "jsonb":
        gateway.execute(f"""update "{LOGS}" set metadata = to_jsonb(metadata::text)""")
    (item,) = pull(gateway.address)
    text = text_of(item)

    assert "secret" not in text
    assert "10.1.2.3" not in text
    found = outcome_of(text).row
    assert (found["project_id"], found["cache_read_tokens"], found["feature_id"]) == ("project-7", 400, "search")


def test_metadata_that_is_no_json_in_text_is_left_out(gateway: Gateway) -> None:
    gateway.insert(LOGS, [spend_log("a", "2026-11-02 09:00:00")])
    gateway.execute(f"""update "{LOGS}" set metadata = '"the secret {{plan"'::jsonb""")

    assert records_of(pull(gateway.address))[0]["metadata"] is None


def test_what_did_not_change_is_not_landed_again(gateway: Gateway) -> None:
    gateway.insert(LOGS, [spend_log("a", "2026-11-02 09:00:00"), spend_log("b", "2026-11-02 13:00:00")])
    first = pull(gateway.address)

    assert ids(first) == ["a", "b"]
    assert pull(gateway.address, known=marks(first), pulled_at=PULLED_AT + dt.timedelta(hours=1)) == []


@pytest.mark.parametrize(
    "change",
    [
        "update \"LiteLLM_SpendLogs\" set spend = 0.5 where request_id = 'b'",
        "update \"LiteLLM_SpendLogs\" set updated_at = updated_at + interval '1 ms' where request_id = 'b'",
        "update \"LiteLLM_SpendLogs\" set completion_tokens = 201 where request_id = 'b'",
        "delete from \"LiteLLM_SpendLogs\" where request_id = 'b2'",
        "update \"LiteLLM_SpendLogs\" set request_id = 'b3' where request_id = 'b2'",
    ],
)
def test_a_changed_window_is_landed_again_whole_and_alone(gateway: Gateway, change: str) -> None:
    rows = [("a", "09"), ("b", "13"), ("b2", "14"), ("c", "20")]
    gateway.insert(LOGS, [spend_log(name, f"2026-11-02 {hour}:00:00") for name, hour in rows])
    first = pull(gateway.address)
    gateway.execute(change)
    again = pull(gateway.address, known=marks(first), pulled_at=PULLED_AT + dt.timedelta(hours=1))

    (item,) = again
    assert item.origin_key in {origin for origin, _ in marks(first)}
    assert "b" in ids(again)


def test_a_row_committed_late_with_an_older_version_is_not_missed(gateway: Gateway) -> None:
    """Its updated_at lies before that of rows landed already: a reader that remembers the newest one passes it over."""
    with gateway.engine.connect() as slow, slow.begin():
        add(slow, LOGS, spend_log("late", "2026-11-02 09:00:00", updated_at="2026-11-02 09:00:01"))
        gateway.insert(LOGS, [spend_log("quick", "2026-11-02 09:30:00", updated_at="2026-11-02 09:30:01")])
        first = pull(gateway.address)
        assert ids(first) == ["quick"]
    again = pull(gateway.address, known=marks(first), pulled_at=PULLED_AT + dt.timedelta(hours=1))

    assert ids(again) == ["late", "quick"]


def test_a_pull_that_broke_off_goes_on_where_it_stopped(gateway: Gateway) -> None:
    gateway.insert(LOGS, [spend_log(f"r{day:02d}", f"2026-11-{day:02d} 09:00:00") for day in range(1, 28)])
    now = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)
    whole = pull(gateway.address, pulled_at=now)
    landed = whole[:20]
    rest = pull(gateway.address, known=marks(landed), pulled_at=now + dt.timedelta(hours=1))

    assert ids(landed) + ids(rest) == [f"r{day:02d}" for day in range(1, 28)]


def test_settled_windows_are_not_looked_at_again(gateway: Gateway) -> None:
    gateway.insert(LOGS, [spend_log(f"r{day}", f"2026-11-{day} 09:00:00") for day in (10, 12, 20)])
    now = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
    first = pull(gateway.address, pulled_at=now)
    gateway.execute(f'update "{LOGS}" set spend = 7')
    again = pull(gateway.address, known=marks(first), pulled_at=now + dt.timedelta(hours=1), trailing_days=9)

    assert ids(again) == ["r12", "r20"]


def test_an_earlier_start_date_reads_what_lies_before(gateway: Gateway) -> None:
    gateway.insert(LOGS, [spend_log("before", "2026-10-05 09:00:00"), spend_log("after", "2026-11-02 09:00:00")])
    first = pull(gateway.address)
    again = pull(gateway.address, known=marks(first), start_date=dt.date(2026, 10, 1))

    assert ids(first) == ["after"]
    assert ids(again) == ["before"]


def test_a_row_from_the_future_is_read_once_and_is_no_sign_of_how_far_was_read(gateway: Gateway) -> None:
    gateway.insert(LOGS, [spend_log("now", "2026-11-02 09:00:00"), spend_log("skewed", "2099-01-01 00:00:00")])
    first = pull(gateway.address)
    gateway.insert(LOGS, [spend_log("next", "2026-11-03 09:00:00")])
    again = pull(gateway.address, known=marks(first), pulled_at=PULLED_AT + dt.timedelta(hours=1))

    assert ids(first) == ["now", "skewed"]
    assert ids(again) == ["next"]
    assert outcome_of(text_of(first[-1])).refused == {1: "startTime__in_future"}


def test_windows_are_half_open_and_cut_on_the_hour_of_utc(gateway: Gateway) -> None:
    times = ["2026-11-01 23:59:59.999", "2026-11-02 00:00:00", "2026-11-02 05:59:59.999", "2026-11-02 06:00:00"]
    gateway.insert(LOGS, [spend_log(at, at) for at in times])
    found = {item.origin_key.split("/")[2]: ids([item]) for item in pull(gateway.address)}

    assert found == {
        "2026-11-01T18:00Z-6h.jsonl.zst": times[:1],
        "2026-11-02T00:00Z-6h.jsonl.zst": times[1:3],
        "2026-11-02T06:00Z-6h.jsonl.zst": times[3:],
    }


def test_times_with_a_zone_are_read_in_utc_whatever_the_server_says(gateway: Gateway) -> None:
    gateway.execute(f"""alter table "{LOGS}" alter "startTime" type timestamptz using "startTime" at time zone 'UTC'""")
    gateway.execute("alter database " + gateway.engine.url.database + " set timezone to 'Asia/Tokyo'")  # type: ignore[operator]
    gateway.insert(LOGS, [spend_log("a", "2026-11-02 05:59:59.999+00")])
    (item,) = pull(gateway.address)

    assert "2026-11-02T00:00Z-6h" in item.origin_key
    assert outcome_of(text_of(item)).row["started_at"] == dt.datetime(2026, 11, 2, 5, 59, 59, 999000, tzinfo=dt.UTC)


def test_an_older_table_without_versions_is_read_by_what_it_has(postgres_database: str) -> None:
    older = Gateway(postgres_database)
    dropped = (*SINCE_UPDATED_AT, "organization_id", "agent_id", "request_duration_ms", "status")
    older.create(LOGS, {name: kind for name, kind in REQUEST_COLUMNS.items() if name not in dropped}, "startTime")
    row = spend_log("a", "2026-11-02 09:00:00")
    older.insert(LOGS, [{name: cell for name, cell in row.items() if name not in dropped}])
    first = pull(older.address)
    older.execute(f'update "{LOGS}" set spend = 0.7')
    again = pull(older.address, known=marks(first), pulled_at=PULLED_AT + dt.timedelta(hours=1))

    assert outcome_of(text_of(first[0])).row["status"] == "success"
    assert outcome_of(text_of(again[0])).row["source_cost_usd"] == 0.7


def test_rows_come_a_few_at_a_time_from_a_read_only_transaction(gateway: Gateway) -> None:
    gateway.insert(LOGS, [spend_log(f"r{number}", "2026-11-02 09:00:00") for number in range(25)])
    database = Database(gateway.address, source="gateway", schema="public", fetch_rows=10, statement_timeout_s=60)
    with database.transaction() as connection, pytest.raises(sa.exc.InternalError, match="read-only"):
        connection.execute(sa.text(f'delete from "{LOGS}"'))

    assert [len(part) for part in database.stream(sa.select(sa.text(f'request_id from "{LOGS}"')))] == [10, 10, 5]


def test_another_schema_and_parameters_of_litellms_own_driver(gateway: Gateway) -> None:
    gateway.execute("create schema proxy")
    gateway.create(LOGS, REQUEST_COLUMNS, "startTime", schema="proxy")
    gateway.insert(LOGS, [spend_log("a", "2026-11-02 09:00:00")], schema="proxy")
    address = gateway.address.replace("postgresql+psycopg2", "postgres") + "?schema=proxy&connection_limit=100&pool_timeout=60"

    assert ids(pull(address, database_schema="proxy")) == ["a"]
    assert pull(gateway.address) == []


@pytest.fixture
def reader(gateway: Gateway) -> Iterator[str]:
    """Address for a role that may read nothing yet."""
    role = f"reader_{gateway.engine.url.database}"
    gateway.execute(f"create role {role} login password 'the secret word'")
    yield gateway.engine.url.set(username=role, password="the secret word").render_as_string(hide_password=False)
    gateway.execute(f"revoke all on all tables in schema public from {role}")
    gateway.execute(f"drop role {role}")


def test_a_role_reads_the_columns_that_it_may(gateway: Gateway, reader: str) -> None:
    gateway.insert(LOGS, [spend_log("a", "2026-11-02 09:00:00")])
    role = sa.make_url(reader).username
    with pytest.raises(SourceError, match="no table LiteLLM_SpendLogs that the role may read"):
        pull(reader)
    gateway.execute(f'grant select (request_id) on "{LOGS}" to {role}')
    with pytest.raises(SourceError, match="no column startTime"):
        pull(reader)
    gateway.execute(f'grant select ("startTime", call_type, prompt_tokens, completion_tokens, model) on "{LOGS}" to {role}')

    assert set(records_of(pull(reader))[0]) == {
        "request_id", "startTime", "call_type", "prompt_tokens", "completion_tokens", "model",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("address", "error", "what"),
    [
        ("postgresql://nobody:hunter2@127.0.0.1:1/litellm", TransientSourceError, "does not answer"),
        ("mysql://root:hunter2@127.0.0.1/litellm", SourceError, "PostgreSQL"),
        ("sqlite:///hunter2.sqlite", SourceError, "PostgreSQL"),
        ("hunter2", SourceError, "no address like postgresql://"),
        ("", SourceError, "no address like postgresql://"),
    ],
)
def test_an_address_that_leads_nowhere_says_what_to_do_and_keeps_the_password(
    address: str, error: type[SourceError], what: str
) -> None:
    with pytest.raises(error, match=what) as raised:
        pull(address)
    assert "hunter2" not in str(raised.value)


def test_a_database_that_is_not_there_is_a_fault_that_stays(gateway: Gateway) -> None:
    missing = gateway.engine.url.set(database="no_such_database").render_as_string(hide_password=False)
    with pytest.raises(SourceError, match="does not let us in") as raised:
        pull(missing)
    assert not isinstance(raised.value, TransientSourceError)


def test_a_locked_table_is_waited_for_shortly(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_LOCK_TIMEOUT", "100ms")
    with gateway.engine.connect() as migration, migration.begin():
        migration.execute(sa.text(f'lock table "{LOGS}" in access exclusive mode'))
        with pytest.raises(TransientSourceError, match="lock timeout"):
            pull(gateway.address)


def test_a_statement_that_takes_long_is_ended_by_the_server(gateway: Gateway) -> None:
    database = Database(gateway.address, source="gateway", schema="public", fetch_rows=10, statement_timeout_s=1)
    with pytest.raises(TransientSourceError, match=r"statement timeout.*lower window_hours"):
        list(database.stream(sa.select(sa.func.pg_sleep(20))))


def daily(row_id: str, day: str, **changes: object) -> dict[str, object]:
    """A row of sums."""
    return {
        "id": row_id,
        "user_id": "ana",
        "date": day,
        "api_key": "b" * 64,
        "model": "gpt-5.2",
        "custom_llm_provider": "openai",
        "endpoint": "/chat/completions",
        "prompt_tokens": 5000,
        "completion_tokens": 300,
        "cache_read_input_tokens": 3000,
        "cache_creation_input_tokens": 500,
        "spend": 0.0123,
        "api_requests": 12,
        "successful_requests": 11,
        "failed_requests": 1,
        "updated_at": f"{day} 23:00:00",
    } | changes


def test_daily_sums_are_read_beside_the_requests_day_by_day(gateway: Gateway) -> None:
    table = "LiteLLM_DailyUserSpend"
    gateway.create(table, daily_columns("user_id"), "date")
    gateway.insert(table, [daily("1", "2026-11-01"), daily("2", "2026-11-02"), daily("3", "2026-11-02", user_id="ben")])
    first = pull(gateway.address, daily_spend="user")
    gateway.execute(f"update \"{table}\" set api_requests = 13, updated_at = '2026-11-03 01:00' where id = '2'")
    again = pull(gateway.address, daily_spend="user", known=marks(first), pulled_at=PULLED_AT + dt.timedelta(hours=1))
    rows = outcome_of(text_of(again[0])).usage

    assert [item.dataset for item in first] == ["daily_spend"] * 2
    assert [item.origin_key for item in again] == ["database/daily_spend/2026-11-02T00:00Z-24h.jsonl.zst"]
    assert rows["source_role"].unique().to_list() == ["reconciliation"]
    assert rows.select("user_id", "requests_count").rows() == [("ana", 13), ("ben", 12)]


def test_a_gateway_without_daily_sums_is_read_without(gateway: Gateway) -> None:
    gateway.insert(LOGS, [spend_log("a", "2026-11-02 09:00:00")])
    assert ids(pull(gateway.address, daily_spend="team")) == ["a"]


def test_settings_want_files_or_a_database() -> None:
    with pytest.raises(ValidationError, match="either location"):
        settings(location="landing")
    with pytest.raises(ValidationError, match="either location"):
        settings(database=None)
    assert settings().origin == "database LITELLM_DATABASE"
    assert settings(database=SecretRef(env="OTHER")).tags.feature == "feature:"


def test_a_window_is_the_same_file_each_time(gateway: Gateway) -> None:
    gateway.insert(LOGS, [spend_log(f"r{number}", "2026-11-02 09:00:00") for number in (3, 1, 2)])
    (item,) = pull(gateway.address)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("once", "again"):
            item.save(Path(folder) / name)
        assert (Path(folder) / "once").read_bytes() == (Path(folder) / "again").read_bytes()
    assert ids([item]) == ["r1", "r2", "r3"]
