"""What does a tenant set for its PayPal account?"""

from __future__ import annotations

import os
import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from payengine.plugin import PluginSettings, Secret

__all__ = ["HOSTS_VARIABLE", "PayPalSettings", "is_paypal_host"]

#: Where an operator names further hosts that `api_base` may point at, `host:port` by commas: a
#: tenant must not be able to make this machine call its neighbours.
HOSTS_VARIABLE = "PAYENGINE_PAYPAL_HOSTS"

_HOST = re.compile(r"api(?:-m)?(?:\.sandbox)?\.paypal\.com")
_LIVE = "https://api-m.paypal.com"
_TEST = "https://api-m.sandbox.paypal.com"

_Name = Annotated[str, msgspec.Meta(max_length=127)]
_Pem = Annotated[str, msgspec.Meta(max_length=32_768)]


def is_paypal_host(host: str) -> bool:
    """Whether `host` is one of the hosts of PayPal's API."""
    return _HOST.fullmatch(host) is not None


class PayPalSettings(PluginSettings, frozen=True, kw_only=True):
    """The REST app's credentials and how its webhooks are proved.

    `webhook_id` is the id that PayPal gave the webhook; without it every webhook is refused.
    `webhook_verification` says whether the signature is checked here against PayPal's certificate
    or by asking PayPal. `webhook_certificate` (PEM, the leaf first) stands in for the certificate
    that a webhook names; `webhook_roots` (PEM) for the roots that the world trusts. `api_base` is
    empty for PayPal itself: its sandbox in test worlds, the real one in live ones.
    """

    client_id: Secret
    client_secret: Secret
    webhook_id: Secret = ""
    webhook_verification: Literal["certificate", "api"] = "certificate"
    webhook_certificate: _Pem = ""
    webhook_roots: _Pem = ""
    brand_name: _Name = ""
    api_base: str = ""

    def __post_init__(self) -> None:
        """Refuse an address that is not PayPal's and that no operator allows."""
        if self.api_base:
            _check_base(self.api_base)

    def base(self, mode: str) -> str:
        """The address that requests of a world in `mode` go to, without a slash at its end."""
        return (self.api_base or (_LIVE if mode == "live" else _TEST)).rstrip("/")


def _check_base(base: str) -> None:
    try:
        address = urlsplit(base)
        port = address.port
    except ValueError:
        raise ValueError("api_base is no address") from None
    plain = not (address.username or address.password or address.query or address.fragment)
    if not plain or address.path.strip("/") or address.hostname is None:
        raise ValueError("api_base is a scheme and a host only")
    if address.scheme in ("http", "https") and address.netloc in _allowed():
        return
    if address.scheme != "https" or port not in (None, 443) or not is_paypal_host(address.hostname):
        raise ValueError(f"api_base is not PayPal's, and {HOSTS_VARIABLE} does not allow it")


def _allowed() -> frozenset[str]:
    named = os.environ.get(HOSTS_VARIABLE, "").split(",")
    return frozenset(host.strip() for host in named if host.strip())
