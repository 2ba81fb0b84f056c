"""What does a merchant set for Google Pay?"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from payengine.plugin import PluginSettings, Secret

from payengine_google_pay.keys import GooglePayKeys

__all__ = ["GooglePaySettings"]

#: Stands in for Google's keys while the merchant's own are checked: one key that signs nothing.
_ANY_ROOT = {"keys": [{"protocolVersion": "none"}]}


class GooglePaySettings(PluginSettings, frozen=True, kw_only=True):
    """Who the merchant is, and its keys.

    `recipient_id` is `merchant:<id>`, or `gateway:<id>` with `gateway_merchant_id`. `private_key`
    is base64 of PKCS #8, or PEM; `previous_private_key` is tried too while a rotation lasts.
    `environment` says whose tokens are taken: by default those of PRODUCTION in a live world and
    of TEST in a test world. `root_keys` is Google's JSON for servers that may not fetch it.
    """

    recipient_id: Annotated[str, msgspec.Meta(max_length=255)] = ""
    gateway_merchant_id: Annotated[str, msgspec.Meta(max_length=255)] = ""
    private_key: Secret | None = None
    previous_private_key: Secret | None = None
    environment: Literal["", "TEST", "PRODUCTION"] = ""
    protocol_versions: tuple[Literal["ECv1", "ECv2"], ...] = ("ECv1", "ECv2")
    root_keys: Annotated[str, msgspec.Meta(max_length=32_768)] = ""

    def __post_init__(self) -> None:
        """Raise `ValueError` for keys that cannot be used, before anything is saved."""
        if self.recipient_id.startswith("gateway:") and not self.gateway_merchant_id:
            raise ValueError("a gateway needs gateway_merchant_id: its key opens all its merchants")
        if self.private_key:
            self.keys(self.root_keys or _ANY_ROOT).check()

    def keys(self, root_keys: str | dict[str, list[dict[str, str]]]) -> GooglePayKeys:
        """The keys that open tokens, with Google's as they are now; raises `ValueError`."""
        private = [one for one in (self.private_key, self.previous_private_key) if one]
        return GooglePayKeys(
            root_keys=root_keys,
            recipient_id=self.recipient_id,
            private_key=private,
            gateway_merchant_id=self.gateway_merchant_id or None,
            protocol_versions=self.protocol_versions,
        )
