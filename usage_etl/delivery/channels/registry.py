"""Makes the channels that the settings name, and says who gets the notices of each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args
from urllib.parse import urlsplit

from usage_etl.config import read_secret
from usage_etl.config.base import SecretRef
from usage_etl.config.channels import (
    AlertSeverity,
    AutotaskChannelSettings,
    ChannelSettings,
    ConnectWiseChannelSettings,
    EmailChannelSettings,
    HaloPsaChannelSettings,
    HttpChannelSettings,
    PagerDutyChannelSettings,
    SlackChannelSettings,
    TeamsChannelSettings,
    TicketChannelSettings,
    WebhookChannelSettings,
    url_fault,
    webhook_secret,
)
from usage_etl.delivery.channels.autotask import Autotask, autotask_headers
from usage_etl.delivery.channels.channel import Channel
from usage_etl.delivery.channels.connectwise import ConnectWise, connectwise_headers
from usage_etl.delivery.channels.email import EmailChannel, MailTexts
from usage_etl.delivery.channels.halopsa import HaloPsa
from usage_etl.delivery.channels.pagerduty import PagerDutyChannel
from usage_etl.delivery.channels.slack import SlackChannel
from usage_etl.delivery.channels.teams import TeamsChannel
from usage_etl.delivery.channels.tickets import JSON_LIMIT, ForOneCall, TicketChannel
from usage_etl.delivery.channels.webhook import WebhookChannel
from usage_etl.delivery.guarded_http import ANSWER_LIMIT, GuardedHttp, Resolve, checked_addresses, system_addresses
from usage_etl.delivery.headers import Mailbox
from usage_etl.delivery.mail import Mailer, Outcome
from usage_etl.delivery.message import OutgoingMessage
from usage_etl.delivery.outbox import Route
from usage_etl.errors import ConfigError, DeliveryError
from usage_etl.schemas.notices import Notice

_PRIORITIES: Mapping[str, int] = {"critical": 4, "warning": 2, "info": 3}


@dataclass(frozen=True)
class Means:
    """What channels need from outside: the way to secrets, and everything about mail."""

    read_secret: Callable[[SecretRef], str] = field(repr=False)
    mailer: Mailer = field(repr=False)
    sender: Mailbox
    write_mail: Callable[[Notice], MailTexts] = field(repr=False)


def routes_of(channels: Sequence[ChannelSettings]) -> dict[str, Route]:
    """Channel name to who gets its notices."""
    return {
        channel.name: Route(
            channel.recipients if isinstance(channel, EmailChannelSettings) else ("",), is_per_alert=channel.is_per_alert
        )
        for channel in channels
    }


def open_channels(channels: Sequence[ChannelSettings], means: Means) -> tuple[dict[str, Channel], dict[str, str]]:
    """Channels by name, and the faults of those that cannot be opened: one bad secret stops one channel."""
    opened: dict[str, Channel] = {}
    faults: dict[str, str] = {}
    for channel in channels:
        try:
            opened[channel.name] = open_channel(channel, means)
        except ConfigError as error:
            faults[channel.name] = "; ".join(error.problems)
    return opened, faults


def open_channel(channel: ChannelSettings, means: Means) -> Channel:
    """A channel with its secrets. Raises ConfigError, of which MissingCredentialsError is one, naming what is wrong."""
    secrets = _Secrets(channel.name, means.read_secret)
    pace = dt.timedelta(minutes=1) / channel.messages_per_minute
    match channel:
        case EmailChannelSettings():
            return EmailChannel(channel.name, pace, means.mailer, means.sender, means.write_mail)
        case WebhookChannelSettings():
            keys = tuple(secrets.webhook_key(ref, f"secrets.{place}") for place, ref in enumerate(channel.secrets))
            url = secrets.url(channel.url, channel)
            return WebhookChannel(channel.name, pace, secrets.http(channel), url, keys)
        case SlackChannelSettings():
            url = secrets.url(channel.url, channel)
            return SlackChannel(channel.name, pace, secrets.http(channel), url)
        case TeamsChannelSettings():
            url = secrets.url(channel.url, channel)
            return TeamsChannel(channel.name, pace, secrets.http(channel), url)
        case PagerDutyChannelSettings():
            key = secrets.text(channel.routing_key, "routing_key")
            return PagerDutyChannel(channel.name, pace, secrets.http(channel), channel.url, _severities(channel), key)
        case TicketChannelSettings():
            system = _ticket_system(channel, secrets)
            return TicketChannel(channel.name, pace, system, closes=channel.on_resolved == "close")
    raise AssertionError(f"a channel of kind {channel.kind} cannot be configured")


def _severities(channel: PagerDutyChannelSettings) -> dict[str, str]:
    return {name: channel.severities.get(name, name) for name in get_args(AlertSeverity)}


def _ticket_system(channel: TicketChannelSettings, secrets: _Secrets) -> ForOneCall:
    match channel:
        case ConnectWiseChannelSettings():
            headers = connectwise_headers(
                company_login=channel.company_login,
                public_key=secrets.text(channel.public_key, "public_key"),
                private_key=secrets.text(channel.private_key, "private_key"),
                client_id=secrets.text(channel.client_id, "client_id"),
            )
            http = secrets.http(channel, JSON_LIMIT)
            return ConnectWise(http, channel.base_url, channel.company, channel.board, channel.closed_status, headers)
        case AutotaskChannelSettings():
            headers = autotask_headers(
                username=secrets.text(channel.username, "username"),
                secret=secrets.text(channel.secret, "secret"),
                integration_code=secrets.text(channel.integration_code, "integration_code"),
            )
            return Autotask(
                http=secrets.http(channel, JSON_LIMIT),
                base_url=channel.base_url,
                company_id=channel.company_id,
                queue_id=channel.queue_id,
                new_status=channel.new_status,
                closed_status=channel.closed_status,
                priorities={name: channel.priorities.get(name, _PRIORITIES[name]) for name in get_args(AlertSeverity)},
                headers=headers,
            )
        case HaloPsaChannelSettings():
            client_id = secrets.text(channel.client_id, "client_id")
            client_secret = secrets.text(channel.client_secret, "client_secret")
            return HaloPsa(
                http=secrets.http(channel, JSON_LIMIT),
                base_url=channel.base_url,
                auth_url=channel.auth_url,
                tenant=channel.tenant,
                halo_client_id=channel.halo_client_id,
                ticket_type_id=channel.ticket_type_id,
                closed_status=channel.closed_status,
                client_id=client_id,
                client_secret=client_secret,
            )
    raise AssertionError(f"a ticket system of kind {channel.kind} cannot be configured")


class _Secrets:
    """Reads the secrets of one channel, checks their form, and remembers what no reason may repeat."""

    def __init__(self, channel: str, read: Callable[[SecretRef], str]) -> None:
        self._channel, self._read = channel, read
        self._known: list[str] = []

    def text(self, ref: SecretRef, key: str) -> str:
        """A secret of printable ASCII, without space around it. Raises ConfigError."""
        secret = self._read(ref).strip()
        if not secret or not secret.isascii() or not secret.isprintable():
            raise ConfigError("channels", [f"{self._channel}.{key}: the value of {ref.env} is not printable ASCII text"])
        self._known.append(secret)
        return secret

    def webhook_key(self, ref: SecretRef, key: str) -> bytes:
        """The bytes of a ``whsec_`` secret. Raises ConfigError."""
        try:
            return webhook_secret(self.text(ref, key))
        except ValueError as error:
            raise ConfigError("channels", [f"{self._channel}.{key}: the value of {ref.env} {error}"]) from None

    def url(self, url: str | SecretRef, channel: HttpChannelSettings) -> str:
        """An address, checked as it is written. Raises ConfigError; a secret address is not shown."""
        if isinstance(url, str):
            return url
        text = self.text(url, "url")
        if fault := url_fault(text, channel.networks):
            raise ConfigError("channels", [f"{self._channel}.url: the value of {url.env} {fault}"])
        return text

    def http(self, channel: HttpChannelSettings, answer_limit: int = ANSWER_LIMIT) -> GuardedHttp:
        """What makes the channel's calls; it knows the secrets that were read before."""
        return GuardedHttp(channel.networks, channel.timeout_s, answer_limit, secrets=tuple(self._known))


def opened_and_resolved(
    channel: ChannelSettings, read: Callable[[SecretRef], str] = read_secret, resolve: Resolve = system_addresses
) -> tuple[str, str]:
    """What is seen of a channel without sending anything, and how to mend it; empty when nothing is wrong.

    Its secrets are read and their form checked; the hosts that it calls are looked up. Raises ConfigError.
    """
    if isinstance(channel, EmailChannelSettings):
        return f"mail to {len(channel.recipients)} recipient(s)", ""
    assert isinstance(channel, HttpChannelSettings)
    open_channel(channel, Means(read, _NoMail(), Mailbox("nobody@localhost"), _no_texts))
    seen = []
    for name in ("url", "base_url", "auth_url"):
        url = getattr(channel, name, None)
        if url is not None:
            parts = urlsplit(read(url).strip() if isinstance(url, SecretRef) else url)
            host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
            try:
                found = resolve(host, port)
                usable = checked_addresses(host, found, channel.networks, is_plain=parts.scheme == "http")
            except DeliveryError as error:
                return str(error), "mend the address, or its name server; a private network needs allow_private_networks"
            seen.append(f"{host} is {usable[0]}")
    return ", ".join(seen), ""


class _NoMail:
    """A mailer for channels that send none."""

    def send(self, message: OutgoingMessage) -> Mapping[str, Outcome]:
        raise NotImplementedError(message.key)


def _no_texts(notice: Notice) -> MailTexts:
    raise NotImplementedError(notice.notice_id)
