"""By which way do files reach a bank, and the bank's files us?

Three rails with one interface: a folder that the bank's software empties and fills, a bank's HTTP
API, and a bank in this process for test worlds (`simulated`). A file's MsgId is the same whenever
it is sent again, and a bank takes a MsgId once: that is what makes sending again safe.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from payengine.plugin import Call, NotSent

from payengine_bank_transfer.records import Refused
from payengine_bank_transfer.settings import BankTransferSettings, settings_of
from payengine_bank_transfer.xmltree import LARGEST_DOCUMENT

__all__ = ["HOSTS_VARIABLE", "FolderRail", "HttpRail", "Rail", "folder_of"]

HOSTS_VARIABLE = "PAYENGINE_BANK_HOSTS"
FOLDER_VARIABLE = "PAYENGINE_BANK_FOLDER"

_MOST_FILES = 200
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Rail(Protocol):
    """A way to one bank."""

    #: Whether an order goes off by itself; if not, `payengine bank export` bundles what waits.
    at_once: bool

    async def submit(self, call: Call, message_id: str, content: bytes) -> Sequence[bytes]:
        """Hand a file in, and give what the bank answered with; the same MsgId is the same file.

        Raises `Refused` where the bank lets nobody in, anything else where it is unknown whether
        the file arrived.
        """
        ...

    async def fetch(self, call: Call) -> Sequence[bytes]:
        """The bank's files that wait for us; the same one may come again."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


def folder_of(account: str) -> Path:
    """The account's folder: `outbox` is the bank's to read, `inbox` the bank's to write.

    Below `PAYENGINE_BANK_FOLDER`, else below `bank` in the platform's data folder; never where a
    tenant says.
    """
    base = os.environ.get(FOLDER_VARIABLE)
    root = Path(base) if base else Path(os.environ.get("PAYENGINE_HOME") or ".payengine", "bank")
    safe = _PLAIN_NAME.fullmatch(account)
    return root / (account if safe else sha256(account.encode()).hexdigest()[:32])


class FolderRail:
    """Files in a folder; a name that ends in `.part` is not ready yet."""

    at_once = False

    async def submit(self, call: Call, message_id: str, content: bytes) -> Sequence[bytes]:
        """Write the file into the outbox, whole or not at all."""
        import asyncio

        await asyncio.to_thread(self.write, call.account, message_id, content)
        return ()

    async def fetch(self, call: Call) -> Sequence[bytes]:
        """What lies in the inbox, in the order of the names; it stays there until `settle`."""
        import asyncio

        return await asyncio.to_thread(lambda: [content for _, content in self.read(call.account)])

    async def aclose(self) -> None:
        """Nothing is open."""

    def write(self, account: str, message_id: str, content: bytes) -> Path:
        """Write the file under a name of its own; written again it is the same file."""
        outbox = folder_of(account) / "outbox"
        outbox.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = outbox / f"{message_id}.xml"
        part = outbox / f"{message_id}.{os.getpid()}.part"
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        return path

    def read(self, account: str) -> Iterator[tuple[Path, bytes]]:
        """At most 200 of the inbox's files, with their content; too large ones are left."""
        inbox = folder_of(account) / "inbox"
        names = sorted(inbox.glob("*.xml")) if inbox.is_dir() else []
        for path in names[:_MOST_FILES]:
            is_plain = path.is_file() and not path.is_symlink()
            if is_plain and path.stat().st_size <= LARGEST_DOCUMENT:
                yield path, path.read_bytes()

    def settle(self, path: Path, *, is_read: bool) -> None:
        """Move a file of the inbox to `done`, or to `refused`."""
        target = path.parent.parent / ("done" if is_read else "refused")
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.replace(path, target / path.name)


class HttpRail:
    """A bank's API: files are posted to one path, the bank's messages are listed at another.

    The list is JSON: an array whose objects carry the XML in `body`. Only hosts that the operator
    names in `PAYENGINE_BANK_HOSTS` (`host` or `host:port`, by commas) are ever spoken to.
    """

    at_once = True

    async def submit(self, call: Call, message_id: str, content: bytes) -> Sequence[bytes]:
        """Post the file; the MsgId is the request's idempotency key too."""
        headers = {"content-type": "application/xml", "idempotency-key": message_id}
        status, body = await self._ask(
            call, "POST", settings_of(call).submit_path, headers=headers, content=content
        )
        if status in (401, 403):
            raise Refused("bank_refused")
        # 422 is the bank's verdict on the file, which its own report explains.
        if status >= 300 and status != 422:
            raise ConnectionError(f"the bank answered {status}")
        return _documents(body)

    async def fetch(self, call: Call) -> Sequence[bytes]:
        """The bank's messages."""
        status, body = await self._ask(call, "GET", settings_of(call).messages_path)
        if status != 200:
            raise ConnectionError(f"the bank answered {status}")
        return _documents(body)

    async def aclose(self) -> None:
        """Each call has a connection of its own."""

    async def _ask(
        self,
        call: Call,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
    ) -> tuple[int, bytes]:
        import httpx

        settings = settings_of(call)
        url = _checked(settings) + path
        auth = (settings.bank_user, settings.bank_password) if settings.bank_user else None
        timeout = call.deadline_ms / 1000
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=timeout, auth=auth) as client:
                async with client.stream(method, url, headers=headers, content=content) as answer:
                    parts, size = [], 0
                    async for part in answer.aiter_bytes():
                        size += len(part)
                        if size > LARGEST_DOCUMENT:
                            raise ConnectionError("the bank's answer is too large")
                        parts.append(part)
                    return answer.status_code, b"".join(parts)
        except (httpx.ConnectError, httpx.ConnectTimeout) as refused:
            raise NotSent(f"no connection to the bank: {type(refused).__name__}") from None


def _checked(settings: BankTransferSettings) -> str:
    allowed = {one.strip().lower() for one in os.environ.get(HOSTS_VARIABLE, "").split(",")} - {""}
    parts = urlsplit(settings.bank_url)
    host = (parts.hostname or "").lower()
    names = {host, f"{host}:{parts.port}"} if host else set()
    is_local = host in ("127.0.0.1", "localhost", "::1")
    if parts.scheme not in ("http", "https") or not names & allowed:
        raise NotSent(f"the operator has not allowed this bank in {HOSTS_VARIABLE}")
    if parts.scheme == "http" and not is_local:
        raise NotSent("a bank is spoken to over TLS")
    if parts.username or parts.query or parts.fragment:
        raise NotSent("bank_url is a plain address")
    return settings.bank_url.rstrip("/")


def _documents(body: bytes) -> list[bytes]:
    """The XML documents in a JSON answer; what is none is left out."""
    if body.lstrip()[:1] == b"<":
        return [body]
    try:
        plain = json.loads(body or b"null")
    except (ValueError, RecursionError):
        return []
    items = plain if isinstance(plain, list) else [plain]
    bodies = [one.get("body") for one in items[:10_000] if isinstance(one, dict)]
    return [one.encode() for one in bodies if isinstance(one, str) and one.lstrip()[:1] == "<"]
