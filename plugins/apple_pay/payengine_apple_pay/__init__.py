"""What does the Apple Pay plugin bring? A wallet, and `decrypt` for whoever needs no platform."""

from __future__ import annotations

from collections.abc import Sequence

from payengine.plugin import Wallet, hookimpl

from payengine_apple_pay.keys import ApplePayKeys
from payengine_apple_pay.unsealing import Decrypted, decrypt

__all__ = ["ApplePayKeys", "Decrypted", "decrypt", "wallets"]


@hookimpl
def wallets() -> Sequence[Wallet]:
    """The wallet `apple_pay`."""
    from payengine_apple_pay.wallet import ApplePayWallet

    return [ApplePayWallet()]
