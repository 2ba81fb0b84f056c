"""Is a payment shared exactly once, whenever the process that shares it dies, and how many do?"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from payengine.events.relay import publish_batch
from payengine.marketplace.meant import SplitInput

from tests.bazaar import Bazaar, escrow, platform, rest
from tests.engines import open_till
from tests.servers import HomeOfTest

_ROOT = Path(__file__).parents[2]


async def _share_and_die(home: HomeOfTest, fault: str) -> int:
    died = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.acceptance.sharing_program", str(home.home), home.login_url),
        cwd=_ROOT,
        env={**os.environ, "PAYENGINE_FAULTS": fault, "PYTHONPATH": str(_ROOT)},
        stdout=asyncio.subprocess.DEVNULL,
    )
    return await asyncio.wait_for(died.wait(), 240)


@pytest.mark.parametrize("fault", ["split_posted", "split_posted:2"])
async def test_a_process_that_dies_shares_each_step_once(
    payment_home: HomeOfTest, fault: str
) -> None:
    async with open_till(payment_home) as till:
        bazaar = Bazaar(await till.shop())
        one = await bazaar.vendor(reserve_bps=1_000, reserve_days=9)
        shares = (platform(percent_bps=1_000), rest(one))
        plain = await bazaar.shop.pay(1_000, split=SplitInput(shares=shares))
        kept = await bazaar.shop.pay(
            500, split=SplitInput(shares=(rest(one),), escrow=escrow("manual"))
        )
        await bazaar.shop.refund(plain.payment.id, 333)
        while (placed := await publish_batch(till.engine.database)) is None or placed.total():
            pass
        assert await _share_and_die(payment_home, fault) == -signal.SIGKILL
        await asyncio.gather(
            *(
                bazaar.room.sharer.run_once(at=datetime.now(UTC) + timedelta(minutes=1))
                for _ in range(3)
            )
        )
        await bazaar.share()
        assert await bazaar.parts(plain.payment) == [67, 600]
        assert await bazaar.parts(kept.payment) == [500]
        standing = await bazaar.standing(one)
        assert (standing.available_minor, standing.reserved_minor) == (510, 90)
        assert standing.in_escrow_minor == 500
        events = await bazaar.events()
        assert (events["split.captured"], events["split.refunded"]) == (2, 1)
        await bazaar.shop.assert_sound()
