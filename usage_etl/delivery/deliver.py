"""Mails a report once to each recipient: claim, compose, hand over, record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from usage_etl.delivery.headers import Mailbox
from usage_etl.delivery.ledger import Send, SendLedger
from usage_etl.delivery.mail import HandOver, Mailer, Outcome
from usage_etl.delivery.message import Draft, OutgoingMessage, compose
from usage_etl.errors import UndeliveredError

EMAIL = "email"
"""Channel of mail in the ledger."""

_DONE = frozenset({"sent", "already_sent"})
_TRANSIENT = frozenset({"unsent", "in_flight"})


@dataclass(frozen=True)
class Delivered:
    """What became of one recipient.

    ``status``: sent; already_sent (this content, earlier); in_flight (another process holds the claim right now);
    unsent (trying again can help); blocked (settings must change); dead (refused for good); ambiguous (may have arrived).
    """

    status: str
    reason: str
    send_key: str


@dataclass(frozen=True)
class DeliveryReport:
    """What became of one report's mail, by recipient address."""

    report: str
    period: str
    outcomes: Mapping[str, Delivered]

    def with_status(self, *statuses: str) -> list[str]:
        """Addresses with one of ``statuses``."""
        return [address for address, delivered in self.outcomes.items() if delivered.status in statuses]

    def raise_for_failures(self) -> None:
        """Raises UndeliveredError unless every recipient has the mail; not permanent when trying again can help."""
        failed = {address: delivered for address, delivered in self.outcomes.items() if delivered.status not in _DONE}
        if failed:
            raise UndeliveredError(
                self.report,
                self.period,
                {address: f"{item.status} ({item.reason}) [send {item.send_key[:12]}]" for address, item in failed.items()},
                is_permanent=not any(item.status in _TRANSIENT for item in failed.values()),
            )


def deliver_once(ledger: SendLedger, mailer: Mailer, draft: Draft, recipients: Sequence[Mailbox]) -> DeliveryReport:
    """Send ``draft`` to those of ``recipients`` who did not get this content yet; ask as often as you like.

    Recipients who got the same report and period with other content get it marked as an update. Failures to hand over
    stand in the report: call ``raise_for_failures``. Raises DeliveryError when the message cannot be composed, and
    whatever an unexpected fault of the mailer raises, after its recipients are recorded as ambiguous.
    """
    unique = {recipient.address.lower(): recipient for recipient in recipients}
    outcomes: dict[str, Delivered] = {}
    sends = {recipient.address: send_of(draft, recipient) for recipient in unique.values()}
    earlier = {address: ledger.has_other_content(send) for address, send in sends.items()}
    for is_update in (False, True):
        group = [recipient for recipient in unique.values() if earlier[recipient.address] is is_update]
        claimed = [recipient for recipient in group if ledger.claim(sends[recipient.address])]
        outcomes |= {
            recipient.address: _standing(ledger, sends[recipient.address]) for recipient in group if recipient not in claimed
        }
        if claimed:
            outcomes |= _send(ledger, mailer, draft, {item: sends[item.address] for item in claimed}, is_update=is_update)
    return DeliveryReport(draft.report, draft.period, {address: outcomes[address] for address in sends})


def send_of(draft: Draft, recipient: Mailbox) -> Send:
    """The send of ``draft`` to ``recipient``, as the ledger knows it."""
    return Send(draft.report, draft.period, EMAIL, recipient.address, draft.content_sha256)


def _standing(ledger: SendLedger, send: Send) -> Delivered:
    record = ledger.standing(send)
    if record is None:
        return Delivered("in_flight", "taken by another process and gone again", send.send_key)
    status = {"sent": "already_sent", "claimed": "in_flight", "released": "in_flight"}.get(record.status, record.status)
    reason = record.status_reason or f"{record.status} since {record.claimed_at.isoformat(timespec='seconds')}"
    return Delivered(status, reason, send.send_key)


def _send(
    ledger: SendLedger, mailer: Mailer, draft: Draft, claimed: Mapping[Mailbox, Send], *, is_update: bool
) -> dict[str, Delivered]:
    try:
        message = compose(draft, list(claimed), is_update=is_update)
    except Exception as error:
        for send in claimed.values():
            ledger.give_back(send.send_key, f"not composed: {error}")
        raise
    outcomes = _hand_over(ledger, mailer, message, claimed)
    return {
        recipient.address: _record(ledger, send, outcomes.get(recipient.address, _NO_WORD)) for recipient, send in claimed.items()
    }


_NO_WORD = Outcome(HandOver.AMBIGUOUS, "the mailer said nothing about this recipient")


def _hand_over(
    ledger: SendLedger, mailer: Mailer, message: OutgoingMessage, claimed: Mapping[Mailbox, Send]
) -> Mapping[str, Outcome]:
    try:
        return mailer.send(message)
    except Exception as error:
        for send in claimed.values():
            ledger.mark_ambiguous(send.send_key, f"the mailer failed in an unforeseen way: {type(error).__name__}: {error}")
        raise


def _record(ledger: SendLedger, send: Send, outcome: Outcome) -> Delivered:
    match outcome.status:
        case HandOver.SENT:
            ledger.mark_sent(send.send_key, outcome.reason)
        case HandOver.REFUSED:
            ledger.mark_dead(send.send_key, outcome.reason)
            return Delivered("dead", outcome.reason, send.send_key)
        case HandOver.AMBIGUOUS:
            ledger.mark_ambiguous(send.send_key, outcome.reason)
        case HandOver.UNSENT | HandOver.BLOCKED:
            ledger.give_back(send.send_key, outcome.reason)
    return Delivered(str(outcome.status), outcome.reason, send.send_key)
