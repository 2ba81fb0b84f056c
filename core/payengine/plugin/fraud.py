"""Which calls does a fraud rule answer?

A rule is pure: it is given a frozen context, with the features that it declared, and says what it
thinks. It does no input or output, so it may run in the payment's own path and again, later, over
the same history. What must ask somebody else is a scorer, which has a call of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

import msgspec

from payengine.plugin.features import Feature
from payengine.plugin.manifest import CONTRACT_VERSION
from payengine.plugin.messages import Call, Message
from payengine.plugin.settings import PluginSettings

__all__ = [
    "FraudContext",
    "FraudRule",
    "Label",
    "LearnsLabels",
    "OnError",
    "RemoteScorer",
    "RuleManifest",
    "RuleMode",
    "RuleStage",
    "RuleVerdict",
    "VerdictKind",
]

RuleStage = Literal["pre_auth", "post_auth", "payout", "refund"]
#: `shadow` is evaluated and logged, and decides nothing.
RuleMode = Literal["off", "shadow", "live"]

#: From the weakest; of all verdicts the strongest stands. `abstain` says nothing, `allow` found
#: nothing wrong, `allow_list` overrules all but `hard_block`.
VerdictKind = Literal[
    "abstain", "allow", "review", "challenge", "block", "allow_list", "hard_block"
]
#: What stands where a rule raises, is too slow or answers nonsense.
OnError = Literal["abstain", "review", "challenge", "block"]


class RuleManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule declares of itself.

    `time_limit_ms` bounds one evaluation; past it `on_error` stands in its place. `remote` says
    that it is a `RemoteScorer`. `needs_checks`: at `post_auth` it abstains wherever the issuer has
    checked neither the address nor the code, so it need not be asked then.
    """

    name: str
    title: str
    version: str
    contract: str = CONTRACT_VERSION
    stages: tuple[RuleStage, ...] = ("pre_auth",)
    default_mode: RuleMode = "shadow"
    time_limit_ms: int = 2
    on_error: OnError = "abstain"
    remote: bool = False
    needs_checks: bool = False
    settings: type[PluginSettings] = PluginSettings


class FraudContext(Message, frozen=True, kw_only=True):
    """What is known of a payment at the instant `as_of`, without a card number.

    `card` is a stable fingerprint of the payment method, `issuer_range` the card's first digits,
    `email` a keyed hash; all such names are opaque and mean nothing at another tenant.
    `amount_minor` is in `currency`, `base_minor` the same in the tenant's `base_currency`.
    `address_ok` and `cvc_ok` are the issuer's answers, None before the authorization. `features`
    holds what was declared, by name; a feature whose entity is unknown is None.
    """

    tenant: str
    stage: RuleStage
    as_of: datetime
    payment_id: str
    amount_minor: int
    currency: str
    base_minor: int
    base_currency: str
    method_kind: str = "card"
    off_session: bool = False
    card: str | None = None
    issuer_range: str | None = None
    issuer_country: str | None = None
    customer: str | None = None
    account_age_days: int | None = None
    email: str | None = None
    email_domain: str | None = None
    device: str | None = None
    ip: str | None = None
    ip_country: str | None = None
    billing_country: str | None = None
    ship_country: str | None = None
    seller: str | None = None
    address_ok: bool | None = None
    cvc_ok: bool | None = None
    declined: bool | None = None
    test_token: str | None = None
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    features: dict[str, int | float | str | None] = msgspec.field(default_factory=dict)

    def number(self, name: str) -> float:
        """The feature `name`; 0 where its entity is unknown or it is no number."""
        value = self.features.get(name)
        return value if isinstance(value, (int, float)) else 0


class RuleVerdict(Message, frozen=True, kw_only=True):
    """What a rule thinks.

    `reason` is a short code that a reviewer is shown (`card_velocity`), `detail` a sentence without
    personal data. `score` is a probability of fraud, where the rule has one.
    """

    verdict: VerdictKind = "abstain"
    reason: str = ""
    detail: str = ""
    score: float | None = None


class Label(Message, frozen=True, kw_only=True):
    """What became known of a payment, and when: `observed_at`, never the payment's own time."""

    payment_id: str
    is_fraud: bool
    observed_at: datetime
    source: Literal["dispute", "review", "tenant", "provider", "import"]


class FraudRule(Protocol):
    """One rule. Its object is shared by all tenants and keeps nothing between calls."""

    def describe(self) -> RuleManifest:
        """What this rule is; called once when the plugin is loaded."""
        ...

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """What `evaluate` will read under these settings. Pure."""
        ...

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """What it thinks of the payment. Pure: the same context gives the same verdict."""
        ...


@runtime_checkable
class LearnsLabels(Protocol):
    """A rule that wants to hear what became of payments."""

    def label(self, label: Label, settings: PluginSettings) -> None:
        """A label became known; may come twice."""
        ...


class RemoteScorer(Protocol):
    """A rule that asks somebody else, after the local rules and outside of any transaction."""

    def describe(self) -> RuleManifest:
        """What it is; `remote` is set."""
        ...

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """What `score` will read under these settings. Pure."""
        ...

    async def score(self, call: Call, context: FraudContext) -> RuleVerdict:
        """What the other one thinks, within `call.deadline_ms`."""
        ...
