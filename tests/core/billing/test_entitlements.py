"""May a customer use what their subscriptions grant, and nothing else?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.billing import (
    Entitlement,
    EntitlementChange,
    Grant,
    ItemAccess,
    entitlement_changes,
    entitlements_at,
)
from payengine.errors import InputInvalid

_START = datetime(2025, 6, 1, tzinfo=UTC)
_LATER = _START + timedelta(days=30)


def _access(*grants: Grant, quantity: int = 1, suspended: bool = False) -> ItemAccess:
    return ItemAccess(
        grants=grants, starts_at=_START, ends_at=_LATER, quantity=quantity, suspended=suspended
    )


def _limits(*items: ItemAccess, at: datetime = _START) -> dict[str, int | None]:
    return {name: each.limit for name, each in entitlements_at(items, at).items()}


def test_a_subscription_grants_from_its_start_and_before_its_end() -> None:
    access = _access(Grant(feature="export"))
    blink = timedelta(microseconds=1)
    instants = [_START - blink, _START, _LATER - blink, _LATER]
    assert [bool(_limits(access, at=at)) for at in instants] == [False, True, True, False]


def test_one_without_end_goes_on() -> None:
    endless = ItemAccess(grants=(Grant(feature="export"),), starts_at=_START)
    assert _limits(endless, at=_LATER + timedelta(days=9_999)) == {"export": None}
    assert _limits(endless, at=_START - timedelta(days=1)) == {}


def test_suspended_access_grants_nothing() -> None:
    assert _limits(_access(Grant(feature="export"), suspended=True)) == {}


def test_limits_add_up_and_one_without_limit_lifts_them_all() -> None:
    base = _access(Grant(feature="seats", limit=5), Grant(feature="calls", limit=100))
    extra = _access(Grant(feature="seats", limit=1, per_unit=True), quantity=3)
    assert _limits(base, extra) == {"calls": 100, "seats": 8}
    assert _limits(base, extra, _access(Grant(feature="seats"))) == {"calls": 100, "seats": None}
    assert _limits(_access(Grant(feature="seats", per_unit=True), quantity=2)) == {"seats": None}


_GRANTS = st.builds(
    Grant,
    feature=st.sampled_from("abc"),
    limit=st.none() | st.integers(0, 9),
    per_unit=st.booleans(),
)
_ITEMS = st.lists(
    st.builds(
        ItemAccess,
        grants=st.lists(_GRANTS, max_size=3).map(tuple),
        starts_at=st.just(_START),
        quantity=st.integers(0, 5),
        suspended=st.booleans(),
    ),
    max_size=4,
)


@given(items=_ITEMS, data=st.data())
def test_the_order_of_subscriptions_does_not_matter(
    items: list[ItemAccess], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(items))
    assert entitlements_at(shuffled, _START) == entitlements_at(items, _START)


@given(one=_ITEMS, other=_ITEMS)
def test_the_changes_lead_from_one_moment_to_the_other(
    one: list[ItemAccess], other: list[ItemAccess]
) -> None:
    before, after = entitlements_at(one, _START), entitlements_at(other, _START)
    moved = dict(before)
    for change in entitlement_changes(before, after):
        assert change.before == moved.pop(change.feature, None) != change.after
        if change.after is not None:
            moved[change.feature] = change.after
    assert moved == after


def test_a_change_says_what_was_given_taken_or_changed() -> None:
    def some(feature: str, limit: int) -> Entitlement:
        return Entitlement(feature=feature, limit=limit)

    before = {"a": some("a", 1), "b": some("b", 1), "c": some("c", 1)}
    after = {"b": some("b", 2), "c": some("c", 1), "d": some("d", 1)}
    assert entitlement_changes(before, after) == [
        EntitlementChange(feature="a", kind="revoked", before=before["a"], after=None),
        EntitlementChange(feature="b", kind="changed", before=before["b"], after=after["b"]),
        EntitlementChange(feature="d", kind="granted", before=None, after=after["d"]),
    ]


@pytest.mark.parametrize("limit", [-1, 2**53 + 1])
def test_a_limit_that_cannot_be_is_refused(limit: int) -> None:
    with pytest.raises(InputInvalid):
        Grant(feature="seats", limit=limit)
    with pytest.raises(InputInvalid):
        Grant(feature="")
