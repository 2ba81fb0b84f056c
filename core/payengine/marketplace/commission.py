"""What does the platform keep of a sale?

A percentage and a fixed fee, or tiers that are marginal on the vendor's volume of the month before
the sale; then a minimum and a maximum, and never more than the sale itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import msgspec

from payengine.errors import AmountNotPositive, InputInvalid
from payengine.marketplace.splits import BPS
from payengine.money import round_half_away

__all__ = ["PRECEDENCE", "Commission", "CommissionRule", "RuleScope", "Tier", "commission", "pick"]

#: Where a rule was agreed, the most particular first.
RuleScope = Literal["payment", "product", "category", "vendor", "tenant"]

#: A rule agreed further to the front holds against those behind it.
PRECEDENCE: tuple[RuleScope, ...] = ("payment", "product", "category", "vendor", "tenant")


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """Basis points for the volume up to and including `up_to` minor units; None has no end."""

    up_to: int | None
    percent_bps: int


class CommissionRule(msgspec.Struct, frozen=True, kw_only=True):
    """Basis points or tiers, and minor units `fixed`, `min` and `max`."""

    percent_bps: int = 0
    fixed: int = 0
    min: int | None = None
    max: int | None = None
    tiers: tuple[Tier, ...] = ()


class Commission(msgspec.Struct, frozen=True, kw_only=True):
    """Both in minor units; together they are the sale."""

    commission: int
    vendor_net: int


def commission(
    amount_minor: int,
    rule: CommissionRule,
    *,
    volume_before: int = 0,
    base_minor: int | None = None,
) -> Commission:
    """The commission on a sale: clamp(round(base × rate) + fixed, min, max), then to the sale.

    `base_minor` is what the percentage is taken of (without shipping, say), by default the sale;
    `volume_before` is the vendor's in this month before this sale. Tiers are added up exactly and
    rounded once, half away from zero. Raises `InputInvalid` for a rule that is none.
    """
    if amount_minor < 0:
        raise AmountNotPositive("A sale below zero bears no commission.")
    _check_rule(rule)
    base = amount_minor if base_minor is None else base_minor
    if base < 0:
        raise InputInvalid("The base of a commission cannot be negative.")
    exact = _tiered(base, rule.tiers, before=volume_before) if rule.tiers else None
    if exact is None:
        exact = base * rule.percent_bps
    kept = round_half_away(exact, denominator=BPS) + rule.fixed
    if rule.min is not None:
        kept = max(kept, rule.min)
    if rule.max is not None:
        kept = min(kept, rule.max)
    kept = max(0, min(kept, amount_minor))
    return Commission(commission=kept, vendor_net=amount_minor - kept)


def pick(rules: Sequence[tuple[RuleScope, CommissionRule]]) -> CommissionRule | None:
    """The rule that holds among those that fit a sale: the most particular; None without any.

    Raises `InputInvalid` where two of the same scope fit: nobody can tell which was meant.
    """
    for scope in PRECEDENCE:
        found = [rule for at, rule in rules if at == scope]
        if len(found) > 1:
            raise InputInvalid(f"Two commission rules of the scope {scope} fit the same sale.")
        if found:
            return found[0]
    return None


def _check_rule(rule: CommissionRule) -> None:
    if rule.tiers and rule.percent_bps:
        raise InputInvalid("A commission has one percentage or tiers, not both.")
    if rule.percent_bps < 0 or any(tier.percent_bps < 0 for tier in rule.tiers):
        raise InputInvalid("A commission's percentage cannot be negative.")
    if rule.min is not None and rule.max is not None and rule.min > rule.max:
        raise InputInvalid("A commission's minimum exceeds its maximum.")
    ends = [tier.up_to for tier in rule.tiers]
    bounded = [end for end in ends if end is not None]
    if None in ends[:-1] or any(one >= two for one, two in pairwise(bounded)):
        raise InputInvalid("The tiers of a commission rise, and only the last has no end.")


def _tiered(base: int, tiers: Sequence[Tier], *, before: int) -> int:
    """Minor units times basis points: each slice of (before, before + base] at its tier's rate."""
    exact, done, end = 0, before, before + base
    for tier in tiers:
        until = end if tier.up_to is None else min(end, tier.up_to)
        if until > done:
            exact += (until - done) * tier.percent_bps
            done = until
    if done < end:
        raise InputInvalid("The volume goes beyond the last tier of the commission.")
    return exact
