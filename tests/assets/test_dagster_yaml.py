"""The shipped dagster.yaml files load and hold: against SQLite, and against a real PostgreSQL server."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
import yaml
from dagster._core.instance.ref import InstanceRef

DEPLOY = Path(__file__).parents[2] / "deploy"
FILES = ("dagster.sqlite.yaml", "dagster.postgres.yaml")
DAYS = dg.StaticPartitionsDefinition(["2026-11-01", "2026-11-02"])


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def two_days(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"days": len(context.partition_keys)})


@contextmanager
def instance_of(file_name: str, home: Path) -> Iterator[dg.DagsterInstance]:
    """The instance that a user gets by copying the file to $DAGSTER_HOME/dagster.yaml."""
    shutil.copyfile(DEPLOY / file_name, home / "dagster.yaml")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def set_postgres_environment(url: sa.URL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_PG_HOST", url.host or "127.0.0.1")
    monkeypatch.setenv("DAGSTER_PG_PORT", str(url.port or 5432))
    monkeypatch.setenv("DAGSTER_PG_USER", url.username or "")
    monkeypatch.setenv("DAGSTER_PG_PASSWORD", url.password or "")
    monkeypatch.setenv("DAGSTER_PG_DATABASE", url.database or "")


def assert_runs_and_remembers(instance: dg.DagsterInstance) -> None:
    """Materialises both days in one run, then reads back what the instance remembers of it."""
    tags = {"dagster/asset_partition_range_start": "2026-11-01", "dagster/asset_partition_range_end": "2026-11-02"}
    result = dg.materialize([two_days], instance=instance, tags=tags)
    assert result.success
    assert instance.get_materialized_partitions(dg.AssetKey("two_days")) == {"2026-11-01", "2026-11-02"}
    assert instance.get_run_by_id(result.run_id).status == dg.DagsterRunStatus.SUCCESS


def assert_limits_hold(instance: dg.DagsterInstance, *, retries: int) -> None:
    """What the file promises to operators, read from the instance rather than from the file."""
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_start_timeout_seconds == 300
    assert instance.get_settings("run_monitoring")["max_runtime_seconds"] == 21600
    assert instance.get_settings("run_monitoring")["free_slots_after_run_end_seconds"] == 60
    assert instance.run_retries_enabled
    assert instance.run_retries_max_retries == retries
    assert instance.run_retries_retry_on_asset_or_op_failure is False
    assert instance.telemetry_enabled is False
    concurrency = instance.get_concurrency_config()
    assert concurrency.run_queue_config is not None
    assert concurrency.run_queue_config.max_concurrent_runs == 2
    limited = {limit["key"]: limit for limit in concurrency.run_queue_config.tag_concurrency_limits or ()}
    assert limited.keys() == {"dagster/partition", "dagster/asset_partition_range_start"}
    assert all(limit["value"] == {"applyLimitPerUniqueValue": True} and limit["limit"] == 1 for limit in limited.values())
    assert concurrency.pool_config.default_pool_limit == 2


@pytest.mark.parametrize("file_name", FILES)
def test_file_has_no_unknown_key(file_name: str, tmp_path: Path) -> None:
    shutil.copyfile(DEPLOY / file_name, tmp_path / "dagster.yaml")
    InstanceRef.from_dir(str(tmp_path))
    assert "telemetry" in yaml.safe_load((DEPLOY / file_name).read_text(encoding="utf-8"))


def test_an_unknown_key_is_seen(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("run_monitoring:\n  max_runtime: 10\n", encoding="utf-8")
    with pytest.raises(dg.DagsterInvalidConfigError):
        InstanceRef.from_dir(str(tmp_path))


def test_sqlite_instance_runs_and_keeps_its_limits(tmp_path: Path) -> None:
    with instance_of("dagster.sqlite.yaml", tmp_path) as instance:
        assert_limits_hold(instance, retries=1)
        assert_runs_and_remembers(instance)


def test_postgres_instance_runs_and_keeps_its_limits(
    postgres_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = sa.make_url(postgres_database)
    set_postgres_environment(url, monkeypatch)
    with instance_of("dagster.postgres.yaml", tmp_path) as instance:
        assert_limits_hold(instance, retries=2)
        assert_runs_and_remembers(instance)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        assert (
            connection.scalar(sa.text("select count(*) from event_logs where dagster_event_type = 'ASSET_MATERIALIZATION'")) == 2
        )


def test_postgres_instance_speaks_psycopg2(postgres_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_postgres_environment(sa.make_url(postgres_database), monkeypatch)
    with instance_of("dagster.postgres.yaml", tmp_path) as instance:
        assert instance.run_storage.postgres_url.startswith("postgresql+psycopg2://")
