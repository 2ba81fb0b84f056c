"""Which settings does a plugin take, and which of them are secret?

A plugin declares a class of typed fields; the engine checks what a tenant saves against it, makes
a JSON Schema that a form can be drawn from, and seals the secret fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any

import msgspec

from payengine.errors import PluginSettingsInvalid

__all__ = ["PluginSettings", "Secret", "parse_settings", "secret_fields", "settings_schema"]


class PluginSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a plugin's settings: subclass it and give each field a type and a default."""


#: A text that is sealed when saved and never shown again, apart from its last four characters.
#: Use it as a field's whole type, or as `Secret | None`; not inside a list or a nested class.
Secret = Annotated[str, msgspec.Meta(extra_json_schema={"writeOnly": True, "format": "password"})]

#: Where msgspec says that a value is at fault: `… - at `$.fee_bps``.
_AT = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
#: Of so many classes it is remembered which fields are secret: a start asks for each several times.
_CLASSES = 512
_FIELD = re.compile(r"field `(?P<name>[^`]*)`")


def settings_schema(settings: type[PluginSettings]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a settings class; secret fields carry `writeOnly: true`.

    Classes that the settings nest stand below `$defs`.
    """
    _, components = msgspec.json.schema_components([settings], ref_template="#/$defs/{name}")
    schema = dict(components.pop(settings.__name__))
    return {**schema, "$defs": components} if components else schema


@lru_cache(maxsize=_CLASSES)
def secret_fields(settings: type[PluginSettings]) -> frozenset[str]:
    """The names of the fields whose values are sealed."""
    properties = settings_schema(settings).get("properties", {})
    return frozenset(name for name, schema in properties.items() if _is_secret(schema))


def _is_secret(schema: Mapping[str, Any]) -> bool:
    alternatives = schema.get("anyOf", ())
    return bool(schema.get("writeOnly")) or any(one.get("writeOnly") for one in alternatives)


def parse_settings(settings: type[PluginSettings], plain: dict[str, Any]) -> PluginSettings:
    """Check `plain` against the class; raises `PluginSettingsInvalid` whose path names the field.

    The path begins at the settings themselves: `("fee_bps",)`.
    """
    try:
        return msgspec.convert(plain, settings)
    except msgspec.ValidationError as refused:
        text = str(refused)
        raise PluginSettingsInvalid(
            f"The settings do not fit: {text}", path=_path_of(text)
        ) from None


def _path_of(text: str) -> tuple[str, ...]:
    at = _AT.search(text)
    path = at["path"].replace("[", ".").replace("]", "").split(".") if at else []
    missing = _FIELD.search(text)
    if missing:
        path.append(missing["name"])
    return tuple(part for part in path if part)
