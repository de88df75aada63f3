"""What can be known of a channel before anything is sent is said when the settings are read, by key and with a remedy."""

from pathlib import Path

import pytest

from usage_etl.config import parse_settings, require_secrets
from usage_etl.config.channels import CHANNEL_KINDS
from usage_etl.errors import ConfigError, MissingCredentialsError
from usage_etl.sources.registry import SOURCE_KINDS

BASE = {
    "version": "1",
    "organization": {"id": "northwind", "name": "Northwind"},
    "start_date": "2026-08-01",
    "sources": [{"kind": "litellm", "name": "gateway", "location": "logs"}],
}
WEBHOOK = {"kind": "webhook", "name": "hooks", "url": "https://hooks.example/x", "secrets": [{"env": "HOOK"}]}
HALO = {
    "kind": "halopsa",
    "name": "psa",
    "base_url": "https://example.halopsa.com/api",
    "auth_url": "https://example.halopsa.com/auth",
    "client_id": {"env": "ID"},
    "client_secret": {"env": "SECRET"},
}


def settings(*channels):
    return parse_settings({**BASE, "channels": list(channels)}, base_path=Path(), kinds=SOURCE_KINDS)


def fault(*channels):
    with pytest.raises(ConfigError) as caught:
        settings(*channels)
    return "\n".join(caught.value.problems)


def test_no_channel_is_the_default():
    assert parse_settings(BASE, base_path=Path(), kinds=SOURCE_KINDS).channels == ()


def test_every_kind_says_of_itself_whether_it_keeps_each_alert_apart():
    names = {kind.__name__: kind.is_per_alert.fget for kind in CHANNEL_KINDS}
    assert len(names) == 8
    assert settings(HALO).channels[0].is_per_alert
    assert not settings(WEBHOOK).channels[0].is_per_alert


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"url": "http://hooks.example/x"}, "url must begin with https://"),
        ({"url": "ftp://hooks.example/x"}, "url is not an address"),
        ({"url": "hooks.example"}, "url is not an address"),
        ({"url": "https://user:secret@hooks.example/"}, "must not hold a user or password"),
        ({"url": "https://127.0.0.1/"}, "127.0.0.1 is not a public address"),
        ({"url": "https://[::1]/"}, "::1 may lead to a private IPv4 address"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "an IPv4 address in disguise"),
        ({"url": "https://169.254.169.254/latest"}, "hands out credentials"),
        ({"url": "https://169.254.169.254/", "allow_private_networks": ["169.254.0.0/16"]}, "hands out credentials"),
        ({"url": "https://2130706433/"}, "another spelling of an IPv4 address"),
        ({"url": "https://0x7f.1/"}, "another spelling of an IPv4 address"),
        ({"url": "https://①②⑦.⓪.⓪.①/"}, "holds other than ASCII letters"),
        ({"url": "https://hooks.example:0/"}, "is not an address"),
        ({"url": "https://hooks.example:99999/"}, "is not an address"),
        ({"url": "https://hooks example/"}, "is not an address"),
        ({"secrets": []}, "at least 1 item"),
        ({"sekrets": 1}, "sekrets: unknown key; known here are allow_private_networks, kind, messages_per_minute, name"),
        ({"kind": "webhok"}, "webhok"),
        ({"name": "Ops Chat"}, "String should match pattern"),
        ({"allow_private_networks": ["10.0.0.1/8"]}, "is not a network"),
        ({"allow_private_networks": ["0.0.0.0/0"]}, "the whole internet"),
        ({"timeout_s": 0}, "greater than or equal to 1"),
    ],
)
def test_fault_of_a_channel_is_named(changes, expected):
    assert expected in fault(WEBHOOK | changes)


def test_plain_http_is_for_allowed_private_networks():
    on_prem = WEBHOOK | {"url": "http://10.20.1.1:8080/x", "allow_private_networks": ["10.20.0.0/16"]}
    assert settings(on_prem).channels[0].url == "http://10.20.1.1:8080/x"
    assert "10.21.1.1 is not a public address" in fault(on_prem | {"url": "http://10.21.1.1/"})


def test_both_addresses_of_halo_are_looked_at():
    assert "auth_url must begin with https://" in fault(HALO | {"auth_url": "http://example.halopsa.com/auth"})
    assert "base_url must begin with https://" in fault(HALO | {"base_url": "http://example.halopsa.com/api"})


def test_name_is_used_once():
    assert "name(s) used twice: hooks" in fault(WEBHOOK, WEBHOOK)


def test_mail_needs_addresses():
    mail = {"kind": "email", "name": "mail", "recipients": []}
    assert "at least 1 item" in fault(mail)
    assert "'nobody' is not a mail address" in fault(mail | {"recipients": ["nobody"]})


def test_missing_secrets_are_named_by_key():
    with pytest.raises(MissingCredentialsError) as caught:
        require_secrets(settings(WEBHOOK, HALO), {"ID": "x"})
    assert caught.value.problems == (
        "channels.0.secrets.0: environment variable HOOK is not set",
        "channels.1.client_secret: environment variable SECRET is not set",
    )
