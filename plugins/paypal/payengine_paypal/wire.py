"""How does one request go out within its time, and what is known when it fails?

A `requests` session under the SDK: every request carries what is left of the call's deadline,
follows no redirect, reads a bounded body, and notes whether a byte may have left this machine. One
`Exchange` belongs to one call and one thread.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from payengine.plugin import NotSent
from requests.adapters import HTTPAdapter
from urllib3.exceptions import NameResolutionError, NewConnectionError
from urllib3.util.retry import Retry

from payengine_paypal.records import Unclear

__all__ = ["LARGEST_BODY", "Exchange", "Reply", "Session", "current_exchange", "exchanging"]

#: No answer of PayPal's comes near it.
LARGEST_BODY = 1024 * 1024
_CHUNK = 16 * 1024
_LONGEST_CONNECT_S = 3.0
#: Less time than this is no time: a request that begins now could not be answered.
_LEAST_S = 0.02

_here = threading.local()


class Reply:
    """An answer as it came."""

    __slots__ = ("body", "status")

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body


class Exchange:
    """One call's time, and what it has done so far."""

    def __init__(self, *, until: float) -> None:
        """`until` is an instant of `time.monotonic`."""
        self.until = until
        self.sent = False
        self.reply: Reply | None = None

    def left_s(self) -> float:
        """The time that is left; raises `NotSent` where there is none."""
        left = self.until - time.monotonic()
        if left < _LEAST_S:
            raise NotSent("no time was left to send it")
        return left


@contextmanager
def exchanging(exchange: Exchange) -> Iterator[Exchange]:
    """Inside, this thread's requests belong to `exchange`."""
    before = getattr(_here, "exchange", None)
    _here.exchange = exchange
    try:
        yield exchange
    finally:
        _here.exchange = before


def current_exchange() -> Exchange:
    """The exchange that this thread is in."""
    exchange: Exchange = _here.exchange
    return exchange


class Session(requests.Session):
    """The SDK's way to the network."""

    #: Read by the SDK, and overridden for every request.
    timeout = 60

    def __init__(self, *, connections: int) -> None:
        super().__init__()
        # Neither proxies nor .netrc of the environment: the latter would replace our token.
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = HTTPAdapter(
            pool_connections=4,
            pool_maxsize=connections,
            max_retries=Retry(total=0, read=False, redirect=False),
        )
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def request(self, method: Any, url: Any, *rest: Any, **options: Any) -> requests.Response:
        """As always, within the exchange of this thread."""
        exchange = current_exchange()
        left_s = exchange.left_s()
        options |= {
            "timeout": (min(left_s, _LONGEST_CONNECT_S), left_s),
            "allow_redirects": False,
            "stream": True,
        }
        exchange.sent = True
        try:
            response = super().request(method, url, *rest, **options)
        except requests.exceptions.RequestException as failure:
            if _never_left(failure):
                exchange.sent = False
                raise NotSent(f"PayPal cannot be reached: {failure}"[:300]) from None
            raise
        with response:
            body = _read(response, exchange)
        response._content = body
        response._content_consumed = True
        exchange.reply = Reply(response.status_code, body)
        return response


def _read(response: requests.Response, exchange: Exchange) -> bytes:
    body = bytearray()
    # What has come, and not a whole chunk: an answer that drips must not outlive the deadline.
    while part := response.raw.read1(_CHUNK, decode_content=True):
        body += part
        if len(body) > LARGEST_BODY:
            raise Unclear(f"the answer is larger than {LARGEST_BODY} bytes")
        try:
            exchange.left_s()
        except NotSent:
            raise Unclear("the answer did not come to its end in time") from None
    return bytes(body)


def _never_left(failure: requests.exceptions.RequestException) -> bool:
    """Whether no byte of the request can have left: no connection was made."""
    if isinstance(failure, requests.exceptions.ConnectTimeout):
        return True
    cause = failure.args[0] if failure.args else None
    reason = getattr(cause, "reason", cause)
    if isinstance(reason, NewConnectionError | NameResolutionError):
        return True
    inner = reason.args[0] if isinstance(reason, BaseException) and reason.args else None
    return isinstance(inner, ssl.SSLCertVerificationError)
