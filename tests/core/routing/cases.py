"""What do the tests of routing decide about?"""

from __future__ import annotations

from typing import Any

from payengine.plugin import Manifest
from payengine.routing import Candidate, Facts, Health

__all__ = ["candidate", "candidates", "facts"]


def candidate(
    name: str,
    *,
    currencies: tuple[str, ...] = (),
    methods: tuple[str, ...] = ("card",),
    countries: tuple[str, ...] = (),
    health: Health = "closed",
) -> Candidate:
    """A gateway that takes cards, unless said otherwise."""
    manifest = Manifest(
        name=name,
        title=name,
        version="1",
        currencies=currencies,
        methods=methods,
        countries=countries,
    )
    return Candidate(name=name, manifest=manifest, health=health)


def candidates(names: str) -> list[Candidate]:
    """Gateways of one letter each."""
    return [candidate(name) for name in names]


def facts(payment_id: str = "pay_1", **given: Any) -> Facts:
    """A payment of ten euros by card."""
    fields: dict[str, Any] = {"amount_minor": 1_000, "currency": "EUR", "method": "card"} | given
    return Facts(payment_id=payment_id, **fields)
