"""Does this webhook come from Acorn? It signs `time.body` with HMAC-SHA256."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from payengine.plugin import Outcome, WebhookEvent, WebhookRefused, WebhookRequest

__all__ = ["read", "sign", "verify"]


def sign(*, secret: str, stamp: str, body: bytes) -> str:
    """Acorn's proof; `stamp` is in seconds since 1970."""
    return hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def verify(request: WebhookRequest, *, secret: str) -> None:
    """Raise `WebhookRefused` unless Acorn signed this, within the last five minutes."""
    stamp, given = request.headers.get("acorn-time", ""), request.headers.get("acorn-proof", "")
    if not secret or not (stamp.isascii() and stamp.isdigit()) or len(stamp) > 12:
        raise WebhookRefused("A header is missing.")
    if not -60 <= request.received_at.timestamp() - int(stamp) <= 300:
        raise WebhookRefused("The webhook is too old or too early.")
    proof = sign(secret=secret, stamp=stamp, body=request.body)
    if not hmac.compare_digest(proof.encode(), given.encode("utf-8", "replace")):
        raise WebhookRefused("The proof does not match.")


def read(
    request: WebhookRequest, outcome_of: Callable[[dict[str, Any]], Outcome]
) -> Sequence[WebhookEvent]:
    """The facts of a verified webhook."""
    try:
        notice = json.loads(request.body)
        outcome = outcome_of(notice["answer"])
        event = WebhookEvent(
            event_id=str(notice["id"]),
            kind="authorize",
            key=str(notice["key"]),
            provider_reference=outcome.provider_reference,
            outcome=outcome,
            occurred_at=datetime.fromtimestamp(int(request.headers["acorn-time"]), UTC),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        raise WebhookRefused("The notice cannot be read.") from None
    return [event]
