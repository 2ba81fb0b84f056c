"""May this payment go through?

Puts the room together: the rules that hold, the past, the decision. The decision itself is pure
and waits for nothing; the past is read in the transaction that opens the payment.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import msgspec

from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.fraud.asking import Asking, Asks
from payengine.fraud.base import Base, based
from payengine.fraud.decide import Decided, Evaluated, decide, drawn
from payengine.fraud.decisions import Decision
from payengine.fraud.evaluation import Evaluator
from payengine.fraud.labels import write_label
from payengine.fraud.past import Claim, Reading, Recalled
from payengine.fraud.rulebook import Rulebook, Ruleset
from payengine.fraud.settings import FraudSettings
from payengine.fraud.tokens import Namer, Tokens
from payengine.plugin.fraud import FraudContext, Label, RuleStage, VerdictKind
from payengine.registry import InstalledPlugins
from payengine.storage import Database, Session
from payengine.vault import Vault

__all__ = ["Screening", "Subject", "subject_context", "with_past"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LIVE_SHARE = 0.01


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Whom an attempt concerns, in clear: nothing of this is kept, but by a hash where personal.

    `card` is whatever stands for the card for ever: a fingerprint, or a token that is used again.
    """

    card: str | None = None
    issuer_range: str | None = None
    issuer_country: str | None = None
    customer: str | None = None
    account_age_days: int | None = None
    email: str | None = None
    device: str | None = None
    ip: str | None = None
    ip_country: str | None = None
    billing_country: str | None = None
    ship_country: str | None = None
    seller: str | None = None
    test_token: str | None = None

    @property
    def is_named(self) -> bool:
        """Whether there is anything to be hashed."""
        return any((self.card, self.device, self.email, self.ip))


class Screening:
    """The fraud rules of all tenants in one process."""

    def __init__(
        self,
        database: Database,
        *,
        vault: Vault,
        plugins: InstalledPlugins,
        clock: Clock,
        scorers: Asks | None = None,
    ) -> None:
        """`scorers` knows the way to the rules whose code is not here."""
        self.asking = Asking(scorers)
        self.rulebook = Rulebook(database, plugins=plugins, clock=clock)
        self.tokens = Tokens(database, vault)
        self.evaluator = Evaluator()

    async def active(self, context: TenantContext, stage: RuleStage) -> Ruleset | None:
        """The rules that hold; None where none of this stage has anything to say."""
        rules = await self.rulebook.of(context)
        return None if rules.is_idle(stage) else rules

    def reading(
        self,
        context: FraudContext,
        rules: Ruleset,
        subject: Subject,
        namer: Namer,
        *,
        tenant_id: uuid.UUID,
        number: int = 1,
        claim: Claim | None = None,
    ) -> Reading | None:
        """What is to be read of the past; None where no rule wants to know of it, and where nobody
        is named who could have one. An attempt to pay becomes part of the past of those whom any
        stage's rules want to know of."""
        plan = rules.plans[context.stage]
        kept = rules.kept if context.stage == "pre_auth" else None
        listed_as = _listed_as(context, subject, namer) if plan.lists else ()
        named = plan.entities if kept is None else rules.remembered
        if not listed_as and all(getattr(context, entity) is None for entity in named):
            return None
        return Reading(
            tenant_id=tenant_id,
            plan=plan,
            context=context,
            number=number,
            claim=claim,
            listed_as=listed_as,
            kept=kept,
        )

    def judge(
        self,
        tenant: TenantContext,
        rules: Ruleset,
        context: FraudContext,
        recalled: Recalled | None,
        *,
        number: int = 1,
        missing: bool = False,
        asked: Sequence[Evaluated] = (),
        as_told: bool = False,
    ) -> Decision:
        """What is decided about the attempt. Pure but for the rules' own failures.

        `missing`: the past cannot be read; `as_told`: the context holds it already, as far as it
        was read. Rules that want more of it are not asked, and the decision is degraded. `asked`
        is what was said by the rules whose code is not here. An amount that nobody can convert is
        compared with those of another currency, and the decision is degraded, too.
        """
        began = time.perf_counter()
        if not missing and not as_told:
            context = with_past(context, rules, recalled)
        unread = missing or (
            as_told and not rules.plans[context.stage].names <= context.features.keys()
        )
        said = self.evaluator.evaluate(
            tenant.tenant_id, rules.rules[context.stage], context, unread=unread
        )
        evaluated = (*said, *asked)
        decided = decide(evaluated)
        if missing or any(each.error and each.mode == "live" for each in asked):
            decided = _without_past(decided, rules.settings, context)
        lucky = _is_drawn(decided, tenant, rules.settings, context)
        if lucky:
            decided = msgspec.structs.replace(decided, verdict="challenge")
        return Decision(
            context=context,
            decided=decided,
            evaluated=evaluated,
            number=number,
            degraded=missing
            or (rules.base is not None and context.base_currency != rules.base.currency)
            or any(each.error and each.mode == "live" for each in evaluated),
            drawn=lucky,
            took_us=int((time.perf_counter() - began) * 1e6),
        )

    async def label(self, session: Session, tenant_id: uuid.UUID, label: Label) -> None:
        """Keep what became known of a payment; see `payengine.fraud.labels`."""
        await write_label(session, tenant_id, label)


def with_past(context: FraudContext, rules: Ruleset, recalled: Recalled | None) -> FraudContext:
    """The context as of its place in the past; without one, nothing of that is known."""
    if recalled is None:
        return msgspec.structs.replace(context, features=rules.plans[context.stage].unknown)
    return msgspec.structs.replace(
        context,
        as_of=_EPOCH + timedelta(microseconds=recalled.placed_at),
        features=MappingProxyType(recalled.facts),
    )


def subject_context(
    subject: Subject,
    namer: Namer,
    *,
    tenant_id: uuid.UUID,
    stage: RuleStage,
    payment_id: str,
    at: datetime,
    amount_minor: int,
    currency: str,
    method_kind: str,
    off_session: bool,
    metadata: Mapping[str, str],
    base: Base | None = None,
    earlier: Mapping[str, Any] | None = None,
) -> FraudContext:
    """What the rules are told: names in place of whoever they stand for.

    `earlier` is what an earlier attempt of the payment was told, for all that this one does not
    say. `base` is the currency that amounts are compared in.
    """
    base_minor, base_currency = based(base, amount_minor, currency)
    email = subject.email
    told: dict[str, Any] = {
        "card": _name(namer, "card", subject.card),
        "issuer_range": subject.issuer_range,
        "issuer_country": subject.issuer_country,
        "customer": subject.customer,
        "account_age_days": subject.account_age_days,
        "email": _name(namer, "email", email),
        "email_domain": email.strip().lower().rpartition("@")[2] if email else None,
        "device": _name(namer, "device", subject.device),
        "ip": _name(namer, "ip", subject.ip),
        "ip_country": subject.ip_country,
        "billing_country": subject.billing_country,
        "ship_country": subject.ship_country,
        "seller": subject.seller,
        "test_token": subject.test_token,
    }
    if earlier is not None:
        for name in _REMEMBERED:
            if told[name] is None:
                told[name] = earlier.get(name)
    return FraudContext(
        tenant=str(tenant_id),
        stage=stage,
        as_of=at,
        payment_id=payment_id,
        amount_minor=amount_minor,
        currency=currency,
        base_minor=base_minor,
        base_currency=base_currency,
        method_kind=method_kind,
        off_session=off_session,
        metadata=MappingProxyType(dict(metadata)),  # type: ignore[arg-type]
        **told,
    )


#: Of the buyer and not of the card: an attempt with another card is still theirs.
_REMEMBERED = (
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
)


def _name(namer: Namer, kind: str, plain: str | None) -> str | None:
    return None if plain is None else namer.name(kind, plain)


def _listed_as(
    context: FraudContext, subject: Subject, namer: Namer
) -> tuple[tuple[str, str], ...]:
    """Under which names the lists of this tenant may have the attempt."""
    names: list[tuple[str, str]] = []
    for kind in ("card", "customer", "device", "email", "email_domain", "seller"):
        value = getattr(context, kind)
        if value is not None:
            names.append((kind, value))
    if subject.ip is not None:
        names += [("ip", network) for network in namer.networks(subject.ip)]
    elif context.ip is not None:
        names.append(("ip", context.ip))
    countries = {
        context.issuer_country,
        context.ip_country,
        context.billing_country,
        context.ship_country,
    }
    names += [("country", each) for each in sorted(filter(None, countries))]
    digits = context.issuer_range or ""
    names += [("issuer_range", digits[:length]) for length in range(4, len(digits) + 1)]
    return tuple(names)


def _without_past(decided: Decided, settings: FraudSettings, context: FraudContext) -> Decided:
    """What stands where the past cannot be read, or a rule that is asked elsewhere said nothing,
    unless another one said something stronger."""
    stands: VerdictKind = settings.on_failure
    if stands == "allow" or context.base_minor <= settings.on_failure_above_minor:
        return decided
    if decided.verdict in ("block", "hard_block", "allow_list", stands):
        return decided
    return Decided(verdict=stands, by=(), score=decided.score)


def _is_drawn(
    decided: Decided, tenant: TenantContext, settings: FraudSettings, context: FraudContext
) -> bool:
    """Whether a would-be block goes on by 3-D Secure, so that its label will be an honest one."""
    if decided.verdict != "block" or context.base_minor > settings.challenge_most_minor:
        return False
    if context.stage != "pre_auth":
        return False
    share = settings.challenge_share
    if share is None:
        share = 0.0 if tenant.mode == "test" else _LIVE_SHARE
    return drawn(context.payment_id, share=share)
