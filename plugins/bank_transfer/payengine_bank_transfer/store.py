"""Where does the plugin keep its own books?

One SQLite file in WAL mode with `synchronous=FULL`: what was written survives the machine. Several
processes of one machine may open it. Every call blocks: it belongs into a thread. The file holds
the buyers' account numbers and is readable by its owner only.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from payengine_bank_transfer.mandates import Mandate
from payengine_bank_transfer.records import File, KeptLine, Notice, Operation

__all__ = ["Store", "now_us", "store_path"]

StructT = TypeVar("StructT", bound=msgspec.Struct)

_WAIT_S = 5.0


def store_path() -> Path:
    """The books' file: `bank_transfer.sqlite3` in the platform's data folder."""
    return Path(os.environ.get("PAYENGINE_HOME") or ".payengine", "bank_transfer.sqlite3")


def now_us() -> int:
    """Microseconds since 1970, in UTC."""
    return time.time_ns() // 1_000


def _columns(kind: type[msgspec.Struct]) -> str:
    return ", ".join(kind.__struct_fields__)


def _insert(table: str, kind: type[msgspec.Struct], *, more: tuple[str, ...] = ()) -> str:
    names = (*more, *kind.__struct_fields__)
    places = ", ".join("?" * len(names))
    return f"insert into {table} ({', '.join(names)}) values ({places}) on conflict do nothing"


_SCHEMA = f"""
create table if not exists operations (
    {_columns(Operation)},
    primary key (account, reference), unique (account, key)
) without rowid;
create index if not exists operations_open on operations (account, status);
create index if not exists operations_file on operations (account, message_id);
create index if not exists operations_parent on operations (account, parent);
create index if not exists operations_named on operations (reference);
create index if not exists operations_mandate on operations (account, mandate_id);
create table if not exists mandates (
    account, {_columns(Mandate)}, primary key (account, mandate_id)
) without rowid;
create table if not exists lines (
    {_columns(KeptLine)}, primary key (account, line_id)
) without rowid;
create index if not exists lines_rest on lines (account, taken_us)
    where rest_minor > 0 and direction = 'credit' and dismissed = '';
create index if not exists lines_named on lines (account, fingerprint);
create index if not exists lines_by_bank on lines (account, bank_ref) where bank_ref != '';
create table if not exists allocations (
    account, line_id, reference, minor, by_whom, at_us,
    primary key (account, line_id, reference)
) without rowid;
create index if not exists allocations_for on allocations (account, reference);
create table if not exists documents (
    account, digest, kind, message_id, taken_us, primary key (account, digest)
) without rowid;
create table if not exists files (
    {_columns(File)}, primary key (account, message_id)
) without rowid;
create table if not exists notices (
    {_columns(Notice)}, primary key (account, event_id)
) without rowid;
create index if not exists notices_waiting on notices (account, created_us)
    where told_us is null;
create table if not exists profiles (account primary key, settings) without rowid;
"""

_OPERATION = f"select {_columns(Operation)} from operations where account = ? and "
_LINE = f"select {_columns(KeptLine)} from lines where account = ? and "
_REWRITE = (
    "update operations set "
    + ", ".join(f"{name} = ?" for name in Operation.__struct_fields__)
    + " where account = ? and reference = ?"
)


class Store:
    """The statements over one file; `transaction` groups several of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._db = _open(path)

    def close(self) -> None:
        """Close the file; the store cannot be used afterwards."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the file's write lock around the block; an inner block belongs to the outer one."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._db.execute("rollback")
                raise
            self._db.execute("commit")

    def insert_operation(self, operation: Operation) -> bool:
        """Write a new operation; False where its key or its reference is taken."""
        return self._insert(_insert("operations", Operation), operation)

    def rewrite(self, operation: Operation) -> None:
        """Write the operation as it now is."""
        values = (*msgspec.structs.astuple(operation), operation.account, operation.reference)
        self._run(_REWRITE, values)

    def by_key(self, account: str, key: str) -> Operation | None:
        """The operation that was sent with `key`."""
        return self._one(Operation, _OPERATION + "key = ?", account, key)

    def by_reference(self, account: str, reference: str) -> Operation | None:
        """The operation that the engine knows by `reference`."""
        return self._one(Operation, _OPERATION + "reference = ?", account, reference)

    def anywhere(self, reference: str) -> Operation | None:
        """The operation of this reference, whosever it is: no two accounts have the same."""
        sql = f"select {_columns(Operation)} from operations where reference = ?"
        return self._one(Operation, sql, reference)

    def of_file(self, account: str, message_id: str) -> list[Operation]:
        """The operations that a file carried."""
        return self._all(Operation, _OPERATION + "message_id = ?", account, message_id)

    def of_parent(self, account: str, parent: str) -> list[Operation]:
        """The refunds of a payment."""
        return self._all(Operation, _OPERATION + "parent = ?", account, parent)

    def of_mandate(self, account: str, mandate_id: str) -> list[Operation]:
        """The debits under a mandate."""
        return self._all(Operation, _OPERATION + "mandate_id = ?", account, mandate_id)

    def in_status(self, account: str, status: str, *, limit: int) -> list[Operation]:
        """The account's operations in this status, the oldest first."""
        sql = _OPERATION + "status = ? order by created_us, reference limit ?"
        return self._all(Operation, sql, account, status, limit)

    def booked(self, account: str, *, since_us: int, until_us: int) -> list[Operation]:
        """What moved money in the span, in the order of time."""
        sql = _OPERATION + "booked_us >= ? and booked_us < ? order by booked_us, reference"
        return self._all(Operation, sql, account, since_us, until_us)

    def insert_mandate(self, account: str, mandate: Mandate) -> bool:
        """Keep a mandate; False where the account has one of this name."""
        sql = _insert("mandates", Mandate, more=("account",))
        return self._run(sql, (account, *msgspec.structs.astuple(mandate))).rowcount == 1

    def mandate(self, account: str, mandate_id: str) -> Mandate | None:
        """The mandate of this name."""
        sql = f"select {_columns(Mandate)} from mandates where account = ? and mandate_id = ?"
        return self._one(Mandate, sql, account, mandate_id)

    def revoke_mandate(self, account: str, mandate_id: str, *, at_us: int) -> None:
        """Take a mandate out of use; the first time counts."""
        sql = (
            "update mandates set revoked_us = ?"
            " where account = ? and mandate_id = ? and revoked_us is null"
        )
        self._run(sql, (at_us, account, mandate_id))

    def insert_document(
        self, account: str, *, digest: str, kind: str, message_id: str, at_us: int
    ) -> bool:
        """Remember that a document was read; False where it was read before."""
        sql = "insert into documents values (?, ?, ?, ?, ?) on conflict do nothing"
        return self._run(sql, (account, digest, kind, message_id, at_us)).rowcount == 1

    def insert_line(self, line: KeptLine) -> bool:
        """Write a new line; False where its id is taken."""
        return self._insert(_insert("lines", KeptLine), line)

    def line(self, account: str, line_id: str) -> KeptLine | None:
        """The line of this id."""
        return self._one(KeptLine, _LINE + "line_id = ?", account, line_id)

    def lines_like(self, account: str, fingerprint: str) -> list[KeptLine]:
        """The lines that two files cannot tell apart."""
        return self._all(KeptLine, _LINE + "fingerprint = ? order by line_id", account, fingerprint)

    def name_line(self, account: str, line_id: str, bank_ref: str) -> None:
        """Write down the bank's own name of a line that had none."""
        sql = "update lines set bank_ref = ? where account = ? and line_id = ?"
        self._run(sql, (bank_ref, account, line_id))

    def lines_named(
        self, account: str, bank_ref: str, *, direction: str, minor: int
    ) -> list[KeptLine]:
        """The movements of this amount that the bank called so."""
        sql = _LINE + "bank_ref = ? and direction = ? and minor = ?"
        return self._all(KeptLine, sql, account, bank_ref, direction, minor)

    def lines_of(self, account: str, reference: str, *, direction: str) -> list[KeptLine]:
        """The lines in this direction that are, in part or whole, for an operation."""
        sql = _LINE + (
            "direction = ? and line_id in"
            " (select line_id from allocations where account = ? and reference = ?)"
        )
        return self._all(KeptLine, sql, account, direction, account, reference)

    def unexplained(self, account: str, *, limit: int, after_us: int = 0) -> list[KeptLine]:
        """The credits of which something is left that nobody has explained, the oldest first."""
        sql = _LINE + (
            "rest_minor > 0 and direction = 'credit' and dismissed = ''"
            " and taken_us >= ? order by taken_us, line_id limit ?"
        )
        return self._all(KeptLine, sql, account, after_us, limit)

    def dismiss(self, account: str, line_id: str, note: str) -> None:
        """Take a line off the queue, and say why."""
        sql = "update lines set dismissed = ? where account = ? and line_id = ?"
        self._run(sql, (note, account, line_id))

    def allocate(
        self, line: KeptLine, reference: str, minor: int, *, by_whom: str, at_us: int
    ) -> None:
        """Say that so much of a line was for an operation."""
        self._run(
            "insert into allocations values (?, ?, ?, ?, ?, ?)",
            (line.account, line.line_id, reference, minor, by_whom, at_us),
        )
        self._run(
            "update lines set rest_minor = rest_minor - ? where account = ? and line_id = ?",
            (minor, line.account, line.line_id),
        )

    def insert_file(self, file: File) -> bool:
        """Write down a file for the bank."""
        return self._insert(_insert("files", File), file)

    def unsent_files(self, account: str) -> list[File]:
        """The files that the bank's folder may not have, the oldest first."""
        sql = f"select {_columns(File)} from files where account = ? and sent_us is null"
        return self._all(File, sql + " order by created_us, message_id limit 1000", account)

    def mark_sent(self, account: str, message_id: str, *, at_us: int | None) -> None:
        """The bank's folder has the file; None says that it must be written again."""
        sql = "update files set sent_us = ? where account = ? and message_id = ?"
        self._run(sql, (at_us, account, message_id))

    def insert_notice(self, notice: Notice) -> bool:
        """Write down what the engine must be told, once."""
        return self._insert(_insert("notices", Notice), notice)

    def untold(self, account: str, *, limit: int) -> list[Notice]:
        """What the engine was not told yet, the oldest first."""
        sql = f"select {_columns(Notice)} from notices where account = ? and told_us is null"
        return self._all(Notice, sql + " order by created_us, event_id limit ?", account, limit)

    def mark_told(self, account: str, event_id: str, *, at_us: int) -> None:
        """The engine has taken the notice."""
        sql = "update notices set told_us = ? where account = ? and event_id = ?"
        self._run(sql, (at_us, account, event_id))

    def save_profile(self, account: str, settings: bytes) -> None:
        """Remember what a command needs to know of the account; no secrets."""
        sql = (
            "insert into profiles values (?, ?) on conflict (account)"
            " do update set settings = excluded.settings where settings != excluded.settings"
        )
        self._run(sql, (account, settings))

    def profiles(self) -> dict[str, bytes]:
        """Every account that was ever used, with its settings."""
        rows = self._run("select account, settings from profiles order by account", ()).fetchall()
        return {str(account): bytes(settings) for account, settings in rows}

    def _insert(self, sql: str, row: msgspec.Struct) -> bool:
        return self._run(sql, msgspec.structs.astuple(row)).rowcount == 1

    def _one(self, kind: type[StructT], sql: str, *values: object) -> StructT | None:
        row = self._run(sql, values).fetchone()
        return None if row is None else _read(kind, row)

    def _all(self, kind: type[StructT], sql: str, *values: object) -> list[StructT]:
        with self._lock:
            return [_read(kind, row) for row in self._run(sql, values).fetchall()]

    def _run(self, sql: str, values: tuple[object, ...]) -> sqlite3.Cursor:
        with self._lock:
            return self._db.execute(sql, values)


def _read(kind: type[StructT], row: tuple[Any, ...]) -> StructT:
    plain = dict(zip(kind.__struct_fields__, row, strict=True))
    return msgspec.convert(plain, kind, strict=False)


def _open(path: Path) -> sqlite3.Connection:
    """A connection; SQLite does not wait when two processes turn a new file to WAL at once."""
    in_memory = path.name == ":memory:"
    if not in_memory:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    until = time.monotonic() + _WAIT_S
    while True:
        db = sqlite3.connect(
            path if not in_memory else ":memory:",
            timeout=_WAIT_S,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            db.execute("pragma journal_mode = wal")
            db.execute("pragma synchronous = full")
            db.executescript(_SCHEMA)
        except sqlite3.OperationalError:
            db.close()
            if time.monotonic() >= until:
                raise
            time.sleep(0.01)
        else:
            return db
