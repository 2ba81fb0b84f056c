"""What does PayPal do when it is asked?

The state machine of orders, holds, captures and refunds, with the issues that it refuses with.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from fake_paypal_books import (
    HOLD_LIVES,
    HONOR,
    Capture,
    Hold,
    Merchant,
    Order,
    RefundRow,
    Setup,
    issue_of,
    money_of,
    new_id,
    read_money,
    stamp,
)
from fake_paypal_problems import Problem, bad, missing, refused

__all__ = ["Steps"]

_TAKEN = ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")


class Steps:
    """Carries out requests in a merchant's books; `now` is PayPal's clock."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.strict_honor = False
        self.strict_patch = False
        self.pending_s = 0.5

    # -- orders -------------------------------------------------------------------------------

    def create(self, merchant: Merchant, body: Any, request_id: str) -> Order:
        """POST /v2/checkout/orders."""
        if not isinstance(body, dict) or body.get("intent") not in ("CAPTURE", "AUTHORIZE"):
            raise bad("INVALID_PARAMETER_VALUE", "/intent")
        units = body.get("purchase_units")
        if not isinstance(units, list) or len(units) != 1:
            raise bad("INVALID_ARRAY_MIN_ITEMS", "/purchase_units")
        unit = units[0]
        amount, currency = read_money(unit.get("amount"))
        source = body.get("payment_source") or {}
        order = Order(
            id=new_id(),
            intent=body["intent"],
            currency=currency,
            units=amount,
            at=self.now(),
            status="PAYER_ACTION_REQUIRED" if source else "CREATED",
            custom_id=unit.get("custom_id"),
            invoice_id=unit.get("invoice_id"),
            description=unit.get("description"),
            source=source,
        )
        token = _vault_id(source)
        if token is not None:
            if not request_id:
                raise bad("PAYPAL_REQUEST_ID_REQUIRED")
            self._pay_with(merchant, order, token)
        merchant.orders[order.id] = order
        return order

    def _pay_with(self, merchant: Merchant, order: Order, token: str) -> None:
        problem = issue_of(token)
        if problem is not None:
            raise problem
        if token not in merchant.tokens and not token.startswith("vault_"):
            raise refused("BILLING_AGREEMENT_NOT_FOUND")
        order.behaves = token
        self._complete(merchant, order)

    def approve(self, merchant: Merchant, order_id: str, behaves: str = "") -> Order:
        """The buyer approves on PayPal's page."""
        order = merchant.orders.get(order_id)
        if order is None or order.status not in ("CREATED", "PAYER_ACTION_REQUIRED"):
            raise missing()
        order.status, order.behaves = "APPROVED", behaves
        merchant.tell("CHECKOUT.ORDER.APPROVED", merchant.show_order(order), self.now())
        return order

    def complete(self, merchant: Merchant, order_id: str, intent: str) -> Order:
        """POST …/capture or …/authorize."""
        order = self._order(merchant, order_id)
        if order.intent != intent:
            raise refused("ACTION_DOES_NOT_MATCH_INTENT")
        if order.status == "COMPLETED":
            done = "CAPTURED" if intent == "CAPTURE" else "AUTHORIZED"
            raise refused(f"ORDER_ALREADY_{done}")
        if order.status != "APPROVED":
            raise refused("ORDER_NOT_APPROVED")
        problem = issue_of(order.behaves)
        if problem is not None:
            if problem.issue in ("INSTRUMENT_DECLINED", "PAYER_ACTION_REQUIRED"):
                order.status = "PAYER_ACTION_REQUIRED"
                page = f"{merchant.base}/checkoutnow?token={order.id}"
                link = {"href": page, "rel": "payer-action", "method": "GET"}
                raise Problem(422, problem.issue, links=[link])
            raise problem
        self._complete(merchant, order)
        return order

    def _complete(self, merchant: Merchant, order: Order) -> None:
        now = self.now()
        if order.intent == "AUTHORIZE":
            hold = Hold(new_id(), order.units, now, now + HOLD_LIVES)
            order.holds.append(hold)
            order.status = "COMPLETED"
            shown = merchant.show_hold(order, hold)
            merchant.tell("PAYMENT.AUTHORIZATION.CREATED", shown, now)
            return
        merchant.use_invoice(order.invoice_id, order.id)
        capture = Capture(new_id(), order.units, now, "COMPLETED", order.invoice_id)
        self._behave(order, capture)
        order.captures.append(capture)
        order.status = "COMPLETED"
        self._tell_capture(merchant, order, capture)

    def _behave(self, order: Order, capture: Capture) -> None:
        if order.behaves == "vault_pending":
            capture.status = "PENDING"
            capture.settles = self.now() + timedelta(seconds=self.pending_s)
        if order.behaves.startswith("vault_card_"):
            capture.status = "DECLINED"
            capture.processor = order.behaves.removeprefix("vault_card_")

    def _tell_capture(self, merchant: Merchant, order: Order, capture: Capture) -> None:
        shown = merchant.show_capture(order, capture)
        merchant.tell(f"PAYMENT.CAPTURE.{capture.status}", shown, self.now())

    def settle(self, merchant: Merchant) -> None:
        """What was pending comes to its end."""
        for order in merchant.orders.values():
            for capture in order.captures:
                if capture.settles is not None and capture.settles <= self.now():
                    capture.settles, capture.status = None, "COMPLETED"
                    self._tell_capture(merchant, order, capture)

    def patch(self, merchant: Merchant, order_id: str, patches: Any) -> None:
        """PATCH: the intent and the custom id can be replaced until the order is complete."""
        order = self._order(merchant, order_id)
        if order.status == "COMPLETED":
            raise refused("ORDER_ALREADY_COMPLETED")
        if self.strict_patch and order.status not in ("CREATED", "APPROVED"):
            raise refused("NOT_PATCHABLE")
        if not isinstance(patches, list) or not patches:
            raise bad("INVALID_PARAMETER_SYNTAX")
        unit = "/purchase_units/@reference_id=='default'/custom_id"
        changes = {}
        for patch in patches:
            if patch.get("op") != "replace" or "value" not in patch:
                raise bad("INVALID_PATCH_OPERATION")
            name = {"/intent": "intent", unit: "custom_id"}.get(patch.get("path"))
            if name is None:
                raise refused("NOT_PATCHABLE")
            changes[name] = patch["value"]
        for name, value in changes.items():
            setattr(order, name, value)

    # -- holds and captures -------------------------------------------------------------------

    def capture(self, merchant: Merchant, hold_id: str, body: Any) -> tuple[Order, Capture]:
        """POST /v2/payments/authorizations/{id}/capture."""
        order, hold = self._found(merchant, "holds", hold_id)
        self._check_hold(order, hold)
        amount, currency = read_money(body.get("amount") or money_of(order.units, order.currency))
        if currency != order.currency:
            raise refused("AUTH_CAPTURE_CURRENCY_MISMATCH")
        if (order.taken() + amount) * 100 > order.units * 115:
            raise refused("MAX_CAPTURE_AMOUNT_EXCEEDED")
        problem = issue_of(order.behaves)
        if problem is not None:
            raise problem
        capture = Capture(
            new_id(),
            amount,
            self.now(),
            "COMPLETED",
            body.get("invoice_id") or order.invoice_id,
            hold=hold.id,
            final=bool(body.get("final_capture", False)),
        )
        merchant.use_invoice(capture.invoice_id, capture.id)
        if order.behaves == "vault_hold_pending":
            capture.status = "PENDING"
            capture.settles = self.now() + timedelta(seconds=self.pending_s)
        order.captures.append(capture)
        is_over = capture.final or order.taken() >= order.units
        for each in order.holds:
            if each.status != "VOIDED":
                each.status = "CAPTURED" if is_over else "PARTIALLY_CAPTURED"
        self._tell_capture(merchant, order, capture)
        return order, capture

    def _check_hold(self, order: Order, hold: Hold) -> None:
        if hold.status == "VOIDED":
            raise refused("AUTHORIZATION_VOIDED")
        if hold.status == "CAPTURED":
            raise refused("AUTHORIZATION_ALREADY_CAPTURED")
        if self.now() >= hold.ends:
            raise refused("AUTHORIZATION_EXPIRED")
        if self.strict_honor and self.now() - hold.at > HONOR and not order.captures:
            raise refused("PAYER_CANNOT_PAY")

    def reauthorize(self, merchant: Merchant, hold_id: str, body: Any) -> tuple[Order, Hold]:
        """POST …/reauthorize: a new hold that renews the first."""
        order, hold = self._found(merchant, "holds", hold_id)
        if hold.status == "VOIDED":
            raise refused("AUTHORIZATION_VOIDED")
        if order.captures:
            raise refused("AUTHORIZATION_ALREADY_CAPTURED")
        if hold.parent is not None or self.now() - hold.at <= HONOR:
            raise refused("REAUTHORIZATION_NOT_SUPPORTED")
        if self.now() >= hold.ends:
            raise refused("AUTHORIZATION_EXPIRED")
        if order.behaves == "vault_poor":
            raise refused("PAYER_CANNOT_PAY")
        amount, currency = read_money(body.get("amount") or money_of(order.units, order.currency))
        if currency != order.currency:
            raise refused("AUTH_CURRENCY_MISMATCH")
        child = Hold(new_id(), amount, self.now(), hold.ends, parent=hold.id)
        order.holds.append(child)
        return order, child

    def void(self, merchant: Merchant, hold_id: str) -> tuple[Order, Hold]:
        """POST …/void: the parent's, with all that renewed it."""
        order, hold = self._found(merchant, "holds", hold_id)
        if hold.parent is not None:
            raise refused("CANNOT_BE_VOIDED")
        if hold.status == "VOIDED":
            raise refused("PREVIOUSLY_VOIDED")
        if hold.status == "CAPTURED":
            raise refused("PREVIOUSLY_CAPTURED")
        for each in order.holds:
            each.status = "VOIDED"
        shown = merchant.show_hold(order, hold)
        merchant.tell("PAYMENT.AUTHORIZATION.VOIDED", shown, self.now())
        return order, hold

    def refund(self, merchant: Merchant, capture_id: str, body: Any) -> tuple[Order, RefundRow]:
        """POST /v2/payments/captures/{id}/refund."""
        order, capture = self._found(merchant, "captures", capture_id)
        if capture.status == "PENDING":
            raise refused("PENDING_CAPTURE")
        if capture.status not in _TAKEN:
            raise refused("REFUND_NOT_ALLOWED")
        left = capture.units - order.given(capture)
        if left == 0:
            raise refused("CAPTURE_FULLY_REFUNDED")
        amount, currency = read_money(body.get("amount") or money_of(left, order.currency))
        if currency != order.currency:
            raise refused("REFUND_CAPTURE_CURRENCY_MISMATCH")
        if amount > left:
            raise refused("REFUND_AMOUNT_EXCEEDED")
        if order.behaves == "vault_broke":
            raise refused("REFUND_FAILED_INSUFFICIENT_FUNDS")
        refund = RefundRow(
            new_id(),
            amount,
            self.now(),
            capture.id,
            status="PENDING" if order.behaves == "vault_slow_refund" else "COMPLETED",
            custom_id=body.get("custom_id"),
            invoice_id=body.get("invoice_id"),
            note=body.get("note_to_payer"),
        )
        if refund.invoice_id is not None:
            merchant.use_invoice(f"refund {refund.invoice_id}", refund.id)
        order.refunds.append(refund)
        whole = order.given(capture) == capture.units
        capture.status = "REFUNDED" if whole else "PARTIALLY_REFUNDED"
        shown = merchant.show_refund(order, refund)
        merchant.tell("PAYMENT.CAPTURE.REFUNDED", shown, self.now())
        return order, refund

    # -- the vault ----------------------------------------------------------------------------

    def set_up(self, merchant: Merchant, body: Any) -> Setup:
        """POST /v3/vault/setup-tokens."""
        source = (body.get("payment_source") or {}).get("paypal")
        if not isinstance(source, dict):
            raise bad("MISSING_REQUIRED_PARAMETER", "/payment_source")
        setup = Setup(new_id(), context=source.get("experience_context") or {})
        merchant.setups[setup.id] = setup
        return setup

    def keep(self, merchant: Merchant, body: Any) -> Setup:
        """POST /v3/vault/payment-tokens."""
        token = (body.get("payment_source") or {}).get("token") or {}
        setup = merchant.setups.get(token.get("id", ""))
        if setup is None or token.get("type") != "SETUP_TOKEN":
            raise Problem(404)
        if setup.status != "APPROVED":
            raise refused("INVALID_RESOURCE_STATUS")
        setup.status = "VAULTED"
        kept = Setup(new_id(8).lower(), status="VAULTED")
        merchant.tokens[kept.id] = kept
        shown = merchant.show_token(kept, kept=True)
        merchant.tell("VAULT.PAYMENT-TOKEN.CREATED", shown, self.now())
        return kept

    # -- disputes -----------------------------------------------------------------------------

    def open_dispute(self, merchant: Merchant, capture_id: str) -> dict[str, Any]:
        """A buyer complains."""
        order, capture = self._found(merchant, "captures", capture_id)
        dispute = {
            "dispute_id": f"PP-D-{new_id(5)}",
            "create_time": stamp(self.now()),
            "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
            "status": "WAITING_FOR_SELLER_RESPONSE",
            "dispute_amount": money_of(capture.units, order.currency),
            "dispute_life_cycle_stage": "CHARGEBACK",
            "disputed_transactions": [
                {
                    "seller_transaction_id": capture.id,
                    "custom": order.custom_id,
                    "gross_amount": money_of(capture.units, order.currency),
                }
            ],
            "seller_response_due_date": stamp(self.now() + timedelta(days=10)),
        }
        merchant.disputes[str(dispute["dispute_id"])] = dispute
        merchant.tell("CUSTOMER.DISPUTE.CREATED", dict(dispute), self.now())
        return dispute

    def move_dispute(
        self, merchant: Merchant, dispute_id: str, *, status: str, outcome: str = ""
    ) -> dict[str, Any]:
        """PayPal or the merchant moves the dispute on."""
        dispute = merchant.disputes[dispute_id]
        dispute["status"] = status
        if outcome:
            dispute["dispute_outcome"] = {"outcome_code": outcome}
        kind = "RESOLVED" if status == "RESOLVED" else "UPDATED"
        merchant.tell(f"CUSTOMER.DISPUTE.{kind}", dict(dispute), self.now())
        return dispute

    def _order(self, merchant: Merchant, order_id: str) -> Order:
        order = merchant.orders.get(order_id)
        if order is None:
            raise missing()
        return order

    def _found(self, merchant: Merchant, kind: str, resource_id: str) -> tuple[Order, Any]:
        found = merchant.find(kind, resource_id)
        if found is None:
            raise missing()
        return found


def _vault_id(source: dict[str, Any]) -> str | None:
    for kind in ("paypal", "card"):
        token = (source.get(kind) or {}).get("vault_id")
        if token is not None:
            return str(token)
    return None
