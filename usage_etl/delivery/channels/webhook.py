"""Standard Webhooks: a signed JSON message whose id stays the same over all attempts."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from usage_etl.delivery.channels.channel import Told, called
from usage_etl.delivery.guarded_http import GuardedHttp
from usage_etl.delivery.notice_json import notice_document
from usage_etl.schemas.notices import Notice

ID_PREFIX = "msg_"


@dataclass(frozen=True)
class WebhookChannel:
    """Any receiver that verifies Standard Webhooks. ``keys`` are the secrets' bytes; each signs."""

    name: str
    pace: dt.timedelta
    http: GuardedHttp
    url: str = field(repr=False)
    keys: tuple[bytes, ...] = field(repr=False)

    def tell(self, notice: Notice, recipient: str, now: dt.datetime) -> Told:  # noqa: ARG002 - there is one recipient
        """One POST; the timestamp is the attempt's, id and body are the notice's."""
        body, message_id, timestamp = webhook_body(notice), f"{ID_PREFIX}{notice.notice_id}", int(now.timestamp())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self.keys, message_id, timestamp, body),
        }
        return called(self.http, "POST", self.url, headers=headers, content=body, now=now)[0]


def webhook_body(notice: Notice) -> bytes:
    """The message: type, timestamp and data, the same bytes for the same notice."""
    document = {
        "type": f"usage_etl.alert.{notice.action}",
        "timestamp": notice.happened_at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z"),
        "data": notice_document(notice),
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def signature(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """One ``v1`` signature for each key, the newest first, separated by spaces (Standard Webhooks, symmetric)."""
    content = f"{message_id}.{timestamp}.".encode() + body
    return " ".join(f"v1,{base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()}" for key in keys)
