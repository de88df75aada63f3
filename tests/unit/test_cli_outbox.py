"""`usage-etl outbox`: what waits and what died is listed; a person tries again, gives up, switches on."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from assets.resources import Workspace, open_workspace
from tests.unit.delivery.http_servers import serving_http
from tests.unit.delivery.notices import notice
from usage_etl.cli.doctor import run_checks
from usage_etl.cli.main import app

SETTINGS = """
version: 1
organization: {{id: northwind, name: Northwind}}
start_date: 2026-08-01
sources: [{{kind: litellm, name: gateway, location: logs}}]
channels:
  - {{kind: email, name: finance, recipients: [cfo@northwind.example]}}
  - {{kind: slack, name: chat, url: {{env: TEST_CHAT_URL}}, allow_private_networks: [127.0.0.0/8], messages_per_minute: 6000}}
  - {{kind: slack, name: unset, url: {{env: TEST_UNSET_URL}}}}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("TEST_UNSET_URL", raising=False)
    file = tmp_path / "usage_etl.yaml"
    file.write_text(SETTINGS.format(), encoding="utf-8")
    return file


def run(config: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["outbox", *words, "-c", str(config)])


def queue(workspace: Workspace, *channels: str) -> None:
    with workspace.engine.begin() as connection:
        workspace.outbox.put(connection, [notice(alert=channel, channel=channel) for channel in channels])


def test_alert_travels_to_mail_and_chat_and_what_cannot_go_waits(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = open_workspace(str(config.resolve()))
    queue(workspace, "finance", "chat", "unset", "nowhere")
    with serving_http((200, {}, b"ok")) as server:
        monkeypatch.setenv("TEST_CHAT_URL", server.url)
        result = run(config, "send")
    assert (result.exit_code, result.stdout) == (1, "1 dead, 2 sent\n")
    assert "channel unset cannot be used: environment variable TEST_UNSET_URL is not set" in result.stderr
    assert "dead letter 4 nowhere: no channel named nowhere is configured" in result.stderr
    (mail,) = (config.parent / "out" / "mail").glob("alert-2026-11-20-*.eml")
    assert "92 % of its November budget" in mail.read_text()
    assert server.heard[0].json()["text"].startswith("🔴 Team Search")
    listed = run(config, "list").stdout
    assert "3 pending   unset [fired] Team Search has used 92 % of its November budget (0 attempt(s)" in listed
    assert "4 dead      nowhere [fired]" in listed
    assert listed.endswith("1 pending, 0 claimed, 0 ambiguous, 1 dead, 2 sent\n")
    assert "2 sent      chat" in run(config, "list", "--sent").stdout


def test_dead_letters_are_tried_again_or_given_up_and_a_gone_address_is_enabled(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = open_workspace(str(config.resolve()))
    queue(workspace, "chat", "nowhere")
    with serving_http((410, {}, b"channel_is_archived")) as server:
        monkeypatch.setenv("TEST_CHAT_URL", server.url)
        result = run(config, "send")
        assert "channel chat is disabled: its address is gone" in result.stderr
        assert "channel chat is disabled since" in run(config, "list").stdout
        checks = {check.name: check for check in run_checks(config)}
        assert not checks["outbox"].passed
        assert "switched off: chat" in checks["outbox"].seen
        assert checks["channel chat"].passed
        assert checks["channel finance"].passed
        assert "TEST_UNSET_URL is not set" in checks["channel unset"].seen
        assert run(config, "retry", "1").exit_code == 0
        assert run(config, "send").stdout == "nothing is due\n"
        assert run(config, "enable", "chat").exit_code == 0
        server.answer = (200, {}, b"ok")
        assert run(config, "send").stdout == "1 sent\n"
    assert run(config, "drop", "2").exit_code == 2, "a reason is missing"
    assert run(config, "drop", "2", "--reason", "a test").stdout == "2 dropped\n"
    assert run(config, "list").stdout == "0 pending, 0 claimed, 0 ambiguous, 0 dead, 1 sent\n"
    assert run(config, "retry", "99").exit_code == 1
