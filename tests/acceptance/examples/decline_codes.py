"""Does the taxonomy class every decline code as the examples do?"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

from payengine.billing.network_limits import (
    NETWORK_LIMITS,
    NETWORK_RETRY_LIMIT,
    CardHistory,
    may_present,
)
from payengine.plugin.declines import decline_rule

from tests.acceptance.examples.shapes import Case, World, require_keys, unknown_shape

__all__ = ["cases"]

_KEYS = {
    "auto_retry_same_method",
    "code",
    "decline_class",
    "next",
    "polar_treats_as_unrecoverable",
}


def cases(document: dict[str, Any]) -> list[Case]:
    """One case for each code, one for codes that nobody knows, one for the networks' limits."""
    found = [Case(row["code"], partial(_row, row)) for row in document["cases"]]
    if "unknown_code_class" in document:
        found.append(Case("unknown-code", partial(_unknown, document["unknown_code_class"])))
    if "network_limits" in document:
        limits = document["network_limits"]
        found += [
            Case(f"network-limits-{network}", partial(_limits, network, limits[network]))
            for network in limits
            if network != "source"
        ]
    return found


async def _row(row: dict[str, Any], world: World) -> None:
    require_keys(row, _KEYS, of="a decline code")
    rule = decline_rule(row["code"])
    assert rule.known
    assert rule.decline_class == row["decline_class"]
    assert rule.auto_retry_same_method == row["auto_retry_same_method"]


async def _unknown(expected: str, world: World) -> None:
    rule = decline_rule("no_provider_says_this")
    assert not rule.known
    assert rule.decline_class == expected


async def _limits(network: str, row: dict[str, Any], world: World) -> None:
    assert network in NETWORK_LIMITS
    given = {name: value for name, value in row.items() if name != "note"}
    assert given, "a network without a limit"
    for name, value in given.items():
        if value == "never re-present":
            kind, *advices = name.split("_")
            if kind not in {"category", "mac"} or not advices:
                unknown_shape(f"the limit {name}")
            for advice in advices:
                assert not _sends(network, CardHistory(advice=advice))
        elif name == "max_declines_per_day":
            assert _sends(network, CardHistory(declines_today=value - 1))
            assert not _sends(network, CardHistory(declines_today=value))
        elif "declines_per_30_days" in name:
            assert _sends(network, CardHistory(declines_30d=value - 1))
            assert not _sends(network, CardHistory(declines_30d=value))
        else:
            unknown_shape(f"the limit {name}")


def _sends(network: str, history: CardHistory) -> bool:
    found = may_present(network, history, at=datetime(2025, 6, 1, tzinfo=UTC))
    assert found.reason == (None if found.send else NETWORK_RETRY_LIMIT)
    return found.send
