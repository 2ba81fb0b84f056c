"""On which day is an account paid out by itself?

A schedule's day begins at midnight of its zone. The day's payout and the schedule's next day are
written in one transaction, so that a day pays once however many processes look.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import msgspec

from payengine import faults
from payengine.clock import wall_now
from payengine.context import TenantContext
from payengine.errors import InputInvalid, InsufficientAvailableBalance, NotFound, PayengineError
from payengine.idempotency import check_key, claim, fingerprint
from payengine.ids import new_id
from payengine.marketplace.agenda import Agenda
from payengine.marketplace.availability import day_of
from payengine.marketplace.payouts import Schedule, payout_dates
from payengine.marketplace.treasury import store
from payengine.marketplace.treasury.creation import Wanted, make_payout
from payengine.marketplace.treasury.inputs import SavePayoutSchedule
from payengine.marketplace.treasury.means import Means, worker_context
from payengine.marketplace.treasury.models import StoredSchedule
from payengine.money import currency as find_currency
from payengine.storage import Session
from payengine.texts import check_id

__all__ = ["BATCH", "Schedules", "next_due"]

#: How many due schedules one round takes.
BATCH = 100
_LARGEST_MINIMUM = 999_999_999_999

_SAVE = f"""
    INSERT INTO payout_schedule AS kept (tenant_id, {store.SCHEDULE.listed})
    VALUES ($1, {store.SCHEDULE.parameters(2)})
    ON CONFLICT ON CONSTRAINT payout_schedule_one DO UPDATE SET
        cadence = excluded.cadence, weekday = excluded.weekday, anchor_day = excluded.anchor_day,
        minimum_minor = excluded.minimum_minor, fee_minor = excluded.fee_minor,
        zone = excluded.zone, due_at = excluded.due_at, updated_at = excluded.updated_at,
        version = kept.version + 1
    RETURNING {store.SCHEDULE.listed}
"""

_OF_KEY = f"""
    SELECT {store.SCHEDULE.listed} FROM payout_schedule
    WHERE tenant_id = $1 AND account_id = $2 AND currency = $3
"""

_OF_ACCOUNT = f"""
    SELECT {store.SCHEDULE.listed} FROM payout_schedule
    WHERE tenant_id = $1 AND account_id = $2 ORDER BY currency
"""

_AGENDA = Agenda(table="payout_schedule", due="due_at", waits="due_at IS NOT NULL")

_CLAIM = f"""
    SELECT {store.SCHEDULE.listed} FROM payout_schedule
    WHERE tenant_id = $1 AND id = $2 AND due_at <= $3 FOR UPDATE SKIP LOCKED
"""

_RAN = """
    UPDATE payout_schedule
    SET due_at = $3, last_outcome = $4, last_run_at = $5, version = version + 1
    WHERE tenant_id = $1 AND id = $2
"""


class Schedules:
    """The schedules of a tenant's accounts, and the poller's part in them."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def save(self, context: TenantContext, request: SavePayoutSchedule) -> StoredSchedule:
        """Pay the account's balance of this currency out on such days from now on.

        Raises `NotFound`, `InputInvalid`, `UnknownCurrency`.
        """
        context.require("payouts:write")
        check_key(request.idempotency_key)
        check_id(request.account_id, "acc", field="accountId")
        find_currency(request.currency)
        _check(request)
        at = self._means.clock.now(context.tenant_id)
        wanted = StoredSchedule(
            id=new_id("psc"),
            account_id=request.account_id,
            currency=request.currency,
            cadence=request.interval,
            weekday=request.weekday,
            anchor_day=request.anchor_day,
            minimum_minor=request.minimum_minor,
            fee_minor=request.fee_minor,
            zone=request.zone,
            created_at=at,
            updated_at=at,
        )
        wanted = msgspec.structs.replace(wanted, due_at=next_due(wanted, at=at))
        async with self._means.database.tenant(context.tenant_id) as session:
            earlier = await claim(
                session,
                context.tenant_id,
                key=request.idempotency_key,
                mutation="savePayoutSchedule",
                fingerprint=fingerprint("savePayoutSchedule", request),
                resource_id=wanted.id,
                at=at,
            )
            if earlier is None:
                status = await store.account_status(session, context.tenant_id, wanted.account_id)
                if status is None:
                    raise NotFound("There is no such account.", path=("accountId",))
                row = await session.fetchrow(
                    _SAVE, context.tenant_id, *store.SCHEDULE.values(wanted)
                )
            else:
                row = await session.fetchrow(
                    _OF_KEY, context.tenant_id, wanted.account_id, wanted.currency
                )
        if row is None:
            raise NotFound("There is no such schedule.", path=("accountId",))
        return store.SCHEDULE.read(row)

    async def of_account(self, context: TenantContext, account_id: str) -> list[StoredSchedule]:
        """The account's schedules, one for each currency that has one."""
        context.require("payouts:read")
        async with self._means.database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_OF_ACCOUNT, context.tenant_id, account_id)
        return [store.SCHEDULE.read(row) for row in rows]

    async def run_once(self, *, at: datetime, limit: int = BATCH) -> int:
        """Make the payouts of up to `limit` schedules whose day has come; how many were taken."""
        return await _AGENDA.run_all(self._means.database, self._run, at=at, limit=limit)

    async def run_tenant(self, tenant_id: uuid.UUID, *, at: datetime) -> int:
        """Make what is due in a world whose clock stands at `at`; how many were taken."""
        return await _AGENDA.run_tenant(
            self._means.database, partial(self._run, now=at), tenant_id, at=at
        )

    async def next_due(
        self, session: Session, tenant_id: uuid.UUID, after: datetime
    ) -> datetime | None:
        """When a schedule of the tenant's pays out next."""
        return await _AGENDA.next_due(session, tenant_id, after)

    async def _run(
        self, tenant_id: uuid.UUID, schedule_id: str, now: datetime | None = None
    ) -> None:
        """One day: with its payout, or where that is refused, with the reason alone."""
        now = now or self._means.clock.now(tenant_id)
        try:
            async with self._means.database.tenant(tenant_id) as session:
                schedule = await _claim(session, tenant_id, schedule_id, at=now)
                if schedule is None:
                    return
                context = await worker_context(session, tenant_id)
                wanted = Wanted(
                    account_id=schedule.account_id,
                    currency=schedule.currency,
                    origin="schedule",
                    minimum_minor=schedule.minimum_minor,
                )
                await make_payout(
                    session, context, self._means.rails, wanted, at=now, due_at=wall_now()
                )
                await _ran(session, tenant_id, schedule, "paid_out", at=now)
        except InsufficientAvailableBalance:
            await self._skip(tenant_id, schedule_id, "below_minimum", at=now)
        except PayengineError as refusal:
            await self._skip(tenant_id, schedule_id, refusal.code, at=now)
        else:
            faults.point("payout_claimed")
            self._means.nudge()

    async def _skip(
        self, tenant_id: uuid.UUID, schedule_id: str, outcome: str, *, at: datetime
    ) -> None:
        """The money waits for the next day."""
        async with self._means.database.tenant(tenant_id) as session:
            schedule = await _claim(session, tenant_id, schedule_id, at=at)
            if schedule is not None:
                await _ran(session, tenant_id, schedule, outcome, at=at)


def next_due(
    schedule: StoredSchedule, *, at: datetime, since: date | None = None
) -> datetime | None:
    """The next midnight of the zone on which a payout falls, on the day `since` at the earliest.

    By default that is the day after `at`; None for a manual schedule.
    """
    zone = ZoneInfo(schedule.zone)
    first = since or day_of(at, zone) + timedelta(days=1)
    rule = Schedule(
        interval=schedule.cadence, weekday=schedule.weekday, anchor_day=schedule.anchor_day
    )
    days: Sequence[date] = payout_dates(rule, since=first, count=1)
    if not days:
        return None
    return datetime.combine(days[0], time(), tzinfo=zone).astimezone(UTC)


async def _claim(
    session: Session, tenant_id: uuid.UUID, schedule_id: str, *, at: datetime
) -> StoredSchedule | None:
    row = await session.fetchrow(_CLAIM, tenant_id, schedule_id, at)
    return None if row is None else store.SCHEDULE.read(row)


async def _ran(
    session: Session, tenant_id: uuid.UUID, schedule: StoredSchedule, outcome: str, *, at: datetime
) -> None:
    due_at = next_due(schedule, at=at)
    await session.execute(_RAN, tenant_id, schedule.id, due_at, outcome, at)


def _check(request: SavePayoutSchedule) -> None:
    if not 1 <= request.anchor_day <= 31:
        raise InputInvalid("An anchor is a day from 1 to 31.", path=("anchorDay",))
    if not 0 <= request.minimum_minor <= _LARGEST_MINIMUM:
        raise InputInvalid("A minimum is zero or more.", path=("minimum",))
    if not 0 <= request.fee_minor <= _LARGEST_MINIMUM:
        raise InputInvalid("A fee is zero or more.", path=("fee",))
    try:
        ZoneInfo(request.zone)
    except Exception:
        raise InputInvalid("There is no such time zone.", path=("zone",)) from None
