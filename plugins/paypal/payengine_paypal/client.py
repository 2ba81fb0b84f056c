"""How is one PayPal account spoken to?

Through the SDK, which makes the requests; what decides is read from the answers' own bytes, because
a model that knows every field of today fails on tomorrow's. The token is fetched once, kept until
shortly before it ends, and forgotten when PayPal refuses it.
"""

from __future__ import annotations

import functools
import json
import re
import threading
import time
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import msgspec
from payengine.plugin import NotSent

from payengine_paypal.records import Authorization, Capture, Order, Problem, Refund, Unclear, read
from payengine_paypal.wire import Exchange, Reply, Session, current_exchange, exchanging

__all__ = ["CONNECTIONS", "Accounts", "Client", "Part", "Refused", "derived_id"]

#: As many as calls may be in flight.
CONNECTIONS = 36
_MOST_ACCOUNTS = 256
#: A token is renewed that long before it ends, and never believed to live longer than the last.
_TOKEN_MARGIN_S = 120
_LONGEST_TOKEN_S = 9 * 3_600
_LONGEST_REQUEST_ID = 108
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_WHOLE = "return=representation"


#: A part of a form: its name, and its file's name, bytes and media type.
Part = tuple[str, tuple[str | None, bytes, str]]


class Refused(Exception):
    """PayPal answered with an error that can be read."""

    def __init__(self, status: int, problem: Problem) -> None:
        super().__init__(f"HTTP {status} {problem.code}")
        self.status = status
        self.problem = problem


class _Token(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: int


def derived_id(key: str, step: str = "") -> str:
    """The PayPal-Request-Id of one step of the operation `key`: the same for the same words."""
    text = f"{key}-{step}" if step else key
    if len(text) <= _LONGEST_REQUEST_ID and text.isascii() and text.isprintable():
        return text
    return sha256(text.encode()).hexdigest()


class Client:
    """One account: a connection pool and a token. Its methods block, within their exchange."""

    def __init__(self, base: str, client_id: str, client_secret: str) -> None:
        self.base = base
        self._credentials = (client_id, client_secret)
        self._basic = "Basic " + b64encode(f"{client_id}:{client_secret}".encode()).decode()
        self._session = Session(connections=CONNECTIONS)
        self._turn = threading.Lock()
        self._token: Any = None
        self._renew_at = 0.0
        self._sdk = self._make_sdk()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._session.close()

    def create_order(self, until: float, body: Mapping[str, Any], *, request_id: str) -> Order:
        """POST /v2/checkout/orders."""
        options = {"body": json.dumps(body), "paypal_request_id": request_id, "prefer": _WHOLE}
        return read(self._ask(until, "orders", "create_order", options).body, Order)

    def order(self, until: float, order_id: str) -> Order:
        """GET /v2/checkout/orders/{id}."""
        options = {"id": _checked(order_id)}
        return read(self._ask(until, "orders", "get_order", options).body, Order)

    def patch_order(self, until: float, order_id: str, patches: list[dict[str, Any]]) -> None:
        """PATCH /v2/checkout/orders/{id}."""
        options = {"id": _checked(order_id), "body": json.dumps(patches)}
        self._ask(until, "orders", "patch_order", options)

    def complete_order(self, until: float, order: Order, *, request_id: str) -> Order:
        """POST …/capture or …/authorize, as the order's intent says."""
        method = {"CAPTURE": "capture_order", "AUTHORIZE": "authorize_order"}.get(order.intent)
        if method is None:
            raise Unclear(f"the order {order.id} has the intent {order.intent[:40]!r}")
        options = {"id": order.id, "paypal_request_id": request_id, "prefer": _WHOLE}
        return read(self._ask(until, "orders", method, options).body, Order)

    def reauthorize(
        self, until: float, hold: Authorization, body: Mapping[str, Any], *, request_id: str
    ) -> Authorization:
        """POST /v2/payments/authorizations/{id}/reauthorize."""
        options = {
            "authorization_id": hold.id,
            "body": json.dumps(body),
            "paypal_request_id": request_id,
            "prefer": _WHOLE,
        }
        reply = self._ask(until, "payments", "reauthorize_payment", options)
        return read(reply.body, Authorization)

    def capture(
        self, until: float, hold: Authorization, body: Mapping[str, Any], *, request_id: str
    ) -> Capture:
        """POST /v2/payments/authorizations/{id}/capture."""
        options = {
            "authorization_id": hold.id,
            "body": json.dumps(body),
            "paypal_request_id": request_id,
            "prefer": _WHOLE,
        }
        reply = self._ask(until, "payments", "capture_authorized_payment", options)
        return read(reply.body, Capture)

    def void(self, until: float, hold: Authorization, *, request_id: str) -> None:
        """POST /v2/payments/authorizations/{id}/void."""
        options = {"authorization_id": hold.id, "paypal_request_id": request_id}
        self._ask(until, "payments", "void_payment", options)

    def refund(
        self, until: float, taken: Capture, body: Mapping[str, Any], *, request_id: str
    ) -> Refund:
        """POST /v2/payments/captures/{id}/refund."""
        options = {
            "capture_id": taken.id,
            "body": json.dumps(body),
            "paypal_request_id": request_id,
            "prefer": _WHOLE,
        }
        return read(self._ask(until, "payments", "refund_captured_payment", options).body, Refund)

    def capture_of(self, until: float, capture_id: str) -> Capture:
        """GET /v2/payments/captures/{id}."""
        options = {"capture_id": _checked(capture_id)}
        return read(self._ask(until, "payments", "get_captured_payment", options).body, Capture)

    def refund_of(self, until: float, refund_id: str) -> Refund:
        """GET /v2/payments/refunds/{id}."""
        options = {"refund_id": _checked(refund_id)}
        return read(self._ask(until, "payments", "get_refund", options).body, Refund)

    def create_setup_token(
        self, until: float, body: Mapping[str, Any], *, request_id: str
    ) -> Reply:
        """POST /v3/vault/setup-tokens."""
        options = {"body": json.dumps(body), "paypal_request_id": request_id}
        return self._ask(until, "vault", "create_setup_token", options)

    def setup_token(self, until: float, setup_id: str) -> Reply:
        """GET /v3/vault/setup-tokens/{id}."""
        return self._ask(until, "vault", "get_setup_token", _checked(setup_id))

    def create_payment_token(
        self, until: float, body: Mapping[str, Any], *, request_id: str
    ) -> Reply:
        """POST /v3/vault/payment-tokens."""
        options = {"body": json.dumps(body), "paypal_request_id": request_id}
        return self._ask(until, "vault", "create_payment_token", options)

    def delete_payment_token(self, until: float, token: str) -> None:
        """DELETE /v3/vault/payment-tokens/{id}."""
        self._ask(until, "vault", "delete_payment_token", _checked(token))

    def plain(
        self,
        until: float,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        parts: Sequence[Part] | None = None,
    ) -> Reply:
        """A request that the SDK does not know; raises `Refused` for an error.

        `body` is JSON; `parts` make a form in its place.
        """

        def send() -> None:
            headers = {
                "Authorization": f"Bearer {self._provide().access_token}",
                "Accept": "application/json",
            }
            if parts is None:
                headers["Content-Type"] = "application/json"
            self._session.request(method, self.base + path, data=body, files=parts, headers=headers)

        return self._renewing(until, send)

    def bare(self, until: float, url: str) -> Reply:
        """GET an address without any credentials; raises `Refused` for an error."""
        return _judged(Exchange(until=until), lambda: self._session.request("GET", url))

    def _ask(self, until: float, part: str, method: str, options: dict[str, Any] | str) -> Reply:
        """One request through the SDK."""

        def send() -> None:
            self._provide()  # before the SDK asks for it: a failure here is proof of nothing sent
            getattr(getattr(self._sdk, part), method)(options)

        return self._renewing(until, send)

    def _renewing(self, until: float, send: Callable[[], None]) -> Reply:
        """The answer; a token that was refused is renewed once, because a 401 did nothing."""
        try:
            return _judged(Exchange(until=until), send)
        except Refused as refused:
            if refused.status != 401:
                raise
        self._forget_token()
        return _judged(Exchange(until=until), send)

    def _provide(self, old: Any = None, manager: Any = None) -> Any:
        """The kept token, or a new one; raises `NotSent`. Also the SDK's token provider."""
        token = self._token
        if token is not None and time.monotonic() < self._renew_at:
            return token
        exchange = current_exchange()
        if not self._turn.acquire(timeout=exchange.left_s()):
            raise NotSent("no token came in time")
        try:
            if self._token is None or time.monotonic() >= self._renew_at:
                self._token = self._fetch_token(exchange.until)
            return self._token
        finally:
            self._turn.release()

    def _fetch_token(self, until: float) -> Any:
        from paypalserversdk.models.o_auth_token import OAuthToken

        api = self._sdk.o_auth_authorization
        ask = functools.partial(api.request_token, {"authorization": self._basic})
        try:
            token = read(_judged(Exchange(until=until), ask).body, _Token)
        except (Unclear, Refused) as problem:
            raise NotSent(f"PayPal gave no token: {problem}") from None
        lives_s = max(min(token.expires_in, _LONGEST_TOKEN_S) - _TOKEN_MARGIN_S, 1)
        self._renew_at = time.monotonic() + lives_s
        return OAuthToken(
            access_token=token.access_token,
            token_type="Bearer",  # noqa: S106
            expires_in=token.expires_in,
            expiry=int(time.time()) + lives_s,
        )

    def _forget_token(self) -> None:
        with self._turn:
            self._token = None
            self._sdk = self._make_sdk()  # it keeps a token of its own

    def _make_sdk(self) -> Any:
        return _make_sdk(self.base, self._credentials, self._session, self._provide)


def _judged(exchange: Exchange, send: Callable[[], Any]) -> Reply:
    """The answer, whatever the SDK makes of it; raises `NotSent`, `Unclear`, `Refused`."""
    try:
        with exchanging(exchange):
            send()
    except (NotSent, Unclear):
        raise
    except Exception as failure:
        if not exchange.sent:
            raise NotSent(f"the request could not be made: {failure}"[:300]) from None
        if exchange.reply is None:
            raise Unclear(f"no answer: {type(failure).__name__}: {failure}"[:300]) from None
    reply = exchange.reply
    if reply is None:
        raise Unclear("no answer")
    if 200 <= reply.status < 300:
        return reply
    if 400 <= reply.status < 500:
        raise Refused(reply.status, read(reply.body, Problem))
    raise Unclear(f"HTTP {reply.status}")


class Accounts:
    """The clients of this process, by account and credentials; the least used is closed."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._clients: OrderedDict[tuple[str, str, str], Client] = OrderedDict()

    def client(self, account: str, *, base: str, client_id: str, client_secret: str) -> Client:
        """The client of `account` with these credentials."""
        digest = sha256(f"{client_id}\x1f{client_secret}".encode()).hexdigest()
        name = (account, base, digest)
        with self._turn:
            found = self._clients.get(name)
            if found is None:
                found = self._clients[name] = Client(base, client_id, client_secret)
            self._clients.move_to_end(name)
            spare = []
            while len(self._clients) > _MOST_ACCOUNTS:
                spare.append(self._clients.popitem(last=False)[1])
        for client in spare:
            client.close()
        return found

    def close(self) -> None:
        """Close every client; the next call makes new ones."""
        with self._turn:
            clients, self._clients = list(self._clients.values()), OrderedDict()
        for client in clients:
            client.close()


def _checked(reference: str) -> str:
    if not _ID.fullmatch(reference):
        raise NotSent(f"{reference[:80]!r} is no id of PayPal's")
    return reference


def _make_sdk(
    base: str, credentials: tuple[str, str], session: Session, provide: Callable[..., Any]
) -> Any:
    from paypalserversdk.configuration import Configuration, Server
    from paypalserversdk.http.auth.o_auth_2 import ClientCredentialsAuthCredentials
    from paypalserversdk.paypal_serversdk_client import PaypalServersdkClient

    class AtBase(Configuration):  # type: ignore[misc]
        def get_base_uri(self, server: Any = Server.DEFAULT) -> str:
            return base

    return PaypalServersdkClient(
        config=AtBase(
            http_client_instance=session,
            max_retries=0,
            client_credentials_auth_credentials=ClientCredentialsAuthCredentials(
                o_auth_client_id=credentials[0],
                o_auth_client_secret=credentials[1],
                o_auth_token_provider=provide,
            ),
        )
    )
