"""Does the wallets' contract pass a faithful wallet, and catch each kind of faulty one?"""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from payengine.plugin import (
    Call,
    NetworkToken,
    OpenedToken,
    OpenToken,
    PluginSettings,
    Secret,
    Wallet,
    WalletManifest,
    WalletRefused,
)
from payengine.testing import ContractBroken, WalletCase, WalletContract

AT = datetime(2030, 5, 6, 7, 8, 9, tzinfo=UTC)
KEY = "a-merchants-key"


class PurseSettings(PluginSettings, frozen=True, kw_only=True):
    """One key."""

    key: Secret = ""


def _proof(key: str, body: str) -> str:
    return hmac.new(key.encode(), body.encode(), hashlib.sha256).hexdigest()


def make_token(at: datetime) -> str:
    body = json.dumps({"id": uuid.uuid4().hex, "at": at.timestamp()})
    return f"{_proof(KEY, body)}.{body}"


class Purse:
    """Opens tokens that the merchant's key has signed within ten minutes."""

    def describe(self) -> WalletManifest:
        return WalletManifest(name="purse", title="Purse", version="1", settings=PurseSettings)

    async def open_token(self, call: Call, request: OpenToken) -> OpenedToken:
        proof, _, body = request.token.partition(".")
        if not self.is_genuine(call, proof, body):
            raise WalletRefused("signature")
        told = json.loads(body)
        if abs(request.at.timestamp() - told["at"]) > self.most_age_s():
            raise WalletRefused("expired")
        return OpenedToken(network_token=_token(), token_id=self.name_of(told["id"]))

    def is_genuine(self, call: Call, proof: str, body: str) -> bool:
        key = call.settings.key
        return bool(key) and hmac.compare_digest(proof.encode(), _proof(key, body).encode())

    def most_age_s(self) -> float:
        return 600

    def name_of(self, given: str) -> str:
        return given


def _token() -> NetworkToken:
    return NetworkToken(
        number="4111111111111111",
        expiry_month=1,
        expiry_year=2031,
        cryptogram="AAAAAAAA",
        wallet="purse",
    )


class Trusting(Purse):
    """Looks at no proof, nor at the merchant."""

    def is_genuine(self, call: Call, proof: str, body: str) -> bool:
        return True


class Ageless(Purse):
    """Takes tokens of any age."""

    def most_age_s(self) -> float:
        return 1e12


class Forgetful(Purse):
    """Gives a token another name each time, so that it pays twice."""

    def name_of(self, given: str) -> str:
        return uuid.uuid4().hex


class _Contract(WalletContract):
    def __init__(self, wallet: Wallet) -> None:
        self._wallet = wallet

    def case(self) -> WalletCase:
        settings = PurseSettings(key=KEY)
        return WalletCase(wallet=self._wallet, settings=settings, make_token=make_token, at=AT)


TESTS = sorted(name for name in dir(WalletContract) if name.startswith("test_"))


@pytest.mark.parametrize("name", TESTS)
def test_faithful_wallet_passes(name: str) -> None:
    getattr(_Contract(Purse()), name)()


@pytest.mark.parametrize(
    ("wallet", "name"),
    [
        (Trusting(), "test_garbage_is_refused"),
        (Trusting(), "test_changed_token_is_refused"),
        (Trusting(), "test_without_the_merchants_settings_nothing_opens"),
        (Ageless(), "test_old_and_early_tokens_are_refused"),
        (Forgetful(), "test_genuine_token_opens"),
    ],
)
def test_faulty_wallet_is_caught(wallet: Any, name: str) -> None:
    with pytest.raises(ContractBroken):
        getattr(_Contract(wallet), name)()
