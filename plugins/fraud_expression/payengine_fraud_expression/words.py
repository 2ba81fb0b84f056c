"""Which words does a condition know?

The fields of a payment with their kinds, and the calls that declare a feature. Whatever is not
named here means nothing in a condition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

from payengine.plugin import (
    Entity,
    Feature,
    Filter,
    Measure,
    distinct,
    from_plain,
    known_fraud,
    recent,
    seen,
    to_plain,
    velocity,
)

__all__ = ["CALLS", "FIELDS", "Field", "Kind", "feature_of"]

Kind = Literal["number", "text", "flag"]


class Field(NamedTuple):
    """A field of the context; `can_lack` where it may be unknown."""

    kind: Kind
    can_lack: bool


def _fields(kind: Kind, names: str, *, can_lack: bool) -> dict[str, Field]:
    return {name: Field(kind, can_lack) for name in names.split()}


FIELDS: dict[str, Field] = {
    **_fields("number", "amount_minor base_minor", can_lack=False),
    **_fields("number", "account_age_days", can_lack=True),
    **_fields("text", "stage payment_id currency base_currency method_kind", can_lack=False),
    **_fields(
        "text",
        "card issuer_range issuer_country customer email email_domain device ip ip_country"
        " billing_country ship_country seller",
        can_lack=True,
    ),
    **_fields("flag", "off_session", can_lack=False),
    **_fields("flag", "address_ok cvc_ok declined", can_lack=True),
}

_OVER_TIME: frozenset[str] = frozenset(("count", "sum", "mean", "max"))
#: call → what makes the feature, and which measures it takes (None: it takes none).
CALLS: dict[str, tuple[Callable[..., Feature], frozenset[str] | None]] = {
    "velocity": (velocity, _OVER_TIME),
    "distinct": (distinct, None),
    "recent": (recent, _OVER_TIME | {"median"}),
    "seen": (seen, frozenset(("age", "gap", "previous"))),
    "known_fraud": (known_fraud, frozenset(("fraud", "labeled", "run", "last_label"))),
}


def feature_of(call: str, args: tuple[Any, ...], named: dict[str, Any]) -> Feature:
    """The feature that a call declares; raises `ValueError` in words."""
    make, measures = CALLS[call]
    try:
        made = make(*args, **named)
        feature = from_plain(to_plain(made), Feature)
    except TypeError as wrong:
        raise ValueError(str(wrong)) from None
    except ValueError as wrong:
        raise ValueError(_explained(wrong, args)) from None
    if measures is not None and feature.measure not in measures:
        raise ValueError(f"{call} measures {', '.join(sorted(measures))}")
    if feature.of is not None and (feature.of not in FIELDS or FIELDS[feature.of].kind != "text"):
        raise ValueError(f"{feature.of[:40]!r} is no text of a payment")
    return feature


def _explained(wrong: ValueError, args: tuple[Any, ...]) -> str:
    """What msgspec refuses is one of three closed words; say which ones there are."""
    for place, known in ((0, get_args(Entity)), (1, get_args(Measure))):
        text = str(wrong)
        if len(args) > place and f"$.{('entity', 'measure')[place]}" in text:
            return f"{str(args[place])[:40]!r} is none of {', '.join(known)}"
    if "$.where" in str(wrong):
        return f"where is one of {', '.join(get_args(Filter))}"
    return str(wrong)
