"""A message that says that it is a test, through one channel and past the outbox."""

import datetime as dt
from collections.abc import Mapping

from assets.channels import channels_of
from assets.resources import Workspace, now
from usage_etl.delivery.channels.registry import routes_of
from usage_etl.delivery.mail import HandOver
from usage_etl.errors import ConfigError
from usage_etl.keys import fingerprint
from usage_etl.schemas.alert_measures import near_names
from usage_etl.schemas.notices import Notice


def try_channel(workspace: Workspace, name: str) -> Mapping[str, tuple[bool, str]]:
    """By recipient, whether the message was taken and what was answered. Raises ConfigError for an unknown or unusable one."""
    channels, faults = channels_of(workspace)
    if name in faults:
        raise ConfigError("channels", [f"{name}: {faults[name]}"])
    if name not in channels:
        raise ConfigError("channels", [f"unknown channel {name!r}; {near_names(name, channels)}"])
    instant = now()
    notice = _trial(workspace, name, instant)
    told = {
        recipient: channels[name].tell(notice, recipient, instant)
        for recipient in routes_of(workspace.settings.channels)[name].recipients
    }
    return {recipient: (outcome.status is HandOver.SENT, outcome.reason) for recipient, outcome in told.items()}


def _trial(workspace: Workspace, channel: str, instant: dt.datetime) -> Notice:
    organization = workspace.settings.organization
    identity = fingerprint({"trial": channel, "organization": organization.id, "at": instant.isoformat()})
    return Notice(
        notice_id=identity,
        alert_key=identity,
        action="fired",
        severity="info",
        channel=channel,
        organization_id=organization.id,
        title=f"Test of the channel {channel}: alerts of {organization.name} arrive here"[:120],
        lines=("Somebody tried this channel; nothing is wrong.",),
        facts={"channel": channel},
        happened_at=instant,
    )
