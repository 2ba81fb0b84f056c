"""Does the sandbox charge what a wallet held without keeping it?"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from payengine.plugin import NetworkToken, PaymentMethod
from payengine_sandbox.cards import MAGIC_TOKEN, TOKENS
from payengine_sandbox.gateway import MANIFEST, SandboxGateway
from payengine_sandbox.networks import NETWORK_NUMBERS, token_for
from payengine_sandbox.testing import frame, payment

AT = datetime(2030, 5, 6, tzinfo=UTC)


def method(number: str = "4802370000000009", **given: Any) -> PaymentMethod:
    """A method with a network token."""
    fields: dict[str, Any] = {
        "expiry_month": 12,
        "expiry_year": 2031,
        "cryptogram": "AAAA",
        "wallet": "purse",
    }
    token = NetworkToken(number=number, **(fields | given))
    return PaymentMethod(token="wallet_1", kind="purse", network_token=token)


def test_numbers_act_as_test_tokens_do() -> None:
    assert MANIFEST.network_tokens
    assert token_for(PaymentMethod(token="tok_amex"), at=AT) == "tok_amex"
    assert token_for(method(), at=AT) == "tok_visa"
    assert token_for(method("4802370000000008"), at=AT) == "tok_decline_incorrect_number"
    for number, token in NETWORK_NUMBERS.items():
        assert token_for(method(number), at=AT) == token
        assert token in TOKENS or token == MAGIC_TOKEN


@pytest.mark.parametrize(
    ("year", "month", "token"),
    [
        (2030, 5, "tok_visa"),
        (2030, 4, "tok_decline_expired_card"),
        (2029, 12, "tok_decline_expired_card"),
    ],
)
def test_month_of_expiry_is_the_last_one(year: int, month: int, token: str) -> None:
    assert token_for(method(expiry_year=year, expiry_month=month), at=AT) == token


async def test_network_token_is_charged_and_not_kept(tmp_path: Path) -> None:
    gateway = SandboxGateway(path=tmp_path / "books.sqlite3")
    request = msgspec.structs.replace(payment("op_1"), payment_method=method(expiry_year=2199))
    outcome = await gateway.authorize(frame(), request)
    assert (outcome.status, outcome.captured) == ("succeeded", True)
    await gateway.aclose()
    books = read_all(tmp_path)
    assert b"op_1" in books
    assert b"4802370000000009" not in books


def read_all(folder: Path) -> bytes:
    """Everything that the folder's files hold."""
    return b"".join(file.read_bytes() for file in folder.iterdir())
