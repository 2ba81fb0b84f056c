"""Who brings the notices to the customers?

The postman takes a notice that is due under a lease of its row, writes the letter and hands it to
each notifier that the tenant has enabled. One that fails is tried again, later each time; after the
last try it is given up. Who is killed in between is followed by another who sends it again, under
the same id. Nothing here is waited for by any billing.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog

from payengine import faults
from payengine.billing.collection.links import Links
from payengine.billing.collection.notice_words import letter_of
from payengine.billing.collection.notices import NOTICE, Notice
from payengine.billing.settings import BillingSettings
from payengine.clock import Clock, wall_now
from payengine.context import TenantContext
from payengine.plugin import Amount, CustomerNotice
from payengine.registry import NotifierDesk
from payengine.storage import Database, Session
from payengine.vault import Vault

__all__ = ["BATCH", "MOST_TRIES", "Postman", "retry_after"]

#: How many notices one round takes, and how many of them at once.
BATCH = 100
_AT_ONCE = 8
_DEADLINE_MS = 15_000
_LEASE = timedelta(seconds=60)

#: After the first try in half a minute, then in a minute, two … six hours at most.
MOST_TRIES = 12
_FIRST_WAIT = timedelta(seconds=30)
_LONGEST_WAIT = timedelta(hours=6)

_log = structlog.get_logger(__name__)

_DUE = "SELECT tenant_id, id FROM notice WHERE due_at <= $1 ORDER BY due_at LIMIT $2"
_CLAIM = f"""
    UPDATE notice SET due_at = $3, tries = tries + 1, version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND due_at <= $4
    RETURNING {NOTICE.listed}
"""
_MOVES = ("status", "told", "problem", "due_at", "sent_at")
_SETTLE = f"""
    UPDATE notice SET {NOTICE.assignments(_MOVES, 4)}, version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND version = $3
"""
_GROUND = """
    SELECT tenant.mode, tenant.name AS shop, invoice.number, invoice.currency, invoice.status,
           CASE WHEN invoice.status = 'paid' THEN invoice.amount_due
                ELSE invoice.amount_due - invoice.amount_paid END AS amount,
           customer.email_sealed, customer.name_sealed,
           (SELECT document FROM billing_setting WHERE tenant_id = $1
            ORDER BY version DESC LIMIT 1) AS settings
    FROM tenant
    JOIN invoice ON invoice.tenant_id = $1 AND invoice.id = $2
    JOIN customer ON customer.tenant_id = $1 AND customer.id = invoice.customer_id
    WHERE tenant.id = $1
"""


class _Ready(msgspec.Struct, frozen=True):
    """A notice under our lease and its letter; None where nobody is to be told any more."""

    context: TenantContext
    notice: Notice
    letter: CustomerNotice | None
    why_not: str = ""


def retry_after(tries: int) -> timedelta | None:
    """How long to wait after so many tries; None after the last one."""
    if tries >= MOST_TRIES:
        return None
    wait: timedelta = _FIRST_WAIT * 2 ** (max(tries, 1) - 1)
    return min(wait, _LONGEST_WAIT)


class Postman:
    """The notices of all tenants."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        clock: Clock,
        notifiers: NotifierDesk,
        links: Links,
    ) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock
        self._notifiers = notifiers
        self._links = links

    async def run_once(self, *, at: datetime, limit: int = BATCH) -> int:
        """Take up to `limit` notices that are due at the wall's instant `at`."""
        async with self._database.worker() as session:
            due = await session.fetch(_DUE, at, limit)
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(tenant_id: uuid.UUID, notice_id: str) -> None:
            async with places:
                try:
                    await self._bring(tenant_id, notice_id, at=at)
                except Exception as failure:
                    _log.warning("notice_failed", notice=notice_id, error=repr(failure))

        await asyncio.gather(*(one(row["tenant_id"], row["id"]) for row in due))
        return len(due)

    async def _bring(self, tenant_id: uuid.UUID, notice_id: str, *, at: datetime) -> None:
        ready = await self._take(tenant_id, notice_id, at=at)
        if ready is None:
            return
        if ready.letter is None:
            await self._settle(ready, told=ready.notice.told, problem=ready.why_not, failed=False)
            return
        told, problems, failed = list(ready.notice.told), [], False
        for manifest in await self._notifiers.enabled(ready.context):
            if manifest.name in told:
                continue
            if manifest.needs_email and not ready.letter.email:
                problems.append(f"{manifest.name}: no e-mail address is known.")
                continue
            problem = await self._notifiers.notify(
                ready.context, manifest.name, ready.letter, deadline_ms=_DEADLINE_MS
            )
            if problem is None:
                told.append(manifest.name)
            else:
                failed = True
                problems.append(f"{manifest.name}: {problem}")
        faults.point("notice_sent")
        if not told and not problems:
            problems.append("No notifier is enabled.")
        await self._settle(ready, told=tuple(told), problem=" ".join(problems), failed=failed)

    async def _take(self, tenant_id: uuid.UUID, notice_id: str, *, at: datetime) -> _Ready | None:
        """The notice under a lease of its row, with its letter."""
        wall = max(at, wall_now())
        async with self._database.tenant(tenant_id) as session:
            row = await session.fetchrow(_CLAIM, tenant_id, notice_id, wall + _LEASE, wall)
            if row is None:
                return None
            notice = NOTICE.read(row)
            ground = await session.fetchrow(_GROUND, tenant_id, notice.invoice_id)
            if ground is None:
                return None
            context = TenantContext(tenant_id, ground["mode"], "notices", frozenset())
            is_stale = notice.kind == "payment_failed" and ground["status"] in ("paid", "void")
            if is_stale:
                return _Ready(context, notice, None, "Nothing is owed any more.")
            letter = await self._letter(session, tenant_id, notice, ground)
        return _Ready(context, notice, letter)

    async def _letter(
        self, session: Session, tenant_id: uuid.UUID, notice: Notice, ground: Mapping[str, Any]
    ) -> CustomerNotice:
        opened = {}
        for field in ("email", "name"):
            sealed = ground[f"{field}_sealed"]
            opened[field] = (
                ""
                if sealed is None
                else await self._vault.open(
                    session,
                    tenant_id,
                    sealed,
                    table="customer",
                    row=notice.customer_id,
                    column=f"{field}_sealed",
                )
            )
        settings = msgspec.convert(ground["settings"] or {}, BillingSettings)
        link = ""
        if notice.kind == "payment_failed":
            token = await self._links.make(session, tenant_id, notice.invoice_id, wall=wall_now())
            link = self._links.address(token)
        number = f"{settings.invoice_prefix}{ground['number']}"
        letter = letter_of(
            notice.kind,
            language=settings.language,
            shop=ground["shop"],
            name=opened["name"],
            number=number,
            amount_minor=ground["amount"],
            currency=ground["currency"],
            ask=notice.ask,
            link=link,
        )
        return CustomerNotice(
            id=notice.id,
            kind=notice.kind,
            invoice_id=notice.invoice_id,
            customer_id=notice.customer_id,
            language=settings.language,
            subject=letter.subject,
            text=letter.text,
            amount=Amount(ground["amount"], ground["currency"]),
            email=opened["email"],
            name=opened["name"],
            link=link,
        )

    async def _settle(
        self, ready: _Ready, *, told: tuple[str, ...], problem: str, failed: bool
    ) -> None:
        """Write down whether it was brought, if the lease is still ours."""
        notice, tenant_id = ready.notice, ready.context.tenant_id
        wait = retry_after(notice.tries) if failed else None
        settled = msgspec.structs.replace(
            notice,
            told=told,
            problem=problem[:500] or None,
            status="waiting" if wait else "given_up" if failed else "sent" if told else "dropped",
            due_at=None if wait is None else wall_now() + wait,
            sent_at=self._clock.now(tenant_id) if told else None,
        )
        async with self._database.tenant(tenant_id) as session:
            await session.execute(
                _SETTLE,
                tenant_id,
                notice.id,
                notice.version,
                *(getattr(settled, name) for name in _MOVES),
            )
