"""Channels are opened one by one: a bad secret stops its own channel and is named, never shown."""

import base64
from ipaddress import ip_address

import pytest

from tests.unit.config.test_channels import settings
from usage_etl.config import read_secret
from usage_etl.delivery.channels.email import EmailChannel, MailTexts
from usage_etl.delivery.channels.registry import Means, open_channels, opened_and_resolved, routes_of
from usage_etl.delivery.channels.tickets import TicketChannel
from usage_etl.delivery.headers import Mailbox
from usage_etl.delivery.mail import FileMailer
from usage_etl.errors import ConfigError

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
PSA = {"name": "psa", "base_url": "https://psa.example/x"}
CHANNELS = settings(
    {"kind": "email", "name": "mail", "recipients": ["CFO@northwind.example", "ops@northwind.example"]},
    {"kind": "webhook", "name": "hooks", "url": "https://hooks.example/x", "secrets": [{"env": "A"}, {"env": "B"}]},
    {"kind": "slack", "name": "slack", "url": {"env": "A_URL"}},
    {"kind": "teams", "name": "teams", "url": {"env": "A_URL"}},
    {"kind": "pagerduty", "name": "pager", "routing_key": {"env": "KEY"}, "severities": {"warning": "error"}},
    {"kind": "connectwise", **PSA, "company_login": "acme", "public_key": {"env": "KEY"}, "private_key": {"env": "KEY"},
     "client_id": {"env": "KEY"}, "company": "N"},
    {"kind": "autotask", **PSA, "name": "psa2", "username": {"env": "KEY"}, "secret": {"env": "KEY"},
     "integration_code": {"env": "KEY"}, "company_id": 0, "priorities": {"critical": 1}},
    {"kind": "halopsa", **PSA, "name": "psa3", "auth_url": "https://psa.example/auth", "client_id": {"env": "KEY"},
     "client_secret": {"env": "KEY"}, "on_resolved": "close"},
).channels  # fmt: skip
GOOD = {"A": SECRET, "B": SECRET, "A_URL": "https://hooks.example/services/T/B/x", "KEY": "k3y"}


def opened(environment):
    mailer = FileMailer(None)
    return open_channels(
        CHANNELS,
        Means(lambda ref: read_secret(ref, environment), mailer, Mailbox("a@b.example"), lambda told: MailTexts("", "", "")),
    )


def test_every_kind_opens_with_its_secrets():
    channels, faults = opened(GOOD)
    assert faults == {}
    assert list(channels) == ["mail", "hooks", "slack", "teams", "pager", "psa", "psa2", "psa3"]
    assert isinstance(channels["mail"], EmailChannel)
    assert channels["hooks"].keys == (b"k" * 32, b"k" * 32)
    assert channels["pager"].severities == {"info": "info", "warning": "error", "critical": "critical"}
    assert isinstance(channels["psa3"], TicketChannel)
    assert channels["psa3"].closes
    assert not channels["psa2"].closes
    assert channels["psa2"].open_system.priorities == {"critical": 1, "warning": 2, "info": 3}
    assert channels["slack"].pace.total_seconds() == 1
    for channel in channels.values():
        assert not any(secret in repr(channel) for secret in (SECRET, "k3y", "services/T/B"))


def test_routes_follow_the_settings():
    routes = routes_of(CHANNELS)
    assert routes["mail"].recipients == ("CFO@northwind.example", "ops@northwind.example")
    assert [name for name, route in routes.items() if route.is_per_alert] == ["pager", "psa", "psa2", "psa3"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"B": None}, {"hooks": "environment variable B is not set"}),
        ({"B": "whsec_short"}, {"hooks": "hooks.secrets.1: the value of B is not base64; Standard Webhooks secrets look like"}),
        (
            {"A_URL": "http://hooks.example/services/T0K3N"},
            dict.fromkeys(("slack", "teams"), "the value of A_URL must begin with"),
        ),
        ({"A_URL": "https://10.0.0.1/T0K3N"}, dict.fromkeys(("slack", "teams"), "10.0.0.1 is not a public address")),
        ({"KEY": "a\nb"}, dict.fromkeys(("pager", "psa", "psa2", "psa3"), "is not printable ASCII text")),
    ],
)
def test_bad_secret_stops_its_own_channels_and_is_not_shown(changes, fault):
    environment = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    channels, faults = opened(environment)
    assert faults.keys() == fault.keys()
    assert all(words in faults[name] for name, words in fault.items())
    assert "T0K3N" not in str(faults)
    assert channels.keys() == {channel.name for channel in CHANNELS} - faults.keys()


def test_space_around_a_secret_is_no_part_of_it():
    assert opened(GOOD | {"KEY": " k3y\n"})[0]["pager"].routing_key == "k3y"


def test_doctor_looks_hosts_up_and_sends_nothing():
    def read(ref):
        return read_secret(ref, GOOD)

    seen = {
        channel.name: opened_and_resolved(channel, read, lambda host, port: [ip_address("93.184.215.14")]) for channel in CHANNELS
    }
    assert seen["mail"] == ("mail to 2 recipient(s)", "")
    assert seen["psa3"] == ("psa.example is 93.184.215.14, psa.example is 93.184.215.14", "")
    inside = opened_and_resolved(CHANNELS[1], read, lambda host, port: [ip_address("10.1.2.3")])
    assert "10.1.2.3 is not a public address" in inside[0]
    assert "allow_private_networks" in inside[1]
    with pytest.raises(ConfigError, match="KEY is not set"):
        opened_and_resolved(CHANNELS[4], lambda ref: read_secret(ref, {}))
