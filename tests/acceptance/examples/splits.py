"""Does `allocate` share out amounts as the examples do?"""

from __future__ import annotations

from functools import partial
from typing import Any

from payengine.money import allocate

from tests.acceptance.examples.shapes import Case, World, not_built, require_keys, unknown_shape

__all__ = ["cases"]

_LATER = ({"parts"}, {"rule"}, {"refunds"})


def cases(document: dict[str, Any]) -> list[Case]:
    """One case for each example; those of the marketplace wait for it."""
    return [Case(case["id"], partial(_run, case)) for case in document["cases"]]


async def _run(case: dict[str, Any], world: World) -> None:
    inputs, expected = case["inputs"], case["expected"]
    if "weights" in inputs:
        require_keys(inputs, {"currency", "amount", "weights"}, of="an allocation")
        require_keys(expected, {"parts"}, of="an allocation's result")
        assert allocate(inputs["amount"], inputs["weights"]) == expected["parts"]
    elif any(keys <= set(inputs) for keys in _LATER):
        not_built("splits by rules and their refunds come with the marketplace, not built yet")
    else:
        unknown_shape(f"a split of {sorted(inputs)}")
