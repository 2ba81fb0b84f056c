"""Does every fault of a hosted plugin leave a typed outcome, and the next call work?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest
import uvloop
from payengine.host.plugin import HostedPlugin, NotLoaded
from payengine.host.supervisor import PluginHost
from payengine.plugin import (
    NetworkToken,
    NotSent,
    OpenToken,
    WalletRefused,
    WebhookRefused,
    WebhookRequest,
)

from tests.core.host.hostile import HOSTILE
from tests.core.host.houses import House, request_of

AT = datetime(2026, 5, 4, 10, tzinfo=UTC)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    made = House()
    yield made
    await made.close()


async def test_a_payment_goes_through_the_host(house: House) -> None:
    assert house.host.health().state == "resting"
    answer = await house.pay("tok")
    assert (answer.kind, answer.reason, answer.detail) == ("outcome", "", "")
    assert answer.outcome is not None
    assert answer.outcome.captured
    assert house.host.health().state == "running"


async def test_calls_share_one_process_and_pass_each_other(house: House) -> None:
    await house.pay("tok")
    slow = asyncio.create_task(house.pay("hangs", deadline_ms=4_000))
    told = await asyncio.gather(*(house.pay("pid") for _ in range(30)))
    assert len({answer.outcome.provider_reference for answer in told if answer.outcome}) == 1
    assert not slow.done()
    assert (await slow).reason == "timeout"
    assert house.host.health().deaths == 0


@pytest.mark.parametrize("token", sorted({*HOSTILE, "half", "clings"}))
async def test_next_call_works_after_the_worst(house: House, token: str) -> None:
    assert (await house.pay("tok")).kind == "outcome"
    answer = await house.pay(token, deadline_ms=1_000)
    assert (answer.kind, answer.outcome) == ("unknown", None), answer
    assert answer.reason in ("raised", "timeout")
    for _ in range(20):
        again = await house.pay("tok")
        if again.kind == "outcome":
            break
        # What was called while the culprit was being ended shares its fate, and says so.
        assert again.kind == "unknown"
    assert again.kind == "outcome", again


async def test_what_is_out_when_the_host_dies_is_unknown(house: House) -> None:
    await house.pay("tok")
    out = [asyncio.create_task(house.pay("hangs")) for _ in range(5)]
    await asyncio.sleep(0.2)
    answer = await house.pay("exits_hard")
    assert (answer.kind, answer.reason) == ("unknown", "raised")
    assert "status 7" in answer.detail
    assert [(one.kind, one.reason) for one in await asyncio.gather(*out)] == [
        ("unknown", "raised")
    ] * 5


async def test_proof_that_nothing_was_sent_crosses(house: House) -> None:
    answer = await house.pay("not_sent")
    assert (answer.kind, answer.reason) == ("not_sent", "refused_connection")
    assert "no route" in answer.detail


@pytest.mark.parametrize("token", ["none", "float", "object"])
async def test_nonsense_is_nonsense_on_either_side(house: House, token: str) -> None:
    answer = await house.pay(token)
    assert (answer.kind, answer.reason) == ("unknown", "nonsense")


async def test_an_answer_longer_than_its_kind_may_be_ends_the_host(house: House) -> None:
    answer = await house.pay("long")
    assert (answer.kind, answer.reason) == ("unknown", "raised")
    assert "bytes" in answer.detail
    assert (await house.pay("tok")).kind == "outcome"


async def test_a_status_that_nobody_knows_stays_one(house: House) -> None:
    answer = await house.pay("new_status")
    assert (answer.reason, answer.detail) == ("unmodelled", "settling")


async def test_a_network_token_crosses_there_and_back(house: House) -> None:
    wallet = house.plugin.wallets()[0]
    opened = await wallet.open_token(house.call_of(), OpenToken(token="good", at=AT))
    assert type(opened.network_token) is NetworkToken
    answer = await house.pay("network_token", network=opened.network_token)
    assert answer.outcome is not None
    assert answer.outcome.provider_reference == "ends in 1111"
    with pytest.raises(WalletRefused) as refused:
        await wallet.open_token(house.call_of(), OpenToken(token="bad", at=AT))
    assert (refused.value.reason, refused.value.detail) == ("signature", "not signed")


async def test_movements_cross(house: House) -> None:
    (line,) = await house.gateway.movements(  # type: ignore[attr-defined]
        house.call_of(), since=AT, until=AT
    )
    assert (line.amount.minor, line.at) == (5, AT)


def _parsed(house: House, body: bytes, *, deadline_ms: int = 60_000) -> list[str]:
    request = WebhookRequest(headers={}, body=body, received_at=AT)
    call = house.call_of(deadline_ms=deadline_ms)
    return [event.event_id for event in house.gateway.parse_webhook(call, request)]


@pytest.fixture
def quiet_house() -> Iterator[House]:
    made = House()
    yield made
    made.host.rest()


def test_webhooks_need_no_event_loop(quiet_house: House) -> None:
    assert _parsed(quiet_house, b"good") == ["e1"]
    with pytest.raises(WebhookRefused, match="not genuine"):
        _parsed(quiet_house, b"forged")


@pytest.mark.parametrize("body", [b"hang", b"exit", b"number"])
def test_a_webhook_that_kills_its_reader_is_refused(quiet_house: House, body: bytes) -> None:
    with pytest.raises(WebhookRefused):
        _parsed(quiet_house, body, deadline_ms=1_000)
    assert _parsed(quiet_house, b"good") == ["e1"]


def test_settings_are_checked_here_by_their_schema_and_there_by_their_code(
    quiet_house: House,
) -> None:
    assert quiet_house.plugin.vet({"api_key": "k", "fee_bps": 20}) == ""
    assert "more than all" in quiet_house.plugin.vet({"api_key": "k", "fee_bps": 20_000})


async def test_settings_that_only_the_plugin_refuses_prove_that_nothing_was_sent(
    house: House,
) -> None:
    call = house.call_of(fee_bps=20_000)
    with pytest.raises(NotSent, match="refuses these settings"):
        await house.gateway.authorize(call, request_of("tok"))


async def test_a_host_that_keeps_dying_is_started_ever_more_rarely(house: House) -> None:
    for _ in range(8):
        await house.pay("exits_hard", deadline_ms=3_000)
    assert house.host.health().state == "pausing"
    answer = await house.pay("tok", deadline_ms=200)
    assert (answer.kind, answer.reason) == ("not_sent", "refused_connection")
    assert house.host.health().deaths < 9


async def test_others_are_served_while_a_plugin_spins(house: House) -> None:
    bystander = House()
    await bystander.pay("tok")
    await house.pay("tok")
    spinning = asyncio.create_task(house.pay("spins", deadline_ms=4_000))
    # In one process with it not even one of them would be answered.
    for _ in range(10):
        assert (await bystander.pay("tok")).kind == "outcome"
    assert not spinning.done()
    assert (await spinning).kind == "unknown"
    await bystander.close()


def test_it_serves_the_servers_own_event_loop() -> None:
    async def pay() -> str:
        house = House()
        answer = await house.pay("tok")
        await house.close()
        return answer.kind

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(pay()) == "outcome"


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("a_module_that_nobody_has", "ModuleNotFoundError"),
        ("tests.core.host.dies_early", "status 5"),
        ("tests.core.host.houses", "no hook"),
    ],
)
def test_what_cannot_be_loaded_is_refused_with_the_reason(module: str, reason: str) -> None:
    host = PluginHost(distribution="bad", plugins={"bad": module})
    with pytest.raises(NotLoaded, match=reason):
        HostedPlugin(host, "bad")
    host.rest()
