"""How does a merchant prove to Apple who it is?

Before the browser may show the payment sheet, Apple names an address, and the merchant's server
posts to it with the merchant identity certificate (mutual TLS). Only Apple's hosts are called,
without redirects, and the answer is passed on unread.
"""

from __future__ import annotations

import secrets
import ssl
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from payengine.plugin import WalletRefused

from payengine_apple_pay.settings import ApplePaySettings

__all__ = ["check_address", "identity_context", "request_session"]

_LARGEST_ANSWER = 65_536
_LONGEST_ADDRESS = 500
_PATH = "/paymentservices/"


def check_address(validation_url: str, settings: ApplePaySettings) -> SplitResult:
    """The address taken apart; raises `WalletRefused` unless it is one of Apple's."""
    refused = WalletRefused("unsupported", "The validation URL is not one of Apple's.")
    if len(validation_url) > _LONGEST_ADDRESS or not validation_url.isascii():
        raise refused
    try:
        parts = urlsplit(validation_url)
        port = parts.port
    except ValueError:
        raise refused from None
    # A host that is compared in one spelling and called in another would be no check.
    plain = parts.netloc in (parts.hostname, f"{parts.hostname}:443")
    fits = parts.scheme == "https" and plain and port in (None, 443)
    if not fits or parts.hostname not in settings.validation_hosts:
        raise refused
    if not parts.path.startswith(_PATH) or ".." in parts.path or parts.query or parts.fragment:
        raise refused
    return parts


def identity_context(settings: ApplePaySettings, *, trust: Path | None = None) -> ssl.SSLContext:
    """TLS with the merchant identity certificate; `trust` replaces the system's authorities.

    OpenSSL reads keys from files only: the key lies on the disk for a moment, encrypted with a
    passphrase that nobody else knows. Raises `WalletRefused` where the certificate is missing.
    """
    if not settings.identity_key or not settings.identity_certificate:
        raise WalletRefused("unsupported", "The merchant identity certificate is not set.")
    key = load_pem_private_key(settings.identity_key.encode(), None)
    passphrase = secrets.token_bytes(32).hex()
    sealed = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode())
    )
    context = ssl.create_default_context(cafile=str(trust) if trust else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with tempfile.TemporaryDirectory(prefix="payengine-") as folder:
        certificate_file, key_file = Path(folder, "certificate.pem"), Path(folder, "key.pem")
        certificate_file.write_text(settings.identity_certificate)
        key_file.write_bytes(sealed)
        context.load_cert_chain(certificate_file, key_file, passphrase)
    return context


async def request_session(
    parts: SplitResult,
    settings: ApplePaySettings,
    *,
    domain: str,
    timeout_s: float,
    endpoint: str | None = None,
    trust: Path | None = None,
) -> dict[str, Any]:
    """Apple's session object, as it came; `endpoint` stands in the place of Apple's hosts.

    Raises whatever goes wrong on the way, and `ValueError` for an answer that is no session.
    """
    import asyncio

    import httpx

    context = await asyncio.to_thread(identity_context, settings, trust=trust)
    base = (endpoint or f"https://{parts.hostname}").rstrip("/")
    body = {
        "merchantIdentifier": settings.merchant_id,
        "displayName": settings.display_name or domain,
        "initiative": "web",
        "initiativeContext": domain,
    }
    async with httpx.AsyncClient(
        verify=context, trust_env=False, follow_redirects=False, timeout=timeout_s
    ) as client:
        async with client.stream("POST", base + parts.path, json=body) as response:
            answer = bytearray()
            async for part in response.aiter_bytes():
                answer += part
                if len(answer) > _LARGEST_ANSWER:
                    raise ValueError("the answer is too long for a session")
    if response.status_code != 200:
        raise ValueError(f"Apple answered with the status {response.status_code}")
    session = httpx.Response(200, content=bytes(answer)).json()
    if not isinstance(session, dict):
        raise ValueError("the answer is no session")
    return session
