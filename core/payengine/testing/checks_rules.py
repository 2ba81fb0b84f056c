"""Which promises does every fraud rule make?

One function for each, by name. A check raises `ContractBroken` where the promise is broken and
`NotApplicable` where the rule does not make it.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, get_args

import msgspec

from payengine.plugin import (
    CONTRACT_VERSION,
    Call,
    Feature,
    FraudContext,
    OnError,
    PluginSettings,
    RuleManifest,
    RuleMode,
    RuleStage,
    RuleVerdict,
    VerdictKind,
    from_plain,
    parse_settings,
    secret_fields,
    settings_schema,
    to_plain,
)
from payengine.testing.case import ContractBroken, NotApplicable, refuse, require
from payengine.testing.rule_case import RuleCase

__all__ = ["ALL", "RULE_CHECKS", "RULE_FAULT_CHECKS", "RuleCheck"]

RuleCheck = Callable[[RuleCase], None]

_NAME = re.compile(r"[a-z][a-z0-9_]{1,39}")
_REASON = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LONGEST_LOCAL_MS = 5
_LONGEST_REMOTE_MS = 2_000
_MOST_FEATURES = 50
_LONGEST_DETAIL = 200
_ROUNDS = 25
_DEADLINE_MS = 2_000
_REACHES_OUT = ("open", "os.", "socket.", "subprocess.", "shutil.", "sqlite3.", "ctypes.")


def rule_manifest_is_valid(case: RuleCase) -> None:
    """The manifest can be read, fits this contract and matches the methods."""
    manifest = case.rule.describe()
    require(isinstance(manifest, RuleManifest), "describe() must return a RuleManifest")
    require(_NAME.fullmatch(manifest.name), f"{manifest.name!r} is no name: a-z, 0-9 and _")
    require(manifest.title and manifest.version, "a title and a version are needed")
    major, ours = manifest.contract.partition(".")[0], CONTRACT_VERSION.partition(".")[0]
    require(major == ours, f"written for contract {manifest.contract}, this is {CONTRACT_VERSION}")
    require(manifest.stages, "stages is empty")
    require(set(manifest.stages) <= set(get_args(RuleStage)), "stages names an unknown stage")
    require(manifest.default_mode in get_args(RuleMode), "default_mode is off, shadow or live")
    require(manifest.on_error in get_args(OnError), "on_error is no verdict for errors")
    longest = _LONGEST_REMOTE_MS if manifest.remote else _LONGEST_LOCAL_MS
    require(1 <= manifest.time_limit_ms <= longest, f"time_limit_ms is not 1 to {longest}")
    needed = "score" if manifest.remote else "evaluate"
    method = getattr(case.rule, needed, None)
    require(callable(method), f"the method {needed} is missing")
    require(
        inspect.iscoroutinefunction(method) == manifest.remote,
        "evaluate is a plain function, score a coroutine function",
    )
    require(callable(getattr(case.rule, "features", None)), "the method features is missing")


def rule_manifest_is_constant(case: RuleCase) -> None:
    """describe() says the same each time: it is pure."""
    first = case.rule.describe()
    for _ in range(3):
        require(case.rule.describe() == first, "describe() changes its mind")


def rule_settings_are_valid(case: RuleCase) -> None:
    """The settings have a schema and sane defaults, and survive being saved and read."""
    manifest = case.manifest
    settings = manifest.settings
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
    try:
        empty = parse_settings(settings, {})
    except Exception as fault:
        raise ContractBroken(f"each setting needs a default: {fault}") from None
    require(empty == settings(), "the defaults change when they are read")
    require(manifest.remote or not secret_fields(settings), "a rule that asks nobody has no secret")
    require(isinstance(case.chosen, settings), "the case's settings are of another class")
    wire = msgspec.json.decode(msgspec.json.encode(to_plain(case.chosen)))
    require(parse_settings(settings, wire) == case.chosen, "the settings change when saved")


def rule_features_are_declared(case: RuleCase) -> None:
    """features() returns features that an engine can compute, and the same each time."""
    first = case.declared()
    require(case.declared() == first, "features() changes its mind")
    require(len(first) <= _MOST_FEATURES, f"it reads more than {_MOST_FEATURES} features")
    known = set(FraudContext.__struct_fields__)
    for feature in first:
        require(isinstance(feature, Feature), "features() must return Features")
        wire = msgspec.json.encode(to_plain(feature))
        try:
            again = from_plain(msgspec.json.decode(wire), Feature)
        except Exception as fault:
            raise ContractBroken(f"{feature.name} cannot be computed: {fault}") from None
        require(again == feature, f"{feature.name} changes on its way")
        if feature.measure in ("distinct", "previous"):
            require(feature.of in known, f"{feature.name}: a payment has no {feature.of}")


def rule_samples_get_their_verdicts(case: RuleCase) -> None:
    """Each sample gets the verdict that it is a sample of."""
    if not case.samples:
        raise NotApplicable("the case gives no samples")
    for sample in case.samples:
        verdict = _verdict(case, sample.context)
        wanted = sample.verdict if sample.reason is None else f"{sample.verdict}/{sample.reason}"
        given = verdict.verdict
        found = given if sample.reason is None else f"{given}/{verdict.reason}"
        require(found == wanted, f"a sample of {wanted} got {found} ({verdict.detail})")


def rule_is_deterministic(case: RuleCase) -> None:
    """The same payment gets the same verdict, whatever was judged in between."""
    rule, settings = case.local, case.chosen
    contexts = list(case.contexts())
    first = [rule.evaluate(context, settings) for context in contexts]
    backwards = [rule.evaluate(context, settings) for context in reversed(contexts)]
    require(first == backwards[::-1], "a verdict depends on what was judged before")
    copies = [rule.evaluate(_copied(context), settings) for context in contexts]
    require(first == copies, "an equal payment gets another verdict")


def rule_changes_nothing(case: RuleCase) -> None:
    """Neither the payment nor the settings are changed by being looked at."""
    rule, settings = case.local, case.chosen
    saved = to_plain(settings)
    for context in case.contexts():
        before = repr(to_plain(context))
        rule.evaluate(context, settings)
        require(repr(to_plain(context)) == before, "evaluate() changed the payment")
    require(to_plain(settings) == saved, "evaluate() changed the settings")


def rule_reads_only_what_it_declares(case: RuleCase) -> None:
    """It asks for no feature that it did not declare: the engine would not have computed it."""
    rule, settings = case.local, case.chosen
    names = {feature.name for feature in case.declared()}
    for context in case.contexts():
        watched = _Watched({key: one for key, one in context.features.items() if key in names})
        rule.evaluate(msgspec.structs.replace(context, features=watched), settings)
        undeclared = sorted(map(str, watched.asked - names))
        require(not undeclared, f"it reads {', '.join(undeclared)} and does not declare it")


def rule_survives_missing_features(case: RuleCase) -> None:
    """Nothing known of the past, or of the buyer, is no error."""
    _survives(case, lambda context: not any(_known(context.features.values())))


def rule_survives_nonsense(case: RuleCase) -> None:
    """Extreme amounts, odd texts and features of another kind are no error."""
    _survives(case, lambda context: True)


def rule_verdicts_are_valid(case: RuleCase) -> None:
    """Each verdict can be stored, and shown to a person."""
    samples = [sample.context for sample in case.samples]
    for context in samples if case.manifest.remote else case.contexts():
        verdict = _verdict(case, context)
        _require_valid(verdict)
        require(
            not case.manifest.needs_checks
            or context.stage != "post_auth"
            or (context.address_ok, context.cvc_ok) != (None, None)
            or verdict.verdict == "abstain",
            "it needs_checks, and says something where the issuer has checked nothing",
        )
        wire = msgspec.json.encode(to_plain(verdict))
        again = from_plain(msgspec.json.decode(wire), RuleVerdict)
        require(again == verdict, f"the verdict changes on its way: {verdict}")


def rule_keeps_its_time(case: RuleCase) -> None:
    """One evaluation ends within the manifest's time_limit_ms, at the best of several tries."""
    rule, settings, limit_ms = case.local, case.chosen, case.manifest.time_limit_ms
    for context in case.contexts():
        best_ns = min(_spent_ns(rule.evaluate, context, settings) for _ in range(_ROUNDS))
        require(
            best_ns <= limit_ms * 1_000_000,
            f"an evaluation takes {best_ns / 1e6:.1f} ms, the manifest says {limit_ms}",
        )


def rule_reaches_out_to_nobody(case: RuleCase) -> None:
    """evaluate() opens no file, no socket and no process."""
    rule, settings = case.local, case.chosen
    contexts = list(case.contexts())
    for context in contexts:
        rule.evaluate(context, settings)  # what is imported late is imported by now
    with _watching() as reached:
        for context in contexts:
            rule.evaluate(context, settings)
    require(not reached, f"evaluate() did {', '.join(sorted(reached))}")


def _survives(case: RuleCase, wanted: Callable[[FraudContext], bool]) -> None:
    for context in case.contexts():
        if not wanted(context):
            continue
        try:
            verdict = case.local.evaluate(context, case.chosen)
        except NotApplicable:
            raise
        except Exception as fault:
            refuse(f"it raised {type(fault).__name__}: {fault}; the payment was {context!r:.600}")
        require(isinstance(verdict, RuleVerdict), "evaluate() must return a RuleVerdict")


def _require_valid(verdict: RuleVerdict) -> None:
    require(isinstance(verdict, RuleVerdict), "a rule answers with a RuleVerdict")
    require(verdict.verdict in get_args(VerdictKind), f"{verdict.verdict!r} is no verdict")
    require(
        not verdict.reason or _REASON.fullmatch(verdict.reason),
        f"{verdict.reason!r} is no reason: up to 40 of a-z, 0-9 and _",
    )
    require(
        verdict.reason or verdict.verdict in ("abstain", "allow"),
        f"{verdict.verdict} needs a reason",
    )
    require(len(verdict.detail) <= _LONGEST_DETAIL, "detail is longer than 200 characters")
    score = verdict.score
    require(
        score is None or (math.isfinite(score) and 0 <= score <= 1), f"{score} is no probability"
    )


def _verdict(case: RuleCase, context: FraudContext) -> RuleVerdict:
    if not case.manifest.remote:
        return case.local.evaluate(context, case.chosen)
    if not case.samples:
        raise NotApplicable("the case gives no samples of what the other one answers")
    call = Call(account="acct_contract", settings=case.chosen, deadline_ms=_DEADLINE_MS)
    scorer: Any = case.rule
    loop = asyncio.new_event_loop()
    try:
        verdict: RuleVerdict = loop.run_until_complete(
            asyncio.wait_for(scorer.score(call, context), _DEADLINE_MS / 1_000)
        )
        return verdict
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _copied(context: FraudContext) -> FraudContext:
    """An equal one that shares nothing with it; numbers that JSON has no word for stay."""
    return msgspec.structs.replace(
        context, metadata=dict(context.metadata), features=dict(context.features)
    )


def _known(values: Any) -> Iterator[bool]:
    return (value is not None for value in values)


def _spent_ns(evaluate: Callable[..., Any], context: FraudContext, settings: Any) -> int:
    began = time.thread_time_ns()
    evaluate(context, settings)
    return time.thread_time_ns() - began


class _Watched(dict[str, Any]):
    """Features that remember which names were asked for."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        super().__init__(known)
        self.asked: set[Any] = set()

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self.asked.add(name)
        return super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)


#: What was reached for while somebody watches; a hook of the interpreter cannot be taken off.
_seen: set[str] | None = None
_is_hooked = False


def _audit(event: str, _: tuple[Any, ...]) -> None:
    if _seen is not None and event.startswith(_REACHES_OUT):
        _seen.add(event)


@contextmanager
def _watching() -> Iterator[set[str]]:
    global _seen, _is_hooked
    if not _is_hooked:
        sys.addaudithook(_audit)
        _is_hooked = True
    reached: set[str] = set()
    _seen = reached
    try:
        yield reached
    finally:
        _seen = None


#: In the order in which they read best.
ALL = (
    rule_manifest_is_valid,
    rule_manifest_is_constant,
    rule_settings_are_valid,
    rule_features_are_declared,
    rule_samples_get_their_verdicts,
    rule_is_deterministic,
    rule_changes_nothing,
    rule_reads_only_what_it_declares,
    rule_survives_missing_features,
    rule_survives_nonsense,
    rule_verdicts_are_valid,
    rule_keeps_its_time,
    rule_reaches_out_to_nobody,
)

#: name → check
RULE_CHECKS: dict[str, RuleCheck] = {check.__name__: check for check in ALL}

#: Those in which something is missing or wrong: what a rule survives.
RULE_FAULT_CHECKS: frozenset[str] = frozenset(
    {"rule_survives_missing_features", "rule_survives_nonsense"}
)
