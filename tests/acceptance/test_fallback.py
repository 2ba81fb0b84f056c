"""Does a payment find its way past a gateway that cannot take it, and is it charged once?

Nothing is tried elsewhere while an outcome is unknown, and a crash between two gateways leaves one
charge. `PAYENGINE_FALLBACKS` sets how many payments meet chaos.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from payengine.payments import MethodInput
from payengine.payments.fallback import Fallbacks
from payengine.payments.findings import finding_of
from payengine.plugin import Amount, NotSent, Outcome
from payengine.registry.breaker import Breakers
from payengine.registry.guard import Guard
from payengine.testing import Chaos, ChaosGateway

from tests.acceptance.fallback_program import two
from tests.core.payments.test_wallets import SECRETS, everything, set_up
from tests.engines import Shop, Till, key
from tests.gateways import NamedSandbox, charges, declined, open_several, shop_with_only
from tests.servers import HomeOfTest

_PAYMENTS = int(os.environ.get("PAYENGINE_FALLBACKS") or 100)
_ROOT = Path(__file__).parents[2]
_NAMES = ("alpha", "beta", "gamma")


class Street:
    """Three gateways in a row, and a shop that has no other."""

    def __init__(self, shop: Shop, gateways: tuple[NamedSandbox, ...]) -> None:
        self.shop = shop
        self.alpha, self.beta, self.gamma = gateways

    async def policy(self, **document: Any) -> None:
        """Let this policy hold."""
        await self.shop.engine.router.policies.save(
            self.shop.context, document, reason="a test", activate=True
        )

    async def charged(self) -> dict[str, int]:
        """How many charges each gateway has."""
        return {name: len(each) for name, each in (await charges(self.shop, *_NAMES)).items()}

    async def events(self) -> list[str]:
        """The types of all events, in their order."""
        async with self.shop.engine.database.tenant(self.shop.context.tenant_id) as session:
            rows = await session.fetch(
                "SELECT type FROM event WHERE tenant_id = $1 ORDER BY seq",
                self.shop.context.tenant_id,
            )
        return [row["type"] for row in rows]

    async def routes(self, payment_id: str) -> list[dict[str, Any]]:
        """Why each attempt went where it went."""
        found = await self.shop.engine.payments.attempts_of(self.shop.context, [payment_id])
        return [each.routing for each in found[payment_id]]


@pytest.fixture(scope="module")
async def row(payment_home: HomeOfTest) -> AsyncIterator[tuple[Till, tuple[NamedSandbox, ...]]]:
    """An engine with the three gateways."""
    gateways = tuple(
        NamedSandbox(name, path=payment_home.home / f"street-{name}.sqlite3") for name in _NAMES
    )
    async with open_several(payment_home, *gateways, gateway_deadline_ms=4_000) as till:
        yield till, gateways


@pytest.fixture
async def street(row: tuple[Till, tuple[NamedSandbox, ...]]) -> Street:
    """A fresh shop, and gateways that have nothing to say yet."""
    till, gateways = row
    till.engine.registry.guard = Guard()
    for each in gateways:
        each.answers, each.found, each.asked, each.voids = [], None, [], []
    return Street(await shop_with_only(till), gateways)


async def test_where_a_refuses_connections_b_takes_it_in_the_same_request(
    payment_home: HomeOfTest,
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, and nobody listens
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        alpha = NamedSandbox("alpha", url=url)
        beta = NamedSandbox("beta", path=payment_home.home / "refused-beta.sqlite3")
        async with open_several(payment_home, alpha, beta) as till:
            shop = await shop_with_only(till)
            paid = await shop.pay(1_000)
            assert (paid.payment.status, paid.error) == ("CAPTURED", None)
            assert (paid.payment.gateway, len(beta.asked)) == ("beta", 1)
            first, second = await shop.operations(paid.payment.id)
            assert (first.gateway, first.status) == ("alpha", "not_sent")
            assert (second.gateway, second.status) == ("beta", "succeeded")
            assert second.provider_key == second.id != first.id
            books = await charges(shop, "beta")
            assert [line.amount.minor for line in books["beta"]] == [1_000]
            await shop.check(paid.payment.id)


async def test_it_is_told_as_one_payment_that_never_failed(street: Street) -> None:
    street.alpha.answers = [NotSent("refused")]
    paid = await street.shop.pay(1_000)
    assert await street.events() == [
        "payment.created",
        "payment.attempt_failed",
        "payment.attempted",
        "payment.captured",
    ]
    first, second = await street.routes(paid.payment.id)
    assert (first["rule"], first["order"]) == ("default", ["alpha", "beta", "gamma"])
    attempts = await street.shop.engine.payments.attempts_of(street.shop.context, [paid.payment.id])
    assert second["after"] == {
        "attempt": attempts[paid.payment.id][0].id,
        "gateway": "alpha",
        "because": "outage: refused_connection",
    }
    assert await street.charged() == {"alpha": 0, "beta": 1, "gamma": 0}
    await street.shop.check(paid.payment.id)


@pytest.mark.parametrize(
    ("answer", "goes_on"),
    [
        (declined("do_not_honor"), True),
        (declined("processing_error"), True),
        (declined("insufficient_funds"), False),
        (declined("duplicate_transaction"), False),
        (declined("stolen_card"), False),
        (declined("authentication_required"), False),
        (declined("never_heard_of"), False),
        (Outcome(status="not_processed", raw_status="maintenance"), True),
    ],
)
async def test_it_goes_on_after_these_answers_and_no_others(
    street: Street, answer: Outcome, goes_on: bool
) -> None:
    street.alpha.answers = [answer]
    paid = await street.shop.pay(1_000)
    assert (paid.payment.status == "CAPTURED") == goes_on
    assert len(street.beta.asked) == goes_on
    assert await street.charged() == {"alpha": 0, "beta": int(goes_on), "gamma": 0}
    await street.shop.check(paid.payment.id)


async def test_an_open_breaker_costs_no_attempt(street: Street) -> None:
    street.alpha.answers = [NotSent("refused")] * 5
    for _ in range(5):
        assert (await street.shop.pay()).payment.gateway == "beta"
    after = await street.shop.pay()
    assert (after.payment.status, len(street.alpha.asked)) == ("CAPTURED", 5)
    (route,) = await street.routes(after.payment.id)
    assert route["breaker_open"] == ["alpha"]
    assert route["order"] == ["beta", "gamma", "alpha"]


async def test_a_request_tries_two_gateways_unless_the_policy_says_otherwise(
    street: Street,
) -> None:
    for most, asked in ((None, 2), (1, 1), (3, 3)):
        if most is not None:
            await street.policy(fallback={"maxAttempts": most})
        for each in (street.alpha, street.beta, street.gamma):
            each.answers, each.asked = [declined("try_again_later")], []
        paid = await street.shop.pay()
        assert (paid.payment.status, paid.payment.decline_code) == ("DECLINED", "try_again_later")
        tried = [len(each.asked) for each in (street.alpha, street.beta, street.gamma)]
        assert sum(tried) == asked
        assert len(await street.shop.operations(paid.payment.id)) == asked
        await street.shop.check(paid.payment.id)


async def test_where_nobody_can_be_reached_nothing_was_sent(street: Street) -> None:
    for each in (street.alpha, street.beta):
        each.answers = [NotSent("refused")]
    paid = await street.shop.pay()
    assert paid.payment.status == "CREATED"
    assert paid.error is not None
    assert paid.error.retryable
    assert (await street.events())[-1] == "payment.not_sent"


async def test_while_an_outcome_is_unknown_nobody_else_is_asked(street: Street) -> None:
    street.alpha.answers = [RuntimeError("reset by peer")]
    paid = await street.shop.pay()
    assert paid.payment.status == "PROCESSING"
    assert (len(street.alpha.asked), len(street.beta.asked)) == (1, 0)
    await street.shop.look()
    assert (await street.shop.check(paid.payment.id)).status == "CAPTURED"
    assert await street.charged() == {"alpha": 1, "beta": 0, "gamma": 0}


async def test_an_unknown_that_a_lookup_explains_frees_the_fallback(street: Street) -> None:
    street.alpha.answers = [RuntimeError("reset by peer")]
    street.alpha.found = declined("processing_error")
    paid = await street.shop.pay()
    assert (paid.payment.status, paid.payment.gateway) == ("CAPTURED", "beta")
    first, _ = await street.shop.operations(paid.payment.id)
    (why,) = await street.shop.evidence(first.id)
    assert (first.status, why.source, why.finding) == ("declined", "lookup", "declined")
    await street.shop.check(paid.payment.id)


async def test_a_charge_whose_answer_was_lost_is_found_in_the_same_request(street: Street) -> None:
    street.alpha.answers = [RuntimeError("the answer was lost")]
    amount = Amount(1_000, "EUR")
    street.alpha.found = Outcome(
        status="succeeded", captured=True, amount=amount, provider_reference="sbx_found"
    )
    paid = await street.shop.pay(1_000)
    assert (paid.payment.status, paid.payment.gateway) == ("CAPTURED", "alpha")
    assert street.beta.asked == []


async def test_a_policy_may_send_an_unknown_again_with_its_key(street: Street) -> None:
    await street.policy(fallback={"unknown": "send_again"})
    street.alpha.answers = [RuntimeError("lost")]
    paid = await street.shop.pay(1_000)
    assert (paid.payment.status, paid.payment.gateway) == ("CAPTURED", "alpha")
    assert len({each.key for each in street.alpha.asked}) == 1
    assert len(street.alpha.asked) == 2
    street.alpha.answers = [RuntimeError("lost"), NotSent("refused")]
    unknown = await street.shop.pay(1_000)
    assert (unknown.payment.status, street.beta.asked) == ("PROCESSING", [])


async def test_a_lookup_that_fails_leaves_it_unknown(street: Street) -> None:
    await street.policy(fallback={"unknown": "send_again"})
    street.alpha.answers = [RuntimeError("lost")]
    street.alpha.found = RuntimeError("no lookup either")
    paid = await street.shop.pay(1_000)
    assert (paid.payment.status, len(street.alpha.asked)) == ("PROCESSING", 1)
    assert street.beta.asked == []


async def test_another_amount_than_was_asked_is_for_a_person(street: Street) -> None:
    street.alpha.answers = [Outcome(status="succeeded", captured=True, amount=Amount(999, "EUR"))]
    paid = await street.shop.pay(1_000)
    assert (paid.payment.status, paid.payment.conflicted) == ("PROCESSING", True)
    assert street.beta.asked == []


async def test_equal_requests_at_once_fall_back_once(street: Street) -> None:
    street.alpha.answers = [NotSent("refused")]
    one = key()
    answers = await asyncio.gather(
        *(street.shop.pay(1_000, idempotency_key=one) for _ in range(20))
    )
    assert len({each.payment.id for each in answers}) == 1
    assert await street.charged() == {"alpha": 0, "beta": 1, "gamma": 0}
    again = await street.shop.pay(1_000, idempotency_key=one)
    assert (again.payment.status, len(street.beta.asked)) == ("CAPTURED", 1)


async def test_another_try_after_a_decline_falls_back_too(street: Street) -> None:
    street.alpha.answers = [declined("stolen_card"), NotSent("refused")]
    refused = await street.shop.pay(1_000)
    assert refused.payment.status == "DECLINED"
    paid = await street.shop.confirm(refused.payment.id, "tok_mastercard")
    assert (paid.payment.status, paid.payment.gateway) == ("CAPTURED", "beta")
    assert len(await street.routes(refused.payment.id)) == 3
    await street.shop.check(paid.payment.id)


async def test_a_late_success_of_the_first_gateway_is_given_back(street: Street) -> None:
    street.alpha.answers = [declined("do_not_honor")]
    paid = await street.shop.pay(1_000)
    first, second = await street.shop.operations(paid.payment.id)
    assert (first.gateway, second.gateway) == ("alpha", "beta")
    await street.shop.engine.registry.call(
        street.shop.context, "alpha", "authorize", street.alpha.asked[0], deadline_ms=2_000
    )
    recorder = street.shop.engine.reconciler._recorder
    told = await recorder.look_up(street.shop.context, first)
    await recorder.record(
        street.shop.context,
        payment_id=paid.payment.id,
        operation_id=first.id,
        finding=finding_of(told, first, source="webhook"),
    )
    assert len((await charges(street.shop, "alpha"))["alpha"]) == 1
    for _ in range(3):
        await street.shop.look()
    books = await charges(street.shop, "alpha", "beta")
    assert sum(line.amount.minor for line in books["alpha"]) == 0
    assert [line.amount.minor for line in books["beta"]] == [1_000]


async def test_a_token_that_belongs_to_a_gateway_goes_nowhere_else(street: Street) -> None:
    street.beta.answers = [NotSent("refused")]
    method = MethodInput(token="tok_visa", gateway="beta")
    paid = await street.shop.pay(token=None, payment_method=method)
    assert paid.payment.status == "CREATED"
    assert (street.alpha.asked, len(street.beta.asked), street.gamma.asked) == ([], 1, [])


async def test_a_wallets_token_is_used_again_in_memory_and_rests_nowhere(street: Street) -> None:
    street.alpha.answers = [declined("do_not_honor")]
    purse = await set_up(street.shop)
    paid = await purse.pay(purse.apple_token(transactionAmount=1_000))
    assert (paid.payment.status, paid.payment.gateway) == ("CAPTURED", "beta")
    tokens = [street.alpha.asked[0].payment_method, street.beta.asked[0].payment_method]
    assert tokens[0].network_token == tokens[1].network_token is not None
    rows = await everything(street.shop)
    assert not [secret for secret in SECRETS if secret in rows]


# --- chaos ----------------------------------------------------------------------------------------


async def test_under_chaos_at_a_nothing_is_doubled_and_nothing_fails_falsely(
    payment_home: HomeOfTest,
) -> None:
    chaos = Chaos(seed=7, not_sent=100, error_before=60, error_after=60, hang_after=20, garbage=60)
    alpha = NamedSandbox("alpha", path=payment_home.home / "chaos-alpha.sqlite3")
    beta = NamedSandbox("beta", path=payment_home.home / "chaos-beta.sqlite3")
    async with open_several(
        payment_home, ChaosGateway(alpha, chaos), beta, gateway_deadline_ms=1_000
    ) as till:
        till.engine.registry.guard = Guard(breakers=Breakers(threshold=10**9))
        shop = await shop_with_only(till)
        places = asyncio.Semaphore(16)

        async def pay(n: int) -> str:
            async with places:
                paid = await shop.pay(1_000 + n)
            assert paid.payment.status in ("CAPTURED", "PROCESSING")
            return paid.payment.id

        made = await asyncio.gather(*(pay(n) for n in range(_PAYMENTS)))
        for hours in range(12):
            await shop.look(after=timedelta(hours=1 + hours))
        books = await charges(shop, "alpha", "beta")
        charged = Counter(line.key for lines in books.values() for line in lines)
        assert max(charged.values()) == 1
        fell_back = 0
        for payment_id in made:
            after = await shop.check(payment_id)
            operations = await shop.operations(payment_id)
            assert after.status == "CAPTURED", after
            assert sum(charged[each.id] for each in operations) == 1, operations
            fell_back += len(operations) > 1
        assert fell_back  # the order of arrival decides which calls chaos strikes
        assert sum(charged.values()) == _PAYMENTS
        await shop.assert_sound()


async def test_falling_back_on_an_unknown_would_double_charges(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: an unknown taken for a failure."""
    plain = Fallbacks.clarify

    async def hopeful(self: Fallbacks, *arguments: Any) -> Any:
        finding = await plain(self, *arguments)
        return msgspec.structs.replace(
            finding, status="not_sent" if finding.status == "unknown" else finding.status
        )

    monkeypatch.setattr(Fallbacks, "clarify", hopeful)
    alpha = street.alpha
    inner = alpha.authorize

    async def lost(call: Any, request: Any) -> Outcome:
        await inner(call, request)
        raise RuntimeError("the answer was lost")

    monkeypatch.setattr(alpha, "authorize", lost)
    alpha.found = RuntimeError("and nothing can be looked up")
    await street.shop.pay(1_000)
    assert sum((await street.charged()).values()) == 2


# --- crashes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "point",
    [
        "after_gateway",  # the first gateway has refused, nothing is recorded
        "before_commit:2",  # the outcome and the next attempt are written, not committed
        "after_commit",
        "after_intent:2",
        "before_gateway:2",
        "after_gateway:2",  # the second gateway has charged, nothing is recorded
        "before_commit:3",
        "after_commit:2",
    ],
)
async def test_a_crash_between_two_gateways_leaves_one_charge(
    payment_home: HomeOfTest, point: str
) -> None:
    async with open_several(payment_home, *two(payment_home.home)) as till:
        shop = await shop_with_only(till)
        one = key()
        died = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.acceptance.fallback_program", str(payment_home.home)),
            *(payment_home.login_url, str(shop.context.tenant_id), one),
            cwd=_ROOT,
            env={**os.environ, "PAYENGINE_FAULTS": point, "PYTHONPATH": str(_ROOT)},
            stdout=asyncio.subprocess.DEVNULL,
        )
        assert await asyncio.wait_for(died.wait(), 240) == -signal.SIGKILL
        for minutes in (1, 5, 30):
            await shop.look(after=timedelta(minutes=minutes))
        again = await shop.pay(1_000, idempotency_key=one)
        assert again.payment.status == "CAPTURED"
        books = await charges(shop, "alpha", "beta")
        assert [line.amount.minor for lines in books.values() for line in lines] == [1_000]
        await shop.check(again.payment.id)
        await shop.assert_sound()
