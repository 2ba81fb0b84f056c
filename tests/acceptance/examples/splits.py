"""Are amounts shared out, commissions taken and refunds pulled back as the examples say?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from payengine.errors import PayengineError
from payengine.marketplace.commission import CommissionRule, Tier, commission
from payengine.marketplace.splits import FeePolicy, SplitPart, divide, pull_back
from payengine.money import allocate, currency

from tests.acceptance.examples.shapes import (
    Case,
    World,
    choose,
    compare,
    require_keys,
    unknown_shape,
)

__all__ = ["cases"]

_PROPORTIONAL = {"proportional", "return", "refund", "pro_rata"}


def cases(document: dict[str, Any]) -> list[Case]:
    """One case for each example."""
    return [Case(case["id"], partial(_run, case)) for case in document["cases"]]


async def _run(case: dict[str, Any], world: World) -> None:
    inputs = case["inputs"]
    found: dict[str, Any]
    try:
        found = choose(inputs, _SHAPES, of="a split")(inputs)
    except PayengineError as refused:
        found = {"error": refused.code}
    compare(found, case["expected"])


def _weights(inputs: dict[str, Any]) -> dict[str, Any]:
    require_keys(inputs, {"currency", "amount", "weights"}, of="an allocation")
    return {"parts": allocate(inputs["amount"], inputs["weights"])}


def _parts(inputs: dict[str, Any]) -> dict[str, Any]:
    require_keys(inputs, {"currency", "amount", "parts"}, of="a split")
    parts = []
    for row in inputs["parts"]:
        require_keys(row, {"to", "fixed", "percent_bps", "remainder"}, of="a part")
        parts.append(
            SplitPart(
                to=row["to"],
                fixed=row.get("fixed"),
                percent_bps=row.get("percent_bps"),
                remainder=row.get("remainder", False),
            )
        )
    currency(inputs["currency"])
    return {"parts": divide(inputs["amount"], parts)}


def _commission(inputs: dict[str, Any]) -> dict[str, Any]:
    known = {"currency", "amount", "base", "rule", "volume_before"}
    require_keys(inputs, known, of="a commission")
    row = inputs["rule"]
    require_keys(row, {"percent_bps", "fixed", "min", "max", "tiers"}, of="a rule")
    for tier in row.get("tiers", []):
        require_keys(tier, {"up_to", "percent_bps"}, of="a tier")
    rule = CommissionRule(
        percent_bps=row.get("percent_bps", 0),
        fixed=row.get("fixed", 0),
        min=row.get("min"),
        max=row.get("max"),
        tiers=tuple(
            Tier(up_to=tier["up_to"], percent_bps=tier["percent_bps"])
            for tier in row.get("tiers", [])
        ),
    )
    found = commission(
        inputs["amount"],
        rule,
        volume_before=inputs.get("volume_before", 0),
        base_minor=inputs.get("base"),
    )
    return {"commission": found.commission, "vendor_net": found.vendor_net}


def _refunds(inputs: dict[str, Any]) -> dict[str, Any]:
    require_keys(inputs, {"currency", "parts", "refunds", "fee_policy"}, of="refunds")
    said = inputs.get("fee_policy", "proportional")
    if said != "keep" and said not in _PROPORTIONAL:
        unknown_shape(f"the fee policy {said}")
    policy: FeePolicy = "keep" if said == "keep" else "proportional"
    remaining, reversals = list(inputs["parts"]), []
    for refund in inputs["refunds"]:
        reversal = pull_back(remaining, refund, fee_policy=policy)
        remaining = [part - back for part, back in zip(remaining, reversal, strict=True)]
        reversals.append(reversal)
    return {"reversals": reversals, "remaining": remaining}


#: The first whose keys a case has is its shape.
_SHAPES: tuple[tuple[set[str], Callable[[dict[str, Any]], dict[str, Any]]], ...] = (
    ({"weights"}, _weights),
    ({"refunds"}, _refunds),
    ({"rule"}, _commission),
    ({"parts"}, _parts),
)
