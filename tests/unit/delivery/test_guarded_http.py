"""Where a call may go is decided once, by address; what a server does cannot take more time or memory than it is given."""

import socket
import ssl
import threading
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.delivery.http_servers import LOOPBACK, hanging_up, local_http, serving_http
from tests.unit.delivery.smtp_servers import certificate, free_port
from usage_etl.config.addresses import address_refusal, host_fault, is_inside
from usage_etl.delivery.guarded_http import (
    ANSWER_LIMIT,
    GuardedHttp,
    NoAnswerError,
    NothingSentError,
    RefusedAddressError,
    checked_addresses,
    system_addresses,
)

REFUSED = [
    "127.0.0.1", "127.8.9.10", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1",
    "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.100.100.200", "169.254.169.254", "169.254.170.2",
    "169.254.1.1", "168.63.129.16", "192.0.0.1", "192.0.0.192", "192.0.2.1", "198.18.0.1",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%1", "fc00::1", "fd00::1",
    "fd00:ec2::254", "fec0::1", "ff02::1", "100::1", "2001:db8::1", "2001::1",
    "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1",
    "2002:7f00:1::", "2002:a00:1::1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001::1"]
ODD_HOSTS = ["2130706433", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1", "017700000001", "127.0.0.1.", "①②⑦.⓪.⓪.①"]


def answering(*answers):
    """A resolver that gives one list of addresses after the other, and counts how often it was asked."""
    asked = []

    def resolve(host, port):
        asked.append(host)
        return [ip_address(text) for text in answers[min(len(asked), len(answers)) - 1]]

    return resolve, asked


def get(http, url):
    return http.call("GET", url, headers={})


@pytest.mark.parametrize("text", REFUSED)
def test_address_that_is_not_public_is_refused(text):
    assert address_refusal(ip_address(text)) is not None
    resolve, _ = answering([text])
    with pytest.raises(RefusedAddressError):
        get(GuardedHttp(resolve=resolve), "https://hooks.example/x")


@pytest.mark.parametrize("text", PUBLIC)
def test_public_address_may_be_called(text):
    assert address_refusal(ip_address(text)) is None
    assert checked_addresses("hooks.example", [ip_address(text)], (), is_plain=False) == [ip_address(text)]


@pytest.mark.parametrize("host", ODD_HOSTS)
def test_other_spellings_of_an_address_are_refused(host):
    assert host_fault(host.rstrip(".")) is not None
    with pytest.raises((RefusedAddressError, NothingSentError)):
        get(GuardedHttp(), f"https://{host}:{free_port()}/")


@given(st.integers(0, 2**32 - 1))
def test_no_wrapping_of_a_private_ipv4_address_gets_through(number):
    plain = ip_address(number)
    if address_refusal(plain) is None:
        return
    packed = int(plain)
    wrapped = [0xFFFF << 32 | packed, packed, 0x64FF9B << 96 | packed, 0x2002 << 112 | packed << 80, 0x20010000 << 96 | packed]
    for value in wrapped:
        assert address_refusal(ip_address(value.to_bytes(16))) is not None


def test_private_network_is_called_only_where_it_is_allowed():
    allowed = (ip_network("10.20.0.0/16"), ip_network("fd12::/16"))
    assert address_refusal(ip_address("10.20.1.1"), allowed) is None
    assert address_refusal(ip_address("fd12::1"), allowed) is None
    assert address_refusal(ip_address("10.21.1.1"), allowed) is not None


def test_where_a_cloud_hands_out_credentials_is_never_called():
    networks = ("169.254.0.0/16", "fd00::/8", "100.64.0.0/10", "168.0.0.0/8", "::/8", "64:ff9b::/32", "2002::/16", "2001::/32")
    everything = tuple(map(ip_network, networks))
    plain = ("169.254.169.254", "169.254.170.2", "fd00:ec2::254", "100.100.100.200", "168.63.129.16")
    wrapped = ("::ffff:169.254.169.254", "::a9fe:a9fe", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1")
    teredo = ip_address((0x20010000 << 96 | (~0xA9FEA9FE & 0xFFFFFFFF)).to_bytes(16))
    for address in (*map(ip_address, (*plain, *wrapped)), teredo):
        assert is_inside(address, everything)
        assert address_refusal(address, everything) is not None, address
    assert address_refusal(ip_address("::ffff:10.0.0.1"), everything) is not None


def test_loopback_is_refused_by_default_and_nobody_is_connected_to():
    with serving_http() as server:
        with pytest.raises(RefusedAddressError, match="not a public address"):
            get(GuardedHttp(), server.url)
        with pytest.raises(RefusedAddressError, match="not a public address"):
            get(GuardedHttp(), server.url.replace("127.0.0.1", "localhost"))
        assert server.heard == []
        assert get(local_http(), server.url).status == 200


def test_plain_http_is_refused_outside_of_allowed_networks():
    resolve, _ = answering(["93.184.215.14"])
    with pytest.raises(RefusedAddressError, match="https:// only"):
        get(GuardedHttp(allowed=LOOPBACK, resolve=resolve), "http://hooks.example/")


def test_name_that_changes_its_address_after_the_check_gains_nothing():
    """The first answer is allowed, every later one would lead elsewhere: the guard never asks again."""
    with serving_http() as right, serving_http() as wrong:
        resolve, asked = answering(["127.0.0.1"], ["127.0.0.2"])
        answer = get(local_http(resolve=resolve), right.url.replace("127.0.0.1", "hooks.example"))
        assert (answer.status, asked, len(right.heard), wrong.heard) == (200, ["hooks.example"], 1, [])
        assert right.heard[0].headers["Host"].startswith("hooks.example:")


def test_of_several_addresses_only_permitted_ones_are_tried():
    with serving_http() as server:
        resolve, _ = answering(["169.254.169.254", "::1", "127.0.0.1"])
        assert get(local_http(resolve=resolve), server.url.replace("127.0.0.1", "hooks.example")).status == 200


def test_certificate_must_be_for_the_name_although_the_connection_goes_to_an_address(tmp_path):
    server_tls, client_tls = certificate(tmp_path)
    seen = []
    server_tls.sni_callback = lambda _socket, name, _context: seen.append(name)
    with serving_http(tls=server_tls) as server:
        assert get(local_http(tls=client_tls), server.url).status == 200
        resolve, _ = answering(["127.0.0.1"])
        with pytest.raises(NothingSentError, match=r"hooks\.example"):
            get(local_http(tls=client_tls, resolve=resolve), server.url.replace("127.0.0.1", "hooks.example"))
        assert seen == [None, "hooks.example"]
        with pytest.raises(NothingSentError, match="certificate"):
            get(local_http(), server.url)
        assert len(server.heard) == 1


def test_redirect_is_not_followed():
    with serving_http() as inner, serving_http() as server:
        server.answer = (302, {"Location": inner.url}, b"")
        assert get(local_http(), server.url).status == 302
        assert inner.heard == []


def test_proxies_and_logins_of_the_environment_are_not_used(monkeypatch, tmp_path):
    with serving_http() as proxy, serving_http() as server:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
        monkeypatch.setenv("NETRC", str(netrc))
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert get(local_http(), server.url).status == 200
        assert proxy.heard == []
        assert "Authorization" not in server.heard[0].headers


def test_drip_of_headers_ends_with_the_time_of_the_call():
    with serving_http("slow headers") as server, pytest.raises((NoAnswerError, NothingSentError)):
        get(local_http(timeout_s=3), server.url)


def test_drip_of_a_body_ends_with_the_time_of_the_call():
    with serving_http("slow body") as server:
        answer = get(local_http(timeout_s=3), server.url)
    assert (answer.status, answer.is_cut) == (200, True)
    assert len(answer.body) < 1000


def test_endless_body_is_cut_and_its_status_counts():
    with serving_http("endless body") as server:
        answer = get(local_http(), server.url)
        assert (answer.status, len(answer.body), answer.is_cut) == (200, ANSWER_LIMIT, True)


def test_compressed_body_is_not_unpacked():
    with serving_http((200, {"Content-Encoding": "gzip"}, b"not gzip at all")) as server:
        assert get(local_http(), server.url).body == b"not gzip at all"
        assert server.heard[0].headers["Accept-Encoding"] == "identity"


def test_body_that_breaks_off_keeps_its_status():
    with serving_http("cut body") as server:
        answer = get(local_http(), server.url)
        assert (answer.status, answer.body, answer.is_cut) == (200, b"half", True)


def test_hanging_up_after_reading_is_no_answer():
    with serving_http("hang up") as server, pytest.raises(NoAnswerError):
        get(local_http(), server.url)


def test_hanging_up_before_reading_leaves_it_open_whether_it_was_read():
    with hanging_up() as url, pytest.raises((NoAnswerError, NothingSentError)):
        local_http().call("POST", url, headers={}, content=b"x" * 1000)


def test_nobody_listening_means_that_nothing_was_sent():
    with pytest.raises(NothingSentError):
        get(local_http(), f"http://127.0.0.1:{free_port()}")
    with pytest.raises(NothingSentError, match="cannot be resolved"):
        get(GuardedHttp(), "https://does-not-exist.invalid")


def test_handshake_that_never_ends_sent_nothing(tmp_path):
    listener = socket.create_server(("127.0.0.1", 0))
    kept = []
    thread = threading.Thread(target=lambda: kept.append(listener.accept()))
    thread.start()
    try:
        with pytest.raises(NothingSentError):
            get(local_http(timeout_s=0.3), f"https://127.0.0.1:{listener.getsockname()[1]}")
    finally:
        thread.join()
        listener.close()
        for connection, _ in kept:
            connection.close()


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "file:///etc/passwd", "https://", "http://[::1", "127.0.0.1"])
def test_what_is_no_web_address_is_refused(url):
    with pytest.raises((RefusedAddressError, NothingSentError)):
        get(local_http(), url)


def test_header_that_cannot_be_written_is_not_repeated():
    with serving_http() as server, pytest.raises(NothingSentError) as caught:
        local_http().call("GET", server.url, headers={"Authorization": "Bearer hunter2\r\nX: y"})
    assert "hunter2" not in str(caught.value)


def test_resolver_of_the_system_knows_this_machine():
    assert ip_address("127.0.0.1") in system_addresses("localhost", 80)


def test_certificates_are_verified_by_default():
    assert GuardedHttp().tls is None
    assert ssl.create_default_context().check_hostname
