"""Who sends an order off, and who takes in what the bank answers?

The one place where the books, the files and a rail meet. What blocks runs in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

import msgspec
from payengine.plugin import Call, NotSent, secret_fields

from payengine_bank_transfer import references
from payengine_bank_transfer.books import Books, instant_of, order_day
from payengine_bank_transfer.courier import deliver
from payengine_bank_transfer.ibans import check_iban
from payengine_bank_transfer.intake import Taken, summed, take_in
from payengine_bank_transfer.pain import (
    Order,
    OrderRefused,
    Party,
    write_debits,
    write_transfers,
)
from payengine_bank_transfer.rails import FolderRail, HttpRail, Rail
from payengine_bank_transfer.records import File, Operation, Refused
from payengine_bank_transfer.settings import BankTransferSettings, settings_of
from payengine_bank_transfer.simulated import SimulatedRail
from payengine_bank_transfer.statements import Document, read_document
from payengine_bank_transfer.store import Store, now_us, store_path
from payengine_bank_transfer.xmltree import DocumentRefused

__all__ = ["Desk", "file_of", "party_of", "profile_of"]

P = ParamSpec("P")
T = TypeVar("T")

_FETCH_EVERY_S = 1.0
_RAILS: dict[str, Callable[[], Rail]] = {
    "folder": FolderRail,
    "http": HttpRail,
    "simulated": SimulatedRail,
}
_SECRETS = secret_fields(BankTransferSettings)


def party_of(settings: BankTransferSettings) -> Party:
    """The tenant's own account, as files name it."""
    return Party(
        holder=settings.holder,
        iban=settings.iban.replace(" ", "").upper(),
        bic=settings.bic,
        creditor_id=settings.creditor_id,
        local_instrument=settings.local_instrument,
    )


def profile_of(settings: BankTransferSettings) -> bytes:
    """What a command needs to know of the account, without its secrets."""
    plain = msgspec.to_builtins(settings)
    return msgspec.json.encode({k: v for k, v in plain.items() if k not in _SECRETS})


def file_of(
    operations: Sequence[Operation],
    settings: BankTransferSettings,
    *,
    message_id: str,
    created_us: int,
) -> bytes:
    """The file that carries these orders; the same orders always make the same bytes.

    Raises `OrderRefused`.
    """
    orders = [
        Order(
            end_to_end_id=one.reference,
            minor=one.amount_minor,
            currency="EUR",
            iban=one.iban,
            name=one.name,
            text=one.text or one.reference,
            day=one.day,
            mandate_id=one.mandate_id,
            signed_on=one.signed_on,
            sequence=one.sequence,
        )
        for one in operations
    ]
    write = write_debits if operations[0].method == "sepa_debit" else write_transfers
    created = instant_of(created_us).strftime("%Y-%m-%dT%H:%M:%S")
    return write(party_of(settings), orders, message_id=message_id, created_at=created)


class Desk:
    """The books of this process, opened when they are first needed, and the rails."""

    def __init__(self, *, path: Path | None = None) -> None:
        """`path` is the books' file; without it the environment says, at each call."""
        self._path = path
        self._books: dict[str, Books] = {}
        self._opening = threading.Lock()
        self._rails: dict[str, Rail] = {}
        self._fetched: dict[str, float] = {}
        self._telling: dict[str, asyncio.Task[tuple[int, int]]] = {}

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run what blocks in a thread."""
        return await asyncio.to_thread(work, *args, **kwargs)

    def books(self) -> Books:
        """The books; blocks while the file is opened."""
        path = self._path or store_path()
        with self._opening:
            if str(path) not in self._books:
                self._books[str(path)] = Books(Store(path))
            return self._books[str(path)]

    def rail(self, call: Call) -> Rail:
        """The rail that the settings name; raises `NotSent` where it may not be used."""
        name = settings_of(call).rail
        if name == "simulated" and call.mode == "live":
            raise NotSent("the simulated bank is for test worlds")
        if name not in self._rails:
            self._rails[name] = _RAILS[name]()
        return self._rails[name]

    async def remember(self, call: Call) -> None:
        """Note the account's settings for the commands; raises `NotSent` where none are set."""
        settings = settings_of(call)
        if not settings.holder:
            raise NotSent("the account's holder is not set")
        try:
            await self.run(check_iban, settings.iban)
        except ValueError as refused:
            raise NotSent(f"the account's own IBAN: {refused}") from None
        books = await self.run(self.books)
        await self.run(books.store.save_profile, call.account, profile_of(settings))
        self.tell(call)

    async def send(self, call: Call, operation: Operation) -> Operation:
        """Send an order off, where its rail sends at once; the same MsgId each time.

        Raises `Refused` and `NotSent` where the bank took nothing this time; only the first time
        is that the order's end. Anything else means that it is unknown: then `submitted` is not
        noted, and the next look sends the same file again.
        """
        rail = self.rail(call)
        if operation.status != "ordered" or not rail.at_once:
            return operation
        books = await self.run(self.books)
        account, settings = call.account, settings_of(call)
        is_first = not operation.message_id
        if is_first:
            name = references.message_id(account=account, key=operation.key)
            day = order_day(operation, settings, at_us=now_us())
            await self.run(books.assign_file, account, [operation], name, day=day)
        now = await self.run(books.store.by_reference, account, operation.reference)
        if now is None or now.status != "ordered":
            return now or operation
        try:
            content = await self.run(
                file_of, [now], settings, message_id=now.message_id, created_us=now.created_us
            )
            answers = await rail.submit(call, now.message_id, content)
        except OrderRefused:
            # The same orders always make the same file: no bank was ever sent one.
            await self.run(books.refuse, account, now.reference, "order_refused")
            raise Refused("order_refused") from None
        except (NotSent, Refused):
            if is_first:
                await self.run(books.refuse, account, now.reference, "bank_refused")
            raise
        await self.run(books.submitted, account, now.message_id)
        await self.take(call, answers)
        return await self.run(books.store.by_reference, account, now.reference) or now

    async def pay_as_simulated(self, call: Call, operation: Operation, token: str) -> Operation:
        """Let the simulated buyer pay, in a test world on the simulated rail."""
        rail = self.rail(call)
        if not isinstance(rail, SimulatedRail) or not token.startswith("simulated:"):
            return operation
        books = await self.run(self.books)
        scenario = msgspec.structs.replace(operation, text=token)
        await self.take(call, rail.transfer(call, scenario))
        found = await self.run(books.store.by_reference, call.account, operation.reference)
        return found or operation

    async def collect(self, call: Call) -> None:
        """Take in what the bank has for us; at most once a second for an account."""
        rail = self.rail(call)
        now = time.monotonic()
        wait_s = 0.0 if isinstance(rail, SimulatedRail) else _FETCH_EVERY_S
        if now - self._fetched.get(call.account, -_FETCH_EVERY_S) < wait_s:
            return
        self._fetched[call.account] = now
        if isinstance(rail, FolderRail):
            await self.run(self.take_inbox, call.account, settings_of(call), rail)
        else:
            await self.take(call, await rail.fetch(call))
        self.tell(call)

    def forget_pauses(self) -> None:
        """Let the next look ask the bank, however lately it was asked."""
        self._fetched.clear()

    async def take(self, call: Call, contents: Sequence[bytes]) -> Taken:
        """Take documents in; what cannot be read is left out."""
        documents: list[Document] = []
        for content in contents:
            with contextlib.suppress(DocumentRefused):
                documents.append(await self.run(read_document, content))
        taken = [
            await self.run(self.take_document, call.account, settings_of(call), one)
            for one in documents
        ]
        return summed(taken)

    def take_document(
        self, account: str, settings: BankTransferSettings, document: Document
    ) -> Taken:
        """Take one document in; blocks."""
        return take_in(
            self.books().store,
            account,
            document,
            iban=party_of(settings).iban,
            tolerance=settings.tolerance_minor,
            at_us=now_us(),
        )

    def take_inbox(self, account: str, settings: BankTransferSettings, rail: FolderRail) -> Taken:
        """Take in what lies in the account's inbox; each file is then moved away. Blocks."""
        taken: list[Taken] = []
        for path, content in list(rail.read(account)):
            try:
                taken.append(self.take_document(account, settings, read_document(content)))
                is_read = True
            except DocumentRefused:
                is_read = False
            with contextlib.suppress(FileNotFoundError):
                rail.settle(path, is_read=is_read)
        return summed(taken)

    def export(self, account: str, settings: BankTransferSettings, *, at_us: int) -> list[Path]:
        """Write what waits into files in the outbox; done again it writes nothing twice. Blocks.

        One file for each kind, sequence type and day. A file whose writing was cut short is
        written again with the same bytes.
        """
        books, rail = self.books(), FolderRail()
        waiting = books.store.in_status(account, "ordered", limit=10_000)
        groups: dict[tuple[str, str, str], list[Operation]] = {}
        for one in waiting:
            if not one.message_id:
                day = order_day(one, settings, at_us=at_us)
                groups.setdefault((one.method, one.sequence, day), []).append(one)
        for (method, _, day), found in sorted(groups.items()):
            name = references.batch_id(account=account, keys=[one.key for one in found])
            with books.store.transaction():
                taken = books.assign_file(account, found, name, day=day)
                file = File(
                    account=account,
                    message_id=name,
                    kind="debits" if method == "sepa_debit" else "transfers",
                    created_us=at_us,
                )
                if taken:
                    books.store.insert_file(file)
        return [
            self._write(account, settings, file, rail, at_us=at_us)
            for file in books.store.unsent_files(account)
        ]

    def _write(
        self,
        account: str,
        settings: BankTransferSettings,
        file: File,
        rail: FolderRail,
        *,
        at_us: int,
    ) -> Path:
        books = self.books()
        operations = books.store.of_file(account, file.message_id)
        content = file_of(
            operations, settings, message_id=file.message_id, created_us=file.created_us
        )
        path = rail.write(account, file.message_id, content)
        books.submitted(account, file.message_id)
        books.store.mark_sent(account, file.message_id, at_us=at_us)
        return path

    def tell(self, call: Call) -> None:
        """Begin to tell the engine what it was not told yet, one round for an account at a time."""
        settings = settings_of(call)
        running = self._telling.get(call.account)
        if not settings.webhook_url or not settings.webhook_secret:
            return
        if running is not None and not running.done():
            return
        task = asyncio.get_running_loop().create_task(self._tell(call.account, settings))
        self._telling[call.account] = task

    async def _tell(self, account: str, settings: BankTransferSettings) -> tuple[int, int]:
        books = await self.run(self.books)
        path, secret = settings.webhook_url, settings.webhook_secret
        return await deliver(books.store, account, path=path, secret=secret)

    async def aclose(self) -> None:
        """Close the books and the rails; the next call opens them again."""
        tasks, self._telling = list(self._telling.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        rails, self._rails = list(self._rails.values()), {}
        for rail in rails:
            await rail.aclose()
        books, self._books = list(self._books.values()), {}
        for one in books:
            one.store.close()
