"""Do the settings hold that were saved last, with who saved them and why?"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from payengine.errors import IdempotencyConflict, InputInvalid
from payengine.fraud.desk.choices import ConfigureFraud
from payengine.fraud.settings import FraudSettings, SavedSettings

from tests.engines import Shop, key


async def _save(shop: Shop, settings: Any, **given: Any) -> SavedSettings:
    fields = {"idempotency_key": key(), "settings": settings, "reason": "a test"} | given
    return await shop.engine.fraud_desk.choices.save(shop.context, ConfigureFraud(**fields))


async def test_the_newest_version_holds_and_none_is_lost(seller: Shop, rival: Shop) -> None:
    choices = seller.engine.fraud_desk.choices
    assert await choices.settings(seller.context) == FraudSettings()
    one = key()
    first = await _save(seller, {"review_minutes": 60}, idempotency_key=one)
    second = await _save(seller, {"review_default": "approve"})
    assert await choices.settings(seller.context) == FraudSettings(review_default="approve")
    assert await choices.saved(seller.context, first=5) == [second, first]
    assert (first.version, first.actor, first.document["review_minutes"]) == (1, "test", 60)
    assert await _save(seller, {"review_minutes": 60}, idempotency_key=one) == first
    with pytest.raises(IdempotencyConflict):
        await _save(seller, {"review_minutes": 61}, idempotency_key=one)
    assert await choices.saved(rival.context, first=5) == []
    held = await seller.engine.fraud.rulebook.of(seller.context)
    assert held.settings.review_default == "approve"


async def test_versions_have_no_gaps_however_many_save_at_once(seller: Shop) -> None:
    saved = await asyncio.gather(*(_save(seller, {"review_minutes": n}) for n in range(1, 9)))
    assert sorted(each.version for each in saved) == list(range(1, 9))


async def test_nonsense_is_refused_and_leaves_no_row(seller: Shop) -> None:
    for settings, reason in (({"unknown": 1}, "a test"), ({}, " "), ("text", "a test")):
        with pytest.raises(InputInvalid):
            await _save(seller, settings, reason=reason)
    assert await seller.engine.fraud_desk.choices.saved(seller.context, first=5) == []
