"""How does an invoice come into collection?

In the transaction that finalises it: an invoice that is owed is one that is collected. One
statement serves any number of invoices; it may be written before theirs.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

import msgspec

from payengine.billing.collection.rows import plain_state
from payengine.billing.dunning import begin_collection
from payengine.billing.dunning_policy import DunningPolicy
from payengine.billing.dunning_words import CollectionKind
from payengine.storage import Session

__all__ = ["Begin", "begin"]

_INSERT = """
    WITH begun AS (
        SELECT * FROM unnest(
            $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::text[], $8::text[])
            AS begun (invoice_id, subscription_id, customer_id, state, trigger, method_id)
    ), kept AS (
        INSERT INTO collection (tenant_id, invoice_id, subscription_id, customer_id, state, phase,
            due_at, fence, version, created_at, updated_at)
        SELECT $1, invoice_id, subscription_id, customer_id, state, 'charging', $2, 0, 1, $2, $2
        FROM begun
        ON CONFLICT (tenant_id, invoice_id) DO NOTHING
        RETURNING invoice_id
    )
    INSERT INTO collection_charge
        (tenant_id, invoice_id, charge, trigger, attempt, asked_method_id, avoid_gateways, looks,
         made_at)
    SELECT $1, invoice_id, 0, trigger, 0, method_id, '{}', 0, $2
    FROM begun JOIN kept USING (invoice_id)
"""


class Begin(msgspec.Struct, frozen=True, kw_only=True):
    """A finalised invoice that is owed: the `first` of a subscription, a `renewal`, or `usage`.

    A renewal that stays unpaid may end the subscription's access; `usage`, which any other invoice
    is too, never does. `payment_method_id` is charged first; None: the customer's default.
    """

    invoice_id: str
    customer_id: str
    kind: CollectionKind
    subscription_id: str | None = None
    payment_method_id: str | None = None


async def begin(
    session: Session,
    tenant_id: uuid.UUID,
    begins: Sequence[Begin],
    *,
    policy: DunningPolicy,
    at: datetime,
) -> None:
    """Put invoices into collection, to be charged from `at` on; again changes nothing.

    The reference to the invoice is checked at the commit. The policy is kept for each to its end.
    """
    if not begins:
        return
    states = [begin_collection(each.kind, policy=policy, t0=at)[0] for each in begins]
    await session.execute(
        _INSERT,
        tenant_id,
        at,
        [each.invoice_id for each in begins],
        [each.subscription_id for each in begins],
        [each.customer_id for each in begins],
        [plain_state(state) for state in states],
        [state.trigger for state in states],
        [each.payment_method_id for each in begins],
    )
