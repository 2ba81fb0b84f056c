"""Which facts do all of these rules ask for together?

A plan is what several rules declare, merged: each fact once, by its name. The past answers a plan
in one reading, whether it lies in PostgreSQL or in memory, and both read it by the same words:

- the payments of an entity are strictly ordered: one that comes at or before the newest payment of
  any entity that the plan reads is placed a microsecond after it;
- a feature looks at the payments that pass `where`, lie at or after `as_of` less the window and
  before `as_of`, and of those at the newest `last`;
- of no payments, `count`, `sum`, `distinct`, `fraud`, `labeled` and `run` are 0 and all else None;
- a label counts from its `observed_at` on, and its window is measured there; of several labels of
  a payment the latest stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from types import MappingProxyType

from payengine.plugin.features import Entity, Feature, Measure

__all__ = ["ENTITIES", "FACTS", "LABEL_MEASURES", "LISTS", "FeaturePlan"]

#: In the order in which the tables list them.
ENTITIES: tuple[Entity, ...] = (
    "card",
    "customer",
    "device",
    "email",
    "ip",
    "issuer_range",
    "seller",
)
#: What `of` may name: fields of the context that hold text.
FACTS = (
    *ENTITIES,
    "billing_country",
    "currency",
    "email_domain",
    "ip_country",
    "issuer_country",
    "method_kind",
    "ship_country",
)
LABEL_MEASURES: tuple[Measure, ...] = ("fraud", "labeled", "run", "last_label")
LISTS = ("allow", "block")

_FLOATS: tuple[Measure, ...] = ("mean", "median", "age", "gap")


class FeaturePlan:
    """What is to be read, by name. Immutable; equal plans have equal `key`."""

    def __init__(self, features: tuple[Feature, ...]) -> None:
        self.features = features

    @classmethod
    def of(cls, features: Iterable[Feature]) -> FeaturePlan:
        """Merge what rules declare. Raises `ValueError` on a field that `of` may not name."""
        by_name: dict[str, Feature] = {}
        for each in features:
            known = LISTS if each.measure == "listed" else FACTS
            if each.of is not None and each.of not in known:
                raise ValueError(f"{each.name}: of is one of {', '.join(known)}")
            if each.measure in LABEL_MEASURES and (each.where != "all" or each.last is not None):
                raise ValueError(f"{each.name}: what is known of labels has a window only")
            by_name[each.name] = each
        return cls(tuple(by_name[name] for name in sorted(by_name)))

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The names, in order: they say all of their features."""
        return tuple(each.name for each in self.features)

    @cached_property
    def names(self) -> frozenset[str]:
        """The same, in no order."""
        return frozenset(self.key)

    @cached_property
    def entities(self) -> tuple[Entity, ...]:
        """Whose payments are read, in the order of `ENTITIES`."""
        read = {each.entity for each in self.features}
        return tuple(each for each in ENTITIES if each in read)

    @cached_property
    def lists(self) -> tuple[str, ...]:
        """Which of the tenant's lists are looked into."""
        return tuple(sorted({str(each.of) for each in self.features if each.measure == "listed"}))

    @cached_property
    def floats(self) -> frozenset[str]:
        """The names of the features whose values are floats."""
        return frozenset(each.name for each in self.features if each.measure in _FLOATS)

    @cached_property
    def unknown(self) -> Mapping[str, None]:
        """What is read of nobody: each name, without a value."""
        return MappingProxyType(dict.fromkeys(self.key))

    def __bool__(self) -> bool:
        return bool(self.features)
