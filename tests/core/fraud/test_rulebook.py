"""Nothing of a rule's past is overwritten, and what is saved holds at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from payengine.errors import (
    Conflict,
    InputInvalid,
    NotFound,
    PayengineError,
    PluginSettingsInvalid,
)
from payengine.fraud.rulebook import Rulebook, RuleVersion
from payengine.plugin import PluginSettings, RuleStage, RuleVerdict, velocity

from tests.core.fraud.rules import Rule, RulePack
from tests.engines import Shop, Till, open_till
from tests.servers import HomeOfTest


class Most(PluginSettings, frozen=True, kw_only=True):
    """How many."""

    most: int = 5


_AFTER: tuple[RuleStage, ...] = ("post_auth",)
RULES = (
    Rule("counts", lambda _: RuleVerdict(), velocity("card", "count", "1h"), settings=Most),
    Rule("rests", lambda _: RuleVerdict(), velocity("ip", "count", "1h"), mode="off"),
    Rule("later", lambda _: RuleVerdict(), velocity("seller", "count", "1d"), stages=("payout",)),
    Rule(
        "after", lambda _: RuleVerdict(), velocity("device", "count", "1d"), stages=("post_auth",)
    ),
)


@pytest.fixture(scope="module")
async def till(payment_home: HomeOfTest) -> AsyncIterator[Till]:
    async with open_till(payment_home, plugins={"pack": RulePack(*RULES)}) as opened:
        yield opened


@pytest.fixture
async def shop(till: Till) -> Shop:
    return await till.shop()


def _book(shop: Shop) -> Rulebook:
    return shop.engine.fraud.rulebook


async def _save(shop: Shop, rule: str = "counts", **given: Any) -> RuleVersion:
    words = {"mode": "live", "settings": {}, "reason": "a test"} | given
    return await _book(shop).save(shop.context, rule, **words)


async def _names(shop: Shop) -> set[str]:
    rules = await _book(shop).of(shop.context)
    return {each.name for each in rules.rules["pre_auth"]}


async def test_what_is_saved_holds_at_once(shop: Shop) -> None:
    assert "rests" not in await _names(shop)
    await _save(shop, "rests")
    assert "rests" in await _names(shop)
    await _save(shop, "rests", mode="off")
    assert "rests" not in await _names(shop)


async def test_versions_are_numbered_and_kept(shop: Shop) -> None:
    for most in (1, 2, 3):
        await _save(shop, settings={"most": most}, reason=f"to {most}")
    history = await _book(shop).history(shop.context, "counts")
    assert [(each.version, each.settings["most"], each.reason) for each in history] == [
        (3, 3, "to 3"),
        (2, 2, "to 2"),
        (1, 1, "to 1"),
    ]
    assert {each.actor for each in history} == {shop.context.actor}
    assert (await _book(shop).versions(shop.context))["counts"].version == 3


async def test_of_many_at_once_none_is_lost_and_none_overwritten(shop: Shop) -> None:
    done = await asyncio.gather(
        *(_save(shop, settings={"most": most}) for most in range(1, 9)), return_exceptions=True
    )
    saved = [each for each in done if isinstance(each, RuleVersion)]
    assert all(isinstance(each, (RuleVersion, Conflict)) for each in done)
    history = await _book(shop).history(shop.context, "counts")
    assert [each.version for each in reversed(history)] == list(range(1, len(saved) + 1))
    assert {each.settings["most"] for each in history} == {each.settings["most"] for each in saved}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"rule": "nobody"}, NotFound),
        ({"mode": "loud"}, InputInvalid),
        ({"reason": ""}, InputInvalid),
        ({"reason": "a\nb"}, InputInvalid),
        ({"settings": {"most": "many"}}, PluginSettingsInvalid),
        ({"settings": {"fewest": 1}}, PluginSettingsInvalid),
        ({"reason": "4111 1111 1111 1111"}, InputInvalid),
    ],
)
async def test_what_is_refused_changes_nothing(
    shop: Shop, given: dict[str, Any], problem: type[PayengineError]
) -> None:
    with pytest.raises(problem):
        await _save(shop, **given)
    assert await _book(shop).history(shop.context, "counts") == []
    assert await _events(shop) == []


async def test_a_change_is_an_event(shop: Shop) -> None:
    await _save(shop, settings={"most": 2}, mode="shadow", reason="try it")
    (told,) = await _events(shop)
    assert told == {
        "rule": "counts",
        "version": 1,
        "mode": "shadow",
        "settings": {"most": 2},
        "reason": "try it",
        "actor": shop.context.actor,
    }


async def test_what_any_stage_reads_is_kept_of_a_payment(shop: Shop) -> None:
    rules = await _book(shop).of(shop.context)
    assert {"card", "seller", "device"} <= rules.kept
    assert {"card", "seller", "device"} <= set(rules.remembered)
    # What is judged once the issuer has answered is read before.
    assert "device.count.1d" in rules.plans["pre_auth"].key
    assert "seller.count.1d" not in rules.plans["pre_auth"].key


async def test_another_tenants_choice_is_its_own(shop: Shop, till: Till) -> None:
    other = await till.shop()
    await _save(shop, mode="off")
    assert "counts" not in await _names(shop)
    assert "counts" in await _names(other)
    assert await _book(other).history(other.context, "counts") == []


async def _events(shop: Shop) -> list[dict[str, Any]]:
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        rows = await session.fetch(
            "SELECT data FROM event WHERE tenant_id = $1 AND type = 'fraud.rule_saved'",
            shop.context.tenant_id,
        )
    return [row["data"] for row in rows]
