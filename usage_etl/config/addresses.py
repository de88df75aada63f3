"""Which network addresses may be called when somebody else chooses the host: public ones, and private ones by permission.

Python's own idea of a global address is not enough: it takes several ways of wrapping a private IPv4 address into IPv6 for
public, and it knows nothing of the addresses where clouds answer with credentials.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated

from pydantic import AfterValidator

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_METADATA = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",  # AWS, Azure, Google, DigitalOcean, OpenStack
        "169.254.170.2",  # AWS containers
        "169.254.170.23",  # AWS pods
        "168.63.129.16",  # Azure's host
        "100.100.100.200",  # Alibaba
        "192.0.0.192",  # Oracle
        "fd00:ec2::254",  # AWS
        "fd00:ec2::23",  # AWS pods
        "fd20:ce::254",  # Google
    )
)
"""Where clouds answer with credentials: never called, whatever is allowed."""

_WRAPPERS = tuple(
    ip_network(text)
    for text in ("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "fec0::/10")
)
"""Ways of writing an IPv4 address as an IPv6 one, and site-local addresses."""


def address_refusal(address: Address, allowed: Sequence[Network] = ()) -> str | None:
    """Why ``address`` is not called; None when it may be. ``allowed`` are private networks that the channel permits."""
    fault = _always_refused(address)
    if fault or is_inside(address, allowed):
        return fault
    if is_inside(address, _WRAPPERS):
        return f"{address} may lead to a private IPv4 address"
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        return f"{address} is not a public address; allow_private_networks can permit it"
    return None


def _always_refused(address: Address) -> str | None:
    if address in _METADATA or any(inner in _METADATA for inner in _wrapped(address)):
        return f"{address} is where a cloud hands out credentials; no setting allows it"
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return f"{address} is an IPv4 address in disguise"
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return f"{address} is only valid on one link"
    return None


def _wrapped(address: Address) -> list[IPv4Address]:
    """IPv4 addresses that an IPv6 address leads to, when it is one of the wrapped forms."""
    if isinstance(address, IPv4Address) or not is_inside(address, _WRAPPERS):
        return []
    low = IPv4Address(int(address) & 0xFFFF_FFFF)  # mapped, compatible and NAT64
    return [low, *(inner for inner in (address.sixtofour, *(address.teredo or ())) if inner is not None)]


def is_inside(address: Address, networks: Sequence[Network]) -> bool:
    """Whether one of ``networks`` holds ``address``."""
    return any(address.version == network.version and address in network for network in networks)


def host_fault(host: str, allowed: Sequence[Network] = ()) -> str | None:
    """What is wrong with a host as it is written, before any name is looked up; None when nothing is."""
    try:
        return address_refusal(ip_address(host.strip("[]")), allowed)
    except ValueError:
        pass
    if _is_odd_number(host):
        return f"{host} is another spelling of an IPv4 address; write four decimal numbers"
    if not host.isascii():
        return f"{host!r} holds other than ASCII letters; write the name in its xn-- form"
    return None


def _is_odd_number(host: str) -> bool:
    """Whether the system would read ``host`` as an address although it is not written as one: 2130706433, 0x7f.1, 127.1."""
    try:
        socket.inet_aton(host)
    except OSError:
        return False
    return True


def _known_network(text: str) -> str:
    try:
        network = ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a network; write 10.0.0.0/8 or fd00::/8 ({error})") from error
    if network.prefixlen == 0:
        raise ValueError(f"{text!r} is the whole internet; name the private networks that may be called")
    return text


NetworkText = Annotated[str, AfterValidator(_known_network)]
"""A network in CIDR form, such as 10.20.0.0/16."""
