"""What does a merchant set for Apple Pay?"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from cryptography import x509
from payengine.plugin import PluginSettings, Secret

from payengine_apple_pay.keys import ApplePayKeys
from payengine_apple_pay.root import is_apple_root

__all__ = ["APPLE_HOSTS", "ApplePaySettings"]

#: The hosts at which Apple validates merchants, production and sandbox (Apple, Setting up your
#: server).
APPLE_HOSTS = (
    "apple-pay-gateway.apple.com",
    "apple-pay-gateway-cert.apple.com",
    "cn-apple-pay-gateway.apple.com",
    "cn-apple-pay-gateway-cert.apple.com",
    *(
        f"apple-pay-gateway-{place}-pod{pod}{spare}.apple.com"
        for place in ("nc", "pr")
        for pod in range(1, 6)
        for spare in ("", "-dr")
    ),
    *(
        f"cn-apple-pay-gateway-{place}-pod{pod}{spare}.apple.com"
        for place in ("sh", "tj")
        for pod in range(1, 4)
        for spare in ("", "-dr")
    ),
)

_Host = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){1,8}$")]


class ApplePaySettings(PluginSettings, frozen=True, kw_only=True):
    """Who the merchant is, its keys and its pages.

    `processing_key` is the private key of the payment processing certificate, PEM;
    `previous_processing_key` is taken too while a rotation lasts. `identity_certificate` and
    `identity_key` (PEM) are for merchant validation alone. `domains` are the registered pages,
    the first one being the default. `root_certificate` replaces Apple Root CA - G3 in test worlds
    only. `max_age_s` says for how long after its signature a token is taken.
    """

    merchant_id: Annotated[str, msgspec.Meta(max_length=255)] = ""
    processing_key: Secret | None = None
    previous_processing_key: Secret | None = None
    identity_certificate: Annotated[str, msgspec.Meta(max_length=16_384)] = ""
    identity_key: Secret | None = None
    display_name: Annotated[str, msgspec.Meta(max_length=64)] = ""
    domains: Annotated[tuple[_Host, ...], msgspec.Meta(max_length=99)] = ()
    validation_hosts: Annotated[tuple[_Host, ...], msgspec.Meta(max_length=99)] = APPLE_HOSTS
    root_certificate: Annotated[str, msgspec.Meta(max_length=16_384)] = ""
    max_age_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 600

    def __post_init__(self) -> None:
        """Raise `ValueError` for keys that cannot be used, before anything is saved."""
        for keys in self.keys(trust_given_root=True):
            keys.check()
        if self.identity_certificate:
            x509.load_pem_x509_certificate(self.identity_certificate.encode())
        if not all(host.endswith(".apple.com") for host in self.validation_hosts):
            raise ValueError("validation_hosts are Apple's")

    def keys(self, *, trust_given_root: bool) -> tuple[ApplePayKeys, ...]:
        """The keys that open tokens; raises `ValueError` for a root that may not be trusted."""
        root = self.root_certificate or None
        is_pinned = root is None or is_apple_root(x509.load_pem_x509_certificate(root.encode()))
        if not trust_given_root and not is_pinned:
            raise ValueError("in a live world the root is Apple Root CA - G3")
        return tuple(
            ApplePayKeys(
                private_key=key,
                merchant_id=self.merchant_id,
                root_certificate=root,
                max_age=timedelta(seconds=self.max_age_s),
            )
            for key in (self.processing_key, self.previous_processing_key)
            if key
        )
