"""SMTP servers that answer as told, for the tests of delivery."""

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Inbox:
    """Keeps accepted messages; refuses recipients and contents as told."""

    def __init__(self, *, recipients=None, data="250 kept"):
        self.accepted = []
        self.recipients, self.data = recipients or {}, data
        self.logins = []

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):  # noqa: N802 - aiosmtpd's name
        """Accept a recipient unless told otherwise."""
        if address in self.recipients:
            return self.recipients[address]
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        """Keep the message, answer as told; ``drop`` keeps it and hangs up without an answer."""
        if self.data == "drop":
            self.accepted.append((tuple(envelope.rcpt_tos), envelope.original_content))
            server.transport.abort()
            return "250 never seen"
        if self.data.startswith("250"):
            self.accepted.append((tuple(envelope.rcpt_tos), envelope.original_content))
        return self.data

    def authenticate(self, server, session, envelope, mechanism, auth_data):
        """One user with one password."""
        self.logins.append(auth_data.login)
        return AuthResult(success=(auth_data.login, auth_data.password) == (b"robot", b"right"), handled=False)


def free_port():
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serving(inbox, **options):
    """A running aiosmtpd server; gives its port."""
    controller = Controller(inbox, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


@contextlib.contextmanager
def scripted(*, heard=None, **replies):
    """A bare server for one connection that answers each verb with the given bytes; None hangs up, ``...`` stays silent.

    ``content`` is the answer to the end of the content; verbs are added to ``heard``. Gives its port.
    """
    script = {
        "greeting": b"220 hi",
        "ehlo": b"250 hi",
        "mail": b"250 ok",
        "rcpt": b"250 ok",
        "data": b"354 go",
        "content": b"250 ok",
    }
    script |= {"quit": b"221 bye", "rset": b"250 ok"} | replies
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def answer(connection, verb):
        reply = script.get(verb, b"502 what")
        if heard is not None:
            heard.append(verb)
        if reply is ...:
            done.wait(20)
        if reply in (None, ...):
            return False
        connection.sendall(reply + b"\r\n")
        return True

    def serve():
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as lines:
                is_open, is_content = answer(connection, "greeting"), False
                while is_open and (line := lines.readline()):
                    if is_content and line != b".\r\n":
                        continue
                    verb = "content" if is_content else line.split()[0].decode().lower()
                    is_open = answer(connection, verb)
                    is_content = verb == "data" and script["data"] == b"354 go"

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        done.set()
        listener.close()
        thread.join()


def certificate(folder):
    """``(server context, client context that trusts it)`` of a fresh self-signed certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now - dt.timedelta(1), now + dt.timedelta(1)
        )
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "certificate.pem"
    plain = serialization.NoEncryption()
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=pem)
    server.load_cert_chain(pem)
    return server, client
