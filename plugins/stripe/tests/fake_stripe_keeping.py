"""How are customers, payment methods, SetupIntents and files kept at the fake?"""

from __future__ import annotations

import fake_stripe_objects as objects
from fake_stripe_books import Books, Object, Problem, invalid
from fake_stripe_payments import method_of

__all__ = [
    "answer_setup",
    "attach",
    "create_customer",
    "create_method",
    "create_setup",
    "detach",
    "upload",
]


def create_customer(books: Books, params: Object) -> Object:
    """A new customer."""
    return books.keep(objects.customer(params, live=books.live))


def create_method(books: Books, params: Object) -> Object:
    """A payment method made of a token."""
    if params.get("type") != "card":
        invalid("The fake makes cards only.", param="type")
    data = {"type": "card", "card": params.get("card") or {}}
    method, _ = method_of(books, {"payment_method_data": data})
    return method


def attach(books: Books, name: str, params: Object) -> Object:
    """Give a payment method to a customer."""
    customer = books.find("customer", params.get("customer"))
    method, _ = method_of(books, {"payment_method": name, "customer": customer["id"]})
    method["customer"] = customer["id"]
    books.event("payment_method.attached", method)
    return method


def detach(books: Books, name: str) -> Object:
    """Take a payment method from its customer."""
    method = books.find("payment_method", name)
    if method["customer"] is None:
        invalid(
            "The payment method is not attached to a customer.", code="payment_method_not_attached"
        )
    method["customer"] = None
    books.event("payment_method.detached", method)
    return method


def create_setup(books: Books, params: Object) -> Object:
    """Make a SetupIntent and, with `confirm`, try it."""
    if params.get("customer"):
        books.find("customer", params["customer"])
    confirm = params.get("confirm") == "true"
    found = method_of(books, params) if confirm else None
    setup = books.keep(objects.setup_intent(params, live=books.live))
    if found is None:
        return setup
    method, card = found
    setup["payment_method"] = method["id"]
    if card.code and not card.challenge:
        said = {
            "code": card.code,
            "decline_code": card.decline_code or None,
            "payment_method": method,
        }
        problem = Problem(402, "card_error", card.message, **said)
        setup["last_setup_error"] = dict(problem.error)
        problem.error["setup_intent"] = dict(setup)
        books.event("setup_intent.setup_failed", setup)
        raise problem
    if card.challenge:
        setup["status"] = "requires_action"
        target = {"url": f"{books.url}/3ds/{setup['id']}", "return_url": params.get("return_url")}
        setup["next_action"] = (
            {"type": "redirect_to_url", "redirect_to_url": target}
            if params.get("return_url")
            else {"type": "use_stripe_sdk", "use_stripe_sdk": {}}
        )
        return setup
    _keep(books, setup)
    return setup


def answer_setup(books: Books, name: str, *, passed: bool) -> Object:
    """The buyer was at the bank's page."""
    setup = books.find("setup_intent", name)
    if setup["status"] != "requires_action":
        return setup
    setup["next_action"] = None
    if passed:
        _keep(books, setup)
        return setup
    setup["status"] = "requires_payment_method"
    setup["last_setup_error"] = {
        "type": "invalid_request_error",
        "code": "setup_intent_authentication_failure",
        "message": "The provided PaymentMethod has failed authentication.",
    }
    books.event("setup_intent.setup_failed", setup)
    return setup


def upload(books: Books, *, purpose: str, name: str, size: int) -> Object:
    """Keep a file, as far as its description goes."""
    kind = name.rpartition(".")[2].lower()
    if kind not in ("pdf", "jpg", "jpeg", "png"):
        invalid("This file type is not supported.", param="file")
    made = objects.uploaded_file(purpose=purpose, name=name, size=size, kind=kind)
    return books.keep(made)


def _keep(books: Books, setup: Object) -> None:
    method = books.objects[setup["payment_method"]]
    method["customer"] = setup["customer"]
    books.ready_off_session.add(method["id"])
    setup["status"] = "succeeded"
    books.event("setup_intent.succeeded", setup)
