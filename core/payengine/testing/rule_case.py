"""What must the contract know about a fraud rule?

A `RuleCase` holds the rule, settings to try it with, and samples: payments with the verdict that
they must get. Without samples the rule is tried with its defaults and with payments made up here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec

from payengine.plugin import (
    Feature,
    FraudContext,
    FraudRule,
    PluginSettings,
    RemoteScorer,
    RuleManifest,
    RuleStage,
    VerdictKind,
)
from payengine.testing.case import NotApplicable

__all__ = ["RuleCase", "RuleSample", "made_up", "sample_context"]

_AT = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)
_LARGEST = 2**63 - 1
_ODD_TEXTS = ("", " ", "\x00", "🃏" * 50, "x" * 10_000, "None", "-1", "nan", "'; --", "../..")
_ODD_VALUES: tuple[int | float | str | None, ...] = (
    None,
    -1,
    _LARGEST,
    -_LARGEST,
    float("nan"),
    float("inf"),
    float("-inf"),
    "",
    "nonsense",
)
_NAMES = (
    "card",
    "issuer_range",
    "issuer_country",
    "customer",
    "account_age_days",
    "email",
    "email_domain",
    "device",
    "ip",
    "ip_country",
    "billing_country",
    "ship_country",
    "seller",
    "address_ok",
    "cvc_ok",
    "declined",
)


@dataclass(frozen=True, kw_only=True)
class RuleSample:
    """A payment, and the verdict that it must get; with `reason` where that matters."""

    context: FraudContext
    verdict: VerdictKind
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class RuleCase:
    """A rule with what its contract tests need; `settings` None: its defaults."""

    rule: FraudRule | RemoteScorer
    settings: PluginSettings | None = None
    samples: Sequence[RuleSample] = field(default_factory=tuple)

    @property
    def manifest(self) -> RuleManifest:
        """The rule's manifest."""
        return self.rule.describe()

    @property
    def chosen(self) -> PluginSettings:
        """The settings to try it with."""
        return self.manifest.settings() if self.settings is None else self.settings

    @property
    def local(self) -> FraudRule:
        """The rule; raises `NotApplicable` for one that asks somebody else."""
        if self.manifest.remote:
            raise NotApplicable("the rule asks somebody else")
        return cast(FraudRule, self.rule)

    def declared(self) -> tuple[Feature, ...]:
        """What it reads of the past under the settings."""
        return tuple(self.rule.features(self.chosen))

    def contexts(self) -> Iterator[FraudContext]:
        """The samples, and payments made up: whole ones, bare ones and nonsense, of each stage."""
        for sample in self.samples:
            yield sample.context
        for stage in self.manifest.stages:
            yield from made_up(stage, self.declared())


def sample_context(**changes: Any) -> FraudContext:
    """An everyday payment of 12.00 EUR with every name known; `changes` are fields."""
    whole = FraudContext(
        tenant="acct_contract",
        stage="pre_auth",
        as_of=_AT,
        payment_id="pay_0123456789abcdefghijklmnop",
        amount_minor=1_200,
        currency="EUR",
        base_minor=1_200,
        base_currency="EUR",
        card="crd_7f3a",
        issuer_range="411111",
        issuer_country="DE",
        customer="cus_19c2",
        account_age_days=400,
        email="eml_55d1",
        email_domain="mail.example",
        device="dev_e07b",
        ip="ip_90aa",
        ip_country="DE",
        billing_country="DE",
        ship_country="DE",
        seller="sel_3b",
    )
    return msgspec.structs.replace(whole, **changes)


def made_up(stage: RuleStage, features: Sequence[Feature]) -> Iterator[FraudContext]:
    """Payments of a stage: with all, few, none and nonsensical features and names."""
    names = [feature.name for feature in features]
    whole = sample_context(stage=stage)
    nothing: dict[str, Any] = dict.fromkeys(_NAMES)
    fill: Callable[[Any], dict[str, Any]] = lambda value: dict.fromkeys(names, value)  # noqa: E731
    for value in (0, 1, 3, 50, 86_400, 2.5, 10_000_000):
        yield msgspec.structs.replace(whole, features=fill(value))
    yield msgspec.structs.replace(whole, features={})
    yield msgspec.structs.replace(whole, features=fill(None))
    yield msgspec.structs.replace(whole, **nothing, features=fill(None))
    yield msgspec.structs.replace(whole, **nothing, features={})
    for one in _NAMES:
        yield msgspec.structs.replace(whole, **{one: None}, features=fill(4))
    for age in (0, 1, 36_500):
        yield msgspec.structs.replace(whole, account_age_days=age, features=fill(1))
    for answer in (True, False):
        checked = {"address_ok": answer, "cvc_ok": answer, "declined": not answer}
        yield msgspec.structs.replace(whole, **checked, features=fill(1))
    yield from _nonsense(whole, fill)


def _nonsense(whole: FraudContext, fill: Callable[[Any], dict[str, Any]]) -> Iterator[FraudContext]:
    for value in _ODD_VALUES:
        yield msgspec.structs.replace(whole, features=fill(value))
    for minor in (0, 1, -1, _LARGEST, -_LARGEST):
        amounts = {"amount_minor": minor, "base_minor": minor}
        yield msgspec.structs.replace(whole, **amounts, features=fill(minor))
    for text in _ODD_TEXTS:
        texts = {
            name: text
            for name in (*_NAMES, "currency", "base_currency", "method_kind", "payment_id")
            if isinstance(getattr(whole, name), str)
        }
        yield msgspec.structs.replace(whole, **texts, metadata={text: text}, features=fill(text))
    for days in (-1, _LARGEST):
        yield msgspec.structs.replace(whole, account_age_days=days, features=fill(2))
    for at in (datetime(1970, 1, 1, tzinfo=UTC), _AT + timedelta(days=36_500)):
        yield msgspec.structs.replace(whole, as_of=at, features=fill(2))
