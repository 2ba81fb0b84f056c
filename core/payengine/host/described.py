"""How does a plugin's description cross the wire?

Manifests go field by field. A class of settings goes as its JSON Schema and is built anew from it:
what the schema says is checked on this side, and what only the plugin's code knows on the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Union, cast

import msgspec

from payengine.host.wire import METHODS, Described, Offer, Shape
from payengine.plugin import Manifest, PluginSettings, RuleManifest, WalletManifest, settings_schema

__all__ = ["manifest_from", "settings_from", "told_of"]

_PLAIN: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "null": None,
    "object": dict[str, Any],
    "array": tuple[Any, ...],
}
_BOUNDS = {
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
    "pattern": "pattern",
    "minLength": "min_length",
    "maxLength": "max_length",
    "minItems": "min_length",
    "maxItems": "max_length",
    "minProperties": "min_length",
    "maxProperties": "max_length",
}
_MOST_OFFERS = 50


# -- in the host -----------------------------------------------------------------------------------


def told_of(
    plugin: str,
    *,
    gateways: Sequence[Any],
    wallets: Sequence[Any],
    rules: Sequence[Any],
    offers: dict[str, tuple[Any, type[PluginSettings]]],
    classes: list[type[PluginSettings]],
    jail: str,
) -> Described:
    """Describe the offers, and note each in `offers` and each class of settings in `classes`."""
    if max(len(gateways), len(wallets), len(rules)) > _MOST_OFFERS:
        words = f"It offers more than {_MOST_OFFERS} gateways, wallets or fraud rules."
        return Described(problem=words)

    def offered(offer: Any, *, noun: str, kind: type[msgspec.Struct]) -> Offer:
        manifest = offer.describe()
        fields = {
            name: getattr(manifest, name, None)
            for name in kind.__struct_fields__
            if name != "settings" and hasattr(manifest, name)
        }
        settings = getattr(manifest, "settings", PluginSettings)
        if settings not in classes:
            classes.append(settings)
        offers[f"{plugin}:{noun}:{manifest.name}"] = (offer, settings)
        methods = [name for name in METHODS if callable(getattr(offer, name, None))]
        plain = msgspec.to_builtins(fields, enc_hook=repr)
        return Offer(manifest=plain, methods=methods, shape=classes.index(settings))

    return Described(
        gateways=[offered(one, noun="gateway", kind=Manifest) for one in gateways],
        wallets=[offered(one, noun="wallet", kind=WalletManifest) for one in wallets],
        rules=[offered(one, noun="rule", kind=RuleManifest) for one in rules],
        shapes=[Shape(name=one.__name__, schema=settings_schema(one)) for one in classes],
        jail=jail,
    )


# -- in the engine ---------------------------------------------------------------------------------


def manifest_from(
    offer: Offer,
    kind: type[Manifest] | type[WalletManifest] | type[RuleManifest],
    settings: type[PluginSettings],
) -> Any:
    """The manifest as it was told; nothing in it has been checked."""
    known = {name: offer.manifest[name] for name in offer.manifest if name != "settings"}
    return kind(settings=settings, **known)


def settings_from(shape: Shape) -> type[PluginSettings]:
    """A class that takes what the schema allows; raises `ValueError` where it cannot be built.

    A field with a default of its own is left out of what crosses the wire until it is set.
    """
    schema = shape.schema
    definitions = schema.get("$defs", {})
    built: dict[str, Any] = {}
    try:
        fields = _fields(schema, definitions, built)
        made = cast(
            type[PluginSettings],
            msgspec.defstruct(
                shape.name, fields, bases=(PluginSettings,), frozen=True, kw_only=True
            ),
        )
        settings_schema(made)
    except Exception as problem:
        raise ValueError(f"{type(problem).__name__}: {problem}") from None
    return made


def _fields(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], built: dict[str, Any]
) -> list[tuple[str, Any] | tuple[str, Any, Any]]:
    required = set(schema.get("required", ()))
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for name, shape in schema.get("properties", {}).items():
        kind = _kind(shape, definitions, built)
        if "$ref" not in shape:
            kind = Annotated[kind, msgspec.Meta(extra_json_schema=dict(shape))]
        if name in required:
            fields.append((name, kind))
        else:
            fields.append((name, Union[kind, msgspec.UnsetType], msgspec.UNSET))  # noqa: UP007
    return fields


def _kind(schema: Mapping[str, Any], definitions: Mapping[str, Any], built: dict[str, Any]) -> Any:
    """The type of what the schema allows; `Any` where only the plugin can tell."""
    reference = schema.get("$ref")
    if reference is not None:
        return _nested(str(reference).rpartition("/")[2], definitions, built)
    if "anyOf" in schema:
        kinds = [_kind(one, definitions, built) for one in schema["anyOf"]]
        return Any if Any in kinds else Union[tuple(kinds)]  # noqa: UP007
    if "enum" in schema:
        return Literal[tuple(schema["enum"])]
    word = schema.get("type")
    if word == "array" and isinstance(schema.get("items"), dict):
        item: Any = _kind(schema["items"], definitions, built)
        kind: Any = tuple[item, ...]
    elif word == "object" and isinstance(schema.get("additionalProperties"), dict):
        item = _kind(schema["additionalProperties"], definitions, built)
        kind = dict[str, item]
    elif isinstance(word, str) and word in _PLAIN:
        kind = _PLAIN[word]
    else:
        return Any
    bounds = {_BOUNDS[name]: value for name, value in schema.items() if name in _BOUNDS}
    return Annotated[kind, msgspec.Meta(**bounds)] if bounds else kind


def _nested(name: str, definitions: Mapping[str, Any], built: dict[str, Any]) -> Any:
    if name not in built:
        inner = definitions[name]
        built[name] = Any  # a class within itself is the plugin's to check
        built[name] = msgspec.defstruct(
            name, _fields(inner, definitions, built), frozen=True, kw_only=True
        )
    return built[name]
