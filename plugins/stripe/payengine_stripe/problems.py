"""What did Stripe refuse, and is that proof that nothing happened?

Proof is an answer before which Stripe's endpoint did not run: a rate limit, a key that is not
accepted, an account that may not do this. A card's refusal and a refused parameter are declines.
Everything else (another request with the same key under way, a used key with another body, 5xx)
leaves the outcome unknown: it is raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from payengine.plugin import Decline, Outcome

from payengine_stripe.declines import decline_of

__all__ = [
    "NOT_PROCESSED_CODES",
    "Refused",
    "Unreadable",
    "not_processed",
    "outcome_of_refusal",
]

_ACCOUNT_CODES = frozenset(
    {
        "account_closed",
        "account_invalid",
        "api_key_expired",
        "livemode_mismatch",
        "platform_account_required",
        "platform_api_key_expired",
        "secret_key_required",
        "testmode_charges_only",
    }
)
_OF_STATUS = {401: "authentication_error", 403: "permission_error"}
_RATE_LIMIT = "rate_limit"
#: Our own: refused before anything was sent, or made at Stripe and left without a try to charge.
_OWN_CODES = frozenset(
    {"increments_are_off", "key_of_another_mode", "multicapture_is_off", "never_confirmed"}
)

#: What the manifest lists as proof that nothing was done.
NOT_PROCESSED_CODES: tuple[str, ...] = tuple(
    sorted({_RATE_LIMIT, *_OF_STATUS.values(), *_ACCOUNT_CODES, *_OWN_CODES})
)

_DECLINING = frozenset({400, 402, 404})


class Unreadable(Exception):
    """Stripe's answer does not tell what became of the operation, or not yet."""


class Refused(Exception):
    """Stripe answered with an error: its HTTP status and its error object."""

    def __init__(self, status: int, error: Mapping[str, Any]) -> None:
        self.status = status
        self.error = error
        self.code = str(error.get("code") or "")
        self.type = str(error.get("type") or "")
        super().__init__(f"HTTP {status} {self.type} {self.code}: {error.get('message') or ''}")

    @property
    def intent(self) -> Mapping[str, Any] | None:
        """The PaymentIntent that the error carries."""
        carried = self.error.get("payment_intent")
        return carried if isinstance(carried, Mapping) else None


def not_processed(code: str, text: str) -> Outcome:
    """Proof that nothing was done; `code` is one of `NOT_PROCESSED_CODES`."""
    decline = Decline(code=code, raw_code=code, raw_text=text)
    return Outcome(status="not_processed", raw_status=code, decline=decline)


def outcome_of_refusal(refused: Refused) -> Outcome:
    """A decline or `not_processed`; raises `refused` where it proves neither."""
    text = str(refused.error.get("message") or "")
    if refused.status == 429 and refused.code == _RATE_LIMIT:
        return not_processed(_RATE_LIMIT, text)
    if refused.status in _OF_STATUS:
        return not_processed(_OF_STATUS[refused.status], text)
    if refused.status not in _DECLINING or refused.type == "idempotency_error":
        raise refused
    if refused.code in _ACCOUNT_CODES:
        return not_processed(refused.code, text)
    decline = decline_of(refused.error)
    reference = refused.intent.get("id") if refused.intent is not None else None
    return Outcome(
        status="declined",
        provider_reference=reference if isinstance(reference, str) else None,
        decline=decline,
        raw_status=refused.code or refused.type,
    )
