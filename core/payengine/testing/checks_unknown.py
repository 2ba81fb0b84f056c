"""Can what became of a request always be found out?"""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlsplit

from payengine.plugin import Lookup, NotSent, Outcome, Refund
from payengine.testing.case import GatewayCase, NotApplicable, refuse, require
from payengine.testing.checks_money import require_exact

__all__ = ["ALL"]

_POLL_S = 0.05
_PROOF_OF_NOTHING = ("declined", "not_processed", "not_found")


async def lookup_finds_what_was_sent(case: GatewayCase) -> None:
    """A lookup by key tells the same as the answer did."""
    _needs_lookup(case)
    request, outcome, reference = await case.approved(capture=True)
    found = await _lookup(case, Lookup(key=request.key, kind="authorize"))
    require(found.status == outcome.status, f"{outcome.status} is looked up as {found.status}")
    require_exact(found, request.amount, "lookup")
    require(found.provider_reference == reference, "the lookup names another reference")
    require(found.captured == outcome.captured, "the lookup differs about the capture")
    if "refund" in case.manifest.operations:
        refund = Refund(key=case.key(), provider_reference=reference, amount=case.amount(50))
        await case.within(case.gateway.refund(case.call(), refund))
        found = await _lookup(
            case, Lookup(key=refund.key, kind="refund", provider_reference=reference)
        )
        require(found.status in ("succeeded", "pending"), f"a refund is found as {found.status}")
        require_exact(found, refund.amount, "lookup of a refund")


async def lookup_finds_a_decline(case: GatewayCase) -> None:
    """A lookup of a declined request never says that it succeeded."""
    _needs_lookup(case)
    request = case.payment(capture=True, token=case.declined_token)
    await case.within(case.gateway.authorize(case.call(), request))
    found = await _lookup(case, Lookup(key=request.key, kind="authorize"))
    require(found.status in ("declined", "not_found"), f"a decline is found as {found.status}")


async def lookup_of_an_unknown_key_finds_nothing(case: GatewayCase) -> None:
    """A key that was never sent is `not_found`: an answer, no error."""
    _needs_lookup(case)
    found = await case.within(
        case.gateway.lookup(case.call(), Lookup(key=case.key(), kind="authorize"))
    )
    require(found.status == "not_found", f"an unknown key is found as {found.status}")


async def lost_answer_is_no_decline(case: GatewayCase) -> None:
    """A charge whose answer is lost is unknown, and a lookup finds it."""
    if case.make_timeout is None:
        raise NotApplicable("the case gives no make_timeout")
    request = case.make_timeout(case.payment(capture=True))
    try:
        outcome = await case.within(case.gateway.authorize(case.call(), request))
    except NotSent:
        refuse("a request that was sent is reported as not sent")
    except Exception:
        outcome = None
    if outcome is not None:
        require(
            outcome.status not in _PROOF_OF_NOTHING,
            f"a lost answer is reported as {outcome.status}",
        )
    if not case.manifest.lookup:
        return
    found = await _lookup(case, Lookup(key=request.key, kind="authorize"))
    require(found.status == "succeeded", f"the charge is looked up as {found.status}")
    require_exact(found, request.amount, "lookup")
    await case.require_moved(request.amount.minor, request.key)


async def challenge_asks_the_buyer(case: GatewayCase) -> None:
    """A challenge answers `requires_action` with an address, and moves nothing yet."""
    if case.challenge_token is None:
        raise NotApplicable("the case gives no challenge_token")
    request = case.payment(capture=True, token=case.challenge_token)
    outcome = await case.within(case.gateway.authorize(case.call(), request))
    require(outcome.status == "requires_action", f"the challenge answered {outcome.status}")
    if outcome.next_action is None:
        refuse("requires_action needs a next_action")
    address = urlsplit(outcome.next_action.url)
    require(
        address.scheme in ("http", "https") and address.netloc,
        f"{outcome.next_action.url!r} is no address that a browser can open",
    )
    require(outcome.provider_reference, "a challenge carries the provider's reference")
    await case.require_moved(0, request.key)
    if case.manifest.lookup:
        found = await _lookup(case, Lookup(key=request.key, kind="authorize"))
        require(found.status == "requires_action", f"it is looked up as {found.status}")


async def pending_comes_to_an_end(case: GatewayCase) -> None:
    """A delayed result is `pending` first; a lookup tells its end."""
    if case.pending_token is None:
        raise NotApplicable("the case gives no pending_token")
    _needs_lookup(case)
    request = case.payment(capture=True, token=case.pending_token)
    outcome = await case.within(case.gateway.authorize(case.call(), request))
    require(outcome.status == "pending", f"the pending token answered {outcome.status}")
    require_exact(outcome, request.amount, "authorize")
    until = time.monotonic() + case.settle_s
    while time.monotonic() < until:
        found = await _lookup(case, Lookup(key=request.key, kind="authorize"))
        if found.status == "succeeded":
            require_exact(found, request.amount, "lookup")
            await case.require_moved(request.amount.minor, request.key)
            return
        require(found.status == "pending", f"it became {found.status}")
        await asyncio.sleep(_POLL_S)
    refuse(f"still pending after {case.settle_s} s")


async def _lookup(case: GatewayCase, request: Lookup) -> Outcome:
    """A lookup that may be late by what the manifest declares."""
    late_s = case.manifest.lookup_consistent_after_ms / 1000
    until = time.monotonic() + late_s
    while True:
        found = await case.within(case.gateway.lookup(case.call(), request))
        if found.status != "not_found" or time.monotonic() >= until:
            return found
        await asyncio.sleep(_POLL_S)


def _needs_lookup(case: GatewayCase) -> None:
    if not case.manifest.lookup:
        raise NotApplicable("the manifest declares no lookup")


ALL = (
    lookup_finds_what_was_sent,
    lookup_finds_a_decline,
    lookup_of_an_unknown_key_finds_nothing,
    lost_answer_is_no_decline,
    challenge_asks_the_buyer,
    pending_comes_to_an_end,
)
