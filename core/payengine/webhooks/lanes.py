"""How is one endpoint told, one event after the other?

A lane holds one endpoint under a lease and a fence. It reads the tenant's log behind the
endpoint's position, sends the next wanted event, and only when its outcome is written goes on. A
process that dies before writing sends the event again: at least once, in order, by the same id.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from payengine import faults
from payengine.context import TenantContext
from payengine.events import Event, NewEvent
from payengine.events.writing import insert_event
from payengine.ids import new_id
from payengine.storage import Session
from payengine.webhooks import store
from payengine.webhooks.means import Means
from payengine.webhooks.messages import body_of, wants
from payengine.webhooks.models import Attempt, Delivery, Endpoint, Redelivery
from payengine.webhooks.schedule import next_try
from payengine.webhooks.sending import Channel, Reply
from payengine.webhooks.signing import signed_headers

__all__ = ["AT_ONCE", "Lane"]

#: A due time that has always passed.
AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)

#: Events read at a time.
_PAGE = 100
#: How long a lane may go on before others have their turn.
_SLICE_S = 5.0
#: What a lease has beyond the time that one exchange may take.
_GRACE_S = 5.0

_log = structlog.get_logger(__name__)


class Lane:
    """One turn of one endpoint."""

    def __init__(
        self, means: Means, tenant_id: uuid.UUID, endpoint_id: str, *, at: datetime
    ) -> None:
        """`at` is the wall's instant; from here on the lane measures by itself."""
        self._means = means
        self._tenant_id = tenant_id
        self._endpoint_id = endpoint_id
        self._at = at
        self._began = time.monotonic()
        self._events: deque[Event] = deque()
        self._passed = 0
        self._again: deque[Event] = deque()
        self._is_over = False
        self._held: store.Held
        self._channel: Channel

    def stop(self) -> None:
        """End after the exchange under way."""
        self._is_over = True

    async def run(self) -> None:
        """Take the endpoint, if it is free, and tell it what it has to be told."""
        async with self._session() as session:
            held = await store.claim_endpoint(
                session,
                self._means.vault,
                self._tenant_id,
                self._endpoint_id,
                at=self._now(),
                until=self._lease(),
                business_at=self._means.clock.now(self._tenant_id),
            )
        if held is None:
            return
        self._held = held
        self._passed = held.endpoint.position
        self._channel = self._means.sender.channel()
        try:
            if held.endpoint.epoch != self._means.log.epoch:
                await self._adopt_epoch()
            while not self._is_over and not self._is_late():
                told = await self._tell_next()
                told_again = not self._is_over and await self._tell_again()
                if not (told or told_again):
                    break
        finally:
            await self._channel.close()
        async with self._session() as session:
            await store.release(
                session, self._tenant_id, held, position=self._passed, at=self._now()
            )

    # -- the log, in its order ---------------------------------------------------------------------

    async def _tell_next(self) -> bool:
        """Send the next wanted event; whether it was taken."""
        retry_at = self._held.endpoint.retry_at
        if retry_at is not None and retry_at > self._now():
            return False
        event = await self._next_event()
        if event is None:
            return False
        reply = await self._send(event)
        if reply is None:
            return False
        await self._record(event, reply)
        return reply.error is None

    async def _next_event(self) -> Event | None:
        """The next event that the endpoint wants; what it does not want is passed over."""
        while not self._is_over and not self._is_late():
            if not self._events:
                self._events.extend(await self._read(self._passed))
            if not self._events:
                return None
            event = self._events.popleft()
            if wants(self._held.endpoint.event_types, event.type):
                return event
            self._passed = event.position
        return None

    async def _record(self, event: Event, reply: Reply) -> None:
        before, now = self._held.endpoint, self._now()
        if reply.error is None:
            moved = msgspec.structs.replace(
                before, position=event.position, tries=0, first_tried_at=None, retry_at=None
            )
        else:
            first = before.first_tried_at or now
            moved = msgspec.structs.replace(
                before,
                position=event.position - 1,
                tries=before.tries + 1,
                first_tried_at=first,
                retry_at=next_try(
                    before.tries + 1, first_tried_at=first, at=now, chance=self._means.chance
                ),
            )
            self._events.clear()
        is_over = reply.error is not None and moved.retry_at is None
        ended = "gone" if reply.is_gone else "exhausted" if is_over else None
        async with self._session() as session:
            version = await store.move_on(
                session, self._tenant_id, self._held, moved, until=self._lease()
            )
            if version is None:
                self._lost()
                return
            await self._log(session, event, reply, next_at=moved.retry_at, ended=ended)
            if ended is not None:
                await self._switch_off(session, event, reply, reason=ended)
        self._passed = moved.position
        self._held.endpoint = moved
        if ended is not None:
            self._means.nudge()
            self._is_over = True
        self._kept(version)

    async def _switch_off(
        self, session: Session, event: Event, reply: Reply, *, reason: str
    ) -> None:
        now = self._means.clock.now(self._tenant_id)
        if not await store.switch_off(session, self._tenant_id, self._held, reason=reason, at=now):
            return
        data = {
            "id": self._endpoint_id,
            "reason": reason,
            "event_id": event.id,
            "status_code": reply.status_code,
            "error": reply.error,
        }
        notice = NewEvent(
            id=new_id("evt"), type="webhook_endpoint.disabled", data=data, occurred_at=now
        )
        await insert_event(session, self._tenant_id, notice)
        _log.warning("webhook_endpoint_disabled", endpoint=self._endpoint_id, reason=reason)

    # -- what is sent once more --------------------------------------------------------------------

    async def _tell_again(self) -> bool:
        """Send the next event that somebody asked to have sent again; whether it was taken."""
        look_at = self._held.redeliver_at
        if look_at is None or look_at > self._now():
            return False
        async with self._session() as session:
            asked = await store.open_redelivery(session, self._tenant_id, self._endpoint_id)
            if asked is None:
                await store.no_redelivery_left(session, self._tenant_id, self._held)
        if asked is None:
            self._held.redeliver_at = None
            return False
        event, position = await self._next_again(asked)
        if event is None:
            is_done = position >= asked.until_position
            self._again.clear()
            passed = msgspec.structs.replace(
                asked, position=position, status="done" if is_done else "open"
            )
            await self._move_redelivery(passed, look_at=AT_ONCE)
            return is_done
        reply = await self._send(event)
        if reply is None:
            return False
        await self._record_again(asked, event, reply)
        return reply.error is None

    async def _next_again(self, asked: Redelivery) -> tuple[Event | None, int]:
        """The next event that was asked for, and up to where there was none."""
        position = asked.position
        while position < asked.until_position and not self._is_late():
            if not self._again:
                self._again.extend(await self._read(position))
            if not self._again:
                return None, asked.until_position
            event = self._again.popleft()
            if event.position > asked.until_position:
                return None, asked.until_position
            if event.position > position:
                if _is_asked_for(event, asked, self._held.endpoint):
                    return event, position
                position = event.position
        return None, position

    async def _record_again(self, asked: Redelivery, event: Event, reply: Reply) -> None:
        now = self._now()
        look_at: datetime | None = AT_ONCE
        if reply.error is None:
            moved = msgspec.structs.replace(
                asked,
                position=event.position,
                delivered=asked.delivered + 1,
                tries=0,
                first_tried_at=None,
                status="done" if event.position >= asked.until_position else "open",
            )
        else:
            first = asked.first_tried_at or now
            look_at = next_try(
                asked.tries + 1, first_tried_at=first, at=now, chance=self._means.chance
            )
            moved = msgspec.structs.replace(
                asked,
                position=event.position - 1,
                tries=asked.tries + 1,
                first_tried_at=first,
                status="exhausted" if look_at is None else "open",
            )
        if moved.status != "open" or reply.error is not None:
            self._again.clear()
        ended = "exhausted" if moved.status == "exhausted" else None
        await self._move_redelivery(
            moved, look_at=look_at or AT_ONCE, event=event, reply=reply, ended=ended
        )

    async def _move_redelivery(
        self,
        moved: Redelivery,
        *,
        look_at: datetime,
        event: Event | None = None,
        reply: Reply | None = None,
        ended: str | None = None,
    ) -> None:
        async with self._session() as session:
            version = await store.move_redelivery(
                session,
                self._tenant_id,
                self._held,
                moved,
                look_at=look_at,
                until=self._lease(),
            )
            if version is None:
                self._lost()
                return
            if event is not None and reply is not None:
                next_at = look_at if look_at > AT_ONCE else None
                await self._log(session, event, reply, next_at=next_at, ended=ended, is_again=True)
        self._held.redeliver_at = look_at
        self._kept(version)

    # -- both --------------------------------------------------------------------------------------

    async def _send(self, event: Event) -> Reply | None:
        """One exchange, within the lease; None where the endpoint is ours no more."""
        held = self._held
        if held.leased_until < self._now() + timedelta(seconds=self._means.sender.total_s + 1):
            async with self._session() as session:
                version = await store.renew(session, self._tenant_id, held, until=self._lease())
            if version is None:
                self._lost()
                return None
            self._kept(version)
        body = body_of(event)
        reply = await self._channel.post(
            self._tenant_id,
            mode=held.mode,
            url=held.endpoint.url,
            headers=signed_headers(held.secrets, message_id=event.id, body=body, at=self._now()),
            body=body,
        )
        faults.point("webhook_sent")
        return reply

    async def _log(
        self,
        session: Session,
        event: Event,
        reply: Reply,
        *,
        next_at: datetime | None,
        ended: str | None,
        is_again: bool = False,
    ) -> None:
        now = self._now()
        is_taken = reply.error is None
        status = "delivered" if is_taken else "exhausted" if ended else "retrying"
        delivery = await store.write_delivery(
            session,
            self._tenant_id,
            Delivery(
                id=new_id("whd"),
                endpoint_id=self._endpoint_id,
                event_id=event.id,
                event_type=event.type,
                position=event.position,
                status=status,  # type: ignore[arg-type]
                tries=1,
                next_attempt_at=None if ended else next_at,
                delivered_at=now if is_taken else None,
                created_at=now,
                updated_at=now,
            ),
        )
        attempt = Attempt(
            delivery_id=delivery.id,
            number=delivery.tries,
            reason="redelivery" if is_again else "event",
            status_code=reply.status_code,
            error=reply.error,
            response=reply.response,
            latency_ms=reply.latency_ms,
            created_at=now,
        )
        await store.write_attempt(session, self._tenant_id, attempt)

    async def _read(self, position: int) -> list[Event]:
        context = TenantContext(self._tenant_id, self._held.mode, "webhooks", frozenset())
        async with self._means.connections:
            return await self._means.log.read(context, position=position, limit=_PAGE)

    async def _adopt_epoch(self) -> None:
        """The database was restored, and the endpoint with it: its position is still its own."""
        context = TenantContext(self._tenant_id, self._held.mode, "webhooks", frozenset())
        log = self._means.log
        head = await log.head(context)
        async with self._session() as session:
            position = await store.adopt_epoch(
                session, self._tenant_id, self._held, epoch=log.epoch, head=head
            )
        if position is None:
            self._lost()
            return
        self._held.endpoint = msgspec.structs.replace(
            self._held.endpoint, epoch=log.epoch, position=position
        )
        self._passed = position

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Session]:
        async with (
            self._means.connections,
            self._means.database.tenant(self._tenant_id) as session,
        ):
            yield session

    def _now(self) -> datetime:
        return self._at + timedelta(seconds=time.monotonic() - self._began)

    def _is_late(self) -> bool:
        """Whether it is the turn of others."""
        return time.monotonic() - self._began >= _SLICE_S

    def _lease(self) -> datetime:
        return self._now() + timedelta(seconds=self._means.sender.total_s + _GRACE_S)

    def _kept(self, version: int) -> None:
        """The lease was renewed; the turn ends where the tenant changed the endpoint meanwhile."""
        self._held.leased_until = self._lease()
        if version != self._held.endpoint.version:
            self._is_over = True

    def _lost(self) -> None:
        """Somebody else holds the endpoint now: what they write counts."""
        _log.info("webhook_lease_lost", endpoint=self._endpoint_id)
        self._is_over = True


def _is_asked_for(event: Event, asked: Redelivery, endpoint: Endpoint) -> bool:
    """One event is sent whatever its type; of many, those that the endpoint wants."""
    if asked.event_id is not None:
        return event.id == asked.event_id
    is_late_enough = asked.since is None or event.occurred_at >= asked.since
    return is_late_enough and wants(endpoint.event_types, event.type)
