"""When is a job that failed tried again?

Pure: 1, 2, 4 … seconds, at most ten minutes, each shortened by up to a half by chance, so that what
failed together does not come back together.
"""

from __future__ import annotations

from datetime import timedelta

__all__ = ["backoff"]

_FIRST_S = 1.0
_LONGEST_S = 600.0


def backoff(tried: int, *, chance: float) -> timedelta:
    """The wait after a failure that follows `tried` earlier ones; `chance` is in [0, 1)."""
    longest = min(_FIRST_S * 2.0 ** min(tried, 32), _LONGEST_S)
    return timedelta(seconds=longest * (1 - chance / 2))
