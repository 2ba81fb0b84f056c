"""Which token stands behind a saved payment method?"""

from __future__ import annotations

import uuid

from payengine.errors import NotFound, PaymentMethodInvalid
from payengine.plugin import PaymentMethod
from payengine.storage import Session
from payengine.vault import Vault

__all__ = ["saved_token"]

_SAVED = """
    SELECT kind, customer_id, token_sealed, detached_at
    FROM payment_method WHERE tenant_id = $1 AND id = $2
"""


async def saved_token(
    session: Session,
    vault: Vault,
    tenant_id: uuid.UUID,
    method_id: str,
    *,
    customer_id: str | None = None,
    detached_too: bool = False,
) -> PaymentMethod:
    """Open the saved method's token.

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
    return PaymentMethod(token=token, kind=row["kind"], saved=True)
