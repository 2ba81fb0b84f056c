"""Where did a request's time go?

Whoever serves a request may set a record; the rooms below add to it what they waited for. Where
no record is set, adding costs one look-up and changes nothing.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from dataclasses import dataclass

__all__ = ["Timings", "add", "add_commit", "add_gateway", "add_statement", "begin", "end"]


@dataclass(slots=True)
class Timings:
    """Waits in seconds, and messages to the database: begin and commit are no statements."""

    gateway_s: float = 0.0
    commit_s: float = 0.0
    statements: int = 0
    commits: int = 0


_record: ContextVar[Timings | None] = ContextVar("timings", default=None)


def begin() -> tuple[Timings, Token[Timings | None]]:
    """Set a new record for this context and the tasks made in it; give the token to `end`."""
    record = Timings()
    return record, _record.set(record)


def end(token: Token[Timings | None]) -> None:
    """Set again what was set before."""
    _record.reset(token)


def add(shared: Timings) -> None:
    """What was waited for together with others: the whole of it, for each waited it all."""
    record = _record.get()
    if record is not None:
        record.gateway_s += shared.gateway_s
        record.commit_s += shared.commit_s
        record.statements += shared.statements
        record.commits += shared.commits


def add_statement() -> None:
    """One more message that carries SQL."""
    record = _record.get()
    if record is not None:
        record.statements += 1


def add_commit(seconds: float) -> None:
    """One more commit, and the wait for it."""
    record = _record.get()
    if record is not None:
        record.commits += 1
        record.commit_s += seconds


def add_gateway(seconds: float) -> None:
    """A wait for a gateway."""
    record = _record.get()
    if record is not None:
        record.gateway_s += seconds
