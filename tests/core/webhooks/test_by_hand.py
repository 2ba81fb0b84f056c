"""What somebody asks for is sent once more, by the same id, and a test is answered at once."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest
from payengine.errors import Conflict, InputInvalid, NotFound, RateLimited
from payengine.ids import new_id
from payengine.webhooks.models import DisableEndpoint, Redeliver, SendTest

from tests.engines import key
from tests.posts import Post
from tests.receivers import Answer, Got, receiving


async def test_one_event_is_sent_again_with_its_id(post: Post) -> None:
    with receiving() as receiver:
        endpoint = await post.add(receiver.url, "payment.*")
        ids = await post.happen("payment.created", "refund.created", "payment.captured")
        await post.run()
        for event_id in (ids[0], ids[1]):  # the second was never wanted; somebody asks for it
            request = Redeliver(idempotency_key=key(), endpoint_id=endpoint.id, event_id=event_id)
            asked = await post.webhooks.by_hand.redeliver(post.context, request)
            assert asked.status == "open"
            assert (await post.webhooks.by_hand.redeliver(post.context, request)).id == asked.id
        await post.run()
        assert await post.run() == 0
    assert receiver.ids == [ids[0], ids[2], ids[0], ids[1]]
    first, *_ = await post.deliveries(endpoint.id)
    assert first.tries == 2
    assert [each.reason for each in await post.attempts(first)] == ["event", "redelivery"]
    found = await post.webhooks.log.redeliveries(post.context, [asked.id])
    assert (found[asked.id].status, found[asked.id].delivered) == ("done", 1)


async def test_everything_since_an_instant_is_sent_again_in_order(post: Post) -> None:
    now = datetime.now(UTC)
    with receiving() as receiver:
        endpoint = await post.add(receiver.url, "payment.*")
        await post.happen(*["payment.created"] * 3, at=now - timedelta(hours=5))
        late = await post.happen("payment.a", "refund.no", at=now - timedelta(hours=2))
        stray = await post.happen("payment.stray", at=now - timedelta(hours=3, minutes=5))
        later = await post.happen(*["payment.b"] * 150, at=now - timedelta(hours=1))
        while await post.run():  # a turn that takes long gives way to others
            pass
        receiver.got.clear()
        request = Redeliver(
            idempotency_key=key(), endpoint_id=endpoint.id, since=now - timedelta(hours=3)
        )
        asked = await post.webhooks.by_hand.redeliver(post.context, request)
        new = await post.happen("payment.new")
        while await post.run():
            pass
    again = [each for each in receiver.ids if each not in new]
    assert again == [late[0], *later]
    assert not set(stray) & set(again)
    assert receiver.ids.count(new[0]) == 1
    assert receiver.ids.index(new[0]) <= 1, "what is new does not wait for what is old"
    found = await post.webhooks.log.redeliveries(post.context, [asked.id])
    assert (found[asked.id].status, found[asked.id].delivered) == ("done", 151)


async def test_a_redelivery_is_tried_again_until_it_is_taken(post: Post) -> None:
    with receiving() as receiver:
        endpoint = await post.add(receiver.url)
        (event_id,) = await post.happen("payment.created")
        await post.run()
        receiver.answer = lambda got: Answer(500)
        request = Redeliver(idempotency_key=key(), endpoint_id=endpoint.id, event_id=event_id)
        await post.webhooks.by_hand.redeliver(post.context, request)
        await post.run()
        (delivery,) = await post.deliveries(endpoint.id)
        assert delivery.status == "retrying"
        assert delivery.next_attempt_at is not None
        assert await post.run() == 0
        receiver.answer = lambda got: Answer()
        await post.run(later=timedelta(seconds=7))
    assert receiver.ids == [event_id] * 3
    assert (await post.deliveries(endpoint.id))[0].status == "delivered"


async def test_a_redelivery_that_fails_for_three_days_ends_and_disables_nothing(
    post: Post,
) -> None:
    with receiving() as receiver:
        endpoint = await post.add(receiver.url)
        (event_id,) = await post.happen("payment.created")
        await post.run()
        receiver.answer = lambda got: Answer(500)
        request = Redeliver(idempotency_key=key(), endpoint_id=endpoint.id, event_id=event_id)
        asked = await post.webhooks.by_hand.redeliver(post.context, request)
        for hours in range(0, 90, 2):
            await post.run(later=timedelta(hours=hours))
        found = await post.webhooks.log.redeliveries(post.context, [asked.id])
        assert found[asked.id].status == "exhausted"
        assert (await post.endpoint(endpoint.id)).status == "enabled"
        receiver.answer = lambda got: Answer()
        receiver.got.clear()
        ids = await post.happen("payment.captured")
        await post.run()
    assert receiver.ids == ids


async def test_a_redelivery_that_is_asked_for_meanwhile_is_not_overlooked(post: Post) -> None:
    loop = asyncio.get_running_loop()
    with receiving() as receiver:
        endpoint = await post.add(receiver.url)
        ids = await post.happen("payment.created", "payment.captured")

        def answer(got: Got) -> Answer:
            if len(receiver.got) == 2:
                request = Redeliver(idempotency_key=key(), endpoint_id=endpoint.id, event_id=ids[0])
                work = post.webhooks.by_hand.redeliver(post.context, request)
                asyncio.run_coroutine_threadsafe(work, loop).result(10)
            return Answer()

        receiver.answer = answer
        await post.run()
        await post.run()
    assert receiver.ids == [*ids, ids[0]]


async def test_what_cannot_be_sent_again_is_refused(post: Post) -> None:
    endpoint = await post.add("https://hooks.example.invalid/")
    now = datetime.now(UTC)
    by_hand, context = post.webhooks.by_hand, post.context

    async def ask(**given: object) -> None:
        fields = {"idempotency_key": key(), "endpoint_id": endpoint.id} | given
        await by_hand.redeliver(context, Redeliver(**fields))  # type: ignore[arg-type]

    with pytest.raises(NotFound):
        await ask(event_id=new_id("evt"))
    with pytest.raises(NotFound):
        await ask(endpoint_id=new_id("whe"), since=now)
    for given in (
        {},
        {"event_id": new_id("evt"), "since": now},
        {"event_id": "evt_1"},
        {"since": now - timedelta(days=31)},
        {"since": now + timedelta(hours=1)},
        {"since": datetime(2026, 1, 1)},  # noqa: DTZ001 - what is refused
    ):
        with pytest.raises(InputInvalid):
            await ask(**given)
    (event_id,) = await post.happen("payment.created")
    for _ in range(10):
        await ask(event_id=event_id)
    with pytest.raises(Conflict):
        await ask(event_id=event_id)
    await post.webhooks.endpoints.disable(
        context, DisableEndpoint(idempotency_key=key(), endpoint_id=endpoint.id)
    )
    with pytest.raises(Conflict):
        await ask(since=now)


async def test_a_test_is_sent_at_once_and_shows_the_answer(post: Post) -> None:
    with receiving() as receiver:
        endpoint = await post.add(receiver.url, "refund.*")
        receiver.answer = lambda got: Answer(200, b"hello")
        request = SendTest(idempotency_key=key(), endpoint_id=endpoint.id)
        delivery, attempt = await post.webhooks.by_hand.send_test(post.context, request)
        again, nothing = await post.webhooks.by_hand.send_test(post.context, request)
        assert await post.run() == 0
    (got,) = receiver.got
    message = got.verified(post.secrets[endpoint.id])
    assert message["type"] == "webhook_endpoint.test"
    assert message["data"] == {"endpoint_id": endpoint.id}
    assert attempt is not None
    assert (attempt.status_code, attempt.response, attempt.reason) == (200, "hello", "test")
    assert (delivery.status, delivery.event_id, delivery.tries) == ("delivered", got.event_id, 1)
    assert (again, nothing) == (delivery, None)


async def test_a_test_that_fails_is_not_tried_again(post: Post) -> None:
    with receiving() as receiver:
        endpoint = await post.add(receiver.url)
        receiver.answer = lambda got: Answer(500)
        request = SendTest(idempotency_key=key(), endpoint_id=endpoint.id)
        delivery, attempt = await post.webhooks.by_hand.send_test(post.context, request)
        assert await post.run(later=timedelta(days=1)) == 0
    assert attempt is not None
    assert (delivery.status, attempt.error) == ("failed", "status")
    assert (await post.endpoint(endpoint.id)).status == "enabled"


async def test_tests_under_way_are_bounded_for_each_tenant(post: Post) -> None:
    silence = threading.Event()
    with receiving() as receiver:
        receiver.answer = lambda got: Answer(200) if silence.wait(25) else Answer(500)
        endpoint = await post.add(receiver.url)

        def ask() -> SendTest:
            return SendTest(idempotency_key=key(), endpoint_id=endpoint.id)

        by_hand = post.webhooks.by_hand
        waiting = [asyncio.create_task(by_hand.send_test(post.context, ask())) for _ in range(2)]
        async with asyncio.timeout(20):
            while len(receiver.got) < 2:  # noqa: ASYNC110 - a thread receives them
                await asyncio.sleep(0.01)
        with pytest.raises(RateLimited):
            await by_hand.send_test(post.context, ask())
        silence.set()
        done = await asyncio.gather(*waiting)
        assert [delivery.status for delivery, _ in done] == ["delivered", "delivered"]
        await by_hand.send_test(post.context, ask())
