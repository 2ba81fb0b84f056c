"""What is sent because somebody asked for it: an event once more, or a test?"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import msgspec

from payengine.context import TenantContext
from payengine.errors import Conflict, InputInvalid, NotFound, RateLimited
from payengine.idempotency import check_key
from payengine.ids import new_id
from payengine.storage import Session
from payengine.texts import check_id
from payengine.webhooks.endpoints import claim_once, one_endpoint
from payengine.webhooks.lanes import AT_ONCE
from payengine.webhooks.means import Means
from payengine.webhooks.messages import TEST_TYPE, test_body
from payengine.webhooks.models import (
    Attempt,
    Delivery,
    Endpoint,
    Redeliver,
    Redelivery,
    SendTest,
)
from payengine.webhooks.sending import Reply
from payengine.webhooks.signing import signed_headers
from payengine.webhooks.store import (
    DELIVERY,
    REDELIVERY,
    live_secrets,
    write_attempt,
    write_delivery,
)

__all__ = ["ByHand"]

_OPEN_AT_MOST = 10
_TESTS = 16
_TESTS_OF_TENANT = 2
_OLDEST = timedelta(days=30)
#: Events may get their places a little out of the order in which they occurred.
_DISORDER = timedelta(minutes=10)

_HEAD = "SELECT coalesce(max(position), 0) FROM event_stream WHERE tenant_id = $1"

_PLACE_OF = "SELECT position FROM event WHERE tenant_id = $1 AND id = $2"

#: Read from the newest on, so that no more of the log is read than will be sent.
_PLACE_BEFORE = """
    SELECT coalesce(max(position), 0) FROM (
        SELECT position FROM event
        WHERE tenant_id = $1 AND position <= $2 AND occurred_at < $3
        ORDER BY position DESC LIMIT 1
    ) AS earlier
"""

_COUNT_OPEN = """
    SELECT count(*) FROM webhook_redelivery
    WHERE tenant_id = $1 AND endpoint_id = $2 AND status = 'open'
"""

_INSERT = f"""
    INSERT INTO webhook_redelivery (tenant_id, {REDELIVERY.listed})
    VALUES ($1, {REDELIVERY.parameters(2)})
"""

#: The version rises, so that a reader at work looks again.
_ASK = """
    UPDATE webhook_endpoint SET redeliver_at = coalesce(redeliver_at, $3), version = version + 1
    WHERE tenant_id = $1 AND id = $2
"""

_ONE_REDELIVERY = f"""
    SELECT {REDELIVERY.listed} FROM webhook_redelivery WHERE tenant_id = $1 AND id = $2
"""

_ONE_DELIVERY = f"SELECT {DELIVERY.listed} FROM webhook_delivery WHERE tenant_id = $1 AND id = $2"

_INSERT_DELIVERY = f"""
    INSERT INTO webhook_delivery (tenant_id, {DELIVERY.listed})
    VALUES ($1, {DELIVERY.parameters(2)})
"""


class ByHand:
    """Redeliveries and tests."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._tests: Counter[Any] = Counter()

    async def redeliver(self, context: TenantContext, request: Redeliver) -> Redelivery:
        """Queue one event, or what occurred since an instant and fits the endpoint's filter.

        They are sent in their order, with the ids they had, between the events that are new.
        Raises `NotFound`, `InputInvalid`, and `Conflict` where the endpoint is disabled or ten
        redeliveries are open.
        """
        _check(context, request.idempotency_key, request.endpoint_id)
        if (request.event_id is None) == (request.since is None):
            raise InputInvalid("Give exactly one of eventId and since.", path=("eventId",))
        now = self._means.clock.now(context.tenant_id)
        if request.event_id is not None:
            check_id(request.event_id, "evt", field="eventId")
        if request.since is not None:
            if request.since.tzinfo is None:
                raise InputInvalid("since needs an offset.", path=("since",))
            if not now - _OLDEST <= request.since <= now:
                raise InputInvalid("since lies within the last 30 days.", path=("since",))
        redelivery_id = new_id("whr")
        async with self._means.database.tenant(context.tenant_id) as session:
            taken = await claim_once(
                session, context, "redeliverWebhook", request, redelivery_id, at=now
            )
            if taken is None:
                endpoint = await one_endpoint(session, context, request.endpoint_id)
                if endpoint.status != "enabled":
                    raise Conflict("The endpoint is disabled: enable it first.")
                await self._queue(session, context, request, redelivery_id, at=now)
            row = await session.fetchrow(_ONE_REDELIVERY, context.tenant_id, taken or redelivery_id)
        if row is None:
            raise NotFound("There is no such redelivery.")
        return REDELIVERY.read(row)

    async def send_test(
        self, context: TenantContext, request: SendTest
    ) -> tuple[Delivery, Attempt | None]:
        """Send a message that tells of nothing, now, and wait for the answer.

        It goes beside the endpoint's events, to a disabled endpoint too, and is not tried again.
        The attempt is None for a key used before. Raises `NotFound`, and `RateLimited` where many
        tests are under way.
        """
        _check(context, request.idempotency_key, request.endpoint_id)
        tenant_id = context.tenant_id
        now = self._means.clock.now(tenant_id)
        delivery = Delivery(
            id=new_id("whd"),
            endpoint_id=request.endpoint_id,
            event_id=new_id("evt"),
            event_type=TEST_TYPE,
            position=None,
            status="pending",
            tries=0,
            next_attempt_at=None,
            delivered_at=None,
            created_at=now,
            updated_at=now,
        )
        if self._tests.total() >= _TESTS or self._tests[tenant_id] >= _TESTS_OF_TENANT:
            raise RateLimited("Several tests are under way; wait for their answers.")
        self._tests[tenant_id] += 1
        try:
            async with self._means.database.tenant(tenant_id) as session:
                endpoint = await one_endpoint(session, context, request.endpoint_id)
                taken = await claim_once(
                    session, context, "sendTestWebhook", request, delivery.id, at=now
                )
                if taken is not None:
                    row = await session.fetchrow(_ONE_DELIVERY, tenant_id, taken)
                    assert row is not None
                    return DELIVERY.read(row), None
                await session.execute(_INSERT_DELIVERY, tenant_id, *DELIVERY.values(delivery))
                secrets = await live_secrets(
                    session, self._means.vault, tenant_id, endpoint.id, at=now
                )
            reply = await self._send(context, endpoint, delivery, secrets)
            return await self._log(context, delivery, reply)
        finally:
            self._tests -= Counter({tenant_id: 1})

    async def _queue(
        self,
        session: Session,
        context: TenantContext,
        request: Redeliver,
        redelivery_id: str,
        *,
        at: datetime,
    ) -> None:
        tenant_id, endpoint_id = context.tenant_id, request.endpoint_id
        if await session.fetchval(_COUNT_OPEN, tenant_id, endpoint_id) >= _OPEN_AT_MOST:
            raise Conflict(f"At most {_OPEN_AT_MOST} redeliveries of an endpoint may be open.")
        if request.event_id is not None:
            place = await session.fetchval(_PLACE_OF, tenant_id, request.event_id)
            if place is None:
                raise NotFound("There is no such event.", path=("eventId",))
            first, last = place - 1, place
        else:
            assert request.since is not None
            last = await session.fetchval(_HEAD, tenant_id)
            first = await session.fetchval(
                _PLACE_BEFORE, tenant_id, last, request.since - _DISORDER
            )
        redelivery = Redelivery(
            id=redelivery_id,
            endpoint_id=endpoint_id,
            event_id=request.event_id,
            since=request.since,
            position=first,
            until_position=last,
            status="open",
            delivered=0,
            tries=0,
            first_tried_at=None,
            created_at=at,
        )
        await session.execute(_INSERT, tenant_id, *REDELIVERY.values(redelivery))
        await session.execute(_ASK, tenant_id, endpoint_id, AT_ONCE)

    async def _send(
        self,
        context: TenantContext,
        endpoint: Endpoint,
        delivery: Delivery,
        secrets: list[str],
    ) -> Reply:
        body = test_body(delivery.event_id, endpoint_id=endpoint.id, at=delivery.created_at)
        channel = self._means.sender.channel()
        try:
            return await channel.post(
                context.tenant_id,
                mode=context.mode,
                url=endpoint.url,
                headers=signed_headers(
                    secrets, message_id=delivery.event_id, body=body, at=delivery.created_at
                ),
                body=body,
            )
        finally:
            await channel.close()

    async def _log(
        self, context: TenantContext, delivery: Delivery, reply: Reply
    ) -> tuple[Delivery, Attempt]:
        now = self._means.clock.now(context.tenant_id)
        is_taken = reply.error is None
        tried = msgspec.structs.replace(
            delivery,
            status="delivered" if is_taken else "failed",
            delivered_at=now if is_taken else None,
            updated_at=now,
        )
        attempt = Attempt(
            delivery_id=delivery.id,
            number=1,
            reason="test",
            status_code=reply.status_code,
            error=reply.error,
            response=reply.response,
            latency_ms=reply.latency_ms,
            created_at=now,
        )
        async with self._means.database.tenant(context.tenant_id) as session:
            written = await write_delivery(session, context.tenant_id, tried)
            await write_attempt(session, context.tenant_id, attempt)
        return written, attempt


def _check(context: TenantContext, key: str, endpoint_id: str) -> None:
    context.require("webhooks:write")
    check_key(key)
    check_id(endpoint_id, "whe", field="webhookEndpointId")
