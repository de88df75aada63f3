"""Mail header lines built by hand, because a name with an encoded line break must not become a second header.

The standard library decodes encoded words in a value and writes what they hold, line breaks included, on interpreters
that are in use (Python 3.11.7 writes a ``Bcc`` of the attacker's choice). Here a value is first reduced to one line of
printable text without encoded words, then written as printable ASCII or as encoded words of our own.
"""

from __future__ import annotations

import re
import unicodedata
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from usage_etl.errors import DeliveryError

_LINE_LENGTH = 76
_WORD_BYTES = 45
"""UTF-8 bytes in one encoded word; with its frame that is 72 of the 75 characters that are allowed."""
_TEXT_LIMIT = 250

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"(?=.{{3,254}}\Z)(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_MAILBOX = re.compile(r"\s*(?:(?P<name>[^<>]*?)\s*<(?P<framed>[^<>\s]*)>|(?P<bare>[^<>\s]+))\s*")
_ADDRESS_SPECIALS = re.compile(r'[()<>\[\]:;@\\,"]')


@dataclass(frozen=True)
class Mailbox:
    """Whom a message is from or for. Raises DeliveryError unless ``address`` is a plain ASCII address."""

    address: str
    name: str = ""

    def __post_init__(self) -> None:
        if _ADDRESS.fullmatch(self.address) is None or "=?" in self.address:
            raise DeliveryError(f"{self.address!r} is not a mail address that can be used; write name@example.com")

    @property
    def domain(self) -> str:
        """What stands after the at sign."""
        return self.address.rpartition("@")[2]

    @property
    def display_name(self) -> str:
        """The name as headers show it: one line without the characters that mean something in an address."""
        return clean_line(_ADDRESS_SPECIALS.sub(" ", clean_line(self.name)))


def parse_mailbox(text: str) -> Mailbox:
    """``name@example.com`` or ``Any Name <name@example.com>``. Raises DeliveryError."""
    match = _MAILBOX.fullmatch(text)
    if match is None:
        raise DeliveryError(f"{text!r} is not a mail address; write name@example.com or Name <name@example.com>")
    if match["bare"] is not None:
        return Mailbox(match["bare"])
    return Mailbox(match["framed"], match["name"].strip().strip('"'))


def clean_line(text: str) -> str:
    """``text`` as one line of printable characters, single-spaced, at most 250 long, without encoded words."""
    kept = "".join(character if character.isprintable() else " " for character in text if unicodedata.category(character) != "Cf")
    return " ".join(kept[: 4 * _TEXT_LIMIT].split())[:_TEXT_LIMIT].strip().replace("=?", "= ?")


def text_header(name: str, text: str) -> bytes:
    """A header line of free text, folded. ``text`` is cleaned first."""
    return _folded(name, _text_words(clean_line(text)))


def mailbox_header(name: str, mailboxes: Sequence[Mailbox]) -> bytes:
    """A header line of addresses, folded between them."""
    words: list[str] = []
    for number, mailbox in enumerate(mailboxes, start=1):
        comma = "," if number < len(mailboxes) else ""
        display_name = mailbox.display_name
        if not display_name:
            words.append(f"{mailbox.address}{comma}")
        elif display_name.isascii():
            words += [*f'"{display_name}"'.split(" "), f"<{mailbox.address}>{comma}"]
        else:
            words += [*_encoded_words(display_name), f"<{mailbox.address}>{comma}"]
    return _folded(name, words)


def plain_header(name: str, text: str) -> bytes:
    """A header line of our own making: printable ASCII on one line. Raises DeliveryError otherwise."""
    if not text.isascii() or not text.isprintable() or len(name) + len(text) > 900:
        raise DeliveryError(f"header {name} cannot hold {text!r}")
    return f"{name}: {text}\r\n".encode("ascii")


def _text_words(line: str) -> list[str]:
    words = line.split(" ")
    if line.isascii() and all(len(word) < _LINE_LENGTH for word in words):
        return words
    return _encoded_words(line)


def _encoded_words(line: str) -> list[str]:
    pieces, piece = [], b""
    for character in line:
        encoded = character.encode()
        if len(piece) + len(encoded) > _WORD_BYTES:
            pieces.append(piece)
            piece = b""
        piece += encoded
    return [f"=?utf-8?b?{b64encode(part).decode()}?=" for part in [*pieces, piece]]


def _folded(name: str, words: Iterable[str]) -> bytes:
    lines = [f"{name}:"]
    for word in words:
        if len(lines[-1]) + 1 + len(word) > _LINE_LENGTH and lines[-1] != f"{name}:":
            lines.append("")
        lines[-1] += f" {word}"
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")
