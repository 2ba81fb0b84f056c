"""Rules whose code is elsewhere have the same say, and no more."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from payengine.errors import InputInvalid
from payengine.payments import ConfirmPayment, FraudInput, MethodInput
from payengine.plugin import (
    Call,
    Feature,
    FraudContext,
    PluginSettings,
    RuleManifest,
    RuleVerdict,
    hookimpl,
    velocity,
)
from payengine.registry import scorers

from tests.core.fraud.rules import Rule
from tests.core.fraud.test_screening import decisions, only
from tests.engines import Shop, Till, key, open_till
from tests.servers import HomeOfTest

_MOST_S = 20.0
#: More than a host of a busy machine needs to answer.
_WAY_MS = 2_000


class Scorer:
    """Asks nobody, and takes its time as the payment's metadata say."""

    def __init__(self) -> None:
        self.asked: list[FraudContext] = []

    def describe(self) -> RuleManifest:
        """Its answer is wanted within a second."""
        return RuleManifest(
            name="far_away",
            title="Far away",
            version="1",
            default_mode="off",
            time_limit_ms=1_000,
            remote=True,
            stages=("pre_auth", "post_auth", "refund"),
        )

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """One count."""
        return (velocity("card", "count", "1h"),)

    async def score(self, call: Call, context: FraudContext) -> Any:
        """What the metadata of the stage wish for."""
        self.asked.append(context)
        wish = context.metadata.get(f"far_{context.stage}", "abstain")
        if wish == "hang":
            await asyncio.sleep(30)
        if wish == "raise":
            raise ConnectionError("nobody there")
        if wish == "nonsense":
            return "block"
        return RuleVerdict(verdict=wish, reason="far")  # type: ignore[arg-type]


SCORER = Scorer()


class Pack:
    """A plugin with the scorer and a rule of this process."""

    @hookimpl
    def fraud_rules(self) -> Sequence[Any]:
        """Both."""
        return [SCORER, Rule("near", lambda context: RuleVerdict(verdict="allow", reason="near"))]


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Somebody's distribution of rules, installed here."""
    folder: Path = tmp_path_factory.mktemp("stranger")
    metadata = folder / "Rules_Of_A_Stranger-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: Rules.Of.A.Stranger\nVersion: 1.0\n"
    )
    (metadata / "entry_points.txt").write_text(
        "[payengine.plugins]\nthere = tests.core.fraud.asked_rules\n"
    )
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
async def till(payment_home: HomeOfTest, stranger: None) -> AsyncIterator[Till]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scorers, "_WAY_MS", _WAY_MS)
        async with open_till(payment_home, plugins={"pack": Pack()}) as opened:
            yield opened


async def _shop(till: Till, *rules: str, **settings: Any) -> Shop:
    shop = await till.shop()
    await only(shop, "near", "sandbox_tokens")
    for rule in rules:
        await shop.engine.fraud.rulebook.save(
            shop.context, rule, mode="live", settings=settings, reason="a test"
        )
    if "far_away" in rules:
        await shop.engine.registry.save_settings(shop.context, "pack", enabled=True, settings={})
    return shop


def _card() -> FraudInput:
    return FraudInput(card_fingerprint="one")


async def _said(shop: Shop, payment_id: str, stage: str = "pre_auth") -> dict[str, Any]:
    (row,) = [r for r in await decisions(shop, payment_id) if r["stage"] == stage]
    return {each["rule"]: each for each in row["document"]["verdicts"]} | {"row": row}


async def test_a_strangers_rule_is_loaded_and_runs_in_a_host(till: Till) -> None:
    loaded = till.engine.registry.installed.rules["there_one"]
    assert loaded.hosted
    assert loaded.manifest.stages == ("pre_auth", "post_auth")
    assert "tests.core.fraud.asked_rules" not in sys.modules


async def test_it_counts_and_blocks_as_one_of_this_process_would(till: Till) -> None:
    shop = await _shop(till, "there_one", most=2, window="30m")
    made = [await shop.pay(fraud=_card()) for _ in range(3)]
    assert [each.payment.status for each in made] == ["CAPTURED", "CAPTURED", "DECLINED"]
    said = await _said(shop, made[-1].payment.id)
    assert said["there_one"]["detail"] == "2"
    assert said["row"]["document"]["by"] == ["there_one"]
    assert said["row"]["document"]["context"]["features"]["card.count.30m"] == 2
    await shop.assert_sound()


async def test_settings_that_its_code_refuses_are_not_saved(till: Till) -> None:
    with pytest.raises(InputInvalid):
        await _shop(till, "there_one", window="for ever")


@pytest.mark.parametrize("wish", ["raise", "sure", "none", "spin", "die"])
async def test_a_failing_one_changes_nobody_elses_verdict(till: Till, wish: str) -> None:
    shop = await _shop(till, "there_one", "there_two")
    await shop.pay(fraud=_card())
    began = time.perf_counter()
    paid = await shop.pay(fraud=_card(), metadata={"there_one": wish})
    assert time.perf_counter() - began < _MOST_S
    assert paid.payment.status == "CAPTURED"
    said = await _said(shop, paid.payment.id)
    assert said["row"]["degraded"]
    assert said["near"]["verdict"] == "allow"
    assert said["there_one"]["verdict"] == "abstain"
    assert said["there_one"]["error"]
    if wish in ("raise", "sure", "none"):
        assert said["there_two"]["verdict"] == "allow"
    if wish in ("spin", "die"):
        # The host is there again for whoever comes next.
        assert await _comes_back(till)


async def _comes_back(till: Till) -> bool:
    for _ in range(20):
        await asyncio.sleep(0.3)
        # Whom it failed several times does not ask for a while: somebody else does.
        shop = await _shop(till, "there_one", "there_two")
        paid = await shop.pay(fraud=_card())
        said = await _said(shop, paid.payment.id)
        if said["there_one"]["verdict"] == said["there_two"]["verdict"] == "allow":
            return True
    return False


async def test_a_slow_one_keeps_no_other_tenant_waiting(till: Till) -> None:
    slow, quick = await _shop(till, "there_one"), await _shop(till)
    await slow.pay(fraud=_card())
    task = asyncio.gather(
        *(slow.pay(fraud=_card(), metadata={"there_one": "spin"}) for _ in range(8))
    )
    for _ in range(10):
        began = time.perf_counter()
        await quick.pay(fraud=_card())
        assert time.perf_counter() - began < _MOST_S
    await task


@pytest.mark.parametrize(
    ("wish", "status"),
    [("block", "DECLINED"), ("review", "IN_REVIEW"), ("challenge", "REQUIRES_ACTION")],
)
async def test_a_remote_verdict_holds(till: Till, wish: str, status: str) -> None:
    shop = await _shop(till, "far_away")
    made = await shop.pay(fraud=_card(), metadata={"far_pre_auth": wish})
    assert made.payment.status == status
    said = await _said(shop, made.payment.id)
    assert said["row"]["document"]["by"] == ["far_away"]
    await shop.assert_sound()


@pytest.mark.parametrize("wish", ["hang", "raise", "nonsense"])
@pytest.mark.parametrize(("on_failure", "status"), [("allow", "CAPTURED"), ("block", "DECLINED")])
async def test_where_it_does_not_say_the_tenants_word_stands(
    till: Till, wish: str, on_failure: str, status: str
) -> None:
    shop = await _shop(till, "far_away")
    await _configure(shop, on_failure=on_failure, on_failure_above_minor=500)
    made = await shop.pay(fraud=_card(), metadata={"far_pre_auth": wish})
    assert made.payment.status == status
    low = await shop.pay(400, fraud=_card(), metadata={"far_pre_auth": wish})
    assert low.payment.status == "CAPTURED"
    assert (await _said(shop, made.payment.id))["row"]["degraded"]


async def test_after_some_failures_it_is_left_alone(till: Till) -> None:
    shop = await _shop(till, "far_away")
    for _ in range(3):
        wish = {"far_pre_auth": "raise", "far_post_auth": "raise"}
        await shop.pay(fraud=_card(), metadata=wish)
    before = len(SCORER.asked)
    paid = await shop.pay(fraud=_card())
    assert len(SCORER.asked) == before
    assert "several times" in (await _said(shop, paid.payment.id))["far_away"]["error"]
    other = await _shop(till, "far_away")
    await other.pay(fraud=_card())
    assert len(SCORER.asked) == before + 2  # before and after the authorization


async def test_the_same_key_at_once_makes_one_payment(till: Till) -> None:
    shop = await _shop(till, "far_away")
    again = key()
    made = await asyncio.gather(
        *(shop.pay(fraud=_card(), idempotency_key=again) for _ in range(10))
    )
    assert len({each.payment.id for each in made}) == 1
    before = len(SCORER.asked)
    await shop.pay(fraud=_card(), idempotency_key=again)
    assert len(SCORER.asked) == before
    await shop.assert_sound()


async def test_another_attempt_is_asked_about_too(till: Till) -> None:
    shop = await _shop(till, "far_away")
    declined = await shop.pay(
        token="tok_decline_generic_decline",
        fraud=_card(),
        metadata={"far_pre_auth": "allow"},
    )
    before = len(SCORER.asked)
    request = ConfirmPayment(
        idempotency_key=key(),
        payment_id=declined.payment.id,
        payment_method=MethodInput(token="tok_visa"),
    )
    again = await shop.engine.payments.confirm(shop.context, request)
    assert again.payment.status == "CAPTURED"
    told = SCORER.asked[before]
    assert told.stage == "pre_auth"
    assert told.features["card.count.1h"] in (0, None)
    rows = [r for r in await decisions(shop, declined.payment.id) if r["stage"] == "pre_auth"]
    assert [row["number"] for row in rows] == [1, 2]
    assert all(
        each["verdict"] == "allow"
        for row in rows
        for each in row["document"]["verdicts"]
        if each["rule"] == "far_away"
    )
    await shop.assert_sound()


async def test_it_is_asked_after_the_answer_and_before_a_refund(till: Till) -> None:
    shop = await _shop(till, "far_away")
    held = await shop.pay(
        fraud=_card(), metadata={"far_post_auth": "block"}, capture_method="MANUAL"
    )
    assert held.payment.status == "CANCELED"
    assert (await _said(shop, held.payment.id, "post_auth"))["far_away"]["verdict"] == "block"
    paid = await shop.charge(metadata={"far_refund": "allow"})
    assert (await shop.refund(paid.id)).payment.refunded_minor == 1_000
    assert (await _said(shop, paid.id, "refund"))["far_away"]["verdict"] == "allow"
    await shop.assert_sound()


async def test_it_is_told_no_more_than_the_rules_of_this_process(till: Till) -> None:
    shop = await _shop(till, "far_away")
    before = len(SCORER.asked)
    await shop.pay(fraud=FraudInput(card_fingerprint="secret card", email="a@example.org"))
    told = SCORER.asked[before]
    assert "secret card" not in str(told)
    assert "a@example.org" not in str(told)


async def _configure(shop: Shop, **settings: Any) -> None:
    from payengine.fraud.desk.choices import ConfigureFraud

    await shop.engine.fraud_desk.choices.save(
        shop.context, ConfigureFraud(idempotency_key=key(), settings=settings, reason="a test")
    )
