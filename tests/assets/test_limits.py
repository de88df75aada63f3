"""The limit state and the gateway from a small lake: published, planned, applied and logged by the commands and the job."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import httpx
import polars as pl
import pytest
from typer.testing import CliRunner

from tests.assets.installation import Installation, failures, metadata_of
from tests.unit.delivery import litellm_server
from usage_etl.cli.main import app
from usage_etl.delivery.limit_state import LIMIT_STATE_KEY
from usage_etl.schemas import MART_ACCOUNTS, MART_POOLS, MART_QUOTA_STATUS, MART_TOKENS_MONTHLY, Table

KEY_HASH = "a" * 64
HARD = f"api_key,{KEY_HASH},total_tokens,calendar_month,5000,,hard,2026-01-01,\n"


@pytest.fixture
def gateway() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, str(Path(litellm_server.__file__))], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = f"http://127.0.0.1:{int(process.stdout.readline())}"
    httpx.post(f"{url}/_add", json={"room": "key", "id": KEY_HASH}, trust_env=False)
    httpx.post(f"{url}/_add", json={"room": "team", "id": "team-1"}, trust_env=False)
    try:
        yield url
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def configured(built: Installation, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, **quotas: object) -> None:
    """Adds settings and a hard quota on the one key, and judges November anew."""
    monkeypatch.setenv("LITELLM_ADMIN_KEY", litellm_server.ADMIN_KEY)
    monkeypatch.setenv("LIMITS_KEY", "secret")
    section = json.dumps({"signing_key": {"env": "LIMITS_KEY"}, "gateway_admin_key": {"env": "LITELLM_ADMIN_KEY"}, **quotas})
    built.config.write_text(built.config.read_text(encoding="utf-8") + f"quotas: {section}\n", encoding="utf-8")
    place = built.folder / "directory" / "quotas.csv"
    place.write_text(place.read_text(encoding="utf-8") + HARD, encoding="utf-8")
    assert built.run("land", instance).success
    assert built.run("monthly", instance, "2026-11-01", only=["mart_quota_status"]).success


def command(built: Installation, *words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--config", str(built.config)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def stored_rows(built: Installation, table: Table, *, whole_history: bool = False) -> pl.DataFrame:
    keys = built.workspace.lake.partitions(table)
    return built.workspace.lake.scan(table, keys if whole_history else keys[-1:]).collect()


def blocked(url: str, room: str, member: str) -> object:
    return httpx.get(f"{url}/_record", params={"room": room, "id": member}, trust_env=False).json()["blocked"]


def test_a_dry_run_says_what_it_would_do_and_does_nothing(
    built: Installation, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, gateway: str
) -> None:
    configured(built, instance, monkeypatch, gateway_url=gateway)
    assert "block" in command(built, "limits", "plan")
    assert "dry_run: nothing was changed" in command(built, "limits", "apply")
    assert httpx.get(f"{gateway}/_calls", trust_env=False).json() == []


def test_the_job_publishes_and_blocks_and_a_raised_limit_frees(
    built: Installation, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, gateway: str
) -> None:
    configured(built, instance, monkeypatch, gateway_url=gateway, gateway_mode="blocks")
    result = built.run("limits", instance)
    assert result.success, failures(result)
    assert blocked(gateway, "key", KEY_HASH) is True
    assert blocked(gateway, "team", "team-1") is None
    assert metadata_of(result, "gateway_limits")["made"] == 2  # the team's budget, and the key's block
    state = json.loads(built.workspace.out.read(LIMIT_STATE_KEY))
    refused = {(one["scope_kind"], one["scope_id"]) for one in state["refused"]}
    assert {("user", "user-1"), ("api_key", KEY_HASH)} <= refused
    assert (state["sequence"], state["data_through"]) == (1, "2026-11-02")
    assert metadata_of(built.run("limits", instance), "gateway_limits")["made"] == 0
    place = built.folder / "directory" / "quotas.csv"
    place.write_text(place.read_text(encoding="utf-8").replace(HARD, HARD.replace("5000", "900000")), encoding="utf-8")
    assert built.run("land", instance).success
    assert built.run("monthly", instance, "2026-11-01", only=["mart_quota_status"]).success
    assert "1 change(s) made" in command(built, "limits", "apply")
    assert blocked(gateway, "key", KEY_HASH) is False
    assert "the limit was raised to 900000" in " ".join(command(built, "limits", "log").split())
    assert "number 3" in command(built, "limits", "publish")


def test_more_blocks_than_allowed_fail_the_job_and_block_nobody(
    built: Installation, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, gateway: str
) -> None:
    configured(built, instance, monkeypatch, gateway_url=gateway, gateway_mode="blocks", max_blocks=0)
    result = built.run("limits", instance)
    assert not result.success
    told = str(failures(result)["gateway_limits"].error)
    assert "nobody was blocked" in told
    assert KEY_HASH in told
    assert blocked(gateway, "key", KEY_HASH) is None
    assert "limit_state" not in failures(result)


def test_without_settings_nothing_is_published_and_nobody_is_asked(built: Installation, instance: dg.DagsterInstance) -> None:
    result = built.run("limits", instance)
    assert result.success
    assert metadata_of(result, "limit_state")["published"] is False
    assert metadata_of(result, "gateway_limits")["mode"] == "off"
    assert built.workspace.out.head(LIMIT_STATE_KEY) is None
    assert "warming up: 26 of 30 days" in command(built, "quotas", "suggest")


def test_a_check_of_the_directory_names_an_unknown_scope(built: Installation) -> None:
    place = built.folder / "directory" / "quotas.csv"
    place.write_text(place.read_text(encoding="utf-8") + "team,gone,total_tokens,day,1,,soft,2026-01-01,\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["directory", "check", "--json", "--config", str(built.config)])
    assert result.exit_code == 2
    assert "team gone is not known" in json.loads(result.output)["problems"][0]


def test_users_pools_months_and_quotas_are_printed_as_the_marts_have_them(built: Installation) -> None:
    for what, table in (("users", MART_ACCOUNTS), ("pools", MART_POOLS), ("tokens", MART_TOKENS_MONTHLY)):
        rows = list(csv.DictReader(io.StringIO(command(built, "accounts", what, "--csv"))))
        stored = stored_rows(built, table, whole_history=what == "tokens")
        assert len(rows) == stored.height
        assert list(rows[0]) == stored.columns
        assert command(built, "accounts", what).count("\n") == stored.height + 1, "a title and a line for each row"
    status = list(csv.DictReader(io.StringIO(command(built, "accounts", "quotas", "--csv"))))
    newest = stored_rows(built, MART_QUOTA_STATUS).filter(pl.col("status_date") == pl.col("status_date").max())
    assert sorted(row["quota_id"] for row in status) == sorted(newest["quota_id"].to_list())
    assert {row["status_date"] for row in status} == {newest["status_date"].max().isoformat()}
