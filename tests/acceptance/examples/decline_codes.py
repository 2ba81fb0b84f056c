"""Does the taxonomy class every decline code as the examples do?"""

from __future__ import annotations

from functools import partial
from typing import Any

from payengine.plugin.declines import decline_rule

from tests.acceptance.examples.shapes import Case, World, not_built, require_keys

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
        found.append(Case("network-limits", _limits))
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


async def _limits(world: World) -> None:
    not_built("the card networks' retry limits come with dunning, which is not built yet")
