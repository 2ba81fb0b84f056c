"""Which facts of the past may a fraud rule ask for?

A rule declares them and never computes them: the engine merges what all rules of a tenant declare
into one plan, reads it in one round trip, and hands each rule the values by the features' names.
The same declarations are computed over a file when a rule is tried on history. A window begins at
`as_of` less its length, inclusive, and ends before `as_of`; the payment being judged is in none.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

__all__ = [
    "Entity",
    "Feature",
    "Filter",
    "Measure",
    "distinct",
    "known_fraud",
    "listed",
    "recent",
    "seen",
    "velocity",
]

#: Whom the past is asked about; each is a field of the context, and None there has no past.
#: `list` is no field: it stands for the tenant's own lists.
Entity = Literal["card", "customer", "device", "ip", "email", "issuer_range", "seller", "list"]

#: `count` of payments; `sum`, `mean` and `max` of their amounts in minor units of the tenant's base
#: currency; `median` of the newest `last`; `distinct` values of `of`; `age` and `gap`, the seconds
#: since the first and the newest payment; `previous`, the newest one's value of `of`; `fraud` and
#: `labeled`, the payments known to be fraudulent and known to be either; `run`, the known frauds in
#: a row up to the latest label; `last_label`, 1 or 0; `listed`, on which of the tenant's entries
#: the payment stands.
Measure = Literal[
    "count",
    "sum",
    "mean",
    "max",
    "median",
    "distinct",
    "age",
    "gap",
    "previous",
    "fraud",
    "labeled",
    "run",
    "last_label",
    "listed",
]
#: Which payments count; `small` ones are those of at most `below_minor`.
Filter = Literal["all", "declined", "approved", "small"]

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_WINDOW = re.compile(r"(?P<number>[1-9][0-9]{0,4})(?P<unit>[smhd])")
_LONGEST_S = 400 * 86_400
_MOST_LAST = 500


class Feature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fact: `measure` over the `entity`'s earlier payments; `name` is its key in the context.

    `window_s` bounds it in time (None: all of the past), `last` in number (the newest so many).
    `of` names a field of the context, for `distinct` and `previous`, and a list for `listed`.
    """

    entity: Entity
    measure: Measure
    window_s: int | None = None
    last: int | None = None
    where: Filter = "all"
    of: str | None = None
    below_minor: int | None = None

    def __post_init__(self) -> None:
        """Raises `ValueError` on what no engine could compute."""
        if self.window_s is not None and not 0 < self.window_s <= _LONGEST_S:
            raise ValueError("a window is 1 second to 400 days long")
        if self.last is not None and not 0 < self.last <= _MOST_LAST:
            raise ValueError(f"last is 1 to {_MOST_LAST}")
        if (self.of is not None) != (self.measure in ("distinct", "previous", "listed")):
            raise ValueError("distinct, previous and listed, and nothing else, say of what")
        if (self.entity == "list") != (self.measure == "listed"):
            raise ValueError("a list is asked what is listed, and nothing else")
        if (self.below_minor is not None) != (self.where == "small"):
            raise ValueError("small payments, and no others, have below_minor")

    @property
    def name(self) -> str:
        """Such as `card.count.1h.declined`."""
        parts: list[str] = [self.entity, self.measure]
        if self.of is not None:
            parts.append(self.of)
        if self.window_s is not None:
            parts.append(_spelled(self.window_s))
        if self.last is not None:
            parts.append(f"last{self.last}")
        if self.where != "all":
            parts.append(self.where if self.below_minor is None else f"small{self.below_minor}")
        return ".".join(parts)


def velocity(
    entity: Entity,
    measure: Literal["count", "sum", "mean", "max"],
    window: str,
    *,
    where: Filter = "all",
    below_minor: int | None = None,
) -> Feature:
    """How often, or how much, in the last `window`: `velocity("card", "count", "1h")`."""
    return Feature(
        entity=entity,
        measure=measure,
        window_s=_seconds(window),
        where=where,
        below_minor=below_minor,
    )


def distinct(entity: Entity, of: str, window: str, *, where: Filter = "all") -> Feature:
    """How many different values of `of`: `distinct("device", "card", "1d")`."""
    return Feature(entity=entity, measure="distinct", of=of, window_s=_seconds(window), where=where)


def recent(
    entity: Entity, measure: Literal["count", "sum", "mean", "max", "median"], *, last: int
) -> Feature:
    """Over the newest `last` payments: `recent("card", "median", last=60)`."""
    return Feature(entity=entity, measure=measure, last=last)


def seen(
    entity: Entity, measure: Literal["age", "gap", "previous"], *, of: str | None = None
) -> Feature:
    """Since when, how long ago, or with what before: `seen("customer", "previous", of="ip")`."""
    return Feature(entity=entity, measure=measure, of=of)


def known_fraud(
    entity: Entity,
    measure: Literal["fraud", "labeled", "run", "last_label"] = "fraud",
    *,
    window: str | None = None,
) -> Feature:
    """By labels that were known at `as_of`, whenever their payments were made."""
    return Feature(
        entity=entity, measure=measure, window_s=None if window is None else _seconds(window)
    )


def listed(name: Literal["allow", "block"]) -> Feature:
    """On which of the tenant's entries the payment stands.

    The kinds of the entries, sorted and joined by commas (`card,email_domain`); None: on none.
    """
    return Feature(entity="list", measure="listed", of=name)


def _seconds(window: str) -> int:
    found = _WINDOW.fullmatch(window)
    if found is None:
        raise ValueError("a window is a number and s, m, h or d, such as 1h")
    return int(found["number"]) * _UNITS[found["unit"]]


def _spelled(seconds: int) -> str:
    for unit in ("d", "h", "m"):
        if seconds % _UNITS[unit] == 0:
            return f"{seconds // _UNITS[unit]}{unit}"
    return f"{seconds}s"
