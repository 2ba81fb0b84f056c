"""What do fraud rules cost?

    python -m tests.bench.fraud [--seconds 4] [--rounds 3]

Three measurements on a server of its own: payments with the default rules on and with all rules
off, in turns, in one process without HTTP, which would hide a part of the cost; one decision at a
time, which is the wait for the past and the rules, without the commit, beside a bare `SELECT 1`;
and the rules alone. The last line is one JSON object. Each tenant has 20,000 buyers with a
card or two and 4,000 sellers, drawn by the seed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from payengine.fraud.past import read_past
from payengine.fraud.screening import subject_context
from payengine.payments import CreatePayment, FraudInput, MethodInput

from tests.engines import Shop, key, open_till
from tests.servers import migrated_home

_TENANTS = 20
_AT_ONCE = 32
_DECISIONS = 2_000


def _buyer(chance: random.Random) -> tuple[FraudInput, int]:
    who = chance.randrange(20_000)
    return (
        FraudInput(
            card_fingerprint=f"card{who}-{chance.randrange(2)}",
            device=f"device{who}",
            ip=f"198.18.{who % 256}.{who // 256 % 256}",
            ip_country="DE",
            email=f"b{who}@example.org",
            billing_country="DE",
            shipping_country="DE",
            account_age_days=who % 700,
            seller_id=f"seller{who % 4_000}",
        ),
        chance.randrange(500, 20_000),
    )


def _request(chance: random.Random) -> CreatePayment:
    told, amount = _buyer(chance)
    method = MethodInput(token="tok_visa", country="DE", card_digits="411111")
    return CreatePayment(
        idempotency_key=key(),
        amount_minor=amount,
        currency="EUR",
        payment_method=method,
        fraud=told,
    )


async def _payments(shops: list[Shop], *, seconds: float, chance: random.Random) -> float:
    """Payments in a second, `_AT_ONCE` at once."""
    until = time.perf_counter() + seconds
    done = 0

    async def client(number: int) -> None:
        nonlocal done
        while time.perf_counter() < until:
            shop = shops[(number + done) % len(shops)]
            await shop.engine.payments.create(shop.context, _request(chance))
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(_AT_ONCE)))
    return done / (time.perf_counter() - began)


async def _decisions(shop: Shop, chance: random.Random) -> dict[str, Any]:
    """One decision at a time, and its parts."""
    fraud, tenant = shop.engine.fraud, shop.context
    rules = await fraud.active(tenant, "pre_auth")
    assert rules is not None
    namer = await fraud.tokens.of(tenant.tenant_id)
    at = datetime.now(UTC)
    said: list[float] = []
    whole: list[float] = []
    bare: list[float] = []
    for number in range(_DECISIONS):
        at += timedelta(seconds=chance.random() * 10)
        request = _request(chance)
        subject = _subject(request)
        async with shop.engine.database.tenant(tenant.tenant_id) as session:
            began = time.perf_counter()
            await session.fetchval("SELECT 1")
            bare.append(time.perf_counter() - began)
            began = time.perf_counter()
            context = subject_context(
                subject,
                namer,
                tenant_id=tenant.tenant_id,
                stage="pre_auth",
                payment_id=f"pay_bench_{number}",
                at=at,
                amount_minor=request.amount_minor,
                currency="EUR",
                method_kind="card",
                off_session=False,
                metadata={},
            )
            reading = fraud.reading(context, rules, subject, namer, tenant_id=tenant.tenant_id)
            past = {} if reading is None else await read_past(session, [reading])
            recalled = past.get(context.payment_id)
            middle = time.perf_counter()
            decision = fraud.judge(tenant, rules, context, recalled)
            ended = time.perf_counter()
            assert reading is None or recalled is not None
            assert decision.decided.verdict
        said.append(ended - middle)
        whole.append(ended - began)
    return {
        "decision": _spread(whole),
        "rules_alone": _spread(said),
        "select_1": _spread(bare),
        "features": len(rules.plans["pre_auth"].features),
        "entities": list(rules.plans["pre_auth"].entities),
        "rules": len(rules.rules["pre_auth"]),
    }


def _subject(request: CreatePayment) -> Any:
    from payengine.fraud.screening import Subject

    told = request.fraud or FraudInput()
    return Subject(
        card=told.card_fingerprint,
        issuer_range="411111",
        issuer_country="DE",
        account_age_days=told.account_age_days,
        email=told.email,
        device=told.device,
        ip=told.ip,
        ip_country=told.ip_country,
        billing_country=told.billing_country,
        ship_country=told.shipping_country,
        seller=told.seller_id,
    )


def _spread(took: list[float]) -> dict[str, float]:
    took = sorted(took[len(took) // 10 :])  # the first tenth warms the plans
    return {
        "p50_ms": round(statistics.median(took) * 1_000, 3),
        "p99_ms": round(took[int(len(took) * 0.99)] * 1_000, 3),
    }


async def run(*, seconds: float, rounds: int, seed: int) -> dict[str, Any]:
    """Everything that is measured."""
    chance = random.Random(seed)
    async with migrated_home() as home, open_till(home) as till:
        on = [await till.shop() for _ in range(_TENANTS)]
        off = [await till.shop() for _ in range(_TENANTS)]
        book = till.engine.fraud.rulebook
        for shop in off:
            for name in book.installed:
                await book.save(shop.context, name, mode="off", settings={}, reason="bench")
        for shops in (on, off):
            await _payments(shops, seconds=seconds / 2, chance=chance)
        rates: dict[str, list[float]] = {"on": [], "off": []}
        for _ in range(rounds):
            rates["on"].append(await _payments(on, seconds=seconds, chance=chance))
            rates["off"].append(await _payments(off, seconds=seconds, chance=chance))
        told: dict[str, Any] = {
            name: round(statistics.median(one), 1) for name, one in rates.items()
        }
        ratios = [a / b for a, b in zip(rates["on"], rates["off"], strict=True)]
        told["ratio"] = round(statistics.median(ratios), 3)
        return told | await _decisions(on[0], chance)


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=6)
    given = parser.parse_args()
    told = asyncio.run(run(seconds=given.seconds, rounds=given.rounds, seed=given.seed))
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
