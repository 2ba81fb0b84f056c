"""Can a form be made of a plugin's settings, and does a refusal name the field?"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest
from payengine.errors import PluginSettingsInvalid
from payengine.plugin import (
    PluginSettings,
    Secret,
    parse_settings,
    secret_fields,
    settings_schema,
)


class Address(msgspec.Struct, forbid_unknown_fields=True):
    """A part of the settings."""

    city: str


class Settings(PluginSettings, frozen=True, kw_only=True):
    """Settings of every kind."""

    api_key: Secret
    webhook_secret: Secret | None = None
    fee_bps: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0
    regions: tuple[str, ...] = ()
    address: Address | None = None


def test_schema_stands_by_itself() -> None:
    schema = settings_schema(Settings)
    assert schema["required"] == ["api_key"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["fee_bps"]["maximum"] == 10_000
    assert schema["properties"]["address"]["anyOf"][0] == {"$ref": "#/$defs/Address"}
    assert schema["$defs"]["Address"]["required"] == ["city"]


def test_secret_fields_are_found_where_they_may_be_null_too() -> None:
    assert secret_fields(Settings) == {"api_key", "webhook_secret"}
    assert secret_fields(PluginSettings) == frozenset()


def test_settings_that_fit_become_the_plugins_own_class() -> None:
    plain: dict[str, Any] = {"api_key": "k", "regions": ["eu"], "address": {"city": "Riga"}}
    assert parse_settings(Settings, plain) == Settings(
        api_key="k", regions=("eu",), address=Address("Riga")
    )


@pytest.mark.parametrize(
    ("plain", "path"),
    [
        ({}, ("api_key",)),
        ({"api_key": 1}, ("api_key",)),
        ({"api_key": "k", "fee_bps": -1}, ("fee_bps",)),
        ({"api_key": "k", "regions": ["eu", 7]}, ("regions", "1")),
        ({"api_key": "k", "address": {}}, ("address", "city")),
        ({"api_key": "k", "address": {"city": None}}, ("address", "city")),
        ({"api_key": "k", "other": 1}, ("other",)),
        ([], ()),
    ],
)
def test_refusal_names_the_field(plain: Any, path: tuple[str, ...]) -> None:
    with pytest.raises(PluginSettingsInvalid) as refused:
        parse_settings(Settings, plain)
    assert refused.value.path == path
