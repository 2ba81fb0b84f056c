"""How is the bank asked?

The day's rates first, which are one small document; where those are of a later day than the one
that was asked for, the last ninety days. Published rates never change, so a document is kept for a
quarter of an hour: the bank sets rates once on a business day, at about 16:00 in Frankfurt.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import httpx
from payengine.plugin import AskRates, Call, RateManifest, ToldRates

from payengine_fx_ecb.document import MAX_BYTES, Unreadable, read_rates

__all__ = ["EuropeanCentralBank"]

_ADDRESS = "https://www.ecb.europa.eu/stats/eurofxref/"
_TODAY = "eurofxref-daily.xml"
_NINETY_DAYS = "eurofxref-hist-90d.xml"
_KEPT_S = 900.0


class EuropeanCentralBank:
    """The rate source `ecb`: units of some thirty currencies for one euro."""

    def __init__(
        self, *, url: str | None = None, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        """`url` is the folder of both documents; `seconds` measures how old a document is.

        Without it the operator's `PAYENGINE_FX_ECB_URL` is, or else the bank's own.
        """
        self._url = url
        self._seconds = seconds
        self._kept: dict[str, tuple[float, ToldRates]] = {}

    def describe(self) -> RateManifest:
        """The manifest."""
        return RateManifest(name="ecb", title="European Central Bank", version="0.1.0", base="EUR")

    async def daily_rates(self, call: Call, request: AskRates) -> ToldRates:
        """Today's rates, or ninety days of them; raises `Unreadable` and what httpx raises."""
        today = await self._document(_TODAY, call)
        if any(one.day <= request.day for one in today.days):
            return today
        return await self._document(_NINETY_DAYS, call)

    async def _document(self, name: str, call: Call) -> ToldRates:
        folder = self._url or os.environ.get("PAYENGINE_FX_ECB_URL") or _ADDRESS
        address = f"{folder.rstrip('/')}/{name}"
        kept = self._kept.get(address)
        if kept is not None and self._seconds() - kept[0] < _KEPT_S:
            return kept[1]
        told = read_rates(await _fetched(address, timeout_s=call.deadline_ms * 0.001))
        self._kept[address] = (self._seconds(), told)
        return told


async def _fetched(address: str, *, timeout_s: float) -> bytes:
    """The body of an answer that is one, read no further than a document can be long."""
    async with (
        httpx.AsyncClient(timeout=timeout_s, follow_redirects=False) as client,
        client.stream("GET", address) as answer,
    ):
        answer.raise_for_status()
        body = bytearray()
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > MAX_BYTES:
                raise Unreadable("The document is too large.")
        return bytes(body)
