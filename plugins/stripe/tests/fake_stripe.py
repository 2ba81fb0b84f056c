"""What if Stripe stood on this machine?

A server process that answers Stripe's API as its documentation and its published example objects
say: PaymentIntents, SetupIntents, PaymentMethods, customers, charges, refunds, disputes, files,
transfers, balance transactions and events, with idempotency keys, test payment methods, a page for
3-D Secure, signed webhooks, and faults on command. Each API key is an account of its own; one that
contains `flexible` has multicapture and increments. `python fake_stripe.py --port 0` prints its
address.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import json
import sys
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlencode

import fake_stripe_keeping as keeping
import fake_stripe_payments as payments
import fake_stripe_transfers as transfers
from fake_stripe_books import Books, Object, Problem, invalid
from fake_stripe_faults import Faults
from fake_stripe_http import Answer, Hang, Request, Reset, form, serve
from fake_stripe_webhooks import Courier, Endpoint

#: The field of the metadata that makes one payment meet a fault each time, whatever the dice say.
MAGIC_FAULT = "fake_fault"

#: A connected account; the answer to a transfer there is lost.
LOSES = "acct_fake_loses"

_KEPT_S = 24 * 3_600
_LATENCY_S = 0.003
_MOST_SEEN = 500


#: POST: the path, of which one part may be an id (`*`) → what is done.
_WRITES: dict[str, Callable[[Books, str, Object], Object]] = {
    "customers": lambda books, _, params: keeping.create_customer(books, params),
    "disputes/*": payments.update_dispute,
    "disputes/*/close": lambda books, name, _: payments.close_dispute(books, name),
    "payment_intents": lambda books, _, params: payments.create_intent(books, params),
    "payment_intents/*/cancel": payments.cancel,
    "payment_intents/*/capture": payments.capture,
    "payment_intents/*/increment_authorization": payments.increment,
    "payment_methods": lambda books, _, params: keeping.create_method(books, params),
    "payment_methods/*/attach": keeping.attach,
    "payment_methods/*/detach": lambda books, name, _: keeping.detach(books, name),
    "refunds": lambda books, _, params: payments.create_refund(books, params),
    "setup_intents": lambda books, _, params: keeping.create_setup(books, params),
    "transfers": lambda books, _, params: transfers.create_transfer(books, params),
    "transfers/*/reversals": transfers.reverse,
}

#: GET: the first part of the path → the kind of object and which parameters filter its list.
_READS: dict[str, tuple[str, tuple[str, ...]]] = {
    "balance_transactions": ("balance_transaction", ("source", "type")),
    "charges": ("charge", ("payment_intent", "customer")),
    "customers": ("customer", ("email",)),
    "disputes": ("dispute", ("charge", "payment_intent")),
    "events": ("event", ("type",)),
    "payment_intents": ("payment_intent", ("customer",)),
    "payment_methods": ("payment_method", ("customer", "type")),
    "refunds": ("refund", ("charge", "payment_intent")),
    "setup_intents": ("setup_intent", ("customer", "payment_method")),
    "transfers": ("transfer", ("destination", "transfer_group")),
}

_ERROR_500 = {"type": "api_error", "message": "An unknown error occurred."}


@dataclass
class Kept:
    """What was answered to an idempotency key; None while it is under way."""

    request: str
    at: float = field(default_factory=time.time)
    answer: tuple[int, Object] | None = None


class Fake:
    """Every account, its keys, its faults and its endpoint."""

    def __init__(self) -> None:
        self.url = ""
        self.accounts: dict[str, Books] = {}
        self.faults: dict[str, Faults] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.keys: dict[tuple[str, str], Kept] = {}
        self.tries: Counter[str] = Counter()
        self.struck: dict[str, Counter[str]] = defaultdict(Counter)
        self.seen: dict[str, deque[dict[str, str]]] = defaultdict(lambda: deque(maxlen=_MOST_SEEN))
        self.courier = Courier()

    async def answer(self, request: Request) -> Answer:
        """Answer one request; raises `Reset` and `Hang` where a fault says so."""
        if request.path.startswith("/3ds/"):
            return self._page(request)
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if request.path.startswith("/fake/"):
            return self._control(request, key)
        self.seen[key].append({"method": request.method, "path": request.path, **request.headers})
        if not key.startswith(("sk_", "rk_")):
            error = {"type": "invalid_request_error", "message": "Invalid API Key provided."}
            return Answer(401, {"error": error})
        books = self.books(key)
        books.settle(time.time())
        try:
            if request.method == "GET":
                return await self._read(books, key, request)
            return await self._write(books, key, request)
        except Problem as problem:
            return Answer(problem.status, {"error": problem.error})

    def books(self, key: str) -> Books:
        """The account of an API key."""
        if key not in self.accounts:
            self.accounts[key] = Books(
                live="_live_" in key,
                flexible="flexible" in key,
                url=self.url,
                tell=lambda event: self._tell(key, event),
            )
        return self.accounts[key]

    def _tell(self, key: str, event: Object) -> None:
        endpoint = self.endpoints.get(key)
        if endpoint is not None:
            self.courier.send(endpoint, event)

    async def _read(self, books: Books, key: str, request: Request) -> Answer:
        fault = self._strike(key, f"{request.path}?{request.query}", writes=False)
        await self._before(fault)
        params = form(request.query)
        parts = request.path.removeprefix("/v1/").split("/")
        if parts[0] not in _READS or len(parts) > 2:
            invalid(f"Unrecognized request URL (GET: {request.path}).", status=404)
        kind, keep = _READS[parts[0]]
        found = (
            books.find(kind, parts[1])
            if len(parts) == 2
            else books.page(kind, request.path, params, keep)
        )
        answer = Answer(200, books.shown(found, params.get("expand")))
        await self._after(fault)
        return answer

    async def _write(self, books: Books, key: str, request: Request) -> Answer:
        idempotency_key = request.headers.get("idempotency-key")
        if not idempotency_key:
            return await self._carry_out(books, key, request, None)
        said = f"{request.path}?{self._parameters(request)}"
        name = (key, idempotency_key)
        known = self.keys.get(name)
        if known is not None and known.at < time.time() - _KEPT_S:
            known = None
        if known is not None and known.request != said:
            raise Problem(
                400,
                "idempotency_error",
                "Keys for idempotent requests can only be used with the same parameters they were"
                " first used with.",
            )
        if known is not None and known.answer is None:
            raise Problem(
                409,
                "idempotency_error",
                "There is currently another in-progress request using this key.",
                code="idempotency_key_in_use",
            )
        if known is not None and known.answer is not None:
            fault = self._strike(key, idempotency_key, writes=True)
            await self._before(fault)
            await self._after(fault)
            status, body = known.answer
            return Answer(status, body, headers={"Idempotent-Replayed": "true"})
        kept = self.keys[name] = Kept(said)
        try:
            return await self._carry_out(books, key, request, kept)
        finally:
            if kept.answer is None and self.keys.get(name) is kept:
                del self.keys[name]  # nothing was begun: the key is free

    async def _carry_out(
        self, books: Books, key: str, request: Request, kept: Kept | None
    ) -> Answer:
        params = {} if _is_upload(request) else form(request.body.decode())
        name = request.headers.get("idempotency-key") or request.path
        magic = (params.get("metadata") or {}).get(MAGIC_FAULT)
        if str(params.get("destination")) == LOSES:
            magic = "reset_after"
        fault = magic or self._strike(key, name, writes=True)
        await asyncio.sleep(_LATENCY_S)
        await self._before(fault)
        if fault == "kept_500":
            if kept is not None:
                kept.answer = (500, {"error": _ERROR_500})
            return Answer(500, {"error": _ERROR_500})
        books.key = request.headers.get("idempotency-key")
        try:
            done = self._act(books, request, params)
            status, body = 200, books.shown(done, params.get("expand"))
        except Problem as problem:
            if problem.status != 402 and "charge" not in problem.error:
                raise  # refused before anything was begun: not kept
            status, body = problem.status, {"error": problem.error}
        if kept is not None:
            kept.answer = (status, body)
        await self._after(fault)
        return Answer(status, body)

    def _act(self, books: Books, request: Request, params: Object) -> Object:
        parts = request.path.removeprefix("/v1/").split("/")
        if parts == ["files"]:
            return keeping.upload(books, **_uploaded(request))
        name = parts[1] if len(parts) > 1 else ""
        pattern = "/".join([parts[0], *(["*"] if name else []), *parts[2:]])
        if pattern not in _WRITES:
            invalid(f"Unrecognized request URL (POST: {request.path}).", status=404)
        return _WRITES[pattern](books, name, params)

    @staticmethod
    def _parameters(request: Request) -> str:
        if _is_upload(request):
            return json.dumps(_uploaded(request))
        return json.dumps(form(request.body.decode()), sort_keys=True)

    def _strike(self, key: str, name: str, *, writes: bool) -> str | None:
        faults = self.faults.get(key)
        if faults is None:
            return None
        asked = f"{key}\x1f{name}"
        self.tries[asked] += 1
        fault = faults.strike(name=name, attempt=self.tries[asked], writes=writes)
        if fault is not None:
            self.struck[key][fault] += 1
        return fault

    async def _before(self, fault: str | None) -> None:
        if fault == "rate_limit":
            raise Problem(
                429, "invalid_request_error", "Request rate limit exceeded.", code="rate_limit"
            )
        if fault == "error_before":
            raise Problem(503, "api_error", "Stripe is not available.")
        if fault == "reset_before":
            raise Reset
        if fault == "hang_before":
            raise Hang

    async def _after(self, fault: str | None) -> None:
        if fault == "error_after":
            raise Problem(500, "api_error", "An unknown error occurred.")
        if fault == "reset_after":
            raise Reset
        if fault == "hang_after":
            raise Hang

    def _page(self, request: Request) -> Answer:
        """The bank's page: the buyer approves or fails, and is sent back to the shop."""
        _, name, *choice = request.path.strip("/").split("/")
        books = next((one for one in self.accounts.values() if name in one.objects), None)
        if books is None:
            return Answer(404, "There is nothing to approve.", kind="text/plain")
        asked = books.objects[name]
        if request.method == "GET":
            return Answer(200, _three_d_secure(asked), kind="text/html; charset=utf-8")
        back = (asked["next_action"] or {}).get("redirect_to_url", {}).get("return_url")
        passed = choice == ["approve"]
        setup = asked["object"] == "setup_intent"
        answer = keeping.answer_setup if setup else payments.answer_challenge
        answer(books, name, passed=passed)
        if not back:
            return Answer(200, "Go back to the shop.", kind="text/plain")
        said = {asked["object"]: name, "redirect_status": "succeeded" if passed else "failed"}
        join = "&" if "?" in back else "?"
        return Answer(
            303, "", kind="text/plain", headers={"Location": f"{back}{join}{urlencode(said)}"}
        )

    def _control(self, request: Request, key: str) -> Answer:
        """The tests' own door: faults, the endpoint, a dispute, what stands in the books."""
        what = request.path.removeprefix("/fake/")
        given: Any = json.loads(request.body) if request.body else {}
        if what == "faults":
            self.faults[key] = Faults(**given)
        elif what == "endpoint":
            self.endpoints[key] = Endpoint(**{**given, "secrets": tuple(given["secrets"])})
        elif what == "forget_keys":
            self.keys.clear()
        elif what == "books":
            kinds = self.books(key).kinds
            return Answer(200, {kind: list(every.values()) for kind, every in kinds.items()})
        elif what == "state":
            faults = self.faults.get(key)
            return Answer(
                200,
                {
                    "struck": self.struck[key],
                    "seen": list(self.seen[key]),
                    "waiting": self.courier.waiting,
                    "delivered": self.courier.delivered,
                    "faults": asdict(faults) if faults else None,
                },
            )
        else:
            return Answer(404, {"error": {"message": what}})
        return Answer(200, {})


def _is_upload(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("multipart/form-data")


def _uploaded(request: Request) -> dict[str, Any]:
    """What a multipart body says of the file in it."""
    boundary = request.headers["content-type"].partition("boundary=")[2].encode()
    found: dict[str, Any] = {"purpose": "", "name": "", "size": 0}
    for part in request.body.split(b"--" + boundary)[1:-1]:
        head, _, content = part.strip(b"\r\n").partition(b"\r\n\r\n")
        said = head.decode("latin-1")
        if 'name="purpose"' in said:
            found["purpose"] = content.decode()
        if "filename=" in said:
            found["name"] = said.partition('filename="')[2].partition('"')[0]
            found["size"] = len(content)
    return found


def _three_d_secure(asked: Object) -> str:
    name = html.escape(asked["id"])
    amount = (
        f"{asked['amount']} {asked['currency'].upper()}" if "amount" in asked else "nothing yet"
    )
    return (
        "<!doctype html><html lang=en><title>3-D Secure</title>"
        f"<h1>Approve this payment?</h1><p>{html.escape(amount)}</p>"
        f"<form method=post action='/3ds/{name}/approve'><button>Approve</button></form>"
        f"<form method=post action='/3ds/{name}/fail'><button>Fail</button></form></html>"
    )


async def run(host: str, port: int) -> None:
    """Serve until the process is ended."""
    fake = Fake()
    server = await serve(fake.answer, host=host, port=port)
    fake.url = f"http://{host}:{server.sockets[0].getsockname()[1]}"
    sys.stdout.write(f"ready {fake.url}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--port", type=int, default=0)
    chosen = arguments.parse_args()
    asyncio.run(run(chosen.host, chosen.port))
