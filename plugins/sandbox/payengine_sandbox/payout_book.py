"""What has the sandbox's rail paid?

A SQLite file of its own, keyed by account, sending and order: an order that was sent under two keys
has two rows, so that nobody can pay twice unseen. Each look at an order lets it go one step on.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

__all__ = ["Kept", "PayoutBook"]

_SCHEMA = """
create table if not exists orders (
    account text not null,
    sending text not null,
    key text not null,
    token text not null,
    amount_minor integer not null,
    currency text not null,
    status text not null,
    looks integer not null,
    primary key (account, sending, key)
) without rowid;
create table if not exists sendings (
    account text not null, sending text not null, tries integer not null, body blob not null,
    primary key (account, sending)
) without rowid;
"""

_COLUMNS = "sending, key, token, amount_minor, currency, status, looks"
_BUSY_S = 5.0


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One order as the rail has it."""

    sending: str
    key: str
    token: str
    amount_minor: int
    currency: str
    status: str
    looks: int


class PayoutBook:
    """The statements over one file; every method is a transaction."""

    def __init__(self, path: Path) -> None:
        if path.name != ":memory:":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(
            path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = off")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def count_try(self, account: str, sending: str, *, body: bytes) -> int | None:
        """The number of this try of a sending, from 1; None where its body was another one."""
        with self._writing():
            self._db.execute(
                "insert into sendings values (?, ?, 0, ?) on conflict do nothing",
                (account, sending, body),
            )
            known = self._db.execute(
                "update sendings set tries = tries + 1 where account = ? and sending = ?"
                " returning tries, body",
                (account, sending),
            ).fetchall()[0]
            return int(known[0]) if known[1] == body else None

    def keep(self, account: str, orders: Sequence[Kept]) -> None:
        """Write the orders that are not there yet."""
        with self._writing():
            for one in orders:
                self._db.execute(
                    "insert into orders values (?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing",
                    (account, *msgspec.structs.astuple(one)),
                )

    def of(self, account: str, sending: str) -> list[Kept]:
        """The orders of a sending."""
        with self._lock:
            rows = self._db.execute(
                f"select {_COLUMNS} from orders where account = ? and sending = ? order by key",
                (account, sending),
            ).fetchall()
        return [_kept(row) for row in rows]

    def step(self, account: str, order: Kept, *, status: str) -> None:
        """Write that the order was looked at, and what has become of it."""
        with self._writing():
            self._db.execute(
                "update orders set status = ?, looks = looks + 1"
                " where account = ? and sending = ? and key = ?",
                (status, account, order.sending, order.key),
            )

    def every(self, account: str) -> list[Kept]:
        """All orders of an account, in the order of their keys."""
        with self._lock:
            rows = self._db.execute(
                f"select {_COLUMNS} from orders where account = ? order by key, sending", (account,)
            ).fetchall()
        return [_kept(row) for row in rows]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._db.execute("rollback")
                raise
            self._db.execute("commit")


def _kept(row: tuple[str, str, str, int, str, str, int]) -> Kept:
    return Kept(
        sending=row[0],
        key=row[1],
        token=row[2],
        amount_minor=row[3],
        currency=row[4],
        status=row[5],
        looks=row[6],
    )
