"""What was gained or lost between the rate of the day and the provider's?

A refund gives back at the rate at which the payment was settled, whatever today's is; what the
provider takes beyond that, or leaves, is the platform's loss or gain.
"""

from __future__ import annotations

from fractions import Fraction

import msgspec

from payengine.errors import InputInvalid, RefundExceedsRemaining
from payengine.money import round_half_away

__all__ = ["Difference", "RefundSettlement", "realised", "refund_at_original_rate", "refunded_part"]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Minor units; at most one of the two is above zero."""

    gain: int
    loss: int


class RefundSettlement(msgspec.Struct, frozen=True, kw_only=True):
    """What the merchant gives back, in minor units, and how far the provider's debit is from it."""

    merchant_minor: int
    difference: Difference


def realised(*, owed_minor: int, received_minor: int) -> Difference:
    """More than is owed is a gain, less is a loss."""
    over = received_minor - owed_minor
    return Difference(gain=max(over, 0), loss=max(-over, 0))


def refunded_part(
    *,
    presentment_minor: int,
    settlement_minor: int,
    refund_minor: int,
    refunded_before: int = 0,
) -> int:
    """A refund in the currency of settlement, at the payment's own rate.

    `refund_minor` and `refunded_before` are in the currency that the buyer saw. Each refund is the
    difference of two sums that are rounded half away from zero, so that refunds of the whole are
    together exactly `settlement_minor`.
    """
    if presentment_minor <= 0 or refund_minor < 0 or refunded_before < 0:
        raise InputInvalid("A refund is of an amount above zero.")
    if refunded_before + refund_minor > presentment_minor:
        raise RefundExceedsRemaining
    before, after = (
        round_half_away(settlement_minor * refunded, denominator=presentment_minor)
        for refunded in (refunded_before, refunded_before + refund_minor)
    )
    return after - before


def refund_at_original_rate(
    *, settlement_minor: int, fraction: Fraction, provider_debit_minor: int
) -> RefundSettlement:
    """A refund of a fraction of the payment; what the provider takes beyond it is a loss."""
    if not 0 <= fraction <= 1:
        raise RefundExceedsRemaining
    exact = settlement_minor * fraction
    merchant = round_half_away(exact.numerator, denominator=exact.denominator)
    return RefundSettlement(
        merchant_minor=merchant,
        difference=realised(owed_minor=provider_debit_minor, received_minor=merchant),
    )
