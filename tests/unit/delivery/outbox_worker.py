"""What a process does that sends what is due and, where it is told, dies."""

import datetime as dt
import os

from tests.unit.delivery.http_servers import local_http
from tests.unit.delivery.notices import NOW
from usage_etl.delivery.channels.webhook import WebhookChannel
from usage_etl.delivery.due import deliver_due
from usage_etl.delivery.outbox import Outbox
from usage_etl.lake import open_state

KEY = b"k" * 24


def webhook(url, name="ops"):
    """A channel to a server of this machine, as fast as it goes."""
    return WebhookChannel(name, dt.timedelta(), local_http(), url, (KEY,))


class DyingChannel:
    """A channel whose process dies at a moment."""

    def __init__(self, channel, moment):
        self.channel, self.moment = channel, moment
        self.name, self.pace = channel.name, channel.pace

    def tell(self, notice, recipient, now):
        """As the channel does, unless the process dies."""
        if self.moment == "before":
            os._exit(9)
        told = self.channel.tell(notice, recipient, now)
        if self.moment == "after":
            os._exit(9)
        return told


def send(url, channel, barrier=None, now=NOW):
    """Send what is due in the database at ``url``."""
    engine = open_state(url)
    if barrier is not None:
        barrier.wait()
    deliver_due(Outbox(engine, lambda: now), {channel.name: channel}, now, budget=dt.timedelta(seconds=60))
    engine.dispose()
