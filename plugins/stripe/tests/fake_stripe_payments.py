"""How does a PaymentIntent move at the fake, and what do charges, refunds and disputes do?

Stripe's state machine as it is documented: what is refused there is refused here with the same
status, type and code (https://docs.stripe.com/payments/paymentintents/lifecycle).
"""

from __future__ import annotations

import time
from typing import Any

import fake_stripe_objects as objects
from fake_stripe_books import Books, Object, Problem, invalid, missing, number
from fake_stripe_cards import Card, card_of

__all__ = [
    "answer_challenge",
    "cancel",
    "capture",
    "close_dispute",
    "create_intent",
    "create_refund",
    "increment",
    "method_of",
    "update_dispute",
]

_HUNDREDS = {"isk", "ugx"}
_TENS = {"bhd", "jod", "kwd", "omr", "tnd"}
_LEAST = {"eur": 50, "usd": 50, "gbp": 30}
_LARGEST = 99_999_999
_DISPUTE_FEE = 1_500
_MOST_INCREMENTS = 10
_PROCESSING_S = 2.0
_CANCELABLE = {
    "processing",
    "requires_action",
    "requires_capture",
    "requires_confirmation",
    "requires_payment_method",
}


def create_intent(books: Books, params: Object) -> Object:
    """Make a PaymentIntent and, with `confirm`, try it."""
    amount, currency = _money(params)
    capture_method = params.get("capture_method", "automatic_async")
    if capture_method not in ("automatic", "automatic_async", "manual"):
        invalid("Invalid capture_method", param="capture_method")
    if params.get("customer"):
        books.find("customer", params["customer"])
    method, card = method_of(books, params) if params.get("confirm") == "true" else (None, None)
    if method is not None and method["type"] not in (
        params.get("payment_method_types") or ["card"]
    ):
        invalid("The PaymentMethod is of a type that is not allowed.", param="payment_method")
    options = (params.get("payment_method_options") or {}).get("card") or {}
    if not books.flexible and any(name.startswith("request_") for name in options):
        invalid("This account is not eligible for the requested card features.")
    intent = objects.payment_intent(
        {**params, "amount": amount, "currency": currency, "capture_method": capture_method},
        live=books.live,
    )
    books.keep(intent)
    books.event("payment_intent.created", intent)
    if method is not None and card is not None:
        intent["payment_method"] = method["id"]
        _confirm(books, intent, method, card, params)
    return intent


def method_of(books: Books, params: Object) -> tuple[Object, Card]:
    """The payment method that the parameters name; a test token makes a new one."""
    data = params.get("payment_method_data") or {}
    token = params.get("payment_method") or (data.get("card") or {}).get("token")
    if params.get("confirmation_token"):
        token = str(params["confirmation_token"]).replace("ctoken_", "pm_card_", 1)
    if not token:
        invalid(
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            code="payment_intent_unexpected_state",
        )
    known = books.objects.get(token)
    if known is not None and known["object"] == "payment_method":
        if known["customer"] and known["customer"] != params.get("customer"):
            invalid(
                "The payment method belongs to a customer: include it in the parameter `customer`.",
                param="payment_method",
            )
        return known, books.cards[token]
    card = card_of(str(token))
    if card is None or books.live:
        missing("PaymentMethod", token, param="payment_method", status=400)
    made = books.keep(objects.payment_method(card, live=books.live))
    books.cards[made["id"]] = card
    return made, card


def capture(books: Books, name: str, params: Object) -> Object:
    """Take what is held, all or a part; once, unless the charge offers several captures."""
    intent = books.find("payment_intent", name)
    _require_status(intent, "capture", {"requires_capture"})
    charge = books.objects[intent["latest_charge"]]
    amount = number(params, "amount_to_capture", least=1) or intent["amount_capturable"]
    final = params.get("final_capture", "true") != "false"
    if amount > intent["amount_capturable"]:
        invalid(
            "The amount to capture is more than may be captured.",
            code="amount_too_large",
            param="amount_to_capture",
        )
    several = charge["payment_method_details"]["card"]["multicapture"]["status"] == "available"
    if not final and not several:
        invalid("final_capture cannot be false: multicapture is not available.")
    _merge(intent, params)
    intent["amount_received"] += amount
    left = 0 if final else intent["amount_capturable"] - amount
    intent["amount_capturable"] = left
    _take(books, intent, charge, amount)
    books.event("charge.captured", charge)
    if left == 0:
        intent["status"] = "succeeded"
        books.event("payment_intent.succeeded", intent)
    else:
        books.event("payment_intent.amount_capturable_updated", intent)
    return intent


def cancel(books: Books, name: str, params: Object) -> Object:
    """Cancel; of one that was captured in part, release what is left."""
    intent = books.find("payment_intent", name)
    _require_status(intent, "cancel", _CANCELABLE)
    books.later.pop(name, None)
    intent["amount_capturable"] = 0
    intent["next_action"] = None
    if intent["amount_received"] > 0:
        intent["status"] = "succeeded"
        books.event("payment_intent.succeeded", intent)
        return intent
    intent["status"] = "canceled"
    intent["canceled_at"] = objects.now()
    intent["cancellation_reason"] = params.get("cancellation_reason")
    books.event("payment_intent.canceled", intent)
    return intent


def increment(books: Books, name: str, params: Object) -> Object:
    """Raise the hold to a new sum."""
    intent = books.find("payment_intent", name)
    _require_status(intent, "increment", {"requires_capture"})
    charge = books.objects[intent["latest_charge"]]
    card = charge["payment_method_details"]["card"]
    amount = number(params, "amount", least=1)
    if amount is None:
        invalid("Missing required param: amount.", code="parameter_missing", param="amount")
    if card["incremental_authorization"]["status"] != "available":
        invalid("This PaymentIntent cannot be incremented.", code="payment_intent_unexpected_state")
    if amount <= intent["amount"]:
        invalid("The amount must be greater than before.", code="amount_too_small", param="amount")
    done = sum(name.startswith("payengine_increment_") for name in intent["metadata"])
    if done >= _MOST_INCREMENTS or intent["amount_received"]:
        invalid("No further increment is allowed.", code="payment_intent_unexpected_state")
    _merge(intent, params)
    intent["amount_capturable"] += amount - intent["amount"]
    intent["amount"] = charge["amount"] = card["amount_authorized"] = amount
    card["overcapture"]["maximum_amount_capturable"] = amount
    books.event("payment_intent.amount_capturable_updated", intent)
    return intent


def create_refund(books: Books, params: Object) -> Object:
    """Give back what was captured, all that is left or a part of it."""
    charge = _charge_of(books, params)
    left = charge["amount_captured"] - charge["amount_refunded"]
    if charge["disputed"]:
        invalid("The charge has been charged back.", code="charge_disputed")
    if charge["amount_captured"] == 0:
        invalid("This PaymentIntent does not have a successful charge to refund.")
    amount = number(params, "amount", least=1) or left
    if left == 0:
        invalid("The charge has already been refunded.", code="charge_already_refunded")
    if amount > left:
        invalid(f"The amount {amount} is greater than the unrefunded {left}.", param="amount")
    if params.get("reason") not in (None, "duplicate", "fraudulent", "requested_by_customer"):
        invalid("Invalid reason", param="reason")
    card = books.cards[charge["payment_method"]]
    status = "pending" if card.refund == "pending" else "succeeded"
    made = books.keep(objects.refund(charge, amount, params, status=status))
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
    line = books.line(
        amount=-amount,
        currency=charge["currency"],
        fee=0,
        kind="refund",
        source=made["id"],
        note="REFUND FOR CHARGE",
    )
    made["balance_transaction"] = line["id"]
    books.event("refund.created", made)
    books.event("charge.refunded", charge)
    if card.refund != "succeeded":
        soon = time.time() + _PROCESSING_S
        books.later[made["id"]] = (soon, lambda: _end_refund(books, charge, made, card))
    return made


def update_dispute(books: Books, name: str, params: Object) -> Object:
    """Take evidence; handed in, it decides as Stripe's test mode does."""
    dispute = books.find("dispute", name)
    if dispute["status"] not in ("needs_response", "warning_needs_response"):
        invalid("This dispute is already closed.", code="dispute_closed")
    given = params.get("evidence") or {}
    unknown = [field for field in given if field not in dispute["evidence"]]
    if unknown:
        invalid(f"Received unknown parameter: evidence[{unknown[0]}]", code="parameter_unknown")
    dispute["evidence"].update(given)
    dispute["evidence_details"]["has_evidence"] = bool(given)
    if params.get("submit", "true") == "true":
        dispute["evidence_details"]["submission_count"] += 1
        words = str(dispute["evidence"]["uncategorized_text"])
        ends = {"winning_evidence": "won", "losing_evidence": "lost"}
        dispute["status"] = ends.get(words, "under_review")
        if dispute["status"] == "won":
            _reinstate(books, dispute)
    closed = dispute["status"] in ("won", "lost")
    books.event(f"charge.dispute.{'closed' if closed else 'updated'}", dispute)
    return dispute


def close_dispute(books: Books, name: str) -> Object:
    """Give a dispute up."""
    dispute = books.find("dispute", name)
    if dispute["status"] in ("won", "lost", "warning_closed"):
        invalid("This dispute is already closed.", code="dispute_closed")
    dispute["status"] = "warning_closed" if dispute["status"].startswith("warning") else "lost"
    books.event("charge.dispute.closed", dispute)
    return dispute


def answer_challenge(books: Books, name: str, *, passed: bool) -> Object:
    """The buyer was at the bank's page."""
    intent = books.find("payment_intent", name)
    if intent["status"] != "requires_action":
        return intent
    intent["next_action"] = None
    method = books.objects[intent["payment_method"]]
    card = books.cards[method["id"]]
    try:
        if not passed:
            _fail(
                books,
                intent,
                method,
                card,
                code="payment_intent_authentication_failure",
                message="The provided PaymentMethod has failed authentication.",
                status=400,
            )
        _charge(books, intent, method, card, authenticated=True)
    except Problem:
        pass  # nobody asked by the API: the PaymentIntent itself tells
    return intent


def _money(params: Object) -> tuple[int, str]:
    amount = number(params, "amount", least=1)
    currency = str(params.get("currency") or "")
    for name, given in (("amount", amount), ("currency", currency)):
        if not given:
            invalid(f"Missing required param: {name}.", code="parameter_missing", param=name)
    assert amount is not None
    if len(currency) != 3 or not currency.isalpha() or currency != currency.lower():
        invalid(f"Invalid currency: {currency}", param="currency")
    step = 100 if currency in _HUNDREDS else 10 if currency in _TENS else 1
    if amount % step:
        invalid(f"Amounts in {currency} must be divisible by {step}.", param="amount")
    if amount < _LEAST.get(currency, 1):
        invalid("Amount is below the minimum.", code="amount_too_small", param="amount")
    if amount > _LARGEST:
        invalid("Amount is above the maximum.", code="amount_too_large", param="amount")
    return amount, currency


def _confirm(books: Books, intent: Object, method: Object, card: Card, params: Object) -> None:
    saved = method["id"] in books.ready_off_session
    asks = card.challenge == "always" or (card.challenge == "until_saved" and not saved)
    if not asks:
        _charge(books, intent, method, card, authenticated=False)
        return
    if params.get("off_session") == "true" or params.get("error_on_requires_action") == "true":
        _fail(
            books,
            intent,
            method,
            card,
            code="authentication_required",
            decline_code="authentication_required",
            message="This card needs the buyer to authenticate.",
        )
    intent["status"] = "requires_action"
    return_url = params.get("return_url")
    if return_url:
        target = {"url": f"{books.url}/3ds/{intent['id']}", "return_url": return_url}
        intent["next_action"] = {"type": "redirect_to_url", "redirect_to_url": target}
    else:
        intent["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": {}}
    books.event("payment_intent.requires_action", intent)


def _charge(
    books: Books, intent: Object, method: Object, card: Card, *, authenticated: bool
) -> None:
    if card.code:
        _fail(
            books,
            intent,
            method,
            card,
            code=card.code,
            decline_code=card.decline_code or None,
            message=card.message,
            advice_code=card.advice_code,
        )
    hold = intent["capture_method"] == "manual"
    made = books.keep(objects.charge(intent, method, card, hold=hold, authenticated=authenticated))
    intent["latest_charge"] = made["id"]
    intent["last_payment_error"] = None
    if hold and books.flexible and card.flexible:
        details = made["payment_method_details"]["card"]
        details["multicapture"]["status"] = "available"
        details["incremental_authorization"]["status"] = "available"
    if card.processing:
        made["status"] = "pending"
        intent["status"] = "processing"
        books.event("payment_intent.processing", intent)
        soon = time.time() + _PROCESSING_S
        books.later[intent["id"]] = (soon, lambda: _approve(books, intent, made))
        return
    _approve(books, intent, made)


def _approve(books: Books, intent: Object, charge: Object) -> None:
    charge["status"] = "succeeded"
    if intent["capture_method"] == "manual":
        intent["status"] = "requires_capture"
        intent["amount_capturable"] = intent["amount"]
        books.event("charge.succeeded", charge)
        books.event("payment_intent.amount_capturable_updated", intent)
        return
    intent["status"] = "succeeded"
    intent["amount_received"] = intent["amount"]
    _take(books, intent, charge, intent["amount"])
    books.event("charge.succeeded", charge)
    books.event("payment_intent.succeeded", intent)


def _take(books: Books, intent: Object, charge: Object, amount: int) -> None:
    charge["captured"] = True
    charge["amount_captured"] += amount
    line = books.line(
        amount=amount,
        currency=intent["currency"],
        fee=amount * 29 // 1_000 + 30,
        kind="charge",
        source=charge["id"],
        note=intent["description"],
    )
    charge["balance_transaction"] = line["id"]
    card = books.cards[charge["payment_method"]]
    if card.dispute:
        _dispute(books, charge, card)


def _fail(
    books: Books,
    intent: Object,
    method: Object,
    card: Card,
    *,
    code: str,
    message: str,
    decline_code: str | None = None,
    advice_code: str | None = None,
    status: int = 402,
) -> None:
    """Record a failed charge and refuse."""
    charge = books.keep(objects.charge(intent, method, card, hold=False, authenticated=False))
    charge.update(status="failed", paid=False, failure_code=code, failure_message=message)
    charge["outcome"].update(
        network_status="declined_by_network", type="issuer_declined", advice_code=advice_code
    )
    said: dict[str, Any] = {
        "code": code,
        "charge": charge["id"],
        "decline_code": decline_code,
        "advice_code": advice_code,
        "doc_url": f"https://stripe.com/docs/error-codes/{code}",
        "payment_method": method,
    }
    problem = Problem(
        status, "card_error" if status == 402 else "invalid_request_error", message, **said
    )
    intent["status"] = "requires_payment_method"
    intent["next_action"] = None
    intent["latest_charge"] = charge["id"]
    intent["payment_method"] = None
    intent["last_payment_error"] = dict(problem.error)
    books.event("payment_intent.payment_failed", intent)
    problem.error["payment_intent"] = dict(intent)
    raise problem


def _require_status(intent: Object, what: str, allowed: set[str]) -> None:
    if intent["status"] not in allowed:
        invalid(
            f"You cannot {what} this PaymentIntent because it has a status of {intent['status']}.",
            code="payment_intent_unexpected_state",
            payment_intent=dict(intent),
        )


def _merge(intent: Object, params: Object) -> None:
    merged = {**intent["metadata"], **(params.get("metadata") or {})}
    if len(merged) > 50:
        invalid("You can have up to 50 keys of metadata.", param="metadata")
    intent["metadata"] = merged


def _charge_of(books: Books, params: Object) -> Object:
    if params.get("charge"):
        return books.find("charge", params["charge"])
    intent = books.find("payment_intent", params.get("payment_intent"))
    found = books.objects.get(intent["latest_charge"] or "")
    if found is None or not found["paid"]:
        invalid("This PaymentIntent does not have a successful charge to refund.")
    return found


def _end_refund(books: Books, charge: Object, made: Object, card: Card) -> None:
    if card.refund == "pending":
        made["status"] = "succeeded"
        books.event("refund.updated", made)
        return
    made["status"] = "failed"
    made["failure_reason"] = "expired_or_canceled_card"
    charge["amount_refunded"] -= made["amount"]
    books.line(
        amount=made["amount"],
        currency=made["currency"],
        fee=0,
        kind="refund_failure",
        source=made["id"],
        note="REFUND FAILURE",
    )
    books.event("refund.failed", made)


def _dispute(books: Books, charge: Object, card: Card) -> None:
    charge["disputed"] = not card.inquiry
    made = books.keep(objects.dispute(charge, reason=card.dispute, inquiry=card.inquiry))
    if not card.inquiry:
        line = books.line(
            amount=-made["amount"],
            currency=made["currency"],
            fee=_DISPUTE_FEE,
            kind="adjustment",
            source=made["id"],
            note="Chargeback withdrawal",
        )
        made["balance_transactions"].append(line)
    books.event("charge.dispute.created", made)
    if not card.inquiry:
        books.event("charge.dispute.funds_withdrawn", made)


def _reinstate(books: Books, dispute: Object) -> None:
    line = books.line(
        amount=dispute["amount"],
        currency=dispute["currency"],
        fee=-_DISPUTE_FEE,
        kind="adjustment",
        source=dispute["id"],
        note="Chargeback reversal",
    )
    dispute["balance_transactions"].append(line)
    books.event("charge.dispute.funds_reinstated", dispute)
