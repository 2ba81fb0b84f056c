"""Does the sandbox's rail keep its contract, and does each token do what it says?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from payengine.plugin import (
    Amount,
    Call,
    LookUpPayouts,
    NotSent,
    PayoutDestination,
    PayoutOrder,
    SendPayouts,
)
from payengine.testing import RailCase, RailContract
from payengine_sandbox.payouts import COURSES, SandboxRail
from payengine_sandbox.samples import rail_case
from payengine_sandbox.settings import SandboxSettings

_CALL = Call(account="acct_1", settings=SandboxSettings(), deadline_ms=1_000)
_RAISES = {"acct_lost_answer", "acct_lost_request", "acct_down"}


class TestSandboxRail(RailContract):
    def case(self) -> RailCase:
        return rail_case()


@pytest.fixture
async def rail(tmp_path: Path) -> AsyncIterator[SandboxRail]:
    made = SandboxRail(tmp_path / "book.sqlite3")
    yield made
    await made.aclose()


def _sending(token: str, key: str = "pob_1") -> SendPayouts:
    order = PayoutOrder(
        key=f"po_{token}",
        amount=Amount(1_000, "EUR"),
        destination=PayoutDestination(kind="token", number=token),
    )
    return SendPayouts(key=key, orders=(order,))


@pytest.mark.parametrize("token", sorted(COURSES.keys() - _RAISES))
async def test_each_token_goes_its_course(rail: SandboxRail, token: str) -> None:
    request = _sending(token)
    seen = [(await rail.send(_CALL, request)).results[0].status]
    for _ in range(3):
        asked = LookUpPayouts(key=request.key, orders=request.orders)
        seen.append((await rail.look_up(_CALL, asked)).results[0].status)
    course = COURSES[token]
    assert seen == [*course, *[course[-1]] * (4 - len(course))]


async def test_a_rail_that_is_down_has_sent_nothing_and_takes_it_later(rail: SandboxRail) -> None:
    request = _sending("acct_down")
    with pytest.raises(NotSent):
        await rail.send(_CALL, request)
    assert rail.book().every("acct_1") == []
    assert (await rail.send(_CALL, request)).results[0].status == "accepted"


async def test_two_keys_for_one_order_show_as_two_payments(rail: SandboxRail) -> None:
    for key in ("pob_1", "pob_2", "pob_2"):
        await rail.send(_CALL, _sending("acct_ok", key))
    assert [one.sending for one in rail.book().every("acct_1")] == ["pob_1", "pob_2"]


async def test_the_book_outlives_the_process_and_keeps_accounts_apart(tmp_path: Path) -> None:
    first = SandboxRail(tmp_path / "book.sqlite3")
    await first.send(_CALL, _sending("acct_ok"))
    await first.aclose()
    second = SandboxRail(tmp_path / "book.sqlite3")
    assert [one.key for one in second.book().every("acct_1")] == ["po_acct_ok"]
    assert second.book().every("acct_2") == []
    await second.aclose()
