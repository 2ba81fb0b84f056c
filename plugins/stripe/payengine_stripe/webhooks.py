"""Is this call from Stripe, and what does it tell?

The SDK checks the signature; around it stands what the SDK lets pass: a timestamp from the future,
one that is judged by another clock than the one that received the call, and bodies that make it
raise anything at all. Whatever is doubtful is `WebhookRefused`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from payengine.plugin import Call, DisputeEvent, Outcome, WebhookEvent, WebhookRefused
from payengine.plugin import WebhookRequest as Request

from payengine_stripe import answers
from payengine_stripe.client import sdk
from payengine_stripe.disputes import dispute_report
from payengine_stripe.marks import CAPTURE, INCREMENT, KEY, marked
from payengine_stripe.objects import Dispute, Intent, RefundObject, read
from payengine_stripe.problems import Unreadable
from payengine_stripe.settings import StripeSettings, settings_of

__all__ = ["parse"]

_OLDEST_S = 300
_EARLIEST_S = 60
_LARGEST_BODY = 512 * 1024
_LONGEST_HEADER = 2_048
#: One timestamp, then signatures; other schemes than v1 are passed over.
_HEADER = re.compile(r"t=(?P<t>[0-9]{1,12})((?:,v[0-9]{1,3}=[0-9a-f]{1,128}){1,20})")

_INTENT_TYPES = frozenset(
    {
        "payment_intent.amount_capturable_updated",
        "payment_intent.canceled",
        "payment_intent.partially_funded",
        "payment_intent.payment_failed",
        "payment_intent.processing",
        "payment_intent.requires_action",
        "payment_intent.succeeded",
    }
)
_REFUND_TYPES = frozenset(
    {"charge.refund.updated", "refund.created", "refund.failed", "refund.updated"}
)
_DISPUTE_TYPES = frozenset(
    {
        "charge.dispute.closed",
        "charge.dispute.created",
        "charge.dispute.funds_reinstated",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.updated",
    }
)


class _Data(msgspec.Struct, frozen=True):
    object: dict[str, Any]


class _Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Stripe's event, as far as it is read."""

    id: str
    object: str
    type: str
    created: int
    livemode: bool
    data: _Data
    account: str | None = None


_decoder = msgspec.json.Decoder(_Notice)


def parse(call: Call, request: Request) -> Sequence[WebhookEvent | DisputeEvent]:
    """The verified facts of a webhook; none for an event that is not about an operation of ours.

    Raises `WebhookRefused`, and nothing else.
    """
    settings = settings_of(call)
    try:
        _verify(request, settings.webhook_secrets)
        notice = _decoder.decode(request.body)
        at = datetime.fromtimestamp(notice.created, UTC)
    except WebhookRefused:
        raise
    except Exception:
        # Unicode, JSON, recursion, attributes, types, dates: whoever sent this, it cannot be read.
        raise WebhookRefused("The webhook cannot be read.") from None
    _check_addressee(notice, settings, live=call.mode == "live")
    try:
        return list(_facts(notice, at))
    except Unreadable as problem:
        raise WebhookRefused(f"The webhook's object cannot be read: {problem}") from None
    except Exception:
        # Instants out of range, addresses that are none: what is signed may still be absurd.
        raise WebhookRefused("The webhook's object cannot be read.") from None


def _verify(request: Request, secrets: Sequence[str]) -> None:
    header = request.headers.get("stripe-signature", "")
    if not secrets or len(request.body) > _LARGEST_BODY or len(header) > _LONGEST_HEADER:
        raise WebhookRefused("No secret is set, or the webhook is too large.")
    spelled = _HEADER.fullmatch(header)
    if spelled is None:
        raise WebhookRefused("The header Stripe-Signature cannot be read.")
    age_s = request.received_at.timestamp() - int(spelled["t"])
    if age_s > _OLDEST_S or age_s < -_EARLIEST_S:
        raise WebhookRefused("The timestamp is too old or too early.")
    stripe = sdk()
    for secret in secrets:
        try:
            # A tolerance of 0 leaves the time to the check above.
            stripe.Webhook.construct_event(request.body, header, secret, 0)
        except stripe.SignatureVerificationError:
            continue
        return
    raise WebhookRefused("The signature does not match.")


def _check_addressee(notice: _Notice, settings: StripeSettings, *, live: bool) -> None:
    if notice.object != "event" or not 0 < len(notice.id) <= 200 or not notice.id.isprintable():
        raise WebhookRefused("This is no event.")
    if notice.livemode != live:
        raise WebhookRefused("The event is of another mode than this world.")
    if notice.account and notice.account != settings.connected_account:
        raise WebhookRefused("The event is of another account.")


def _facts(notice: _Notice, at: datetime) -> Iterator[WebhookEvent | DisputeEvent]:
    plain = notice.data.object
    if notice.type in _INTENT_TYPES:
        yield from _of_intent(notice, plain, at)
    elif notice.type in _REFUND_TYPES and plain.get("object") == "refund":
        yield from _of_refund(notice, plain, at)
    elif notice.type in _DISPUTE_TYPES:
        yield from _of_dispute(notice, plain, at)


def _of_intent(notice: _Notice, plain: Mapping[str, Any], at: datetime) -> Iterator[WebhookEvent]:
    """The authorization, then each increment and capture: one object tells of all of them."""
    metadata = plain.get("metadata")
    key = metadata.get(KEY) if isinstance(metadata, dict) else None
    if key is None:
        return  # made by somebody else on the same account
    intent = read(plain, Intent)
    if intent.livemode != notice.livemode:
        raise Unreadable("the object is of another mode than its event")
    told: list[tuple[Any, str, Outcome]] = []
    # It raises at a step of Stripe's own, and at a cancellation that does not show its charge.
    with contextlib.suppress(Unreadable):
        told.append(("authorize", str(key), answers.authorization(intent)))
    for prefix, kind, tell in (
        (INCREMENT, "increment", answers.increment),
        (CAPTURE, "capture", answers.capture),
    ):
        told += [(kind, own, tell(intent, own)) for own in marked(prefix, intent.metadata)]
    for number, (kind, own, outcome) in enumerate(told):
        yield WebhookEvent(
            event_id=notice.id if number == 0 else f"{notice.id}:{own}"[:255],
            kind=kind,
            key=own,
            provider_reference=intent.id,
            outcome=outcome,
            occurred_at=at,
            incomplete=outcome.status == "succeeded" and intent.charge is None,
        )


def _of_refund(notice: _Notice, plain: Mapping[str, Any], at: datetime) -> Iterator[WebhookEvent]:
    refund = read(plain, RefundObject)
    key = (refund.metadata or {}).get(KEY)
    if key is not None:
        yield WebhookEvent(
            event_id=notice.id,
            kind="refund",
            key=key,
            provider_reference=refund.id,
            outcome=answers.refund(refund),
            occurred_at=at,
        )


def _of_dispute(notice: _Notice, plain: Mapping[str, Any], at: datetime) -> Iterator[DisputeEvent]:
    dispute = read(plain, Dispute)
    report = dispute_report(dispute)
    if report is not None:
        yield DisputeEvent(
            event_id=notice.id,
            key=None,
            provider_reference=dispute.payment_intent or dispute.charge,
            dispute=report,
            occurred_at=at,
        )
