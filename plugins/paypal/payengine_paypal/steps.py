"""How is each operation carried out, request by request?

Everything here blocks, in a thread of the plugin's own, and within one deadline. Each step may be
carried out again at any time: what is sent bears an id that follows from the operation's key, and
what was done before is looked for first.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from payengine.plugin import (
    Amount,
    Authorize,
    Capture,
    Decline,
    Lookup,
    NextAction,
    Outcome,
    Void,
)

from payengine_paypal.amounts import InexpressibleAmount
from payengine_paypal.bodies import cancel_patches, capture_body, money, order_body
from payengine_paypal.client import Client, Refused, derived_id
from payengine_paypal.declines import ISSUES
from payengine_paypal.outcomes import (
    CANCELED_MARK,
    capture_outcome,
    is_canceled,
    link_to_buyer,
    minor_of,
    not_processed,
    order_outcome,
    refusal_outcome,
)
from payengine_paypal.records import Authorization, Order, Unclear

__all__ = ["HONOR_PERIOD", "Steps", "approval_page"]

#: For so long PayPal promises that a hold's money is there.
HONOR_PERIOD = timedelta(days=3)
#: After so long an order that PayPal no longer knows was never paid: by the account's settings it
#: waits for the buyer for up to 72 hours, and then for the payment for three.
_FORGOTTEN_AFTER = timedelta(hours=78)

#: PayPal may refuse to change such an order; nobody can complete it either, and once the void is
#: recorded nobody tries.
_UNAPPROVED = ("CREATED", "SAVED", "PAYER_ACTION_REQUIRED")
_OPEN = ("CREATED", "PARTIALLY_CAPTURED", "PENDING")
_ENDED = (
    "ACTION_DOES_NOT_MATCH_INTENT",
    "ORDER_ALREADY_AUTHORIZED",
    "ORDER_ALREADY_CAPTURED",
    "ORDER_ALREADY_COMPLETED",
    "ORDER_COMPLETED_OR_VOIDED",
)
_WAITS_FOR_BUYER = ("ORDER_NOT_APPROVED", "PAYER_ACTION_REQUIRED")
_PAGES = {
    "https://api-m.paypal.com": "https://www.paypal.com",
    "https://api.paypal.com": "https://www.paypal.com",
    "https://api-m.sandbox.paypal.com": "https://www.sandbox.paypal.com",
    "https://api.sandbox.paypal.com": "https://www.sandbox.paypal.com",
}


def approval_page(base: str, order_id: str) -> str:
    """Where the buyer approves an order whose own links do not say it."""
    return f"{_PAGES.get(base, base)}/checkoutnow?token={order_id}"


class Steps:
    """One call: an account, and until when."""

    def __init__(self, client: Client, *, until: float, brand: str = "") -> None:
        """`until` is an instant of `time.monotonic`."""
        self.client = client
        self.until = until
        self._brand = brand

    def authorize(self, request: Authorize) -> Outcome:
        """Create the order; one with a saved method completes at once."""
        try:
            body = order_body(request, brand=self._brand)
        except InexpressibleAmount:
            return not_processed("AMOUNT_NOT_EXPRESSIBLE")
        try:
            order = self.client.create_order(self.until, body, request_id=derived_id(request.key))
        except Refused as refused:
            return refusal_outcome(refused.status, refused.problem)
        return self._taken_further(order, request.key)

    def capture(self, request: Capture) -> Outcome:
        """Capture a part of the hold; after the honour period the hold is renewed first."""
        try:
            body = capture_body(request)
        except InexpressibleAmount:
            return not_processed("AMOUNT_NOT_EXPRESSIBLE")
        try:
            order = self.client.order(self.until, request.provider_reference)
        except Refused as refused:
            return refusal_outcome(refused.status, refused.problem)
        done = self._captured_with(order, request.key)
        if done is not None:
            return done
        if not order.holds:
            return not_processed("NOTHING_HELD")
        if _captured(order) + request.amount.minor > _held(order, request.amount.currency):
            return not_processed("EXCEEDS_WHAT_IS_HELD")
        hold = self._fresh(order, request.key)
        try:
            taken = self.client.capture(self.until, hold, body, request_id=derived_id(request.key))
        except Refused as refused:
            return self._refused_capture(refused, request)
        return capture_outcome(taken, reference=taken.id, captured=True)

    def void(self, request: Void) -> Outcome:
        """Release the hold, or make an order that waits for its buyer one that cannot be paid."""
        try:
            order = self.client.order(self.until, request.provider_reference)
        except Refused as refused:
            return refusal_outcome(refused.status, refused.problem)
        if order.holds:
            return self._release(order, request)
        if order.payments.captures:
            return not_processed("NOTHING_HELD")
        if order.status != "VOIDED" and not is_canceled(order):
            self._cancel(order)
            # Whoever took it further at the same time was quicker, or can no longer.
            order = self.client.order(self.until, order.id)
            if order.holds:
                return self._release(order, request)
            if order.payments.captures:
                return not_processed("NOTHING_HELD")
            if not is_canceled(order) and order.status not in _UNAPPROVED:
                raise Unclear(f"the order {order.id} could not be canceled")
        return Outcome(status="succeeded", provider_reference=order.id, raw_status=order.status)

    def look_up_authorization(self, request: Lookup, order_id: str) -> Outcome:
        """What became of an order; one that the buyer has approved is taken further.

        Nothing else does that: until now no money has moved. Several that do it at once send the
        same id, and PayPal completes an order once.
        """
        try:
            order = self.client.order(self.until, order_id)
        except Refused as refused:
            return _forgotten(refused, request)
        marked = order.unit.custom_id or ""
        if marked.removeprefix(CANCELED_MARK) != request.key:
            raise Unclear(f"the order {order.id} belongs to another operation")
        return self._taken_further(order, request.key)

    def look_up_capture(self, request: Lookup, reference: str) -> Outcome:
        """What became of a capture, by its own id or by that of the order."""
        try:
            taken = self.client.capture_of(self.until, reference)
            return capture_outcome(taken, reference=taken.id, captured=True)
        except Refused as refused:
            if refused.status != 404:
                raise
        order = self._order_or_none(reference)
        found = self._captured_with(order, request.key) if order is not None else None
        return found or Outcome(status="not_found")

    def look_up_void(self, reference: str) -> Outcome:
        """What became of a void: the order tells."""
        order = self._order_or_none(reference)
        if order is not None:
            holds = order.holds
            if (holds and holds[0].status == "VOIDED") or (not holds and is_canceled(order)):
                return Outcome(
                    status="succeeded", provider_reference=order.id, raw_status=order.status
                )
        return Outcome(status="not_found")

    def _order_or_none(self, reference: str) -> Order | None:
        try:
            return self.client.order(self.until, reference)
        except Refused as refused:
            if refused.status != 404:
                raise
            return None

    def _taken_further(self, order: Order, key: str) -> Outcome:
        page = approval_page(self.client.base, order.id)
        untouched = not order.payments.captures and not order.holds
        if order.status != "APPROVED" or not untouched or is_canceled(order):
            return order_outcome(order, page=page)
        try:
            order = self.client.complete_order(
                self.until, order, request_id=derived_id(key, "complete")
            )
        except Refused as refused:
            return self._refused_completion(refused, order, page)
        return order_outcome(order, page=page)

    def _refused_completion(self, refused: Refused, order: Order, page: str) -> Outcome:
        is_ended = refused.problem.has(*_ENDED)
        if is_ended or (refused.status == 422 and refused.problem.code not in ISSUES):
            now = self.client.order(self.until, order.id)
            if is_ended or now.status != order.status or now.intent != order.intent:
                return order_outcome(now, page=page)
        if refused.problem.has(*_WAITS_FOR_BUYER):
            return Outcome(
                status="requires_action",
                provider_reference=order.id,
                next_action=NextAction(url=link_to_buyer(refused.problem.links) or page),
                raw_status=refused.problem.code,
            )
        outcome = refusal_outcome(refused.status, refused.problem)
        if outcome.status == "not_processed":
            raise Unclear(f"the order {order.id} is approved and could not be completed: {refused}")
        return Outcome(
            status=outcome.status,
            provider_reference=order.id,
            decline=outcome.decline,
            raw_status=outcome.raw_status,
        )

    def _captured_with(self, order: Order, key: str) -> Outcome | None:
        for taken in order.payments.captures:
            if taken.invoice_id == key:
                return capture_outcome(taken, reference=taken.id, captured=True)
        return None

    def _refused_capture(self, refused: Refused, request: Capture) -> Outcome:
        if refused.problem.has("DUPLICATE_INVOICE_ID"):
            # The invoice is our key: it was captured before, and the order tells with what result.
            order = self.client.order(self.until, request.provider_reference)
            done = self._captured_with(order, request.key)
            if done is not None:
                return done
        return refusal_outcome(refused.status, refused.problem)

    def _fresh(self, order: Order, key: str) -> Authorization:
        """The hold to capture: the newest that is open, renewed where its honour has run out.

        A hold that was captured in part cannot be renewed, and a renewed one only through its
        parent. Where PayPal does not renew it, the capture is tried all the same: a hold lives for
        29 days, of which the money is promised for three.
        """
        holds = order.holds
        open_holds = [hold for hold in holds if hold.status in _OPEN]
        newest = open_holds[-1] if open_holds else holds[-1]
        now = datetime.now(UTC)
        made, ends = newest.create_time, newest.expiration_time
        is_fresh = made is None or now - made <= HONOR_PERIOD
        is_over = ends is not None and now >= ends
        if is_fresh or is_over or not open_holds or order.payments.captures:
            return newest
        parent = holds[0]
        amount = {"amount": money(minor_of(parent.amount))}
        try:
            return self.client.reauthorize(
                self.until, parent, amount, request_id=derived_id(key, "reauthorize")
            )
        except Refused as refused:
            if refused.status not in (400, 403, 422):
                raise Unclear(f"the hold could not be renewed: {refused}") from None
            return newest

    def _release(self, order: Order, request: Void) -> Outcome:
        parent = order.holds[0]
        released = Outcome(status="succeeded", provider_reference=order.id, raw_status="VOIDED")
        if parent.status == "VOIDED":
            return released
        try:
            self.client.void(self.until, parent, request_id=derived_id(request.key))
        except Refused as refused:
            if refused.problem.has("PREVIOUSLY_VOIDED"):
                return released
            return refusal_outcome(refused.status, refused.problem)
        return released

    def _cancel(self, order: Order) -> None:
        patches = cancel_patches(key=order.unit.custom_id or "", intent=order.intent)
        try:
            self.client.patch_order(self.until, order.id, patches)
        except Refused as refused:
            if refused.problem.has("ORDER_ALREADY_COMPLETED") or refused.status != 422:
                return  # what has become of the order is read next
            self._mark_alone(order, patches[1:])

    def _mark_alone(self, order: Order, patches: list[dict[str, str]]) -> None:
        """An intent that cannot be changed leaves the mark, which every lookup heeds."""
        try:
            self.client.patch_order(self.until, order.id, patches)
        except Refused:
            return


def _forgotten(refused: Refused, request: Lookup) -> Outcome:
    """PayPal knows no such order: it was never approved, once that time is over."""
    if refused.status != 404:
        raise refused
    sent_at = request.sent_at
    if sent_at is None or datetime.now(UTC) - sent_at < _FORGOTTEN_AFTER:
        return Outcome(status="not_found")
    problem = refused.problem
    decline = Decline(code="authentication_required", raw_code=problem.code, raw_text=problem.text)
    return Outcome(status="declined", decline=decline, raw_status=problem.code)


def _held(order: Order, currency: str) -> int:
    amount: Amount = minor_of(order.holds[0].amount)
    if amount.currency != currency:
        raise Unclear(f"the hold is in {amount.currency}")
    return amount.minor


def _captured(order: Order) -> int:
    lost = ("DECLINED", "FAILED")
    return sum(
        minor_of(taken.amount).minor
        for taken in order.payments.captures
        if taken.status not in lost
    )
