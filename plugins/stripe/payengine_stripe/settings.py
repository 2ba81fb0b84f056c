"""What does a tenant set for its Stripe account?"""

from __future__ import annotations

from typing import Annotated

import msgspec
from payengine.plugin import Call, PluginSettings, Secret

__all__ = ["StripeSettings", "settings_of"]

_Account = Annotated[str, msgspec.Meta(pattern=r"^(acct_[A-Za-z0-9]{1,64})?$")]
_Address = Annotated[str, msgspec.Meta(pattern=r"^(https?://[!-~]{1,2000})?$")]


class StripeSettings(PluginSettings, frozen=True, kw_only=True):
    """One Stripe account, or one account connected to a platform's.

    `api_key` is a secret or restricted key of the world's mode. A webhook is believed when it is
    signed with any of the three secrets: the endpoint's, the one that comes after it while it is
    rotated, and that of a platform's endpoint for connected accounts. `connected_account` makes
    every call in that account's name. `return_url` is where the buyer comes back to where the
    payment names no place itself; without any, a card that wants a challenge is declined.
    `multicapture` and `increments` ask Stripe for several captures and for raising a hold: switch
    them on where the account's pricing includes them, else Stripe refuses the payment.
    """

    api_key: Secret
    webhook_secret: Secret = ""
    next_webhook_secret: Secret = ""
    connect_webhook_secret: Secret = ""
    connected_account: _Account = ""
    return_url: _Address = ""
    multicapture: bool = False
    increments: bool = False

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """The secrets that are set."""
        every = (self.webhook_secret, self.next_webhook_secret, self.connect_webhook_secret)
        return tuple(secret.strip() for secret in every if secret.strip())


def settings_of(call: Call) -> StripeSettings:
    """The call's settings; raises `TypeError` where they are another plugin's."""
    if not isinstance(call.settings, StripeSettings):
        raise TypeError("these are no settings of Stripe")
    return call.settings
