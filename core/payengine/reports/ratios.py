"""How large is a part of a whole?"""

from __future__ import annotations

import msgspec

from payengine.money import round_half_away

__all__ = ["Ratio", "ratio"]

_BPS = 10_000


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """`fraction` is `n/d` as it was counted, not reduced; `bps` is rounded half away from zero.

    Of nothing there is no rate: `bps` is None.
    """

    fraction: str
    bps: int | None


def ratio(part: int, *, whole: int) -> Ratio:
    """`part` of `whole`; never a division by zero."""
    return Ratio(
        fraction=f"{part}/{whole}",
        bps=round_half_away(part * _BPS, denominator=whole) if whole else None,
    )
