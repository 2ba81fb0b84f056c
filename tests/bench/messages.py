"""What do we ourselves send to the database for one payment?

PostgreSQL logs what it hears of one createPayment; that becomes scripts for pgbench. What is then
measured is our SQL without our Python: the same messages in the same order, each statement prepared
once for each connection, ids that rise as ours do.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import asyncpg
from payengine.context import SCOPES, TenantContext
from payengine.engine import open_engine
from payengine.payments.inputs import CreatePayment, MethodInput
from payengine.settings import Settings
from payengine_tenants.keys import ApiKeys

from tests.bench.house import House

__all__ = ["Message", "messages_of", "own_scripts", "script_of"]

_KEY = "bench-key"
_MARK = "bench mark"
_ENTRY = re.compile(r"^\d{4}-\d\d-\d\d [\d:.]+ \S+ \[(\d+)\] (LOG|DETAIL):  ", re.MULTILINE)
_PARAMETER = re.compile(r"\$(\d+) = (NULL|'(?:[^']|'')*')")
_ID = re.compile(r"\b[a-z]{2,4}_[0-9a-zA-Z]{12,}\b")
_LOGGING = (
    "log_statement = 'all'",
    "log_error_verbosity = 'default'",
    "log_min_messages = 'log'",
)


class Message(NamedTuple):
    """One message as the server logged it; `values` are SQL literals of $1, $2 and so on."""

    sql: str
    values: tuple[str, ...] | None


def messages_of(log: str) -> Iterator[Message]:
    """The messages in a server's log, in their order."""
    pieces = _ENTRY.split(log)[1:]
    entries = [(pieces[at + 1], pieces[at + 2]) for at in range(0, len(pieces), 3)]
    for at, (level, text) in enumerate(entries):
        if level != "LOG":
            continue
        text = text.strip().replace("\n\t", "\n")
        if text.startswith("statement: "):
            yield Message(text.removeprefix("statement: "), None)
        elif text.startswith("execute "):
            below = entries[at + 1] if at + 1 < len(entries) else ("", "")
            given = _PARAMETER.findall(below[1]) if below[0] == "DETAIL" else []
            yield Message(text.partition(": ")[2], tuple(value for _, value in given))


def script_of(messages: list[Message], *, key: str) -> str:
    """A script for pgbench, with new ids and a new key each time it runs."""
    ids = dict.fromkeys(
        found for each in messages for value in each.values or () for found in _ID.findall(value)
    )
    names = {found: f"{found.partition('_')[0]}_:v{at}" for at, found in enumerate(ids)}
    names[key] = f"{key}:v0"
    head = ["\\set n :n + 1"]
    head += [
        f"\\set v{at} 1000000000000000 + :base + :n * 100000 + :client_id * 100 + {at}"
        for at in range(max(len(ids), 1))
    ]
    prepared = [
        f"PREPARE own_{at} AS {each.sql.strip().rstrip(';')};"
        for at, each in enumerate(messages)
        if each.values is not None
    ]
    body = []
    for at, each in enumerate(messages):
        if each.values is None:
            body.append(each.sql.strip().rstrip(";").replace("; ", " \\; ") + ";")
            continue
        values = ", ".join(each.values)
        for old, new in names.items():
            values = values.replace(old, new)
        body.append(f"EXECUTE own_{at}({values});")
    once = ["\\if :ready = 0", *prepared, "\\set ready 1", "\\endif"]
    return "\n".join([*head, *once, *body, ""])


async def own_scripts(house: House) -> list[Path]:
    """A script for each tenant, all of the same messages."""
    logs = house.servers.home / "logs" / "postgres"
    admin = await asyncpg.connect(
        host=house.socket_folder,
        user="postgres",
        password=house.passwords["postgres"],
        database="payengine",
    )
    try:
        for each in _LOGGING:
            await admin.execute(f"ALTER ROLE payengine_login SET {each}")
        contexts = await _pay_once(house, admin)
        for each in _LOGGING:
            await admin.execute(f"ALTER ROLE payengine_login RESET {each.split()[0]}")
    finally:
        await admin.close()
    await asyncio.sleep(0.5)  # the log collector is another process
    log = "".join(path.read_text() for path in sorted(logs.glob("*.log")))
    said = log.partition(f"'{_MARK} begins'")[2].partition(f"'{_MARK} ends'")[0]
    messages = [each for each in messages_of(said) if _MARK not in each.sql]
    if len(messages) < 2:
        raise RuntimeError(f"the log tells of {len(messages)} messages")
    script = script_of(messages, key=f"{_KEY}-2")
    paths = []
    folder = house.servers.home.parent
    for number, context in enumerate(contexts):
        path = folder / f"own-{number}.sql"
        mine, other = str(contexts[0].tenant_id), str(context.tenant_id)
        path.write_text(script.replace(mine, other))
        paths.append(path)
    return paths


async def _pay_once(house: House, admin: asyncpg.Connection) -> list[TenantContext]:
    """Two payments of the first tenant; the second one, with warm caches, is marked in the log."""
    settings = Settings.from_environment({}, home=house.servers.home, pool_size=1)
    async with open_engine(settings, login_url=house.servers.login_url, background=False) as engine:
        keys = ApiKeys(engine.database)
        contexts = [await keys.authenticate(shop.key) for shop in house.shops]
        first = TenantContext(contexts[0].tenant_id, "test", "bench", frozenset(SCOPES))
        await admin.execute("SET log_statement = 'all'")
        for number in (1, 2):
            if number == 2:
                await admin.execute(f"SELECT '{_MARK} begins'")
            await engine.payments.create(
                first,
                CreatePayment(
                    idempotency_key=f"{_KEY}-{number}",
                    amount_minor=1_999,
                    currency="EUR",
                    payment_method=MethodInput(token="tok_visa"),
                ),
            )
        await admin.execute(f"SELECT '{_MARK} ends'")
    return contexts
