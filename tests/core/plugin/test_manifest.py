"""Which payments does a manifest admit?"""

from __future__ import annotations

import pytest
from payengine.plugin import HookSpecs, Manifest, supports


@pytest.mark.parametrize(
    ("currencies", "currency", "method", "admitted"),
    [
        ((), "EUR", "card", True),
        (("EUR",), "EUR", "card", True),
        (("EUR",), "USD", "card", False),
        ((), "EUR", "bank_transfer", False),
    ],
)
def test_manifest_admits_currency_and_method(
    currencies: tuple[str, ...], currency: str, method: str, admitted: bool
) -> None:
    manifest = Manifest(name="m", title="M", version="1", currencies=currencies)
    assert supports(manifest, currency=currency, method=method) is admitted


def test_there_are_at_most_twelve_hooks() -> None:
    hooks = [name for name in vars(HookSpecs) if not name.startswith("_")]
    assert 0 < len(hooks) <= 12
