"""Settings of channels: where alerts go. Each has a name, by which the rules of alerts refer to it."""

from __future__ import annotations

import base64
import binascii
import re
from ipaddress import ip_network
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from usage_etl.config.addresses import Network, NetworkText, host_fault
from usage_etl.config.base import SecretRef, SettingsPart, Slug

AlertSeverity = Literal["info", "warning", "critical"]
PagerDutySeverity = Literal["critical", "error", "warning", "info"]
Line = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
_MAIL = re.compile(r"[^@\s<>]+@[^@\s<>]+")


def url_fault(url: str, networks: tuple[Network, ...]) -> str | None:
    """What is wrong with an address as it is written: its scheme, host, port or a password in it; None when nothing is."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"is not an address ({error})"
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0 or not url.isprintable() or " " in url:
        return "is not an address; write https://host/path"
    if parts.scheme == "http" and not networks:
        return "must begin with https://; http:// is only for hosts in allow_private_networks"
    if parts.username is not None or parts.password is not None:
        return "must not hold a user or password"
    return host_fault(parts.hostname, networks)


def webhook_secret(text: str) -> bytes:
    """The key of a ``whsec_`` secret. Raises ValueError unless it is base64 of 24 to 64 bytes."""
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("is not base64; Standard Webhooks secrets look like whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") from error
    if not 24 <= len(key) <= 64:
        raise ValueError(f"holds {len(key)} bytes; Standard Webhooks asks for 24 to 64")
    return key


def _mail_address(text: str) -> str:
    if _MAIL.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a mail address; write name@example.com")
    return text


MailAddress = Annotated[str, AfterValidator(_mail_address)]


class ChannelSettings(SettingsPart):
    """What every channel is configured by."""

    kind: str
    """What stands at the other end."""
    name: Slug
    """The channel's own name, by which rules of alerts refer to it. Queued alerts keep it: a renamed channel loses them."""
    messages_per_minute: Annotated[int, Field(ge=1, le=6000)] = 60
    """How fast messages go out at most, over all processes."""

    @property
    def is_per_alert(self) -> bool:
        """Whether the other end keeps one incident or ticket for each alert, so that digests are taken apart."""
        return False


class EmailChannelSettings(ChannelSettings):
    """Mail to a fixed list, sent as ``mail`` says."""

    kind: Literal["email"]
    """What stands at the other end."""
    recipients: Annotated[tuple[MailAddress, ...], Field(min_length=1)]
    """Who gets each alert; every recipient gets a message of their own."""


class HttpChannelSettings(ChannelSettings):
    """A channel that is called over HTTPS."""

    allow_private_networks: tuple[NetworkText, ...] = ()
    """Private networks that this channel may call, such as ``10.20.0.0/16``, and without encryption. Where a cloud hands out
    credentials is never called."""
    timeout_s: Annotated[int, Field(ge=1, le=60)] = 20
    """Seconds for one call, from looking up the name to the end of the answer."""

    @property
    def networks(self) -> tuple[Network, ...]:
        """``allow_private_networks`` as networks."""
        return tuple(ip_network(text) for text in self.allow_private_networks)

    @model_validator(mode="after")
    def _addresses(self) -> Self:
        for field in ("url", "base_url", "auth_url"):
            url: Any = getattr(self, field, None)
            if isinstance(url, str) and (fault := url_fault(url, self.networks)):
                raise ValueError(f"{field} {fault}")
        return self


class WebhookChannelSettings(HttpChannelSettings):
    """Any receiver that verifies Standard Webhooks."""

    kind: Literal["webhook"]
    """What stands at the other end."""
    url: str | SecretRef
    """Address that is called; a reference where the address itself is a secret."""
    secrets: Annotated[tuple[SecretRef, ...], Field(min_length=1, max_length=5)]
    """Secrets (``whsec_...``) that sign each message; two while one replaces the other."""
    messages_per_minute: Annotated[int, Field(ge=1, le=6000)] = 600
    """How fast messages go out at most, over all processes."""


class SlackChannelSettings(HttpChannelSettings):
    """An incoming webhook of Slack."""

    kind: Literal["slack"]
    """What stands at the other end."""
    url: SecretRef
    """The webhook's address, which is its own password."""


class TeamsChannelSettings(HttpChannelSettings):
    """A workflow of Microsoft Teams that posts Adaptive Cards."""

    kind: Literal["teams"]
    """What stands at the other end."""
    url: SecretRef
    """The workflow's address, which is its own password."""


class PagerDutyChannelSettings(HttpChannelSettings):
    """A service of PagerDuty, through its Events API v2."""

    kind: Literal["pagerduty"]
    """What stands at the other end."""
    routing_key: SecretRef
    """Integration key of the service."""
    url: str = "https://events.pagerduty.com/v2/enqueue"
    """Where events go; ``https://events.eu.pagerduty.com/v2/enqueue`` in Europe."""
    severities: dict[AlertSeverity, PagerDutySeverity] = Field(default={})
    """Severity of an alert to severity in PagerDuty, where it is not the same word."""

    @property
    def is_per_alert(self) -> bool:
        """Each alert is an incident."""
        return True


class TicketChannelSettings(HttpChannelSettings):
    """What the ticket systems of service providers have in common."""

    on_resolved: Literal["note", "close"] = "note"
    """What happens to the ticket when its alert is resolved: a note, or a note and the closed status."""

    @property
    def is_per_alert(self) -> bool:
        """Each alert has a ticket."""
        return True


class ConnectWiseChannelSettings(TicketChannelSettings):
    """Service tickets of ConnectWise PSA (Manage)."""

    kind: Literal["connectwise"]
    """What stands at the other end."""
    base_url: str
    """Such as ``https://api-na.myconnectwise.net/v4_6_release/apis/3.0``."""
    company_login: Line
    """Name of your company at the login, which stands before the public key."""
    public_key: SecretRef
    """Public key of the API member."""
    private_key: SecretRef
    """Private key of the API member."""
    client_id: SecretRef
    """Client id of the integration."""
    company: Line
    """Identifier of the company that the tickets are for."""
    board: Line | None = None
    """Name of the service board; null takes the default board."""
    closed_status: Line = "Closed"
    """Status of the board that ``on_resolved: close`` sets."""


class AutotaskChannelSettings(TicketChannelSettings):
    """Tickets of Autotask."""

    kind: Literal["autotask"]
    """What stands at the other end."""
    base_url: str
    """Your zone's address, such as ``https://webservices5.autotask.net/atservicesrest/v1.0``."""
    username: SecretRef
    """Name of the API user."""
    secret: SecretRef
    """Password of the API user."""
    integration_code: SecretRef
    """Tracking identifier of the integration."""
    company_id: Annotated[int, Field(ge=0)]
    """Company that the tickets are for; 0 is your own."""
    queue_id: int | None = None
    """Queue; null takes the default of the ticket category."""
    new_status: int = 1
    """Status of a new ticket."""
    closed_status: int = 5
    """Status that means complete; ``on_resolved: close`` sets it."""
    priorities: dict[AlertSeverity, int] = Field(default={})
    """Severity of an alert to priority of a ticket, where it is not 4 for critical, 2 for warning and 3 for info."""


class HaloPsaChannelSettings(TicketChannelSettings):
    """Tickets of HaloPSA."""

    kind: Literal["halopsa"]
    """What stands at the other end."""
    base_url: str
    """Resource server, such as ``https://example.halopsa.com/api``."""
    auth_url: str
    """Authorization server, such as ``https://example.halopsa.com/auth``."""
    tenant: Line | None = None
    """Tenant of a hosted installation."""
    client_id: SecretRef
    """Client id of the API application."""
    client_secret: SecretRef
    """Client secret of the API application, with the scopes ``read:tickets`` and ``edit:tickets``."""
    halo_client_id: int | None = None
    """Client that the tickets are for; null takes the default of the application's agent."""
    ticket_type_id: int | None = None
    """Ticket type; null takes the default."""
    closed_status: int = 9
    """Status that means closed; ``on_resolved: close`` sets it."""


AnyChannelSettings = Annotated[
    EmailChannelSettings
    | WebhookChannelSettings
    | SlackChannelSettings
    | TeamsChannelSettings
    | PagerDutyChannelSettings
    | ConnectWiseChannelSettings
    | AutotaskChannelSettings
    | HaloPsaChannelSettings,
    Field(discriminator="kind"),
]
CHANNEL_KINDS: tuple[type[ChannelSettings], ...] = get_args(get_args(AnyChannelSettings)[0])
"""Every kind of channel, in the order of the documentation."""


def unique_channels(channels: tuple[ChannelSettings, ...]) -> tuple[ChannelSettings, ...]:
    """``channels`` as they are. Raises ValueError for a name that stands twice."""
    names = [channel.name for channel in channels]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"name(s) used twice: {', '.join(repeated)}")
    return channels


ChannelList = Annotated[tuple[AnyChannelSettings, ...], AfterValidator(unique_channels)]
