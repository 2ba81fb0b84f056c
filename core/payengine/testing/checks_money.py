"""Does a gateway move exactly what it is asked to move?"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import msgspec

from payengine.plugin import (
    DECLINE_CODES,
    Amount,
    Capture,
    Increment,
    Increments,
    Outcome,
    Refund,
    Statement,
    Void,
)
from payengine.testing.case import GatewayCase, NotApplicable, refuse, require

__all__ = ["ALL", "require_exact"]

_CONCURRENT = 8


def require_exact(outcome: Outcome, amount: Amount, what: str) -> None:
    """The outcome names exactly this amount, as an integer, in this currency."""
    require(isinstance(outcome, Outcome), f"{what} must answer an Outcome")
    answered = outcome.amount
    if answered is None:
        refuse(f"{what}: a success must name the amount that moved")
    require(
        type(answered.minor) is int and type(outcome.fee_minor) is int,
        f"{what}: amounts are integers in minor units, not {answered.minor!r}",
    )
    require(
        answered.currency == amount.currency,
        f"{what}: asked in {amount.currency}, answered in {answered.currency}",
    )
    require(
        answered.minor == amount.minor,
        f"{what}: asked for {amount.minor}, answered {answered.minor}",
    )


async def approval_says_what_was_asked(case: GatewayCase) -> None:
    """An approval names the amount, the currency, the reference and whether money was taken."""
    holds = "capture" in case.manifest.operations
    for capture in (True, False) if holds else (True,):
        request, outcome, _ = await case.approved(capture=capture)
        require_exact(outcome, request.amount, "authorize")
        require(outcome.captured is capture, f"capture={capture} answered {outcome.captured}")
        require(outcome.decline is None, "a success carries no decline")
        await case.require_moved(request.amount.minor if capture else 0, request.key)


async def decline_is_a_result(case: GatewayCase) -> None:
    """A refusal is an answer with a code of the taxonomy and the provider's own words."""
    request = case.payment(capture=True, token=case.declined_token)
    outcome = await case.within(case.gateway.authorize(case.call(), request))
    require(outcome.status == "declined", f"the declined token answered {outcome.status}")
    decline = outcome.decline
    if decline is None:
        refuse("a declined outcome carries its Decline")
    require(decline.code in DECLINE_CODES, f"{decline.code!r} is not in the taxonomy")
    require(decline.raw_code, "the provider's own code is kept in raw_code")
    if case.decline_code is not None:
        require(decline.code == case.decline_code, f"expected {case.decline_code}: {decline.code}")
    await case.require_moved(0, request.key)


async def one_key_charges_once(case: GatewayCase) -> None:
    """The same request with the same key is the same operation."""
    _needs_keys(case)
    request, first, reference = await case.approved(capture=True)
    again = await case.within(case.gateway.authorize(case.call(), request))
    require(again.status == "succeeded", f"the second answer was {again.status}")
    require(again.provider_reference == reference, "the second answer has another reference")
    require(again.amount == first.amount, "the second answer names another amount")
    await case.require_moved(request.amount.minor, request.key)
    refund = Refund(key=case.key(), provider_reference=reference, amount=case.amount(50))
    for _ in range(2):
        outcome = await case.within(case.gateway.refund(case.call(), refund))
        require_exact(outcome, refund.amount, "refund")
    await case.require_moved(-50, refund.key)


async def one_key_charges_once_when_concurrent(case: GatewayCase) -> None:
    """Eight requests with one key at the same time are one operation."""
    _needs_keys(case)
    request = case.payment(capture=True)
    answers = await asyncio.gather(
        *(case.within(case.gateway.authorize(case.call(), request)) for _ in range(_CONCURRENT)),
        return_exceptions=True,
    )
    outcomes = [answer for answer in answers if isinstance(answer, Outcome)]
    succeeded = [outcome for outcome in outcomes if outcome.status == "succeeded"]
    require(succeeded, f"none of {_CONCURRENT} concurrent requests succeeded: {answers[0]!r}")
    references = {outcome.provider_reference for outcome in succeeded}
    require(len(references) == 1, f"one key made {len(references)} operations")
    refused = {outcome.status for outcome in outcomes} & {"declined", "not_found"}
    require(not refused, f"a charge that happened was also reported as {refused}")
    await case.require_moved(request.amount.minor, request.key)


async def one_key_refuses_another_body(case: GatewayCase) -> None:
    """The same key with another amount charges nothing more and never claims that it did."""
    _needs_keys(case)
    request, first, reference = await case.approved(capture=True)
    other = msgspec.structs.replace(request, amount=case.amount(case.amount_minor - 1))
    try:
        outcome = await case.within(case.gateway.authorize(case.call(), other))
    except Exception:
        outcome = None
    if outcome is not None and outcome.status not in ("declined", "not_processed"):
        same = outcome.amount == first.amount and outcome.provider_reference == reference
        require(same, "another body under a used key was accepted")
    await case.require_moved(request.amount.minor, request.key)


async def capture_takes_what_is_held(case: GatewayCase) -> None:
    """A capture takes the hold; a part or all of it, and never more."""
    _needs(case, "capture")
    request, _, reference = await case.approved(capture=False)
    too_much = _capture(case, reference, case.amount_minor + 1)
    await case.refused(case.gateway.capture(case.call(), too_much), "a capture above the hold")
    await case.require_moved(0, request.key, too_much.key)
    whole = _capture(case, reference, case.amount_minor)
    outcome = await case.within(case.gateway.capture(case.call(), whole))
    require(outcome.status == "succeeded", f"the capture answered {outcome.status}")
    require_exact(outcome, whole.amount, "capture")
    await case.require_moved(case.amount_minor, request.key, whole.key)
    more = _capture(case, reference, 1)
    await case.refused(case.gateway.capture(case.call(), more), "a capture of a used-up hold")
    await case.require_moved(case.amount_minor, request.key, whole.key, more.key)


async def captures_in_parts(case: GatewayCase) -> None:
    """Several captures where the manifest allows them; a final one ends the hold."""
    _needs(case, "capture")
    _, _, reference = await case.approved(capture=False)
    parts = [_capture(case, reference, 30, final=not case.manifest.multiple_captures)]
    if case.manifest.multiple_captures:
        parts.append(_capture(case, reference, 20, final=True))
    for part in parts:
        outcome = await case.within(case.gateway.capture(case.call(), part))
        require(outcome.status == "succeeded", f"a part's capture answered {outcome.status}")
        require_exact(outcome, part.amount, "capture of a part")
    rest = _capture(case, reference, 10)
    await case.refused(case.gateway.capture(case.call(), rest), "a capture after the final one")
    total = sum(part.amount.minor for part in parts)
    await case.require_moved(total, *(part.key for part in parts), rest.key)


async def void_releases_the_hold(case: GatewayCase) -> None:
    """After a void nothing can be captured."""
    _needs(case, "void")
    if "capture" not in case.manifest.operations:
        await _void_calls_off(case)
        return
    _, _, reference = await case.approved(capture=False)
    void = Void(key=case.key(), provider_reference=reference, amount=case.amount())
    outcome = await case.within(case.gateway.void(case.call(), void))
    require(outcome.status == "succeeded", f"the void answered {outcome.status}")
    if "capture" in case.manifest.operations:
        late = _capture(case, reference, 10)
        await case.refused(case.gateway.capture(case.call(), late), "a capture after the void")
        await case.require_moved(0, late.key)


async def _void_calls_off(case: GatewayCase) -> None:
    """Where nothing is ever held, a void calls off what still waits for the buyer."""
    if case.challenge_token is None:
        raise NotApplicable("the manifest does not list capture, and the case no challenge_token")
    request = case.payment(capture=True, token=case.challenge_token)
    asked = await case.within(case.gateway.authorize(case.call(), request))
    void = Void(
        key=case.key(),
        provider_reference=str(asked.provider_reference),
        amount=case.amount(),
    )
    outcome = await case.within(case.gateway.void(case.call(), void))
    require(outcome.status == "succeeded", f"the void answered {outcome.status}")
    again = await case.refused(
        case.gateway.authorize(case.call(), request), "a payment that was called off"
    )
    require(again is None or again.status == "declined", "what was called off came back")
    await case.require_moved(0, request.key)


async def refunds_never_exceed_captures(case: GatewayCase) -> None:
    """Refunds come in parts, and their sum never exceeds what was captured."""
    _needs(case, "refund")
    request, _, reference = await case.approved(capture=True)
    keys = [request.key]
    for minor in (40, case.amount_minor - 40):
        refund = Refund(key=case.key(), provider_reference=reference, amount=case.amount(minor))
        keys.append(refund.key)
        outcome = await case.within(case.gateway.refund(case.call(), refund))
        require(outcome.status in ("succeeded", "pending"), f"a refund: {outcome.status}")
        require_exact(outcome, refund.amount, "refund")
        over = Refund(
            key=case.key(), provider_reference=reference, amount=case.amount(case.amount_minor)
        )
        keys.append(over.key)
        await case.refused(case.gateway.refund(case.call(), over), "a refund above the capture")
    await case.require_moved(0, *keys)


async def increment_raises_the_hold(case: GatewayCase) -> None:
    """After an increment the sum can be captured."""
    _needs(case, "increment")
    gateway = case.gateway
    if not isinstance(gateway, Increments):
        refuse("the manifest lists increment and the method is missing")
    _, _, reference = await case.approved(capture=False)
    more = Increment(key=case.key(), provider_reference=reference, amount=case.amount(100))
    outcome = await case.within(gateway.increment(case.call(), more))
    require(outcome.status == "succeeded", f"the increment answered {outcome.status}")
    require_exact(outcome, more.amount, "increment")
    whole = _capture(case, reference, case.amount_minor + 100)
    outcome = await case.within(gateway.capture(case.call(), whole))
    require(outcome.status == "succeeded", "the raised hold could not be captured")
    require_exact(outcome, whole.amount, "capture")


async def statement_lists_every_movement(case: GatewayCase) -> None:
    """The provider's own books list captures and refunds once, in order, in a half-open span."""
    if not case.manifest.movements or not isinstance(case.gateway, Statement):
        raise NotApplicable("the manifest declares no movements")
    request, _, reference = await case.approved(capture=True)
    refund = Refund(key=case.key(), provider_reference=reference, amount=case.amount(50))
    await case.within(case.gateway.refund(case.call(), refund))
    lines = await case.moved(request.key, refund.key)
    seen = [(line.key, line.kind, line.amount.minor, line.amount.currency) for line in lines]
    expected = [
        (request.key, "capture", case.amount_minor, case.currency),
        (refund.key, "refund", -50, case.currency),
    ]
    require(seen == expected, f"expected {expected}, the statement has {seen}")
    require(all(type(line.fee_minor) is int for line in lines), "fees are integers")
    require(all(line.at.tzinfo is not None for line in lines), "instants are aware")
    first: datetime = lines[0].at
    span = {"since": first - timedelta(hours=1), "until": first}
    before = await case.within(case.gateway.movements(case.call(), **span))
    require(all(line.key != request.key for line in before), "a span must not include its end")


def _capture(case: GatewayCase, reference: str, minor: int, *, final: bool = True) -> Capture:
    return Capture(
        key=case.key(), provider_reference=reference, amount=case.amount(minor), final=final
    )


def _needs(case: GatewayCase, operation: str) -> None:
    if operation not in case.manifest.operations:
        raise NotApplicable(f"the manifest does not list {operation}")


def _needs_keys(case: GatewayCase) -> None:
    if not case.manifest.supports_idempotency:
        raise NotApplicable("the manifest declares no idempotency keys")


ALL = (
    approval_says_what_was_asked,
    decline_is_a_result,
    one_key_charges_once,
    one_key_charges_once_when_concurrent,
    one_key_refuses_another_body,
    capture_takes_what_is_held,
    captures_in_parts,
    void_releases_the_hold,
    refunds_never_exceed_captures,
    increment_raises_the_hold,
    statement_lists_every_movement,
)
