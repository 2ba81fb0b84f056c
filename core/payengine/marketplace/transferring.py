"""May this vendor's money go to another one, or to the platform?

A transfer between the platform's own accounts takes only what is there and available: it is posted
strictly, under the lock of the balance it takes from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec

from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import InputInvalid, InsufficientAvailableBalance, NotFound
from payengine.events.models import NewEvent
from payengine.events.writing import insert_event
from payengine.idempotency import check_key, claim, fingerprint
from payengine.ids import new_id
from payengine.ledger.strict import post_strict
from payengine.marketplace.accounts import not_covered
from payengine.marketplace.postings import PLATFORM, transferred, vendor_account
from payengine.marketplace.standing import account_standing
from payengine.money import check_amount
from payengine.storage import Database, Session
from payengine.storage.columns import Columns
from payengine.texts import check_id, check_text

__all__ = ["AccountTransfer", "AccountTransfers", "CreateAccountTransfer"]


class AccountTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """Money that went from one owner to another; None is the platform."""

    id: str
    source_id: str | None
    target_id: str | None
    currency: str
    amount_minor: int
    description: str | None
    created_at: datetime


class CreateAccountTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """From an account to another; None is the platform's own share."""

    idempotency_key: str
    amount_minor: int
    currency: str
    source_id: str | None = None
    target_id: str | None = None
    description: str | None = None


_TRANSFER = Columns(AccountTransfer)
_INSERT = f"""
    INSERT INTO account_transfer (tenant_id, {_TRANSFER.listed})
    VALUES ($1, {_TRANSFER.parameters(2)})
"""
_GET = f"SELECT {_TRANSFER.listed} FROM account_transfer WHERE tenant_id = $1 AND id = ANY ($2)"
_PAGE = f"""
    SELECT {_TRANSFER.listed} FROM account_transfer
    WHERE tenant_id = $1 AND id < coalesce($2, '~') ORDER BY id DESC LIMIT $3
"""
_KNOWN = "SELECT count(*) FROM connected_account WHERE tenant_id = $1 AND id = ANY ($2)"


class AccountTransfers:
    """The transfers of all tenants; needs `accounts:read` or `accounts:write`."""

    def __init__(self, database: Database, *, clock: Clock, nudge: Callable[[], None]) -> None:
        self._database = database
        self._clock = clock
        self._nudge = nudge

    async def create(
        self, context: TenantContext, request: CreateAccountTransfer
    ) -> AccountTransfer:
        """Move money at once.

        Raises `InputInvalid`, `NotFound`, and `InsufficientAvailableBalance` where the source has
        less that is available.
        """
        context.require("accounts:write")
        check_key(request.idempotency_key)
        _check(request)
        at = self._clock.now(context.tenant_id)
        transfer = AccountTransfer(
            id=new_id("atr"),
            source_id=request.source_id,
            target_id=request.target_id,
            currency=request.currency,
            amount_minor=request.amount_minor,
            description=request.description,
            created_at=at,
        )
        async with self._database.tenant(context.tenant_id) as session:
            earlier = await claim(
                session,
                context.tenant_id,
                key=request.idempotency_key,
                mutation="createAccountTransfer",
                fingerprint=fingerprint("createAccountTransfer", request),
                resource_id=transfer.id,
                at=at,
            )
            if earlier is not None:
                rows = await session.fetch(_GET, context.tenant_id, [earlier])
                return _TRANSFER.read(rows[0])
            await _require_known(session, context, request)
            await session.execute(_INSERT, context.tenant_id, *_TRANSFER.values(transfer))
            await _post(session, context, transfer, request)
            # The balance is locked now: what is left of it must cover what is not available yet.
            await _require_covered(session, context, request, at=at)
            await insert_event(session, context.tenant_id, _event(transfer, at=at))
        self._nudge()
        return transfer

    async def get_many(
        self, context: TenantContext, ids: Sequence[str]
    ) -> Mapping[str, AccountTransfer]:
        """Transfers by id; those that are not this tenant's are left out."""
        context.require("accounts:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_GET, context.tenant_id, list(ids))
        return {row["id"]: _TRANSFER.read(row) for row in rows}

    async def page(
        self, context: TenantContext, *, first: int, after: str | None = None
    ) -> list[AccountTransfer]:
        """Up to `first` + 1 transfers before the id `after`, the newest first."""
        context.require("accounts:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_PAGE, context.tenant_id, after, first + 1)
        return [_TRANSFER.read(row) for row in rows]


def _check(request: CreateAccountTransfer) -> None:
    for field, owner in (("sourceId", request.source_id), ("targetId", request.target_id)):
        if owner is not None:
            check_id(owner, "acc", field=field)
    if request.source_id == request.target_id:
        raise InputInvalid("A transfer has two different ends.", path=("targetId",))
    check_amount(request.amount_minor, request.currency)
    check_text(request.description, field="description")


async def _require_known(
    session: Session, context: TenantContext, request: CreateAccountTransfer
) -> None:
    owners = [one for one in (request.source_id, request.target_id) if one is not None]
    if await session.fetchval(_KNOWN, context.tenant_id, owners) < len(owners):
        raise NotFound("There is no such account.", path=("sourceId",))


async def _post(
    session: Session,
    context: TenantContext,
    transfer: AccountTransfer,
    request: CreateAccountTransfer,
) -> None:
    posting = transferred(
        transfer_id=transfer.id,
        source=_ledger_account(transfer.source_id),
        target=_ledger_account(transfer.target_id),
        currency=transfer.currency,
        amount_minor=transfer.amount_minor,
    )
    try:
        await post_strict(session, context.tenant_id, posting, at=transfer.created_at)
    except InsufficientAvailableBalance as refused:
        raise InsufficientAvailableBalance(
            str(refused), path=("amount", "amountMinor")
        ) from refused


async def _require_covered(
    session: Session, context: TenantContext, request: CreateAccountTransfer, *, at: datetime
) -> None:
    if request.source_id is None:
        return
    for each in await account_standing(session, context.tenant_id, request.source_id, at=at):
        if each.currency == request.currency and each.available_minor < 0:
            raise _too_much(each.available_minor + request.amount_minor, request)


def _too_much(available_minor: int, request: CreateAccountTransfer) -> InsufficientAvailableBalance:
    return not_covered(
        available_minor=available_minor,
        amount_minor=request.amount_minor,
        currency=request.currency,
        path=("amount", "amountMinor"),
    )


def _ledger_account(owner: str | None) -> str:
    return PLATFORM if owner is None else vendor_account(owner)


def _event(transfer: AccountTransfer, *, at: datetime) -> NewEvent:
    data = {
        "transfer_id": transfer.id,
        "source_id": transfer.source_id,
        "target_id": transfer.target_id,
        "amount_minor": transfer.amount_minor,
        "currency": transfer.currency,
    }
    return NewEvent(id=new_id("evt"), type="account_transfer.created", data=data, occurred_at=at)
