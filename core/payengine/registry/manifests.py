"""Does this gateway declare itself in a way that the engine can rely on?

Constructing a manifest checks nothing, so a plugin may put anything into it. A refusal says in one
sentence what the author has to change.
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias, TypeVar

import msgspec

from payengine.errors import PluginIncompatible
from payengine.plugin import (
    CONTRACT_VERSION,
    Disputes,
    FraudRule,
    Gateway,
    Increments,
    KycCheck,
    KycManifest,
    Manifest,
    Notifier,
    NotifierManifest,
    PayoutRail,
    PluginSettings,
    RailManifest,
    RateManifest,
    RateSource,
    RemoteScorer,
    RuleManifest,
    SavesMethods,
    Statement,
    TaxCalculator,
    TaxManifest,
    Wallet,
    WalletManifest,
    WalletSessions,
    secret_fields,
    settings_schema,
)

__all__ = [
    "check_contract",
    "kyc_manifest_of",
    "manifest_of",
    "notifier_manifest_of",
    "rail_manifest_of",
    "rate_manifest_of",
    "rule_manifest_of",
    "tax_manifest_of",
    "wallet_manifest_of",
]

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_CONTRACT = re.compile(r"(?P<major>[0-9]{1,4})\.[0-9]{1,4}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_COUNTRY = re.compile(r"[A-Z]{2}")
_METHOD = re.compile(r"[a-z][a-z0-9_]{0,62}")
_LARGEST_CONCURRENCY = 10_000
_LONGEST_PENDING_S = 366 * 86_400

#: A rule that may take longer is a remote one.
_LONGEST_RULE_MS = 5
_LONGEST_REMOTE_MS = 2_000

_DESTINATION = re.compile(r"[a-z][a-z0-9_]{0,31}")
_PAID_FROM = re.compile(r"(?:bank|psp_receivable):[a-z][a-z0-9_-]{0,62}")
_LARGEST_BATCH = 1_000
_LARGEST_STEP = 1_000_000

_AnyManifest: TypeAlias = (
    Manifest
    | WalletManifest
    | RuleManifest
    | RateManifest
    | RailManifest
    | KycManifest
    | NotifierManifest
    | TaxManifest
)

ManifestT = TypeVar(
    "ManifestT",
    Manifest,
    WalletManifest,
    RuleManifest,
    RateManifest,
    RailManifest,
    KycManifest,
    NotifierManifest,
    TaxManifest,
)


def check_contract(contract: object) -> None:
    """Raise `PluginIncompatible` unless `contract` has the same major version as ours."""
    spelled = _CONTRACT.fullmatch(contract) if isinstance(contract, str) else None
    if spelled is None:
        raise PluginIncompatible(
            f"The manifest's contract is {_shown(contract)}; write a version such as"
            f" {CONTRACT_VERSION!r}."
        )
    ours = CONTRACT_VERSION.split(".", maxsplit=1)[0]
    if spelled["major"] != ours:
        raise PluginIncompatible(
            f"It was written for version {spelled[0]} of the plugin contract; this engine keeps"
            f" version {CONTRACT_VERSION}. Install a release of the plugin for {ours}.x."
        )


def manifest_of(gateway: object) -> Manifest:
    """The gateway's checked manifest; raises `PluginIncompatible` that says what is wrong."""
    manifest = _declared(gateway, Manifest)
    _check_names(manifest)
    _check_texts(manifest)
    _check_numbers(manifest)
    _check_settings(manifest)
    _check_methods(gateway, manifest)
    return manifest


def wallet_manifest_of(wallet: object) -> WalletManifest:
    """The wallet's checked manifest; raises `PluginIncompatible` that says what is wrong."""
    manifest = _declared(wallet, WalletManifest)
    _check_names(manifest)
    _check_concurrency(manifest)
    _require(
        bool(_METHOD.fullmatch(manifest.name)),
        "name is not a lower-case letter and up to 62 of a-z, 0-9 and _",
    )
    _check_settings(manifest)
    if not isinstance(wallet, Wallet):
        raise PluginIncompatible("The wallet lacks the method open_token.")
    _require(
        not manifest.sessions or isinstance(wallet, WalletSessions),
        "sessions is set, and the wallet has no method start_session",
    )
    return manifest


def rate_manifest_of(source: object) -> RateManifest:
    """The rate source's checked manifest; raises `PluginIncompatible` that says what is wrong."""
    manifest = _declared(source, RateManifest)
    _check_names(manifest)
    _check_concurrency(manifest)
    _require(bool(_CURRENCY.fullmatch(manifest.base)), "base is no currency code")
    _check_settings(manifest)
    if not isinstance(source, RateSource):
        raise PluginIncompatible("The rate source lacks the method daily_rates.")
    return manifest


def kyc_manifest_of(check: object) -> KycManifest:
    """The KYC check's checked manifest; raises `PluginIncompatible` that says what is wrong."""
    manifest = _declared(check, KycManifest)
    _check_names(manifest)
    _check_concurrency(manifest)
    _check_settings(manifest)
    if not isinstance(check, KycCheck):
        raise PluginIncompatible("The KYC check lacks the method check_vendor.")
    return manifest


def notifier_manifest_of(notifier: object) -> NotifierManifest:
    """The notifier's checked manifest; raises `PluginIncompatible` that says what is wrong."""
    manifest = _declared(notifier, NotifierManifest)
    _check_names(manifest)
    _check_concurrency(manifest)
    _check_settings(manifest)
    if not isinstance(notifier, Notifier):
        raise PluginIncompatible("The notifier lacks the method notify.")
    return manifest


def tax_manifest_of(calculator: object) -> TaxManifest:
    """The calculator's checked manifest; raises `PluginIncompatible` that says what is wrong."""
    manifest = _declared(calculator, TaxManifest)
    _check_names(manifest)
    _check_concurrency(manifest)
    _check_settings(manifest)
    if not isinstance(calculator, TaxCalculator):
        raise PluginIncompatible("The tax calculator lacks the method tax_rates.")
    return manifest


def rail_manifest_of(rail: object) -> RailManifest:
    """The payout rail's checked manifest; raises `PluginIncompatible` that says what is wrong."""
    manifest = _declared(rail, RailManifest)
    _check_names(manifest)
    _check_concurrency(manifest)
    _require(bool(manifest.destinations), "destinations is empty")
    for field, codes, pattern in (
        ("currencies", manifest.currencies, _CURRENCY),
        ("countries", manifest.countries, _COUNTRY),
        ("destinations", manifest.destinations, _DESTINATION),
        ("steps", tuple(manifest.steps), _CURRENCY),
    ):
        bad = [code for code in codes if not pattern.fullmatch(code)]
        _require(not bad, f"{field} contains {_shown(bad[:1])}")
    _require(
        all(1 <= step <= _LARGEST_STEP for step in manifest.steps.values()),
        f"steps holds one that is not 1 to {_LARGEST_STEP}",
    )
    _require(1 <= manifest.max_batch <= _LARGEST_BATCH, f"max_batch is not 1 to {_LARGEST_BATCH}")
    _require(manifest.key_window_s >= 0, "key_window_s is negative")
    _require(manifest.lookup_consistent_after_ms >= 0, "lookup_consistent_after_ms is negative")
    _require(0 <= manifest.returns_s <= _LONGEST_PENDING_S, "returns_s is not 0 to a year")
    _require(
        bool(_PAID_FROM.fullmatch(manifest.paid_from)),
        "paid_from is neither bank:NAME nor psp_receivable:NAME",
    )
    _check_settings(manifest)
    if not isinstance(rail, PayoutRail):
        raise PluginIncompatible("The payout rail lacks the method send or look_up.")
    return manifest


def rule_manifest_of(rule: object) -> RuleManifest:
    """The rule's checked manifest; raises `PluginIncompatible` that says what is wrong."""
    manifest = _declared(rule, RuleManifest)
    _check_names(manifest)
    _require(bool(manifest.stages), "stages is empty")
    longest = _LONGEST_REMOTE_MS if manifest.remote else _LONGEST_RULE_MS
    _require(1 <= manifest.time_limit_ms <= longest, f"time_limit_ms is not 1 to {longest}")
    _check_settings(manifest)
    needed = ("features", "score" if manifest.remote else "evaluate")
    lacking = [name for name in needed if not callable(getattr(rule, name, None))]
    if lacking:
        kind = RemoteScorer if manifest.remote else FraudRule
        raise PluginIncompatible(f"A {kind.__name__} has the methods {', '.join(lacking)}.")
    _require(
        manifest.remote or not secret_fields(manifest.settings),
        "a rule that asks nobody has no secret",
    )
    return manifest


def _declared(source: object, kind: type[ManifestT]) -> ManifestT:
    describe = getattr(source, "describe", None)
    if not callable(describe):
        raise PluginIncompatible(f"{type(source).__name__} has no method describe().")
    declared = describe()
    # The version first: a manifest of another contract may have another shape.
    check_contract(getattr(declared, "contract", None))
    if not isinstance(declared, kind):
        raise PluginIncompatible(
            f"describe() returned a {type(declared).__name__}, no {kind.__name__}."
        )
    fields: dict[str, Any] = {name: getattr(declared, name) for name in kind.__struct_fields__}
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as problem:
        raise PluginIncompatible(f"The manifest is malformed: {problem}.") from None


def _check_names(manifest: _AnyManifest) -> None:
    _require(
        bool(_NAME.fullmatch(manifest.name)),
        "name is not a lower-case letter and up to 62 of a-z, 0-9, _ and -",
    )
    for field, text in (("title", manifest.title), ("version", manifest.version)):
        _require(
            0 < len(text) <= 100 and text.isprintable(),
            f"{field} is not 1 to 100 printable characters",
        )


def _check_texts(manifest: Manifest) -> None:
    _require(bool(manifest.methods), "methods is empty")
    for field, codes, pattern in (
        ("methods", manifest.methods, _METHOD),
        ("currencies", manifest.currencies, _CURRENCY),
        ("countries", manifest.countries, _COUNTRY),
    ):
        bad = [code for code in codes if not pattern.fullmatch(code)]
        _require(not bad, f"{field} contains {_shown(bad[:1])}")
    _require("authorize" in manifest.operations, "operations lacks authorize")


def _check_concurrency(
    manifest: Manifest
    | WalletManifest
    | RateManifest
    | RailManifest
    | KycManifest
    | NotifierManifest
    | TaxManifest,
) -> None:
    _require(
        1 <= manifest.max_concurrency <= _LARGEST_CONCURRENCY,
        f"max_concurrency is not 1 to {_LARGEST_CONCURRENCY}",
    )


def _check_numbers(manifest: Manifest) -> None:
    _check_concurrency(manifest)
    _require(manifest.key_window_s >= 0, "key_window_s is negative")
    _require(manifest.lookup_consistent_after_ms >= 0, "lookup_consistent_after_ms is negative")
    _require(
        0 < manifest.pending_for_s <= _LONGEST_PENDING_S,
        f"pending_for_s is not 1 to {_LONGEST_PENDING_S}",
    )


def _check_settings(manifest: _AnyManifest) -> None:
    settings: object = manifest.settings
    _require(
        isinstance(settings, type) and issubclass(settings, PluginSettings),
        "settings is not a subclass of PluginSettings",
    )
    try:
        schema = settings_schema(manifest.settings)
        secrets = secret_fields(manifest.settings)
    except Exception as problem:
        raise PluginIncompatible(f"No form can be made of the settings: {problem}.") from None
    fields = schema.get("properties", {})
    hidden = [name for name in fields if name not in secrets and _holds_secret(fields[name])]
    nested = any(_holds_secret(one) for one in schema.get("$defs", {}).values())
    _require(not hidden and not nested, "settings holds a Secret inside a list or a nested class")


def _holds_secret(schema: object) -> bool:
    if isinstance(schema, dict):
        return bool(schema.get("writeOnly")) or any(map(_holds_secret, schema.values()))
    return isinstance(schema, list) and any(map(_holds_secret, schema))


def _check_methods(gateway: object, manifest: Manifest) -> None:
    lacking = [
        name
        for name in ("authorize", "capture", "void", "refund", "lookup", "parse_webhook")
        if not callable(getattr(gateway, name, None))
    ]
    if lacking or not isinstance(gateway, Gateway):
        raise PluginIncompatible(f"The gateway lacks the methods {', '.join(lacking)}.")
    _require(
        "increment" not in manifest.operations or isinstance(gateway, Increments),
        "operations lists increment, and the gateway has no such method",
    )
    for name in ("submit_evidence", "accept_dispute"):
        _require(
            name not in manifest.operations or isinstance(gateway, Disputes),
            f"operations lists {name}, and the gateway lacks the methods of Disputes",
        )
    _require(
        not manifest.movements or isinstance(gateway, Statement),
        "movements is set, and the gateway has no such method",
    )
    _require(
        not manifest.saved_methods or isinstance(gateway, SavesMethods),
        "saved_methods is set, and the gateway lacks a method of SavesMethods",
    )


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise PluginIncompatible(f"The manifest is malformed: {problem}.")


def _shown(value: object) -> str:
    return repr(value)[:100]
