"""A shop whose fraud rules are few and known."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
from payengine.plugin import Feature, FraudContext, PluginSettings, RuleVerdict, velocity

from tests.core.fraud.rules import Rule, RulePack
from tests.engines import Shop, Till, open_till
from tests.servers import HomeOfTest

_PLAIN = ("amounts", "lists", "sandbox_tokens")


class Limits(PluginSettings, frozen=True, kw_only=True):
    """How much is too much, and how often too often."""

    above_minor: int = 5_000
    most: int = 1_000


class Amounts(Rule):
    """Blocks what is above a limit, and cards that come too often."""

    def __init__(self) -> None:
        super().__init__("amounts", lambda context: None, settings=Limits)

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """The card's payments of the last hour, where that matters."""
        assert isinstance(settings, Limits)
        return [velocity("card", "count", "1h")] if settings.most < 1_000 else []

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """By the settings."""
        assert isinstance(settings, Limits)
        if context.amount_minor > settings.above_minor:
            return RuleVerdict(verdict="block", reason="much", score=0.9)
        if settings.most < 1_000 and context.number("card.count.1h") >= settings.most:
            return RuleVerdict(verdict="block", reason="often", score=0.8)
        return RuleVerdict(verdict="allow", reason="fine", score=0.01)


@pytest.fixture(scope="module")
async def desk_till(payment_home: HomeOfTest) -> AsyncIterator[Till]:
    """An engine with these rules beside those that are installed."""
    async with open_till(payment_home, plugins={"desk": RulePack(Amounts())}) as till:
        yield till


@pytest.fixture
async def seller(desk_till: Till) -> Shop:
    """A shop of which only a few rules are on."""
    return await plain_shop(desk_till)


@pytest.fixture
async def rival(desk_till: Till) -> Shop:
    """Another one."""
    return await plain_shop(desk_till)


async def plain_shop(till: Till) -> Shop:
    """A new tenant that has switched all other rules off."""
    shop = await till.shop()
    book = shop.engine.fraud.rulebook
    for name in sorted(set(book.installed) - set(_PLAIN)):
        await book.save(shop.context, name, mode="off", settings={}, reason="a test")
    return shop
