"""What does this plugin bring? The euro's reference rates, as its central bank sets them."""

from __future__ import annotations

from collections.abc import Sequence

from payengine.plugin import RateSource, hookimpl

__all__ = ["rate_sources"]


@hookimpl
def rate_sources() -> Sequence[RateSource]:
    """The rate source `ecb`."""
    from payengine_fx_ecb.source import EuropeanCentralBank

    return [EuropeanCentralBank()]
