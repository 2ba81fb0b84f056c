"""Are the sandbox's faults replayable, and do its books stay right through all of them?"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from payengine.plugin import Amount, Authorize, Call, Lookup, Outcome, Refund
from payengine_sandbox.cards import Fault
from payengine_sandbox.chaos import is_calm, strike
from payengine_sandbox.gateway import SandboxGateway
from payengine_sandbox.settings import SandboxSettings
from payengine_sandbox.testing import SandboxProcess, frame, payment

RATES: dict[str, Any] = {
    "error_before": 100,
    "error_after": 100,
    "hang_before": 50,
    "hang_after": 50,
    "late_success": 100,
    "garbage": 100,
}


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


async def moved(gateway: SandboxGateway, account: str) -> Counter[str]:
    """key → how many lines the provider's books have for it."""
    now, day = datetime.now(UTC), timedelta(days=1)
    lines = await gateway.movements(frame(account), since=now - day, until=now + day)
    return Counter(line.key for line in lines)


async def fate(gateway: SandboxGateway, call: Call, request: Authorize) -> str:
    """What one try looks like to a careful caller."""
    try:
        async with asyncio.timeout(call.deadline_ms / 1000):
            outcome: object = await gateway.authorize(call, request)
    except TimeoutError:
        return "silence"
    except Exception:
        return "error"
    if not isinstance(outcome, Outcome):
        return "error"  # over HTTP, nonsense cannot be decoded and raises
    if outcome.amount not in (None, request.amount):
        return "mismatch"
    return outcome.status


async def look(gateway: SandboxGateway, call: Call, key: str) -> str:
    return (await gateway.lookup(call, Lookup(key=key, kind="authorize"))).status


FIRST_TRIES = [
    (3001, "error", "not_found"),
    (3002, "error", "succeeded"),
    (3003, "silence", "not_found"),
    (3004, "silence", "succeeded"),
    (3005, "pending", "pending"),
    (3006, "silence", "pending"),
    (3007, "error", "succeeded"),
    (3008, "mismatch", "succeeded"),
    (3009, "mismatch", "succeeded"),
]


@pytest.mark.parametrize(("amount", "first", "looked_up"), FIRST_TRIES)
async def test_a_magic_fault_strikes_the_first_try_and_the_books_stay_right(
    gateway: SandboxGateway, account: str, amount: int, first: str, looked_up: str
) -> None:
    patience_ms = 1_000 if first == "silence" else 10_000
    call = frame(account, deadline_ms=patience_ms, late_ms=600_000)
    request = payment("k", amount, token="tok_magic")
    assert await fate(gateway, call, request) == first
    assert await look(gateway, call, "k") == looked_up
    second = await fate(gateway, call, request)
    assert second == ("pending" if looked_up == "pending" else "succeeded")
    assert await moved(gateway, account) == ({} if looked_up == "pending" else {"k": 1})


@pytest.mark.parametrize("amount", [3005, 3006])
async def test_a_late_success_comes_true(
    gateway: SandboxGateway, account: str, amount: int
) -> None:
    call = frame(account, deadline_ms=1_000, late_ms=50)
    await fate(gateway, call, payment("k", amount, token="tok_magic"))
    async with asyncio.timeout(60):
        while await look(gateway, call, "k") != "succeeded":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert await moved(gateway, account) == {"k": 1}


@pytest.mark.parametrize(
    ("amount", "each", "looked_up"),
    [
        (3101, "error", "not_found"),
        (3102, "error", "succeeded"),
        (3103, "silence", "not_found"),
        (3104, "silence", "succeeded"),
    ],
)
async def test_an_obstinate_fault_strikes_every_try(
    gateway: SandboxGateway, account: str, amount: int, each: str, looked_up: str
) -> None:
    call = frame(account, deadline_ms=800 if each == "silence" else 10_000)
    request = payment("k", amount, token="tok_magic")
    assert [await fate(gateway, call, request) for _ in range(2)] == [each] * 2
    assert await look(gateway, call, "k") == looked_up


async def test_a_blind_spot_answers_neither_the_call_nor_the_lookup(
    gateway: SandboxGateway, account: str
) -> None:
    call = frame(account, deadline_ms=1_000)
    assert await fate(gateway, call, payment("k", 3105, token="tok_magic")) == "silence"
    with pytest.raises(Exception, match="out of order"):
        await look(gateway, call, "k")
    assert await moved(gateway, account) == {"k": 1}


async def test_a_short_charge_is_short_everywhere(gateway: SandboxGateway, account: str) -> None:
    call = frame(account)
    outcome = await gateway.authorize(call, payment("k", 3010, token="tok_magic"))
    assert outcome.amount == Amount(3009, "EUR")
    found = await gateway.lookup(call, Lookup(key="k", kind="authorize"))
    assert found.amount == Amount(3009, "EUR")


async def test_magic_amounts_strike_later_steps_too(gateway: SandboxGateway, account: str) -> None:
    call = frame(account)
    sale = await gateway.authorize(call, payment("k", 9_000, token="tok_magic"))
    reference = sale.provider_reference or ""
    refund = Refund(key="r", provider_reference=reference, amount=Amount(3002, "EUR"))
    with pytest.raises(Exception, match="internal_error"):
        await gateway.refund(call, refund)
    found = await gateway.lookup(call, Lookup(key="r", kind="refund"))
    assert (found.status, found.amount) == ("succeeded", Amount(3002, "EUR"))
    declined = Refund(key="r2", provider_reference=reference, amount=Amount(2037, "EUR"))
    outcome = await gateway.refund(call, declined)
    assert outcome.decline is not None
    assert outcome.decline.code == "insufficient_funds"


async def test_the_same_seed_meets_the_same_faults(tmp_path: Path, server: SandboxProcess) -> None:
    async def play(gateway: SandboxGateway, seed: int) -> list[str]:
        call = frame(f"acct_{uuid.uuid4().hex}", deadline_ms=5_000, seed=seed, **RATES)
        fates = await asyncio.gather(*(fate(gateway, call, payment(f"key-{i}")) for i in range(30)))
        await gateway.aclose()
        return list(fates)

    here, again, other, there = await asyncio.gather(
        play(SandboxGateway(path=tmp_path / "one.sqlite3"), 7),
        play(SandboxGateway(path=tmp_path / "two.sqlite3"), 7),
        play(SandboxGateway(path=tmp_path / "three.sqlite3"), 8),
        play(SandboxGateway(url=server.url), 7),
    )
    assert here == again == there
    assert other != here
    assert set(here) == {"error", "silence", "pending", "succeeded"}


async def test_whatever_strikes_each_key_moves_money_once(
    gateway: SandboxGateway, account: str
) -> None:
    call = frame(account, deadline_ms=1_500, seed=11, late_ms=200, **RATES)

    async def insist(key: str) -> None:
        for _ in range(12):
            if await fate(gateway, call, payment(key)) in ("succeeded", "pending"):
                return
        raise AssertionError(f"{key} was never answered")

    keys = [f"key-{i}" for i in range(60)]
    await asyncio.gather(*map(insist, keys))
    async with asyncio.timeout(60):
        while len(await moved(gateway, account)) < len(keys):  # noqa: ASYNC110 - what is late
            await asyncio.sleep(0.05)
    assert await moved(gateway, account) == dict.fromkeys(keys, 1)


async def test_lookups_are_struck_only_where_the_settings_say_so(
    gateway: SandboxGateway, account: str
) -> None:
    calm = frame(account)
    await gateway.authorize(calm, payment("k"))
    stormy = frame(account, error_after=1000)
    assert await look(gateway, stormy, "k") == "succeeded"
    with pytest.raises(Exception, match="internal_error"):
        await look(gateway, frame(account, error_after=1000, chaos_lookups=True), "k")


async def test_a_hang_never_blocks_the_event_loop(tmp_path: Path) -> None:
    gateway = SandboxGateway(path=tmp_path / "s.sqlite3")
    call = frame(deadline_ms=600, hang_after=1000)
    loop = asyncio.get_running_loop()
    began = loop.time()
    hanging = [asyncio.create_task(fate(gateway, call, payment(f"k{i}"))) for i in range(100)]
    assert set(await asyncio.gather(*hanging)) == {"silence"}
    assert loop.time() - began < 30  # one after the other, they would take a minute
    await gateway.aclose()


def test_strike_is_a_pure_function_that_history_has_fixed() -> None:
    settings = SandboxSettings(seed=1, **RATES)
    drawn = [strike(settings, key=f"key-{i}", kind="authorize", attempt=1) for i in range(12)]
    assert drawn == [
        strike(settings, key=f"key-{i}", kind="authorize", attempt=1) for i in range(12)
    ]
    assert drawn == GOLDEN


def test_rates_are_thousandths() -> None:
    settings = SandboxSettings(seed=3, **RATES)
    struck = Counter(
        strike(settings, key=f"key-{i}", kind="capture", attempt=1) for i in range(20_000)
    )
    assert struck[Fault.ERROR_BEFORE] == pytest.approx(2_000, rel=0.1)
    assert struck[Fault.HANG_AFTER] == pytest.approx(1_000, rel=0.15)
    late = struck[Fault.LATE_SUCCESS] + struck[Fault.LATE_SUCCESS_UNHEARD]
    assert late == pytest.approx(2_000, rel=0.1)
    assert struck[None] == pytest.approx(10_000, rel=0.05)


def test_chaos_is_off_by_default() -> None:
    assert is_calm(SandboxSettings())


GOLDEN: list[Fault | None] = [
    Fault.LATE_SUCCESS_UNHEARD,
    Fault.ERROR_AFTER,
    None,
    None,
    Fault.HANG_AFTER,
    None,
    Fault.ERROR_BEFORE,
    None,
    Fault.ERROR_AFTER,
    None,
    Fault.ERROR_BEFORE,
    Fault.LATE_SUCCESS,
]
