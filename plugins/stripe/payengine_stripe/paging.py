"""How is one of Stripe's lists read?

Page by page, newest first, within a bound. As plain data: the SDK's objects would cost the event
loop far more than the answer itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from payengine.plugin import Call

from payengine_stripe.client import Ask, Clients
from payengine_stripe.problems import Unreadable

__all__ = ["listed"]

_PAGE = 100


async def listed(
    clients: Clients, call: Call, service: str, query: dict[str, Any], *, most_pages: int
) -> AsyncIterator[dict[str, Any] | None]:
    """The objects of the list; None at the end says that there are more than could be read."""
    after: str | None = None
    for _ in range(most_pages):
        params = {"limit": _PAGE, **query, **({"starting_after": after} if after else {})}
        page = await clients.ask(call, _asking(service, params))
        found = page.get("data")
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise Unreadable("the list has no data")
        for plain in found:
            yield plain
        if not page.get("has_more") or not found:
            return
        after = found[-1].get("id")
    yield None


def _asking(service: str, params: dict[str, Any]) -> Ask:
    return lambda client, _: client.raw_request_async("get", f"/v1/{service}", **params)
