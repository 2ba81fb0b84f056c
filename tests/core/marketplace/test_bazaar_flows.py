"""Do random flows through the stored services leave every account exactly where it must be?

Payments of random splits are captured in parts, refunded, disputed, kept in escrow, released and
transferred, with what happened shared at random moments, against a real database. After each flow
the parts sum, the trial balance is zero, nobody is below zero but by a refund, a dispute or a fee,
and the last refund empties every part. `PAYENGINE_NIGHTLY` asks for 2,000 flows.
"""

from __future__ import annotations

import os
import random
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from payengine.errors import PayengineError
from payengine.marketplace.commission import CommissionRule, Tier
from payengine.marketplace.connected_models import ConnectedAccount
from payengine.marketplace.transferring import CreateAccountTransfer
from payengine.payments import Payment

from tests.bazaar import Bazaar, escrow, platform, vendor
from tests.core.payments.disputing import Court, report
from tests.engines import Shop, key

_FLOWS = 2_000 if os.environ.get("PAYENGINE_NIGHTLY") else 20
_STEPS = 10


def _shares(chance: random.Random, vendors: list[ConnectedAccount], amount: int) -> Any:
    """Fixed parts and percentages that leave something, and a remainder."""
    owners = chance.sample(vendors, chance.randint(1, len(vendors)))
    parts = []
    for owner in owners[:-1]:
        if chance.random() < 0.5:
            parts.append(vendor(owner, amount_minor=chance.randint(0, amount // 8)))
        else:
            parts.append(vendor(owner, percent_bps=chance.randint(0, 2_000)))
    parts.append(platform(percent_bps=chance.randint(0, 2_000)))
    parts.append(vendor(owners[-1], remainder=True))
    return parts


class _Flow:
    """One seeded flow of a platform."""

    def __init__(self, bazaar: Bazaar, vendors: list[ConnectedAccount], seed: int) -> None:
        self.bazaar = bazaar
        self.vendors = vendors
        self.chance = random.Random(seed)
        self.court = Court(bazaar.shop)
        self.disputes: list[tuple[str, int, str]] = []
        self.excused = False
        self.floor: list[int] = []
        self.payment: Payment
        self.sent = ""

    async def begin(self) -> None:
        """A sale of a random split, at once or by parts, with or without escrow."""
        self.floor = [min(each, 0) for each in await self._owed()]
        chance, amount = self.chance, self.chance.randint(1, 20_000)
        terms: dict[str, Any] = {
            "fee_policy": chance.choice(("proportional", "keep")),
            "liability": chance.choice(("vendor", "platform", "split_ratio")),
            "fee_bearer": chance.choice(("vendor", "platform", "split_ratio")),
        }
        if chance.random() < 0.4:
            terms["escrow"] = escrow("manual", timeout_days=5)
        if chance.random() < 0.4:
            tiers = (Tier(up_to=9_000, percent_bps=900), Tier(up_to=None, percent_bps=333))
            rule = chance.choice(
                (
                    CommissionRule(percent_bps=chance.randint(0, 3_000), fixed=30, max=900),
                    CommissionRule(tiers=tiers, min=5),
                )
            )
            terms |= {"vendor_id": chance.choice(self.vendors).id, "commission": rule}
            shares: list[Any] = []
        else:
            shares = _shares(chance, self.vendors, amount)
        method = chance.choice(("AUTOMATIC", "MANUAL"))
        self.payment = await self.bazaar.sell(amount, *shares, capture_method=method, **terms)
        (first,) = await self.bazaar.shop.operations(self.payment.id)
        self.sent = first.id

    async def step(self) -> None:
        """Anything that may happen next; what is refused changes nothing."""
        with suppress(PayengineError):
            await self.chance.choice(
                (
                    self._capture,
                    self._refund,
                    self._refund,
                    self._dispute,
                    self._end_dispute,
                    self._release,
                    self._transfer,
                    self.bazaar.share,
                )
            )()
        await self.check()

    async def _capture(self) -> None:
        now = await self.bazaar.shop.payment(self.payment.id)
        part = self.chance.randint(1, max(now.capturable_minor, 1))
        await self.bazaar.shop.capture(now.id, part, final=False)

    async def _refund(self) -> None:
        now = await self.bazaar.shop.payment(self.payment.id)
        part = self.chance.randint(1, max(now.refundable_minor, 1))
        self.excused = True
        await self.bazaar.shop.refund(now.id, part)

    async def _dispute(self) -> None:
        now = await self.bazaar.shop.payment(self.payment.id)
        if now.refundable_minor == 0:
            return
        amount = self.chance.randint(1, now.refundable_minor)
        reference = key()
        self.excused = True
        self.disputes.append((reference, amount, self.sent))
        told = report(self.sent, amount=amount, reference=reference, fee_minor=15)
        await self.court.hear(told)

    async def _end_dispute(self) -> None:
        if not self.disputes:
            return
        reference, amount, sent = self.disputes.pop()
        status = self.chance.choice(("won", "lost"))
        returned = status == "won" and self.chance.random() < 0.5
        await self.court.hear(
            report(
                sent,
                status,  # type: ignore[arg-type]
                amount=amount,
                reference=reference,
                fee_minor=15,
                fee_returned=returned,
            )
        )

    async def _release(self) -> None:
        if (await self.bazaar.divided(self.payment)).split.escrow_id is None:
            return
        if self.chance.random() < 0.3:
            with self.bazaar.shop.till.clock.later(timedelta(days=6)) as then:
                await self.bazaar.share(after=timedelta(days=6))
                await self.bazaar.room.escrows.run_once(at=then)
            return
        part = self.chance.choice((None, self.chance.randint(1, 5_000)))
        await self.bazaar.release(self.payment, part)

    async def _transfer(self) -> None:
        one, two = self.chance.sample([*self.vendors, None], 2)
        request = CreateAccountTransfer(
            idempotency_key=key(),
            amount_minor=self.chance.randint(1, 5_000),
            currency="EUR",
            source_id=one.id if one else None,
            target_id=two.id if two else None,
        )
        await self.bazaar.room.transfers.create(self.bazaar.shop.context, request)

    async def check(self) -> None:
        """The books balance and the parts are what they say."""
        context = self.bazaar.shop.context
        for each in await self.bazaar.shop.engine.ledger.trial_balance(context):
            assert each.debits == each.credits
        divided = await self.bazaar.divided(self.payment)
        held = sum(part.escrowed_minor for part in divided.parts)
        if divided.split.escrow_id is not None:
            assert (await self.bazaar.escrow(self.payment)).held_minor == held
            standing = (await self.bazaar.books()).get(f"escrow:{divided.split.escrow_id}", 0)
            assert standing == held
        if not self.excused:
            assert all(now >= was for now, was in zip(await self._owed(), self.floor, strict=True))

    async def _owed(self) -> list[int]:
        """What stands on each vendor's account."""
        owned = await self.bazaar.owned()
        return [owned.get(f"vendor_payable:{each.id}", 0) for each in self.vendors]

    async def end(self) -> None:
        """Once all is shared: the parts are the payment's, and the last refund empties them."""
        while self.disputes:
            await self._end_dispute()
        await self.bazaar.share()
        now = await self.bazaar.shop.payment(self.payment.id)
        parts = (await self.bazaar.divided(self.payment)).parts
        assert sum(part.captured_minor for part in parts) == now.captured_minor
        assert sum(part.refundable_minor for part in parts) == now.refundable_minor
        self.excused = True
        if now.refundable_minor:
            await self.bazaar.refund(now)
            assert set(await self.bazaar.parts(now)) == {0}
        assert (await self.bazaar.books()).get("merchant_payable:main", 0) == 0
        await self.check()


@pytest.mark.parametrize("tens", range(_FLOWS // 10))
async def test_a_random_flow_leaves_nothing_behind(shop: Shop, tens: int) -> None:
    bazaar = Bazaar(shop)
    vendors = [await bazaar.vendor() for _ in range(3)]
    for seed in range(10 * tens, 10 * tens + 10):
        flow = _Flow(bazaar, vendors, seed)
        await flow.begin()
        for _ in range(_STEPS):
            await flow.step()
        await flow.end()
    await shop.assert_sound()
