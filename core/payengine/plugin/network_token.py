"""What does a wallet put in a card's place?

A network token: a number that stands for a card on one device or at one merchant, with a
cryptogram that is good for one payment. It is the one secret of a buyer that passes through the
engine, in memory and on a plugin host's socket, and nowhere else: it has no repr, no serializer,
no pickle and no copy. What carries it to a gateway is `PaymentMethod.network_token`.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

__all__ = ["NetworkToken", "read_from_host", "spell_for_host"]

_NUMBER = re.compile(r"[0-9]{12,19}")
_CRYPTOGRAM = re.compile(r"[0-9A-Za-z+/_-]{4,254}={0,2}")
_ECI = re.compile(r"[0-9]{1,2}")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_HIDDEN = "NetworkToken(hidden)"
_FIELDS = ("number", "expiry_month", "expiry_year", "cryptogram", "eci", "wallet")


class NetworkToken:
    """A device's or a merchant's number for a card, and the cryptogram of one payment.

    `number` has 12 to 19 digits, `expiry_month` is 1 to 12, `expiry_year` has four digits,
    `cryptogram` is the wallet's base64 text, `eci` the electronic commerce indicator where the
    network gave one, `wallet` the name of the wallet that opened it. Frozen. Every encoder
    refuses it; whoever must see a field reads that field.
    """

    __slots__ = _FIELDS

    number: str
    expiry_month: int
    expiry_year: int
    cryptogram: str
    eci: str | None
    wallet: str

    def __init__(
        self,
        *,
        number: str,
        expiry_month: int,
        expiry_year: int,
        cryptogram: str,
        eci: str | None = None,
        wallet: str,
    ) -> None:
        """Raises `ValueError`, which repeats none of the values, where one does not fit."""
        _require(type(number) is str and _NUMBER.fullmatch(number), "number")
        _require(type(expiry_month) is int and 1 <= expiry_month <= 12, "expiry_month")
        _require(type(expiry_year) is int and 2000 <= expiry_year <= 2199, "expiry_year")
        _require(type(cryptogram) is str and _CRYPTOGRAM.fullmatch(cryptogram), "cryptogram")
        _require(eci is None or (type(eci) is str and _ECI.fullmatch(eci)), "eci")
        _require(type(wallet) is str and _NAME.fullmatch(wallet), "wallet")
        values = (number, expiry_month, expiry_year, cryptogram, eci, wallet)
        for name, value in zip(_FIELDS, values, strict=True):
            object.__setattr__(self, name, value)

    def __init_subclass__(cls) -> None:
        raise TypeError("a NetworkToken has no subclasses: one of them could spell it")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a NetworkToken is frozen")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a NetworkToken is frozen")

    def __repr__(self) -> str:
        return _HIDDEN

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NetworkToken):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _FIELDS)

    __hash__ = None  # type: ignore[assignment]

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a NetworkToken is never serialized")


def spell_for_host(value: object) -> object:
    """`enc_hook` of the plugin host's socket, and of nothing else: the fields of a token."""
    if type(value) is NetworkToken:
        return {name: getattr(value, name) for name in _FIELDS}
    raise NotImplementedError(f"a {type(value).__name__} does not cross the socket")


def read_from_host(kind: type, value: object) -> object:
    """`dec_hook` of the plugin host's socket, and of nothing else: the token of its fields."""
    if kind is NetworkToken and isinstance(value, dict) and value.keys() == set(_FIELDS):
        return NetworkToken(**value)
    raise NotImplementedError(f"a {kind.__name__} does not cross the socket")


def _require(fits: object, field: str) -> None:
    if not fits:
        raise ValueError(f"a network token's {field} does not fit")
