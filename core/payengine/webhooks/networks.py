"""Which addresses may nobody's webhooks reach?

After IANA's special-purpose registries (RFC 6890 and its updates): only global unicast passes.
Addresses that carry another address inside (IPv4-mapped, NAT64, 6to4, Teredo) are refused whatever
they carry: it is not for us to guess where they lead.
"""

from __future__ import annotations

import ipaddress

__all__ = ["why_refused"]

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(*texts: str) -> tuple[_Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


#: Clouds answer here with credentials, or with what else is meant for the machine alone.
_METADATA = _networks(
    "169.254.169.254/32",
    "100.100.100.200/32",
    "168.63.129.16/32",
    "192.0.0.192/32",
    "fd00:ec2::254/128",
    "fd20:ce::254/128",
)

#: This machine and networks of one's own: what the operator's setting opens.
_PRIVATE = _networks(
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "::1/128",
    "fc00::/7",
)

_SPECIAL = _networks(
    "0.0.0.0/8",  # this network, and unspecified
    "100.64.0.0/10",  # between a provider and its customers (CGNAT)
    "169.254.0.0/16",  # link-local
    "192.0.0.0/24",  # protocol assignments
    "192.0.2.0/24",  # documentation
    "192.31.196.0/24",  # AS112
    "192.52.193.0/24",  # multicast tunnels
    "192.88.99.0/24",  # relays of 6to4
    "192.175.48.0/24",  # AS112
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, and broadcast
    "2001::/23",  # Teredo, benchmarks, ORCHID and other protocol assignments
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4
    "2620:4f:8000::/48",  # AS112
    "3fff::/20",  # documentation
)

#: All that is global unicast in IPv6; the mapped, translated and local forms lie outside.
_GLOBAL_6 = ipaddress.ip_network("2000::/3")


def why_refused(text: str, *, allow_private: bool = False) -> str | None:
    """What kind of address this is if nobody may reach it; None where it may be reached.

    `allow_private` opens this machine and private networks, and nothing else.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "no address"
    if address.version == 6 and address.scope_id is not None:
        return "bound to one link"
    if _lies_in(address, _METADATA):
        return "a cloud's metadata address"
    if _lies_in(address, _PRIVATE):
        return None if allow_private else "private"
    if _lies_in(address, _SPECIAL):
        return "not a public address"
    if address.version == 6 and address not in _GLOBAL_6:
        return "not a public address"
    return None


def _lies_in(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, networks: tuple[_Network, ...]
) -> bool:
    return any(address.version == each.version and address in each for each in networks)
