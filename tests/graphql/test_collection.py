"""Can a shop see and steer its collections over the wire, and a customer pay by a link?"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from payengine.billing.collection.begin import Begin, begin
from payengine.billing.dunning_policy import DunningPolicy
from payengine.engine import Engine
from payengine.ids import new_id

from tests.debtors import insert_invoice, insert_subscription
from tests.graphql.collected_places import PLACES
from tests.graphql.worlds import World, codes, new_key

_SHOWN = """
  invoiceId phase attempts stoppedBy nextAttemptAt deadlineAt accessEndsAt finalAction
  charges {
    number trigger outcome declineCode declineCategory gateway amount { amountMinor }
    payment { status }
  }
  notices { kind status charge }
"""
_COLLECTION = f"query($id: ID!) {{ invoiceCollection(invoiceId: $id) {{ {_SHOWN} }} }}"


class Debt:
    """A customer of a world who owes an invoice."""

    def __init__(self, world: World, engine: Engine) -> None:
        self.world = world
        self.engine = engine
        self.customer = ""
        self.method = ""
        self.subscription = new_id("sub")
        self.invoice = new_id("inv")

    async def owe(self, token: str) -> None:
        made = await _do(self.world, "createCustomer", "customer { id }", reference=new_key())
        self.customer = made["customer"]["id"]
        self.method = await self.save(token)
        context, now = self.world.context, datetime.now(UTC)
        async with self.engine.database.tenant(context.tenant_id) as session:
            await insert_subscription(
                session, context.tenant_id, self.subscription, self.customer, at=now
            )
            owed = Begin(
                invoice_id=self.invoice,
                customer_id=self.customer,
                subscription_id=self.subscription,
                kind="renewal",
            )
            # Beyond the loops' reach for now: the tests themselves say when it is charged.
            await begin(session, context.tenant_id, [owed], policy=DunningPolicy(), at=now)
            await insert_invoice(
                session,
                context.tenant_id,
                self.invoice,
                self.customer,
                self.subscription,
                at=now,
                amount=1_234,
            )
        wall = datetime.now(UTC)
        await self.engine.collection.collections.work(context.tenant_id, self.invoice, wall=wall)
        await self.settled()

    async def settled(self) -> dict[str, Any]:
        """The collection, once nobody is at work on its charge."""
        for _ in range(200):
            data = await self.world.run(_COLLECTION, id=self.invoice)
            found: dict[str, Any] = data["invoiceCollection"]
            if found["phase"] != "CHARGING":
                return found
        raise AssertionError(found)

    async def save(self, token: str) -> str:
        saved = await _do(
            self.world,
            "savePaymentMethod",
            "paymentMethod { id }",
            customerId=self.customer,
            token=token,
            label="Card, ends in 42 <b>",
            network="visa",
        )
        method: str = saved["paymentMethod"]["id"]
        return method

    async def link(self) -> str:
        context = self.world.context
        async with self.engine.database.tenant(context.tenant_id) as session:
            return await self.engine.collection.links.make(
                session, context.tenant_id, self.invoice, wall=datetime.now(UTC)
            )


async def _do(world: World, name: str, shown: str, /, **given: Any) -> dict[str, Any]:
    title = name[0].upper() + name[1:]
    data = await world.run(
        f"mutation($input: {title}Input!) {{ {name}(input: $input) {{"
        f" errors {{ code message path }} {shown} }} }}",
        input={"idempotencyKey": new_key()} | given,
    )
    payload: dict[str, Any] = data[name]
    return payload


@pytest.fixture
async def debt(world: World, engine: Engine) -> Debt:
    """A debt whose first charge was declined."""
    found = Debt(world, engine)
    await found.owe("tok_decline_insufficient_funds")
    return found


async def test_a_collection_is_seen_with_its_charges(debt: Debt) -> None:
    found = await debt.settled()
    assert (found["phase"], found["attempts"], found["finalAction"]) == ("SCHEDULED", 1, "cancel")
    (charge,) = found["charges"]
    assert charge == {
        "number": 0,
        "trigger": "RENEWAL",
        "outcome": "DECLINED",
        "declineCode": "insufficient_funds",
        "declineCategory": "SOFT",
        "gateway": "sandbox",
        "amount": {"amountMinor": 1_234},
        "payment": {"status": "DECLINED"},
    }
    assert [each["kind"] for each in found["notices"]] == ["PAYMENT_FAILED"]


async def test_another_method_pays_at_once_and_the_report_tells_it(debt: Debt) -> None:
    method = await debt.save("tok_visa")
    done = await _do(
        debt.world,
        "updateSubscriptionMethod",
        f"collections {{ {_SHOWN} }}",
        subscriptionId=debt.subscription,
        paymentMethodId=method,
    )
    assert [each["phase"] for each in done["collections"]] == ["SETTLED"]
    now = datetime.now(UTC)
    data = await debt.world.run(
        "query($since: DateTime!, $until: DateTime!) { recoveryReport(since: $since, until: $until)"
        " { declineCategory attempt trigger failed recovered recoveredAmount { amountMinor } } }",
        since=(now - timedelta(days=1)).isoformat(),
        until=(now + timedelta(days=1)).isoformat(),
    )
    assert data["recoveryReport"] == [
        {
            "declineCategory": "SOFT",
            "attempt": 1,
            "trigger": "PAYMENT_METHOD_UPDATED",
            "failed": 1,
            "recovered": 1,
            "recoveredAmount": {"amountMinor": 1_234},
        }
    ]


async def test_an_invoice_is_charged_once_more_when_asked(debt: Debt) -> None:
    done = await _do(
        debt.world, "retryCollection", f"collection {{ {_SHOWN} }}", invoiceId=debt.invoice
    )
    triggers = [each["trigger"] for each in done["collection"]["charges"]]
    assert triggers == ["RENEWAL", "CUSTOMER_AUTHENTICATED"]


async def test_a_foreign_collection_is_not_there(debt: Debt, foreign: World) -> None:
    for query, given in (
        (_COLLECTION, {"id": debt.invoice}),
        ("query($id: ID!) { entitlements(customerId: $id) { feature } }", {"id": debt.customer}),
    ):
        theirs = await foreign.ask(query, **given)
        nobodys = await foreign.ask(query, id=new_id(given["id"].partition("_")[0]))
        assert codes(theirs) == codes(nobodys) == ["NOT_FOUND"]
    done = await _do(foreign, "retryCollection", "collection { phase }", invoiceId=debt.invoice)
    assert [each["code"] for each in done["errors"]] == ["NOT_FOUND"]


async def _objects(debt: Debt) -> dict[str, str]:
    """One of everything that this room takes ids of."""
    world = debt.world
    product = await _do(world, "createProduct", "product { id }", reference="plan", name="Plan")
    meter = await _do(world, "createMeter", "meter { id }", name="calls", formula="SUM")
    price = await _do(
        world,
        "createPrice",
        "price { id }",
        productId=product["product"]["id"],
        options={"EUR": {"model": "flat", "flat_amount": "1"}},
        intervalUnit="MONTH",
    )
    return {
        "prd": product["product"]["id"],
        "mtr": meter["meter"]["id"],
        "prc": price["price"]["id"],
        "cus": debt.customer,
        "pm": debt.method,
        "inv": debt.invoice,
        "sub": debt.subscription,
    }


def _filled(value: Any, ids: dict[str, str], mine: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(each, ids, mine) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, ids, mine) for each in value]
    if value == "$key()":
        return new_key()
    if value == "$instant()":
        return datetime.now(UTC).isoformat()
    if isinstance(value, str) and value.startswith("$my "):
        return mine[value[4:]]
    return ids[value[1:]] if isinstance(value, str) and value.startswith("$") else value


async def test_a_foreign_id_gets_the_answer_of_a_random_one(
    debt: Debt, foreign: World, engine: Engine
) -> None:
    other = Debt(foreign, engine)
    await other.owe("tok_decline_insufficient_funds")
    mine, theirs = await _objects(debt), await _objects(other)
    random = {prefix: new_id(prefix) for prefix in theirs}
    before = (await other.settled())["charges"]
    for place, (document, shape) in PLACES.items():
        answers = [
            await debt.world.ask(document, **_filled(shape, ids, mine)) for ids in (theirs, random)
        ]
        if "after" in place:
            assert codes(answers[0]) == codes(answers[1]) == [], place
        else:
            assert answers[0] == answers[1], place
        shown = json.dumps(answers)
        assert not [each for each in theirs.values() if f'"{each}"' in shown], place
    assert (await other.settled())["charges"] == before
    for place, (document, shape) in PLACES.items():
        if place.startswith("Query.") and "after" not in place:
            answer = await debt.world.ask(document, **_filled(shape, mine, mine))
            assert codes(answer) == [], place


# -- the page --------------------------------------------------------------------------------------


async def test_a_customer_pays_by_the_link(debt: Debt, client: httpx.AsyncClient) -> None:
    token = await debt.link()
    page = await client.get(f"/recover/{token}")
    assert page.status_code == 200
    assert "12.34 EUR" in page.text
    assert "ends in 42 &lt;b&gt;" in page.text
    assert "<script" not in page.text
    assert "tok_" not in page.text
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    form = {"nonce": _nonce(page.text), "method": "new", "token": "tok_visa"}
    paid = await client.post(f"/recover/{token}", data=form)
    assert (paid.status_code, paid.headers["location"]) == (303, f"/recover/{token}")
    again = await client.post(f"/recover/{token}", data=form)
    assert again.status_code == 303
    after = await client.get(f"/recover/{token}")
    assert "this invoice is paid" in after.text
    assert "<form" not in after.text
    assert (await debt.settled())["phase"] == "SETTLED"


async def test_a_way_that_does_not_work_can_be_changed(
    debt: Debt, client: httpx.AsyncClient
) -> None:
    token = await debt.link()
    page = await client.get(f"/recover/{token}")
    form = {"nonce": _nonce(page.text), "method": debt.method}
    tried = await client.post(f"/recover/{token}", data=form)
    assert tried.headers["location"].endswith("?failed=1")
    shown = await client.get(tried.headers["location"])
    assert 'role="alert"' in shown.text
    assert _nonce(shown.text) != form["nonce"]


@pytest.mark.parametrize("token", ["x", "%3Cscript%3E", "a" * 300, "AAAA" * 24])
async def test_a_link_that_does_not_work_has_one_answer(
    debt: Debt, client: httpx.AsyncClient, token: str
) -> None:
    bad = await client.get(f"/recover/{token}")
    good = await debt.link()
    changed = await client.get(f"/recover/{good[:-4]}AAAA")
    assert (bad.status_code, bad.text) == (changed.status_code, changed.text)
    assert bad.status_code == 404
    assert "script>" not in bad.text
    posted = await client.post(f"/recover/{token}", data={"method": "new", "token": "tok_visa"})
    assert posted.status_code == 404


@pytest.mark.parametrize("body", [b"x" * 5_000, b"\xff\xfe", b"&".join([b"a=1"] * 50)])
async def test_a_form_that_cannot_be_read_pays_nothing(
    debt: Debt, client: httpx.AsyncClient, body: bytes
) -> None:
    token = await debt.link()
    answer = await client.post(f"/recover/{token}", content=body)
    assert answer.status_code == 413
    assert len((await debt.settled())["charges"]) == 1


def _nonce(text: str) -> str:
    found = re.search(r'name="nonce" value="([^"]+)"', text)
    assert found is not None
    return found[1]
