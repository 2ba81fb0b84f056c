"""How does a decision say all that was said, and weigh little?

Of nearly every payment nearly every rule has nothing to say, and of somebody new nearly every fact
is unknown. Each decision keeps all of that, so it is kept as words: `plain` has, by verdict, the
rules that said it with nothing beside it and how long they took (`lists=2 card_velocity@3=1`: with
the third version of the tenant's settings); `unknown` has the names of the facts without a value.
`fraud_said` reads the same in SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from payengine.fraud.decide import Evaluated
from payengine.plugin.fraud import FraudContext

__all__ = ["said_in", "spelled_context", "spelled_verdicts", "told_in"]

_PLAIN = frozenset({"abstain", "allow"})
_CONTEXT = tuple(
    name
    for name in FraudContext.__struct_fields__
    if name not in ("tenant", "payment_id", "metadata", "features", "test_token", "off_session")
)


def spelled_context(context: FraudContext) -> dict[str, Any]:
    """What the rules were told. What a client put into the metadata is kept with the payment only,
    and whose payment it is stands beside it."""
    spelled = {name: value for name in _CONTEXT if (value := getattr(context, name)) is not None}
    if context.off_session:
        spelled["off_session"] = True
    known: dict[str, Any] = {}
    unknown: list[str] = []
    for name, value in context.features.items():
        if value is None:
            unknown.append(name)
        else:
            known[name] = value
    if known:
        spelled["features"] = known
    if unknown:
        spelled["unknown"] = " ".join(unknown)
    return spelled


def spelled_verdicts(evaluated: Iterable[Evaluated]) -> dict[str, Any]:
    """What every rule said, in two parts: `plain` and `verdicts`."""
    plain: dict[str, str] = {}
    verdicts: list[Evaluated] = []
    for each in evaluated:
        verdict = each.verdict
        if (
            verdict not in _PLAIN
            or each.reason
            or each.detail
            or each.error
            or each.score is not None
            or each.mode != "live"
        ):
            verdicts.append(each)
            continue
        version = f"@{each.version}" if each.version else ""
        word = f"{each.rule}{version}={each.took_us}"
        plain[verdict] = f"{plain[verdict]} {word}" if verdict in plain else word
    spelled: dict[str, Any] = {}
    if plain:
        spelled["plain"] = plain
    if verdicts:
        spelled["verdicts"] = verdicts
    return spelled


def told_in(context: Mapping[str, Any]) -> dict[str, Any]:
    """What `spelled_context` has spelled, with every fact by its name."""
    told = {"off_session": False, **context}
    unknown: str = told.pop("unknown", "")
    told["features"] = dict.fromkeys(unknown.split()) | told.get("features", {})
    return told


def said_in(document: Mapping[str, Any]) -> tuple[Evaluated, ...]:
    """What every rule said, by the rules' names."""
    said = msgspec.convert(document.get("verdicts") or [], list[Evaluated])
    for verdict, words in (document.get("plain") or {}).items():
        for word in words.split():
            named, _, took_us = word.partition("=")
            rule, _, version = named.partition("@")
            said.append(
                Evaluated(
                    rule=rule, verdict=verdict, version=int(version or 0), took_us=int(took_us)
                )
            )
    return tuple(sorted(said, key=lambda each: each.rule))
