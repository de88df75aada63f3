"""What a process does that mails one report and dies where it is told."""

import datetime as dt
import os

import sqlalchemy as sa

from usage_etl.delivery.deliver import deliver_once
from usage_etl.delivery.headers import Mailbox
from usage_etl.delivery.ledger import SendLedger
from usage_etl.delivery.mail import SmtpMailer
from usage_etl.delivery.message import Draft

RECIPIENTS = [Mailbox("a@northwind.example"), Mailbox("b@northwind.example")]


def draft(content="a" * 64, **changes):
    """The report that all tests mail."""
    base = {
        "report": "executive",
        "period": "2026-11",
        "content_sha256": content,
        "as_of": dt.datetime(2026, 11, 20, tzinfo=dt.UTC),
        "sender": Mailbox("reports@northwind.example"),
        "subject": "AI cost, November",
        "text": "All is well.",
        "html": "<p>All is well.</p>",
    }
    return Draft(**base | changes)


class DyingMailer:
    """Hands over by SMTP and kills its process before or after."""

    def __init__(self, port, moment):
        self.mailer = SmtpMailer(host="127.0.0.1", port=port, security="none")
        self.moment = moment

    def send(self, message):
        """As a mailer does, unless the process dies."""
        if self.moment == "before the hand-over":
            os._exit(9)
        outcomes = self.mailer.send(message)
        if self.moment == "after the hand-over":
            os._exit(9)
        return outcomes


def mail(url, port, moment, said):
    """Mail the report; tell ``said`` what became of it, as sorted statuses."""
    engine = sa.create_engine(url)
    report = deliver_once(SendLedger(engine), DyingMailer(port, moment), draft(), RECIPIENTS)
    said.put(sorted(delivered.status for delivered in report.outcomes.values()))
    engine.dispose()
