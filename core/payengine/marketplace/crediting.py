"""What of a vendor's new money is not the vendor's to take yet?

Of what a vendor gets of a sale, a part is kept back as its rolling reserve, and the rest is
available some days after the sale. A refund takes of what is pending first.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta

import msgspec

from payengine.ids import new_id
from payengine.ledger import Posting
from payengine.marketplace import sharing_store as store
from payengine.marketplace.availability import available_on, day_of
from payengine.marketplace.postings import reserve_held
from payengine.marketplace.reserves import ReserveRule, reserve
from payengine.marketplace.sharing_models import Reserve
from payengine.storage import Session

__all__ = ["Credit", "credited", "debited"]

_TERMS = """
    SELECT id, delay_days, business_days, reserve_bps, reserve_days FROM connected_account
    WHERE tenant_id = $1 AND id = ANY ($2)
"""
_INSERT_PENDING = """
    INSERT INTO account_pending
        (tenant_id, account_id, available_at, step_id, payment_id, currency, amount_minor)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (tenant_id, account_id, available_at, step_id) DO NOTHING
"""
_STILL_PENDING = """
    SELECT account_id, available_at, sum(amount_minor)::bigint AS amount
    FROM account_pending
    WHERE tenant_id = $1 AND payment_id = $2 AND account_id = ANY ($3) AND available_at > $4
    GROUP BY account_id, available_at HAVING sum(amount_minor) > 0
    ORDER BY account_id, available_at DESC
"""


class Credit(msgspec.Struct, frozen=True, kw_only=True):
    """`net_minor` for a vendor of a sale of `sale_minor`."""

    account_id: str
    sale_minor: int
    net_minor: int


async def credited(
    session: Session,
    tenant_id: uuid.UUID,
    credits: Sequence[Credit],
    *,
    payment_id: str,
    step_id: str,
    currency: str,
    sold_at: datetime,
    at: datetime,
) -> list[Posting]:
    """Keep back the reserves of a sale and say when the rest is available; what is to be posted.

    `step_id` names what brought the money: the same one is credited once.
    """
    rows = await session.fetch(_TERMS, tenant_id, [each.account_id for each in credits])
    terms = {row["id"]: row for row in rows}
    held: list[Reserve] = []
    for each in credits:
        term = terms[each.account_id]
        kept = reserve(
            ReserveRule(reserve_bps=term["reserve_bps"], reserve_days=term["reserve_days"]),
            sale_minor=each.sale_minor,
            net_minor=each.net_minor,
            sale_on=day_of(sold_at, UTC),
        )
        if kept.reserved and kept.released_on > day_of(at, UTC):
            held.append(
                Reserve(
                    id=new_id("rsv"),
                    account_id=each.account_id,
                    payment_id=payment_id,
                    currency=currency,
                    amount_minor=kept.reserved,
                    release_at=_start_of(sold_at, days=term["reserve_days"]),
                    created_at=at,
                )
            )
        available_at = datetime.combine(
            available_on(
                day_of(sold_at, UTC),
                delay_days=term["delay_days"],
                business_days=term["business_days"],
            ),
            time(),
            UTC,
        )
        rest = each.net_minor - (held[-1].amount_minor if _is_last(held, each) else 0)
        if term["delay_days"] and available_at > at and rest:
            await session.execute(
                _INSERT_PENDING,
                tenant_id,
                each.account_id,
                available_at,
                step_id,
                payment_id,
                currency,
                rest,
            )
    await store.insert_reserves(session, tenant_id, held)
    return [
        reserve_held(
            sale_id=one.id,
            vendor=one.account_id,
            currency=one.currency,
            amount_minor=one.amount_minor,
        )
        for one in held
    ]


def _is_last(held: Sequence[Reserve], credit: Credit) -> bool:
    return bool(held) and held[-1].account_id == credit.account_id


def _start_of(instant: datetime, *, days: int) -> datetime:
    """The beginning of the day that comes so many days after the instant's, in UTC."""
    return datetime.combine(day_of(instant, UTC) + timedelta(days=days), time(), UTC)


async def debited(
    session: Session,
    tenant_id: uuid.UUID,
    taken: Mapping[str, int],
    *,
    payment_id: str,
    step_id: str,
    currency: str,
    at: datetime,
) -> None:
    """Take of what is pending of this payment, the latest first: account → minor units."""
    rows = await session.fetch(_STILL_PENDING, tenant_id, payment_id, list(taken), at)
    left = dict(taken)
    for row in rows:
        minor = min(left[row["account_id"]], row["amount"])
        if minor <= 0:
            continue
        left[row["account_id"]] -= minor
        await session.execute(
            _INSERT_PENDING,
            tenant_id,
            row["account_id"],
            row["available_at"],
            step_id,
            payment_id,
            currency,
            -minor,
        )
