"""Does the sandbox judge like a provider, in process and over HTTP alike?"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from payengine.plugin import (
    Amount,
    Capture,
    Increment,
    Lookup,
    Movement,
    NotSent,
    Outcome,
    OutcomeStatus,
    Refund,
    Void,
)
from payengine_sandbox.declines import DECLINES
from payengine_sandbox.gateway import SandboxGateway
from payengine_sandbox.records import ProviderError
from payengine_sandbox.testing import SandboxProcess, frame, payment


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with SandboxProcess(tmp_path_factory.mktemp("sandbox")) as started:
        yield started


@pytest.fixture(params=["in process", "http"])
async def gateway(
    request: pytest.FixtureRequest, tmp_path: Path, server: SandboxProcess
) -> AsyncIterator[SandboxGateway]:
    if request.param == "http":
        made = SandboxGateway(url=server.url)
    else:
        made = SandboxGateway(path=tmp_path / "sandbox.sqlite3")
    yield made
    await made.aclose()


@pytest.fixture
def account() -> str:
    return f"acct_{uuid.uuid4().hex}"


async def books(gateway: SandboxGateway, account: str) -> list[Movement]:
    now = datetime.now(UTC)
    day = timedelta(days=1)
    return list(await gateway.movements(frame(account), since=now - day, until=now + day))


def capture(key: str, reference: str | None, minor: int, *, final: bool = True) -> Capture:
    return Capture(
        key=key, provider_reference=reference or "", amount=Amount(minor, "EUR"), final=final
    )


def refund(key: str, reference: str | None, minor: int) -> Refund:
    return Refund(key=key, provider_reference=reference or "", amount=Amount(minor, "EUR"))


def raw_code(outcome: Outcome) -> str | None:
    return None if outcome.decline is None else outcome.decline.raw_code


async def test_a_sale_takes_the_amount_and_a_fee(gateway: SandboxGateway, account: str) -> None:
    outcome = await gateway.authorize(frame(account), payment("k", 1_000))
    assert (outcome.status, outcome.amount, outcome.captured) == (
        "succeeded",
        Amount(1_000, "EUR"),
        True,
    )
    assert outcome.fee_minor == 29 + 30
    [line] = await books(gateway, account)
    assert (line.key, line.kind, line.amount, line.fee_minor) == (
        "k",
        "capture",
        Amount(1_000, "EUR"),
        59,
    )
    assert line.provider_reference == outcome.provider_reference


async def test_a_hold_moves_nothing_and_expires_in_seven_days(
    gateway: SandboxGateway, account: str
) -> None:
    outcome = await gateway.authorize(frame(account), payment("k", capture=False))
    assert (outcome.status, outcome.captured, outcome.fee_minor) == ("succeeded", False, 0)
    assert outcome.expires_at is not None
    assert abs(outcome.expires_at - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=1)
    assert await books(gateway, account) == []


async def test_fees_follow_the_settings(gateway: SandboxGateway, account: str) -> None:
    call = frame(account, fee_bps=150, fee_fixed_minor=0)
    outcome = await gateway.authorize(call, payment("k", 2_700))
    assert outcome.fee_minor == 41  # 40.5 rounds half away from zero


async def test_fifty_requests_with_one_key_are_one_charge(
    gateway: SandboxGateway, account: str
) -> None:
    answers = await asyncio.gather(
        *(gateway.authorize(frame(account), payment("k")) for _ in range(50))
    )
    assert len(set(map(repr, answers))) == 1
    assert len(await books(gateway, account)) == 1


async def test_a_key_with_another_body_is_refused_and_changes_nothing(
    gateway: SandboxGateway, account: str
) -> None:
    call = frame(account)
    first = await gateway.authorize(call, payment("k", 1_000))
    for other in (
        payment("k", 1_001),
        payment("k", 1_000, currency="USD"),
        payment("k", 1_000, token="tok_mastercard"),
        payment("k", 1_000, capture=False),
    ):
        with pytest.raises(ProviderError) as refused:
            await gateway.authorize(call, other)
        assert refused.value.code == "idempotency_key_reused"
    with pytest.raises(ProviderError):
        await gateway.refund(call, refund("k", first.provider_reference, 1_000))
    assert [line.amount.minor for line in await books(gateway, account)] == [1_000]


async def test_accounts_share_neither_keys_nor_references(gateway: SandboxGateway) -> None:
    one, two = (f"acct_{uuid.uuid4().hex}" for _ in range(2))
    mine = await gateway.authorize(frame(one), payment("k", 1_000, capture=False))
    theirs = await gateway.authorize(frame(two), payment("k", 2_000, capture=False))
    assert mine.provider_reference != theirs.provider_reference
    outcome = await gateway.capture(frame(two), capture("c", mine.provider_reference, 10))
    assert (outcome.status, raw_code(outcome)) == ("declined", "unknown_reference")
    assert (await gateway.lookup(frame(one), Lookup(key="c", kind="capture"))).status == "not_found"
    assert await books(gateway, one) == []


async def test_captures_stop_at_what_is_held(gateway: SandboxGateway, account: str) -> None:
    call = frame(account)
    held = await gateway.authorize(call, payment("k", 1_000, capture=False))
    reference = held.provider_reference
    first = await gateway.capture(call, capture("c1", reference, 600, final=False))
    assert (first.status, first.amount) == ("succeeded", Amount(600, "EUR"))
    over = await gateway.capture(call, capture("c2", reference, 401))
    assert (over.status, raw_code(over)) == ("declined", "capture_exceeds_held")
    assert (await gateway.capture(call, capture("c3", reference, 100))).status == "succeeded"
    ended = await gateway.capture(call, capture("c4", reference, 1))
    assert (ended.status, raw_code(ended)) == ("declined", "nothing_held")
    assert [line.amount.minor for line in await books(gateway, account)] == [600, 100]


async def test_an_increment_raises_the_hold(gateway: SandboxGateway, account: str) -> None:
    call = frame(account)
    held = await gateway.authorize(call, payment("k", 1_000, capture=False))
    request = Increment(
        key="i", provider_reference=held.provider_reference or "", amount=Amount(500, "EUR")
    )
    assert (await gateway.increment(call, request)).status == "succeeded"
    taken = await gateway.capture(call, capture("c", held.provider_reference, 1_500))
    assert taken.amount == Amount(1_500, "EUR")


async def test_a_void_releases_the_rest_and_says_how_much(
    gateway: SandboxGateway, account: str
) -> None:
    call = frame(account)
    held = await gateway.authorize(call, payment("k", 1_000, capture=False))
    reference = held.provider_reference or ""
    await gateway.capture(call, capture("c", reference, 300, final=False))
    void = Void(key="v", provider_reference=reference, amount=Amount(700, "EUR"))
    outcome = await gateway.void(call, void)
    assert (outcome.status, outcome.amount) == ("succeeded", Amount(700, "EUR"))
    assert (await gateway.capture(call, capture("c2", reference, 1))).status == "declined"


async def test_refunds_stop_at_what_was_captured(gateway: SandboxGateway, account: str) -> None:
    call = frame(account)
    sale = await gateway.authorize(call, payment("k", 1_000))
    answers = await asyncio.gather(
        *(gateway.refund(call, refund(f"r{i}", sale.provider_reference, 100)) for i in range(40))
    )
    assert sum(answer.status == "succeeded" for answer in answers) == 10
    assert {raw_code(answer) for answer in answers} == {None, "refund_exceeds_captured"}
    lines = await books(gateway, account)
    assert sum(line.amount.minor for line in lines) == 0
    assert lines == sorted(lines, key=lambda line: line.at)


async def test_a_refund_may_name_the_capture(gateway: SandboxGateway, account: str) -> None:
    call = frame(account)
    held = await gateway.authorize(call, payment("k", 1_000, capture=False))
    taken = await gateway.capture(call, capture("c", held.provider_reference, 1_000))
    outcome = await gateway.refund(call, refund("r", taken.provider_reference, 1_000))
    assert outcome.status == "succeeded"


async def test_an_expired_hold_cannot_be_captured(tmp_path: Path) -> None:
    from payengine_sandbox.engine import Engine, now_us
    from payengine_sandbox.records import Command
    from payengine_sandbox.settings import SandboxSettings
    from payengine_sandbox.store import Store

    day_us, moment = 86_400_000_000, now_us()
    clock = [moment]
    engine = Engine(Store(tmp_path / "s.sqlite3"), clock=lambda: clock[0])
    held = engine.perform(
        "a",
        Command(kind="authorize", key="k", amount_minor=100, currency="EUR", token="tok_visa"),
        SandboxSettings(),
    )
    clock[0] += 7 * day_us
    late = Command(kind="capture", key="c", amount_minor=100, currency="EUR", parent=held.reference)
    assert engine.perform("a", late, SandboxSettings()).raw_code == "hold_expired"
    engine.store.close()


@pytest.mark.parametrize("code", list(DECLINES))
async def test_every_decline_code_has_a_token_and_a_magic_amount(
    gateway: SandboxGateway, account: str, code: str
) -> None:
    call = frame(account)
    amount = 2001 + list(DECLINES).index(code)
    requests = (
        payment("token", token=f"tok_decline_{code}"),
        payment("amount", amount, token="tok_magic"),
    )
    for request in requests:
        outcome = await gateway.authorize(call, request)
        assert outcome.status == "declined"
        assert outcome.decline is not None
        assert (outcome.decline.code, outcome.decline.raw_code) == (code, code)
        assert outcome.decline.raw_text
    assert await books(gateway, account) == []


async def test_magic_amounts_act_only_with_the_magic_token(
    gateway: SandboxGateway, account: str
) -> None:
    for amount in (2001, 3001, 3004, 3011, 3013):
        outcome = await gateway.authorize(frame(account), payment(f"k{amount}", amount))
        assert outcome.status == "succeeded"


async def test_an_unknown_token_is_a_wrong_number(gateway: SandboxGateway, account: str) -> None:
    outcome = await gateway.authorize(frame(account), payment("k", token="tok_unheard_of"))
    assert (outcome.status, raw_code(outcome)) == ("declined", "incorrect_number")


@pytest.mark.parametrize(
    ("token", "end"), [("tok_pending", "succeeded"), ("tok_pending_declined", "declined")]
)
async def test_a_delayed_result_comes_true(
    gateway: SandboxGateway, account: str, token: str, end: OutcomeStatus
) -> None:
    call = frame(account, pending_ms=600_000)
    outcome = await gateway.authorize(call, payment("long", 1_000, token=token))
    assert (outcome.status, outcome.amount) == ("pending", Amount(1_000, "EUR"))
    assert await books(gateway, account) == []
    call = frame(account, pending_ms=50)
    outcome = await gateway.authorize(call, payment("k", 1_000, token=token))
    async with asyncio.timeout(60):
        while outcome.status == "pending":
            await asyncio.sleep(0.02)
            outcome = await gateway.lookup(call, Lookup(key="k", kind="authorize"))
    assert outcome.status == end
    assert sum(line.amount.minor for line in await books(gateway, account)) == (
        1_000 if end == "succeeded" else 0
    )


async def test_a_delayed_refund_reserves_what_it_will_return(
    gateway: SandboxGateway, account: str
) -> None:
    call = frame(account, pending_ms=60_000)
    sale = await gateway.authorize(call, payment("k", 5_000, token="tok_magic"))
    reference = sale.provider_reference
    assert (await gateway.refund(call, refund("r1", reference, 3014))).status == "pending"
    assert (await gateway.refund(call, refund("r2", reference, 2_500))).status == "declined"


async def test_waiting_for_the_buyer_can_be_canceled(gateway: SandboxGateway, account: str) -> None:
    call = frame(account)
    asked = await gateway.authorize(call, payment("k", 1_000, token="tok_challenge"))
    assert asked.status == "requires_action"
    assert asked.next_action is not None
    void = Void(
        key="v", provider_reference=asked.provider_reference or "", amount=Amount(1_000, "EUR")
    )
    assert (await gateway.void(call, void)).status == "succeeded"
    found = await gateway.lookup(call, Lookup(key="k", kind="authorize"))
    assert (found.status, raw_code(found)) == ("declined", "canceled")


async def test_off_session_a_challenge_is_a_decline(gateway: SandboxGateway, account: str) -> None:
    request = payment("k", token="tok_challenge", off_session=True)
    outcome = await gateway.authorize(frame(account), request)
    assert (outcome.status, raw_code(outcome)) == ("declined", "authentication_required")


@pytest.mark.parametrize(("amount", "code"), [(3011, "rate_limited"), (3012, "maintenance")])
async def test_not_processed_is_proof_that_nothing_happened(
    gateway: SandboxGateway, account: str, amount: int, code: str
) -> None:
    call = frame(account)
    outcome = await gateway.authorize(call, payment("k", amount, token="tok_magic"))
    assert (outcome.status, raw_code(outcome)) == ("not_processed", code)
    assert code in gateway.describe().not_processed_codes
    found = await gateway.lookup(call, Lookup(key="k", kind="authorize"))
    assert found.status == "not_found"


@pytest.mark.parametrize(
    "request_",
    [
        payment("k", 0),
        payment("k", -5),
        payment("k", 2**63),
        payment("k", currency="euro"),
        payment("k", token=""),
        payment("k" * 256),
    ],
    ids=["zero", "negative", "huge", "currency", "token", "key"],
)
async def test_what_cannot_be_read_is_not_processed(
    gateway: SandboxGateway, account: str, request_: object
) -> None:
    from payengine.plugin import Authorize

    assert isinstance(request_, Authorize)
    outcome = await gateway.authorize(frame(account), request_)
    assert (outcome.status, raw_code(outcome)) == ("not_processed", "invalid_request")


async def test_an_unreachable_server_is_not_sent() -> None:
    gateway = SandboxGateway(url="http://127.0.0.1:9")
    with pytest.raises(NotSent):
        await gateway.authorize(frame(), payment("k"))
    await gateway.aclose()


async def test_the_environment_chooses_the_transport(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: SandboxProcess, account: str
) -> None:
    gateway = SandboxGateway()
    monkeypatch.setenv("PAYENGINE_HOME", str(tmp_path))
    monkeypatch.delenv("PAYENGINE_SANDBOX_URL", raising=False)
    await gateway.authorize(frame(account), payment("here"))
    assert (tmp_path / "sandbox.sqlite3").exists()
    monkeypatch.setenv("PAYENGINE_SANDBOX_URL", server.url)
    await gateway.authorize(frame(account), payment("there"))
    assert [line.key for line in await books(gateway, account)] == ["there"]
    await gateway.aclose()


async def test_a_statement_of_many_pages_is_complete_and_leaves_the_loop_free(
    gateway: SandboxGateway, account: str
) -> None:
    call = frame(account)
    keys = [f"k{i}" for i in range(1_050)]
    for start in range(0, len(keys), 10):
        await asyncio.gather(
            *(gateway.authorize(call, payment(key)) for key in keys[start : start + 10])
        )
    turns, reading = 0, asyncio.create_task(books(gateway, account))
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1
    lines = await reading
    assert sorted(line.key for line in lines) == sorted(keys)
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    assert turns > 10  # others had their turn between any two pages


async def test_many_delayed_results_come_true_together(
    gateway: SandboxGateway, account: str
) -> None:
    call = frame(account, pending_ms=100)
    await asyncio.gather(
        *(gateway.authorize(call, payment(f"k{i}", token="tok_pending")) for i in range(60))
    )
    await asyncio.sleep(0.15)
    last = await gateway.lookup(call, Lookup(key="k59", kind="authorize"))
    assert last.status == "succeeded"
    assert len(await books(gateway, account)) == 60
