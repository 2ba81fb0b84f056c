"""May a webhook be sent to this URL, and to which address?

Checked when an endpoint is saved and again at each send: the name is resolved, every address that
it has must be allowed, and the connection goes to the one that was checked. A name that moves
between the check and the connection (DNS rebinding) moves nothing.
"""

from __future__ import annotations

import ipaddress
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from payengine.context import Mode
from payengine.errors import WebhookUrlRefused
from payengine.webhooks.networks import why_refused
from payengine.webhooks.resolver import Resolver

if TYPE_CHECKING:
    from payengine.settings import Settings

__all__ = ["MAX_URL", "Addresses", "Target"]

MAX_URL = 2_000

_STANDARD_PORTS = {"https": 443, "http": 80}
_FIRST_FREE_PORT = 1_024
_LAST_PORT = 65_535
_LONGEST_NAME = 253

#: Printable ASCII alone: what one library reads as a separator another must not read otherwise.
_URL = re.compile(r"(https?)://([^/?#]*)((?:[/?][!-~]*)?)", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+))(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
#: The last label of what some resolvers read as an IPv4 address: `0x7f.1`, `2130706433`, `017.1`.
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
#: Names that belong to one machine or network (RFC 6761, 6762, 8375; ICANN's `.internal`).
_LOCAL_NAMES = (
    "localhost",
    "localdomain",
    "local",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "home.arpa",
    "lan",
)


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that was taken apart; `path` has the query, `address` is set once it is pinned."""

    scheme: str
    host: str
    port: int
    path: str
    address: str | None = None

    @property
    def is_address(self) -> bool:
        """Whether the host is an address and no name."""
        return ":" in self.host or self.host.rpartition(".")[2].isdigit()

    @property
    def authority(self) -> str:
        """The value of the header `Host`."""
        return self._with_port(self.host)

    @property
    def pinned_url(self) -> str:
        """The URL with the address in place of the name."""
        assert self.address is not None
        return f"{self.scheme}://{self._with_port(self.address)}{self.path}"

    def _with_port(self, host: str) -> str:
        host = f"[{host}]" if ":" in host else host
        is_standard = self.port == _STANDARD_PORTS[self.scheme]
        return host if is_standard else f"{host}:{self.port}"


class Addresses:
    """The rules of this installation."""

    def __init__(
        self,
        *,
        allow_private: bool = False,
        is_development: bool = False,
        resolver: Resolver | None = None,
    ) -> None:
        """`allow_private` opens this machine, private networks and every port; with it, `http`
        is open to test worlds, and to all in development."""
        self._allow_private = allow_private
        self._is_development = is_development
        self._resolver = resolver or Resolver()

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """As the operator chose."""
        return cls(
            allow_private=settings.webhook_allow_private, is_development=settings.is_development
        )

    def parse(self, url: str, mode: Mode) -> Target:
        """Take the URL apart; raises `WebhookUrlRefused`. Asks nobody."""
        if len(url) > MAX_URL:
            raise _refused(f"At most {MAX_URL} characters are allowed.")
        if "#" in url:
            raise _refused("A fragment (#…) is never sent: leave it out.")
        whole = _URL.fullmatch(url)
        if whole is None or "\\" in url:
            raise _refused("Give an absolute URL such as https://example.com/webhooks, in ASCII.")
        scheme, authority, path = whole[1].lower(), whole[2], whole[3]
        if "@" in authority:
            raise _refused("A user name or a password in the URL is not allowed.")
        self._check_scheme(scheme, mode)
        found = _AUTHORITY.fullmatch(authority)
        if found is None:
            raise _refused("The host is no name and no address.")
        host = self._host(six=found[1], name=found[2])
        port = int(found[3]) if found[3] else _STANDARD_PORTS[scheme]
        self._check_port(scheme, port)
        if not path.startswith("/"):
            path = f"/{path}"
        return Target(scheme, host, port, path)

    async def check(self, tenant_id: uuid.UUID, mode: Mode, url: str) -> Target:
        """As `parse`, and no address of the name may be refused. A name that has no address yet
        passes: each send asks again."""
        target = self.parse(url, mode)
        try:
            return await self._pinned(tenant_id, target)
        except OSError:
            return target

    async def pin(self, tenant_id: uuid.UUID, mode: Mode, url: str) -> Target:
        """Where to connect to, now. Raises `WebhookUrlRefused`, and OSError for an unknown name."""
        return await self._pinned(tenant_id, self.parse(url, mode))

    async def _pinned(self, tenant_id: uuid.UUID, target: Target) -> Target:
        if target.is_address:
            found = [target.host]
        else:
            found = list(await self._resolver.resolve(tenant_id, target.host))
        if not found:
            raise OSError("the name has no address")
        for address in found:
            self._check_address(address)
        return Target(target.scheme, target.host, target.port, target.path, found[0])

    def _check_address(self, address: str) -> None:
        reason = why_refused(address, allow_private=self._allow_private)
        if reason is not None:
            raise _refused(f"The host leads to an address that is refused: {reason}.")

    def _check_scheme(self, scheme: str, mode: Mode) -> None:
        may_be_plain = self._allow_private and (mode == "test" or self._is_development)
        if scheme == "http" and not may_be_plain:
            raise _refused("The URL must begin with https://.")

    def _check_port(self, scheme: str, port: int) -> None:
        is_usual = port == _STANDARD_PORTS[scheme] or _FIRST_FREE_PORT <= port <= _LAST_PORT
        if not is_usual and not (self._allow_private and 0 < port <= _LAST_PORT):
            raise _refused(
                f"The port is {_STANDARD_PORTS[scheme]}, or {_FIRST_FREE_PORT} to {_LAST_PORT}."
            )

    def _host(self, *, six: str | None, name: str | None) -> str:
        """The host in its one spelling."""
        literal = six if six is not None else name or ""
        try:
            address = ipaddress.ip_address(literal)
        except ValueError:
            if six is not None:
                raise _refused("The host is no IPv6 address.") from None
            return self._name(literal.lower())
        if (address.version == 6) != (six is not None):
            raise _refused("The host is no name and no address.")
        self._check_address(str(address))
        return str(address)

    def _name(self, name: str) -> str:
        labels = name.split(".")
        if len(name) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
            raise _refused("The host is not the name of a machine.")
        if _NUMBER.fullmatch(labels[-1]):
            raise _refused("Write an IPv4 address as four decimal numbers.")
        is_local = len(labels) == 1 or any(
            name == local or name.endswith(f".{local}") for local in _LOCAL_NAMES
        )
        if is_local and not self._allow_private:
            raise _refused("The host is a name of one machine or of one network.")
        return name


def _refused(reason: str) -> WebhookUrlRefused:
    return WebhookUrlRefused(reason, path=("url",))
