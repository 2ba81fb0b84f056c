"""The past knows people by names that mean nothing elsewhere."""

from __future__ import annotations

import asyncio

from payengine.fraud.tokens import PERSONAL, Namer, Tokens

from tests.engines import Till

_MINE, _THEIRS = Namer(b"a" * 32), Namer(b"b" * 32)


def test_personal_names_are_keyed_hashes() -> None:
    for kind in PERSONAL - {"ip"}:
        name = _MINE.name(kind, "secret")
        assert "secret" not in name
        assert name == _MINE.name(kind, "secret")
        assert name != _THEIRS.name(kind, "secret")
    assert len({_MINE.name(kind, "same") for kind in PERSONAL - {"ip"}}) == len(PERSONAL) - 1


def test_customers_and_sellers_are_named_as_they_are() -> None:
    assert _MINE.name("customer", "cus_1") == "cus_1"
    assert _MINE.name("seller", "acct_1") == "acct_1"


def test_every_spelling_of_an_address_has_one_name() -> None:
    assert _MINE.name("email", " Ada@Example.ORG ") == _MINE.name("email", "ada@example.org")
    assert _MINE.name("ip", "2001:DB8::0:1") == _MINE.name("ip", "2001:db8::1")
    assert _MINE.name("ip", "203.0.113.9/32") == _MINE.name("ip", "203.0.113.9")


def test_a_network_is_found_by_each_address_in_it() -> None:
    network = _MINE.name("ip", "203.0.113.0/24")
    assert network in _MINE.networks("203.0.113.9")
    assert network not in _MINE.networks("203.0.114.9")
    assert _MINE.name("ip", "2001:db8::/48") in _MINE.networks("2001:db8::1")
    assert _MINE.name("ip", "203.0.113.9") == _MINE.networks("203.0.113.9")[0]


async def test_a_tenants_key_is_made_once_and_stays(till: Till) -> None:
    shop, other = await till.shop(), await till.shop()
    database, vault = till.engine.database, till.engine.vault
    tokens = [Tokens(database, vault) for _ in range(5)]
    namers = await asyncio.gather(*(each.of(shop.context.tenant_id) for each in tokens))
    names = {each.name("card", "one") for each in namers}
    assert len(names) == 1
    again = await Tokens(database, vault).of(shop.context.tenant_id)
    assert names == {again.name("card", "one")}
    theirs = await tokens[0].of(other.context.tenant_id)
    assert theirs.name("card", "one") not in names
