"""Alerts by mail: one message for each notice and recipient, those of one alert in one thread."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from usage_etl.delivery.channels.channel import Told
from usage_etl.delivery.headers import Mailbox
from usage_etl.delivery.mail import Mailer
from usage_etl.delivery.message import Draft, compose
from usage_etl.delivery.texts import one_line
from usage_etl.schemas.notices import Notice

ALERT = "alert"
"""Name of alerts in lists of mail and in file names."""


@dataclass(frozen=True)
class MailTexts:
    """What a mail about a notice says."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True)
class EmailChannel:
    """Mail through the configured server. ``write`` makes the texts."""

    name: str
    pace: dt.timedelta
    mailer: Mailer = field(repr=False)
    sender: Mailbox
    write: Callable[[Notice], MailTexts] = field(repr=False)

    def tell(self, notice: Notice, recipient: str, now: dt.datetime) -> Told:  # noqa: ARG002 - its date is the notice's
        """One message to one recipient; the same notice again has the same Message-ID and the same bytes."""
        texts = self.write(cleaned(notice))
        draft = Draft(
            report=ALERT,
            period=notice.happened_at.astimezone(dt.UTC).date().isoformat(),
            content_sha256=notice.notice_id,
            as_of=notice.happened_at,
            sender=self.sender,
            subject=texts.subject,
            text=texts.text,
            html=texts.html,
            thread_key=notice.alert_key,
        )
        outcome = self.mailer.send(compose(draft, [Mailbox(recipient)], is_update=False))[recipient]
        return Told(outcome.status, outcome.reason)


def cleaned(notice: Notice) -> Notice:
    """The notice in printable lines: names from outside may hold control characters and marks that turn text round."""
    return replace(
        notice,
        title=one_line(notice.title),
        lines=tuple(map(one_line, notice.lines)),
        facts={one_line(label): one_line(printed) for label, printed in notice.facts.items()},
        members=tuple(map(cleaned, notice.members)),
    )
