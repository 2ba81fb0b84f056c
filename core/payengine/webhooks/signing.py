"""How does a receiver know that it was us?

Signed as Standard Webhooks describes it (standardwebhooks.com, version 1): HMAC-SHA256 over
`id.timestamp.body`. While a secret is being rotated, the header carries one signature for each
secret that is live.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime

from standardwebhooks import Webhook

__all__ = ["new_secret", "signed_headers"]

_SECRET_BYTES = 32


def new_secret() -> str:
    """A new secret, `whsec_` and 32 random bytes in base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signed_headers(
    live: Sequence[str], *, message_id: str, body: bytes, at: datetime
) -> dict[str, str]:
    """The three headers of a message; `live` are the secrets, the newest first."""
    text = body.decode()
    signatures = [Webhook(secret).sign(message_id, at, text) for secret in live]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
