"""How is an amount rounded, and how is it shared out?

Exact integers throughout: there is one rounding, half away from zero, and one way to split.
"""

from __future__ import annotations

from collections.abc import Sequence

from payengine.errors import InputInvalid

__all__ = ["allocate", "round_half_away"]


def round_half_away(numerator: int, *, denominator: int) -> int:
    """The integer nearest to `numerator / denominator`; a half goes away from zero.

    Raises `ZeroDivisionError` for a denominator of zero and `TypeError` for anything but integers.
    """
    _require_integers((numerator, denominator))
    magnitude, divisor = abs(numerator), abs(denominator)
    rounded = (2 * magnitude + divisor) // (2 * divisor)
    return -rounded if (numerator < 0) != (denominator < 0) else rounded


def allocate(total: int, weights: Sequence[int]) -> list[int]:
    """Share `total` minor units in proportion to `weights`; the parts sum to it exactly.

    The largest-remainder method (Hamilton's): each part is rounded towards zero and the units left
    over go to the largest remainders, ties to the earlier part. A negative total is the mirror
    image of the positive one. Raises `InputInvalid` for a negative weight, and where there is
    something to share and no weight above zero; `TypeError` for anything but integers.
    """
    _require_integers((total, *weights))
    if any(weight < 0 for weight in weights):
        raise InputInvalid("A weight cannot be negative.")
    if total < 0:
        return [-part for part in allocate(-total, weights)]
    whole = sum(weights)
    if whole == 0:
        if total:
            raise InputInvalid("There is an amount to share and no weight above zero.")
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    remainders = [total * weight % whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda index: -remainders[index])
    for index in by_remainder[: total - sum(parts)]:
        parts[index] += 1
    return parts


def _require_integers(values: Sequence[object]) -> None:
    for value in values:
        if type(value) is not int:
            raise TypeError(f"Money is computed with integers, not {type(value).__name__}.")
