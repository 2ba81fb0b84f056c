"""Every event reaches every endpoint that wants it, in order, at least once."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import pytest
from payengine.events import NewEvent
from payengine.events.writing import insert_event
from payengine.ids import new_id
from payengine.webhooks.models import DisableEndpoint, EnableEndpoint, UpdateEndpoint
from standardwebhooks.webhooks import WebhookVerificationError

from tests.engines import key
from tests.posts import Post, open_post
from tests.receivers import Answer, Got, receiving
from tests.servers import HomeOfTest

_LATER = timedelta(seconds=7)  # behind the first pause of the schedule


async def test_what_happens_arrives_in_its_order_and_signed(post: Post) -> None:
    with receiving() as receiver:
        endpoint = await post.add(receiver.url)
        ids = await post.happen("payment.created", "payment.captured", "refund.created")
        await post.run()
    assert receiver.ids == ids
    first = receiver.got[0].verified(post.secrets[endpoint.id])
    assert (first["id"], first["type"]) == (ids[0], "payment.created")
    assert first["data"] == {"status": "CAPTURED", "version": 2}
    assert (first["payment_id"], first["position"]) == ("pay_1", 1)
    assert receiver.got[0].headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        receiver.got[0].verified("whsec_" + "A" * 43 + "=")


async def test_what_happened_before_the_endpoint_is_not_told(post: Post) -> None:
    with receiving() as receiver:
        await post.happen("payment.created")
        await post.add(receiver.url)
        ids = await post.happen("payment.captured")
        await post.run()
    assert receiver.ids == ids


async def test_only_wanted_types_are_told(post: Post) -> None:
    with receiving() as receiver:
        await post.add(receiver.url, "payment.*", "refund.failed")
        ids = await post.happen(
            "refund.created", "payment.created", "paymentx.no", "refund.failed", "payment.void.x"
        )
        await post.run()
    assert receiver.ids == [ids[1], ids[3], ids[4]]
    assert await post.run() == 0


async def test_an_endpoint_that_wants_nothing_of_it_is_at_rest(post: Post) -> None:
    with receiving() as receiver:
        endpoint = await post.add(receiver.url, "dispute.*")
        await post.happen(*["payment.created"] * 250)
        assert await post.run() == 1
        assert await post.run() == 0
    assert receiver.got == []
    assert (await post.endpoint(endpoint.id)).position == 250


async def test_the_next_event_waits_until_the_one_before_was_taken(post: Post) -> None:
    with receiving() as receiver:
        endpoint = await post.add(receiver.url)
        receiver.answer = lambda got: Answer(500, b"not now")
        ids = await post.happen("payment.created", "payment.captured")
        await post.run()
        assert await post.run() == 0, "it is not due yet"
        await post.run(later=_LATER)
        assert receiver.ids == [ids[0], ids[0]]
        receiver.answer = lambda got: Answer(200)
        await post.run(later=timedelta(minutes=2))
    assert receiver.ids == [ids[0], ids[0], ids[0], ids[1]]
    assert len({got.body for got in receiver.got}) == 2, "each attempt sends the same bytes"
    first, second = await post.deliveries(endpoint.id)
    assert (first.status, first.tries, second.status, second.tries) == (
        "delivered",
        3,
        "delivered",
        1,
    )
    attempts = await post.attempts(first)
    assert [(each.number, each.status_code, each.error) for each in attempts] == [
        (1, 500, "status"),
        (2, 500, "status"),
        (3, 200, None),
    ]
    assert attempts[0].response == "not now"


async def test_order_holds_under_failures(post: Post) -> None:
    failures = itertools.cycle([500, 503, 204, 302, 204, 204])
    with receiving() as receiver:
        await post.add(receiver.url)
        receiver.answer = lambda got: Answer(next(failures))
        ids = await post.happen(*["payment.captured"] * 20)
        later = timedelta()
        for _ in range(60):
            await post.run(later=later)
            later += timedelta(hours=9)
            if len(set(receiver.ids)) == 20:
                break
    assert [each for each, _ in itertools.groupby(receiver.ids)] == ids


async def test_a_log_says_when_it_tries_again(post: Post) -> None:
    with receiving() as receiver:
        endpoint = await post.add(receiver.url)
        receiver.answer = lambda got: Answer(503)
        await post.happen("payment.created")
        before = datetime.now(UTC)
        await post.run()
        after = datetime.now(UTC)
    (delivery,) = await post.deliveries(endpoint.id)
    assert delivery.status == "retrying"
    assert delivery.next_attempt_at is not None
    assert delivery.next_attempt_at - before > timedelta(seconds=4)
    assert delivery.next_attempt_at - after < timedelta(seconds=8)
    assert (await post.endpoint(endpoint.id)).retry_at == delivery.next_attempt_at


async def _fail_for_three_days(post: Post) -> tuple[timedelta, int]:
    """When the pump had nothing more to do, and how often it worked."""
    later, rounds = timedelta(), 0
    while later < timedelta(days=4):
        rounds += await post.run(later=later)
        later += timedelta(minutes=30)
    return later, rounds


async def test_an_endpoint_that_fails_for_three_days_is_disabled_with_notice(post: Post) -> None:
    with receiving() as receiver, receiving() as other:
        endpoint = await post.add(receiver.url, "payment.*")
        await post.add(other.url, "webhook_endpoint.*")
        receiver.answer = lambda got: Answer(500)
        ids = await post.happen("payment.created", "payment.captured")
        began = datetime.now(UTC)
        await _fail_for_three_days(post)
        disabled = await post.endpoint(endpoint.id)
        assert (disabled.status, disabled.disabled_reason) == ("disabled", "exhausted")
        (delivery,) = await post.deliveries(endpoint.id)
        assert (delivery.status, delivery.next_attempt_at) == ("exhausted", None)
        attempts = await post.attempts(delivery)
        assert attempts[-1].created_at - began >= timedelta(days=3)
        assert 10 <= len(attempts) <= 20
        assert set(receiver.ids) == {ids[0]}, "the next event was not sent past it"
        await post.place()
        await post.run()
        (notice,) = other.got
        assert notice.message["type"] == "webhook_endpoint.disabled"
        assert notice.message["data"] == {
            "id": endpoint.id,
            "reason": "exhausted",
            "event_id": ids[0],
            "status_code": 500,
            "error": "status",
        }
        receiver.answer = lambda got: Answer()
        assert await post.run() == 0, "nobody is told while it is disabled"
        await post.webhooks.endpoints.enable(
            post.context, EnableEndpoint(idempotency_key=key(), endpoint_id=endpoint.id)
        )
        receiver.got.clear()
        await post.run()
        assert receiver.ids == ids, "it goes on where it stopped, and nothing is lost"


@pytest.mark.parametrize(("resume", "told"), [("left_off", 3), ("next", 2), ("now", 0)])
async def test_a_disabled_endpoint_goes_on_where_the_tenant_says(
    post: Post, resume: str, told: int
) -> None:
    with receiving() as receiver:
        endpoint = await post.add(receiver.url)
        receiver.answer = lambda got: Answer(410)
        ids = await post.happen(*["payment.created"] * 3)
        await post.run()
        gone = await post.endpoint(endpoint.id)
        assert (gone.status, gone.disabled_reason) == ("disabled", "gone")
        await post.webhooks.endpoints.enable(
            post.context,
            EnableEndpoint(
                idempotency_key=key(),
                endpoint_id=endpoint.id,
                resume=resume,  # type: ignore[arg-type]
            ),
        )
        await post.place()
        receiver.answer = lambda got: Answer()
        receiver.got.clear()
        await post.run()
        new = await post.happen("refund.created")
        await post.run()
    wanted = ids[3 - told :] if told else []
    notice = [got for got in receiver.ids if got not in (*ids, *new)]
    assert [each for each in receiver.ids if each not in notice] == [*wanted, *new]
    statuses = [each.status for each in await post.deliveries(endpoint.id)]
    assert statuses[0] == ("delivered" if resume == "left_off" else "skipped")


async def test_an_endpoint_that_is_disabled_by_the_tenant_loses_nothing(post: Post) -> None:
    with receiving() as receiver:
        endpoint = await post.add(receiver.url)
        request = DisableEndpoint(idempotency_key=key(), endpoint_id=endpoint.id)
        await post.webhooks.endpoints.disable(post.context, request)
        ids = await post.happen("payment.created", "payment.captured")
        assert await post.run() == 0
        await post.webhooks.endpoints.enable(
            post.context, EnableEndpoint(idempotency_key=key(), endpoint_id=endpoint.id)
        )
        await post.run()
    assert receiver.ids == ids


async def test_a_new_url_is_tried_at_once(post: Post) -> None:
    with receiving() as broken, receiving() as mended:
        endpoint = await post.add(broken.url)
        broken.answer = lambda got: Answer(500)
        ids = await post.happen("payment.created")
        await post.run()
        await post.webhooks.endpoints.update(
            post.context,
            UpdateEndpoint(idempotency_key=key(), endpoint_id=endpoint.id, url=mended.url),
        )
        await post.run()
    assert mended.ids == ids


async def test_a_change_while_a_turn_is_under_way_counts_for_the_next_event(post: Post) -> None:
    loop = asyncio.get_running_loop()
    with receiving() as old, receiving() as new:
        endpoint = await post.add(old.url)
        ids = await post.happen("payment.created", "payment.captured")

        async def change() -> None:
            await post.webhooks.endpoints.update(
                post.context,
                UpdateEndpoint(idempotency_key=key(), endpoint_id=endpoint.id, url=new.url),
            )

        def answer(got: Got) -> Answer:
            asyncio.run_coroutine_threadsafe(change(), loop).result(25)
            return Answer()

        old.answer = answer
        await post.run()
        await post.run()
    assert (old.ids, new.ids) == ([ids[0]], [ids[1]])


async def test_two_processes_never_tell_one_endpoint_at_the_same_time(
    webhook_home: HomeOfTest,
) -> None:
    with receiving() as receiver:
        receiver.answer = lambda got: Answer(delay_s=0.005)
        async with open_post(webhook_home) as one, open_post(webhook_home) as two:
            await one.add(receiver.url)
            ids = []
            for _ in range(6):
                ids += await one.happen(*["payment.captured"] * 10)
                await asyncio.gather(*(each.run() for each in (one, two, one, two)))
            while await one.run():
                pass
    assert receiver.ids == ids, "no event twice, none missing, all in order"
    assert receiver.most_at_once == 1


async def test_whoever_was_frozen_past_the_lease_writes_nothing(
    webhook_home: HomeOfTest,
) -> None:
    async with open_post(webhook_home) as frozen, open_post(webhook_home) as other:
        with receiving() as receiver:
            endpoint = await frozen.add(receiver.url)
            ids = await frozen.happen("payment.created", "payment.captured")
            beside = other.of(frozen.context)
            loop = asyncio.get_running_loop()

            def answer(got: Got) -> Answer:
                if len(receiver.got) > 1:
                    return Answer()
                # While the first is sent, its lease runs out: another process takes over.
                work = beside.run(later=timedelta(minutes=10))
                asyncio.run_coroutine_threadsafe(work, loop).result(25)
                return Answer(500)

            receiver.answer = answer
            await frozen.run()
        assert receiver.ids == [ids[0], ids[0], ids[1]]
        moved = await frozen.endpoint(endpoint.id)
        assert (moved.position, moved.tries) == (2, 0), "what the frozen one saw was not written"
        assert [each.tries for each in await frozen.deliveries(endpoint.id)] == [1, 1]


async def test_a_late_commit_is_not_passed_over(post: Post) -> None:
    with receiving() as receiver:
        await post.add(receiver.url)
        tenant_id = post.context.tenant_id
        async with post.means.database.tenant(tenant_id) as slow:
            event = NewEvent(
                id=new_id("evt"), type="payment.late", data={}, occurred_at=datetime.now(UTC)
            )
            await insert_event(slow, tenant_id, event)
            quick = await post.happen("payment.quick")
            await post.run()
            assert receiver.ids == quick
        await post.place()
        await post.run()
    assert receiver.ids == [*quick, event.id]


async def test_the_log_begins_anew_where_the_restored_endpoint_stands(
    webhook_home: HomeOfTest,
) -> None:
    async with open_post(webhook_home) as post:
        with receiving() as receiver:
            endpoint = await post.add(receiver.url)
            ids = await post.happen("payment.created")
            post.means.log.epoch += 1  # what a restore does
            await post.run()
            assert receiver.ids == ids
            assert (await post.endpoint(endpoint.id)).epoch == post.means.log.epoch
