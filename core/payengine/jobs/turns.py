"""Whose turn is it?

Pure. What waits is told by entrypoint, a kind and a tenant, in the order of turns; places are given
out one for each tenant before any tenant gets its second, within every bound. One that has ten
thousand jobs thus delays another's only one by no more than a turn.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from payengine.jobs.models import Handler, entrypoint_of

__all__ = ["Load", "Waiting", "share"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A kind and a tenant with at least one job that is due."""

    kind: str
    tenant_id: uuid.UUID
    #: How many of them are being done, by all processes.
    under_way: int

    @property
    def entrypoint(self) -> str:
        """As pgqueuer names it."""
        return entrypoint_of(self.kind, self.tenant_id)


@dataclass(frozen=True, slots=True)
class Load:
    """What this process is doing, and how much it may."""

    #: Jobs at the same time.
    places: int
    #: Of them, those that one tenant may have: the rest is always another's.
    tenant_places: int
    kinds: Counter[str] = field(default_factory=Counter)
    tenants: Counter[uuid.UUID] = field(default_factory=Counter)

    @property
    def free(self) -> int:
        """Places that nobody has."""
        return self.places - self.kinds.total()


def share(
    waiting: Sequence[Waiting], load: Load, handlers: Mapping[str, Handler]
) -> dict[Waiting, int]:
    """How many jobs of each to take now; in the order of `waiting`, none with 0."""
    of_tenant: dict[uuid.UUID, list[Waiting]] = {}
    for each in waiting:
        of_tenant.setdefault(each.tenant_id, []).append(each)
    given: Counter[Waiting] = Counter()
    kinds, tenants, free = load.kinds.copy(), load.tenants.copy(), load.free

    def has_room(each: Waiting) -> bool:
        handler = handlers[each.kind]
        return (
            kinds[each.kind] < handler.at_once
            and tenants[each.tenant_id] < load.tenant_places
            and each.under_way + given[each] < handler.per_tenant
        )

    was_given = True
    while was_given and free > 0:
        was_given = False
        for own in of_tenant.values():
            open_ones = [each for each in own if has_room(each)]
            if open_ones and free > 0:
                chosen = min(open_ones, key=given.__getitem__)
                given[chosen] += 1
                kinds[chosen.kind] += 1
                tenants[chosen.tenant_id] += 1
                free -= 1
                was_given = True
    return {each: given[each] for each in waiting if given[each]}
