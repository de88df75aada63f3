"""``usage-etl alerts``: what it lists, silences, evaluates and tries, as somebody at a terminal sees it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.assets.alert_installation import alerting
from tests.assets.installation import Installation
from tests.assets.test_alert_assets import mails
from usage_etl.cli.main import app
from usage_etl.errors import ConfigError, DeliveryError


def call(installation: Installation, *words: str) -> Result:
    return CliRunner().invoke(app, ["alerts", words[0], "--config", str(installation.config), *words[1:]], catch_exceptions=True)


def lines(installation: Installation, *words: str) -> list[str]:
    result = call(installation, *words)
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def test_the_commands_say_what_stands_and_what_was_told(tmp_path: Path) -> None:
    installation = alerting(tmp_path)
    (would, summary) = lines(installation, "evaluate", "--dry-run")
    assert would.split()[:5] == ["would", "be", "sent", "ops", "fired"]
    assert summary == "2 level(s) crossed, 1 message(s)"
    assert lines(installation, "history")[1:] == []

    silenced = lines(installation, "silence", "--rule", "spend", "--hours", "8", "--reason", "load\ntest", "--owner", "Ada")
    silence_id = silenced[0].split()[1]
    assert lines(installation, "evaluate")[0].split()[0] == "muted"
    _, standing, silence = lines(installation, "list")
    assert standing.split() == ["spend", "organization", "Acme", "2026-11-01", "2", "8", "2026-11-02", "stands"]
    assert silence.startswith(f"silence {silence_id} of rule spend until 2026-11-")
    assert silence.endswith("Ada: load\\ntest")
    assert "muted, not yet" in lines(installation, "history")[1]

    assert lines(installation, "unsilence", silence_id) == [f"silence {silence_id} of rule spend ended"]
    assert "Silence ended: 1 muted, 1 fired" in lines(installation, "evaluate")[0]
    (digest, fired) = (json.loads(line) for line in lines(installation, "history", "--json"))
    assert (digest["action"], digest["is_told"], fired["disposition"], fired["is_told"]) == ("digest", True, "muted", True)
    (state,) = (json.loads(line) for line in lines(installation, "list", "--json"))
    assert (state["level"], state["observed_quantity"], state["thread"]) == ("2", "8", "open")


def test_a_channel_is_tried_past_the_outbox(tmp_path: Path) -> None:
    installation = alerting(tmp_path)
    assert lines(installation, "test-channel", "ops")[0].startswith("taken  ops ops@example.com")
    assert mails(installation) == ["Test of the channel ops: alerts of Acme arrive here"]
    assert installation.workspace.outbox.counts() == {}


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["test-channel", "opps"], ConfigError, "unknown channel 'opps'; did you mean ops?"),
        (
            ["silence", "--rule", "spent", "--hours", "1", "--reason", "x"],
            ConfigError,
            "unknown rule 'spent'; did you mean spend?",
        ),
        (["silence", "--scope-kind", "teem", "--hours", "1", "--reason", "x"], ConfigError, "did you mean team?"),
        (["unsilence", "abc"], DeliveryError, "0 silences that are on begin with 'abc'"),
    ],
)
def test_what_does_not_exist_is_named_with_what_is_near(
    tmp_path: Path, words: list[str], error: type[Exception], message: str
) -> None:
    result = call(alerting(tmp_path), *words)
    assert isinstance(result.exception, error)
    assert message in str(result.exception)
