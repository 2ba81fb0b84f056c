"""How does the engine hear of what an import found?

Notices are written with the facts they tell, in one transaction, and delivered to the tenant's
webhook address until they are taken. The address is a path on the platform itself.
"""

from __future__ import annotations

import asyncio
import time

from payengine_bank_transfer.notices import headers_of
from payengine_bank_transfer.store import Store, now_us
from payengine_bank_transfer.wire import platform_url

__all__ = ["deliver"]

_BATCH = 500
_TIMEOUT_S = 5.0
_LATER = frozenset({408, 429})


async def deliver(store: Store, account: str, *, path: str, secret: str) -> tuple[int, int]:
    """Tell what waits: (how many were taken, how many still wait).

    One that is refused waits, and the others go on; a platform that does not answer is left alone.
    """
    import httpx

    waiting = await asyncio.to_thread(store.untold, account, limit=_BATCH)
    if not waiting or not path.startswith("/") or not secret:
        return 0, len(waiting)
    told = 0
    async with httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT_S) as client:
        for notice in waiting:
            headers = headers_of(
                event_id=notice.event_id,
                body=notice.body,
                secret=secret,
                timestamp=int(time.time()),
            )
            try:
                answer = await client.post(
                    platform_url() + path, content=notice.body, headers=headers
                )
            except (httpx.HTTPError, httpx.InvalidURL):
                break
            if answer.is_server_error or answer.status_code in _LATER:
                break
            if not answer.is_success:
                continue
            await asyncio.to_thread(store.mark_told, account, notice.event_id, at_us=now_us())
            told += 1
    return told, len(waiting) - told
