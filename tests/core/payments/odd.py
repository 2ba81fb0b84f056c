"""A provider whose answers the test dictates, and tills at which it takes yen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
from payengine.plugin import Amount, Call, Lookup, Manifest, Outcome, hookimpl

from tests.engines import Till, open_till
from tests.servers import HomeOfTest

__all__ = ["ODD", "OddGateway", "mute_till", "odd_till"]

#: What a payment says that is to go there.
ODD: dict[str, Any] = {"currency": "JPY"}


class OddGateway:
    """A provider whose answers the test dictates; it takes yen, and is asked before the sandbox."""

    def __init__(self) -> None:
        self.answers: list[Outcome | Exception] = []
        self.found: Outcome = Outcome(status="not_found")
        self.keys: list[str] = []
        self.lookups = 0
        #: The keys that were asked about, ours among those of other tests' tenants.
        self.asked: list[str] = []

    @property
    def good(self) -> Outcome:
        """It took the thousand that was asked."""
        return Outcome(
            status="succeeded",
            captured=True,
            amount=Amount(1_000, "JPY"),
            provider_reference="odd_1",
        )

    @classmethod
    def of(cls, till: Till) -> OddGateway:
        """The till's odd gateway, with nothing said yet."""
        gateway = till.engine.registry.gateway("odd").gateway
        assert isinstance(gateway, OddGateway)
        gateway.__init__()  # type: ignore[misc]
        return gateway

    def describe(self) -> Manifest:
        """It remembers keys for an hour; its lookups are consistent after ninety minutes."""
        return Manifest(
            name="odd",
            title="Odd",
            version="1",
            currencies=("JPY",),
            key_window_s=3_600,
            lookup_consistent_after_ms=5_400_000,
            not_processed_codes=("busy",),
            enabled_by_default_in_test=True,
        )

    async def authorize(self, call: Call, request: Any) -> Outcome:
        """The next answer."""
        self.keys.append(request.key)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def capture(self, call: Call, request: Any) -> Outcome:
        """Never asked."""
        raise NotImplementedError

    async def void(self, call: Call, request: Any) -> Outcome:
        """Never asked."""
        raise NotImplementedError

    async def refund(self, call: Call, request: Any) -> Outcome:
        """Never asked."""
        raise NotImplementedError

    async def lookup(self, call: Call, request: Lookup) -> Outcome:
        """What the test says that it finds."""
        self.lookups += 1
        self.asked.append(request.key)
        await asyncio.sleep(0.02)
        return self.found

    def parse_webhook(self, call: Call, request: Any) -> Sequence[Any]:
        """It sends none."""
        return ()


class _OddPlugin:
    @hookimpl
    def gateways(self) -> Sequence[Any]:
        return [OddGateway()]


@pytest.fixture(scope="session")
async def odd_till(payment_home: HomeOfTest) -> AsyncIterator[Till]:
    """An engine with the odd gateway beside the sandbox."""
    async with open_till(
        payment_home, plugins={"odd": _OddPlugin()}, gateway_deadline_ms=1_000
    ) as opened:
        yield opened


class _MutePlugin:
    @hookimpl
    def gateways(self) -> Sequence[Any]:
        return [_MuteGateway()]


class _MuteGateway(OddGateway):
    def describe(self) -> Manifest:
        return msgspec.structs.replace(super().describe(), lookup=False)


@pytest.fixture(scope="session")
async def mute_till(payment_home: HomeOfTest) -> AsyncIterator[Till]:
    """An engine with an odd gateway that cannot be looked up."""
    async with open_till(
        payment_home, plugins={"odd": _MutePlugin()}, gateway_deadline_ms=1_000
    ) as opened:
        yield opened
