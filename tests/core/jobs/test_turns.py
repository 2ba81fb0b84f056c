"""Places go round: every tenant has one before any has two, and no bound is passed."""

from __future__ import annotations

import uuid
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from payengine.jobs import Handler
from payengine.jobs.turns import Load, Waiting, share

_TENANTS = [uuid.UUID(int=number) for number in range(1, 7)]
_KINDS = ["a.go", "b.go", "c.go"]


async def _nothing(tenant_id: uuid.UUID, row_id: str) -> None: ...


def _handlers(*, at_once: int = 50, per_tenant: int = 50) -> dict[str, Handler]:
    return {kind: Handler(kind, _nothing, at_once, per_tenant) for kind in _KINDS}


_waiting = st.lists(
    st.tuples(st.sampled_from(_KINDS), st.sampled_from(_TENANTS), st.integers(0, 4)),
    unique_by=lambda each: each[:2],
).map(lambda drawn: [Waiting(*each) for each in drawn])
_bounds = st.integers(1, 6)


@given(waiting=_waiting, places=st.integers(0, 20), own=_bounds, at_once=_bounds, each=_bounds)
def test_no_bound_is_passed(
    waiting: list[Waiting], places: int, own: int, at_once: int, each: int
) -> None:
    handlers = _handlers(at_once=at_once, per_tenant=each)
    given_out = share(waiting, Load(places, own), handlers)
    assert sum(given_out.values()) <= places
    kinds: Counter[str] = Counter()
    tenants: Counter[uuid.UUID] = Counter()
    for chosen, count in given_out.items():
        assert count > 0
        assert chosen.under_way + count <= each
        kinds[chosen.kind] += count
        tenants[chosen.tenant_id] += count
    assert all(count <= at_once for count in kinds.values())
    assert all(count <= own for count in tenants.values())


@given(waiting=_waiting, places=st.integers(0, 20))
def test_nobody_has_two_more_than_another_who_waits(waiting: list[Waiting], places: int) -> None:
    given_out = share(waiting, Load(places, 50), _handlers())
    tenants = Counter({each.tenant_id: 0 for each in waiting})
    for chosen, count in given_out.items():
        tenants[chosen.tenant_id] += count
    if tenants:
        assert max(tenants.values()) - min(tenants.values()) <= 1
        assert sum(tenants.values()) == places


def test_what_is_being_done_counts() -> None:
    first, second = _TENANTS[:2]
    waiting = [Waiting("a.go", first, 3), Waiting("a.go", second, 0)]
    load = Load(10, 5, Counter({"a.go": 3}), Counter({first: 3}))
    assert share(waiting, load, _handlers()) == {waiting[0]: 2, waiting[1]: 5}
    full = Load(3, 3, Counter({"a.go": 3}), Counter({first: 3}))
    assert share(waiting, full, _handlers()) == {}


def test_a_tenants_kinds_take_turns_among_themselves() -> None:
    tenant, other = _TENANTS[:2]
    waiting = [Waiting("a.go", tenant, 0), Waiting("b.go", tenant, 0), Waiting("a.go", other, 0)]
    assert share(waiting, Load(4, 4), _handlers()) == {
        waiting[0]: 1,
        waiting[1]: 1,
        waiting[2]: 2,
    }
