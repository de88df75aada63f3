"""Hands a finished message over: to an SMTP server, or as a file into the out location.

A mailer says for each recipient what became of the message, and whether nothing, something or perhaps something was
handed over. It keeps no state and never tries twice: that is for the ledger and whoever runs again.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from usage_etl.delivery.message import OutgoingMessage
from usage_etl.delivery.store import OutStore
from usage_etl.errors import DeliveryError, LakeError

_LINE_START_DOT = re.compile(rb"^\.", re.MULTILINE)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class HandOver(StrEnum):
    """What became of one message for one recipient."""

    SENT = "sent"
    """The server took responsibility, or the file is written."""
    REFUSED = "refused"
    """The server will not take it for this recipient; trying again gives the same answer."""
    UNSENT = "unsent"
    """Nothing was handed over; trying again can help."""
    BLOCKED = "blocked"
    """Nothing was handed over, and settings must change first: wrong password, no TLS, sender not allowed."""
    AMBIGUOUS = "ambiguous"
    """The line broke after the content went out: nobody here can know whether the server has it."""


@dataclass(frozen=True)
class Outcome:
    """A hand-over and the server's words, or the key of the written file."""

    status: HandOver
    reason: str


class Mailer(Protocol):
    """Sends one message to its envelope recipients."""

    def send(self, message: OutgoingMessage) -> Mapping[str, Outcome]:
        """Outcome by recipient address; one for each recipient of the message."""
        ...


@dataclass(frozen=True)
class FileMailer:
    """Writes each message as ``<folder>/<report>-<period>-<key>.eml`` into the out location. The default without a server."""

    store: OutStore
    folder: str = "mail"

    def send(self, message: OutgoingMessage) -> dict[str, Outcome]:
        """SENT with the file's key for all recipients, or UNSENT for all when the store fails."""
        key = f"{self.folder}/{message.file_name}"
        try:
            self.store.write(key, message.content, content_type="message/rfc822")
        except (OSError, LakeError) as error:
            return dict.fromkeys(message.recipients, Outcome(HandOver.UNSENT, f"{key} could not be written: {error}"))
        return dict.fromkeys(message.recipients, Outcome(HandOver.SENT, key))


@dataclass(frozen=True)
class SmtpMailer:
    """Sends by SMTP. ``starttls`` and ``tls`` verify the server's certificate and never fall back to plain text.

    ``timeout_s`` bounds each wait for the server. Raises DeliveryError for a password that would cross the network in
    clear text.
    """

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout_s: float = 30.0
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.security == "none" and self.password is not None and self.host not in _LOOPBACK:
            raise DeliveryError(f"mail.security is none: the password would cross the network to {self.host} in clear text")

    def send(self, message: OutgoingMessage) -> dict[str, Outcome]:
        """One SMTP transaction. Recipients that the server refuses do not hold up the others."""
        try:
            session = self._open()
        except (ssl.SSLCertVerificationError, smtplib.SMTPNotSupportedError) as error:
            return dict.fromkeys(message.recipients, Outcome(HandOver.BLOCKED, f"{self.host}: {error}"))
        except smtplib.SMTPResponseException as error:
            return dict.fromkeys(message.recipients, _of_session(error.smtp_code, error.smtp_error))
        except OSError as error:
            return dict.fromkeys(message.recipients, Outcome(HandOver.UNSENT, f"{self.host}: {error}"))
        try:
            return _transact(session, message)
        finally:
            with contextlib.suppress(OSError):
                session.quit()
            session.close()

    def _open(self) -> smtplib.SMTP:
        context = self.tls or ssl.create_default_context()
        session: smtplib.SMTP
        if self.security == "tls":
            session = smtplib.SMTP_SSL(self.host, self.port, timeout=self.timeout_s, context=context)
        else:
            session = smtplib.SMTP(self.host, self.port, timeout=self.timeout_s)
        try:
            if self.security == "starttls":
                session.starttls(context=context)
            session.ehlo_or_helo_if_needed()
            if self.username is not None:
                session.login(self.username, self.password or "")
        except BaseException:
            session.close()
            raise
        return session


def _transact(session: smtplib.SMTP, message: OutgoingMessage) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    try:
        refusal = _envelope(session, message, outcomes)
    except OSError as error:
        refusal = Outcome(HandOver.UNSENT, f"connection lost before the content was sent: {error}")
    waiting = [recipient for recipient in message.recipients if recipient not in outcomes]
    if waiting:
        outcomes |= dict.fromkeys(waiting, refusal or _content(session, message.content))
    return outcomes


def _envelope(session: smtplib.SMTP, message: OutgoingMessage, outcomes: dict[str, Outcome]) -> Outcome | None:
    """Sender, recipients and the DATA command; fills ``outcomes`` of refused recipients. None when content may follow."""
    size = [f"size={len(message.content)}"] if session.has_extn("size") else []
    code, reply = session.mail(message.sender, size)
    if code != 250:
        return _of_message(code, reply) if code == 552 else _of_session(code, reply)
    for recipient in message.recipients:
        code, reply = session.rcpt(recipient)
        if code not in (250, 251):
            outcomes[recipient] = _of_message(code, reply)
    if len(outcomes) == len(message.recipients):
        return None
    code, reply = session.docmd("DATA")
    return None if code == 354 else _of_message(code, reply)


def _content(session: smtplib.SMTP, content: bytes) -> Outcome:
    try:
        session.send(_LINE_START_DOT.sub(b"..", content) + b".\r\n")
        code, reply = session.getreply()
    except OSError as error:
        return Outcome(HandOver.AMBIGUOUS, f"connection lost after the content was sent: {error}")
    if 200 <= code < 300:
        return Outcome(HandOver.SENT, _words(code, reply))
    if 400 <= code < 600:
        return _of_message(code, reply)
    return Outcome(HandOver.AMBIGUOUS, f"the server's answer to the content makes no sense: {_words(code, reply)}")


def _of_message(code: int, reply: bytes) -> Outcome:
    return Outcome(HandOver.REFUSED if 500 <= code < 600 else HandOver.UNSENT, _words(code, reply))


def _of_session(code: int, reply: bytes | str) -> Outcome:
    return Outcome(HandOver.BLOCKED if 500 <= code < 600 else HandOver.UNSENT, _words(code, reply))


def _words(code: int, reply: bytes | str) -> str:
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    return " ".join(f"{code} {text}".split())[:300]
