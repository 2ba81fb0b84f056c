"""Is a wallet believed only as far as it keeps the contract, and asked for its own tenant alone?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from payengine.context import TenantContext
from payengine.errors import (
    InputInvalid,
    PayengineError,
    PaymentMethodInvalid,
    PermissionDenied,
    PluginNotEnabled,
    PluginNotFound,
    WalletTokenRefused,
    WalletUnavailable,
)
from payengine.plugin import (
    ApprovedAmount,
    Call,
    Gateway,
    NetworkToken,
    OpenedToken,
    OpenToken,
    PluginSettings,
    StartSession,
    Wallet,
    WalletManifest,
    WalletRefused,
    WalletSession,
    hookimpl,
)
from payengine.registry import InstalledPlugins, Registry
from payengine.storage import Database
from payengine.vault import MasterKey, Vault

from tests.conftest import Servers
from tests.core.registry.gateways import GoodGateway, GoodSettings

AT = datetime(2027, 3, 1, 12, tzinfo=UTC)


def opened(**changes: Any) -> OpenedToken:
    """What a faithful wallet says."""
    token = NetworkToken(
        number="4802370000000009",
        expiry_month=12,
        expiry_year=2031,
        cryptogram="AP2nXmSiDrVGAAFZOMHBAoABFA==",
        wallet="purse",
    )
    fields: dict[str, Any] = {"network_token": token, "token_id": "t-1"} | changes
    return OpenedToken(**fields)


class Purse:
    """A wallet that says what the test tells it to."""

    def __init__(self, says: Any = None, **declared: Any) -> None:
        self._says = says
        self._declared: dict[str, Any] = {
            "name": "purse",
            "title": "Purse",
            "version": "1",
            "sessions": True,
        }
        self._declared |= declared
        self.asked: list[tuple[Call, Any]] = []

    def describe(self) -> WalletManifest:
        return WalletManifest(**self._declared)

    async def open_token(self, call: Call, request: OpenToken) -> OpenedToken:
        self.asked.append((call, request))
        answer: OpenedToken = await self._answer(opened())
        return answer

    async def start_session(self, call: Call, request: StartSession) -> WalletSession:
        self.asked.append((call, request))
        answer: WalletSession = await self._answer(WalletSession(session={"nonce": "n"}))
        return answer

    async def _answer(self, usual: Any) -> Any:
        said = self._says(usual) if callable(self._says) else self._says
        if isinstance(said, BaseException):
            raise said
        if asyncio.iscoroutine(said):
            return await said
        return usual if self._says is None else said


class Bag:
    """A plugin with these wallets and gateways."""

    def __init__(self, *wallets: Any, gateways: Sequence[Gateway] = ()) -> None:
        self._wallets = wallets
        self._gateways = gateways

    @hookimpl
    def wallets(self) -> Sequence[Wallet]:
        return self._wallets

    @hookimpl
    def gateways(self) -> Sequence[Gateway]:
        return self._gateways


def refusal(*wallets: Any, gateways: Sequence[Gateway] = ()) -> str:
    """Why the plugin with these wallets is refused."""
    found = InstalledPlugins.load(extra={"bag": Bag(*wallets, gateways=gateways)}, discover=False)
    assert found.infos[0].status == "refused"
    return found.infos[0].reason


@pytest.fixture
def vault(servers: Servers) -> Vault:
    """The session's vault."""
    return Vault(MasterKey(servers.home / "master.key", may_create=True))


@pytest.fixture
def desk(database: Database, vault: Vault, tenant: TenantContext) -> Callable[..., Any]:
    """Makes a registry with one wallet that is enabled for the tenant."""

    async def make(says: Any = None, **declared: Any) -> tuple[Registry, Purse]:
        purse = Purse(says, **declared)
        registry = Registry.load(database, vault, extra={"bag": Bag(purse)}, discover=False)
        await registry.save_settings(tenant, "bag", enabled=True)
        return registry, purse

    return make


async def opening(registry: Registry, tenant: TenantContext, **more: Any) -> OpenedToken:
    fields: dict[str, Any] = {"kind": "purse", "token": "{}", "at": AT, "deadline_ms": 200} | more
    kind, token = fields.pop("kind"), fields.pop("token")
    return await registry.wallets.open_token(tenant, kind, token, **fields)


async def starting(registry: Registry, tenant: TenantContext, **more: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"wallet": "purse", "validation_url": "https://x", "domain": ""} | more
    wallet = fields.pop("wallet")
    return await registry.wallets.start_session(tenant, wallet, deadline_ms=200, **fields)


def test_plugin_may_bring_wallets_and_gateways() -> None:
    found = InstalledPlugins.load(
        extra={
            "bag": Bag(
                Purse(settings=GoodSettings), gateways=[GoodGateway("good", settings=GoodSettings)]
            )
        },
        discover=False,
    )
    (info,) = found.infos
    assert (info.status, info.gateways, info.wallets) == ("ready", ("good",), ("purse",))
    assert list(found.wallets) == ["purse"]
    alone = InstalledPlugins.load(extra={"bag": Bag(Purse())}, discover=False)
    assert (alone.infos[0].title, alone.infos[0].contract) == ("Purse", "1.0")


@pytest.mark.parametrize(
    ("wallets", "says"),
    [
        ([Purse(name="My Purse")], "name is not"),
        ([Purse(name="my-purse")], "name is not"),
        ([Purse(title="")], "title is not"),
        ([Purse(contract="2.0")], "written for version 2.0"),
        ([Purse(max_concurrency=0)], "max_concurrency"),
        ([Purse(sessions="yes")], "malformed"),
        ([Purse(settings=dict)], "PluginSettings"),
        ([Purse(), Purse()], "two wallets named 'purse'"),
        ([Purse(name=f"p{n}") for n in range(51)], "more than 50"),
        ([GoodGateway("good")], "no WalletManifest"),
        ([object()], "no method describe"),
    ],
)
def test_wallet_that_breaks_the_contract_is_refused(wallets: list[Any], says: str) -> None:
    assert says in refusal(*wallets)


def test_wallet_keeps_what_its_manifest_declares() -> None:
    class Bare:
        def __init__(self, **declared: Any) -> None:
            self._manifest = WalletManifest(name="bare", title="Bare", version="1", **declared)

        def describe(self) -> WalletManifest:
            return self._manifest

    assert "lacks the method open_token" in refusal(Bare())

    class Opening(Bare):
        async def open_token(self, call: Call, request: OpenToken) -> OpenedToken:
            return opened()

    assert "no method start_session" in refusal(Opening(sessions=True))
    found = InstalledPlugins.load(extra={"bag": Bag(Opening())}, discover=False)
    assert found.infos[0].status == "ready"


def test_wallet_and_gateway_share_one_class_of_settings() -> None:
    class Other(PluginSettings, frozen=True, kw_only=True):
        colour: str = ""

    gateways = [GoodGateway("good")]
    assert "different classes of settings" in refusal(Purse(settings=Other), gateways=gateways)


def test_second_plugin_with_the_same_wallet_is_refused() -> None:
    found = InstalledPlugins.load(extra={"a": Bag(Purse()), "b": Bag(Purse())}, discover=False)
    assert [info.status for info in found.infos] == ["ready", "refused"]
    assert "wallet 'purse' is offered by a" in found.infos[1].reason


async def test_token_is_opened_with_the_tenants_settings(
    desk: Callable[..., Any], tenant: TenantContext
) -> None:
    registry, purse = await desk()
    assert await opening(registry, tenant, token="{1}") == opened()
    ((call, request),) = purse.asked
    assert (call.account, call.mode, call.deadline_ms) == (str(tenant.tenant_id), "test", 200)
    assert request == OpenToken(token="{1}", at=AT)


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("malformed", "cannot be read"),
        ("protocol", "version or an algorithm"),
        ("signature", "not signed"),
        ("expired", "too old"),
        ("recipient", "another merchant"),
        ("unsupported", "nothing that can be charged here. Only tea 48"),
        ("whatever", "cannot be read"),
    ],
)
async def test_refusal_becomes_a_typed_error_that_repeats_nothing(
    desk: Callable[..., Any], tenant: TenantContext, reason: Any, says: str
) -> None:
    detail = "Only tea 48" if reason == "unsupported" else "4802370000000009"
    registry, _ = await desk(lambda usual: WalletRefused(reason, detail))
    with pytest.raises(WalletTokenRefused, match=says) as refused:
        await opening(registry, tenant)
    assert refused.value.path == ("paymentMethod", "token")
    assert "4802370000000009" not in str(refused.value)


@pytest.mark.parametrize(
    "says",
    [
        ValueError("4802370000000009"),
        SystemExit("stop"),
        asyncio.CancelledError(),
        lambda usual: "a token",
        lambda usual: {},
        lambda usual: opened(network_token=None),
        lambda usual: opened(network_token="4802370000000009"),
        lambda usual: opened(token_id=""),
        lambda usual: opened(token_id=7),
        lambda usual: opened(token_id="a" * 256),
        lambda usual: opened(token_id="a\n"),
        lambda usual: opened(approved={"minor": 1}),
        lambda usual: opened(approved=ApprovedAmount(minor=-1, currency_number="978")),
        lambda usual: opened(approved=ApprovedAmount(minor=1, currency_number="EUR")),
        lambda usual: opened(approved=ApprovedAmount(minor=True, currency_number="978")),
        lambda usual: asyncio.sleep(5),
    ],
)
async def test_nonsense_opens_nothing(
    desk: Callable[..., Any], tenant: TenantContext, says: Any
) -> None:
    registry, _ = await desk(says)
    with pytest.raises(WalletUnavailable) as refused:
        await opening(registry, tenant)
    assert "4802370000000009" not in str(refused.value)


async def test_wallet_is_installed_enabled_and_set_up(
    desk: Callable[..., Any], tenant: TenantContext, other_tenant: TenantContext
) -> None:
    registry, purse = await desk()
    with pytest.raises(PaymentMethodInvalid, match="No wallet named 'pouch'"):
        await opening(registry, tenant, kind="pouch")
    with pytest.raises(PluginNotEnabled):
        await opening(registry, other_tenant)
    with pytest.raises(PluginNotEnabled):
        await starting(registry, other_tenant)
    assert purse.asked == []


async def test_settings_that_cannot_be_opened_open_no_token(
    database: Database, vault: Vault, tenant: TenantContext, tmp_path: Path
) -> None:
    plugin = Bag(Purse(settings=GoodSettings))
    registry = Registry.load(database, vault, extra={"bag": plugin}, discover=False)
    await registry.save_settings(tenant, "bag", enabled=True, settings={"api_key": "k"})
    stranger = Vault(MasterKey(tmp_path / "master.key", may_create=True))
    other = Registry.load(database, stranger, extra={"bag": plugin}, discover=False)
    with pytest.raises(WalletUnavailable):
        await opening(other, tenant)


async def test_session_is_passed_on_as_it_came(
    desk: Callable[..., Any], tenant: TenantContext
) -> None:
    registry, purse = await desk()
    assert await starting(registry, tenant, domain="shop.example.com") == {"nonce": "n"}
    assert purse.asked[0][1] == StartSession(validation_url="https://x", domain="shop.example.com")


@pytest.mark.parametrize(
    ("says", "error"),
    [
        (lambda usual: WalletRefused("unsupported", "Not one of ours."), InputInvalid),
        (lambda usual: {"nonce": 1}, WalletUnavailable),
        (lambda usual: WalletSession(session=[]), WalletUnavailable),  # type: ignore[arg-type]
        (lambda usual: WalletSession(session={"a": object()}), WalletUnavailable),
        (lambda usual: WalletSession(session={"a": "a" * 70_000}), WalletUnavailable),
        (OSError("no route"), WalletUnavailable),
    ],
)
async def test_session_that_cannot_be_had_is_a_typed_error(
    desk: Callable[..., Any], tenant: TenantContext, says: Any, error: type[PayengineError]
) -> None:
    registry, _ = await desk(says)
    with pytest.raises(error):
        await starting(registry, tenant)


async def test_session_needs_a_wallet_that_has_them_and_the_right(
    desk: Callable[..., Any], tenant: TenantContext
) -> None:
    registry, _ = await desk(sessions=False)
    with pytest.raises(InputInvalid, match="needs no session"):
        await starting(registry, tenant)
    with pytest.raises(PluginNotFound):
        await starting(registry, tenant, wallet="pouch")
    reader = TenantContext(tenant.tenant_id, "test", "r", frozenset({"payments:read"}))
    with pytest.raises(PermissionDenied):
        await starting(registry, reader)
