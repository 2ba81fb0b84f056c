"""Who is due, and what is made of it?

A transaction claims up to fifty due subscriptions of one tenant, by the partial index alone, draws
up their invoices, writes the subscriptions as they then are, and takes the tenant's counter last.
Where a row fails, nothing of the batch is kept and its rows are renewed one by one; the failing one
is set aside, told, and tried again later. No queue is needed: a wake-up only comes sooner.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec
import structlog

from payengine import faults
from payengine.billing.collection.entitled import tell_entitlements
from payengine.billing.collection.hearing import subscription_canceled
from payengine.billing.invoices.advancing import Advanced, advance, set_aside
from payengine.billing.invoices.drafting import draft_of, plan_of, planned_of
from payengine.billing.invoices.due import DueSubscription, renewable_of
from payengine.billing.invoices.issuing import issue
from payengine.billing.invoices.loading import terms_of
from payengine.billing.invoices.models import Planned
from payengine.billing.invoices.setting_store import load_settings
from payengine.billing.invoices.taxing import TaxDesk
from payengine.billing.invoices.terms import NO_TAXES, TaxAnswers, Terms
from payengine.billing.invoicing import InvoiceDraft
from payengine.billing.periods import Period
from payengine.billing.renewing import (
    BatchPlan,
    Renewable,
    RenewalFailure,
    plan_batch,
    renewed_until,
)
from payengine.billing.settings import BillingSettings
from payengine.billing.wakeups import RENEW, wake
from payengine.clock import Clock
from payengine.errors import DatabaseUnavailable, PayengineError
from payengine.storage import Database, Session
from payengine.storage.columns import Columns

__all__ = ["BATCH", "CLAIM", "IS_ANY_DUE", "Renewals", "Steps"]

#: How many subscriptions one transaction claims.
BATCH = 50
#: How many one look takes up of one tenant, before the next tenant has its turn.
_SHARE = 500
_TENANTS = 200

_DUE = Columns(DueSubscription)
_log = structlog.get_logger(__name__)

#: A world with a test clock is not asked for: its clock renews it when it is advanced.
_TENANTS_DUE = """
    SELECT tenant.id FROM tenant
    WHERE (SELECT min(due_at) FROM subscription
           WHERE subscription.tenant_id = tenant.id AND due_at IS NOT NULL) <= $1
      AND NOT EXISTS (SELECT FROM test_clock WHERE test_clock.tenant_id = tenant.id)
    ORDER BY random() LIMIT $2
"""

#: What `_TENANTS_DUE` asks of each tenant: the first entry of the partial index alone answers it.
IS_ANY_DUE = """
    SELECT min(due_at) <= $2 FROM subscription WHERE tenant_id = $1 AND due_at IS NOT NULL
"""

#: Served by the partial index, whatever else the tenant has; a short list of due ones is sorted.
CLAIM = f"""
    SELECT {_DUE.listed} FROM subscription
    WHERE tenant_id = $1 AND due_at <= $2
    ORDER BY due_at, id LIMIT $3 FOR UPDATE SKIP LOCKED
"""
_CLAIM_THESE = f"""
    SELECT {_DUE.listed} FROM subscription
    WHERE tenant_id = $1 AND id = ANY ($3) AND due_at <= $2
    ORDER BY id FOR UPDATE SKIP LOCKED
"""
_PEEK = """
    SELECT id, customer_id FROM subscription
    WHERE tenant_id = $1 AND due_at <= $2 ORDER BY due_at, id LIMIT $3
"""

_CLOSE = "UPDATE subscription SET due_at = NULL WHERE tenant_id = $1 AND id = $2"
_CUSTOMER = "SELECT customer_id FROM subscription WHERE tenant_id = $1 AND id = $2"
_IS_DUE = "SELECT due_at <= $3 FROM subscription WHERE tenant_id = $1 AND id = $2"


class Steps(Protocol):
    """What time does to a subscription beside renewing it: its scheduled changes, its notices."""

    async def apply(
        self,
        session: Session,
        tenant_id: uuid.UUID,
        subscription_id: str,
        at: datetime,
        taxes: TaxAnswers,
    ) -> None:
        """Take the one step that waits, and write when the subscription is due next."""
        ...

    async def resume_unpaid(
        self, session: Session, tenant_id: uuid.UUID, subscription_id: str, at: datetime
    ) -> None:
        """Begin a new period of a subscription whose invoices are paid at last."""
        ...


class Renewals:
    """The renewals of all tenants, as one process sees to them."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        taxes: TaxDesk,
        steps: Steps | None = None,
        nudge: Callable[[], None] = lambda: None,
    ) -> None:
        """`nudge` says that there are new events."""
        self._database = database
        self._clock = clock
        self._steps = steps
        self._taxes = taxes
        self._nudge = nudge

    async def run_once(self, *, at: datetime, limit: int = 5_000) -> int:
        """Renew what is due by now, at most about `limit` subscriptions; how many were taken up.

        Tenants have their turns in no order, so that one whose renewals end the process does not
        come before the same others each time.
        """
        async with self._database.worker() as session:
            rows = await session.fetch(_TENANTS_DUE, at, _TENANTS)
        taken = 0
        for row in rows:
            if taken >= limit:
                break
            tenant_id = row["id"]
            try:
                taken += await self.take_turn(tenant_id, limit=min(_SHARE, limit - taken))
            except DatabaseUnavailable:
                raise
            except Exception as failure:  # another tenant's renewals are none of its business
                _log.warning("renewals_failed", tenant=str(tenant_id), error=repr(failure))
        return taken

    async def take_turn(self, tenant_id: uuid.UUID, *, limit: int = _SHARE) -> int:
        """Renew what of one tenant is due now, up to `limit`; how many were taken up.

        Where that was not all, a wake-up says so: it goes on at once, wherever there is a place.
        """
        taken = await self.run_tenant(tenant_id, at=self._clock.now(tenant_id), limit=limit)
        if taken >= limit:
            async with self._database.tenant(tenant_id) as session:
                await wake(session, tenant_id, RENEW)
        return taken

    async def run_tenant(self, tenant_id: uuid.UUID, *, at: datetime, limit: int = _SHARE) -> int:
        """Renew what of one tenant is due by the instant of its own clock; how many were taken up.

        What fails is set aside and raises nothing. Stops at `limit`, or when nothing is left.
        """
        async with self._database.tenant(tenant_id) as session:
            settings = await load_settings(session, tenant_id)
        taken = 0
        while taken < limit:
            size = min(BATCH, limit - taken)
            claimed = await self._round(tenant_id, at, settings, size=size)
            taken += claimed
            if claimed < size:
                break
        return taken

    async def run_subscription(
        self, tenant_id: uuid.UUID, subscription_id: str, *, at: datetime
    ) -> bool:
        """Renew what of one subscription is due by the instant; whether nothing is left.

        For whoever wants to change it: what time had done to it comes first.
        """
        async with self._database.tenant(tenant_id) as session:
            settings = await load_settings(session, tenant_id)
            customer_id = await session.fetchval(_CUSTOMER, tenant_id, subscription_id)
        if customer_id is None:
            return True
        taxes = await self._taxes.ask(tenant_id, [customer_id], at=at)
        for _ in range(BATCH):
            await self._single(tenant_id, at, subscription_id, settings, taxes)
            async with self._database.tenant(tenant_id) as session:
                if not await session.fetchval(_IS_DUE, tenant_id, subscription_id, at):
                    return True
        return False

    async def _round(
        self, tenant_id: uuid.UUID, at: datetime, settings: BillingSettings, *, size: int
    ) -> int:
        asked, taxes = await self._ask(tenant_id, at, settings, size=size)
        claimed: list[str] = []
        try:
            async with self._database.tenant(tenant_id) as session:
                rows = await _claim(session, tenant_id, at, size=size, ids=asked)
                claimed = [row.id for row in rows]
                faults.point("renewal_claimed")
                plain = [row for row in rows if row.status != "canceled" and _until(row, at) == at]
                await self._write(session, tenant_id, at, plain, settings, taxes)
                faults.point("before_renewal_commit")
            faults.point("after_renewal_commit")
        except DatabaseUnavailable:
            raise
        except Exception as failure:
            _log.info("renewals_one_by_one", tenant=str(tenant_id), error=repr(failure))
            single = claimed
        else:
            written = {row.id for row in plain}
            single = [each for each in claimed if each not in written]
        for each in single:
            await self._single(tenant_id, at, each, settings, taxes)
        if claimed:
            self._nudge()
        return len(claimed)

    async def _ask(
        self, tenant_id: uuid.UUID, at: datetime, settings: BillingSettings, *, size: int
    ) -> tuple[list[str] | None, TaxAnswers]:
        """Where there is tax: the rows that come next, and what the calculator says of them."""
        if settings.tax_calculator is None:
            return None, NO_TAXES
        async with self._database.tenant(tenant_id) as session:
            rows = await session.fetch(_PEEK, tenant_id, at, size)
        customers = {row["customer_id"] for row in rows}
        answers = await self._taxes.ask(tenant_id, sorted(customers), at=at)
        return [row["id"] for row in rows], answers

    async def _single(
        self,
        tenant_id: uuid.UUID,
        at: datetime,
        subscription_id: str,
        settings: BillingSettings,
        taxes: TaxAnswers,
    ) -> None:
        try:
            async with self._database.tenant(tenant_id) as session:
                rows = await _claim(session, tenant_id, at, size=1, ids=[subscription_id])
                for row in rows:
                    if row.status == "canceled":
                        await self._close(session, tenant_id, at, row, settings, taxes)
                    elif _until(row, at) is not None:
                        await self._write(session, tenant_id, at, [row], settings, taxes)
                    elif self._steps is not None:
                        await self._steps.apply(session, tenant_id, row.id, at, taxes)
        except (DatabaseUnavailable, asyncio.CancelledError):
            raise
        except Exception as failure:
            _log.warning("renewal_failed", subscription=subscription_id, error=repr(failure))
            async with self._database.tenant(tenant_id) as session:
                await set_aside(session, tenant_id, at, [_failure(subscription_id, failure)])

    async def _write(
        self,
        session: Session,
        tenant_id: uuid.UUID,
        at: datetime,
        rows: Sequence[DueSubscription],
        settings: BillingSettings,
        taxes: TaxAnswers,
    ) -> None:
        """Renew claimed rows, all by one instant each, in the transaction that claimed them."""
        if not rows:
            return
        until = {row.id: _until(row, at) or at for row in rows}
        terms = await terms_of(
            session,
            tenant_id,
            rows,
            at=until,
            settings=settings,
            taxes=taxes,
            for_update=True,
        )
        renewables = {row.id: renewable_of(row) for row in rows}
        plan = plan_batch(
            list(renewables.values()),
            until[rows[0].id],
            draft_of=_drafts(terms),
            last_number=0,
            catch_up=settings.catch_up,
        )
        ended = await self._advance(session, tenant_id, at, rows, plan, renewables)
        await set_aside(session, tenant_id, at, plan.failed)
        stopped = [renewables[each] for each in ended]
        await issue(session, tenant_id, at, _planned(terms, plan, stopped, at=at))

    async def _close(
        self,
        session: Session,
        tenant_id: uuid.UUID,
        at: datetime,
        row: DueSubscription,
        settings: BillingSettings,
        taxes: TaxAnswers,
    ) -> None:
        """Usage that was told after the end goes on one invoice more, and time does no more."""
        found = await terms_of(
            session,
            tenant_id,
            [row],
            at={row.id: at},
            settings=settings,
            taxes=taxes,
            for_update=True,
        )
        terms = msgspec.structs.replace(found[row.id], pending=())
        period = Period(start=row.period_start, end=row.period_end)
        late = plan_of(terms, period, "usage_cycle", due_at=at)
        await session.execute(_CLOSE, tenant_id, row.id)
        if late.invoice.lines:
            await issue(session, tenant_id, at, [late])

    async def _advance(
        self,
        session: Session,
        tenant_id: uuid.UUID,
        at: datetime,
        rows: Sequence[DueSubscription],
        plan: BatchPlan,
        renewables: Mapping[str, Renewable],
    ) -> list[str]:
        """Write what they become; which of them ended or paused at their boundary."""
        before = {row.id: row for row in rows}
        failed = {each.subscription_id for each in plan.failed}
        after = {each.id: each for each in plan.subscriptions}
        for name, row in renewables.items():
            if name not in after and name not in failed:
                after[name] = row  # due for no boundary: it is only told when it is due next
        await advance(
            session,
            tenant_id,
            at,
            [Advanced(before=before[name], after=each) for name, each in after.items()],
        )
        stopped = [
            name
            for name, each in after.items()
            if each.status != renewables[name].status and each.status in ("canceled", "paused")
        ]
        for name in sorted(stopped, key=lambda each: (before[each].customer_id, each)):
            if after[name].status == "canceled":
                await subscription_canceled(session, tenant_id, name, at=at)
            await tell_entitlements(session, tenant_id, before[name].customer_id, at)
        return stopped


async def _claim(
    session: Session,
    tenant_id: uuid.UUID,
    at: datetime,
    *,
    size: int,
    ids: Sequence[str] | None,
) -> list[DueSubscription]:
    """Lock what is due and what nobody else has, these rows or whichever come first."""
    if ids is None:
        rows = await session.fetch(CLAIM, tenant_id, at, size)
    else:
        rows = await session.fetch(_CLAIM_THESE, tenant_id, at, list(ids))
    return [_DUE.read(row) for row in rows]


def _until(row: DueSubscription, at: datetime) -> datetime | None:
    """How far to renew; None where a step comes first."""
    steps = [each for each in (row.change_at, row.notice_at) if each is not None]
    return renewed_until(
        row.status, at=at, period_end=row.period_end, step_at=min(steps, default=None)
    )


def _drafts(terms: Mapping[str, Terms]) -> Callable[[Renewable, Period], InvoiceDraft]:
    return lambda row, period: draft_of(terms[row.id], period, "subscription_cycle")


def _planned(
    terms: Mapping[str, Terms], plan: BatchPlan, stopped: Collection[Renewable], *, at: datetime
) -> list[Planned]:
    """The invoices of the plan, and behind them the last ones of those that have stopped."""
    found = []
    balances: dict[tuple[str, str], int] = {}
    for made in plan.invoices:
        own = terms[made.name[0]]
        found.append(planned_of(own, made.period, made.invoice, due_at=at))
        balances[own.customer_id, own.currency] = made.invoice.ending_credit_balance
    for each in stopped:
        own = terms[each.id]
        place = own.customer_id, own.currency
        own = msgspec.structs.replace(own, balance=balances.get(place, own.balance))
        period = Period(start=each.period_start, end=each.period_end)
        last = plan_of(own, period, "usage_cycle", due_at=at)
        if last.invoice.lines:
            found.append(last)
            balances[place] = last.invoice.ending_credit_balance
    return found


def _failure(subscription_id: str, failure: Exception) -> RenewalFailure:
    """What is told of a failure; of one that nobody foresaw only its kind."""
    if isinstance(failure, PayengineError):
        return RenewalFailure(
            subscription_id=subscription_id, code=failure.code, message=failure.message
        )
    return RenewalFailure(
        subscription_id=subscription_id, code="INTERNAL", message=type(failure).__name__
    )
