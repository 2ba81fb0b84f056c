"""Does what a wallet held stay where it is: in memory?"""

from __future__ import annotations

import copy
import json
import logging
import pickle
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import structlog
from payengine.plugin import (
    Amount,
    Authorize,
    NetworkToken,
    PaymentMethod,
    from_plain,
    to_plain,
)
from payengine.plugin.network_token import read_from_host, spell_for_host

FIELDS: dict[str, Any] = {
    "number": "4802370000000009",
    "expiry_month": 12,
    "expiry_year": 2031,
    "cryptogram": "AP2nXmSiDrVGAAFZOMHBAoABFA==",
    "eci": "7",
    "wallet": "apple_pay",
}
TOKEN = NetworkToken(**FIELDS)
METHOD = PaymentMethod(token="wallet_1", kind="apple_pay", network_token=TOKEN)
REQUEST = Authorize(
    key="op_1",
    amount=Amount(1_000, "EUR"),
    capture=True,
    payment_method=METHOD,
    payment_id="pay_1",
)


def is_shown(text: object) -> bool:
    return "4802370000000009" in str(text) or "AP2nXmSi" in str(text)


def test_no_words_show_it() -> None:
    for said in (
        str(TOKEN),
        f"{TOKEN}",
        f"{REQUEST!r}",
        f"{TOKEN!s:>40}",
        repr([TOKEN]),
        structlog.processors.JSONRenderer()(logging.getLogger(), "info", {"token": REQUEST}),
        structlog.dev.ConsoleRenderer(colors=False)(None, "info", {"event": "e", "t": REQUEST}),
    ):
        assert not is_shown(said)


@pytest.mark.parametrize(
    "spell",
    [
        to_plain,
        msgspec.to_builtins,
        msgspec.json.encode,
        msgspec.msgpack.encode,
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        json.dumps,
        vars,
    ],
)
@pytest.mark.parametrize("held", [TOKEN, METHOD, REQUEST, [TOKEN], {"a": TOKEN}])
def test_no_serializer_takes_it(spell: Callable[[object], object], held: object) -> None:
    if spell is copy.copy and held is not TOKEN:
        # A shallow copy of what holds it holds the same object, and spells nothing.
        assert not is_shown(spell(held))
        return
    with pytest.raises(TypeError) as refused:
        spell(held)
    assert not is_shown(refused.value)


def test_plain_data_make_none() -> None:
    plain = {"token": "t", "kind": "apple_pay", "network_token": FIELDS}
    with pytest.raises(msgspec.ValidationError):
        from_plain(plain, PaymentMethod)


def test_the_hosts_socket_alone_carries_it() -> None:
    wire = msgspec.json.encode(REQUEST, enc_hook=spell_for_host)
    read = msgspec.json.decode(wire, type=Authorize, dec_hook=read_from_host)
    assert read == REQUEST
    assert read.payment_method.network_token == TOKEN
    with pytest.raises(NotImplementedError):
        spell_for_host(object())
    with pytest.raises(NotImplementedError):
        read_from_host(complex, FIELDS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"number": "48023700"},
        {"number": "4802 3700 0000 0009"},
        {"number": 4802370000000009},
        {"number": "٤٨٠٢٣٧٠٠٠٠٠٠٠٠٠٩"},
        {"expiry_month": 0},
        {"expiry_month": True},
        {"expiry_year": 31},
        {"cryptogram": ""},
        {"cryptogram": "not base64!"},
        {"eci": "seven"},
        {"eci": 7},
        {"wallet": "Apple Pay"},
    ],
)
def test_what_does_not_fit_is_refused_without_being_repeated(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="does not fit") as refused:
        NetworkToken(**(FIELDS | wrong))
    assert not is_shown(refused.value)


def test_it_is_frozen_and_has_no_subclasses() -> None:
    with pytest.raises(AttributeError):
        TOKEN.number = "4000000000000002"
    with pytest.raises(AttributeError):
        del TOKEN.number
    with pytest.raises(TypeError):
        type("Loud", (NetworkToken,), {})
    with pytest.raises(TypeError):
        hash(TOKEN)
    assert NetworkToken(**FIELDS) == TOKEN
    assert NetworkToken(**(FIELDS | {"eci": None})) != TOKEN
    assert TOKEN != 1
