"""Is every version kept, is each change told with who and why, and is what holds seen in time?"""

from __future__ import annotations

import asyncio
import dataclasses
import uuid

import asyncpg
import pytest
from payengine.clock import SystemClock
from payengine.errors import (
    Conflict,
    InputInvalid,
    NotFound,
    PermissionDenied,
    RoutingPolicyInvalid,
)
from payengine.ids import new_id
from payengine.routing import Policies

from tests.engines import Shop, Till

_SANDBOX_LAST = {"otherwise": {"by": "priority", "gateways": ["sandbox"]}}


class Watch:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    """The age of what is held."""
    return Watch()


@pytest.fixture
def policies(till: Till, watch: Watch) -> Policies:
    """Another process's view of the same database."""
    gateways = till.engine.registry.installed.gateways
    return Policies(till.engine.database, clock=SystemClock(), gateways=gateways, seconds=watch)


async def test_versions_are_counted_and_tell_who_and_why(shop: Shop, policies: Policies) -> None:
    first = await policies.save(shop.context, {}, reason="to begin", activate=False)
    second = await policies.save(shop.context, _SANDBOX_LAST, reason="cheaper", activate=True)
    assert [(each.version, each.reason) for each in (first, second)] == [
        (1, "to begin"),
        (2, "cheaper"),
    ]
    assert second.actor == shop.context.actor
    assert second.document["otherwise"]["gateways"] == ("sandbox",)
    page = await policies.page(shop.context, first=1)
    assert [each.id for each in page] == [second.id, first.id]
    assert [each.id for each in await policies.page(shop.context, first=5, after=second.id)] == [
        first.id
    ]
    (activation,) = await policies.activations(shop.context, first=10)
    assert (activation.number, activation.policy_id, activation.reason) == (1, second.id, "cheaper")
    assert (await policies.active(shop.context.tenant_id)).version == 2


async def test_rolling_back_lets_hold_what_held_before(shop: Shop, policies: Policies) -> None:
    with pytest.raises(Conflict):
        await policies.roll_back(shop.context, reason="nothing yet")
    one = await policies.save(shop.context, {}, reason="one", activate=True)
    two = await policies.save(shop.context, {}, reason="two", activate=True)
    held = []
    for _ in range(2):
        await policies.roll_back(shop.context, reason="back")
        held.append((await policies.active(shop.context.tenant_id)).id)
    assert held == [one.id, two.id]
    await policies.activate(shop.context, None, reason="no rules")
    assert (await policies.active(shop.context.tenant_id)).id is None
    with pytest.raises(Conflict):
        await policies.roll_back(shop.context, reason="from the default")
    numbers = [each.number for each in await policies.activations(shop.context, first=10)]
    assert numbers == [5, 4, 3, 2, 1]


async def test_the_first_policy_rolls_back_to_the_default(shop: Shop, policies: Policies) -> None:
    await policies.save(shop.context, {}, reason="one", activate=True)
    activation = await policies.roll_back(shop.context, reason="back")
    assert activation.policy_id is None


async def test_what_is_refused_writes_nothing(shop: Shop, policies: Policies) -> None:
    with pytest.raises(RoutingPolicyInvalid):
        await policies.save(shop.context, {"exclude": ["nobody"]}, reason="x", activate=True)
    for reason in ("", " ", "x" * 501, "a\nb", "4111 1111 1111 1111"):
        with pytest.raises(InputInvalid):
            await policies.save(shop.context, {}, reason=reason, activate=True)
    with pytest.raises(NotFound):
        await policies.activate(shop.context, new_id("rtp"), reason="x")
    bare = dataclasses.replace(shop.context, scopes=frozenset({"routing:read"}))
    with pytest.raises(PermissionDenied):
        await policies.save(bare, {}, reason="x", activate=True)
    assert await policies.page(shop.context, first=10) == []
    assert await policies.activations(shop.context, first=10) == []


async def test_many_at_once_are_counted_without_gaps(shop: Shop, policies: Policies) -> None:
    saved = await asyncio.gather(
        *(policies.save(shop.context, {}, reason=f"r{n}", activate=True) for n in range(8))
    )
    assert sorted(each.version for each in saved) == list(range(1, 9))
    activations = await policies.activations(shop.context, first=10)
    assert [each.number for each in activations] == list(range(8, 0, -1))


async def test_another_process_sees_a_change_within_five_seconds(
    shop: Shop, policies: Policies, watch: Watch
) -> None:
    tenant_id = shop.context.tenant_id
    assert (await policies.active(tenant_id)).version == 0
    await shop.engine.router.policies.save(shop.context, {}, reason="elsewhere", activate=True)
    assert (await shop.engine.router.active(tenant_id)).version == 1
    watch.now = 4.9
    assert (await policies.active(tenant_id)).version == 0
    await asyncio.wait(policies._reading.values())  # it was read anew beside this request
    assert (await policies.active(tenant_id)).version == 1


async def test_while_it_is_held_nothing_is_asked(
    shop: Shop, policies: Policies, watch: Watch
) -> None:
    await policies.active(shop.context.tenant_id)
    before = shop.engine.database.counters.statements
    for _ in range(100):
        await policies.active(shop.context.tenant_id)
    assert shop.engine.database.counters.statements == before
    watch.now = 5.0
    await policies.active(shop.context.tenant_id)
    assert shop.engine.database.counters.statements == before + 1


async def test_what_cannot_be_read_any_more_is_as_if_there_were_none(
    shop: Shop, policies: Policies, watch: Watch
) -> None:
    await policies.save(shop.context, {}, reason="x", activate=True)
    async with shop.till.as_owner(shop.context.tenant_id) as owner:
        await owner.execute("UPDATE routing_policy SET document = '{\"future\": 1}'")
    watch.now = 10.0
    assert (await policies.active(shop.context.tenant_id)).policy.rules == ()


@pytest.mark.parametrize("table", ["routing_policy", "routing_activation"])
@pytest.mark.parametrize("change", ["UPDATE {} SET reason = 'x'", "DELETE FROM {}"])
async def test_no_version_and_no_activation_can_be_changed(
    shop: Shop, table: str, change: str
) -> None:
    await shop.engine.router.policies.save(shop.context, {}, reason="kept", activate=True)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with shop.engine.database.tenant(shop.context.tenant_id) as session:
            await session.execute(change.format(table))


async def test_a_tenant_that_nobody_knows_has_the_default(policies: Policies) -> None:
    assert (await policies.active(uuid.uuid4())).id is None
