"""Does the engine do what a small model of a payment says, whatever is asked in whatever order?

A shop's payments live in real PostgreSQL and at the sandbox; the model is a few integers.
`PAYENGINE_NIGHTLY` asks for 2,000 examples in place of 100.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)
from payengine.errors import (
    CaptureExceedsAuthorized,
    HoldExpired,
    OperationInFlight,
    PayengineError,
    RefundExceedsCaptured,
    TransitionRefused,
)
from payengine.payments import PaymentResult, steps
from payengine.payments.plans import Plan, plan_capture
from payengine.registry.breaker import Breakers
from payengine.registry.guard import Guard

from tests.acceptance.hearsay import dispute, tell
from tests.engines import Shop, Till, key, open_till
from tests.notices import Doorbell
from tests.servers import HomeOfTest

T = TypeVar("T")

_EXAMPLES = 2_000 if os.environ.get("PAYENGINE_NIGHTLY") else 100
_FATES = {2_038: "declined", 3_001: "unknown", 3_002: "unknown", 3_011: "not_sent"}
#: What was done although nobody answered: a look-up finds it.
_DONE = 3_002
#: Magic amounts that the model knows nothing of.
_UNTOLD = frozenset(range(2_001, 3_106)) - set(_FATES)
_AMOUNT = st.one_of(
    st.integers(1, 2_000), st.integers(3_106, 12_000), st.sampled_from(sorted(_FATES))
)
#: What of that which is left is asked for: None's all, a half, one too much, or an amount.
_PART = st.one_of(st.sampled_from(["all", "half", "more"]), st.sampled_from(sorted(_FATES)))
_TOKENS = {
    "tok_visa": "succeeded",
    "tok_magic": "succeeded",
    "tok_decline_insufficient_funds": "declined",
    "tok_not_processed": "not_sent",
}


_TOKEN = st.sampled_from(["tok_visa"] * 2 + ["tok_magic"] * 5 + sorted(_TOKENS))
_KIND = st.sampled_from(["capture"] * 5 + ["refund"] * 5 + ["increment"] * 3 + ["void"])
_RARELY = st.sampled_from([False, False, False, True])
_WHICH = st.integers(0, 9)


@dataclass
class _Model:
    """What one payment should be; amounts in minor units."""

    id: str
    amount: int
    automatic: bool
    token: str
    tried: str
    authorized: int = 0
    captured: int = 0
    voided: int = 0
    refunded: int = 0
    charged_back: int = 0
    #: The state of the one dispute that a payment has here, if any, and its amount.
    disputed: str = ""
    dispute: int = 0
    ended: str = ""

    def __post_init__(self) -> None:
        #: operation id → (kind, amount, released), for those whose outcome is not known.
        self.open: dict[str, tuple[str, int, int]] = {}
        self.settle_try()

    def settle_try(self) -> None:
        """The authorization's outcome is known: book it."""
        if self.tried == "succeeded":
            self.authorized = self.amount
            self.captured = self.amount if self.automatic else 0

    @property
    def status(self) -> str:
        """What the engine should say."""
        if self.captured:
            return "CAPTURED"
        if self.ended:
            return self.ended
        if self.authorized > self.voided:
            return "AUTHORIZED"
        return {"unknown": "PROCESSING", "declined": "DECLINED", "not_sent": "CREATED"}[self.tried]

    @property
    def is_over(self) -> bool:
        """Whether nothing can happen to it any more."""
        spent = self.status == "CAPTURED" and not (
            self.left or self.refundable or self.open or self.disputed == "needs_response"
        )
        return bool(self.ended and not self.captured) or spent

    def flying(self, *kinds: str) -> bool:
        """Whether the outcome of one of these kinds is not known."""
        return any(kind in kinds for kind, _, _ in self.open.values())

    @property
    def left(self) -> int:
        """What may still be captured."""
        taken = sum(
            (amount if kind == "capture" else 0) + released
            for kind, amount, released in self.open.values()
        )
        return self.authorized - self.captured - self.voided - taken

    @property
    def refundable(self) -> int:
        """What may still be refunded."""
        asked = sum(amount for kind, amount, _ in self.open.values() if kind == "refund")
        return self.captured - self.refunded - self.charged_back - asked

    def book(self, kind: str, amount: int, released: int) -> None:
        """A step has succeeded."""
        self.voided += released
        if kind == "capture":
            self.captured += amount
        elif kind == "refund":
            self.refunded += amount
        elif kind == "increment":
            self.authorized += amount
        elif kind == "void" and not self.captured:
            self.ended = "CANCELED"

    @property
    def is_unknown(self) -> bool:
        """Whether any outcome is not known."""
        return self.tried == "unknown" or bool(self.open)

    def look_up(self) -> None:
        """What is asked while an outcome is unknown makes the engine look up what was done."""
        if self.tried == "unknown" and self.amount == _DONE:
            self.tried = "succeeded"
            self.settle_try()
        for operation_id, (kind, amount, released) in list(self.open.items()):
            if amount == _DONE:
                self.book(kind, amount, released)
                del self.open[operation_id]

    def fate(self, amount: int) -> str:
        """What the gateway does with a step of this amount."""
        return _FATES.get(amount, "succeeded") if self.token == "tok_magic" else "succeeded"

    def refusal_of_hold(self) -> type[PayengineError] | None:
        """Why nothing that needs a hold may be asked."""
        if self.status == "PROCESSING":
            return OperationInFlight
        if self.status == "EXPIRED":
            return HoldExpired
        return None if self.status in ("AUTHORIZED", "CAPTURED") else TransitionRefused

    def refusal(self, kind: str, amount: int, *, final: bool) -> type[PayengineError] | None:
        """The error that the engine should raise, in the order in which it looks."""
        if self.is_unknown:
            return OperationInFlight
        if kind == "refund":
            if not self.captured:
                return TransitionRefused
            return None if 0 < amount <= self.refundable else RefundExceedsCaptured
        if kind == "void":
            if self.flying("void", "capture", "increment"):
                return OperationInFlight
            if self.status in ("CREATED", "DECLINED"):
                return None
        held = self.refusal_of_hold()
        if held is not None:
            return held
        if kind == "increment":
            if self.status != "AUTHORIZED":
                return TransitionRefused
            return OperationInFlight if self.flying("capture", "void", "increment") else None
        if self.left == 0:
            return TransitionRefused
        if kind == "capture":
            if self.flying("increment"):
                return OperationInFlight
            if amount > self.left:
                return CaptureExceedsAuthorized
            if self.flying("capture") and final and amount < self.left:
                return OperationInFlight
        return None


def _asked(part: str | int, left: int) -> tuple[int, int | None]:
    """The amount that is meant, and how it is asked for."""
    if isinstance(part, int):
        return part, part
    amount = {"all": left, "half": max(left // 2, 1), "more": left + 1}[part]
    return amount, None if part == "all" else amount


class _Machine(RuleBasedStateMachine):
    """A shop with a few payments; each rule asks the engine and the model the same."""

    loop: ClassVar[asyncio.AbstractEventLoop]
    till: ClassVar[Till]

    def __init__(self) -> None:
        super().__init__()
        self.shop: Shop = self._run(self.till.shop())
        self.models: list[_Model] = []
        self._endpoint: Doorbell | None = None

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=300)

    def _pick(self, which: int) -> _Model:
        """One that is still moving, or for 9 any at all."""
        moving = [model for model in self.models if not model.is_over] if which < 9 else []
        found = moving or self.models
        return found[which % len(found)]

    @precondition(lambda self: sum(not model.is_over for model in self.models) < 3)
    @rule(amount=_AMOUNT, automatic=_RARELY, token=_TOKEN)
    def create(self, amount: int, automatic: bool, token: str) -> None:
        """A new payment, asked for twice with one key."""
        given: dict[str, Any] = {
            "idempotency_key": key(),
            "capture_method": "AUTOMATIC" if automatic else "MANUAL",
        }
        made = self._run(self.shop.pay(amount, token, **given))
        again = self._run(self.shop.pay(amount, token, **given))
        assert again.payment == self._run(self.shop.payment(made.payment.id))
        fate = _FATES.get(amount, "succeeded") if token == "tok_magic" else _TOKENS[token]
        model = _Model(made.payment.id, amount, automatic, token, fate)
        self.models.append(model)
        self._compare(model)

    @precondition(lambda self: self.models)
    @rule(which=_WHICH, token=_TOKEN)
    def confirm(self, which: int, token: str) -> None:
        """Another method."""
        model = self._pick(which)
        if model.status == "PROCESSING":
            model.look_up()
        if model.status not in ("DECLINED", "CREATED"):
            refusal = OperationInFlight if model.status == "PROCESSING" else TransitionRefused
            self._refused(refusal, self.shop.confirm(model.id, token))
        else:
            self._run(self.shop.confirm(model.id, token))
            model.token = token
            fate = _TOKENS[token]
            model.tried = model.fate(model.amount) if fate == "succeeded" else fate
            model.settle_try()
        self._compare(model)

    @precondition(lambda self: self.models)
    @rule(which=_WHICH, kind=_KIND, part=_PART, amount=_AMOUNT, final=st.booleans())
    def step(self, which: int, kind: str, part: str | int, amount: int, final: bool) -> None:
        """A capture, void, refund or increment."""
        model = self._pick(which)
        if model.is_unknown:
            self._look_up(model)
        if kind == "capture":
            asked, said = _asked(part, model.left)
            released = model.left - asked if final and not model.flying("capture") else 0
            given: dict[str, Any] = {"amount": said, "final": final}
            self._step(model, kind, asked, max(released, 0), final=final, given=given)
        elif kind == "refund":
            asked, said = _asked(part, model.refundable)
            self._step(model, kind, asked, 0, final=False, given={"amount": said})
        elif kind == "increment":
            self._step(model, kind, amount, 0, final=False, given={"amount": amount})
        else:
            self._void(model)

    def _look_up(self, model: _Model) -> None:
        """What cannot be granted is asked: it is refused for the right reason, after a look-up."""
        model.look_up()
        refusal = model.refusal("refund", 10**9, final=False)
        assert refusal is not None
        self._refused(refusal, self.shop.refund(model.id, 10**9))
        self._compare(model)

    def _void(self, model: _Model) -> None:
        unsent = model.status in ("CREATED", "DECLINED")
        if unsent and not model.flying("void", "capture", "increment"):
            self._run(self.shop.void(model.id))
            model.ended = "CANCELED"
            self._compare(model)
        else:
            self._step(model, "void", model.left, model.left, final=True, given={})

    @precondition(lambda self: self.models)
    @rule()
    def look(self) -> None:
        """The reconciler comes by: what was unknown has succeeded."""
        for _ in range(20):
            if not self._run(self.shop.look(after=timedelta(hours=1))):
                break
        for model in self.models:
            if model.tried == "unknown":
                model.tried = "succeeded"
                model.settle_try()
            for kind, amount, released in model.open.values():
                model.book(kind, amount, released)
            model.open.clear()
            self._compare(model)

    @precondition(lambda self: self.models)
    @rule(which=_WHICH, times=st.integers(1, 2))
    def hear(self, which: int, times: int) -> None:
        """The provider tells what it has done, newest first, perhaps twice."""
        model = self._pick(which)
        self._run(tell(self.shop, self._bell(), model.id, times=times))
        model.look_up()
        self._compare(model)

    @precondition(lambda self: self.models)
    @rule(which=_WHICH, part=st.integers(1, 12_000), end=st.sampled_from(["won", "lost", "again"]))
    def dispute(self, which: int, part: int, end: str) -> None:
        """The buyer's bank takes a part of a payment back; the dispute is won or lost later."""
        model = self._pick(which)
        if model.disputed in ("won", "lost") or model.is_unknown or not model.captured:
            return
        if not model.disputed:
            if part > model.refundable:
                return
            model.disputed, model.dispute, model.charged_back = "needs_response", part, part
        elif end != "again":
            model.disputed = end
            model.charged_back = 0 if end == "won" else model.charged_back
        told = {"status": model.disputed, "amount_minor": model.dispute}
        self._run(dispute(self.shop, self._bell(), model.id, told))
        self._compare(model)

    def _bell(self) -> Doorbell:
        if self._endpoint is None:
            self._endpoint = self._run(Doorbell.of(self.shop.engine, self.shop.context))
        return self._endpoint

    @precondition(lambda self: self.models)
    @rule(really=_RARELY)
    def expire(self, really: bool) -> None:
        """Eight days go by."""
        self.look()
        if not really:
            return

        async def later() -> None:
            with self.till.clock.later(timedelta(days=8)) as then:
                for _ in range(20):
                    if not await self.shop.engine.reconciler.run_once(at=then):
                        return

        self._run(later())
        for model in self.models:
            left = model.left
            if left:
                model.voided += left
                model.ended = "EXPIRED"
            self._compare(model)

    def _step(
        self,
        model: _Model,
        kind: str,
        amount: int,
        released: int,
        *,
        final: bool,
        given: dict[str, Any],
    ) -> None:
        if amount in _UNTOLD and model.token == "tok_magic":
            return
        ask = getattr(self.shop, kind)
        refusal = model.refusal(kind, amount, final=final)
        if refusal is not None:
            self._refused(refusal, ask(model.id, **given))
        else:
            once = {"idempotency_key": key(), **given}
            answer: PaymentResult = self._run(ask(model.id, **once))
            again: PaymentResult = self._run(ask(model.id, **once))
            assert answer.operation is not None
            assert again.operation == answer.operation
            fate = model.fate(amount)
            assert answer.operation.status == fate
            if fate == "succeeded":
                model.book(kind, amount, released)
            elif fate == "unknown":
                model.open[answer.operation.id] = (kind, amount, released)
        self._compare(model)

    def _refused(self, error: type[PayengineError], work: Coroutine[Any, Any, Any]) -> None:
        with pytest.raises(error) as refused:
            self._run(work)
        assert type(refused.value) is error

    def _compare(self, model: _Model) -> None:
        now = self._run(self.shop.check(model.id))
        assert (now.status, now.anomalies, now.needs_review) == (model.status, (), False)
        assert (now.authorized_minor, now.captured_minor) == (model.authorized, model.captured)
        assert (now.voided_minor, now.refunded_minor) == (model.voided, model.refunded)
        assert now.charged_back_minor == model.charged_back
        assert (now.capturable_minor, now.refundable_minor) == (model.left, model.refundable)

    def teardown(self) -> None:
        """All that was open ends; the gateway's books and ours agree."""
        if self.models:
            self.expire(really=True)
            self._run(self.shop.assert_sound())


@pytest.fixture(scope="module")
async def calm_till(payment_home: HomeOfTest) -> AsyncIterator[Till]:
    """A till whose breaker never opens: the model knows nothing of breakers."""
    async with open_till(payment_home) as opened:
        opened.engine.registry.guard = Guard(breakers=Breakers(threshold=10**9))
        yield opened


async def test_payments_do_what_the_model_says(calm_till: Till) -> None:
    class Machine(_Machine):
        loop = asyncio.get_running_loop()
        till = calm_till

    await asyncio.to_thread(
        run_state_machine_as_test,
        Machine,
        settings=settings(
            max_examples=_EXAMPLES,
            stateful_step_count=50,
            deadline=None,
            database=None,
            derandomize=_EXAMPLES < 2_000,
            suppress_health_check=list(HealthCheck),
        ),
    )


async def test_the_model_finds_a_planted_fault(
    calm_till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a final capture forgets to release the rest, the machine fails."""
    plan = plan_capture

    def forgetful(*arguments: Any, **given: Any) -> Plan:
        return msgspec.structs.replace(plan(*arguments, **given), released_minor=0)

    monkeypatch.setattr(steps, "plan_capture", forgetful)

    class Machine(_Machine):
        loop = asyncio.get_running_loop()
        till = calm_till

        def teardown(self) -> None:
            """What is broken is not looked at again."""

    with pytest.raises(AssertionError):
        await asyncio.to_thread(
            run_state_machine_as_test,
            Machine,
            settings=settings(
                max_examples=200,
                stateful_step_count=50,
                deadline=None,
                database=None,
                derandomize=True,
                report_multiple_bugs=False,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
