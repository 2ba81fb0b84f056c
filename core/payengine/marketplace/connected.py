"""Who sells on the platform, and may they?

A connected account is created, submitted and verified by a plugin or by a named person. A plugin
is asked with no transaction open; without its word the account goes on waiting for one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import get_args

import asyncpg
import msgspec

from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import Conflict, InputInvalid, NotFound, TransitionRefused
from payengine.events.models import NewEvent
from payengine.events.writing import insert_event
from payengine.idempotency import check_key, claim, fingerprint
from payengine.ids import new_id
from payengine.marketplace.accounts import OnboardingEvent, advance
from payengine.marketplace.availability import MAX_DELAY_DAYS
from payengine.marketplace.connected_models import (
    AccountCheck,
    AccountStanding,
    ConnectedAccount,
    CreateConnectedAccount,
    DecideOnboarding,
    MoveConnectedAccount,
    UpdateConnectedAccount,
)
from payengine.marketplace.splits import BPS
from payengine.marketplace.standing import account_standing, still_open
from payengine.money import currency as find_currency
from payengine.plugin import CheckVendor, KycResult
from payengine.registry import Registry
from payengine.storage import Database, Session
from payengine.storage.columns import Columns
from payengine.texts import check_id, check_metadata, check_text

__all__ = ["ConnectedAccounts"]

_ACCOUNT = Columns(ConnectedAccount)
_CHECK = Columns(AccountCheck)

_INSERT = f"""
    INSERT INTO connected_account (tenant_id, {_ACCOUNT.listed})
    VALUES ($1, {_ACCOUNT.parameters(2)})
"""
_MOVES = (
    "status",
    "country",
    "default_currency",
    "requirements",
    "delay_days",
    "business_days",
    "reserve_bps",
    "reserve_days",
    "metadata",
    "updated_at",
    "version",
)
_UPDATE = f"""
    UPDATE connected_account SET {_ACCOUNT.assignments(_MOVES, 3)}
    WHERE tenant_id = $1 AND id = $2
"""
_INSERT_CHECK = f"""
    INSERT INTO account_check (tenant_id, {_CHECK.listed}) VALUES ($1, {_CHECK.parameters(2)})
"""
_GET = f"SELECT {_ACCOUNT.listed} FROM connected_account WHERE tenant_id = $1 AND id = ANY ($2)"
_LOCK = f"SELECT {_ACCOUNT.listed} FROM connected_account WHERE tenant_id = $1 AND id = $2"
_PAGE = f"""
    SELECT {_ACCOUNT.listed} FROM connected_account
    WHERE tenant_id = $1 AND id < coalesce($2, '~') AND ($3::text IS NULL OR status = $3)
    ORDER BY id DESC LIMIT $4
"""
_CHECKS = f"""
    SELECT {_CHECK.listed} FROM account_check
    WHERE tenant_id = $1 AND account_id = ANY ($2) ORDER BY account_id, id LIMIT 1000
"""

_COUNTRY = re.compile(r"[A-Z]{2}")
_MAX_RESERVE_DAYS = 3_650
_MOST_REQUIREMENTS = 50
_MOST_BALANCES = 200

_VERDICTS: dict[KycResult, OnboardingEvent] = {
    "verified": "verified",
    "needs_information": "request_information",
    "rejected": "reject",
}

Change = Callable[[ConnectedAccount], ConnectedAccount]


class ConnectedAccounts:
    """The vendors of all tenants; each method needs `accounts:read` or `accounts:write`."""

    def __init__(
        self,
        *,
        database: Database,
        registry: Registry,
        clock: Clock,
        deadline_ms: int,
        nudge: Callable[[], None],
    ) -> None:
        self._database = database
        self._registry = registry
        self._clock = clock
        self._deadline_ms = deadline_ms
        self._nudge = nudge

    async def create(
        self, context: TenantContext, request: CreateConnectedAccount
    ) -> ConnectedAccount:
        """Begin an account's onboarding.

        Raises `InputInvalid`, and `Conflict` where the reference is taken.
        """
        context.require("accounts:write")
        check_key(request.idempotency_key)
        _check_name(request.reference, field="reference", most=120)
        at = self._clock.now(context.tenant_id)
        account = ConnectedAccount(
            id=new_id("acc"),
            reference=request.reference,
            status="created",
            country=request.country,
            default_currency=request.default_currency,
            delay_days=request.delay_days,
            business_days=request.business_days,
            reserve_bps=request.reserve_bps,
            reserve_days=request.reserve_days,
            metadata=request.metadata,
            created_at=at,
            updated_at=at,
        )
        _check_terms(account)
        try:
            async with self._database.tenant(context.tenant_id) as session:
                earlier = await claim(
                    session,
                    context.tenant_id,
                    key=request.idempotency_key,
                    mutation="createConnectedAccount",
                    fingerprint=fingerprint("createConnectedAccount", request),
                    resource_id=account.id,
                    at=at,
                )
                if earlier is not None:
                    return await _locked(session, context, earlier)
                await session.execute(_INSERT, context.tenant_id, *_ACCOUNT.values(account))
                await _tell(session, context, "connected_account.created", account, at=at)
        except asyncpg.UniqueViolationError:
            raise Conflict("Another account has this reference.", path=("reference",)) from None
        self._nudge()
        return account

    async def update(
        self, context: TenantContext, request: UpdateConnectedAccount
    ) -> ConnectedAccount:
        """Change what is given; raises `InputInvalid`, `NotFound`, and `TransitionRefused` where
        the account is closed."""
        plain = msgspec.structs.asdict(request)
        given = {
            name: value
            for name, value in plain.items()
            if name not in ("idempotency_key", "account_id") and value is not None
        }

        def change(account: ConnectedAccount) -> ConnectedAccount:
            if account.status == "closed":
                raise TransitionRefused("The account is closed.")
            changed = msgspec.structs.replace(account, **given)
            _check_terms(changed)
            return changed

        return await self._change(
            context, "updateConnectedAccount", request, change, told="connected_account.updated"
        )

    async def submit(
        self, context: TenantContext, request: MoveConnectedAccount
    ) -> ConnectedAccount:
        """Hand the account in to be verified, and ask the tenant's KYC checks.

        Raises `NotFound` and `TransitionRefused`. Without a check that knows, the account stays
        `pending_verification` until somebody decides, or it is submitted to the checks again.
        """
        account = await self._move(context, "submitConnectedAccount", request, "submit")
        if account.status != "pending_verification":
            return account
        return await self._ask(context, account)

    async def suspend(
        self, context: TenantContext, request: MoveConnectedAccount
    ) -> ConnectedAccount:
        """Stop charges and payouts; raises `NotFound` and `TransitionRefused`."""
        return await self._move(context, "suspendConnectedAccount", request, "platform_pause")

    async def resume(
        self, context: TenantContext, request: MoveConnectedAccount
    ) -> ConnectedAccount:
        """Let a suspended account go on; raises `NotFound` and `TransitionRefused`."""
        return await self._move(context, "resumeConnectedAccount", request, "platform_resume")

    async def close(
        self, context: TenantContext, request: MoveConnectedAccount
    ) -> ConnectedAccount:
        """End an account for ever, once nothing is left in it, nor owed by it.

        Raises `NotFound`, `TransitionRefused`, and `Conflict` where it still has a balance.
        """
        context.require("accounts:write")
        check_id(request.account_id, "acc", field="accountId")
        return await self._move(context, "closeConnectedAccount", request, "close")

    async def decide(self, context: TenantContext, request: DecideOnboarding) -> ConnectedAccount:
        """Record a named person's verdict and move the account by it.

        Raises `InputInvalid`, `NotFound`, and `TransitionRefused` where the state does not wait
        for such a word.
        """
        context.require("accounts:write")
        _check_name(request.person, field="person", most=120)
        if request.verdict not in get_args(KycResult):
            raise InputInvalid("There is no such verdict.", path=("verdict",))
        if len(request.requirements) > _MOST_REQUIREMENTS:
            raise InputInvalid(
                f"At most {_MOST_REQUIREMENTS} requirements.", path=("requirements",)
            )
        for each in request.requirements:
            _check_name(each, field="requirements", most=500)
        check_text(request.reason, field="reason")
        check = AccountCheck(
            id=new_id("ack"),
            account_id=request.account_id,
            actor=request.person,
            verdict=request.verdict,
            requirements=request.requirements,
            reason=request.reason,
            created_at=self._clock.now(context.tenant_id),
        )
        return await self._change(
            context,
            "decideOnboarding",
            request,
            lambda account: _judged(account, check),
            check=check,
        )

    async def balances(self, context: TenantContext, account_id: str) -> list[AccountStanding]:
        """What the account has in each currency; none for an id that is not this tenant's."""
        context.require("accounts:read")
        async with self._database.tenant(context.tenant_id) as session:
            found = await session.fetch(_GET, context.tenant_id, [account_id])
            if not found:
                return []
            at = self._clock.now(context.tenant_id)
            return await account_standing(session, context.tenant_id, account_id, at=at)

    async def get_many(
        self, context: TenantContext, ids: Sequence[str]
    ) -> Mapping[str, ConnectedAccount]:
        """Accounts by id; those that are not this tenant's are left out."""
        context.require("accounts:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_GET, context.tenant_id, list(ids))
        return {row["id"]: _ACCOUNT.read(row) for row in rows}

    async def page(
        self,
        context: TenantContext,
        *,
        first: int,
        after: str | None = None,
        status: str | None = None,
    ) -> list[ConnectedAccount]:
        """Up to `first` + 1 accounts before the id `after`, the newest first."""
        context.require("accounts:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_PAGE, context.tenant_id, after, status, first + 1)
        return [_ACCOUNT.read(row) for row in rows]

    async def checks_of(
        self, context: TenantContext, ids: Sequence[str]
    ) -> Mapping[str, list[AccountCheck]]:
        """What was found of each account, oldest first."""
        context.require("accounts:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_CHECKS, context.tenant_id, list(ids))
        found: dict[str, list[AccountCheck]] = {}
        for row in rows:
            found.setdefault(row["account_id"], []).append(_CHECK.read(row))
        return found

    async def _ask(self, context: TenantContext, account: ConnectedAccount) -> ConnectedAccount:
        """Ask the enabled checks in turn; the first one with a verdict settles it."""
        request = CheckVendor(
            account_id=account.id,
            reference=account.reference,
            country=account.country,
            default_currency=account.default_currency,
            metadata=account.metadata,
        )
        for name in await self._registry.kyc.enabled(context):
            told = await self._registry.kyc.ask(
                context, name, request, deadline_ms=self._deadline_ms
            )
            if told is None:
                continue
            check = AccountCheck(
                id=new_id("ack"),
                account_id=account.id,
                actor=f"plugin:{name}",
                verdict=told.result,
                requirements=told.requirements,
                reason=told.reason or None,
                created_at=self._clock.now(context.tenant_id),
            )
            account = await self._heard(context, check)
            if told.result != "pending":
                break
        return account

    async def _heard(self, context: TenantContext, check: AccountCheck) -> ConnectedAccount:
        """Record a plugin's verdict; one that came too late is kept and moves nothing."""
        async with self._database.tenant(context.tenant_id) as session:
            account = await _locked(session, context, check.account_id)
            await session.execute(_INSERT_CHECK, context.tenant_id, *_CHECK.values(check))
            if account.status != "pending_verification":
                return account
            moved = _judged(account, check)
            account = await _write(session, context, account, moved, told=None, at=check.created_at)
        self._nudge()
        return account

    async def _move(
        self,
        context: TenantContext,
        mutation: str,
        request: MoveConnectedAccount,
        step: OnboardingEvent,
    ) -> ConnectedAccount:
        check_text(request.reason, field="reason")

        def change(account: ConnectedAccount) -> ConnectedAccount:
            if step == "submit" and account.status == "pending_verification":
                return account  # the checks are asked once more
            cleared = () if step in ("submit", "close") else account.requirements
            return msgspec.structs.replace(
                account, status=advance(account.status, step), requirements=cleared
            )

        return await self._change(context, mutation, request, change, reason=request.reason)

    async def _change(
        self,
        context: TenantContext,
        mutation: str,
        request: UpdateConnectedAccount | MoveConnectedAccount | DecideOnboarding,
        change: Change,
        *,
        told: str | None = None,
        check: AccountCheck | None = None,
        reason: str | None = None,
    ) -> ConnectedAccount:
        """Claim the key, lock the account and write what `change` makes of it."""
        context.require("accounts:write")
        check_key(request.idempotency_key)
        check_id(request.account_id, "acc", field="accountId")
        at = self._clock.now(context.tenant_id)
        async with self._database.tenant(context.tenant_id) as session:
            account = await _locked(session, context, request.account_id)
            earlier = await claim(
                session,
                context.tenant_id,
                key=request.idempotency_key,
                mutation=mutation,
                fingerprint=fingerprint(mutation, request),
                resource_id=account.id,
                at=at,
            )
            if earlier is not None:
                return account
            changed = change(account)
            if changed.status == "closed":
                await self._require_empty(session, context, account, at=at)
            if check is not None:
                await session.execute(_INSERT_CHECK, context.tenant_id, *_CHECK.values(check))
            account = await _write(
                session, context, account, changed, told=told, at=at, reason=reason
            )
        self._nudge()
        return account

    async def _require_empty(
        self, session: Session, context: TenantContext, account: ConnectedAccount, *, at: datetime
    ) -> None:
        standing = await account_standing(session, context.tenant_id, account.id, at=at)
        for each in standing:
            parts = (each.available_minor, each.pending_minor)
            if any((*parts, each.reserved_minor, each.in_escrow_minor)):
                raise Conflict(f"The account still has a balance in {each.currency}.")
        waiting = await still_open(session, context.tenant_id, account.id)
        if waiting is not None:
            raise Conflict(f"The account is still waited for by {waiting}.")


async def _locked(session: Session, context: TenantContext, account_id: str) -> ConnectedAccount:
    row = await session.fetchrow(_LOCK + " FOR UPDATE", context.tenant_id, account_id)
    if row is None:
        raise NotFound("There is no such account.", path=("accountId",))
    return _ACCOUNT.read(row)


async def _write(
    session: Session,
    context: TenantContext,
    before: ConnectedAccount,
    changed: ConnectedAccount,
    *,
    told: str | None,
    at: datetime,
    reason: str | None = None,
) -> ConnectedAccount:
    """The row as it now is, and what happened to it; nothing where nothing did."""
    if changed == before:
        return before
    changed = msgspec.structs.replace(changed, updated_at=at, version=before.version + 1)
    values = [getattr(changed, name) for name in _MOVES]
    await session.execute(_UPDATE, context.tenant_id, changed.id, *values)
    kind = told or f"connected_account.{changed.status}"
    await _tell(session, context, kind, changed, at=at, reason=reason)
    return changed


async def _tell(
    session: Session,
    context: TenantContext,
    kind: str,
    account: ConnectedAccount,
    *,
    at: datetime,
    reason: str | None = None,
) -> None:
    data = {
        "account_id": account.id,
        "reference": account.reference,
        "status": account.status,
        "charges_enabled": account.charges_enabled,
        "payouts_enabled": account.payouts_enabled,
        "requirements": list(account.requirements),
        "version": account.version,
    }
    if reason is not None:
        data["reason"] = reason
    event = NewEvent(id=new_id("evt"), type=kind, data=data, occurred_at=at)
    await insert_event(session, context.tenant_id, event)


def _judged(account: ConnectedAccount, check: AccountCheck) -> ConnectedAccount:
    step = _VERDICTS.get(check.verdict)
    if step is None:
        return msgspec.structs.replace(account, requirements=check.requirements)
    return msgspec.structs.replace(
        account, status=advance(account.status, step), requirements=check.requirements
    )


def _check_name(text: str, *, field: str, most: int) -> None:
    if not text.strip():
        raise InputInvalid("This must not be empty.", path=(field,))
    check_text(text, field=field, most=most)


def _check_terms(account: ConnectedAccount) -> None:
    if not _COUNTRY.fullmatch(account.country):
        raise InputInvalid(
            "A country is an ISO 3166 code of two capital letters.", path=("country",)
        )
    find_currency(account.default_currency)
    if not 0 <= account.delay_days <= MAX_DELAY_DAYS:
        raise InputInvalid(f"A delay is 0 to {MAX_DELAY_DAYS} days.", path=("delayDays",))
    if not 0 <= account.reserve_bps <= BPS:
        raise InputInvalid(f"A reserve is 0 to {BPS} basis points.", path=("reserveBps",))
    if not 0 <= account.reserve_days <= _MAX_RESERVE_DAYS:
        raise InputInvalid(f"A reserve lasts 0 to {_MAX_RESERVE_DAYS} days.", path=("reserveDays",))
    check_metadata(account.metadata)
