"""Is the e-mail address one that is thrown away afterwards?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from payengine.plugin import Feature, FraudContext, PluginSettings, RuleManifest, RuleVerdict

from payengine_fraud_lists.domains import DOMAINS, SERVICES

__all__ = ["DisposableEmail", "DisposableEmailSettings", "is_disposable"]

_NOTHING = RuleVerdict()
_FINE = RuleVerdict(verdict="allow")
_MOST_LABELS = 6

Domain = Annotated[str, msgspec.Meta(min_length=3, max_length=253)]
Domains = Annotated[tuple[Domain, ...], msgspec.Meta(max_length=1_000)]


class DisposableEmailSettings(PluginSettings, frozen=True, kw_only=True):
    """What a disposable address means, by the age of the account.

    `more` are domains that the tenant adds, `not_these` domains that it takes for honest; both
    count for everything below them too. An account of up to `new_days` days, or of unknown age,
    gets the verdict `new_account`, an older one `known_account`.
    """

    more: Domains = ()
    not_these: Domains = ()
    new_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 30
    new_account: Literal["allow", "review", "challenge", "block"] = "challenge"
    known_account: Literal["allow", "review", "challenge", "block"] = "allow"


class DisposableEmail:
    """Addresses of services that give them to anybody."""

    def describe(self) -> RuleManifest:
        """What it is."""
        return RuleManifest(
            name="disposable_email",
            title="Disposable e-mail",
            version="1.0.0",
            default_mode="live",
            settings=DisposableEmailSettings,
        )

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """None."""
        return ()

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        """Abstains where the domain is unknown."""
        assert isinstance(settings, DisposableEmailSettings)
        if not context.email_domain:
            return _NOTHING
        if not is_disposable(
            context.email_domain, more=settings.more, not_these=settings.not_these
        ):
            return _FINE
        age = context.account_age_days
        is_new = age is None or age <= settings.new_days
        return RuleVerdict(
            verdict=settings.new_account if is_new else settings.known_account,
            reason="disposable_email",
            detail="the e-mail address is a disposable one",
            score=0.6 if is_new else 0.03,
        )


@lru_cache(maxsize=10_000)
def is_disposable(
    domain: str, *, more: tuple[str, ...] = (), not_these: tuple[str, ...] = ()
) -> bool:
    """Whether the domain, or one above it, is given away; a bare name is a service's name."""
    labels = domain.strip(".").lower().split(".")[-_MOST_LABELS:]
    own = [".".join(labels[place:]) for place in range(len(labels))]
    if any(one.lower() in own for one in not_these):
        return False
    if any(one.lower() in own for one in more) or not DOMAINS.isdisjoint(own):
        return True
    return not SERVICES.isdisjoint(labels[:-1] or labels)
