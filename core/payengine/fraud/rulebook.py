"""Which rules hold for this tenant, and who changed them?

Nothing is overwritten: each change of a rule's mode or settings is a version of its own, with its
reason and its author. A rule that was never changed has its manifest's mode and its settings'
defaults. What holds is read through a cache that is at most five seconds old.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
import structlog

from payengine.clock import Clock, wall_now
from payengine.context import TenantContext
from payengine.errors import Conflict, InputInvalid, NotFound
from payengine.events.models import NewEvent
from payengine.events.writing import insert_event
from payengine.fraud.base import Base, read_base
from payengine.fraud.compiled import compiled
from payengine.fraud.evaluation import ActiveRule, Unusable
from payengine.fraud.model.binding import BoundModels
from payengine.fraud.plan import ENTITIES, FeaturePlan
from payengine.fraud.settings import FraudSettings, parse_fraud_settings
from payengine.fx.sources import PUSHED
from payengine.ids import new_id
from payengine.plugin.features import Feature
from payengine.plugin.fraud import RuleMode, RuleStage
from payengine.plugin.settings import PluginSettings, parse_settings
from payengine.registry import InstalledPlugins, LoadedRule
from payengine.screen import contains_card_number
from payengine.storage import Database, Session
from payengine.storage.columns import Columns

__all__ = ["RuleVersion", "Rulebook", "Ruleset", "ask_backfill"]

_HELD_S = 5.0
_REMEMBERED = 10_000
_MOST_FEATURES = 200
_MOST_REASON = 500
_LARGEST_BYTES = 65_536

_log = structlog.get_logger(__name__)


class RuleVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one rule, as one row."""

    rule: str
    version: int
    mode: RuleMode
    settings: dict[str, Any]
    reason: str
    actor: str
    created_at: datetime


class Ruleset(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for a tenant: the rules of each stage, what they read, and how fraud is dealt
    with. `asked` are the rules whose code is not here: remote scorers and those of plugin hosts.
    `kept` are the names and facts of an attempt that any stage's rules want to know of later, and
    `remembered` those of them that have a past. `only_checks`: after the authorization no rule has
    anything to say unless the issuer has checked the address or the code. `base` is the currency
    that amounts are compared in, where the tenant has named one."""

    rules: Mapping[RuleStage, tuple[ActiveRule, ...]]
    asked: Mapping[RuleStage, tuple[ActiveRule, ...]]
    plans: Mapping[RuleStage, FeaturePlan]
    settings: FraudSettings
    kept: frozenset[str] = frozenset()
    remembered: tuple[str, ...] = ()
    only_checks: bool = False
    base: Base | None = None

    def is_idle(self, stage: RuleStage) -> bool:
        """Whether no rule has anything to say at this stage; what is said once the issuer has
        answered is said of an attempt that was looked at before."""
        if stage == "pre_auth" and not self.is_idle("post_auth"):
            return False
        return not self.rules[stage] and not self.asked[stage]


_STAGES: tuple[RuleStage, ...] = ("pre_auth", "post_auth", "payout", "refund")
_VERSION = Columns(RuleVersion)
_NEWEST = f"""
    SELECT DISTINCT ON (rule) {_VERSION.listed} FROM fraud_rule
    WHERE tenant_id = $1 ORDER BY rule, version DESC
"""
_SETTINGS = """
    SELECT document FROM fraud_setting WHERE tenant_id = $1 ORDER BY version DESC LIMIT 1
"""
_LAST = "SELECT coalesce(max(version), 0) FROM fraud_rule WHERE tenant_id = $1 AND rule = $2"
_SAVE = f"""
    INSERT INTO fraud_rule (tenant_id, {_VERSION.listed}) VALUES ($1, {_VERSION.parameters(2)})
    ON CONFLICT (tenant_id, rule, version) DO NOTHING RETURNING version
"""
#: From the newest decision on.
_BACKFILL = """
    INSERT INTO fraud_backfill (tenant_id, before_at, payment_id, number, due_at)
    VALUES ($1, $2, '~', 0, $2)
    ON CONFLICT (tenant_id) DO UPDATE SET before_at = excluded.before_at,
        payment_id = excluded.payment_id, number = excluded.number, done = 0,
        due_at = excluded.due_at
"""
_HISTORY = f"""
    SELECT {_VERSION.listed} FROM fraud_rule
    WHERE tenant_id = $1 AND rule = $2 ORDER BY version DESC LIMIT $3
"""


class Rulebook:
    """The rules of all tenants, as one process sees them."""

    def __init__(self, database: Database, *, plugins: InstalledPlugins, clock: Clock) -> None:
        self._database = database
        self._plugins = plugins
        self._clock = clock
        self._held: OrderedDict[uuid.UUID, tuple[Ruleset, float]] = OrderedDict()
        self._reading: dict[uuid.UUID, asyncio.Task[Ruleset]] = {}
        self._models = BoundModels()

    @property
    def installed(self) -> Mapping[str, LoadedRule]:
        """Every rule that can be used, by name."""
        return self._plugins.rules

    async def of(self, context: TenantContext) -> Ruleset:
        """What holds, as it stood at most five seconds ago; raises `DatabaseUnavailable`."""
        held = self._held.get(context.tenant_id)
        if held is not None and time.monotonic() < held[1]:
            return held[0]
        reading = self._reading.get(context.tenant_id)
        if reading is None:
            reading = asyncio.create_task(self._read(context))
            self._reading[context.tenant_id] = reading
            reading.add_done_callback(lambda task: self._keep(context.tenant_id, task))
        return await asyncio.shield(reading)

    def forget(self, tenant_id: uuid.UUID) -> None:
        """Read the tenant's rules anew at the next need."""
        self._held.pop(tenant_id, None)
        self._reading.pop(tenant_id, None)

    def parse(self, rule: str, settings: Mapping[str, Any]) -> PluginSettings:
        """The rule's settings; raises `NotFound` and `PluginSettingsInvalid`."""
        loaded = self._rule(rule)
        return parse_settings(loaded.manifest.settings, dict(settings))

    async def save(
        self,
        context: TenantContext,
        rule: str,
        *,
        mode: RuleMode,
        settings: Mapping[str, Any],
        reason: str,
    ) -> RuleVersion:
        """Add a version, which holds at once.

        Raises `NotFound`, `PluginSettingsInvalid`, `InputInvalid`, `PermissionDenied`, and
        `Conflict` where somebody else was saving the same rule.
        """
        context.require("fraud:write")
        _check_saved(mode, settings, reason)
        loaded = self._rule(rule)
        parsed = parse_settings(loaded.manifest.settings, dict(settings))
        # What a rule reads that runs in a plugin host is asked there.
        ask = partial(_problem, loaded, parsed)
        problem = await asyncio.to_thread(ask) if loaded.hosted else ask()
        if problem and mode != "off":
            raise InputInvalid(f"The rule refuses these settings: {problem}.", path=("settings",))
        async with self._database.tenant(context.tenant_id) as session:
            saved = RuleVersion(
                rule=rule,
                version=1 + await session.fetchval(_LAST, context.tenant_id, rule),
                mode=mode,
                settings=dict(settings),
                reason=reason,
                actor=context.actor,
                created_at=self._clock.now(context.tenant_id),
            )
            if not await session.fetchval(_SAVE, context.tenant_id, *_VERSION.values(saved)):
                raise Conflict(f"The rule {rule} was saved by someone else meanwhile.")
            if mode != "off":
                # What it reads may not have been kept of the past: see `payengine.fraud.backfill`.
                await ask_backfill(session, context.tenant_id)
            await insert_event(session, context.tenant_id, _told(saved))
        self.forget(context.tenant_id)
        return saved

    async def versions(self, context: TenantContext) -> dict[str, RuleVersion]:
        """The newest version of each rule that was ever changed, by name."""
        context.require("fraud:read")
        async with self._database.tenant(context.tenant_id) as session:
            return await _newest(session, context.tenant_id)

    async def history(
        self, context: TenantContext, rule: str, *, first: int = 50
    ) -> list[RuleVersion]:
        """The last `first` versions of one rule, the newest first."""
        context.require("fraud:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_HISTORY, context.tenant_id, rule, first)
        return [_VERSION.read(row) for row in rows]

    def _rule(self, name: str) -> LoadedRule:
        found = self._plugins.rules.get(name)
        if found is None:
            raise NotFound(f"There is no fraud rule named {name[:60]!r}.", path=("rule",))
        return found

    def _keep(self, tenant_id: uuid.UUID, task: asyncio.Task[Ruleset]) -> None:
        if self._reading.get(tenant_id) is not task:
            return  # Something was saved while this read was under way: it may be stale.
        del self._reading[tenant_id]
        if task.cancelled() or task.exception() is not None:
            return
        self._held[tenant_id] = (task.result(), time.monotonic() + _HELD_S)
        self._held.move_to_end(tenant_id)
        while len(self._held) > _REMEMBERED:
            self._held.popitem(last=False)

    async def _read(self, context: TenantContext) -> Ruleset:
        async with self._database.tenant(context.tenant_id) as session:
            saved = await _newest(session, context.tenant_id)
            document = await session.fetchval(_SETTINGS, context.tenant_id)
            await self._models.refresh(session, context.tenant_id)
            base = await self._base(session, context, _settings_of(document))
        if any(each.hosted for each in self._plugins.rules.values()):
            await asyncio.to_thread(self._ask_hosts, saved)
        return self.assemble(context, saved, document, base)

    async def _base(
        self, session: Session, context: TenantContext, settings: FraudSettings
    ) -> Base | None:
        if settings.base_currency is None:
            return None
        return await read_base(
            session,
            context.tenant_id,
            settings.base_currency,
            day=self._clock.now(context.tenant_id).date(),
            sources=(PUSHED, *sorted(self._plugins.rate_sources)),
        )

    def _ask_hosts(self, saved: Mapping[str, RuleVersion]) -> None:
        """Let the rules that run in plugin hosts say what they read: they keep it in mind."""
        for loaded in self._plugins.rules.values():
            version = saved.get(loaded.name)
            mode = version.mode if version is not None else loaded.manifest.default_mode
            if loaded.hosted and mode != "off":
                with contextlib.suppress(Exception):  # who uses it is told
                    plain = dict(version.settings) if version is not None else {}
                    loaded.rule.features(parse_settings(loaded.manifest.settings, plain))

    def assemble(
        self,
        context: TenantContext,
        saved: Mapping[str, RuleVersion],
        document: object = None,
        base: Base | None = None,
    ) -> Ruleset:
        """The rules as these versions make them; also what a change would make of them."""
        local: dict[RuleStage, list[ActiveRule]] = {stage: [] for stage in _STAGES}
        asked: dict[RuleStage, list[ActiveRule]] = {stage: [] for stage in _STAGES}
        features: dict[RuleStage, dict[str, Feature]] = {stage: {} for stage in _STAGES}
        for loaded in self._plugins.rules.values():
            plugin = self._plugins.ready[loaded.plugin]
            version = saved.get(loaded.name)
            mode = version.mode if version is not None else loaded.manifest.default_mode
            if mode == "off" or (plugin.info.test_worlds_only and context.mode != "test"):
                continue
            active, wanted = _active(self._models.bound(loaded, context.tenant_id), version, mode)
            places = asked if loaded.manifest.remote or loaded.hosted else local
            for stage in loaded.manifest.stages:
                places[stage].append(active)
                features[stage] |= {each.name: each for each in wanted}
        # Once the issuer has answered the attempt is part of the past: what the rules of then want
        # to know of it is read with what those of before do.
        features["pre_auth"] |= features["post_auth"]
        plans = {stage: FeaturePlan.of(wanted.values()) for stage, wanted in features.items()}
        kept: frozenset[str] = frozenset().union(*(compiled(plan).kept for plan in plans.values()))
        return Ruleset(
            kept=kept,
            remembered=tuple(each for each in ENTITIES if each in kept),
            rules={stage: tuple(rules) for stage, rules in local.items()},
            asked={stage: tuple(rules) for stage, rules in asked.items()},
            plans=plans,
            settings=_settings_of(document),
            base=base,
            only_checks=not asked["post_auth"]
            and all(each.manifest.needs_checks for each in local["post_auth"]),
        )


async def ask_backfill(session: Session, tenant_id: uuid.UUID) -> None:
    """Have the past brought up to what rules read now: see `payengine.fraud.backfill`."""
    await session.execute(_BACKFILL, tenant_id, wall_now())


def _told(saved: RuleVersion) -> NewEvent:
    return NewEvent(
        id=new_id("evt"),
        type="fraud.rule_saved",
        occurred_at=saved.created_at,
        data={
            "rule": saved.rule,
            "version": saved.version,
            "mode": saved.mode,
            "settings": saved.settings,
            "reason": saved.reason,
            "actor": saved.actor,
        },
    )


async def _newest(session: Session, tenant_id: uuid.UUID) -> dict[str, RuleVersion]:
    rows = await session.fetch(_NEWEST, tenant_id)
    return {row["rule"]: _VERSION.read(row) for row in rows}


def _active(
    loaded: LoadedRule, version: RuleVersion | None, mode: RuleMode
) -> tuple[ActiveRule, Sequence[Feature]]:
    rule: Any = loaded.rule
    settings: PluginSettings | None = None
    wanted: Sequence[Feature] = ()
    try:
        plain = dict(version.settings) if version is not None else {}
        settings = parse_settings(loaded.manifest.settings, plain)
        wanted = _features(loaded, settings)
    except Exception as problem:
        # What an older program saved may say what this one's rule cannot read.
        _log.error("fraud_rule_unusable", rule=loaded.name, error=repr(problem)[:200])
        rule, settings, wanted = Unusable(type(problem).__name__), PluginSettings(), ()
    active = ActiveRule(
        name=loaded.name,
        rule=rule,
        manifest=loaded.manifest,
        mode=mode,
        settings=settings,
        version=version.version if version is not None else 0,
        reads=frozenset(each.name for each in wanted),
    )
    return active, wanted


def _features(loaded: LoadedRule, settings: PluginSettings) -> Sequence[Feature]:
    wanted = tuple(loaded.rule.features(settings))
    if len(wanted) > _MOST_FEATURES or not all(type(each) is Feature for each in wanted):
        raise ValueError(f"features() gives at most {_MOST_FEATURES} features and nothing else")
    FeaturePlan.of(wanted)
    return wanted


def _problem(loaded: LoadedRule, settings: PluginSettings) -> str:
    try:
        _features(loaded, settings)
    except ValueError as problem:
        return str(problem)[:200]
    except Exception as problem:
        return type(problem).__name__
    return ""


def _settings_of(document: object) -> FraudSettings:
    if document is None:
        return FraudSettings()
    try:
        return parse_fraud_settings(document)
    except InputInvalid as problem:
        _log.error("fraud_settings_unreadable", error=problem.message)
        return FraudSettings()


def _check_saved(mode: str, settings: Mapping[str, Any], reason: str) -> None:
    if mode not in ("off", "shadow", "live"):
        raise InputInvalid("A mode is off, shadow or live.", path=("mode",))
    if not 1 <= len(reason.strip()) <= _MOST_REASON or not reason.isprintable():
        raise InputInvalid("A reason has 1 to 500 printable characters.", path=("reason",))
    spelled = msgspec.json.encode(settings)
    if len(spelled) > _LARGEST_BYTES or b"\\u0000" in spelled:
        raise InputInvalid("The settings are too long, or hold a NUL.", path=("settings",))
    if contains_card_number(reason) or contains_card_number(spelled.decode()):
        raise InputInvalid("This looks like a card number.", path=("settings",))
