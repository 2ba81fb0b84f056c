"""What does a tenant own that another might name?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from payengine.engine import Engine
from payengine.ids import new_id
from payengine.marketplace.commission import CommissionRule
from payengine.marketplace.connected_models import CreateConnectedAccount
from payengine.marketplace.rules import CreateSplitRule

from tests.graphql.isolation_places import ENDPOINT, mutation
from tests.graphql.worlds import World, codes, new_key
from tests.notices import dispute_notice, notice

#: Where the schema takes an id → the document, and the variables with the id at `$`.

__all__ = ["Objects", "filled", "objects_of"]


@dataclass
class Objects:
    """The ids of one tenant's objects, by their prefixes."""

    ids: dict[str, str]
    declined: str


async def objects_of(world: World, engine: Engine) -> Objects:
    customer = await world.run(
        "mutation($input: CreateCustomerInput!) { createCustomer(input: $input)"
        " { customer { id } } }",
        input={"idempotencyKey": new_key(), "name": "Grace"},
    )
    customer_id = customer["createCustomer"]["customer"]["id"]
    saved = await world.run(
        "mutation($input: SavePaymentMethodInput!) { savePaymentMethod(input: $input)"
        " { paymentMethod { id } } }",
        input={
            "idempotencyKey": new_key(),
            "customerId": customer_id,
            "token": "tok_visa",
            "label": "x",
        },
    )
    held = await world.pay(captureMethod="MANUAL", customerId=customer_id)
    declined = await world.pay(paymentMethod={"token": "tok_decline_lost_card"})
    keys = await world.run("{ apiKeys { nodes { id } } }")
    told = await _told(world)
    traded = await _traded(world, engine)
    return Objects(
        {
            "pay": held["payment"]["id"],
            "cus": customer_id,
            "pm": saved["savePaymentMethod"]["paymentMethod"]["id"],
            "op": held["operation"]["id"],
            "key": keys["apiKeys"]["nodes"][0]["id"],
            "ref": new_id("ref"),
            **told,
            **await _received(world, held["operation"]["id"]),
            "rtp": await _policy(world),
            "fle": await _listed(world),
            "fal": await _alert(world, engine),
            **await _exchanged(world),
            **traded,
            **await _paid_out(world, engine, traded["acc"]),
        },
        declined["payment"]["id"],
    )


async def _policy(world: World) -> str:
    """A routing policy that says nothing."""
    saved = await world.run(
        "mutation($input: SaveRoutingPolicyInput!) { saveRoutingPolicy(input: $input)"
        " { routingPolicy { id } } }",
        input={"idempotencyKey": new_key(), "policy": {}, "reason": "a test"},
    )
    policy_id: str = saved["saveRoutingPolicy"]["routingPolicy"]["id"]
    return policy_id


async def _traded(world: World, engine: Engine) -> dict[str, str]:
    """A vendor with a rule, a sale in escrow, a reserve and a transfer."""
    room, tenant = engine.marketplace, world.context
    account = await room.accounts.create(
        tenant,
        CreateConnectedAccount(
            idempotency_key=new_key(), reference="vendor", country="DE", default_currency="EUR"
        ),
    )
    rule = await room.rules.create(
        tenant,
        CreateSplitRule(
            idempotency_key=new_key(),
            scope="vendor",
            subject=account.id,
            commission=CommissionRule(percent_bps=1_000),
        ),
    )
    escrow_id, transfer_id, reserve_id = new_id("esc"), new_id("atr"), new_id("rsv")
    paid = await world.pay(captureMethod="MANUAL")
    async with engine.database.tenant(tenant.tenant_id) as session:
        rows: tuple[tuple[str, ...], ...] = (
            (
                "INSERT INTO escrow_hold (tenant_id, id, payment_id, currency, status, terms,"
                " progress, captured_minor, held_minor, released_minor, is_frozen, created_at,"
                " updated_at, version) VALUES ($1, $2, $3, 'EUR', 'awaited', '{}', '{}', 0, 0, 0,"
                " false, $4, $4, 1)",
                escrow_id,
                paid["payment"]["id"],
            ),
            (
                "INSERT INTO payment_split (tenant_id, payment_id, currency, amount_minor,"
                " fee_policy, liability, fee_bearer, escrow_id, settled_minor, fee_minor,"
                " fee_shared, tries, created_at) VALUES ($1, $3, 'EUR', 5, 'keep', 'vendor',"
                " 'vendor', $2, 0, 0, 0, 0, $4)",
                escrow_id,
                paid["payment"]["id"],
            ),
            (
                "INSERT INTO reserve_hold (tenant_id, id, account_id, payment_id, currency,"
                " amount_minor, release_at, released_at, created_at)"
                " VALUES ($1, $2, $5, $3, 'EUR', 1, $4, $4, $4)",
                reserve_id,
                paid["payment"]["id"],
                account.id,
            ),
            (
                "INSERT INTO account_transfer (tenant_id, id, source_id, currency, amount_minor,"
                " created_at) VALUES ($1, $2, $3, 'EUR', 1, $4)",
                transfer_id,
                account.id,
            ),
        )
        for statement, first, second, *others in rows:
            at = datetime.now(UTC)
            await session.execute(statement, tenant.tenant_id, first, second, at, *others)
    return {
        "acc": account.id,
        "spr": rule.id,
        "esc": escrow_id,
        "atr": transfer_id,
        "rsv": reserve_id,
    }


async def _paid_out(world: World, engine: Engine, account_id: str) -> dict[str, str]:
    """A payout that a person holds, another one's batch, and a hold that was lifted."""
    ids = {prefix: new_id(prefix) for prefix in ("pds", "pob", "po", "phd")}
    tenant_id, at = world.context.tenant_id, datetime.now(UTC)
    async with engine.database.tenant(tenant_id) as session:
        for statement, *values in (
            (
                "INSERT INTO payout_destination (tenant_id, id, account_id, currency, rail, kind,"
                " country, label, sealed, status, created_at, updated_at) VALUES ($1, $2, $4,"
                " 'EUR', 'sandbox', 'token', '', '…', '', 'usable', $3, $3)",
                ids["pds"],
                account_id,
            ),
            (
                "INSERT INTO payout_batch (tenant_id, id, rail, currency, amount_minor, payouts,"
                " status, created_at, sent_at) VALUES ($1, $2, 'sandbox', 'EUR', 5, 1, 'ended',"
                " $3, $3)",
                ids["pob"],
            ),
            (
                "INSERT INTO payout (tenant_id, id, account_id, destination_id, batch_id,"
                " amount_minor, currency, status, origin, rail, paid_from, statement, created_at,"
                " updated_at) VALUES ($1, $2, $4, $5, $6, 5, 'EUR', 'failed', 'manual', 'sandbox',"
                " 'bank:main', '', $3, $3)",
                ids["po"],
                account_id,
                ids["pds"],
                ids["pob"],
            ),
            (
                "INSERT INTO payout_hold (tenant_id, id, account_id, reason, placed_by, created_at,"
                " released_at) VALUES ($1, $2, $4, 'x', 'Ada', $3, $3)",
                ids["phd"],
                account_id,
            ),
        ):
            await session.execute(statement, tenant_id, values[0], at, *values[1:])
    return ids


async def _exchanged(world: World) -> dict[str, str]:
    """A rate, a quote and a conversion; a file of one line that nobody here knows."""
    today = datetime.now(UTC).date().isoformat()
    await world.pay(amount={"amountMinor": 50_000, "currency": "EUR"})  # disputed money is gone
    asked: dict[str, dict[str, Any]] = {
        "pushRates": {
            "base": "EUR",
            "rates": [{"day": today, "currency": "USD", "rate": "1.1"}],
        },
        "createFxQuote": {
            "source": {"amountMinor": 500, "currency": "EUR"},
            "targetCurrency": "USD",
        },
        "convertBalance": {
            "source": {"amountMinor": 100, "currency": "EUR"},
            "targetCurrency": "USD",
        },
        "importSettlementFile": {
            "format": "sandbox.settlement",
            "content": "key,kind,reference,amount_minor,currency,fee_minor,at\n"
            "t1,transfer,nobody,-5,EUR,0,2026-01-01T00:00:00+00:00\n",
        },
    }
    for name, given in asked.items():
        document, shape = mutation(name, given)
        assert codes(await world.ask(document, **filled(shape, Objects({}, "")))) == []
    found = await world.run(
        "{ fxr: fxRates { nodes { id } } fxq: fxQuotes { nodes { id } }"
        " fxc: conversions { nodes { id } } stf: settlementFiles { nodes { id } }"
        " sti: settlementItems { nodes { id line { id } } } }"
    )
    ids = {name: each["nodes"][0]["id"] for name, each in found.items()}
    return ids | {"stl": found["sti"]["nodes"][0]["line"]["id"]}


async def _listed(world: World) -> str:
    """An entry that stops nobody."""
    added = await world.run(
        "mutation($input: AddFraudListEntryInput!) { addFraudListEntry(input: $input)"
        " { fraudListEntry { id } } }",
        input={
            "idempotencyKey": new_key(),
            "list": "BLOCK",
            "kind": "SELLER",
            "value": "nobody",
            "person": "Ada",
            "reason": "a test",
        },
    )
    entry_id: str = added["addFraudListEntry"]["fraudListEntry"]["id"]
    return entry_id


async def _alert(world: World, engine: Engine) -> str:
    """An alert, as the watch would open it."""
    alert_id, at = new_id("fal"), datetime.now(UTC)
    async with engine.database.tenant(world.context.tenant_id) as session:
        await session.execute(
            "INSERT INTO fraud_alert (tenant_id, id, kind, subject, reading, opened_at, told_at)"
            " VALUES ($1, $2, 'queue_age', 'x', '{}', $3, $3)",
            world.context.tenant_id,
            alert_id,
            at,
        )
    return alert_id


async def _received(world: World, operation_id: str) -> dict[str, str]:
    """A gateway's endpoint, and what came in there: it was known, and changes nothing."""
    made = await world.run(
        "mutation($input: CreateGatewayEndpointInput!) { createGatewayEndpoint(input: $input)"
        " { path gatewayEndpoint { id } } }",
        input={"idempotencyKey": new_key(), "gateway": "sandbox"},
    )
    endpoint = made["createGatewayEndpoint"]
    known = {"reference": "sbx_1", "key": operation_id, "kind": "authorize", "status": "succeeded"}
    call = notice(world.context, known | {"amount_minor": 1_234, "currency": "EUR"})
    sent = await world.client.post(endpoint["path"], content=call.body, headers=call.headers)
    assert sent.status_code == 200
    listed = await world.run("{ receivedWebhooks { nodes { id } } }")
    return {
        "gwe": endpoint["gatewayEndpoint"]["id"],
        "rwh": listed["receivedWebhooks"]["nodes"][0]["id"],
        **await _disputed(world, endpoint["path"]),
    }


async def _disputed(world: World, path: str) -> dict[str, str]:
    """A dispute over more than was paid, so that it waits for a person."""
    paid = await world.pay()
    told = dispute_notice(world.context, paid["operation"]["id"], amount_minor=9_999)
    sent = await world.client.post(path, content=told.body, headers=told.headers)
    assert sent.status_code == 200
    found: list[dict[str, str]] = []
    while not found:
        found = (await world.run("{ disputes { nodes { id } } }"))["disputes"]["nodes"]
    payment_id = paid["payment"]["id"]
    return {"dsp": found[0]["id"], "rev": f"rev_{payment_id[4:]}", "disputed": payment_id}


async def _told(world: World) -> dict[str, str]:
    """An endpoint that wants nothing that happens, its test, a redelivery of nothing, an event."""
    events: list[dict[str, str]] = []
    while not events:
        events = (await world.run("{ events { nodes { id } } }"))["events"]["nodes"]
    ids = {"evt": events[0]["id"]}
    for prefix, name, shown, given in (
        (
            "whe",
            "createWebhookEndpoint",
            "webhookEndpoint",
            {"url": "https://hooks.example.invalid/", "eventTypes": ["nothing.*"]},
        ),
        ("whd", "sendTestWebhook", "webhookDelivery", ENDPOINT),
        ("whr", "redeliverWebhook", "webhookRedelivery", ENDPOINT | {"since": "$instant()"}),
    ):
        title = name[0].upper() + name[1:]
        made = await world.run(
            f"mutation($input: {title}Input!) {{ {name}(input: $input) {{ {shown} {{ id }} }} }}",
            input=filled({"idempotencyKey": "$key()"} | given, Objects(ids, "")),
        )
        ids[prefix] = made[name][shown]["id"]
    return ids


def filled(value: Any, theirs: Objects, mine: Objects | None = None) -> Any:
    """The variables, with ids of `theirs` but where the shape says `my`."""
    ids = theirs.ids
    mine = mine or theirs
    if isinstance(value, dict):
        return {key: filled(each, theirs, mine) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, theirs, mine) for each in value]
    if value == "$key()":
        return new_key()
    if value == "$instant()":
        return datetime.now(UTC).isoformat()
    if value == "$declined":
        return mine.declined
    if isinstance(value, str) and value.startswith("$my "):
        return mine.ids[value[4:]]
    if isinstance(value, str) and value.startswith("$"):
        return ids[value[1:]]
    return value
