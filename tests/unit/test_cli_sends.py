"""Mails in doubt are listed, and a person settles them with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from assets.resources import open_workspace
from usage_etl.cli.main import app
from usage_etl.delivery.ledger import Send
from usage_etl.errors import UsageEtlError

SETTINGS = """
version: 1
organization: {id: northwind, name: Northwind}
start_date: 2026-08-01
sources: [{kind: litellm, name: gateway, location: logs}]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "usage_etl.yaml"
    file.write_text(SETTINGS, encoding="utf-8")
    ledger = open_workspace(str(file)).ledger
    for recipient in ("a@example.com", "b@example.com"):
        send = Send("executive", "2026-11-19", "email", recipient, "c" * 64)
        assert ledger.claim(send)
        ledger.mark_ambiguous(send.send_key, "the line broke")
    return file


def keys(config: Path) -> dict[str, str]:
    lines = CliRunner().invoke(app, ["sends", "-c", str(config)], catch_exceptions=False).output.splitlines()
    return {line.split(" to ")[1].split(":")[0]: line.split()[0] for line in lines}


def test_settling_needs_a_reason_and_a_key_that_names_one(config: Path) -> None:
    found = keys(config)
    assert set(found) == {"a@example.com", "b@example.com"}
    assert CliRunner().invoke(app, ["sends", "-c", str(config), "--arrived", found["a@example.com"]]).exit_code == 2
    with pytest.raises(UsageEtlError, match="0 open mails"):
        CliRunner().invoke(app, ["sends", "-c", str(config), "--again", "zzz", "--reason", "x"], catch_exceptions=False)


def test_what_arrived_is_never_sent_and_what_did_not_is(config: Path) -> None:
    found = keys(config)
    arguments = ["--arrived", found["a@example.com"], "--again", found["b@example.com"], "--reason", "asked them"]
    CliRunner().invoke(app, ["sends", "-c", str(config), *arguments], catch_exceptions=False)
    assert keys(config) == {}
    ledger = open_workspace(str(config)).ledger
    assert not ledger.claim(Send("executive", "2026-11-19", "email", "a@example.com", "c" * 64))
    assert ledger.claim(Send("executive", "2026-11-19", "email", "b@example.com", "c" * 64))
