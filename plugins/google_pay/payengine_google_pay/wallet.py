"""How does the platform open Google Pay?"""

from __future__ import annotations

import os

from payengine.plugin import Call, OpenedToken, OpenToken, WalletManifest, WalletRefused

from payengine_google_pay.roots import KEYS_URLS, RootKeys
from payengine_google_pay.settings import GooglePaySettings
from payengine_google_pay.unsealing import WALLET, Decrypted, decrypt

__all__ = ["MANIFEST", "GooglePayWallet"]

MANIFEST = WalletManifest(
    name=WALLET,
    title="Google Pay",
    version="0.1.0",
    contract="1.0",
    settings=GooglePaySettings,
)


class GooglePayWallet:
    """Opens tokens; keeps Google's public keys and nothing of a tenant."""

    def __init__(self, *, keys_url: str | None = None, roots: RootKeys | None = None) -> None:
        """`keys_url` stands in the place of Google's addresses.

        Without it the operator's `PAYENGINE_GOOGLE_PAY_KEYS_URL` does.
        """
        self._keys_url = keys_url
        self._roots = roots or RootKeys()

    def describe(self) -> WalletManifest:
        """The wallet's manifest."""
        return MANIFEST

    async def open_token(self, call: Call, request: OpenToken) -> OpenedToken:
        """Verify and decrypt with the merchant's keys and with Google's of the present."""
        settings = call.settings
        if not isinstance(settings, GooglePaySettings) or not settings.private_key:
            raise WalletRefused("unsupported", "The private key is not set.")
        found = await self._decrypt(call, settings, request)
        return OpenedToken(network_token=found.network_token(), token_id=found.message_id)

    async def _decrypt(
        self, call: Call, settings: GooglePaySettings, request: OpenToken
    ) -> Decrypted:
        if settings.root_keys:
            return decrypt(request.token, settings.keys(settings.root_keys), request.at)
        url = self._url(call, settings)
        roots = await self._roots.at(url)
        try:
            return decrypt(request.token, settings.keys(roots), request.at)
        except WalletRefused as refusal:
            # A token signed by a key of today is refused by the keys of yesterday.
            if refusal.reason not in ("signature", "expired"):
                raise
            newer = await self._roots.newer(url, roots)
            if newer is None:
                raise
        return decrypt(request.token, settings.keys(newer), request.at)

    def _url(self, call: Call, settings: GooglePaySettings) -> str:
        environment = settings.environment or ("PRODUCTION" if call.mode == "live" else "TEST")
        if call.mode == "live" and environment != "PRODUCTION":
            raise WalletRefused("unsupported", "A live world takes no tokens of a test.")
        given = self._keys_url or os.environ.get("PAYENGINE_GOOGLE_PAY_KEYS_URL")
        return given or KEYS_URLS[environment]
