"""Which gateways break the contract, and which check must notice?

Each class is the sandbox with one planted fault.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

import msgspec
from payengine.plugin import (
    AcceptDispute,
    Amount,
    Authorize,
    Call,
    Capture,
    Decline,
    DisputeEvent,
    DisputeEvidence,
    Increment,
    Lookup,
    Manifest,
    Movement,
    NextAction,
    NotSent,
    Outcome,
    PluginSettings,
    Refund,
    Void,
    WebhookEvent,
    WebhookRefused,
    WebhookRequest,
)
from payengine_sandbox.gateway import MANIFEST, SandboxGateway

__all__ = ["FAULTS"]

replace = msgspec.structs.replace
DECLINED = Outcome(
    status="declined", decline=Decline(code="generic_decline", raw_code="generic_decline")
)


class ChargesTwice(SandboxGateway):
    """Forgets that a key was used."""

    _counter = itertools.count()

    async def authorize(self, call: Call, request: Authorize) -> Outcome:
        return await super().authorize(
            call, replace(request, key=f"{request.key}-{next(self._counter)}")
        )


class RefundsTwice(SandboxGateway):
    """Keeps keys for authorizations only."""

    _counter = itertools.count()

    async def refund(self, call: Call, request: Refund) -> Outcome:
        first = await super().refund(call, request)
        await super().refund(call, replace(request, key=f"{request.key}-{next(self._counter)}"))
        return first

    async def movements(
        self, call: Call, *, since: datetime, until: datetime
    ) -> Sequence[Movement]:
        lines = await super().movements(call, since=since, until=until)
        return [
            replace(line, key=line.key.rpartition("-")[0]) if line.key.count("-") > 1 else line
            for line in lines
        ]


class TakesAnotherBody(SandboxGateway):
    """Treats a used key with another body as a new request."""

    async def authorize(self, call: Call, request: Authorize) -> Outcome:
        try:
            return await super().authorize(call, request)
        except Exception:
            return await super().authorize(call, replace(request, key=request.key + "-other"))


class FloatAmounts(SandboxGateway):
    """Answers amounts in major units."""

    async def authorize(self, call: Call, request: Authorize) -> Outcome:
        outcome = await super().authorize(call, request)
        if outcome.amount is None:
            return outcome
        major = cast(int, outcome.amount.minor / 100)
        return replace(outcome, amount=Amount(major, outcome.amount.currency))


class WrongAmount(SandboxGateway):
    """Answers another amount than it was asked for."""

    async def authorize(self, call: Call, request: Authorize) -> Outcome:
        outcome = await super().authorize(call, request)
        if outcome.amount is None:
            return outcome
        return replace(outcome, amount=Amount(outcome.amount.minor + 1, outcome.amount.currency))


class OtherCurrency(SandboxGateway):
    """Answers another currency than it was asked for."""

    async def authorize(self, call: Call, request: Authorize) -> Outcome:
        outcome = await super().authorize(call, request)
        if outcome.amount is None:
            return outcome
        return replace(outcome, amount=Amount(outcome.amount.minor, "USD"))


class AlwaysCaptures(SandboxGateway):
    """Takes money where only a hold was asked for."""

    async def authorize(self, call: Call, request: Authorize) -> Outcome:
        return await super().authorize(call, replace(request, capture=True))


class LostAnswerIsDeclined(SandboxGateway):
    """Reports a timeout as a decline."""

    async def authorize(self, call: Call, request: Authorize) -> Outcome:
        try:
            patience_s = call.deadline_ms / 2000
            return await asyncio.wait_for(super().authorize(call, request), patience_s)
        except TimeoutError:
            return DECLINED


class LostAnswerIsNotSent(SandboxGateway):
    """Reports a timeout as proof that nothing was sent."""

    async def authorize(self, call: Call, request: Authorize) -> Outcome:
        try:
            patience_s = call.deadline_ms / 2000
            return await asyncio.wait_for(super().authorize(call, request), patience_s)
        except TimeoutError:
            raise NotSent from None


class RaisesDeclines(SandboxGateway):
    """Raises where a decline is a result."""

    async def authorize(self, call: Call, request: Authorize) -> Outcome:
        outcome = await super().authorize(call, request)
        if outcome.status == "declined":
            raise ValueError(outcome.decline)
        return outcome


class InventsCodes(SandboxGateway):
    """Passes the provider's own code off as the taxonomy's."""

    async def authorize(self, call: Call, request: Authorize) -> Outcome:
        outcome = await super().authorize(call, request)
        if outcome.decline is None:
            return outcome
        return replace(outcome, decline=Decline(code="05", raw_code="05"))


class CapturesAnything(SandboxGateway):
    """Says yes to every capture."""

    async def capture(self, call: Call, request: Capture) -> Outcome:
        outcome = await super().capture(call, request)
        reference = request.provider_reference
        return replace(
            outcome, status="succeeded", amount=request.amount, provider_reference=reference
        )


class NeverFinal(SandboxGateway):
    """Keeps the hold open after its final capture."""

    async def capture(self, call: Call, request: Capture) -> Outcome:
        return await super().capture(call, replace(request, final=False))


class VoidsNothing(SandboxGateway):
    """Says that a hold is released and leaves it."""

    async def void(self, call: Call, request: Void) -> Outcome:
        return Outcome(status="succeeded", amount=request.amount, provider_reference="v")


class RefundsAnything(SandboxGateway):
    """Gives back more than was captured."""

    async def refund(self, call: Call, request: Refund) -> Outcome:
        outcome = await super().refund(call, request)
        if outcome.status != "declined":
            return outcome
        return Outcome(status="succeeded", amount=request.amount, provider_reference="r")


class IncrementsNothing(SandboxGateway):
    """Says that a hold is raised and leaves it."""

    async def increment(self, call: Call, request: Increment) -> Outcome:
        return Outcome(status="succeeded", amount=request.amount, provider_reference="i")


class HidesRefunds(SandboxGateway):
    """Leaves refunds out of its statement."""

    async def movements(
        self, call: Call, *, since: datetime, until: datetime
    ) -> Sequence[Movement]:
        lines = await super().movements(call, since=since, until=until)
        return [line for line in lines if line.kind != "refund"]


class ForgetfulLookup(SandboxGateway):
    """Finds nothing that was sent."""

    async def lookup(self, call: Call, request: Lookup) -> Outcome:
        return Outcome(status="not_found")


class HopefulLookup(SandboxGateway):
    """Believes that whatever was sent succeeded."""

    async def lookup(self, call: Call, request: Lookup) -> Outcome:
        return replace(await super().lookup(call, request), status="succeeded")


class LookupRaises(SandboxGateway):
    """Takes an unknown key for an error."""

    async def lookup(self, call: Call, request: Lookup) -> Outcome:
        outcome = await super().lookup(call, request)
        if outcome.status == "not_found":
            raise KeyError(request.key)
        return outcome


class NeverSettles(SandboxGateway):
    """Looks a delayed result up as pending for ever."""

    async def lookup(self, call: Call, request: Lookup) -> Outcome:
        return replace(await super().lookup(call, request), status="pending")


class RelativeChallenge(SandboxGateway):
    """Sends the buyer to an address that no browser can open."""

    async def authorize(self, call: Call, request: Authorize) -> Outcome:
        outcome = await super().authorize(call, request)
        if outcome.next_action is None:
            return outcome
        return replace(outcome, next_action=NextAction(url="/challenge/1"))


class UntypedAnswers(SandboxGateway):
    """Puts text where the message has an instant."""

    async def authorize(self, call: Call, request: Authorize) -> Outcome:
        outcome = await super().authorize(call, request)
        return replace(outcome, expires_at=cast(datetime, "2027-01-01T00:00:00Z"))


class MoodyManifest(SandboxGateway):
    """Describes itself anew each time."""

    _counter = itertools.count(1)

    def describe(self) -> Manifest:
        return replace(MANIFEST, version=f"0.{next(self._counter)}")


class FutureContract(SandboxGateway):
    """Was written for another contract."""

    def describe(self) -> Manifest:
        return replace(MANIFEST, contract="2.0")


class OpenSettings(PluginSettings, frozen=True, kw_only=True):
    """Keeps a key in plain sight."""

    api_key: str = ""


class OpenSecret(SandboxGateway):
    """Does not mark its secret as one."""

    def describe(self) -> Manifest:
        return replace(MANIFEST, settings=OpenSettings)


class BelievesEverything(SandboxGateway):
    """Reads webhooks without a look at their signature."""

    def parse_webhook(
        self, call: Call, request: WebhookRequest
    ) -> Sequence[WebhookEvent | DisputeEvent]:
        try:
            notice: Any = json.loads(request.body)
            at = datetime.fromisoformat(notice["created_at"])
            shown = notice["operation"]
            return [
                WebhookEvent(
                    event_id=notice["id"],
                    kind=shown["kind"],
                    key=shown["key"],
                    provider_reference=shown["reference"],
                    outcome=Outcome(status=shown["status"]),
                    occurred_at=at,
                )
            ]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise WebhookRefused from None


class IgnoresTheTime(SandboxGateway):
    """Takes a signed webhook of any age."""

    def parse_webhook(
        self, call: Call, request: WebhookRequest
    ) -> Sequence[WebhookEvent | DisputeEvent]:
        stamp = request.headers.get("webhook-timestamp", "")
        if stamp.isdigit():
            at = datetime.fromtimestamp(int(stamp), tz=request.received_at.tzinfo)
            request = replace(request, received_at=at)
        return super().parse_webhook(call, request)


class StumblesOverGarbage(SandboxGateway):
    """Reads the body before it is proved."""

    def parse_webhook(
        self, call: Call, request: WebhookRequest
    ) -> Sequence[WebhookEvent | DisputeEvent]:
        json.loads(request.body)
        return super().parse_webhook(call, request)


class BelievesNothing(SandboxGateway):
    """Refuses what its provider signed."""

    def parse_webhook(
        self, call: Call, request: WebhookRequest
    ) -> Sequence[WebhookEvent | DisputeEvent]:
        raise WebhookRefused("never")


class SubmitsTwice(SandboxGateway):
    """Forgets that evidence was handed in under a key."""

    _counter = itertools.count()

    async def submit_evidence(self, call: Call, request: DisputeEvidence) -> Outcome:
        key = f"{request.key}-{next(self._counter)}"
        return await super().submit_evidence(call, replace(request, key=key))


class NeverGivesUp(SandboxGateway):
    """Refuses to accept a dispute."""

    async def accept_dispute(self, call: Call, request: AcceptDispute) -> Outcome:
        return DECLINED


class TakesAnyEvidence(SandboxGateway):
    """Says yes to evidence for a dispute that is not there."""

    async def submit_evidence(self, call: Call, request: DisputeEvidence) -> Outcome:
        return Outcome(status="succeeded")


#: the faulty gateway → the checks that must notice.
FAULTS: dict[type[SandboxGateway], tuple[str, ...]] = {
    ChargesTwice: (
        "one_key_charges_once",
        "one_key_charges_once_when_concurrent",
        "lookup_finds_what_was_sent",
    ),
    RefundsTwice: ("refunds_never_exceed_captures", "statement_lists_every_movement"),
    TakesAnotherBody: ("one_key_refuses_another_body",),
    FloatAmounts: ("approval_says_what_was_asked",),
    WrongAmount: ("approval_says_what_was_asked",),
    OtherCurrency: ("approval_says_what_was_asked",),
    AlwaysCaptures: ("approval_says_what_was_asked", "capture_takes_what_is_held"),
    LostAnswerIsDeclined: ("lost_answer_is_no_decline",),
    LostAnswerIsNotSent: ("lost_answer_is_no_decline",),
    RaisesDeclines: ("decline_is_a_result",),
    InventsCodes: ("decline_is_a_result",),
    CapturesAnything: ("capture_takes_what_is_held", "captures_in_parts"),
    NeverFinal: ("captures_in_parts",),
    VoidsNothing: ("void_releases_the_hold",),
    RefundsAnything: ("refunds_never_exceed_captures",),
    IncrementsNothing: ("increment_raises_the_hold",),
    HidesRefunds: ("statement_lists_every_movement",),
    ForgetfulLookup: ("lookup_finds_what_was_sent", "lost_answer_is_no_decline"),
    HopefulLookup: ("lookup_finds_a_decline", "challenge_asks_the_buyer"),
    LookupRaises: ("lookup_of_an_unknown_key_finds_nothing",),
    NeverSettles: ("pending_comes_to_an_end",),
    RelativeChallenge: ("challenge_asks_the_buyer",),
    UntypedAnswers: ("messages_survive_a_round_trip",),
    MoodyManifest: ("manifest_is_constant",),
    FutureContract: ("manifest_is_valid",),
    OpenSecret: ("settings_schema_is_valid", "settings_survive_a_round_trip"),
    BelievesEverything: (
        "tampered_webhook_is_refused",
        "forged_webhook_is_refused",
        "stale_webhook_is_refused",
        "early_webhook_is_refused",
    ),
    IgnoresTheTime: ("stale_webhook_is_refused", "early_webhook_is_refused"),
    StumblesOverGarbage: ("garbage_webhook_is_refused",),
    BelievesNothing: ("genuine_webhook_is_read",),
    SubmitsTwice: ("evidence_is_handed_in_once",),
    NeverGivesUp: ("a_dispute_can_be_given_up",),
    TakesAnyEvidence: ("an_unknown_dispute_is_refused",),
}
