"""May this much leave the account?

Payouts, transfers and releases are posted strictly: the rollup row of every liability or income
account that they take from is locked until the commit, and what is available there must suffice.
Captures append without a lock; refunds, disputes and fees may go below zero: those use `post`.
"""

from __future__ import annotations

import uuid
from datetime import datetime

from payengine.errors import InsufficientAvailableBalance
from payengine.ledger.balances import SUMS, balances
from payengine.ledger.chart import is_debit_normal
from payengine.ledger.posting import PostResult, post
from payengine.ledger.transfers import Posting, check_posting
from payengine.money import decimal_text
from payengine.storage import Session

__all__ = ["post_strict"]

#: Upserting locks the rows in order, and so does folding: neither can wait for the other in a ring.
_LOCK = f"""
    INSERT INTO ledger_rollup AS kept (tenant_id, account, currency, {", ".join(SUMS)})
    SELECT $1::uuid, account, currency, {", ".join("0" for _ in SUMS)}
    FROM unnest($2::text[], $3::text[]) AS wanted (account, currency)
    ORDER BY account, currency
    ON CONFLICT (tenant_id, account, currency) DO UPDATE SET currency = excluded.currency
"""

_EXISTS = """
    SELECT EXISTS (
        SELECT FROM ledger_transfer WHERE tenant_id = $1 AND transaction_id = $2 AND line = 1)
"""


async def post_strict(
    session: Session, tenant_id: uuid.UUID, posting: Posting, *, at: datetime
) -> PostResult:
    """Write the posting if what it takes is available, pending debits counted at once.

    Raises `InsufficientAvailableBalance`, and what `post` raises. Writing the same posting again
    is no second taking, and is not refused for want of balance.
    """
    check_posting(posting)
    leaving = _leaving(posting)
    if leaving:
        accounts, currencies = (list(column) for column in zip(*leaving, strict=True))
        await session.execute(_LOCK, tenant_id, accounts, currencies)
        if not await session.fetchval(_EXISTS, tenant_id, posting.transaction_id):
            await _require_available(session, tenant_id, leaving)
    (result,) = await post(session, tenant_id, [posting], at=at)
    return result


def _leaving(posting: Posting) -> dict[tuple[str, str], int]:
    """What the posting takes, net, from each account that it may not overdraw.

    Ending a pending transfer takes nothing: its amount was counted when it was reserved.
    """
    net: dict[tuple[str, str], int] = {}
    for transfer in posting.transfers:
        if transfer.phase in ("posted", "pending"):
            key = (transfer.debit_account, transfer.currency)
            net[key] = net.get(key, 0) + transfer.amount_minor
        if transfer.phase == "posted":
            key = (transfer.credit_account, transfer.currency)
            net[key] = net.get(key, 0) - transfer.amount_minor
    return {
        key: amount for key, amount in net.items() if amount > 0 and not is_debit_normal(key[0])
    }


async def _require_available(
    session: Session, tenant_id: uuid.UUID, leaving: dict[tuple[str, str], int]
) -> None:
    for (account, code), amount in sorted(leaving.items()):
        standing = await balances(session, tenant_id, account=account)
        available = sum(each.available for each in standing if each.currency == code)
        if available < amount:
            there, asked = decimal_text(available, code), decimal_text(amount, code)
            raise InsufficientAvailableBalance(
                f"{there} {code} are available on {account}, {asked} {code} are asked for."
            )
