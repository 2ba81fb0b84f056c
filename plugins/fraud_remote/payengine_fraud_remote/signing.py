"""How does the provider know that the platform asks?

Signed as Standard Webhooks describes it (standardwebhooks.com, version 1): HMAC-SHA256 over
`id.timestamp.body`, so that any of its libraries verifies it.
"""

from __future__ import annotations

import base64
import binascii
import hmac

__all__ = ["signed_headers"]

_PREFIX = "whsec_"


def signed_headers(secret: str, *, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers; `timestamp` is in seconds since 1970.

    A secret `whsec_…` is base64, as the scheme has it; any other text is taken as it is.
    """
    content = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(_key(secret), content, "sha256").digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


def _key(secret: str) -> bytes:
    if secret.startswith(_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            pass
    return secret.encode()
