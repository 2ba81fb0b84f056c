"""The purchases are the same ones each time, and each is one that the API takes."""

from __future__ import annotations

from collections import Counter

from payengine_graphql.demo.purchases import purchases
from payengine_sandbox.cards import TOKENS


def test_the_data_has_20_000_purchases_of_10_546_customers_at_three_shops() -> None:
    found = list(purchases(20_000))
    assert len(found) == 20_000
    assert len({(each.tenant, each.customer) for each in found}) == 10_546
    assert {each.tenant for each in found} == {0, 1, 2}
    assert all(each.amount_minor > 0 for each in found)
    tokens = Counter(each.token for each in found)
    assert tokens["tok_visa"] > 18_000
    assert len(tokens) > 5
    assert set(tokens) <= set(TOKENS)


def test_behind_the_last_they_begin_anew_under_other_names() -> None:
    found = list(purchases(20_002))
    assert len({each.id for each in found}) == 20_002
    assert found[20_000].amount_minor == found[0].amount_minor
    assert found[20_000].id != found[0].id


def test_they_are_the_same_each_time() -> None:
    assert list(purchases(500)) == list(purchases(500))
