"""How does a test use the installed program as an operator does, from the outside?"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from payengine_graphql.demo.client import Client

__all__ = ["PAY", "PAYMENT", "Done", "Program", "new_key", "payengine", "serving", "start"]

_PROGRAM = Path(sys.executable).with_name("payengine")
_PATIENCE_S = 240.0

PAY = """
    mutation ($input: CreatePaymentInput!) {
        createPayment(input: $input) { payment { id status } errors { code message } }
    }
"""
PAYMENT = "query ($id: ID!) { payment(id: $id) { id status capturedAmount { amountMinor } } }"


def new_key() -> str:
    """An idempotency key that nobody used; letters, so that none looks like a card number."""
    return "k" + "".join(chr(ord("a") + digit % 26) for digit in uuid.uuid4().bytes)


class Done(NamedTuple):
    """How a program ended and what it said."""

    code: int
    output: str
    complaints: str


class Program:
    """A running `payengine`; what it writes is read all the time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self.complaints: list[str] = []
        self._reading = [
            asyncio.create_task(_read(process.stdout, self.lines)),
            asyncio.create_task(_read(process.stderr, self.complaints)),
        ]

    async def said(self, pattern: str) -> re.Match[str]:
        """The first line that has the pattern; fails where the program ends without."""
        give_up_at = time.monotonic() + _PATIENCE_S
        while True:
            is_over = all(task.done() for task in self._reading)
            for line in [*self.lines, *self.complaints]:
                if found := re.search(pattern, line):
                    return found
            assert not is_over, self.complaints
            assert time.monotonic() < give_up_at, (self.lines, self.complaints)
            await asyncio.sleep(0.02)

    async def ended(self, number: signal.Signals | None = None) -> Done:
        """Send the signal, if one is given, and wait for the end."""
        if number is not None:
            self.process.send_signal(number)
        code = await asyncio.wait_for(self.process.wait(), _PATIENCE_S)
        await asyncio.gather(*self._reading)
        return Done(code, "\n".join(self.lines), "\n".join(self.complaints))

    async def kill(self) -> None:
        """End it whatever it does."""
        if self.process.returncode is None:
            self.process.kill()
        await self.ended()


async def _read(stream: asyncio.StreamReader | None, lines: list[str]) -> None:
    assert stream is not None
    while line := await stream.readline():
        lines.append(line.decode().rstrip("\n"))


async def start(*arguments: str, home: Path | None = None, **environment: str) -> Program:
    """Start `payengine` with nothing of our own environment but the way to its programs."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # So it is in the background of a shell, and so the program would have it too.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    place = ("--home", str(home)) if home is not None else ()
    return Program(
        await asyncio.create_subprocess_exec(
            str(_PROGRAM),
            *arguments,
            *place,
            env=kept | environment,
            cwd="/",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    )


async def payengine(*arguments: str, home: Path | None = None, **environment: str) -> Done:
    """Run `payengine` to its end."""
    program = await start(*arguments, home=home, **environment)
    try:
        return await program.ended()
    finally:
        await program.kill()


class Serving(NamedTuple):
    """A server that answers."""

    program: Program
    url: str
    home: Path

    async def tenant(self) -> dict[str, str]:
        """`payengine tenant create … --json`, beside the server."""
        done = await payengine("tenant", "create", "Ada's shop", "--json", home=self.home)
        assert done.code == 0, done.complaints
        made: dict[str, str] = json.loads(done.output)
        return made

    async def ask(self, key: str, document: str, **variables: Any) -> dict[str, Any]:
        """The data of one answer."""
        client = Client(self.url, connections=1)
        try:
            return await client.ask(key, document, variables)
        finally:
            await client.close()

    async def pay(self, key: str, *, name: str | None = None) -> dict[str, Any]:
        """A payment of 12.34 EUR."""
        given = {
            "idempotencyKey": name or new_key(),
            "amount": {"amountMinor": 1_234, "currency": "EUR"},
            "paymentMethod": {"token": "tok_visa"},
        }
        data = await self.ask(key, PAY, input=given)
        assert data["createPayment"]["errors"] == []
        payment: dict[str, Any] = data["createPayment"]["payment"]
        return payment


@asynccontextmanager
async def serving(home: Path, *arguments: str, **environment: str) -> AsyncIterator[Serving]:
    """`payengine serve` on a free port; killed at the end of the block if it runs still."""
    program = await start("serve", "--port", "0", *arguments, home=home, **environment)
    try:
        url = (await program.said(r"^ready (http://127\.0\.0\.1:[0-9]+)$"))[1]
        yield Serving(program, url, home)
    finally:
        await program.kill()
