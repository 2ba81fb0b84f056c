"""What does the fake do with transfers to connected accounts?

As https://docs.stripe.com/api/transfers says. An account whose name has `restricted` in it lacks
the capability, one with `unknown` is not there; nobody's balance reaches a million.
"""

from __future__ import annotations

from fake_stripe_books import Books, Object, invalid, missing, number
from fake_stripe_objects import listed, new_id, now

__all__ = ["create_transfer", "reverse"]

_BALANCE = 100_000_000


def create_transfer(books: Books, params: Object) -> Object:
    """Move money from the platform's balance to a connected account, at once."""
    destination = str(params.get("destination") or "")
    if not destination:
        invalid("Missing required param: destination.", code="parameter_missing")
    if not destination.startswith("acct_") or "unknown" in destination:
        missing("destination", destination, param="destination", status=400)
    if "restricted" in destination:
        invalid(
            "Your destination account needs to have at least one of the following capabilities"
            " enabled: transfers, crypto_transfers, legacy_payments",
            code="insufficient_capabilities_for_transfer",
        )
    amount = number(params, "amount", least=1)
    if amount is None:
        invalid("Missing required param: amount.", code="parameter_missing")
    if amount > _BALANCE:
        invalid("You have insufficient funds in your Stripe account.", code="balance_insufficient")
    name = new_id("tr")
    line = books.line(
        amount=-amount,
        currency=params["currency"],
        fee=0,
        kind="transfer",
        source=name,
        note=params.get("description"),
    )
    made: Object = {
        "id": name,
        "object": "transfer",
        "amount": amount,
        "amount_reversed": 0,
        "balance_transaction": line["id"],
        "created": now(),
        "currency": params["currency"],
        "description": params.get("description"),
        "destination": destination,
        "destination_payment": new_id("py"),
        "livemode": books.live,
        "metadata": dict(params.get("metadata") or {}),
        "reversals": listed(f"/v1/transfers/{name}/reversals", []),
        "reversed": False,
        "source_transaction": None,
        "source_type": "card",
        "transfer_group": params.get("transfer_group"),
    }
    books.keep(made)
    books.event("transfer.created", made)
    return made


def reverse(books: Books, name: str, params: Object) -> Object:
    """Take all of a transfer back."""
    transfer = books.find("transfer", name)
    if transfer["reversed"]:
        invalid(f"Transfer {name} is already fully reversed.")
    transfer |= {"amount_reversed": transfer["amount"], "reversed": True}
    books.event("transfer.reversed", transfer)
    return {
        "id": new_id("trr"),
        "object": "transfer_reversal",
        "amount": transfer["amount"],
        "created": now(),
        "currency": transfer["currency"],
        "metadata": dict(params.get("metadata") or {}),
        "transfer": name,
    }
