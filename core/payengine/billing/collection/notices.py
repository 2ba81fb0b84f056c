"""What is a customer to be told, and has it been told?

A notice is written in the transaction of what it tells, once for each charge and kind; it is sent
afterwards, at least once, under its id. Nothing that fails in sending holds any billing up.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Literal

import msgspec

from payengine.billing.collection.rows import CollectionRow
from payengine.billing.dunning_words import Noticed, NotifyCustomer
from payengine.clock import wall_now
from payengine.ids import new_id
from payengine.storage import Session
from payengine.storage.columns import Columns

__all__ = ["NOTICE", "Notice", "NoticeStatus", "put_notice"]

#: `dropped`: nobody can be told, as no address or no notifier is known; `given_up`: every try to
#: send it failed.
NoticeStatus = Literal["waiting", "sent", "dropped", "given_up"]


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be told of one charge, as one row; `due_at` is the wall's.

    `ask` is the class of the decline, by which the customer can be told what would help.
    """

    id: str
    invoice_id: str
    charge: int
    kind: Noticed
    customer_id: str
    ask: str | None
    status: NoticeStatus
    created_at: datetime
    told: tuple[str, ...] = ()
    tries: int = 0
    problem: str | None = None
    due_at: datetime | None = None
    sent_at: datetime | None = None
    version: int = 1


NOTICE = Columns(Notice)

_PUT = f"""
    INSERT INTO notice (tenant_id, {NOTICE.listed}) VALUES ($1, {NOTICE.parameters(2)})
    ON CONFLICT (tenant_id, invoice_id, charge, kind) DO NOTHING
"""


async def put_notice(
    session: Session,
    tenant_id: uuid.UUID,
    row: CollectionRow,
    action: NotifyCustomer,
    *,
    at: datetime,
) -> None:
    """Write down what the customer is to be told; a second time changes nothing."""
    notice = Notice(
        id=new_id("ntc"),
        invoice_id=row.invoice_id,
        charge=action.charge,
        kind=action.notice,
        customer_id=row.customer_id,
        ask=action.ask,
        status="waiting",
        created_at=at,
        due_at=wall_now(),
    )
    await session.execute(_PUT, tenant_id, *NOTICE.values(notice))
