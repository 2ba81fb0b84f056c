"""What a reader writes holds only while the endpoint is its own and as it was read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from payengine.webhooks import store
from payengine.webhooks.models import Redeliver

from tests.engines import key
from tests.posts import Post
from tests.receivers import receiving

_URL = "https://hooks.example.invalid/"


async def _claim(post: Post, endpoint_id: str, *, at: datetime) -> store.Held | None:
    async with post.means.database.tenant(post.context.tenant_id) as session:
        return await store.claim_endpoint(
            session,
            post.means.vault,
            post.context.tenant_id,
            endpoint_id,
            at=at,
            until=at + timedelta(seconds=10),
            business_at=at,
        )


async def test_an_endpoint_is_held_by_one_until_its_lease_ends(post: Post) -> None:
    endpoint = await post.add(_URL)
    now = datetime.now(UTC)
    first = await _claim(post, endpoint.id, at=now)
    assert first is not None
    assert first.secrets == [post.secrets[endpoint.id]]
    assert await _claim(post, endpoint.id, at=now + timedelta(seconds=9)) is None
    second = await _claim(post, endpoint.id, at=now + timedelta(seconds=10))
    assert second is not None
    assert second.fence > first.fence
    tenant_id, later = post.context.tenant_id, now + timedelta(seconds=60)
    async with post.means.database.tenant(tenant_id) as session:
        assert await store.renew(session, tenant_id, first, until=later) is None
        assert await store.move_on(session, tenant_id, first, endpoint, until=later) is None
        assert not await store.switch_off(session, tenant_id, first, reason="exhausted", at=now)
        await store.release(session, tenant_id, first, position=99, at=now)
        assert await store.renew(session, tenant_id, second, until=later) == 1
    assert (await post.endpoint(endpoint.id)).position == 0


async def test_a_redelivery_that_a_reader_did_not_see_is_looked_for_again(post: Post) -> None:
    with receiving() as receiver:
        endpoint = await post.add(receiver.url)
        (event_id,) = await post.happen("payment.created")
        await post.run()
        held = await _claim(post, endpoint.id, at=datetime.now(UTC))
        assert held is not None
        request = Redeliver(idempotency_key=key(), endpoint_id=endpoint.id, event_id=event_id)
        await post.webhooks.by_hand.redeliver(post.context, request)
        tenant_id = post.context.tenant_id
        async with post.means.database.tenant(tenant_id) as session:
            await store.no_redelivery_left(session, tenant_id, held)
            await store.release(session, tenant_id, held, position=1, at=datetime.now(UTC))
        await post.run()
    assert receiver.ids == [event_id, event_id]
