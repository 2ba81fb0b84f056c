"""How is the fake PayPal served?

Threads and one lock around the books. Below `/_fake/` tests look behind the counter: they approve
in the buyer's name, let time pass, sign webhooks and read the sums.
"""

from __future__ import annotations

import base64
import html
import json
import re
import secrets
import threading
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from fake_paypal_books import Event, Merchant
from fake_paypal_faults import Faults, RequestIds
from fake_paypal_problems import Dropped, Problem, bad, missing
from fake_paypal_signing import Authority
from fake_paypal_steps import Steps

__all__ = ["Answer", "Server", "serve"]

_CERTIFICATE = "/v1/notifications/certs/CERT-360caa42-fca2a594-9d93a270"
#: What a route makes: a status, a body (JSON unless it is text) and further headers.
Answer = tuple[int, Any, dict[str, str]]

_POSTS: list[tuple[str, str]] = [
    (r"/v2/checkout/orders", "create"),
    (r"/v2/checkout/orders/(\w+)/(capture|authorize)", "complete"),
    (r"/v2/payments/authorizations/(\w+)/capture", "capture"),
    (r"/v2/payments/authorizations/(\w+)/reauthorize", "reauthorize"),
    (r"/v2/payments/authorizations/(\w+)/void", "void"),
    (r"/v2/payments/captures/(\w+)/refund", "refund"),
    (r"/v3/vault/setup-tokens", "set_up"),
    (r"/v3/vault/payment-tokens", "keep"),
]


class Server:
    """PayPal as far as the plugin needs it."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.lock = threading.RLock()
        self.shift = timedelta()
        self.steps = Steps(self.now)
        self.merchants: dict[str, Merchant] = {}
        self.tokens: dict[str, tuple[str, datetime]] = {}
        self.token_s = 32_400
        self.tokens_given = 0
        self.faults = Faults()
        self.ids = RequestIds()
        self.slow_s = 0.0
        self.authority = Authority()
        self.signing = self.authority.leaf()
        self.webhook_id = "8PT597110X687430LKGECATA"
        self.target = ""
        self.random = Random(7)
        self.seen: list[list[str]] = []

    def now(self) -> datetime:
        """PayPal's time: the wall's, shifted by what tests let pass."""
        return datetime.now(UTC) + self.shift

    def merchant(self, client_id: str) -> Merchant:
        """The books of a client id."""
        return self.merchants.setdefault(client_id, Merchant(client_id, self.base))

    # -- the API ------------------------------------------------------------------------------

    def answer(self, method: str, path: str, headers: dict[str, str], raw: bytes) -> Answer:
        """The answer to one request of the API; raises `Problem` or `Dropped`."""
        if path == "/v1/oauth2/token":
            return self._token(headers)
        if path == _CERTIFICATE:
            return 200, self.signing.chain, {}
        merchant = self._who(headers)
        request_id = headers.get("paypal-request-id", "")
        self.seen.append([method, path, request_id])
        kind = re.sub(r"/[A-Z0-9]{13,}", "/:id", path)
        fault = self.faults.strike(method, kind, request_id or path)
        if fault is not None and fault.endswith("before"):
            self._fail(fault)
        if fault == "unavailable":
            raise Problem(503)
        if fault == "rate_limited":
            raise Problem(429)
        with self.ids.working(merchant.client_id, path, request_id):
            if self.slow_s and method == "POST":
                time.sleep(self.slow_s)
            with self.lock:
                self.steps.settle(merchant)
                done = self._route(merchant, method, path, headers, raw)
        if fault is not None:
            self._fail(fault)
        return done

    def _fail(self, fault: str) -> None:
        if fault.startswith("error"):
            raise Problem(500)
        if fault.startswith("hang"):
            time.sleep(self.faults.hang_s)
        raise Dropped

    def _token(self, headers: dict[str, str]) -> Answer:
        client_id, _, secret = _basic(headers).partition(":")
        if not secret or secret.startswith("wrong"):
            body = {"error": "invalid_client", "error_description": "Client Authentication failed"}
            return 401, body, {}
        token = f"A21AA{secrets.token_urlsafe(40)}"
        self.tokens_given += 1
        self.tokens[token] = (client_id, self.now() + timedelta(seconds=self.token_s))
        body = {"scope": "", "access_token": token, "token_type": "Bearer", "app_id": "APP-80W"}
        return 200, body | {"expires_in": self.token_s, "nonce": secrets.token_hex(8)}, {}

    def _who(self, headers: dict[str, str]) -> Merchant:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        client_id, ends = self.tokens.get(token, ("", self.now()))
        if ends <= self.now():
            raise Problem(401)
        return self.merchant(client_id)

    def _route(
        self, merchant: Merchant, method: str, path: str, headers: dict[str, str], raw: bytes
    ) -> Answer:
        if method == "GET":
            return 200, self._read(merchant, path), {}
        if method == "DELETE" and path.startswith("/v3/vault/payment-tokens/"):
            merchant.tokens.pop(path.rsplit("/", 1)[1], None)
            return 204, None, {}
        if path.startswith("/v1/customer/disputes/"):
            return self._answer_dispute(merchant, path, raw)
        body = _json(raw)
        if path == "/v1/notifications/verify-webhook-signature":
            return 200, self._verify(body), {}
        if method == "PATCH":
            self.steps.patch(merchant, path.rsplit("/", 1)[1], body)
            return 204, None, {}
        return self._post(merchant, path, headers, body)

    def _post(self, merchant: Merchant, path: str, headers: dict[str, str], body: Any) -> Answer:
        request_id = headers.get("paypal-request-id", "")
        known: Callable[[], Any] | None = self.ids.known(
            merchant.client_id, path, request_id, self.now()
        )
        show: Callable[[], Any]
        if known is not None:
            status, show = 200, known
        else:
            mock = _mocked(headers)
            if mock:
                raise Problem(422, mock)
            status, show = 201, self._do(merchant, path, request_id, body)
            self.ids.keep(merchant.client_id, path, request_id, self.now(), show)
        shown = show()
        whole = "representation" in headers.get("prefer", "") or "/vault/" in path
        if path.endswith("/void"):
            return (200, shown, {}) if whole else (204, None, {})
        return status, shown if whole else _minimal(shown), {}

    def _do(self, merchant: Merchant, path: str, request_id: str, body: Any) -> Callable[[], Any]:
        """Carry it out; what comes back shows it as it then stands."""
        name, found = next(
            ((name, match) for form, name in _POSTS if (match := re.fullmatch(form, path))),
            ("", None),
        )
        if found is None:
            raise missing()
        steps = self.steps
        if name == "create":
            order = steps.create(merchant, body, request_id)
            return lambda: merchant.show_order(order)
        if name == "complete":
            order = steps.complete(merchant, found[1], found[2].upper())
            return lambda: merchant.show_order(order)
        if name in ("set_up", "keep"):
            token = getattr(steps, name)(merchant, body)
            return lambda: merchant.show_token(token, kept=name == "keep")
        if name == "void":
            order, hold = steps.void(merchant, found[1])
            return lambda: merchant.show_hold(order, hold)
        order, row = getattr(steps, name)(merchant, found[1], body)
        shows: dict[str, Callable[..., Any]] = {
            "capture": merchant.show_capture,
            "reauthorize": merchant.show_hold,
            "refund": merchant.show_refund,
        }
        return lambda: shows[name](order, row)

    def _read(self, merchant: Merchant, path: str) -> Any:
        parts = path.strip("/").split("/")
        kind, resource_id = "/".join(parts[:-1]), parts[-1]
        if kind == "v2/checkout/orders" and resource_id in merchant.orders:
            return merchant.show_order(merchant.orders[resource_id])
        if kind == "v3/vault/setup-tokens" and resource_id in merchant.setups:
            return merchant.show_token(merchant.setups[resource_id], kept=False)
        if kind == "v3/vault/payment-tokens" and resource_id in merchant.tokens:
            return merchant.show_token(merchant.tokens[resource_id], kept=True)
        if kind == "v1/customer/disputes" and resource_id in merchant.disputes:
            return merchant.disputes[resource_id]
        rows: dict[str, tuple[str, Callable[..., Any]]] = {
            "v2/payments/authorizations": ("holds", merchant.show_hold),
            "v2/payments/captures": ("captures", merchant.show_capture),
            "v2/payments/refunds": ("refunds", merchant.show_refund),
        }
        if kind in rows:
            name, show = rows[kind]
            found = merchant.find(name, resource_id)
            if found is not None:
                return show(*found)
        raise missing()

    def _answer_dispute(self, merchant: Merchant, path: str, raw: bytes) -> Answer:
        *_, dispute_id, action = path.split("/")
        dispute = merchant.disputes.get(dispute_id)
        if dispute is None:
            raise missing()
        if action == "provide-evidence":
            if dispute["status"] != "WAITING_FOR_SELLER_RESPONSE":
                raise Problem(422, "INVALID_DISPUTE_STATUS")
            kinds = re.findall(rb'"evidence_type": ?"(\w+)"', raw)
            given = [{"evidence_type": k.decode(), "source": "SUBMITTED_BY_SELLER"} for k in kinds]
            dispute["evidences"] = given
            self.steps.move_dispute(merchant, dispute_id, status="UNDER_REVIEW")
        else:
            self.steps.move_dispute(merchant, dispute_id, status="RESOLVED", outcome="ACCEPTED")
        link = f"{self.base}/v1/customer/disputes/{dispute_id}"
        return 200, {"links": [{"href": link, "rel": "self", "method": "GET"}]}, {}

    # -- webhooks -----------------------------------------------------------------------------

    def signed(self, event: Event, *, at: datetime | None = None) -> tuple[bytes, dict[str, str]]:
        """The event's body and the headers that prove it."""
        body = json.dumps(event.body(self.base)).encode()
        headers = self.signing.headers(
            body,
            webhook_id=self.webhook_id,
            cert_url=self.base + _CERTIFICATE,
            at=at or datetime.now(UTC),
            transmission_id=secrets.token_hex(16),
        )
        return body, headers

    def _verify(self, asked: dict[str, Any]) -> dict[str, str]:
        # As PayPal does it, the event is written anew: a signature over other bytes fails.
        body = json.dumps(asked.get("webhook_event")).encode()
        right = self.signing.headers(
            body,
            webhook_id=str(asked.get("webhook_id")),
            cert_url=str(asked.get("cert_url")),
            at=datetime.fromisoformat(str(asked.get("transmission_time")).replace("Z", "+00:00")),
            transmission_id=str(asked.get("transmission_id")),
        )
        same = right["paypal-transmission-sig"] == asked.get("transmission_sig")
        is_ours = same and asked.get("webhook_id") == self.webhook_id
        return {"verification_status": "SUCCESS" if is_ours else "FAILURE"}

    def deliver(self, client_id: str, *, duplicates: int = 0, shuffled: bool = False) -> int:
        """Send every event so far to the target; how many deliveries were made."""
        events = [each for each in self.merchant(client_id).events for _ in range(1 + duplicates)]
        if shuffled:
            self.random.shuffle(events)
        for event in events:
            body, headers = self.signed(event)
            request = urllib.request.Request(self.target, data=body, headers=headers)
            with urllib.request.urlopen(request, timeout=60) as answer:
                answer.read()
        return len(events)

    # -- the buyer's page ---------------------------------------------------------------------

    def page(self, path: str, query: dict[str, str]) -> Answer:
        """The page on which the buyer approves or cancels."""
        token = query.get("token") or query.get("approval_session_id", "")
        found = self._waiting(token)
        if found is None:
            return 404, b"<!doctype html><title>Not found</title>", {}
        words = html.escape(urlencode(query))
        text = "<!doctype html><title>PayPal</title>" + "".join(
            f'<form method="post" action="{path}/{verb}?{words}"><button>{verb}</button></form>'
            for verb in ("agree", "cancel")
        )
        return 200, text.encode(), {"content-type": "text/html"}

    def decide(self, path: str, query: dict[str, str]) -> Answer:
        """The buyer's answer, and the way back."""
        token = query.get("token") or query.get("approval_session_id", "")
        found = self._waiting(token)
        if found is None:
            return 404, b"", {}
        merchant, context = found
        if path.endswith("/agree"):
            if token in merchant.setups:
                merchant.setups[token].status = "APPROVED"
            else:
                self.steps.approve(merchant, token, query.get("with", ""))
        back = context.get("return_url" if path.endswith("/agree") else "cancel_url", self.base)
        return 302, b"", {"location": f"{back}?{urlencode({'token': token})}"}

    def _waiting(self, token: str) -> tuple[Merchant, dict[str, Any]] | None:
        for merchant in self.merchants.values():
            if token in merchant.setups:
                return merchant, merchant.setups[token].context
            if token in merchant.orders:
                source = merchant.orders[token].source.get("paypal") or {}
                return merchant, source.get("experience_context") or {}
        return None

    # -- behind the counter -------------------------------------------------------------------

    def admin(self, path: str, asked: dict[str, Any]) -> Any:
        """What tests ask for."""
        merchant = self.merchant(asked.get("client_id", ""))
        self.steps.settle(merchant)
        if path == "/set":
            return self._set(asked)
        if path == "/sums":
            return merchant.sums()
        if path == "/seen":
            return self.seen
        if path == "/met":
            return dict(self.faults.met)
        if path == "/order":
            return merchant.show_order(merchant.orders[asked["id"]])
        if path == "/approve":
            self.steps.approve(merchant, asked["id"], asked.get("with", ""))
        if path == "/forget":
            del merchant.orders[asked["id"]]
        if path == "/dispute":
            return self.steps.open_dispute(merchant, asked["id"])
        if path == "/resolve":
            moved = {"status": asked["status"], "outcome": asked.get("outcome", "")}
            return self.steps.move_dispute(merchant, asked["id"], **moved)
        if path == "/deliver":
            more = {"duplicates": asked.get("duplicates", 0), "shuffled": bool(asked.get("mix"))}
            return self.deliver(merchant.client_id, **more)
        if path == "/events":
            return [self._spelled(event, asked) for event in merchant.events]
        return {}

    def _spelled(self, event: Event, asked: dict[str, Any]) -> dict[str, Any]:
        at = datetime.fromisoformat(asked["at"]) if "at" in asked else None
        body, headers = self.signed(event, at=at)
        return {"kind": event.kind, "body": body.decode(), "headers": headers}

    def _set(self, asked: dict[str, Any]) -> dict[str, Any]:
        for name in ("token_s", "slow_s", "target"):
            if name in asked:
                setattr(self, name, asked[name])
        for name in ("strict_honor", "strict_patch", "pending_s"):
            if name in asked:
                setattr(self.steps, name, asked[name])
        if "advance_s" in asked:
            self.shift += timedelta(seconds=asked["advance_s"])
        if "age" in asked:
            self._age(self.merchant(asked["client_id"]), timedelta(days=asked["age"]))
        if "faults" in asked:
            self.faults = Faults(**asked["faults"])
        if asked.get("revoke"):
            self.tokens.clear()
        return {
            "root": self.authority.root_pem.decode(),
            "chain": self.signing.chain.decode(),
            "webhook_id": self.webhook_id,
            "tokens_given": self.tokens_given,
        }

    def _age(self, merchant: Merchant, by: timedelta) -> None:
        """Every hold was made so much earlier."""
        for order in merchant.orders.values():
            for hold in order.holds:
                hold.at, hold.ends = hold.at - by, hold.ends - by


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    paypal: Server

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def log_message(self, *rest: Any) -> None:
        """Silent."""

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            status, body, more = self._answer(raw, headers)
        except Problem as problem:
            status, body, more = problem.status, problem.body(), {}
        except Dropped:
            self.close_connection = True
            return
        except (KeyError, TypeError, AttributeError, ValueError):
            status, body, more = 400, bad("MALFORMED_REQUEST_JSON").body(), {}
        content = body if isinstance(body, bytes) else b"" if body is None else _spell(body)
        kind = more.pop("content-type", "application/json")
        lines = [f"HTTP/1.1 {status} Said", f"content-type: {kind}"]
        lines += [f"{name}: {value}" for name, value in more.items()]
        lines += [f"content-length: {len(content)}", "", ""]
        self.wfile.write("\r\n".join(lines).encode() + content)

    def _answer(self, raw: bytes, headers: dict[str, str]) -> Answer:
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        path, paypal = address.path, self.paypal
        if path.startswith("/_fake/"):
            with paypal.lock:
                return 200, paypal.admin(path.removeprefix("/_fake"), _json(raw) if raw else {}), {}
        if path.startswith(("/checkoutnow", "/agreements/approve")):
            with paypal.lock:
                do = paypal.page if self.command == "GET" else paypal.decide
                return do(path, query)
        return paypal.answer(self.command, path, headers, raw)


def serve(port: int) -> ThreadingHTTPServer:
    """A server on this machine, not yet running; port 0 takes any."""
    listening = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    listening.daemon_threads = True
    _Handler.paypal = Server(f"http://127.0.0.1:{listening.server_address[1]}")
    return listening


def _spell(body: Any) -> bytes:
    return json.dumps(body).encode()


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw or b"{}")
    except ValueError:
        raise bad("MALFORMED_REQUEST_JSON") from None


def _basic(headers: dict[str, str]) -> str:
    given = headers.get("authorization", "").removeprefix("Basic ")
    return base64.b64decode(given).decode()


def _mocked(headers: dict[str, str]) -> str:
    """PayPal's negative testing: the issue that the caller asks for."""
    given = headers.get("paypal-mock-response", "")
    return str(json.loads(given).get("mock_application_codes", "")) if given else ""


def _minimal(shown: dict[str, Any]) -> dict[str, Any]:
    return {name: shown[name] for name in ("id", "status", "links") if name in shown}
