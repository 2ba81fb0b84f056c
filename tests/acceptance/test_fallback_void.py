"""Is what a gateway has and does not decide called off only on its own word?

Where the policy wants it, a confirmed void frees the fallback; anything less frees nothing.
"""

from __future__ import annotations

import msgspec
import pytest
from payengine.payments.findings import finding_of
from payengine.plugin import Amount, Outcome

from tests.acceptance.test_fallback import Street, row, street
from tests.gateways import charges, declined

__all__ = ["row", "street"]

_PENDING = Outcome(
    status="pending", amount=Amount(1_000, "EUR"), provider_reference="sbx_undecided"
)
_VOIDED = Outcome(status="succeeded", provider_reference="sbx_undecided")


async def test_a_confirmed_void_frees_the_fallback(street: Street) -> None:
    await street.policy(fallback={"unknown": "void"})
    street.alpha.answers = [RuntimeError("lost")]
    street.alpha.found, street.alpha.voids = _PENDING, [_VOIDED]
    paid = await street.shop.pay(1_000)
    assert (paid.payment.status, paid.payment.gateway, paid.error) == ("CAPTURED", "beta", None)
    first, void, second = await street.shop.operations(paid.payment.id)
    assert [(each.kind, each.status) for each in (first, void, second)] == [
        ("authorize", "canceled"),
        ("void", "succeeded"),
        ("authorize", "succeeded"),
    ]
    assert void.attempt_id == first.attempt_id != second.attempt_id
    _, told = await street.routes(paid.payment.id)
    assert told["after"]["because"] == "void: the gateway confirmed it"
    assert await street.charged() == {"alpha": 0, "beta": 1, "gamma": 0}
    assert await street.events() == [
        "payment.created",
        "payment.processing",
        "payment.void_requested",
        "payment.attempt_failed",
        "payment.attempted",
        "payment.captured",
    ]
    await street.shop.check(paid.payment.id)


@pytest.mark.parametrize(
    ("answer", "void_is"),
    [
        (RuntimeError("lost too"), "unknown"),
        (Outcome(status="pending", amount=Amount(1_000, "EUR")), "pending"),
        (declined("transaction_not_allowed"), "declined"),
    ],
)
async def test_a_void_that_is_not_confirmed_frees_nothing(
    street: Street, answer: Outcome | Exception, void_is: str
) -> None:
    await street.policy(fallback={"unknown": "void"})
    street.alpha.answers = [RuntimeError("lost")]
    street.alpha.found, street.alpha.voids = _PENDING, [answer]
    paid = await street.shop.pay(1_000)
    assert (paid.payment.status, street.beta.asked) == ("PROCESSING", [])
    first, void = await street.shop.operations(paid.payment.id)
    assert (first.status, void.status) == ("pending", void_is)
    await street.shop.check(paid.payment.id)


async def test_what_is_pending_is_called_off_only_where_the_policy_says_so(
    street: Street,
) -> None:
    street.alpha.answers = [RuntimeError("lost")]
    street.alpha.found = _PENDING
    paid = await street.shop.pay(1_000)
    assert paid.payment.status == "PROCESSING"
    await street.policy(fallback={"unknown": "void"})
    street.alpha.answers = [_PENDING]  # its own answer: this method takes its time
    usual = await street.shop.pay(1_000)
    assert usual.payment.status == "PROCESSING"
    for payment in (paid.payment, usual.payment):
        (operation,) = await street.shop.operations(payment.id)
        assert operation.status == "pending"
    assert street.beta.asked == []


async def test_a_success_after_the_confirmed_void_is_given_back(street: Street) -> None:
    await street.policy(fallback={"unknown": "void"})
    street.alpha.answers = [RuntimeError("lost")]
    street.alpha.found, street.alpha.voids = _PENDING, [_VOIDED]
    paid = await street.shop.pay(1_000)
    first, *_ = await street.shop.operations(paid.payment.id)
    street.alpha.found = None
    await street.shop.engine.registry.call(
        street.shop.context, "alpha", "authorize", street.alpha.asked[0], deadline_ms=2_000
    )
    recorder = street.shop.engine.reconciler._recorder
    told = await recorder.look_up(
        street.shop.context, msgspec.structs.replace(first, provider_reference=None)
    )
    await recorder.record(
        street.shop.context,
        payment_id=paid.payment.id,
        operation_id=first.id,
        finding=finding_of(told, first, source="webhook"),
    )
    for _ in range(3):
        await street.shop.look()
    books = await charges(street.shop, "alpha", "beta")
    assert sum(line.amount.minor for line in books["alpha"]) == 0
    assert [line.amount.minor for line in books["beta"]] == [1_000]
