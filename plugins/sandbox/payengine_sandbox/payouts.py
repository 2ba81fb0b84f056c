"""How does the sandbox pay out?

What becomes of a payout is written in its destination's token, so that every failure can be had on
purpose. Each look at a payout lets it go one step on: none waits for a clock.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
from payengine.plugin import (
    Amount,
    Call,
    LookUpPayouts,
    NotSent,
    PayoutDestination,
    PayoutFailure,
    PayoutOrder,
    PayoutResult,
    PayoutResultStatus,
    PayoutsTold,
    RailManifest,
    SendPayouts,
)

from payengine_sandbox.local import store_path
from payengine_sandbox.payout_book import Kept, PayoutBook
from payengine_sandbox.settings import SandboxSettings

__all__ = ["COURSES", "SandboxRail", "rail_path"]

#: Token → the statuses that a payout to it goes through, one step at each look.
COURSES: dict[str, tuple[PayoutResultStatus, ...]] = {
    "acct_ok": ("accepted", "paid"),
    "acct_instant": ("paid",),
    "acct_slow": ("accepted",),
    "acct_closed": ("accepted", "failed"),
    "acct_refused": ("failed",),
    "acct_returned": ("accepted", "paid", "returned"),
    "acct_no_funds": ("failed",),
    "acct_lost_answer": ("accepted", "paid"),
    "acct_lost_request": ("accepted", "paid"),
    "acct_down": ("accepted", "paid"),
    "acct_mute": ("unknown",),
}

_FAILURES: dict[str, PayoutFailure] = {
    "acct_closed": "account_closed",
    "acct_refused": "account_invalid",
    "acct_returned": "account_closed",
    "acct_no_funds": "insufficient_funds",
}
_MOST_ORDERS = 50


def rail_path() -> Path:
    """The book's file: `sandbox_payouts.sqlite3` beside the gateway's books."""
    return store_path().with_name("sandbox_payouts.sqlite3")


class SandboxRail:
    """A rail that pays nobody; `path` is its book, by default in the platform's data folder."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._book: PayoutBook | None = None

    def describe(self) -> RailManifest:
        """Test worlds only; any currency, forints and new dollars in whole hundreds."""
        return RailManifest(
            name="sandbox",
            title="Sandbox payouts",
            version="1.0",
            destinations=("token",),
            max_batch=_MOST_ORDERS,
            steps={"HUF": 100, "TWD": 100},
            returns_s=864_000,
            test_worlds_only=True,
            settings=SandboxSettings,
        )

    async def send(self, call: Call, request: SendPayouts) -> PayoutsTold:
        """Keep the orders once, then answer as their tokens say."""
        tokens = {order.destination.number for order in request.orders}
        book = await asyncio.to_thread(self._opened)
        body = msgspec.json.encode([_body(order) for order in request.orders])
        tries = await asyncio.to_thread(book.count_try, call.account, request.key, body=body)
        if tries is None:
            raise ValueError("another sending has this key")
        if tries == 1 and "acct_down" in tokens:
            raise NotSent("the sandbox's rail is down")
        if tries == 1 and "acct_lost_request" in tokens:
            raise ConnectionResetError("the request was lost")
        orders = [_new(order, request.key) for order in request.orders]
        await asyncio.to_thread(book.keep, call.account, orders)
        if tries == 1 and "acct_lost_answer" in tokens:
            raise ConnectionResetError("the answer was lost")
        kept = await asyncio.to_thread(book.of, call.account, request.key)
        return PayoutsTold(results=tuple(_told(one) for one in kept))

    async def look_up(self, call: Call, request: LookUpPayouts) -> PayoutsTold:
        """What has become of the orders; each goes one step on."""
        book = await asyncio.to_thread(self._opened)
        kept = {one.key: one for one in await asyncio.to_thread(book.of, call.account, request.key)}
        told = []
        for order in request.orders:
            one = kept.get(order.key)
            if one is None:
                told.append(PayoutResult(key=order.key, status="not_found"))
                continue
            status = _after(one)
            await asyncio.to_thread(book.step, call.account, one, status=status)
            told.append(_told(msgspec.structs.replace(one, status=status, looks=one.looks + 1)))
        return PayoutsTold(results=tuple(told))

    def book(self) -> PayoutBook:
        """What this rail has paid."""
        return self._opened()

    async def aclose(self) -> None:
        """Close the book."""
        book, self._book = self._book, None
        if book is not None:
            book.close()

    def _opened(self) -> PayoutBook:
        if self._book is None:
            self._book = PayoutBook(self._path or rail_path())
        return self._book


def _body(order: PayoutOrder) -> tuple[str, int, str, PayoutDestination]:
    """What makes an order the same: not what the rail itself has told of it."""
    return order.key, order.amount.minor, order.amount.currency, order.destination


def _course(token: str) -> tuple[PayoutResultStatus, ...]:
    """A token's steps; one that is unknown belongs to no account."""
    return COURSES.get(token, COURSES["acct_refused"])


def _new(order: PayoutOrder, sending: str) -> Kept:
    token = order.destination.number
    return Kept(
        sending=sending,
        key=order.key,
        token=token,
        amount_minor=order.amount.minor,
        currency=order.amount.currency,
        status=_course(token)[0],
        looks=0,
    )


def _after(one: Kept) -> PayoutResultStatus:
    course = _course(one.token)
    return course[min(one.looks + 1, len(course) - 1)]


def _told(one: Kept) -> PayoutResult:
    has_failed = one.status in ("failed", "returned")
    failure = _FAILURES.get(one.token, "account_invalid") if has_failed else None
    return PayoutResult(
        key=one.key,
        status=_status(one.status),
        amount=Amount(one.amount_minor, one.currency),
        provider_reference=f"sbx_{one.key}",
        failure=failure,
        raw_code=failure,
        detail="The receiver's bank sent it back." if has_failed else "",
    )


def _status(text: str) -> PayoutResultStatus:
    return msgspec.convert(text, PayoutResultStatus)  # type: ignore[no-any-return]
