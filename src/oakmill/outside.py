"""Which machines outside may be spoken to: a name is resolved once, and what was looked at is what is connected to."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

_ASSIGNED = ipaddress.ip_network("2000::/3")
"""What IPv6 has of public addresses; all other blocks are some network's own, or are translated to one's."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def addresses_of(host: str, port: int) -> list[str]:
    """The addresses behind a name, in the order in which the system would try them.

    Raises:
        OSError: there is no such host.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is empty, or too long
        raise OSError(f"{host[:100]!r} is no name of a host") from error
    return list(dict.fromkeys(str(item[4][0]) for item in found))


def is_public(address: str) -> bool:
    """Whether the address is one of the public network, and not of this machine, or of the network that it is in."""
    found = _meant(address)
    assigned = found.version == 4 or found in _ASSIGNED
    return assigned and found.is_global and not found.is_multicast


def is_within(address: str, networks: Iterable[str]) -> bool:
    """Whether the address is in one of the networks, written as 10.0.0.0/8."""
    found = _meant(address)
    return any(found in ipaddress.ip_network(network) for network in networks)


def _meant(address: str) -> Address:
    """The address that is reached in the end: IPv6 has several ways to write one of IPv4."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv4Address):
        return found
    if found in _NAT64:
        return ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)
    return found.ipv4_mapped or found.sixtofour or found
