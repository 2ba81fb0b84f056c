"""A plan answers as graphql-core does, to the byte, and gives way where something is amiss."""

from __future__ import annotations

from typing import Any

import pytest
from payengine.engine import Engine
from payengine_graphql import plans
from payengine_graphql.answers import encode
from payengine_graphql.context import RequestContext, Services
from payengine_graphql.documents import Documents
from payengine_graphql.execution import Ask, Executor
from payengine_graphql.once import Once
from payengine_graphql.plans import Plan
from payengine_graphql.schema import core_schema
from payengine_tenants.keys import ApiKeys
from payengine_tenants.tenants import Tenants

from tests.graphql.worlds import World, new_key

PAY = """
mutation Pay($input: CreatePaymentInput!) {
  createPayment(input: $input) {
    __typename
    payment { ...Shown paid: capturedAmount { amountMinor formatted } }
    operation { id kind status gateway }
    errors { code message path retryable }
  }
}
fragment Shown on Payment {
  id status
  ... on Payment { amount { amountMinor currency } metadata createdAt }
  amount { formatted }
}
"""
PAGE = """
query Page($after: String, $filter: PaymentFilterInput = {currency: "EUR"}) {
  payments(first: 3, after: $after, filter: $filter) {
    edges { cursor node { id status captureMethod customer { id reference } } }
    nodes {
      id
      attempts { number routing operations(first: 2) { id kind fee { amountMinor } } }
      refunds(first: 1) { id amount { amountMinor } }
    }
    pageInfo { hasNextPage endCursor }
  }
  viewer { actor scopes tenant { id mode } }
}
"""
TWO = """
mutation Two($a: CreatePaymentInput!, $b: CreatePaymentInput!) {
  first: createPayment(input: $a) { payment { id amount { amountMinor } } errors { code } }
  second: createPayment(input: $b) { payment { id amount { amountMinor } } errors { code } }
}
"""


def given(**more: Any) -> dict[str, Any]:
    """A payment's input."""
    fields = {
        "idempotencyKey": new_key(),
        "amount": {"amountMinor": 1_250, "currency": "EUR"},
        "paymentMethod": {"token": "tok_visa"},
    }
    return fields | more


class Desk:
    """One tenant before an executor that counts what its plans do."""

    def __init__(self, engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.executor = Executor(core_schema(), is_development=True, mutation_deadline_s=20)
        self.world = world
        self.planned = 0
        self._services = Services(
            engine=engine,
            keys=ApiKeys(engine.database),
            tenants=Tenants(engine.database),
            once=Once(engine.database),
        )
        for name in ("read", "change"):
            monkeypatch.setattr(Plan, name, self._counting(getattr(Plan, name)))

    def _counting(self, method: Any) -> Any:
        async def counted(*arguments: Any) -> Any:
            found = await method(*arguments)
            self.planned += isinstance(found, dict)
            return found

        return counted

    async def ask(self, query: str, **variables: Any) -> bytes:
        """The answer as it goes over the wire."""
        context = RequestContext(self._services, self.world.context, "a-reference")
        answer, _ = await self.executor.answer(Ask(query, variables), context)
        return encode(answer)

    async def both(self, query: str, **variables: Any) -> bytes:
        """The answer, which graphql-core and the plan must give alike."""
        before = self.planned
        by_core = await self.ask(query, **variables)
        assert b"QUERY_REFUSED" not in by_core
        assert self.planned == before, "a document that comes once has no plan"
        by_plan = await self.ask(query, **variables)
        assert self.planned == before + 1, "the plan was not used"
        assert by_core == by_plan
        return by_plan


@pytest.fixture
def desk(engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(engine, world, monkeypatch)


async def test_a_payment_is_shown_alike(desk: Desk) -> None:
    metadata = {"order": "7 ä \u2028"}
    answer = await desk.both(PAY, input=given(metadata=metadata, captureMethod="MANUAL"))
    assert b'"status":"AUTHORIZED"' in answer
    assert b'"paid":' in answer


async def test_refusals_in_the_payload_are_shown_alike(desk: Desk) -> None:
    answer = await desk.both(PAY, input=given(amount={"amountMinor": 0, "currency": "EUR"}))
    assert b"AMOUNT_NOT_POSITIVE" in answer


async def test_several_mutations_run_in_their_order(desk: Desk) -> None:
    one, other = given(), given(amount={"amountMinor": 7, "currency": "JPY"})
    answer = await desk.both(TWO, a=one, b=other)
    assert answer.index(b'"first"') < answer.index(b'"second"')


async def test_a_page_with_customers_attempts_and_refunds_is_shown_alike(desk: Desk) -> None:
    for number in range(5):
        await desk.world.pay(amount={"amountMinor": 100 + number, "currency": "EUR"})
    planned = desk.planned
    await desk.both(PAGE)
    by_plan = await desk.ask(PAGE, filter={"statuses": ["CAPTURED"]})
    assert by_plan.count(b'"cursor"') == 3
    assert desk.planned == planned + 2


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("{ viewer { actor __typename } }", {}),
        ("query($n: ID!) { payment(id: $n) { id } }", {"n": "pay_" + "0" * 26}),
        ("query($n: ID!) { payment(id: $n) { id } }", {"n": "nonsense"}),
        ("query($n: ID!) { payment(id: $n) { id } }", {}),
        ("query($n: Int) { payments(first: $n) { nodes { id } } }", {"n": 100_000}),
        ("query($n: Int) { payments(first: $n) { nodes { id } } }", {"n": "ten"}),
        ("query($b: Boolean!) { viewer { actor @include(if: $b) scopes } }", {"b": False}),
        ("query($n: ID!) { node(id: $n) { id } }", {"n": "pay_" + "0" * 26}),
        ("{ a: viewer { actor } b: viewer { scopes } }", {}),
        ('{ ledgerBalances(prefix: "psp") { account balance { amountMinor } } }', {}),
        (PAY, {}),
        (PAY, {"input": None}),
        (PAY, {"input": {"idempotencyKey": "k"}}),
        (PAY, {"input": given(amount={"amountMinor": "12", "currency": "EUR"})}),
        (PAY, {"input": given(amount={"amountMinor": 1.5, "currency": "EUR"})}),
        (PAY, {"input": given(amount={"amountMinor": 2**70, "currency": "EUR"})}),
        (PAY, {"input": given(unknown=1)}),
        (PAY, {"input": given(captureMethod="SOMETIMES")}),
        (PAY, {"input": given(captureMethod=None)}),
        (PAY, {"input": given(description=7)}),
        (PAY, {"input": given(metadata={"deep": {"er": "x"}})}),
        (PAY, {"input": given(metadata=[1])}),
        (PAY, {"input": given(offSession="yes")}),
        (PAY, {"input": given(customerId="cus_" + "0" * 26)}),
        (PAY, {"input": given(paymentMethod=None)}),
        (PAY, {"input": [given()]}),
        (PAY, {"input": given(idempotencyKey=True)}),
    ],
)
async def test_whatever_is_asked_is_answered_alike(
    desk: Desk, query: str, variables: dict[str, Any]
) -> None:
    answers = {await desk.ask(query, **variables) for _ in range(4)}
    assert len(answers) == 1


async def test_a_mutation_that_the_plan_cannot_show_is_not_done_twice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan fails behind the resolver: graphql-core shows what was done."""
    one = given()
    expected = await desk.ask(PAY, input=one)
    prepared = desk.executor._documents.prepare(PAY)
    plan = prepared.plan(prepared.operation(None, {"input": one}))
    assert plan is not None

    def fail(value: object, run: object) -> None:
        raise ValueError("not shown")

    plan._roots = [root._replace(show=fail) for root in plan._roots]
    calls = 0
    create = desk.world.context  # the tenant whose payments are counted below
    again = await desk.ask(PAY, input=one)
    assert again == expected
    fresh = given()
    await desk.ask(PAY, input=fresh)
    data = await desk.world.run("{ payments(first: 50) { nodes { id } } }")
    calls = len(data["payments"]["nodes"])
    assert calls == 2, create


async def test_a_mutation_whose_resolver_raises_is_not_done_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.ask(PAY, input=given())
    prepared = desk.executor._documents.prepare(PAY)
    plan = prepared.plan(prepared.operation(None, {"input": given()}))
    assert plan is not None
    called = 0

    async def fail() -> None:
        raise ValueError("a defect")

    def call(run: object, variables: object) -> Any:
        nonlocal called
        called += 1
        return fail()

    plan._roots = [root._replace(call=call) for root in plan._roots]
    answer = await desk.ask(PAY, input=given())
    assert called == 1
    assert b'"INTERNAL"' in answer
    assert b"a defect" not in answer
    data = await desk.world.run("{ payments(first: 50) { nodes { id } } }")
    assert len(data["payments"]["nodes"]) == 1


async def test_what_a_key_may_not_read_is_refused_alike(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    poor = world.context.__class__(
        world.context.tenant_id, "test", "poor", frozenset({"payments:read"})
    )
    await world.pay()
    desk = Desk(engine, World(poor, world.secret, world.client, world.url), monkeypatch)
    query = "{ payments(first: 1) { nodes { id customer { id } paymentMethod { saved { id } } } } }"
    assert len({await desk.ask(query) for _ in range(3)}) == 1
    refused = "{ customers { nodes { id } } }"
    answers = {await desk.ask(refused) for _ in range(3)}
    assert len(answers) == 1
    assert b"PERMISSION_DENIED" in answers.pop()


def test_only_what_graphql_core_must_execute_has_no_plan() -> None:
    documents = Documents(core_schema(), is_development=True)
    for text in (
        "{ __schema { queryType { name } } }",
        '{ node(id: "pay_x") { id } }',
        'mutation { createPayment(input: {idempotencyKey: "k", amount: {amountMinor: 1, '
        'currency: "EUR"}}) { payment { id } } }',
        "subscription { paymentEvents { cursor } }",
    ):
        prepared = documents.prepare(text)
        node = next(iter(prepared.operations.values()))
        assert plans.plan_of(prepared.schema, prepared.document, node) is None, text
