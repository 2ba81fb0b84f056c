"""The installed program tells of every event, whoever is killed, however many tell."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
from payengine.engine import Engine, open_engine
from payengine.errors import EnvironmentProblem
from payengine.payments import CreatePayment, MethodInput
from payengine.settings import Settings
from payengine.webhooks.models import CreateEndpoint

from tests.acceptance.programs import Serving, new_key, serving
from tests.conftest import Servers, make_tenant
from tests.receivers import Answer, Got, Receiver, receiving
from tests.servers import HomeOfTest, migrated_home, temporary_home

_CREATE = """
mutation ($input: CreateWebhookEndpointInput!) {
  createWebhookEndpoint(input: $input) { secret errors { code message } }
}
"""
_EVENTS = "{ events(first: 100) { nodes { id type } } }"
_OPEN = {"PAYENGINE_WEBHOOK_ALLOW_PRIVATE": "1"}


def once(ids: list[str]) -> list[str]:
    """Each id where it came first: what a receiver that knows ids makes of it."""
    return list(dict.fromkeys(ids))


async def until(is_so: Callable[[], bool], *, within_s: float) -> None:
    """Wait until it is so."""
    for _ in range(round(within_s / 0.05)):
        if is_so():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never came to that")


async def _pay_until_it_dies(shop: Serving, key: str) -> None:
    dying = asyncio.create_task(shop.program.process.wait())
    while not dying.done():
        with suppress(EnvironmentProblem, OSError):  # it may die in the middle
            await shop.pay(key)
        await asyncio.sleep(0.02)


async def test_a_killed_program_loses_no_event() -> None:
    with temporary_home() as home, receiving() as receiver:
        async with serving(home, PAYENGINE_FAULTS="webhook_sent:5", **_OPEN) as shop:
            key = (await shop.tenant())["api_key"]
            given = {"idempotencyKey": new_key(), "url": receiver.url}
            made = await shop.ask(key, _CREATE, input=given)
            secret = made["createWebhookEndpoint"]["secret"]
            async with asyncio.timeout(240):
                await _pay_until_it_dies(shop, key)
            done = await shop.program.ended()
            assert done.code == -signal.SIGKILL
        sent_before = len(receiver.got)
        assert sent_before == 5
        async with serving(home, **_OPEN) as shop:
            await shop.pay(key)

            async def has_all() -> bool:
                events = (await shop.ask(key, _EVENTS))["events"]["nodes"]
                return len(events) >= 7 and once(receiver.ids) == [each["id"] for each in events]

            for _ in range(2_400):
                if await has_all():
                    break
                await asyncio.sleep(0.1)
            assert await has_all()
        assert receiver.ids[4] in receiver.ids[5:], "the one that was not noted came again"
        for got in receiver.got:
            got.verified(secret)


@pytest.fixture(scope="module")
async def own_home(servers: Servers) -> AsyncIterator[HomeOfTest]:
    """Servers for these engines alone; `servers` come first, as they name the home."""
    async with migrated_home() as home:
        yield home


async def _pay(engine: Engine, context: Any, times: int) -> None:
    for _ in range(times):
        await engine.payments.create(
            context,
            CreatePayment(
                idempotency_key=new_key(),
                amount_minor=1_000,
                currency="EUR",
                payment_method=MethodInput(token="tok_visa"),
            ),
        )


async def _listen(engine: Engine, context: Any, receiver: Receiver) -> None:
    request = CreateEndpoint(idempotency_key=new_key(), url=receiver.url)
    await engine.webhooks.endpoints.create(context, request)


async def test_engines_that_run_side_by_side_tell_once_and_in_order(own_home: HomeOfTest) -> None:
    settings = Settings.from_environment({}, home=own_home.home, webhook_allow_private=True)
    with receiving() as one, receiving() as two:
        one.answer = lambda got: Answer(delay_s=0.004)
        async with AsyncExitStack() as stack:
            engines = [
                await stack.enter_async_context(
                    open_engine(settings, login_url=own_home.login_url, redis_url=None)
                )
                for _ in range(3)
            ]
            context = await make_tenant(engines[0].database)
            for receiver in (one, two):
                await _listen(engines[0], context, receiver)
            await asyncio.gather(*(_pay(each, context, 10) for each in engines))
            await until(lambda: len(one.got) >= 60 and len(two.got) >= 60, within_s=240)
            events = [each.id for each in await engines[0].events.page(context, first=100)]
    assert one.ids == two.ids == events
    assert one.most_at_once == two.most_at_once == 1


async def test_an_endpoint_that_hangs_keeps_no_other_waiting(own_home: HomeOfTest) -> None:
    settings = Settings.from_environment({}, home=own_home.home, webhook_allow_private=True)
    silence = threading.Event()

    def hang(got: Got) -> Answer:
        silence.wait(20)
        return Answer(500)

    with receiving() as poison, receiving() as sibling, receiving() as neighbour:
        poison.answer = hang
        async with open_engine(settings, login_url=own_home.login_url) as engine:
            tenant, other = [await make_tenant(engine.database) for _ in range(2)]
            for _ in range(5):
                await _listen(engine, tenant, poison)
            await _listen(engine, tenant, sibling)
            await _listen(engine, other, neighbour)
            for context in (tenant, other):
                await _pay(engine, context, 10)
            await until(lambda: len(poison.got) == 5, within_s=10)
            await until(lambda: min(len(sibling.got), len(neighbour.got)) == 20, within_s=8)
            assert len(poison.got) == 5, "each still hangs on its first event"
            silence.set()
    assert len(once(sibling.ids)) == len(once(neighbour.ids)) == 20
