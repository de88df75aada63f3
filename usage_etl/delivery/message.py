"""One mail: text, HTML and files in a tree whose bytes depend on nothing but what it says and to whom.

A message is read back by the standard library's parser before it is handed over: same headers and no others, same
recipients, same bodies, same files; otherwise it is not sent.
"""

from __future__ import annotations

import datetime as dt
import html as html_text
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser
from email.utils import format_datetime

from usage_etl.delivery.headers import Mailbox, clean_line, mailbox_header, plain_header, text_header
from usage_etl.errors import DeliveryError
from usage_etl.keys import fingerprint

_FILE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}(\.[a-z0-9]{1,10}){1,2}")
_MEDIA_TYPE = re.compile(r"(application|image|text)/[a-z0-9.+-]{1,80}(; charset=utf-8)?")
_BARE_LINE_END = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_LINE_END = re.compile(r"\r\n|\r|\n")
_MEGABYTE = 1024 * 1024
_HEADER_NAMES = (
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "List-Id",
    "Auto-Submitted",
    "X-Auto-Response-Suppress",
    "MIME-Version",
    "Content-Type",
)
_THREAD_HEADER_NAMES = ("In-Reply-To", "References")


@dataclass(frozen=True)
class Attachment:
    """A file to attach. Raises DeliveryError for a name or a type that does not belong into a header."""

    name: str
    content: bytes = field(repr=False)
    media_type: str

    def __post_init__(self) -> None:
        if _FILE_NAME.fullmatch(self.name) is None:
            raise DeliveryError(f"attachment name {self.name!r}: use a-z 0-9 _ - and an extension")
        if _MEDIA_TYPE.fullmatch(self.media_type) is None:
            raise DeliveryError(f"attachment {self.name}: {self.media_type!r} is not a media type that is sent")


@dataclass(frozen=True)
class Draft:
    """What a report's mail says, before it is known who still has to get it.

    ``content_sha256`` is the identity of what is reported: the manifest of the publication, or the report model. The same
    identity is never sent twice to one recipient, another one of the same period goes out as an update. ``as_of`` becomes
    the Date header. Attachments above ``attach_limit_bytes`` in all are left out, in order, and ``link`` stands instead.
    """

    report: str
    period: str
    content_sha256: str
    as_of: dt.datetime
    sender: Mailbox
    subject: str
    text: str
    html: str
    attachments: tuple[Attachment, ...] = ()
    attach_limit_bytes: int = 5 * _MEGABYTE
    link: str = ""
    """Where the files can be read: a stable https address, or the place in the out location, as text."""
    thread_key: str = ""
    """Hex identity of the conversation that the message belongs to; empty is a message of its own."""


@dataclass(frozen=True)
class OutgoingMessage:
    """A finished message and its envelope."""

    key: str
    """Hex identity of content and recipients; Message-ID, boundaries and the file name come from it."""
    report: str
    period: str
    sender: str
    recipients: tuple[str, ...]
    content: bytes = field(repr=False)

    @property
    def file_name(self) -> str:
        """Name under which the message is kept as a file."""
        return f"{self.report}-{self.period}-{self.key[:12]}.eml"


def compose(draft: Draft, recipients: Sequence[Mailbox], *, is_update: bool) -> OutgoingMessage:
    """The message for ``recipients``; equal arguments give equal bytes. ``is_update`` marks the subject.

    Raises DeliveryError when the finished bytes do not read back as what they should say, or nobody is to get them.
    """
    if not recipients:
        raise DeliveryError(f"{draft.report} {draft.period}: a message needs at least one recipient")
    addresses = tuple(recipient.address for recipient in recipients)
    key = fingerprint(
        {"report": draft.report, "period": draft.period, "content": draft.content_sha256, "recipients": sorted(addresses)}
    )
    subject = clean_line(f"Updated: {draft.subject}" if is_update else draft.subject)
    attached, notice = _within_limit(draft)
    text = _normal(draft.text) + (f"\n{notice}\n" if notice else "")
    html = _with_notice(_normal(draft.html), notice, link=clean_line(draft.link))
    content = b"".join(
        [
            mailbox_header("From", [draft.sender]),
            mailbox_header("To", recipients),
            text_header("Subject", subject),
            plain_header("Date", format_datetime(draft.as_of.astimezone(dt.UTC))),
            plain_header("Message-ID", f"<{key[:40]}@{draft.sender.domain}>"),
            *_thread_headers(draft),
            plain_header("List-Id", f"<{draft.report}.usage-etl.{draft.sender.domain}>"),
            plain_header("Auto-Submitted", "auto-generated"),
            plain_header("X-Auto-Response-Suppress", "All"),
            plain_header("MIME-Version", "1.0"),
            _body(key, text, html, attached),
        ]
    )
    _check_reads_back(content, draft, recipients, subject, (text, html, attached))
    return OutgoingMessage(key, draft.report, draft.period, draft.sender.address, addresses, content)


def _thread_headers(draft: Draft) -> list[bytes]:
    """Every message of a thread answers the same root, which nobody sends: mail programs then show them together."""
    if not draft.thread_key:
        return []
    root = f"<thread-{draft.thread_key[:40]}@{draft.sender.domain}>"
    return [plain_header("In-Reply-To", root), plain_header("References", root)]


def _within_limit(draft: Draft) -> tuple[list[Attachment], str]:
    attached: list[Attachment] = []
    left_out: list[str] = []
    room = draft.attach_limit_bytes
    for attachment in draft.attachments:
        if len(attachment.content) <= room:
            attached.append(attachment)
            room -= len(attachment.content)
        else:
            left_out.append(f"{attachment.name} ({len(attachment.content) / _MEGABYTE:.1f} MB)")
    if not left_out:
        return attached, ""
    limit = f"{draft.attach_limit_bytes / _MEGABYTE:g} MB"
    where = f" Read it here: {clean_line(draft.link)}" if draft.link else " Ask the sender for it."
    return attached, f"Not attached, because attachments are limited to {limit}: {', '.join(left_out)}.{where}"


def _with_notice(html: str, notice: str, *, link: str) -> str:
    if not notice:
        return html
    shown = html_text.escape(notice)
    if link.startswith(("https://", "http://")):
        shown = shown.replace(html_text.escape(link), f'<a href="{html_text.escape(link)}">{html_text.escape(link)}</a>')
    paragraph = f"<p>{shown}</p>\n"
    end = html.lower().rfind("</body>")
    return html + paragraph if end < 0 else html[:end] + paragraph + html[end:]


def _normal(text: str) -> str:
    """One kind of line end, no lone surrogates, and a final line end."""
    lines = _LINE_END.sub("\n", text.encode("utf-8", "replace").decode()).rstrip("\n")
    return f"{lines}\n"


def _body(key: str, text: str, html: str, attachments: Sequence[Attachment]) -> bytes:
    tree = MIMEPart(policy=policy.SMTP)
    tree.set_content(text, cte="quoted-printable")
    tree.add_alternative(html, subtype="html", cte="quoted-printable")
    for attachment in attachments:
        main_type, _, sub_type = attachment.media_type.partition(";")[0].partition("/")
        tree.add_attachment(attachment.content, maintype=main_type, subtype=sub_type, filename=attachment.name)
    for number, part in enumerate(part for part in tree.walk() if part.is_multipart()):
        part.set_boundary(f"=_{key[:40]}_{number}")
    return tree.as_bytes()


def _check_reads_back(
    content: bytes,
    draft: Draft,
    recipients: Sequence[Mailbox],
    subject: str,
    bodies: tuple[str, str, Sequence[Attachment]],
) -> None:
    text, html, attachments = bodies
    sender, names = draft.sender, [name for name in _HEADER_NAMES if draft.thread_key or name not in _THREAD_HEADER_NAMES]
    parsed = BytesParser(policy=policy.default).parsebytes(content)
    assert isinstance(parsed, EmailMessage)
    if parsed.keys() != names:
        raise DeliveryError(f"the message {subject!r} reads back with the headers {', '.join(parsed.keys())}; it was not sent")
    checks = {
        "line ends": _BARE_LINE_END.search(content) is None and content.isascii(),
        "From": _addresses(parsed, "From") == [(_unspaced(sender.display_name), sender.address)],
        "To": _addresses(parsed, "To") == [(_unspaced(mailbox.display_name), mailbox.address) for mailbox in recipients],
        "Subject": str(parsed["Subject"]) == subject,
        "defects": not parsed.defects and not any(parsed[name].defects for name in ("From", "To", "Subject", "Date")),
        "bodies": _leaves(parsed)
        == [
            ("text/plain", None, text.encode()),
            ("text/html", None, html.encode()),
            *((item.media_type.partition(";")[0], item.name, item.content) for item in attachments),
        ],
    }
    wrong = [what for what, is_right in checks.items() if not is_right]
    if wrong:
        raise DeliveryError(f"the message {subject!r} does not read back as written ({', '.join(wrong)}); it was not sent")


def _addresses(message: EmailMessage, name: str) -> list[tuple[str, str]]:
    return [(_unspaced(address.display_name), address.addr_spec) for address in message[name].addresses]


def _unspaced(name: str) -> str:
    """``name`` without spaces: interpreters differ in the spaces they see between two encoded words of a name."""
    return name.replace(" ", "")


def _leaves(message: EmailMessage) -> list[tuple[str, str | None, bytes]]:
    leaves = []
    for part in message.walk():
        if part.is_multipart():
            continue
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        if part.get_filename() is None:
            payload = payload.replace(b"\r\n", b"\n")
        leaves.append((part.get_content_type(), part.get_filename(), payload))
    return leaves
