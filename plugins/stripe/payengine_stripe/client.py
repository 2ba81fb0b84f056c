"""How is Stripe reached?

Through its SDK, which is imported with the first call because that takes a third of a second. Each
account has a client of its own; the connections are shared. Nothing is retried here: the engine
knows when the same request may be sent again.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from payengine.plugin import Call, NotSent

from payengine_stripe.problems import Refused, Unreadable
from payengine_stripe.settings import StripeSettings, settings_of

__all__ = ["API_BASE_VARIABLE", "API_VERSION", "Clients", "sdk"]

#: The version of Stripe's API that this plugin was written for, whatever the account's default is.
API_VERSION = "2026-10-28.endive"
#: Where the operator may point every call of this process, such as at a fake.
API_BASE_VARIABLE = "PAYENGINE_STRIPE_API_BASE"

_MOST_CLIENTS = 256
_CONNECT_S = 3.0
#: Longer than any deadline: the engine's guard ends a call.
_READ_S = 120.0

#: A call of the SDK: the client and the request's options → the answer's object.
Ask = Callable[[Any, dict[str, Any]], Awaitable[Any]]


def sdk() -> Any:
    """Stripe's SDK, without the telemetry that it would send along."""
    stripe: Any = importlib.import_module("stripe")
    stripe.enable_telemetry = False
    return stripe


class Clients:
    """The clients of one event loop, least recently used first, and the connections they share."""

    def __init__(self, *, api_base: str | None = None) -> None:
        """`api_base` is where Stripe is; None leaves it to the environment and the SDK."""
        self._api_base = api_base
        self._loop: asyncio.AbstractEventLoop | None = None
        self._http: Any = None
        self._clients: OrderedDict[tuple[str, str, str], Any] = OrderedDict()

    async def ask(self, call: Call, what: Ask, *, key: str | None = None) -> dict[str, Any]:
        """The answer's object as plain data; `key` is the idempotency key of a request that writes.

        Raises `NotSent` where no connection was made, `Refused` for Stripe's errors and
        `Unreadable` for an answer that is none.
        """
        client = await self._client(call)
        stripe = sdk()
        try:
            answer = await what(client, {} if key is None else {"idempotency_key": key})
        except stripe.APIConnectionError as lost:
            if _never_left(lost.__cause__):
                raise NotSent(f"Stripe cannot be reached: {lost.__cause__!r}") from lost
            raise Unreadable(f"the answer was lost: {lost.__cause__!r}") from lost
        except stripe.StripeError as problem:
            raise _refused(problem) from problem
        plain = answer.to_dict() if isinstance(answer, stripe.StripeObject) else answer.data
        if not isinstance(plain, dict):
            raise Unreadable("the answer is no object")
        return plain

    async def aclose(self) -> None:
        """Close the connections; the next call opens others."""
        http, self._http = self._http, None
        self._clients.clear()
        if http is not None and self._loop is asyncio.get_running_loop():
            await http.close_async()

    async def _client(self, call: Call) -> Any:
        if "stripe" not in sys.modules:
            await asyncio.to_thread(sdk)
        loop = asyncio.get_running_loop()
        if self._http is None or self._loop is not loop:
            self._loop, self._http = loop, _http_client()
            self._clients.clear()
        settings = settings_of(call)
        name = (call.account, settings.api_key, settings.connected_account)
        client = self._clients.pop(name, None) or self._new_client(settings)
        self._clients[name] = client
        while len(self._clients) > _MOST_CLIENTS:
            self._clients.popitem(last=False)
        return client

    def _new_client(self, settings: StripeSettings) -> Any:
        base = self._api_base or os.environ.get(API_BASE_VARIABLE, "")
        base = base.rstrip("/")
        return sdk().StripeClient(
            settings.api_key,
            stripe_account=settings.connected_account or None,
            stripe_version=API_VERSION,
            base_addresses={"api": base, "files": base} if base else {},
            max_network_retries=0,
            http_client=self._http,
        )


def _http_client() -> Any:
    """The SDK's own client on httpx, but for how it hands httpx a body."""
    import httpx

    stripe = sdk()

    class Client(stripe.HTTPXClient):  # type: ignore[misc, name-defined, unused-ignore]
        """Passes the body as `content`: httpx warns of bytes given as `data`."""

        def _get_request_args_kwargs(
            self, method: str, url: str, headers: Mapping[str, str], post_data: Any
        ) -> list[Any]:
            options = {"headers": headers, "content": post_data or None, "timeout": self._timeout}
            return [(method, url), options]

    return Client(timeout=httpx.Timeout(_READ_S, connect=_CONNECT_S))


def _never_left(cause: BaseException | None) -> bool:
    """Whether no byte of the request can have reached Stripe."""
    import httpx

    return isinstance(
        cause,
        httpx.ConnectError
        | httpx.ConnectTimeout
        | httpx.InvalidURL
        | httpx.PoolTimeout
        | httpx.UnsupportedProtocol,
    )


def _refused(problem: Any) -> Exception:
    """Stripe's error; or that there was an answer which is none."""
    body = problem.json_body
    error = body.get("error") if isinstance(body, dict) else None
    status = problem.http_status
    if not isinstance(status, int) or not isinstance(error, dict):
        return Unreadable(f"HTTP {status}, and no error that can be read")
    return Refused(status, error)
