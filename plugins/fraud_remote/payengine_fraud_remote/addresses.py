"""May the provider's URL be asked, and at which address?

The name is resolved, every address that it has must be a public one, and the connection goes to
the one that was checked: a tenant's URL must not lead into the operator's own network.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import NamedTuple
from urllib.parse import urlsplit

__all__ = ["Target", "UrlRefused", "parse_url", "pinned"]

_LONGEST = 2_000
_DEFAULT_PORTS = {"https": 443, "http": 80}
_FIRST_FREE_PORT = 1_024

#: Public by the registries, and yet inside: addresses that carry another one (NAT64, 6to4 and
#: Teredo among the first), and a cloud's own services.
_INSIDE = tuple(
    ipaddress.ip_network(text)
    for text in (
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "2001::/23",
        "168.63.129.16/32",
        "100.64.0.0/10",
        "192.88.99.0/24",
    )
)
#: What the operator's switch opens: this machine and networks of one's own.
_OWN = tuple(
    ipaddress.ip_network(text)
    for text in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",
        "fc00::/7",
    )
)


class UrlRefused(ValueError):
    """The URL may not be asked."""


class Target(NamedTuple):
    """A URL that was taken apart; `path` has the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The value of the header `Host`."""
        return self._with_port(self.host)

    def at(self, address: str) -> str:
        """The URL with the address in place of the name."""
        return f"{self.scheme}://{self._with_port(address)}{self.path}"

    def _with_port(self, host: str) -> str:
        host = f"[{host}]" if ":" in host else host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def parse_url(url: str) -> Target:
    """Take it apart; raises `UrlRefused`. Asks nobody."""
    printable = url.isascii() and url.isprintable() and not set(url) & set(" \\#")
    if not printable or len(url) > _LONGEST:
        raise UrlRefused("give an absolute URL in ASCII, without a fragment")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UrlRefused("the URL cannot be read") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise UrlRefused("the URL begins with https:// and a host")
    if "@" in parts.netloc:
        raise UrlRefused("a user name or a password in the URL is not allowed")
    port = _DEFAULT_PORTS[parts.scheme] if port is None else port
    if port != _DEFAULT_PORTS[parts.scheme] and port < _FIRST_FREE_PORT:
        raise UrlRefused("the port is the usual one, or above 1023")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, parts.hostname, port, path)


async def pinned(target: Target, *, allow_private: bool) -> str:
    """The address to connect to; raises `UrlRefused`. `allow_private` opens one's own networks
    and `http`."""
    if target.scheme != "https" and not allow_private:
        raise UrlRefused("the URL begins with https://")
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UrlRefused("the host has no address") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not addresses:
        raise UrlRefused("the host has no address")
    for address in addresses:
        if not _is_allowed(address, allow_private=allow_private):
            raise UrlRefused("the host has an address that may not be asked")
    return addresses[0]


def _is_allowed(text: str, *, allow_private: bool) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False  # a scoped address (fe80::1%eth0) leads to a neighbour
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return False
    if any(address in network for network in _OWN if network.version == address.version):
        return allow_private
    if any(address in network for network in _INSIDE if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast
