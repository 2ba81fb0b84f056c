"""Whom does a tenant always stop, and whom always let through?

An entry is a list, a kind and what a person wrote. What the engine looks for is made of it once: a
network of any length becomes networks of the few lengths that are looked for.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime
from typing import Literal

import msgspec

from payengine.errors import InputInvalid
from payengine.fraud.tokens import PERSONAL

__all__ = [
    "KINDS",
    "NETWORK_LENGTHS",
    "AddListEntry",
    "ListEntry",
    "ListFilter",
    "ListKind",
    "ListName",
    "RemoveListEntry",
    "Spelled",
    "spelled",
]

ListName = Literal["block", "allow"]
ListKind = Literal[
    "card",
    "country",
    "customer",
    "device",
    "email",
    "email_domain",
    "ip",
    "issuer_range",
    "seller",
]
#: Closed: what an entry may be about; `ip` takes an address or a network.
KINDS: tuple[ListKind, ...] = (
    "card",
    "country",
    "customer",
    "device",
    "email",
    "email_domain",
    "ip",
    "issuer_range",
    "seller",
)
#: IP version → the networks around an address that are looked for, from the widest on.
NETWORK_LENGTHS: dict[int, tuple[int, ...]] = {4: (8, 16, 24, 32), 6: (32, 48, 56, 64, 128)}
#: What one entry may be made into: a network that is half of a looked-for one makes 128.
_MOST_NETWORKS = 128
#: So many bits stand before an IPv4 address that is written as IPv6.
_MAPPED = 96
_MOST_VALUE = 255
_RANGE = re.compile(r"[0-9]{4,8}")
_COUNTRY = re.compile(r"[A-Z]{2}")
_DOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ListEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry, as one row; nothing but its end is ever changed.

    `label` is what a person is shown; `key` tells equal entries, and says nothing to a reader.
    """

    id: str
    list: ListName
    kind: ListKind
    label: str
    key: str
    reason: str
    person: str
    actor: str
    created_at: datetime
    expires_at: datetime | None = None
    removed_at: datetime | None = None
    removed_by: str | None = None
    removed_actor: str | None = None
    removed_reason: str | None = None


class ListFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries to list; by default those that hold."""

    list: ListName | None = None
    kind: ListKind | None = None
    holds: bool = True


class AddListEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Put a value on a list, or what the payment `payment_id` was made with."""

    idempotency_key: str
    list: ListName
    kind: ListKind
    person: str
    reason: str
    value: str | None = None
    payment_id: str | None = None
    expires_at: datetime | None = None


class RemoveListEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Let an entry hold no longer."""

    idempotency_key: str
    entry_id: str
    person: str
    reason: str


class Spelled(msgspec.Struct, frozen=True, kw_only=True):
    """What a person wrote, as it is shown and as the values that are looked for, all in plain."""

    label: str
    values: tuple[str, ...]


def spelled(kind: ListKind, text: str) -> Spelled:
    """The one spelling of a value; raises `InputInvalid` where it is none of this kind.

    A network loses the bits behind its length; an IPv4 address that is written as IPv6 is IPv4.
    Personal values are shown in part: of an address its network, of a mailbox its domain.
    """
    text = text.strip()
    if not 1 <= len(text) <= _MOST_VALUE or not text.isprintable():
        raise InputInvalid("A value has 1 to 255 printable characters.", path=("value",))
    if kind == "ip":
        return _networks(text)
    if kind == "country":
        plain = _matching(_COUNTRY, text.upper(), "A country is an ISO 3166 code of two letters.")
    elif kind == "issuer_range":
        plain = _matching(_RANGE, text, "A range is the first 4 to 8 digits of a card.")
    elif kind == "email_domain":
        plain = text.lower().removeprefix("@").rstrip(".")
        _matching(_DOMAIN, plain, "A domain looks like example.com.")
    elif kind == "email":
        plain = _matching(_EMAIL, text.lower(), "An e-mail address looks like ada@example.com.")
        return Spelled(label=f"{plain[0]}…@{plain.partition('@')[2]}", values=(plain,))
    elif kind in PERSONAL:
        shown = f"{text[:2]}…{text[-4:]}" if len(text) > 8 else "…"
        return Spelled(label=shown, values=(text,))
    else:
        plain = text
    return Spelled(label=plain, values=(plain,))


def _networks(text: str) -> Spelled:
    try:
        network = _plain_network(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise InputInvalid(
            "Write an address, or a network such as 203.0.113.0/24.", path=("value",)
        ) from None
    lengths = NETWORK_LENGTHS[network.version]
    length = next((each for each in lengths if each >= network.prefixlen), None)
    if length is None or 2 ** (length - network.prefixlen) > _MOST_NETWORKS:
        widest = ", ".join(f"/{each}" for each in lengths)
        raise InputInvalid(
            f"This network is too wide: write several, of {widest} or a little wider.",
            path=("value",),
        )
    parts = tuple(str(each) for each in network.subnets(new_prefix=length))
    return Spelled(label=_shown(network), values=parts)


def _shown(network: _Network) -> str:
    """Of a single address no more than its neighbourhood."""
    if network.prefixlen < network.max_prefixlen:
        return str(network)
    around = network.supernet(new_prefix=24 if network.version == 4 else 48)
    return f"an address in {around}"


def _plain_network(network: _Network) -> _Network:
    address = network.network_address
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if mapped is None or network.prefixlen < _MAPPED:
        return network
    return ipaddress.IPv4Network((int(mapped), network.prefixlen - _MAPPED))


def _matching(shape: re.Pattern[str], text: str, otherwise: str) -> str:
    if not shape.fullmatch(text):
        raise InputInvalid(otherwise, path=("value",))
    return text
