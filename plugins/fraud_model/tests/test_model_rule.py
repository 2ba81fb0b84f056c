"""The model's rule says what the model says, and from when on it matters."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from payengine.plugin import FraudContext, velocity
from payengine.plugin.trees import Calibration, Input, Tree, TreeModel, Window, sealed
from payengine_fraud_model import ModelRule, ModelSettings, shipped_model

COUNT = velocity("card", "count", "1h")


def constant(score_by_count: tuple[float, float]) -> TreeModel:
    """Below three payments an hour one score, above them the other; as log odds."""
    return sealed(
        TreeModel(
            name="two leaves",
            inputs=(Input("number", (COUNT.name,)),),
            features=(COUNT,),
            trees=(
                Tree(inputs=(0,), thresholds=(2.5,), missing_left=(True,), left=(-1,),
                     right=(-2,), values=score_by_count),
            ),
            calibration=Calibration(),
            window=Window(begin="", end="", labels_until="", payments=1, frauds=0),
        )
    )  # fmt: skip


def context(features: dict[str, Any], **more: Any) -> FraudContext:
    return FraudContext(
        tenant="t",
        stage="pre_auth",
        as_of=datetime(2026, 1, 1, tzinfo=UTC),
        payment_id="pay_1",
        amount_minor=500,
        currency="EUR",
        base_minor=500,
        base_currency="EUR",
        features=features,
        **more,
    )


@pytest.mark.parametrize(("count", "verdict"), [(1, "allow"), (5, "block")])
def test_thresholds_make_the_verdict(count: int, verdict: str) -> None:
    rule = ModelRule().with_model(constant((-3.0, 3.0)))
    said = rule.evaluate(context({COUNT.name: count}), ModelSettings())
    assert said.verdict == verdict
    assert said.score == pytest.approx(0.0474 if count == 1 else 0.9526, abs=1e-3)


def test_a_threshold_of_zero_never_holds() -> None:
    rule = ModelRule().with_model(constant((-3.0, 3.0)))
    settings = ModelSettings(block_at=0.0, challenge_at=0.0, review_at=0.5)
    assert rule.evaluate(context({COUNT.name: 9}), settings).verdict == "review"
    assert rule.evaluate(context({COUNT.name: 9}), ModelSettings(block_at=0.99)).verdict == (
        "challenge"
    )


def test_another_model_leaves_the_rule_as_it_was() -> None:
    first = ModelRule(constant((-3.0, 3.0)))
    second = first.with_model(constant((3.0, -3.0)))
    paid = context({COUNT.name: 1})
    assert first.evaluate(paid, ModelSettings()).verdict == "allow"
    assert second.evaluate(paid, ModelSettings()).verdict == "block"


def test_shipped_model_is_whole_and_needs_no_label() -> None:
    model = shipped_model()
    assert len(model.trees) <= 200
    assert {each.measure for each in model.features}.isdisjoint(
        {"fraud", "labeled", "run", "last_label"}
    )
    assert len(model.features) <= 20


def test_shipped_model_knows_a_run_of_cards_on_a_new_device() -> None:
    rule = ModelRule()
    quiet = {each.name: None for each in rule.features(ModelSettings())}
    calm = quiet | {
        "device.count.1h": 0,
        "device.count.30d": 3,
        "device.age": 20 * 86_400.0,
        "device.gap": 5 * 86_400.0,
        "device.distinct.card.30d": 1,
        "device.distinct.customer.30d": 1,
        "customer.age": 90 * 86_400.0,
        "card.age": 90 * 86_400.0,
    }
    run = quiet | {
        "device.count.1h": 12,
        "device.count.30d": 12,
        "device.age": 600.0,
        "device.gap": 20.0,
        "device.distinct.card.30d": 12,
        "device.distinct.customer.30d": 1,
    }
    fields = {"issuer_country": "DE", "ship_country": "DE"}
    settings = ModelSettings()
    known = context(calm, account_age_days=400, ip_country="DE", **fields)
    strange = context(run, account_age_days=0, ip_country="VN", **fields)
    good, bad = rule.evaluate(known, settings), rule.evaluate(strange, settings)
    assert good.score is not None
    assert bad.score is not None
    assert good.score < 0.05 < 0.8 < bad.score
