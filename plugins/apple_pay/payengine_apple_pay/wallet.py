"""How does the platform open Apple Pay?"""

from __future__ import annotations

import os
from pathlib import Path

from payengine.plugin import (
    Call,
    OpenedToken,
    OpenToken,
    StartSession,
    WalletManifest,
    WalletRefused,
    WalletSession,
)

from payengine_apple_pay.session import check_address, request_session
from payengine_apple_pay.settings import ApplePaySettings
from payengine_apple_pay.unsealing import WALLET, decrypt

__all__ = ["MANIFEST", "ApplePayWallet"]

MANIFEST = WalletManifest(
    name=WALLET,
    title="Apple Pay",
    version="0.1.0",
    contract="1.0",
    sessions=True,
    settings=ApplePaySettings,
)


class ApplePayWallet:
    """Opens tokens and validates merchants; keeps nothing between two calls."""

    def __init__(self, *, endpoint: str | None = None, trust: Path | None = None) -> None:
        """`endpoint` stands in the place of Apple's hosts, `trust` is a file of authorities.

        Without them the operator's `PAYENGINE_APPLE_PAY_URL` and `PAYENGINE_APPLE_PAY_CA` do.
        """
        self._endpoint = endpoint
        self._trust = trust

    def describe(self) -> WalletManifest:
        """The wallet's manifest."""
        return MANIFEST

    async def open_token(self, call: Call, request: OpenToken) -> OpenedToken:
        """Verify and decrypt with the merchant's keys."""
        settings = _settings_of(call)
        keys = settings.keys(trust_given_root=call.mode == "test")
        if not keys:
            raise WalletRefused("unsupported", "The payment processing key is not set.")
        found = decrypt(request.token, keys, request.at)
        return OpenedToken(
            network_token=found.network_token(),
            token_id=found.transaction_id,
            approved=found.approved(),
        )

    async def start_session(self, call: Call, request: StartSession) -> WalletSession:
        """Ask Apple for the session of one page."""
        settings = _settings_of(call)
        parts = check_address(request.validation_url, settings)
        domain = request.domain or (settings.domains[0] if settings.domains else "")
        if domain not in settings.domains or not settings.merchant_id:
            raise WalletRefused("unsupported", "The page's domain is not one of the settings.")
        trust = self._trust or os.environ.get("PAYENGINE_APPLE_PAY_CA")
        session = await request_session(
            parts,
            settings,
            domain=domain,
            timeout_s=call.deadline_ms / 1000,
            endpoint=self._endpoint or os.environ.get("PAYENGINE_APPLE_PAY_URL"),
            trust=Path(trust) if trust else None,
        )
        return WalletSession(session=session)


def _settings_of(call: Call) -> ApplePaySettings:
    return call.settings if isinstance(call.settings, ApplePaySettings) else ApplePaySettings()
