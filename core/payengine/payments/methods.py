"""With what is paid, and which gateways may hear of it?

A provider's token belongs to that provider, and a saved method to the gateway in whose vault it
rests. Where nobody says which that is, a saved method stays with the gateway that charged it last,
and one that was never charged goes to one gateway and no further.
"""

from __future__ import annotations

import uuid

import msgspec

from payengine.errors import NotFound, PaymentMethodInvalid
from payengine.payments.inputs import MethodInput
from payengine.plugin import PaymentMethod
from payengine.storage import Session
from payengine.vault import Vault

__all__ = ["Tender", "given_tender", "saved_tender", "saved_token", "wallet_tender"]

_SAVED = """
    SELECT kind, customer_id, token_sealed, detached_at, coalesce(gateway, (
        SELECT payment.gateway FROM payment
        WHERE payment.tenant_id = $1 AND payment.saved_payment_method_id = $2
          AND payment.authorized_minor > 0
        ORDER BY payment.id DESC LIMIT 1
    )) AS gateway
    FROM payment_method WHERE tenant_id = $1 AND id = $2
"""


class Tender(msgspec.Struct, frozen=True, kw_only=True):
    """What is paid with.

    `gateway` is the only one that may hear of it, None where any may. `may_move` says whether a
    second gateway may be tried with it. `country` and `card_digits`, the card's first 4 to 8, are
    what the client was told of the token. `challenge` asks for the buyer to be authenticated;
    `held` lets nothing be captured before a person has looked at the payment.
    """

    method: PaymentMethod
    gateway: str | None = None
    may_move: bool = True
    country: str | None = None
    card_digits: str | None = None
    challenge: bool = False
    held: bool = False


def given_tender(given: MethodInput) -> Tender:
    """The token that the client sent."""
    return Tender(
        method=PaymentMethod(token=given.token, kind=given.kind),
        gateway=given.gateway,
        country=given.country,
        card_digits=given.card_digits,
    )


def wallet_tender(method: PaymentMethod, given: MethodInput | None) -> Tender:
    """What a wallet held, in memory; the client may know the buyer's country."""
    return Tender(method=method, country=given.country if given is not None else None)


async def saved_token(
    session: Session, vault: Vault, tenant_id: uuid.UUID, method_id: str
) -> PaymentMethod:
    """Open the saved method's token, even of one that was detached; raises `NotFound`."""
    tender = await saved_tender(session, vault, tenant_id, method_id, detached_too=True)
    return tender.method


async def saved_tender(
    session: Session,
    vault: Vault,
    tenant_id: uuid.UUID,
    method_id: str,
    *,
    customer_id: str | None = None,
    detached_too: bool = False,
) -> Tender:
    """Open the saved method's token, and say to which gateway it belongs.

    Raises `NotFound`, or `PaymentMethodInvalid` where it was detached (unless `detached_too`: what
    was begun with it may be ended) or belongs to another customer than `customer_id`.
    """
    row = await session.fetchrow(_SAVED, tenant_id, method_id)
    if row is None:
        raise NotFound("There is no such payment method.", path=("savedPaymentMethodId",))
    if customer_id is not None and row["customer_id"] != customer_id:
        raise PaymentMethodInvalid(
            "This payment method belongs to another customer.", path=("savedPaymentMethodId",)
        )
    if row["detached_at"] is not None and not detached_too:
        raise PaymentMethodInvalid(
            "This payment method was detached.", path=("savedPaymentMethodId",)
        )
    token = await vault.open(
        session,
        tenant_id,
        row["token_sealed"],
        table="payment_method",
        row=method_id,
        column="token_sealed",
    )
    method = PaymentMethod(token=token, kind=row["kind"], saved=True)
    return Tender(method=method, gateway=row["gateway"], may_move=False)
