"""Which plugins has this tenant enabled, and with which settings?

Plain settings rest in `plugin_setting.settings`; each secret field rests sealed in `secrets` with
its last four characters beside it. Opened settings are held for at most a minute, for a bounded
number of tenants; what this process saves is seen by it at once, by others within that minute.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import (
    Conflict,
    PayengineError,
    PluginNotEnabled,
    PluginSettingsInvalid,
    SensitiveDataRefused,
    VaultSealed,
)
from payengine.host.plugin import HostedPlugin
from payengine.host.supervisor import HostHealth
from payengine.plugin import PluginSettings, parse_settings, secret_fields, settings_schema
from payengine.registry.answers import clean_text
from payengine.registry.loader import InstalledPlugins, LoadedPlugin, PluginInfo
from payengine.screen import contains_card_number
from payengine.storage import Database
from payengine.storage.session import Session
from payengine.vault import Vault

__all__ = ["OpenedPlugin", "PluginState", "TenantSettings"]

_CACHE_S = 60.0
#: An enabled plugin's settings that could not be opened are tried again sooner.
_BROKEN_CACHE_S = 5.0
_CACHED_TENANTS = 4_096
_LARGEST_BYTES = 65_536
_SHOWN = 4

_READ_ALL = (
    "SELECT plugin, enabled, version, settings, secrets FROM plugin_setting WHERE tenant_id = $1"
)
_READ_ONE = f"{_READ_ALL} AND plugin = $2"
# The version that was read guards the write, so that two people saving at once do not mix forms.
_WRITE = """
INSERT INTO plugin_setting (tenant_id, plugin, enabled, version, settings, secrets, updated_at)
VALUES ($1, $2, $3, $4 + 1, $5, $6, $7)
ON CONFLICT (tenant_id, plugin) DO UPDATE
   SET enabled = excluded.enabled,
       version = excluded.version,
       settings = excluded.settings,
       secrets = excluded.secrets,
       updated_at = excluded.updated_at
 WHERE plugin_setting.version = $4
RETURNING version
"""


class _Sealed(msgspec.Struct, frozen=True):
    """One secret as it rests in the table."""

    sealed: str
    last_four: str


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row of plugin_setting; version 0 stands for no row."""

    enabled: bool
    version: int = 0
    settings: dict[str, Any] = {}
    secrets: dict[str, _Sealed] = {}


class OpenedPlugin(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin as one tenant has set it up. `settings` are None where they cannot be opened,
    and `problem` says why."""

    enabled: bool
    version: int
    settings: PluginSettings | None
    problem: str = ""


class PluginState(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant may see of one plugin.

    `schema` is the JSON Schema of its settings, empty for a refused plugin. `settings` are the
    plain fields that were saved; `secrets` has the last four characters of each saved secret.
    `version` is 0 until something was saved. `host` is how its plugin host is, None where it
    runs in process.
    """

    info: PluginInfo
    enabled: bool
    version: int
    schema: dict[str, Any]
    settings: dict[str, Any]
    secrets: dict[str, str]
    host: HostHealth | None = None


class _Cached(msgspec.Struct, frozen=True):
    plugins: Mapping[str, OpenedPlugin]
    until: float


class TenantSettings:
    """Reads and saves; one for a process."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        *,
        plugins: InstalledPlugins,
        clock: Clock,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """`seconds` measures how long settings are held."""
        self._seconds = seconds
        self._database = database
        self._vault = vault
        self._plugins = plugins
        self._clock = clock
        self._cache: OrderedDict[uuid.UUID, _Cached] = OrderedDict()
        self._reading: dict[uuid.UUID, asyncio.Task[Mapping[str, OpenedPlugin]]] = {}

    def held(self, context: TenantContext) -> Mapping[str, OpenedPlugin] | None:
        """What this process holds of the tenant, if it is fresh."""
        cached = self._cache.get(context.tenant_id)
        return cached.plugins if cached is not None and self._seconds() < cached.until else None

    async def opened(self, context: TenantContext) -> Mapping[str, OpenedPlugin]:
        """Every ready plugin by name, with the tenant's opened settings.

        Raises what the database raises; settings that cannot be opened only fail their plugin.
        """
        held = self.held(context)
        if held is not None:
            return held
        # One read serves all who wait for it: they must not each take a connection.
        reading = self._reading.get(context.tenant_id)
        if reading is None:
            reading = asyncio.create_task(self._read(context))
            self._reading[context.tenant_id] = reading
            reading.add_done_callback(lambda task: self._keep(context.tenant_id, task))
        return await asyncio.shield(reading)

    async def describe(self, context: TenantContext) -> list[PluginState]:
        """Every installed plugin, refused ones included, as the tenant may see it."""
        async with self._database.tenant(context.tenant_id) as session:
            rows = await _rows(session, context.tenant_id)
        states = []
        for info in self._plugins.infos:
            plugin = self._plugins.ready.get(info.name)
            plugin = plugin if plugin is not None and plugin.info is info else None
            row = rows.get(info.name) or self._without_row(context, plugin)
            states.append(
                PluginState(
                    info=info,
                    enabled=plugin is not None and _is_enabled(context, plugin, row),
                    version=row.version,
                    schema=settings_schema(plugin.settings) if plugin else {},
                    settings=row.settings,
                    secrets={name: one.last_four for name, one in row.secrets.items()},
                    host=_health(plugin),
                )
            )
        return states

    async def save(
        self,
        context: TenantContext,
        plugin: LoadedPlugin,
        *,
        enabled: bool | None,
        settings: Mapping[str, Any] | None,
    ) -> int:
        """Write the tenant's row and return its version; see `Registry.save_settings`."""
        if enabled and context.mode != "test" and plugin.info.test_worlds_only:
            raise PluginNotEnabled(
                f"{plugin.info.title} exists in test worlds only.", path=("enabled",)
            )
        if settings is not None:
            _check_given(settings)
        name = plugin.info.name
        async with self._database.tenant(context.tenant_id) as session:
            found = await session.fetchrow(_READ_ONE, context.tenant_id, name)
            row = _row_of(found) if found else self._without_row(context, plugin)
            after = await self._merged(session, context.tenant_id, plugin, row, settings)
            version = await session.fetchval(
                _WRITE,
                context.tenant_id,
                name,
                row.enabled if enabled is None else enabled,
                row.version,
                after.settings,
                msgspec.to_builtins(after.secrets),
                self._clock.now(context.tenant_id),
            )
            if version is None:
                raise Conflict(f"The settings of {name} were saved by someone else meanwhile.")
        self.forget(context.tenant_id)
        return int(version)

    def forget(self, tenant_id: uuid.UUID) -> None:
        """Read the tenant's settings anew at the next need."""
        self._cache.pop(tenant_id, None)
        self._reading.pop(tenant_id, None)

    def _keep(self, tenant_id: uuid.UUID, task: asyncio.Task[Mapping[str, OpenedPlugin]]) -> None:
        failed = task.cancelled() or task.exception() is not None
        if self._reading.get(tenant_id) is not task:
            return  # Something was saved while this read was under way: it may be stale.
        del self._reading[tenant_id]
        if failed:
            return
        plugins = task.result()
        broken = any(one.enabled and one.problem for one in plugins.values())
        until = self._seconds() + (_BROKEN_CACHE_S if broken else _CACHE_S)
        self._cache[tenant_id] = _Cached(plugins, until)
        self._cache.move_to_end(tenant_id)
        while len(self._cache) > _CACHED_TENANTS:
            self._cache.popitem(last=False)

    async def _read(self, context: TenantContext) -> Mapping[str, OpenedPlugin]:
        opened: dict[str, OpenedPlugin] = {}
        async with self._database.tenant(context.tenant_id) as session:
            rows = await _rows(session, context.tenant_id)
            for name, plugin in self._plugins.ready.items():
                row = rows.get(name) or self._without_row(context, plugin)
                problem = ""
                settings = None
                try:
                    plain = await self._opened(session, context.tenant_id, plugin, row)
                    settings = _parse(plugin, plain)
                except PayengineError as error:
                    problem = error.message
                opened[name] = OpenedPlugin(
                    enabled=_is_enabled(context, plugin, row),
                    version=row.version,
                    settings=settings,
                    problem=problem,
                )
        return opened

    async def _opened(
        self, session: Session, tenant_id: uuid.UUID, plugin: LoadedPlugin, row: _Row
    ) -> dict[str, Any]:
        """The saved settings with their secrets in clear."""
        plain = dict(row.settings)
        for field, secret in row.secrets.items():
            try:
                sealed = base64.b64decode(secret.sealed, validate=True)
            except binascii.Error:
                raise VaultSealed(f"The sealed field {field} is damaged.") from None
            plain[field] = await self._vault.open(
                session,
                tenant_id,
                sealed,
                table="plugin_setting",
                row=plugin.info.name,
                column=f"secrets.{field}",
            )
        return plain

    async def _merged(
        self,
        session: Session,
        tenant_id: uuid.UUID,
        plugin: LoadedPlugin,
        row: _Row,
        given: Mapping[str, Any] | None,
    ) -> _Row:
        """The row with `given` in place of its settings; secrets that are not given stay."""
        before = await self._opened(session, tenant_id, plugin, row)
        if given is None:
            _parse(plugin, before)
            return row
        names = secret_fields(plugin.settings)
        kept = {name: one for name, one in row.secrets.items() if name not in given}
        merged = {name: before[name] for name in kept} | {
            name: value for name, value in given.items() if not (name in names and value is None)
        }
        _parse(plugin, merged)
        await _vet(plugin, merged)
        for name in sorted(names & merged.keys() - kept.keys()):
            kept[name] = await self._seal(session, tenant_id, plugin, name, merged[name])
        plain = {name: value for name, value in merged.items() if name not in names}
        return msgspec.structs.replace(row, settings=plain, secrets=kept)

    async def _seal(
        self,
        session: Session,
        tenant_id: uuid.UUID,
        plugin: LoadedPlugin,
        field: str,
        secret: str,
    ) -> _Sealed:
        sealed = await self._vault.seal(
            session,
            tenant_id,
            secret,
            table="plugin_setting",
            row=plugin.info.name,
            column=f"secrets.{field}",
        )
        # Four characters of a short secret would be most of it.
        last = secret[-_SHOWN:] if len(secret) >= 4 * _SHOWN else ""
        return _Sealed(sealed=base64.b64encode(sealed).decode(), last_four=last)

    def _without_row(self, context: TenantContext, plugin: LoadedPlugin | None) -> _Row:
        default = plugin is not None and plugin.enabled_by_default_in_test
        return _Row(enabled=default and context.mode == "test")


def _is_enabled(context: TenantContext, plugin: LoadedPlugin, row: _Row) -> bool:
    return row.enabled and (context.mode == "test" or not plugin.info.test_worlds_only)


async def _rows(session: Session, tenant_id: uuid.UUID) -> dict[str, _Row]:
    return {row["plugin"]: _row_of(row) for row in await session.fetch(_READ_ALL, tenant_id)}


def _row_of(row: Mapping[str, Any]) -> _Row:
    return _Row(
        enabled=row["enabled"],
        version=row["version"],
        settings=row["settings"],
        secrets=msgspec.convert(row["secrets"], dict[str, _Sealed]),
    )


def _parse(plugin: LoadedPlugin, plain: dict[str, Any]) -> PluginSettings:
    """The plugin's settings; its own checks in `__post_init__` may raise anything."""
    try:
        return parse_settings(plugin.settings, plain)
    except PluginSettingsInvalid as problem:
        raise PluginSettingsInvalid(problem.message, path=("settings", *problem.path)) from None
    except (Exception, SystemExit) as problem:
        raise PluginSettingsInvalid(
            f"The plugin refuses these settings: {type(problem).__name__}.", path=("settings",)
        ) from None


def _health(plugin: LoadedPlugin | None) -> HostHealth | None:
    source = plugin.source if plugin is not None else None
    return source.health() if isinstance(source, HostedPlugin) else None


async def _vet(plugin: LoadedPlugin, plain: dict[str, Any]) -> None:
    """Let a hosted plugin's own code check what the schema does not say; it has two seconds."""
    if isinstance(plugin.source, HostedPlugin):
        problem = await asyncio.to_thread(plugin.source.vet, plain)
        if problem:
            raise PluginSettingsInvalid(
                clean_text(f"The plugin refuses these settings: {problem.partition(':')[0]}."),
                path=("settings",),
            )


def _check_given(settings: Mapping[str, Any]) -> None:
    """Bound what is stored, and keep card numbers out of it."""
    try:
        spelled = msgspec.json.encode(settings)
    except (TypeError, ValueError, RecursionError):
        raise PluginSettingsInvalid(
            "The settings are not plain JSON.", path=("settings",)
        ) from None
    if b"\\u0000" in spelled:  # PostgreSQL's jsonb cannot hold it.
        raise PluginSettingsInvalid("The settings contain a NUL.", path=("settings",))
    if len(spelled) > _LARGEST_BYTES:
        raise PluginSettingsInvalid(
            f"The settings are larger than {_LARGEST_BYTES} bytes.", path=("settings",)
        )
    for field, value in settings.items():
        texts: Sequence[Any] = value if isinstance(value, (list, tuple)) else (value,)
        if any(isinstance(text, str) and contains_card_number(text) for text in texts):
            raise SensitiveDataRefused(path=("settings", field))
