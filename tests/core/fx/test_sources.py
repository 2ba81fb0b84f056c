"""Is a rate source believed only as far as it tells rates, and asked for its own tenant alone?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import date, datetime
from fractions import Fraction
from typing import Any

import pytest
from payengine.context import TenantContext
from payengine.errors import (
    InputInvalid,
    PluginNotEnabled,
    PluginNotFound,
    RateNotAvailable,
    UnknownCurrency,
)
from payengine.fx.rates import DatedRate, rate_on
from payengine.fx.sources import PUSHED, ask_rate, pushed_rates
from payengine.plugin import AskRates, Call, DayRates, RateManifest, RateSource, ToldRates, hookimpl
from payengine.registry import InstalledPlugins, Registry
from payengine.storage import Database
from payengine.vault import MasterKey, Vault

from tests.conftest import Servers

_FRIDAY = date(2024, 1, 5)
#: ROL is gone since 2005, and publishers' histories name it all the same.
_RATES = {"USD": "1.0921", "JPY": "158.57", "ROL": "49753", "GBP": "N/A"}
_TOLD = ToldRates(days=(DayRates(day=_FRIDAY, rates=_RATES),))


class Publisher:
    """A rate source that says what the test tells it to."""

    def __init__(self, says: Any = _TOLD, **declared: Any) -> None:
        self._says = says
        self._declared: dict[str, Any] = {"name": "desk", "title": "Desk", "version": "1"}
        self._declared |= {"base": "EUR"} | declared
        self.asked: list[AskRates] = []

    def describe(self) -> RateManifest:
        return RateManifest(**self._declared)

    async def daily_rates(self, call: Call, request: AskRates) -> ToldRates:
        self.asked.append(request)
        if isinstance(self._says, Exception):
            raise self._says
        if self._says == "silence":
            await asyncio.sleep(10)
        told: ToldRates = self._says
        return told


class Bag:
    """A plugin with these rate sources."""

    def __init__(self, *sources: Any) -> None:
        self._sources = sources

    @hookimpl
    def rate_sources(self) -> Sequence[RateSource]:
        return self._sources


@pytest.fixture
def desk(database: Database, servers: Servers, tenant: TenantContext) -> Callable[..., Any]:
    """Makes a registry with one rate source that is enabled for the tenant."""

    async def make(says: Any = _TOLD, *, enabled: bool = True) -> tuple[Registry, Publisher]:
        vault = Vault(MasterKey(servers.home / "master.key", may_create=True))
        publisher = Publisher(says)
        registry = Registry.load(database, vault, extra={"bag": Bag(publisher)}, discover=False)
        await registry.save_settings(tenant, "bag", enabled=enabled)
        return registry, publisher

    return make


async def rate(
    registry: Registry,
    tenant: TenantContext,
    pair: str = "EUR/USD",
    *,
    day: date = _FRIDAY,
    name: str = "desk",
) -> DatedRate:
    """The rate of a pair such as USD/JPY."""
    source, _, target = pair.partition("/")
    return await ask_rate(
        registry.rates, tenant, name, day=day, source=source, target=target, deadline_ms=200
    )


async def test_a_tenant_is_told_the_rate_with_its_date_and_source(
    desk: Callable[..., Any], tenant: TenantContext
) -> None:
    registry, publisher = await desk()
    sunday = date(2024, 1, 7)
    found = await rate(registry, tenant, day=sunday)
    assert (found.rate, found.rate_date, found.rate_source) == ("1.0921", _FRIDAY, "desk")
    assert publisher.asked == [AskRates(day=sunday)]
    crossed = await rate(registry, tenant, "USD/JPY")
    assert crossed.exact == Fraction(15857, 100) * Fraction(10000, 10921)


@pytest.mark.parametrize(
    ("pair", "day"),
    [("EUR/KWD", _FRIDAY), ("EUR/GBP", _FRIDAY), ("EUR/USD", date(2024, 1, 10)),
     ("EUR/USD", date(2024, 1, 4))],
)  # fmt: skip
async def test_what_was_not_told_is_not_available(
    desk: Callable[..., Any], tenant: TenantContext, pair: str, day: date
) -> None:
    registry, _ = await desk()
    with pytest.raises(RateNotAvailable):
        await rate(registry, tenant, pair, day=day)


@pytest.mark.parametrize(
    "says",
    [
        OSError("no route"),
        "silence",
        None,
        ToldRates(days=()),
        ToldRates(days=[DayRates(day=_FRIDAY, rates={"USD": "1"})]),  # type: ignore[arg-type]
        ToldRates(days=({"day": _FRIDAY},)),  # type: ignore[arg-type]
        ToldRates(days=(DayRates(day=datetime(2024, 1, 5), rates={"USD": "1"}),)),  # noqa: DTZ001
        ToldRates(days=(DayRates(day=_FRIDAY, rates={"USD": 1.0921}),)),  # type: ignore[dict-item]
        ToldRates(days=(DayRates(day=_FRIDAY, rates=[]),)),  # type: ignore[arg-type]
        ToldRates(days=(DayRates(day=_FRIDAY, rates={str(n): "1" for n in range(200_001)}),)),
        ToldRates(days=(DayRates(day=_FRIDAY, rates={"USD": "1e9"}),)),
    ],
    ids=str,
)
async def test_silence_and_nonsense_are_no_rates(
    desk: Callable[..., Any], tenant: TenantContext, says: Any
) -> None:
    registry, _ = await desk(says)
    with pytest.raises(RateNotAvailable):
        await rate(registry, tenant)


async def test_nobody_is_asked_in_vain(desk: Callable[..., Any], tenant: TenantContext) -> None:
    registry, publisher = await desk(enabled=False)
    with pytest.raises(PluginNotEnabled):
        await rate(registry, tenant)
    with pytest.raises(PluginNotFound):
        await rate(registry, tenant, name="fed")
    with pytest.raises(UnknownCurrency):
        await rate(registry, tenant, "EUR/ROL")
    assert publisher.asked == []


@pytest.mark.parametrize(
    ("sources", "reason"),
    [
        ([Publisher(base="euro")], "base"),
        ([Publisher(contract="9.0")], "contract"),
        ([Publisher(max_concurrency=0)], "max_concurrency"),
        ([Publisher(), Publisher()], "two rate sources"),
        ([object()], "describe"),
    ],
)
def test_a_source_that_keeps_no_contract_is_refused(sources: list[Any], reason: str) -> None:
    found = InstalledPlugins.load(extra={"bag": Bag(*sources)}, discover=False)
    assert found.infos[0].status == "refused"
    assert reason in found.infos[0].reason


def test_a_source_without_its_method_is_refused() -> None:
    class Mute:
        def describe(self) -> RateManifest:
            return RateManifest(name="mute", title="Mute", version="1", base="EUR")

    found = InstalledPlugins.load(extra={"bag": Bag(Mute())}, discover=False)
    assert "daily_rates" in found.infos[0].reason


def test_the_first_of_two_sources_with_one_name_stays() -> None:
    bags = {"a": Bag(Publisher()), "b": Bag(Publisher())}
    found = InstalledPlugins.load(extra=bags, discover=False)
    assert [info.status for info in found.infos] == ["ready", "refused"]
    assert found.rate_sources["desk"].plugin == "a"


def test_a_push_is_taken_as_a_whole() -> None:
    rates = pushed_rates("KWD", {_FRIDAY: {"USD": "3.25", "KWD": "1"}})
    found = rate_on(rates, _FRIDAY, source="USD", target="KWD")
    assert (found.exact, found.rate_source) == (Fraction(4, 13), PUSHED)


@pytest.mark.parametrize(
    ("base", "rates", "refused"),
    [
        ("XXX", {"USD": "1"}, UnknownCurrency),
        ("KWD", {"USD": "3.25", "ROL": "1"}, UnknownCurrency),
        ("KWD", {"USD": "3,25"}, InputInvalid),
        ("KWD", {"USD": "0"}, InputInvalid),
        ("KWD", {"KWD": "2"}, InputInvalid),
    ],
)
def test_a_push_with_one_bad_rate_is_refused(
    base: str, rates: dict[str, str], refused: type[InputInvalid]
) -> None:
    with pytest.raises(refused):
        pushed_rates(base, {_FRIDAY: rates})


def test_a_push_has_a_bound() -> None:
    days = {date.fromordinal(730_000 + n): {"USD": "1"} for n in range(1_001)}
    with pytest.raises(InputInvalid):
        pushed_rates("EUR", days)
