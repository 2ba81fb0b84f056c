"""Is what a gateway says of itself right and steady?"""

from __future__ import annotations

import contextlib
import inspect
import re

import msgspec

from payengine.plugin import (
    CONTRACT_VERSION,
    Disputes,
    Gateway,
    Increments,
    Lookup,
    Manifest,
    Message,
    PluginSettings,
    Statement,
    from_plain,
    parse_settings,
    secret_fields,
    settings_schema,
    to_plain,
)
from payengine.testing.case import ContractBroken, GatewayCase, NotApplicable, require

__all__ = ["ALL", "PURE"]

_NAME = re.compile(r"[a-z][a-z0-9_]{1,31}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_COUNTRY = re.compile(r"[A-Z]{2}")
_SECRET_WORDS = re.compile(r"(secret|password|private_key|api_key|token)", re.IGNORECASE)


async def manifest_is_valid(case: GatewayCase) -> None:
    """The manifest can be read, fits this contract and matches the methods."""
    manifest = case.gateway.describe()
    require(isinstance(manifest, Manifest), "describe() must return a Manifest")
    require(_NAME.fullmatch(manifest.name), f"{manifest.name!r} is no name: a-z, 0-9 and _")
    require(manifest.title and manifest.version, "a title and a version are needed")
    major = manifest.contract.partition(".")[0]
    ours = CONTRACT_VERSION.partition(".")[0]
    require(major == ours, f"written for contract {manifest.contract}, this is {CONTRACT_VERSION}")
    require(manifest.methods, "at least one payment method is needed")
    require(all(map(_CURRENCY.fullmatch, manifest.currencies)), "currencies are ISO 4217 codes")
    require(all(map(_COUNTRY.fullmatch, manifest.countries)), "countries are ISO 3166 codes")
    require("authorize" in manifest.operations, "every gateway can authorize")
    require(manifest.max_concurrency > 0, "max_concurrency must be positive")
    require(manifest.key_window_s >= 0, "key_window_s cannot be negative")
    require(manifest.lookup_consistent_after_ms >= 0, "a time cannot be negative")
    require(manifest.pending_for_s > 0, "pending_for_s must be positive")
    if manifest.supports_idempotency:
        require(manifest.key_window_s > 0, "a provider that keeps keys keeps them for a while")
    require(isinstance(case.gateway, Gateway), "a method of Gateway is missing")
    for name in ("authorize", "capture", "void", "refund", "lookup"):
        method = getattr(case.gateway, name)
        require(inspect.iscoroutinefunction(method), f"{name} must be a coroutine function")
    require(
        ("increment" not in manifest.operations) or isinstance(case.gateway, Increments),
        "the manifest lists increment and the method is missing",
    )
    for name in ("submit_evidence", "accept_dispute"):
        require(
            name not in manifest.operations or isinstance(case.gateway, Disputes),
            f"the manifest lists {name} and the methods of Disputes are missing",
        )
    require(
        not manifest.movements or isinstance(case.gateway, Statement),
        "the manifest declares movements and the method is missing",
    )


async def manifest_is_constant(case: GatewayCase) -> None:
    """describe() says the same each time: it is pure."""
    first = case.gateway.describe()
    for _ in range(3):
        require(case.gateway.describe() == first, "describe() changes its mind")


async def settings_schema_is_valid(case: GatewayCase) -> None:
    """The settings have a schema that a form can be drawn from; what looks secret is secret."""
    settings = case.gateway.describe().settings
    require(
        isinstance(settings, type) and issubclass(settings, PluginSettings),
        "the manifest's settings must be a class derived from PluginSettings",
    )
    try:
        schema = settings_schema(settings)
        msgspec.json.encode(schema)
    except Exception as fault:
        raise ContractBroken(f"no JSON Schema can be made of the settings: {fault}") from None
    require(schema.get("type") == "object", "the settings must be an object")
    properties = schema.get("properties", {})
    secret = secret_fields(settings)
    for name, field in properties.items():
        if field.get("type") == "string" and _SECRET_WORDS.search(name):
            require(name in secret, f"the setting {name!r} looks secret: give it the type Secret")


async def settings_survive_a_round_trip(case: GatewayCase) -> None:
    """The case's settings can be saved and read again."""
    settings = case.gateway.describe().settings
    require(isinstance(case.settings, settings), "the case's settings are of another class")
    plain = to_plain(case.settings)
    require(parse_settings(settings, plain) == case.settings, "the settings change when saved")


async def messages_survive_a_round_trip(case: GatewayCase) -> None:
    """Requests and answers can cross a socket unchanged."""
    request, outcome, reference = await case.approved(capture=True)
    found = await case.within(
        case.gateway.lookup(
            case.call(),
            Lookup(key=request.key, kind="authorize", provider_reference=reference),
        )
    )
    declined = await case.within(
        case.gateway.authorize(case.call(), case.payment(capture=True, token=case.declined_token))
    )
    messages: list[Message] = [request, outcome, found, declined]
    with contextlib.suppress(NotApplicable):
        messages += await case.moved(request.key)
    for message in messages:
        try:
            wire = msgspec.json.encode(to_plain(message))
            again = from_plain(msgspec.json.decode(wire), type(message))
        except (msgspec.MsgspecError, TypeError, OverflowError) as fault:
            raise ContractBroken(f"{type(message).__name__} cannot be sent: {fault}") from None
        require(again == message, f"{type(message).__name__} changes on its way: {message}")


PURE = (manifest_is_valid, manifest_is_constant, settings_schema_is_valid)
ALL = (*PURE, settings_survive_a_round_trip, messages_survive_a_round_trip)
