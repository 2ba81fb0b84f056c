"""What does an endpoint answer?

One POST to the address that was checked, with the host's own name in TLS and in `Host`. No
redirect is followed, no cookie kept, no proxy asked; of the answer's body two KiB are read.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from payengine.context import Mode
from payengine.errors import WebhookUrlRefused
from payengine.screen import redact
from payengine.webhooks.addresses import Addresses, Target

if TYPE_CHECKING:
    import httpx

__all__ = ["CONNECT_S", "MAX_RESPONSE", "TOTAL_S", "Channel", "Reply", "Sender"]

#: How long connecting, TLS included, and the whole exchange may take.
CONNECT_S = 5.0
TOTAL_S = 10.0
#: Bytes of an answer's body that are kept.
MAX_RESPONSE = 2_048
#: How long the body of an answer whose status is known is waited for.
_BODY_S = 2.0

_GONE = 410
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_HEADERS = {
    "content-type": "application/json",
    "user-agent": "payengine-webhooks/1",
    "accept": "*/*",
    "accept-encoding": "identity",
}


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one attempt. `error` is None where the endpoint took the message.

    Errors: `status` (an answer other than 2xx), `redirect`, `timeout`, `connect_failed`,
    `tls_failed`, `name_unknown`, `address_refused`, `broken_answer`.
    """

    status_code: int | None = None
    error: str | None = None
    response: str | None = None
    latency_ms: int = 0

    @property
    def is_gone(self) -> bool:
        """Whether the endpoint wants no more messages (410 Gone)."""
        return self.status_code == _GONE


class Channel:
    """Connections to one endpoint, kept for as long as its messages follow each other."""

    def __init__(
        self, addresses: Addresses, tls: ssl.SSLContext, *, connect_s: float, total_s: float
    ) -> None:
        self._addresses = addresses
        self._tls = tls
        self._connect_s = connect_s
        self._total_s = total_s
        self._transport: httpx.AsyncHTTPTransport | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._transport is not None:
            await self._transport.aclose()
            self._transport = None

    async def post(
        self,
        tenant_id: uuid.UUID,
        *,
        mode: Mode,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> Reply:
        """Send one message; never raises for what the endpoint, its name or its network does."""
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._total_s):
                target = await self._addresses.pin(tenant_id, mode, url)
                reply = await self._exchange(target, headers, body)
        except WebhookUrlRefused as refused:
            reply = Reply(error="address_refused", response=refused.message)
        except TimeoutError:
            reply = Reply(error="timeout")
        except OSError:
            reply = Reply(error="name_unknown")
        return msgspec.structs.replace(
            reply, latency_ms=round((time.perf_counter() - began) * 1_000)
        )

    async def _exchange(self, target: Target, headers: Mapping[str, str], body: bytes) -> Reply:
        import httpx

        request = httpx.Request(
            "POST",
            target.pinned_url,
            headers={"host": target.authority, **_HEADERS, **headers},
            content=body,
            extensions={
                "timeout": dict.fromkeys(("read", "write", "pool"), self._total_s)
                | {"connect": self._connect_s},
                "sni_hostname": target.host,
            },
        )
        try:
            response = await self._opened().handle_async_request(request)
            try:
                return await _read(response)
            finally:
                await response.aclose()
        except httpx.TimeoutException:
            return Reply(error="timeout")
        except httpx.ConnectError as failure:
            return Reply(error="tls_failed" if _is_tls(failure) else "connect_failed")
        except httpx.HTTPError:
            return Reply(error="broken_answer")

    def _opened(self) -> httpx.AsyncHTTPTransport:
        import httpx

        if self._transport is None:
            self._transport = httpx.AsyncHTTPTransport(
                verify=self._tls,
                trust_env=False,
                http2=False,
                retries=0,
                limits=httpx.Limits(max_connections=2, max_keepalive_connections=1),
            )
        return self._transport


async def _read(response: httpx.Response) -> Reply:
    status = response.status_code
    error = None if 200 <= status < 300 else "redirect" if 300 <= status < 400 else "status"
    return Reply(status_code=status, error=error, response=await _beginning(response))


async def _beginning(response: httpx.Response) -> str:
    """The first two KiB of the body as text; the status counts, whatever becomes of the body."""
    import httpx

    kept = bytearray()
    try:
        async with asyncio.timeout(_BODY_S):
            async for chunk in response.aiter_raw():
                kept += chunk[: MAX_RESPONSE - len(kept)]
                if len(kept) >= MAX_RESPONSE:
                    break
    except (TimeoutError, httpx.HTTPError):
        pass
    text = _UNPRINTABLE.sub(" ", bytes(kept).decode(errors="replace"))
    return redact(text)


def _is_tls(failure: BaseException) -> bool:
    cause: BaseException | None = failure
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


class Sender:
    """Opens channels; one for a process."""

    def __init__(
        self,
        addresses: Addresses,
        *,
        connect_s: float = CONNECT_S,
        total_s: float = TOTAL_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`tls` replaces the machine's trusted authorities."""
        self.addresses = addresses
        self.total_s = total_s
        self._connect_s = connect_s
        self._tls = tls

    def channel(self) -> Channel:
        """A new channel, for one endpoint alone; close it."""
        if self._tls is None:
            import httpx

            self._tls = httpx.create_ssl_context()
        return Channel(self.addresses, self._tls, connect_s=self._connect_s, total_s=self.total_s)
