"""Which keys does Google sign with at present?

Google publishes its root keys at an address for each environment. They are fetched when they are
needed, kept for as long as the answer says, and fetched once more where a token does not verify,
for it may be signed by a key that is newer than what is kept. Nothing here belongs to a tenant.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["KEYS_URLS", "RootKeys"]

KEYS_URLS = {
    "PRODUCTION": "https://payments.developers.google.com/paymentmethodtoken/keys.json",
    "TEST": "https://payments.developers.google.com/paymentmethodtoken/test/keys.json",
}

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=([0-9]{1,9})(?:$|[\s,;])")
_LARGEST_ANSWER = 65_536
_FETCH_S = 5.0
_SHORTEST_S = 60.0
_USUAL_S = 3_600.0
_LONGEST_S = 7 * 86_400.0
#: For how long keys are used that cannot be refreshed.
_STALE_S = 86_400.0
_MOST_ADDRESSES = 16


@dataclass
class _Kept:
    text: str = ""
    fetched_at: float = float("-inf")
    tried_at: float = float("-inf")
    fresh_s: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class RootKeys:
    """The keys of a few addresses, kept for as long as their answers say."""

    def __init__(self, *, seconds: Callable[[], float] = time.monotonic) -> None:
        """`seconds` measures how long keys are kept."""
        self._seconds = seconds
        self._kept: dict[str, _Kept] = {}

    async def at(self, url: str) -> str:
        """The JSON at this address; raises what the fetch raises where nothing can be used."""
        kept = self._of(url)
        if self._seconds() - kept.fetched_at < kept.fresh_s:
            return kept.text
        async with kept.lock:
            now = self._seconds()
            if now - kept.fetched_at < kept.fresh_s:
                return kept.text
            is_usable = now - kept.fetched_at < kept.fresh_s + _STALE_S
            if is_usable and now - kept.tried_at < _SHORTEST_S:
                return kept.text
            kept.tried_at = now
            try:
                await self._fetch(url, kept)
            except Exception:
                if not is_usable:
                    raise
            return kept.text

    async def newer(self, url: str, than: str) -> str | None:
        """Other keys than these, if the address has some now; it is asked once a minute."""
        kept = self._of(url)
        async with kept.lock:
            now = self._seconds()
            if kept.text != than:
                return kept.text or None
            if now - kept.fetched_at < _SHORTEST_S or now - kept.tried_at < _SHORTEST_S:
                return None
            kept.tried_at = now
            try:
                await self._fetch(url, kept)
            except Exception:
                # What is kept has said what it can; the token stays refused.
                return None
            return kept.text if kept.text != than else None

    def _of(self, url: str) -> _Kept:
        if url not in self._kept and len(self._kept) >= _MOST_ADDRESSES:
            self._kept.pop(next(iter(self._kept)))
        return self._kept.setdefault(url, _Kept())

    async def _fetch(self, url: str, kept: _Kept) -> None:
        import httpx

        async with httpx.AsyncClient(
            trust_env=False, follow_redirects=False, timeout=_FETCH_S
        ) as client:
            async with client.stream("GET", url) as response:
                answer = bytearray()
                async for part in response.aiter_bytes():
                    answer += part
                    if len(answer) > _LARGEST_ANSWER:
                        raise ValueError("the answer is too long for keys")
        if response.status_code != 200:
            raise ValueError(f"the keys' address answered with {response.status_code}")
        said = _MAX_AGE.search(response.headers.get("cache-control", "").lower())
        fresh = float(said[1]) if said else _USUAL_S
        kept.text = answer.decode()
        kept.fresh_s = min(max(fresh, _SHORTEST_S), _LONGEST_S)
        kept.fetched_at = self._seconds()
