"""Settings are read strictly, and every fault is named at once with its key and what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from usage_etl.config import load_settings, read_secret, require_secrets
from usage_etl.config.base import SecretRef
from usage_etl.errors import ConfigError, MissingCredentialsError
from usage_etl.sources.registry import SOURCE_KINDS

GOOD = """
version: 1
organization: {id: northwind, name: Northwind, time_zone: Europe/Berlin}
start_date: 2026-08-01
sources:
  - {kind: litellm, name: gateway, location: logs}
  - {kind: openai, name: openai, api_key: {env: OPENAI_ADMIN_KEY}}
  - {kind: anthropic, name: anthropic, api_key: {env: ANTHROPIC_ADMIN_KEY}}
mail: {mode: smtp, password: {env: SMTP_PASSWORD}}
"""


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(text: str, encoding: str = "utf-8") -> Path:
        file = tmp_path / "usage_etl.yaml"
        file.write_text(text, encoding=encoding)
        return file

    return write_file


def test_a_good_file_is_frozen_and_resolves_its_paths(write: Write, tmp_path: Path) -> None:
    settings = load_settings(write(GOOD), kinds=SOURCE_KINDS)
    assert settings.resolve("lake") == str(tmp_path / "lake")
    assert settings.resolve("s3://bucket/lake/") == "s3://bucket/lake"
    assert settings.organization.time_zone == "Europe/Berlin"
    with pytest.raises(Exception, match="frozen"):
        settings.version = "2"  # type: ignore[misc, assignment]  # the very thing that must fail


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version: 1", "version: 2", "version"),
        ("start_date: 2026-08-01", "start_date: 2026-08-02", "first day of a month"),
        ("start_date: 2026-08-01", "start_date: yesterday", "start_date"),
        ("Europe/Berlin", "Europe/Atlantis", "IANA"),
        ("id: northwind", "id: ../etc", "organization.id"),
        ("kind: litellm", "kind: litelm", "'anthropic', "),
        ("name: openai,", "name: gateway,", "used twice: gateway"),
        ("mode: smtp", "mode: pigeon", "'files' or 'smtp'"),
        ("mail:", "mial:", "mial: unknown key; known here are alerts, allocation, anomalies, as_of_date, channels, close,"),
        ("mode: smtp", "moed: smtp", "mail.moed: unknown key; known here are attach_limit_mb, host, mode, password"),
        ("location: logs", "locaton: logs", "known here are account, bundle, "),
        ("location: logs", "location: logs, tags: {x: y}", "known here are feature, investigation, keep"),
        ("name: openai,", "name: openai, api_keys: 1,", "known here are account, api_key, base_url, expected_hours, kind"),
        ("version: 1", "version: 1\nversion: 1", "stands twice"),
        ("version: 1", "version: &v 1\nx: *v", "aliases"),
        ("version: 1", "version: [", "not valid YAML"),
        (GOOD, "just text", "must be a mapping"),
        (GOOD, "", "must be a mapping"),
    ],
)
def test_each_fault_names_file_key_and_allowed_values(write: Write, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_settings(write(GOOD.replace(old, new)), kinds=SOURCE_KINDS)
    assert message in str(error.value)
    assert "usage_etl.yaml" in str(error.value)


def test_all_faults_come_at_once(write: Write) -> None:
    with pytest.raises(ConfigError) as error:
        load_settings(
            write(GOOD.replace("2026-08-01", "never").replace("Europe/Berlin", "Mars").replace("smtp", "pigeon")),
            kinds=SOURCE_KINDS,
        )
    assert len(error.value.problems) == 3


def test_a_rule_that_shares_99_percent_is_one_fault_in_plain_words(write: Write) -> None:
    rule = "allocation: {rules: [{name: a, steps: [{level: team, method: fixed, shares: {x: 60, y: 39}}]}]}"
    with pytest.raises(ConfigError) as error:
        load_settings(write(f"{GOOD}\n{rule}\n"), kinds=SOURCE_KINDS)
    assert list(error.value.problems) == ["allocation.rules.0.steps.0: the shares add up to 99 %, not to 100 %"]
    with pytest.raises(ConfigError, match="should have at least 1 item"):
        load_settings(write(f"{GOOD}\nallocation: {{rules: [{{name: a, steps: []}}]}}\n"), kinds=SOURCE_KINDS)


def test_words_that_yaml_would_turn_into_something_else_stay_text(write: Write) -> None:
    settings = load_settings(
        write(GOOD.replace("name: Northwind", "name: NO").replace("location: logs", "location: 012")),
        kinds=SOURCE_KINDS,
    )
    assert settings.organization.name == "NO"
    assert settings.sources[0].location == "012"


def test_missing_and_undecodable_files_say_what_to_do(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="usage-etl init"):
        load_settings(tmp_path / "absent.yaml", kinds=SOURCE_KINDS)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(write("name: Ünicode", encoding="utf-16"), kinds=SOURCE_KINDS)


def test_every_missing_secret_is_named_at_once(write: Write) -> None:
    settings = load_settings(write(GOOD), kinds=SOURCE_KINDS)
    with pytest.raises(MissingCredentialsError) as error:
        require_secrets(settings, {"ANTHROPIC_ADMIN_KEY": "x", "SMTP_PASSWORD": ""})
    assert len(error.value.problems) == 2
    assert "sources.1.api_key: environment variable OPENAI_ADMIN_KEY" in str(error.value)
    assert "mail.password: environment variable SMTP_PASSWORD" in str(error.value)
    assert read_secret(SecretRef(env="TOKEN"), {"TOKEN": "t"}) == "t"
