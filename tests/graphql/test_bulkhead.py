"""What is in flight is counted and bounded."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from payengine.errors import RateLimited
from payengine.ids import new_tenant_id
from payengine_graphql.bulkhead import Bulkhead
from payengine_graphql.refusals import Overloaded, status_of


def test_a_full_process_refuses_and_a_place_becomes_free() -> None:
    bulkhead = Bulkhead(in_all=2, per_tenant=9)
    with ExitStack() as stack:
        stack.enter_context(bulkhead.enter())
        stack.enter_context(bulkhead.enter())
        with pytest.raises(Overloaded) as refused, bulkhead.enter():
            pass
    assert status_of(refused.value) == 503
    with bulkhead.enter():
        assert bulkhead.count == 1


def test_one_tenants_places_are_its_own() -> None:
    bulkhead = Bulkhead(in_all=9, per_tenant=1)
    mine, theirs = new_tenant_id(), new_tenant_id()
    with bulkhead.enter_tenant(mine):
        with pytest.raises(RateLimited) as refused, bulkhead.enter_tenant(mine):
            pass
        with bulkhead.enter_tenant(theirs):
            pass
    assert status_of(refused.value) == 429
    with bulkhead.enter_tenant(mine):
        pass
    assert not bulkhead._tenants
