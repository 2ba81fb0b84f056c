"""Which bank do these tests speak to? mock-bank, served from a thread of this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from mockbank.server import Config, make_server
from payengine.plugin import Amount, Authorize, Call, PaymentMethod
from payengine_bank_transfer.settings import BankTransferSettings

__all__ = [
    "DEBTOR_IBAN",
    "ELSEWHERE_IBAN",
    "OUR_IBAN",
    "SECRET",
    "Bank",
    "frame",
    "mandate",
    "open_bank",
    "payment",
    "settings_at",
]

#: A Monday at nine.
STARTS = "2026-11-23T09:00"
OUR_IBAN = "NL41MOCK0000000001"
DEBTOR_IBAN = "NL14MOCK0000000002"
#: At another bank, which may say no later.
ELSEWHERE_IBAN = "DE89370400440532013000"
SECRET = "whsec_dGVzdC1iYW5rLXNlY3JldA=="
HOSTS_VARIABLE = "PAYENGINE_BANK_HOSTS"


class Bank:
    """The mock bank and the levers that its tests pull."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request to the bank's own controls."""
        answer = httpx.request(method, self.url + path, json=body, trust_env=False)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def advance(self, days: int) -> None:
        """Let days pass at the bank."""
        self.ask("POST", f"/_mock/advance?days={days}")

    def behave(self, account: str, **changes: Any) -> None:
        """Change an account at the bank."""
        self.ask("PATCH", f"/_mock/accounts/{account}", changes)

    def credit(self, minor: int, note: str = "", **more: Any) -> None:
        """Let a customer transfer to us."""
        debtor = {"name": "Ada Lovelace", "iban": DEBTOR_IBAN}
        body = {"account": "ACME", "amount": minor, "debtor": debtor} | more
        self.ask("POST", "/_mock/credits", body | ({"note": note} if note else {}))

    def refuse(self, end_to_end_id: str, reason: str) -> None:
        """The debtor's bank sends a collection back."""
        self.ask("POST", f"/_mock/collections/{end_to_end_id}/refuse", {"reason": reason})

    def messages(self) -> list[dict[str, Any]]:
        """Everything the bank has to tell."""
        found: list[dict[str, Any]] = self.ask("GET", "/_mock/mailbox?leave")
        return found

    def collections(self) -> list[dict[str, Any]]:
        """Every collection the bank decided on."""
        found: list[dict[str, Any]] = self.ask("GET", "/_mock/collections")
        return found

    def payments(self) -> list[dict[str, Any]]:
        """Every payment the bank decided on."""
        found: list[dict[str, Any]] = self.ask("GET", "/_mock/payments")
        return found

    def save_messages(self, folder: Path) -> list[Path]:
        """The bank's files, as it would put them into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for one in self.messages():
            path = folder / f"{one['type']}-{one['id']}.xml"
            path.write_text(one["body"])
            paths.append(path)
        return paths


@contextmanager
def open_bank(**config: Any) -> Iterator[Bank]:
    """A bank of its own, which the operator allows."""
    server = make_server(Config(port=0, quiet=True, clock=STARTS, **config))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    host = f"127.0.0.1:{server.server_address[1]}"
    before = os.environ.get(HOSTS_VARIABLE)
    os.environ[HOSTS_VARIABLE] = host
    try:
        yield Bank(f"http://{host}")
    finally:
        os.environ.pop(HOSTS_VARIABLE)
        if before is not None:
            os.environ[HOSTS_VARIABLE] = before
        server.shutdown()
        server.server_close()
        thread.join()


def settings_at(bank: Bank | None = None, **more: Any) -> BankTransferSettings:
    """Our account; on the bank's API where there is a bank, else in a folder."""
    given: dict[str, Any] = {
        "holder": "ACME Corporation",
        "iban": OUR_IBAN,
        "bic": "MOCKNL2A",
        "creditor_id": "NL98ZZZ999999999999",
        "webhook_secret": SECRET,
        "notice_days": 1,
    }
    if bank is not None:
        given |= {"rail": "http", "bank_url": bank.url, "messages_path": "/_mock/mailbox?leave"}
    return BankTransferSettings(**(given | more))


def frame(bank: Bank | None = None, *, account: str = "acct_1", **more: Any) -> Call:
    """The frame of a call."""
    return Call(account=account, settings=settings_at(bank, **more), deadline_ms=5_000)


def mandate(name: str = "M-1", *, iban: str = DEBTOR_IBAN, kind: str = "RCUR") -> str:
    """A mandate as a token."""
    return f"iban={iban};name=Ada Lovelace;mandate={name};signed=2026-01-31;type={kind}"


def payment(
    key: str, minor: int = 1_200, token: str | None = None, *, currency: str = "EUR", **more: Any
) -> Authorize:
    """A buyer's transfer, or a debit where `token` is a mandate."""
    kind = "bank_transfer" if token is None else "sepa_debit"
    method = PaymentMethod(token=token or "bank_transfer", kind=kind)
    fields: dict[str, Any] = {"capture": True, "payment_id": "pay_1"} | more
    return Authorize(key=key, amount=Amount(minor, currency), payment_method=method, **fields)
