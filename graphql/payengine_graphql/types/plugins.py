"""How are plugins and a tenant's settings of them shown? Secrets show four characters."""

from __future__ import annotations

import strawberry
from payengine.registry import PluginState

from payengine_graphql.scalars import JSON
from payengine_graphql.types.fields import column, computed

__all__ = ["Plugin", "PluginHost", "PluginSecret"]


@strawberry.type(description="The process of its own in which a stranger's plugin runs.")
class PluginHost:
    """See the description."""

    state: str = strawberry.field(
        description="`running`, `resting` until it is called, or `pausing` because it keeps dying."
    )
    deaths: int = strawberry.field(description="How often it died since the server started.")
    jail: str = strawberry.field(
        description="What shuts it in: `calls`, `files`, `limits`, `user`, as the machine offers."
    )


@strawberry.type(description="A secret setting that is saved: that it is, and how it ends.")
class PluginSecret:
    """See the description."""

    name: str = strawberry.field(description="The setting's name.")
    last_four: str = strawberry.field(description="Its last four characters.")


@strawberry.type(description="An installed plugin, as this tenant has set it up.")
class Plugin:
    """See the description."""

    row: strawberry.Private[PluginState]
    enabled: bool = column("Whether new payments of this tenant may take its gateways.")
    version: int = column("Counts the times that its settings were saved; 0 for never.")
    schema: JSON = column("The JSON Schema of its settings; secrets carry `writeOnly`.")
    settings: JSON = column("The settings that are no secrets.")

    @computed("The plugin's name.")
    def name(self) -> str:
        """The entry point's."""
        return self.row.info.name

    @computed("The name for people.")
    def title(self) -> str:
        """The first gateway's."""
        return self.row.info.title

    @computed("`ready`, or `refused` where it does not keep the contract.")
    def status(self) -> str:
        """Of the process."""
        return self.row.info.status

    @computed("Why it was refused; empty where it is ready.")
    def reason(self) -> str:
        """Of the refusal."""
        return self.row.info.reason

    @computed("The installed version of its package.")
    def package_version(self) -> str:
        """Empty for a plugin that comes with no package."""
        return self.row.info.version

    @computed("The names of its gateways.")
    def gateways(self) -> list[str]:
        """From the manifests."""
        return list(self.row.info.gateways)

    @computed("The names of its wallets.")
    def wallets(self) -> list[str]:
        """From the manifests."""
        return list(self.row.info.wallets)

    @computed("Whether it exists in test worlds only.")
    def test_worlds_only(self) -> bool:
        """From the manifest."""
        return self.row.info.test_worlds_only

    @computed("Where its code runs: in the engine's own `process`, or in a plugin `host`.")
    def place(self) -> str:
        """By its distribution's name."""
        return self.row.info.place

    @computed("How its host is; null where it runs in the engine's own process.")
    def host(self) -> PluginHost | None:
        """Of this server."""
        told = self.row.host
        if told is None:
            return None
        return PluginHost(state=told.state, deaths=told.deaths, jail=told.jail)

    @computed("The secret settings that are saved.")
    def secrets(self) -> list[PluginSecret]:
        """Never the secrets themselves."""
        return [
            PluginSecret(name=name, last_four=last_four)
            for name, last_four in sorted(self.row.secrets.items())
        ]
