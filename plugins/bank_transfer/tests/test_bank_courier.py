"""Is the engine told everything, by calls that prove themselves, until it has taken them?"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from fake_bank import ELSEWHERE_IBAN, SECRET, frame, mandate, open_bank, payment
from payengine.plugin import Call, Lookup, WebhookEvent, WebhookRequest
from payengine_bank_transfer.courier import deliver
from payengine_bank_transfer.desk import Desk
from payengine_bank_transfer.gateway import BankTransferGateway
from payengine_bank_transfer.samples import mandate_token, simulated_settings
from payengine_bank_transfer.store import Store


class Door(HTTPServer):
    """Keeps what it is told; answers with `status`, to a body with `refuses` in it with 400."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.refuses = b"nothing"
        self.calls: list[WebhookRequest] = []


class _Handler(BaseHTTPRequestHandler):
    server: Door

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = WebhookRequest(headers=headers, body=body, received_at=datetime.now(UTC))
        self.server.calls.append(call)
        self.send_response(400 if self.server.refuses in body else self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    opened = Door()
    thread = threading.Thread(target=opened.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("PAYENGINE_PUBLIC_URL", f"http://127.0.0.1:{opened.server_port}")
    yield opened
    opened.shutdown()
    opened.server_close()
    thread.join()


async def _booked(path: Path, *keys: str) -> tuple[Store, Call]:
    """Books in which each key has a booking that was not told."""
    gateway = BankTransferGateway(Desk(path=path))
    call = Call(account="acct_1", settings=simulated_settings(), deadline_ms=2_000)
    for key in keys:
        request = payment(key, 100, mandate_token("Ada Lovelace", mandate=f"M-{key}"))
        assert (await gateway.authorize(call, request)).status == "succeeded"
    return gateway.desk.books().store, call


async def test_what_was_told_proves_itself_and_is_not_told_again(
    tmp_path: Path, door: Door
) -> None:
    store, call = await _booked(tmp_path / "b.sqlite3", "k1", "k2")
    secret = simulated_settings().webhook_secret
    assert await deliver(store, "acct_1", path="/hook", secret=secret) == (2, 0)
    assert await deliver(store, "acct_1", path="/hook", secret=secret) == (0, 0)
    gateway = BankTransferGateway()
    keys = set()
    for one in door.calls:
        (event,) = gateway.parse_webhook(call, one)
        assert isinstance(event, WebhookEvent)
        keys.add(event.key)
    assert keys == {"k1", "k2"}


async def test_what_was_not_taken_waits(tmp_path: Path, door: Door) -> None:
    store, _ = await _booked(tmp_path / "b.sqlite3", "k1", "k2")
    door.status = 503
    assert await deliver(store, "acct_1", path="/hook", secret=SECRET) == (0, 2)
    assert len(door.calls) == 1
    door.status = 200
    assert await deliver(store, "acct_1", path="/hook", secret=SECRET) == (2, 0)


async def test_one_that_is_refused_does_not_hold_up_the_others(tmp_path: Path, door: Door) -> None:
    store, _ = await _booked(tmp_path / "b.sqlite3", "k1", "k2", "k3")
    door.refuses = b'"k1"'
    assert await deliver(store, "acct_1", path="/hook", secret=SECRET) == (2, 1)
    door.refuses = b"nothing"
    assert await deliver(store, "acct_1", path="/hook", secret=SECRET) == (1, 0)


async def test_without_an_address_or_a_secret_nothing_leaves(tmp_path: Path, door: Door) -> None:
    store, _ = await _booked(tmp_path / "b.sqlite3", "k1")
    assert await deliver(store, "acct_1", path="", secret=SECRET) == (0, 1)
    assert await deliver(store, "acct_1", path="/hook", secret="") == (0, 1)
    assert door.calls == []


async def test_a_bank_that_lets_nobody_in_was_told_nothing(tmp_path: Path) -> None:
    gateway = BankTransferGateway(Desk(path=tmp_path / "b.sqlite3"))
    request = payment("k1", 100, mandate(iban=ELSEWHERE_IBAN))
    with open_bank(auth="us:secret") as bank:
        refused = await gateway.authorize(frame(bank), request)
        assert (refused.status, refused.raw_status) == ("not_processed", "bank_refused")
        found = await gateway.lookup(
            frame(bank, bank_user="us", bank_password="secret"),
            Lookup(key="k1", kind="authorize"),
        )
        assert found.status == "not_processed"
        call = frame(bank, bank_user="us", bank_password="secret")
        assert (await gateway.authorize(call, request)).status == "pending"
    await gateway.aclose()
