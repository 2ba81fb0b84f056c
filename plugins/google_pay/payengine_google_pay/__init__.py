"""What does the Google Pay plugin bring? A wallet, and `decrypt` for whoever needs no platform."""

from __future__ import annotations

from collections.abc import Sequence

from payengine.plugin import Wallet, hookimpl

from payengine_google_pay.keys import GooglePayKeys
from payengine_google_pay.unsealing import Decrypted, decrypt

__all__ = ["Decrypted", "GooglePayKeys", "decrypt", "wallets"]


@hookimpl
def wallets() -> Sequence[Wallet]:
    """The wallet `google_pay`."""
    from payengine_google_pay.wallet import GooglePayWallet

    return [GooglePayWallet()]
