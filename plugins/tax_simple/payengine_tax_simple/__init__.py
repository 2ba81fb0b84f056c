"""What does this plugin bring? A calculator with rates that the tenant writes down."""

from __future__ import annotations

from collections.abc import Sequence

from payengine.plugin import TaxCalculator, hookimpl

__all__ = ["tax_calculators"]


@hookimpl
def tax_calculators() -> Sequence[TaxCalculator]:
    """The calculator `simple`."""
    from payengine_tax_simple.calculator import SimpleCalculator

    return [SimpleCalculator()]
