"""Does a link open its own invoice, as long as it lasts, and nothing else?"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from payengine.billing.collection.links import LINK_LASTS, Links
from payengine.errors import RecoveryLinkInvalid

from tests.debtors import Counter, Debtor

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def _token(links: Links, debtor: Debtor) -> str:
    async with debtor.session() as session:
        return await links.make(session, debtor.context.tenant_id, debtor.invoice_id, wall=_NOW)


async def test_a_link_is_good_for_its_invoice_until_it_ends(counter: Counter) -> None:
    debtor = await counter.debtor()
    links = counter.engine.collection.links
    token = await _token(links, debtor)
    link = await links.read(token, wall=_NOW + LINK_LASTS - timedelta(seconds=1))
    assert (link.tenant_id, link.invoice_id) == (debtor.context.tenant_id, debtor.invoice_id)
    with pytest.raises(RecoveryLinkInvalid):
        await links.read(token, wall=_NOW + LINK_LASTS)


async def test_another_process_reads_it_too(counter: Counter) -> None:
    debtor = await counter.debtor()
    token = await _token(counter.engine.collection.links, debtor)
    other = Links(counter.engine.database, counter.engine.vault)
    assert (await other.read(token, wall=_NOW)).invoice_id == debtor.invoice_id


async def test_nothing_of_it_can_be_changed(counter: Counter) -> None:
    debtor = await counter.debtor()
    links = counter.engine.collection.links
    token = await _token(links, debtor)
    plain = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for place in (0, 15, 17, 20, 24, 30, 45, 60, len(plain) - 1):
        changed = bytearray(plain)
        changed[place] ^= 1
        spelled = base64.urlsafe_b64encode(bytes(changed)).decode().rstrip("=")
        with pytest.raises(RecoveryLinkInvalid):
            await links.read(spelled, wall=_NOW)


async def test_a_link_of_one_tenant_says_nothing_of_anothers_invoice(counter: Counter) -> None:
    mine, theirs = await counter.debtor(), await counter.debtor()
    links = counter.engine.collection.links
    await _token(links, theirs)  # they have a key of their own
    token = await _token(links, mine)
    plain = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    moved = theirs.context.tenant_id.bytes + plain[16:]
    spelled = base64.urlsafe_b64encode(moved).decode().rstrip("=")
    with pytest.raises(RecoveryLinkInvalid):
        await links.read(spelled, wall=_NOW)


@pytest.mark.parametrize(
    "token", ["", "x", "a" * 4_000, "é", "====", "inv_06h0id56jhoq5b6kb5led49no0", "AAAA" * 20]
)
async def test_what_is_no_token_is_refused(counter: Counter, token: str) -> None:
    with pytest.raises(RecoveryLinkInvalid):
        await counter.engine.collection.links.read(token, wall=_NOW)


async def test_an_address_needs_to_know_where_the_server_is(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = counter.engine.collection.links
    monkeypatch.delenv("PAYENGINE_PUBLIC_URL", raising=False)
    assert links.address("token") == ""
    monkeypatch.setenv("PAYENGINE_PUBLIC_URL", "https://pay.example/")
    assert links.address("token") == "https://pay.example/recover/token"
