"""The marketplace keeps tenants apart on its own too, were the policies of the database gone.

Each test runs twice, as in `test_isolation_services`: as installed, and with a further policy on
every table that lets all rows through.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from payengine.errors import InputInvalid, NotFound
from payengine.marketplace.commission import CommissionRule
from payengine.marketplace.connected_models import (
    ConnectedAccount,
    MoveConnectedAccount,
    UpdateConnectedAccount,
)
from payengine.marketplace.rules import ArchiveSplitRule, CreateSplitRule
from payengine.marketplace.sharing_models import EscrowHold, SplitRule
from payengine.marketplace.transferring import AccountTransfer, CreateAccountTransfer
from payengine.payments import Payment

from tests.bazaar import Bazaar, escrow, platform, rest
from tests.engines import Till, key


@dataclass
class World:
    """One platform with a vendor, a rule, a sale, another one in escrow, and a transfer."""

    bazaar: Bazaar
    account: ConnectedAccount
    rule: SplitRule
    sale: Payment
    kept: Payment
    escrow: EscrowHold
    transfer: AccountTransfer


async def _world(till: Till) -> World:
    bazaar = Bazaar(await till.shop())
    account = await bazaar.vendor(reference="vendor", reserve_bps=100, reserve_days=5)
    rule = await bazaar.room.rules.create(
        bazaar.shop.context,
        CreateSplitRule(
            idempotency_key="rule", scope="tenant", commission=CommissionRule(percent_bps=500)
        ),
    )
    sale = await bazaar.sell(1_000, platform(percent_bps=1_000), rest(account))
    kept = await bazaar.sell(1_000, rest(account), escrow=escrow("manual"))
    transfer = await bazaar.room.transfers.create(
        bazaar.shop.context,
        CreateAccountTransfer(
            idempotency_key="transfer", amount_minor=1, currency="EUR", source_id=account.id
        ),
    )
    held = await bazaar.escrow(kept)
    return World(bazaar, account, rule, sale, kept, held, transfer)


def _reads(mine: World, theirs: World) -> dict[str, Awaitable[Any]]:
    """Every read that takes an id."""
    room, context = mine.bazaar.room, mine.bazaar.shop.context
    account, escrow_id = theirs.account.id, theirs.escrow.id
    return {
        "accounts": room.accounts.get_many(context, [account]),
        "balances": room.accounts.balances(context, account),
        "checks": room.accounts.checks_of(context, [account]),
        "rules": room.rules.get_many(context, [theirs.rule.id]),
        "splits": room.splits.of_payments(context, [theirs.sale.id]),
        "escrows": room.escrows.get_many(context, [escrow_id]),
        "escrows of payments": room.escrows.of_payments(context, [theirs.kept.id]),
        "releases": room.escrows.releases_of(context, [escrow_id]),
        "reserves": room.reserves.page(context, account, first=5),
        "transfers": room.transfers.get_many(context, [theirs.transfer.id]),
    }


async def test_another_tenants_ids_read_nothing(apart_till: Till, layer: str) -> None:
    mine, theirs = await _world(apart_till), await _world(apart_till)
    await theirs.bazaar.release(theirs.kept, 1)
    for name, read in _reads(mine, theirs).items():
        assert not await read, name
    for name, read in _reads(theirs, theirs).items():
        assert await read, name


async def test_lists_show_ones_own_alone(apart_till: Till, layer: str) -> None:
    mine, _ = await _world(apart_till), await _world(apart_till)
    room, context = mine.bazaar.room, mine.bazaar.shop.context
    assert [each.id for each in await room.accounts.page(context, first=50)] == [mine.account.id]
    assert [each.id for each in await room.rules.page(context, first=50)] == [mine.rule.id]
    assert [each.id for each in await room.escrows.page(context, first=50)] == [mine.escrow.id]
    assert [each.id for each in await room.transfers.page(context, first=50)] == [mine.transfer.id]


async def test_nothing_is_done_to_another_tenants_rows(apart_till: Till, layer: str) -> None:
    mine, theirs = await _world(apart_till), await _world(apart_till)
    bazaar, context = mine.bazaar, mine.bazaar.shop.context
    account = theirs.account
    tries: dict[str, Callable[[], Awaitable[Any]]] = {
        "suspend": lambda: bazaar.room.accounts.suspend(
            context, MoveConnectedAccount(idempotency_key=key(), account_id=account.id)
        ),
        "update": lambda: bazaar.room.accounts.update(
            context,
            UpdateConnectedAccount(idempotency_key=key(), account_id=account.id, country="FR"),
        ),
        "decide": lambda: bazaar.decide(account, "rejected"),
        "archive": lambda: bazaar.room.rules.archive(
            context, ArchiveSplitRule(idempotency_key=key(), rule_id=theirs.rule.id)
        ),
        "agree": lambda: bazaar.room.rules.create(
            context,
            CreateSplitRule(
                idempotency_key=key(),
                scope="vendor",
                subject=account.id,
                commission=CommissionRule(percent_bps=1),
            ),
        ),
        "sell": lambda: bazaar.sell(500, rest(account)),
        "sell by commission": lambda: bazaar.sell(500, vendor_id=account.id),
        "transfer from": lambda: bazaar.room.transfers.create(
            context,
            CreateAccountTransfer(
                idempotency_key=key(), amount_minor=1, currency="EUR", source_id=account.id
            ),
        ),
        "transfer to": lambda: bazaar.room.transfers.create(
            context,
            CreateAccountTransfer(
                idempotency_key=key(), amount_minor=1, currency="EUR", target_id=account.id
            ),
        ),
        "release": lambda: _foreign(mine, theirs).release(theirs.kept),
        "deliver": lambda: _foreign(mine, theirs).deliver(theirs.kept),
        "accept": lambda: _foreign(mine, theirs).accept(theirs.kept),
    }
    before = await theirs.bazaar.books()
    for attempt in tries.values():
        with pytest.raises(NotFound):
            await attempt()
    with pytest.raises(InputInvalid):
        await bazaar.refund(mine.sale, 10, shares=(rest(account),))
    await bazaar.share()
    assert await theirs.bazaar.books() == before
    found = await theirs.bazaar.room.accounts.get_many(theirs.bazaar.shop.context, [account.id])
    assert found[account.id] == account


class _Foreign(Bazaar):
    """My platform, which has found out the id of another one's escrow."""

    found: EscrowHold

    async def escrow(self, payment: Payment) -> EscrowHold:
        """The other one's."""
        return self.found


def _foreign(mine: World, theirs: World) -> Bazaar:
    reaching = _Foreign(mine.bazaar.shop)
    object.__setattr__(reaching, "found", theirs.escrow)
    return reaching
