"""Which tests does a payout rail's plugin inherit?

A `RailCase` holds the rail, its settings and the destinations that make its provider's test mode
pay, refuse or lose an answer. What a case leaves out is skipped, aloud.
"""

from __future__ import annotations

import asyncio
import inspect
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import msgspec

from payengine.plugin import (
    Amount,
    Call,
    LookUpPayouts,
    NotSent,
    PayoutDestination,
    PayoutOrder,
    PayoutRail,
    PayoutResult,
    PayoutsTold,
    PluginSettings,
    RailManifest,
    SendPayouts,
    from_plain,
    parse_settings,
    to_plain,
)
from payengine.testing.case import NotApplicable, refuse, require
from payengine.testing.check import CheckResult

__all__ = ["ALL_RAIL_CHECKS", "RAIL_CHECKS", "RailCase", "RailContract", "RailReport", "check_rail"]

_CHECK_LIMIT_S = 60.0
_WENT = frozenset({"accepted", "paid"})


@dataclass(frozen=True, kw_only=True)
class RailCase:
    """A payout rail with all that its contract tests need.

    `pays` is a destination that is paid, `refuses` one whose payout fails at once or when it is
    looked up, `loses` one whose first answer is lost though the money goes. `books` gives what the
    provider itself has paid: the keys of all orders, one entry for each payment that left.
    """

    rail: PayoutRail
    settings: PluginSettings
    pays: PayoutDestination
    refuses: PayoutDestination | None = None
    loses: PayoutDestination | None = None
    books: Callable[[Call], Awaitable[Sequence[str]]] | None = None
    account: str = "acct_contract"
    currency: str = "EUR"
    amount_minor: int = 1_200
    deadline_ms: int = 5_000
    looks: int = 5

    @property
    def manifest(self) -> RailManifest:
        """The rail's manifest."""
        return self.rail.describe()

    def call(self) -> Call:
        """The frame of each request."""
        return Call(account=self.account, settings=self.settings, deadline_ms=self.deadline_ms)

    def orders(self, destination: PayoutDestination, *, count: int = 1) -> SendPayouts:
        """A fresh sending of so many orders."""
        name = uuid.uuid4().hex
        orders = tuple(
            PayoutOrder(
                key=f"po_{name}{n}",
                amount=Amount(self.amount_minor + n, self.currency),
                destination=destination,
                statement="a contract test",
            )
            for n in range(count)
        )
        return SendPayouts(key=f"pob_{name}", orders=orders)

    async def send(self, request: SendPayouts) -> dict[str, PayoutResult]:
        """What the rail says of each order, within the deadline."""
        told = await asyncio.wait_for(self.rail.send(self.call(), request), self.deadline_ms / 1000)
        return _by_key(told, request.orders)

    async def look_up(self, request: SendPayouts) -> dict[str, PayoutResult]:
        """What the rail says of each order when it is asked."""
        asked = LookUpPayouts(key=request.key, orders=request.orders)
        told = await asyncio.wait_for(
            self.rail.look_up(self.call(), asked), self.deadline_ms / 1000
        )
        return _by_key(told, request.orders)

    async def paid(self, request: SendPayouts) -> list[str]:
        """The payments of these orders in the provider's own books."""
        if self.books is None:
            raise NotApplicable("the case does not show the provider's books")
        keys = {order.key for order in request.orders}
        return [key for key in await self.books(self.call()) if key in keys]

    async def aclose(self) -> None:
        """Close the rail where it can be closed."""
        close = getattr(self.rail, "aclose", None)
        if close is not None:
            done = close()
            if inspect.isawaitable(done):
                await done


def _by_key(told: object, orders: Sequence[PayoutOrder]) -> dict[str, PayoutResult]:
    if not isinstance(told, PayoutsTold):
        refuse(f"the answer is a {type(told).__name__}, no PayoutsTold")
    read = from_plain(to_plain(told), PayoutsTold)
    found = {one.key: one for one in read.results}
    require(len(found) == len(read.results), "two results have one key")
    for order in orders:
        require(order.key in found, f"nothing was said of the order {order.key}")
        amount = found[order.key].amount
        require(amount in (None, order.amount), f"it names {amount}, not {order.amount}")
    return found


async def describe_is_constant(case: RailCase) -> None:
    """describe() says the same each time, and its settings survive a round trip."""
    manifest = case.rail.describe()
    require(manifest == case.rail.describe(), "describe() changes its mind")
    require(isinstance(case.rail, PayoutRail), "it lacks a method of PayoutRail")
    require(case.pays.kind in manifest.destinations, "it does not declare the case's destination")
    read = parse_settings(manifest.settings, to_plain(case.settings))
    require(read == case.settings, "the settings do not survive being saved and read")


async def pays_a_payout(case: RailCase) -> None:
    """A payout is accepted or paid, and a look-up says no less."""
    request = case.orders(case.pays)
    (sent,) = (await case.send(request)).values()
    require(sent.status in _WENT, f"the destination that pays answered {sent.status}")
    if case.manifest.lookup:
        (found,) = (await case.look_up(request)).values()
        require(found.status in _WENT, f"a look-up of it answered {found.status}")


async def same_key_pays_once(case: RailCase) -> None:
    """The same sending, three times and twice at once, is one payment."""
    request = case.orders(case.pays)
    for _ in range(3):
        (sent,) = (await case.send(request)).values()
        require(sent.status in _WENT, f"sent again it answered {sent.status}")
    again = await asyncio.gather(case.send(request), case.send(request), return_exceptions=True)
    for one in again:
        require(not isinstance(one, NotSent), "a sending that is known was called not sent")
    require(await case.paid(request) == [request.orders[0].key], "it was paid more than once")


async def another_body_under_a_key_moves_nothing(case: RailCase) -> None:
    """A key that was used for another amount pays nothing more, and reports no success of it."""
    request = case.orders(case.pays)
    await case.send(request)
    order = request.orders[0]
    more = Amount(order.amount.minor + 1, order.amount.currency)
    changed = msgspec.structs.replace(
        request, orders=(msgspec.structs.replace(order, amount=more),)
    )
    try:
        told = await asyncio.wait_for(case.rail.send(case.call(), changed), case.deadline_ms / 1000)
    except Exception:
        told = PayoutsTold(results=())
    for one in told.results:
        named = one.amount or order.amount
        went = one.status in _WENT and named == more
        require(not went, "another amount under a used key was reported as sent")
    require(len(await case.paid(request)) == 1, "another body under a key was paid too")


async def a_batch_tells_of_each(case: RailCase) -> None:
    """Several orders in one sending each have a result, and each is paid once."""
    count = min(case.manifest.max_batch, 3)
    if count < 2:
        raise NotApplicable("the rail pays singly")
    request = case.orders(case.pays, count=count)
    for one in (await case.send(request)).values():
        require(one.status in _WENT, f"one of the batch answered {one.status}")
    keys = sorted(order.key for order in request.orders)
    require(sorted(await case.paid(request)) == keys, "the batch was not paid once each")


async def refusals_are_results(case: RailCase) -> None:
    """A payout that cannot arrive ends failed or returned with a reason, and is not an error."""
    if case.refuses is None:
        raise NotApplicable("the case has no destination that refuses")
    request = case.orders(case.refuses)
    (result,) = (await case.send(request)).values()
    for _ in range(case.looks):
        if result.status in ("failed", "returned"):
            break
        (result,) = (await case.look_up(request)).values()
    require(result.status in ("failed", "returned"), f"it ended as {result.status}")
    require(result.failure is not None, "a failure says why in the contract's words")


async def lost_answers_are_found(case: RailCase) -> None:
    """After a lost answer a look-up finds the payout, and sending again pays no second time."""
    if case.loses is None:
        raise NotApplicable("the case has no destination that loses an answer")
    request = case.orders(case.loses)
    try:
        (sent,) = (await case.send(request)).values()
    except NotSent:
        refuse("it was sent, and must not be called not sent")
    except Exception:
        sent = None
    require(sent is None or sent.status == "unknown", "the answer was not lost")
    if case.manifest.lookup:
        (found,) = (await case.look_up(request)).values()
        require(found.status in _WENT, f"a look-up of it answered {found.status}")
    (again,) = (await case.send(request)).values()
    require(again.status in _WENT, f"sent again it answered {again.status}")
    require(len(await case.paid(request)) == 1, "it was paid more than once")


async def strangers_are_not_found(case: RailCase) -> None:
    """A look-up of what was never sent says so; it does not guess."""
    if not case.manifest.lookup:
        raise NotApplicable("the manifest declares no look-ups")
    (found,) = (await case.look_up(case.orders(case.pays))).values()
    require(
        found.status in ("not_found", "unknown"),
        f"what was never sent was found as {found.status}",
    )


ALL_RAIL_CHECKS = (
    describe_is_constant,
    pays_a_payout,
    same_key_pays_once,
    another_body_under_a_key_moves_nothing,
    a_batch_tells_of_each,
    refusals_are_results,
    lost_answers_are_found,
    strangers_are_not_found,
)
RAIL_CHECKS: dict[str, Callable[[RailCase], Coroutine[Any, Any, None]]] = {
    check.__name__: check for check in ALL_RAIL_CHECKS
}


@dataclass(frozen=True, kw_only=True)
class RailReport:
    """The results of one payout rail."""

    rail: str
    results: tuple[CheckResult, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(result.verdict != "failed" for result in self.results)

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the checks that failed."""
        return tuple(result.name for result in self.results if result.verdict == "failed")

    def to_plain(self) -> dict[str, Any]:
        """The report as JSON-ready builtins."""
        return {
            "rail": self.rail,
            "ok": self.ok,
            "results": [dict(vars(result)) for result in self.results],
        }


def check_rail(rail: PayoutRail, case: RailCase | None) -> RailReport:
    """Run every check, one after the other; never raises for a fault of the rail.

    Without a case all of them are skipped, aloud. Runs an event loop of its own.
    """
    if case is None:
        why = "the plugin's function `conformance` returns no RailCase of this rail"
        results = [_skipped(name, why) for name in RAIL_CHECKS]
        return RailReport(rail=rail.describe().name, results=tuple(results))
    found = asyncio.run(_results(case))
    return RailReport(rail=case.manifest.name, results=tuple(found))


async def _results(case: RailCase) -> list[CheckResult]:
    found = [await _result(name, case) for name in RAIL_CHECKS]
    await case.aclose()
    return found


async def _result(name: str, case: RailCase) -> CheckResult:
    began = time.perf_counter()
    verdict: Literal["passed", "failed", "skipped"] = "passed"
    message = ""
    try:
        await asyncio.wait_for(RAIL_CHECKS[name](case), _CHECK_LIMIT_S)
    except NotApplicable as why:
        verdict, message = "skipped", str(why)
    except Exception as fault:
        verdict, message = "failed", f"{type(fault).__name__}: {fault}"
    took_ms = round((time.perf_counter() - began) * 1_000)
    return CheckResult(
        name=name, title=_title(name), verdict=verdict, message=message, took_ms=took_ms
    )


def _skipped(name: str, why: str) -> CheckResult:
    return CheckResult(name=name, title=_title(name), verdict="skipped", message=why)


def _title(name: str) -> str:
    return (RAIL_CHECKS[name].__doc__ or name).strip().splitlines()[0]


class RailContract:
    """Inherit it in a class whose name starts with `Test`, and give `case`."""

    checks: ClassVar[dict[str, Callable[[RailCase], Coroutine[Any, Any, None]]]] = RAIL_CHECKS

    def case(self) -> RailCase:
        """The rail under test with its samples; made anew for each test."""
        raise NotImplementedError

    def _keeps(self, name: str) -> None:
        """Run one check in a loop of its own; the current event loop stays as it is."""
        case = self.case()
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(_checked(name, case))
        except NotApplicable as why:
            import pytest

            pytest.skip(str(why))
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()


async def _checked(name: str, case: RailCase) -> None:
    try:
        await RAIL_CHECKS[name](case)
    finally:
        await case.aclose()


def _test(name: str) -> Callable[[RailContract], None]:
    def test(self: RailContract) -> None:
        self._keeps(name)

    test.__name__ = f"test_{name}"
    test.__qualname__ = f"RailContract.test_{name}"
    test.__doc__ = RAIL_CHECKS[name].__doc__
    return test


for _name in RAIL_CHECKS:
    setattr(RailContract, f"test_{_name}", _test(_name))
