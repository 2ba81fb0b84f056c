"""Is a person asked where nobody else can tell, for the right reason, and no earlier?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from payengine.payments.findings import Finding
from payengine.payments.hopeless import cannot_be_known, takes_too_long
from payengine.plugin import Amount, Lookup, Manifest, Outcome, hookimpl

from tests.core.payments.histories import operation
from tests.core.payments.odd import ODD, OddGateway
from tests.engines import Shop, Till, open_till
from tests.servers import HomeOfTest

_MANIFEST = Manifest(name="slow", title="Slow", version="1", pending_for_s=75 * 86_400)
_DAY = timedelta(days=1)


@pytest.mark.parametrize("status", ["pending", "requires_action"])
def test_what_waits_may_take_as_long_as_its_provider_says(status: str) -> None:
    waits = operation(status=status)
    for days, manifest, reason in [
        (7, None, None),
        (8, None, "never_answered"),
        (75, _MANIFEST, None),
        (76, _MANIFEST, "pending_too_long"),
    ]:
        age = days * _DAY
        assert takes_too_long(waits, manifest, age=age, may_resend=False) == reason


def test_an_unknown_outcome_waits_a_week_however_long_its_provider_may_take() -> None:
    lost = operation(status="unknown")
    assert takes_too_long(lost, _MANIFEST, age=7 * _DAY, may_resend=False) is None
    assert takes_too_long(lost, _MANIFEST, age=8 * _DAY, may_resend=True) == "never_answered"


def test_a_provider_that_cannot_be_asked_is_waited_for_while_it_knows_the_key() -> None:
    mute = msgspec.structs.replace(_MANIFEST, lookup=False)
    lost = operation(status="unknown")
    assert takes_too_long(lost, mute, age=_DAY, may_resend=True) is None
    assert takes_too_long(lost, mute, age=_DAY, may_resend=False) == "nobody_to_ask"


@pytest.mark.parametrize(
    ("consistent_days", "age_h", "is_lost"), [(30, 23, False), (30, 25, True), (6, 25, False)]
)
def test_not_found_is_the_end_where_it_never_proves_anything(
    consistent_days: int, age_h: int, is_lost: bool
) -> None:
    manifest = msgspec.structs.replace(
        _MANIFEST, lookup_consistent_after_ms=consistent_days * 86_400_000
    )
    assert cannot_be_known(manifest, age=timedelta(hours=age_h)) is is_lost


async def _told(shop: Shop) -> list[Any]:
    """The reasons that events of the shop gave for asking a person."""
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        rows = await session.fetch(
            "SELECT data FROM event WHERE type = 'payment.needs_review' ORDER BY seq"
        )
    return [row["data"].get("reason") for row in rows]


async def test_a_payment_that_stays_pending_goes_to_a_person_and_may_still_end(
    odd_till: Till, shop: Shop
) -> None:
    odd = OddGateway.of(odd_till)
    shop = shop.at(odd_till)
    odd.answers = [Outcome(status="pending", amount=Amount(1_000, "JPY"))]
    odd.found = Outcome(status="pending", amount=Amount(1_000, "JPY"))
    made = await shop.pay(**ODD)
    assert made.operation is not None
    await shop.look(after=timedelta(days=6))
    assert not (await shop.payment(made.payment.id)).needs_review
    await shop.look(after=timedelta(days=8))
    after = await shop.check(made.payment.id)
    assert (after.status, after.needs_review) == ("PROCESSING", True)
    assert await _told(shop) == ["pending_too_long"]
    (row,) = await shop.operations(after.id)
    assert (row.status, row.due_at) == ("pending", None)
    (why,) = await shop.evidence(row.id)
    assert (why.source, why.finding, why.data["reason"]) == (
        "engine",
        "pending",
        "pending_too_long",
    )
    await odd_till.engine.reconciler._recorder.record(
        shop.context,
        payment_id=after.id,
        operation_id=row.id,
        finding=Finding(status="succeeded", source="webhook", outcome=odd.good),
    )
    assert (await shop.check(after.id)).status == "CAPTURED"
    await shop.assert_sound()


class _Vague(OddGateway):
    """What it does not find proves nothing: it finds by its own references only."""

    is_down = False

    def describe(self) -> Manifest:
        """An hour for keys, a month for lookups."""
        return msgspec.structs.replace(
            super().describe(), lookup_consistent_after_ms=30 * 86_400_000
        )

    async def lookup(self, call: Any, request: Lookup) -> Outcome:
        """Nothing, or no answer at all."""
        if self.is_down:
            raise RuntimeError("down")
        return await super().lookup(call, request)


class _VaguePlugin:
    @hookimpl
    def gateways(self) -> Sequence[Any]:
        return [_Vague()]


@pytest.fixture
async def vague_till(payment_home: HomeOfTest) -> AsyncIterator[Till]:
    """An engine with the vague gateway."""
    async with open_till(
        payment_home, plugins={"odd": _VaguePlugin()}, gateway_deadline_ms=1_000
    ) as opened:
        yield opened


async def test_a_key_that_is_forgotten_leaves_what_cannot_be_found_to_a_person(
    vague_till: Till, shop: Shop
) -> None:
    odd = OddGateway.of(vague_till)
    assert isinstance(odd, _Vague)
    shop = shop.at(vague_till)
    odd.answers = [RuntimeError("lost"), RuntimeError("lost"), RuntimeError("lost")]
    made = await shop.pay(**ODD)
    await shop.look(after=timedelta(minutes=30))  # sent again: the key is still known
    assert not (await shop.payment(made.payment.id)).needs_review
    odd.is_down = True
    await shop.look(after=timedelta(minutes=90))
    assert not (await shop.payment(made.payment.id)).needs_review  # once it is up, it may tell
    odd.is_down = False
    await shop.look(after=timedelta(minutes=120))
    after = await shop.check(made.payment.id)
    assert (after.status, after.needs_review) == ("PROCESSING", True)
    assert await _told(shop) == ["key_window_closed"]
    assert len(odd.keys) == 2
    await shop.assert_sound()
