"""Where does the sandbox keep its books?

One SQLite file in WAL mode with `synchronous=OFF`: what it has written survives the death of this
process, not that of the machine. Several processes may open it. No call waits for another
process's lock: it raises `StoreBusy`, and the caller sleeps without blocking its event loop.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from payengine_sandbox.records import Operation

__all__ = ["Store", "StoreBusy"]

_OPEN_TIMEOUT_S = 10.0
_OPEN_PAUSE_S = 0.005
#: Small, so that no commit has to copy much of the log: 100 pages take about a third of 1 ms.
_CHECKPOINT_PAGES = 100

_SCHEMA = """
create table if not exists operations (
    reference text primary key,
    account text not null,
    key text not null,
    kind text not null,
    parent text not null,
    token text not null,
    status text not null,
    amount_minor integer not null,
    currency text not null,
    capture integer not null,
    fee_minor integer not null,
    raw_code text,
    expires_us integer,
    held integer not null,
    taken integer not null,
    released integer not null,
    returned integer not null,
    return_url text,
    moved_us integer,
    due_us integer,
    due_status text,
    fingerprint blob not null
) without rowid;
create index if not exists operations_moved on operations (account, moved_us)
    where moved_us is not null;
create index if not exists operations_due on operations (due_us) where due_us is not null;
create table if not exists tries (
    account text not null,
    key text not null,
    kind text not null,
    count integer not null,
    primary key (account, key, kind)
) without rowid;
create table if not exists endpoints (
    account text primary key, url text not null, secret text not null
) without rowid;
"""

_COLUMNS = ", ".join(Operation.__struct_fields__)
_WIDTH = len(Operation.__struct_fields__)
_CAPTURE = Operation.__struct_fields__.index("capture")

_INSERT = f"""
insert into operations ({_COLUMNS}, fingerprint)
values ({", ".join("?" * (_WIDTH + 1))})
on conflict (reference) do nothing
"""
_FIND = f"select {_COLUMNS}, fingerprint from operations where reference = ?"
_REWRITE = """
update operations set status = ?, raw_code = ?, held = ?, taken = ?, released = ?, returned = ?,
    moved_us = ?, due_us = ?, due_status = ?
where reference = ?
"""
_DUE = f"select {_COLUMNS} from operations where due_us <= ? order by due_us limit ?"
_MOVEMENTS = f"""
select {_COLUMNS} from operations
where account = ? and moved_us < ? and (moved_us, reference) > (?, ?)
order by moved_us, reference
limit ?
"""
_COUNT_TRY = """
insert into tries (account, key, kind, count) values (?, ?, ?, 1)
on conflict (account, key, kind) do update set count = count + 1
returning count
"""
_SET_ENDPOINT = """
insert into endpoints (account, url, secret) values (?, ?, ?)
on conflict (account) do update set url = excluded.url, secret = excluded.secret
where url != excluded.url or secret != excluded.secret
"""
_ENDPOINT = "select url, secret from endpoints where account = ?"


class StoreBusy(Exception):
    """Another process writes at this moment; nothing was done."""


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
        """Hold the file's write lock around the block; raises `StoreBusy` before it begins.

        A block inside another one belongs to the outer transaction.
        """
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._run("begin immediate", ())
            try:
                yield
            except BaseException:
                self._db.execute("rollback")
                raise
            self._db.execute("commit")

    def insert(self, operation: Operation, fingerprint: bytes) -> bool:
        """Write a new record; False where the reference is taken."""
        row = (*msgspec.structs.astuple(operation), fingerprint)
        return self._run(_INSERT, row).rowcount == 1

    def find(self, reference: str) -> tuple[Operation, bytes] | None:
        """The record and the fingerprint of the request that made it."""
        row = self._run(_FIND, (reference,)).fetchone()
        return None if row is None else (_record(row), row[-1])

    def rewrite(self, operation: Operation) -> None:
        """Write what may change of a record: its status, sums and times."""
        o = operation
        sums = (o.held, o.taken, o.released, o.returned)
        times = (o.moved_us, o.due_us, o.due_status)
        self._run(_REWRITE, (o.status, o.raw_code, *sums, *times, o.reference))

    def due(self, *, until_us: int, limit: int) -> list[Operation]:
        """At most `limit` records whose delayed result is due."""
        return [_record(row) for row in self._run(_DUE, (until_us, limit))]

    def movements(
        self, account: str, *, after: tuple[int, str], until_us: int, limit: int
    ) -> list[Operation]:
        """The account's next records that moved money before `until_us`, in order of time.

        `after` is the (moved_us, reference) of the last one read; (T, "") begins at T itself.
        """
        values = (account, until_us, *after, limit)
        return [_record(row) for row in self._run(_MOVEMENTS, values)]

    def count_try(self, *, account: str, key: str, kind: str) -> int:
        """The number of this try, counted from 1 and kept over restarts."""
        row = self._run(_COUNT_TRY, (account, key, kind)).fetchall()[0]
        return int(row[0])

    def set_endpoint(self, *, account: str, url: str, secret: str) -> None:
        """Remember where the account's webhooks go."""
        self._run(_SET_ENDPOINT, (account, url, secret))

    def endpoint(self, account: str) -> tuple[str, str] | None:
        """The address and the secret of the account's webhooks."""
        row: tuple[str, str] | None = self._run(_ENDPOINT, (account,)).fetchone()
        return row

    def _run(self, statement: str, values: tuple[object, ...]) -> sqlite3.Cursor:
        with self._lock:
            try:
                return self._db.execute(statement, values)
            except sqlite3.OperationalError as refused:
                if _is_busy(refused):
                    raise StoreBusy from None
                raise


def _open(path: Path) -> sqlite3.Connection:
    """A connection to the file, which is made where it is missing, readable by its owner only.

    SQLite does not wait when two processes turn a new file to WAL at once, so this tries again.
    """
    if path.name != ":memory:":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    until = time.monotonic() + _OPEN_TIMEOUT_S
    while True:
        db = sqlite3.connect(
            path, timeout=_OPEN_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            db.execute("pragma journal_mode = wal")
            db.execute("pragma synchronous = off")
            db.execute(f"pragma wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            db.executescript(_SCHEMA)
            db.execute("pragma busy_timeout = 0")
        except sqlite3.OperationalError as refused:
            db.close()
            if not _is_busy(refused) or time.monotonic() >= until:
                raise
            time.sleep(_OPEN_PAUSE_S)
        else:
            return db


def _is_busy(refused: sqlite3.OperationalError) -> bool:
    return refused.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _record(row: tuple[Any, ...]) -> Operation:
    values = (*row[:_CAPTURE], bool(row[_CAPTURE]), *row[_CAPTURE + 1 : _WIDTH])
    return Operation(*values)
