"""What may this customer use now?

A product grants features. What a customer's subscriptions grant, while each of them gives access,
adds up; what changes between two moments is told, feature by feature.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from payengine.errors import InputInvalid

__all__ = [
    "Entitlement",
    "EntitlementChange",
    "Grant",
    "ItemAccess",
    "entitlement_changes",
    "entitlements_at",
]

_MOST_LIMIT = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A feature that comes with a product, up to `limit` units of it; None: without limit.

    With `per_unit` the limit is that of each unit of the item's quantity, such as seats.
    """

    feature: str
    limit: int | None = None
    per_unit: bool = False

    def __post_init__(self) -> None:
        """Raise `InputInvalid` for a feature without name and a limit that cannot be one."""
        if not self.feature:
            raise InputInvalid("A feature has a name.", path=("features",))
        if self.limit is not None and not 0 <= self.limit <= _MOST_LIMIT:
            raise InputInvalid(
                "A limit is a whole number, zero or more.", path=("features", self.feature, "limit")
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemAccess:
    """One item of a customer's subscription and what its product grants.

    It grants from `starts_at` on and before `ends_at`; nothing where access is `suspended`, as for
    a subscription that is paused or whose invoices stay unpaid.
    """

    grants: tuple[Grant, ...]
    starts_at: datetime
    ends_at: datetime | None = None
    quantity: int = 1
    suspended: bool = False

    def gives_access(self, at: datetime) -> bool:
        """Whether the item grants anything at the instant."""
        has_ended = self.ends_at is not None and self.ends_at <= at
        return self.starts_at <= at and not has_ended and not self.suspended


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitlement:
    """What a customer may use of a feature: up to `limit` units; None: without limit."""

    feature: str
    limit: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitlementChange:
    """A feature that was given, taken away, or has another limit than before."""

    feature: str
    kind: Literal["granted", "changed", "revoked"]
    before: Entitlement | None
    after: Entitlement | None


def entitlements_at(items: Iterable[ItemAccess], at: datetime) -> dict[str, Entitlement]:
    """What the customer may use at the instant, by feature and in the order of their names.

    Limits of one feature add up; one grant without limit lifts them all.
    """
    limits: dict[str, int | None] = {}
    for access in items:
        if not access.gives_access(at):
            continue
        for grant in access.grants:
            more = _limit(grant, access.quantity)
            reached = limits.get(grant.feature, 0)
            limits[grant.feature] = None if more is None or reached is None else reached + more
    return {
        feature: Entitlement(feature=feature, limit=limits[feature]) for feature in sorted(limits)
    }


def entitlement_changes(
    before: Mapping[str, Entitlement], after: Mapping[str, Entitlement]
) -> list[EntitlementChange]:
    """What is to be told of the way from one moment to another, by the names of the features."""
    changes = []
    for feature in sorted(set(before) | set(after)):
        old, new = before.get(feature), after.get(feature)
        if old == new:
            continue
        kind: Literal["granted", "changed", "revoked"] = (
            "granted" if old is None else "revoked" if new is None else "changed"
        )
        changes.append(EntitlementChange(feature=feature, kind=kind, before=old, after=new))
    return changes


def _limit(grant: Grant, quantity: int) -> int | None:
    if grant.limit is None or not grant.per_unit:
        return grant.limit
    return grant.limit * quantity
