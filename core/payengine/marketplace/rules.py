"""Which commission was agreed?

A rule is agreed for a product, a category, a vendor or the whole tenant; it is never changed, but
archived and replaced. A payment takes a copy of the rule that held when it was made.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import asyncpg
import msgspec

from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import Conflict, InputInvalid, NotFound
from payengine.events.models import NewEvent
from payengine.events.writing import insert_event
from payengine.idempotency import check_key, claim, fingerprint
from payengine.ids import new_id
from payengine.marketplace.commission import CommissionRule, RuleScope, commission, pick
from payengine.marketplace.meant import SplitInput
from payengine.marketplace.sharing_models import SplitRule
from payengine.marketplace.sharing_store import RULE
from payengine.money import currency as find_currency
from payengine.storage import Database, Session
from payengine.texts import check_id, check_text

__all__ = ["ArchiveSplitRule", "CreateSplitRule", "SplitRules", "agreed_rule", "check_rule"]

_INSERT = f"INSERT INTO split_rule (tenant_id, {RULE.listed}) VALUES ($1, {RULE.parameters(2)})"
_GET = f"SELECT {RULE.listed} FROM split_rule WHERE tenant_id = $1 AND id = ANY ($2)"
_PAGE = f"""
    SELECT {RULE.listed} FROM split_rule
    WHERE tenant_id = $1 AND id < coalesce($2, '~') ORDER BY id DESC LIMIT $3
"""
_ARCHIVE = """
    UPDATE split_rule SET archived_at = $3
    WHERE tenant_id = $1 AND id = $2 AND archived_at IS NULL
"""
_FITTING = f"""
    SELECT {RULE.listed} FROM split_rule
    WHERE tenant_id = $1 AND archived_at IS NULL AND currency IN ('', $2)
      AND (scope, subject) IN (('product', $3), ('category', $4), ('vendor', $5), ('tenant', ''))
    ORDER BY currency
"""

_MAX_SUBJECT = 255
_WHOLE_BPS = 10_000
_MOST_TIERS = 50


class CreateSplitRule(msgspec.Struct, frozen=True, kw_only=True):
    """`currency` None: in every currency; then the rule has percentages alone."""

    idempotency_key: str
    scope: RuleScope
    commission: CommissionRule
    subject: str = ""
    currency: str | None = None


class ArchiveSplitRule(msgspec.Struct, frozen=True, kw_only=True):
    """It holds for new payments no more."""

    idempotency_key: str
    rule_id: str


def check_rule(rule: CommissionRule) -> None:
    """Refuse a commission that some sale could not bear; raises `InputInvalid`."""
    if len(rule.tiers) > _MOST_TIERS:
        raise InputInvalid(f"At most {_MOST_TIERS} tiers.", path=("commission", "tiers"))
    if rule.tiers and rule.tiers[-1].up_to is not None:
        raise InputInvalid("The last tier has no end.", path=("commission", "tiers"))
    for bps in (rule.percent_bps, *(tier.percent_bps for tier in rule.tiers)):
        if not 0 <= bps <= _WHOLE_BPS:
            raise InputInvalid(
                "A percentage of a commission is 0 to 10,000 basis points.", path=("commission",)
            )
    for value in (rule.fixed, rule.min, rule.max):
        if value is not None and not 0 <= value < 2**53:
            raise InputInvalid("An amount of a commission is not below zero.", path=("commission",))
    commission(0, rule)


async def agreed_rule(
    session: Session, tenant_id: uuid.UUID, split: SplitInput, *, currency: str
) -> CommissionRule:
    """The commission that holds for a vendor's sale; raises `InputInvalid` without any.

    Within a scope, a rule of the sale's own currency holds against one for every currency.
    """
    if split.commission is not None:
        return split.commission
    rows = await session.fetch(
        _FITTING, tenant_id, currency, split.product or "", split.category or "", split.vendor_id
    )
    by_scope = {row["scope"]: RULE.read(row) for row in rows}
    found = pick([(each.scope, each.commission) for each in by_scope.values()])
    if found is None:
        raise InputInvalid("No commission is agreed for this sale.", path=("split",))
    return found


class SplitRules:
    """The agreed commissions of all tenants; needs `accounts:read` or `accounts:write`."""

    def __init__(self, *, database: Database, clock: Clock, nudge: Callable[[], None]) -> None:
        self._database = database
        self._clock = clock
        self._nudge = nudge

    async def create(self, context: TenantContext, request: CreateSplitRule) -> SplitRule:
        """Agree on a commission.

        Raises `InputInvalid`, `NotFound` for a vendor that is not there, and `Conflict` where
        another rule holds for the same.
        """
        context.require("accounts:write")
        check_key(request.idempotency_key)
        _check(request)
        at = self._clock.now(context.tenant_id)
        rule = SplitRule(
            id=new_id("spr"),
            scope=request.scope,
            subject=request.subject,
            currency=request.currency or "",
            terms=msgspec.to_builtins(request.commission),
            created_at=at,
        )
        try:
            async with self._database.tenant(context.tenant_id) as session:
                earlier = await claim(
                    session,
                    context.tenant_id,
                    key=request.idempotency_key,
                    mutation="createSplitRule",
                    fingerprint=fingerprint("createSplitRule", request),
                    resource_id=rule.id,
                    at=at,
                )
                if earlier is not None:
                    return await _rule(session, context, earlier)
                if rule.scope == "vendor":
                    await _require_account(session, context, rule.subject)
                await session.execute(_INSERT, context.tenant_id, *RULE.values(rule))
                await insert_event(
                    session, context.tenant_id, _event("split_rule.created", rule, at=at)
                )
        except asyncpg.UniqueViolationError:
            raise Conflict("A rule holds for this already; archive it first.") from None
        self._nudge()
        return rule

    async def archive(self, context: TenantContext, request: ArchiveSplitRule) -> SplitRule:
        """End a rule; raises `NotFound`. A second time changes nothing."""
        context.require("accounts:write")
        check_key(request.idempotency_key)
        check_id(request.rule_id, "spr", field="ruleId")
        at = self._clock.now(context.tenant_id)
        async with self._database.tenant(context.tenant_id) as session:
            rule = await _rule(session, context, request.rule_id)
            earlier = await claim(
                session,
                context.tenant_id,
                key=request.idempotency_key,
                mutation="archiveSplitRule",
                fingerprint=fingerprint("archiveSplitRule", request),
                resource_id=rule.id,
                at=at,
            )
            if earlier is None and rule.archived_at is None:
                await session.execute(_ARCHIVE, context.tenant_id, rule.id, at)
                await insert_event(
                    session, context.tenant_id, _event("split_rule.archived", rule, at=at)
                )
            rule = await _rule(session, context, rule.id)
        self._nudge()
        return rule

    async def get_many(self, context: TenantContext, ids: Sequence[str]) -> Mapping[str, SplitRule]:
        """Rules by id; those that are not this tenant's are left out."""
        context.require("accounts:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_GET, context.tenant_id, list(ids))
        return {row["id"]: RULE.read(row) for row in rows}

    async def page(
        self, context: TenantContext, *, first: int, after: str | None = None
    ) -> list[SplitRule]:
        """Up to `first` + 1 rules before the id `after`, the newest first."""
        context.require("accounts:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_PAGE, context.tenant_id, after, first + 1)
        return [RULE.read(row) for row in rows]


def _check(request: CreateSplitRule) -> None:
    if request.scope not in ("product", "category", "vendor", "tenant"):
        raise InputInvalid("A rule is of a product, category, vendor or tenant.", path=("scope",))
    if (request.scope == "tenant") != (request.subject == ""):
        raise InputInvalid("Every scope but the tenant's names a subject.", path=("subject",))
    check_text(request.subject, field="subject", most=_MAX_SUBJECT)
    if request.scope == "vendor":
        check_id(request.subject, "acc", field="subject")
    check_rule(request.commission)
    if request.currency is not None:
        find_currency(request.currency)
        return
    rule = request.commission
    if rule.fixed or rule.min is not None or rule.max is not None or len(rule.tiers) > 1:
        raise InputInvalid("A rule with amounts names their currency.", path=("currency",))


async def _require_account(session: Session, context: TenantContext, account_id: str) -> None:
    known = "SELECT EXISTS (SELECT FROM connected_account WHERE tenant_id = $1 AND id = $2)"
    if not await session.fetchval(known, context.tenant_id, account_id):
        raise NotFound("There is no such account.", path=("subject",))


async def _rule(session: Session, context: TenantContext, rule_id: str) -> SplitRule:
    rows = await session.fetch(_GET, context.tenant_id, [rule_id])
    if not rows:
        raise NotFound("There is no such rule.", path=("ruleId",))
    return RULE.read(rows[0])


def _event(kind: str, rule: SplitRule, *, at: datetime) -> NewEvent:
    data = {
        "rule_id": rule.id,
        "scope": rule.scope,
        "subject": rule.subject,
        "currency": rule.currency,
    }
    return NewEvent(id=new_id("evt"), type=kind, data=data, occurred_at=at)
