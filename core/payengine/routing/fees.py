"""What does a gateway take of a payment?"""

from __future__ import annotations

from collections.abc import Sequence

from payengine.routing.policy import Fee

__all__ = ["fee_minor"]


def fee_minor(
    fees: Sequence[Fee], gateway: str, *, amount_minor: int, currency: str, method: str
) -> int | None:
    """The fee in minor units, rounded half away from zero once; None where no row fits.

    A percentage is of the exact amount; the first row that fits counts.
    """
    for fee in fees:
        if (
            fee.gateway == gateway
            and fee.currency in (None, currency)
            and fee.method in (None, method)
        ):
            return (amount_minor * fee.basis_points * 2 + 10_000) // 20_000 + fee.fixed_minor
    return None
