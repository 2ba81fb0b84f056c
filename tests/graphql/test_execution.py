"""Deadlines: reading stops, money in flight does not."""

from __future__ import annotations

import pytest
from payengine.engine import Engine
from payengine.payments import PaymentFilter
from payengine_graphql import execution
from payengine_graphql.context import RequestContext, Services
from payengine_graphql.execution import Ask, Executor
from payengine_graphql.inputs import CreatePaymentInput
from payengine_graphql.once import Once
from payengine_graphql.schema import core_schema
from payengine_tenants.keys import ApiKeys
from payengine_tenants.tenants import Tenants

from tests.graphql.worlds import CREATE, World, codes, new_key


def _context(engine: Engine, world: World) -> RequestContext:
    services = Services(
        engine=engine,
        keys=ApiKeys(engine.database),
        tenants=Tenants(engine.database),
        once=Once(engine.database),
    )
    return RequestContext(services, world.context, "a-reference")


async def test_a_mutation_past_its_deadline_goes_on_to_its_end(
    engine: Engine, world: World
) -> None:
    executor = Executor(core_schema(), is_development=True, mutation_deadline_s=0.05)
    given = {
        "idempotencyKey": new_key(),
        "amount": {"amountMinor": 3_016, "currency": "EUR"},
        "paymentMethod": {"token": "tok_magic"},  # a slow gateway
    }
    answer, _ = await executor.answer(Ask(CREATE, {"input": given}), _context(engine, world))
    assert codes(answer) == ["DEADLINE_EXCEEDED"]
    await executor.drain(timeout_s=20)
    page = await engine.payments.page(world.context, PaymentFilter(), first=1)
    assert [payment.status for payment in page] == ["CAPTURED"]


async def test_reading_past_its_deadline_is_given_up(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "_READ_DEADLINE_S", 0.0)
    executor = Executor(core_schema(), is_development=True, mutation_deadline_s=1)
    ask = Ask("{ payments { nodes { id } } }")
    answer, was_executed = await executor.answer(ask, _context(engine, world))
    assert codes(answer) == ["DEADLINE_EXCEEDED"]
    assert not was_executed


async def test_what_nobody_foresaw_is_internal_and_tells_nothing(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(given: CreatePaymentInput) -> None:
        raise RuntimeError("SELECT secret FROM somewhere at /a/path")

    monkeypatch.setattr(CreatePaymentInput, "to_core", fail)
    given = {
        "idempotencyKey": new_key(),
        "amount": {"amountMinor": 1, "currency": "EUR"},
        "paymentMethod": {"token": "tok_visa"},
    }
    executor = Executor(core_schema(), is_development=True, mutation_deadline_s=5)
    answer, _ = await executor.answer(Ask(CREATE, {"input": given}), _context(engine, world))
    assert codes(answer) == ["INTERNAL"]
    assert "a-reference" in str(answer)
    assert "secret" not in str(answer)
    assert "/a/path" not in str(answer)
