"""The channels of alerts, as the settings name them, and the sending of what waits in the outbox."""

import datetime as dt

from assets.mail import mailer
from assets.publishing import templates_of
from assets.resources import Workspace, now
from usage_etl.config import read_secret
from usage_etl.delivery.channels.channel import Channel
from usage_etl.delivery.channels.email import MailTexts
from usage_etl.delivery.channels.registry import Means, open_channels
from usage_etl.delivery.due import BUDGET, DueReport, deliver_due
from usage_etl.delivery.headers import parse_mailbox
from usage_etl.reports.alert_email import render_alert_email
from usage_etl.schemas.notices import Notice

WHY = "You get this because the settings of usage-etl name you as a recipient of the channel {channel}."


def channels_of(workspace: Workspace) -> tuple[dict[str, Channel], dict[str, str]]:
    """Channels by name, and what is wrong with those that cannot be used."""
    settings = workspace.settings

    def write(notice: Notice) -> MailTexts:
        content = render_alert_email(
            notice,
            organization_name=settings.organization.name,
            link=settings.reports.dashboard_url,
            why=WHY.format(channel=notice.channel),
            templates=templates_of(settings),
        )
        return MailTexts(content.subject, content.text, content.html)

    means = Means(read_secret, mailer(workspace), parse_mailbox(settings.mail.sender), write)
    return open_channels(settings.channels, means)


def send_alerts(workspace: Workspace, *, budget: dt.timedelta = BUDGET) -> DueReport:
    """Sends what is due in the outbox. Messages of channels that cannot be opened wait, and the report names the faults."""
    channels, faults = channels_of(workspace)
    report = deliver_due(workspace.outbox, channels, now(), budget=budget, held_back=frozenset(faults))
    report.faults |= faults
    return report
