"""A tenant's models are its own, and which of them judges is said by the newest promotion."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from payengine.errors import Conflict, InputInvalid, NotFound, PermissionDenied, VaultSealed
from payengine.fraud.model.gate import Judged
from payengine.fraud.model.shelf import ModelShelf
from payengine.fraud.plan import FeaturePlan
from payengine.plugin import FraudContext
from payengine.plugin.trees import Input, Tree, TreeModel, Window, sealed
from payengine_fraud_model import ModelRule

from tests.engines import Shop

OPEN = Judged(passed=True, objections=(), metrics={"ap": 0.9})


def model(value: float) -> TreeModel:
    """One leaf: the same score for every payment."""
    return sealed(
        TreeModel(
            name=f"always {value}",
            inputs=(Input("number", ("base_minor",)),),
            features=(),
            trees=(
                Tree(inputs=(), thresholds=(), missing_left=(), left=(), right=(), values=(value,)),
            ),
            window=Window(begin="", end="", labels_until="", payments=1, frauds=0),
        )
    )


def shelf_of(shop: Shop) -> ModelShelf:
    engine = shop.till.engine
    return ModelShelf(engine.database, vault=engine.vault, clock=engine.clock)


async def said(shop: Shop) -> float | None:
    """What the tenant's rule says of a payment, once it is on."""
    rulebook = shop.till.engine.fraud.rulebook
    rulebook.forget(shop.context.tenant_id)
    rules = (await rulebook.of(shop.context)).rules["pre_auth"]
    (rule,) = (each for each in rules if each.name == "model")
    verdict = rule.rule.evaluate(_context(), rule.settings)
    return None if verdict.score is None else round(verdict.score, 6)


def _context() -> FraudContext:
    facts: dict[str, Any] = dict.fromkeys(
        FeaturePlan.of(ModelRule().scorer.model.features).key, None
    )
    return FraudContext(
        tenant="t",
        stage="pre_auth",
        as_of=datetime(2026, 1, 1, tzinfo=UTC),
        payment_id="pay_1",
        amount_minor=500,
        currency="EUR",
        base_minor=500,
        base_currency="EUR",
        features=facts,
    )


async def _switched_on(shop: Shop) -> None:
    rulebook = shop.till.engine.fraud.rulebook
    await rulebook.save(shop.context, "model", mode="live", settings={}, reason="try it")


async def test_promotion_and_rollback_hold_at_once(shop: Shop) -> None:
    await _switched_on(shop)
    shelf = shelf_of(shop)
    shipped = await said(shop)
    for value in (-2.0, 2.0):
        kept = await shelf.keep(shop.context, model(value))
        await shelf.promote(shop.context, kept.number, judged=OPEN, reason="better")
    assert await said(shop) == pytest.approx(0.880797)
    await shelf.rollback(shop.context, reason="worse")
    assert await said(shop) == pytest.approx(0.119203)
    await shelf.rollback(shop.context, reason="worse still")
    assert await said(shop) == shipped
    with pytest.raises(Conflict, match="plugin"):
        await shelf.rollback(shop.context, reason="no more")
    history = await shelf.promotions(shop.context)
    assert [(each.model_number, each.kind) for each in history] == [
        (None, "rolled_back"),
        (1, "rolled_back"),
        (2, "promoted"),
        (1, "promoted"),
    ]
    assert history[-1].verdict["metrics"] == {"ap": 0.9}
    assert {each.actor for each in history} == {shop.context.actor}


async def test_one_tenants_model_moves_no_other_score(shop: Shop, other_shop: Shop) -> None:
    for each in (shop, other_shop):
        await _switched_on(each)
    before = await said(other_shop)
    shelf = shelf_of(shop)
    kept = await shelf.keep(shop.context, model(5.0))
    await shelf.promote(shop.context, kept.number, judged=OPEN, reason="mine")
    assert await said(shop) != before
    assert await said(other_shop) == before
    assert await shelf.models(other_shop.context) == []
    with pytest.raises(NotFound):
        await shelf.open(other_shop.context, kept.number)
    with pytest.raises(NotFound):
        await shelf.promote(other_shop.context, kept.number, judged=OPEN, reason="theirs")


async def test_a_shut_gate_lets_nothing_through(shop: Shop) -> None:
    shelf = shelf_of(shop)
    kept = await shelf.keep(shop.context, model(1.0))
    shut = Judged(passed=False, objections=("It is worse.",), metrics={})
    with pytest.raises(Conflict, match="It is worse"):
        await shelf.promote(shop.context, kept.number, judged=shut, reason="please")
    assert await shelf.promotions(shop.context) == []


async def test_a_model_that_was_slipped_in_is_not_promoted(shop: Shop) -> None:
    shelf = shelf_of(shop)
    first = await shelf.keep(shop.context, model(1.0))
    other = model(9.0)
    tenant_id = shop.context.tenant_id
    async with shop.till.engine.database.tenant(tenant_id) as session:
        await session.execute(
            "INSERT INTO fraud_model SELECT tenant_id, 2, name, $2, $3, seal, metrics, actor,"
            " created_at FROM fraud_model WHERE tenant_id = $1",
            tenant_id,
            other.sha256,
            msgspec.json.encode(other, order="sorted").decode(),
        )
    await shelf.promote(shop.context, first.number, judged=OPEN, reason="ours")
    with pytest.raises(VaultSealed):
        await shelf.promote(shop.context, 2, judged=OPEN, reason="theirs")


async def test_only_whole_models_and_good_reasons_are_taken(shop: Shop) -> None:
    shelf = shelf_of(shop)
    broken = msgspec.structs.replace(model(1.0), base=2.0)
    with pytest.raises(InputInvalid, match="fingerprint"):
        await shelf.keep(shop.context, broken)
    kept = await shelf.keep(shop.context, model(1.0))
    with pytest.raises(InputInvalid, match="reason"):
        await shelf.promote(shop.context, kept.number, judged=OPEN, reason=" ")


async def test_reading_scopes_promote_nothing(shop: Shop) -> None:
    reader = replace(shop.context, scopes=frozenset({"fraud:read"}))
    shelf = shelf_of(shop)
    with pytest.raises(PermissionDenied):
        await shelf.keep(reader, model(1.0))
    with pytest.raises(PermissionDenied):
        await shelf.rollback(reader, reason="no")
