"""Who plays Apple while a merchant is validated in a test?

An HTTPS server of one's own that asks for the merchant's certificate, as Apple's hosts do, answers
with a session and remembers what it saw. `PAYENGINE_APPLE_PAY_URL` and `PAYENGINE_APPLE_PAY_CA`
put it in Apple's place.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from payengine_apple_pay.testing import Issued, issue

__all__ = ["SESSION", "FakeApple", "fake_apple"]

SESSION = {"epochTimestamp": 1_893_456_000_000, "merchantSessionIdentifier": "SSH1", "nonce": "n"}


@dataclass
class FakeApple:
    """The server: where it is, the file of its authority, a merchant that it knows."""

    trust: Path
    merchant: Issued
    address: str = ""
    answer: bytes = field(default_factory=lambda: json.dumps(SESSION).encode())
    status: str = "200 OK"
    #: The request line, the body and the certificate's subject of each request.
    requests: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, Any]:
        """What the merchant saves for the validation."""
        return {
            "merchant_id": "merchant.com.example.shop",
            "identity_certificate": self.merchant.pem,
            "identity_key": self.merchant.key_pem,
            "domains": ["shop.example.com", "www.example.com"],
            "display_name": "A Shop",
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request, answer and close."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(
            int(line.partition(":")[2])
            for line in head.lower().splitlines()
            if line.startswith("content-length:")
        )
        body = json.loads(await reader.readexactly(length))
        shown = writer.get_extra_info("peercert")
        self.requests.append((head.splitlines()[0], body, str(shown["subject"])))
        writer.write(
            f"HTTP/1.1 {self.status}\r\nContent-Length: {len(self.answer)}\r\n"
            "Connection: close\r\nLocation: https://example.org/\r\n\r\n".encode()
        )
        writer.write(self.answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def fake_apple(folder: Path) -> AsyncIterator[FakeApple]:
    """The server on a free port of this machine, its files in `folder`."""
    wall = datetime.now(UTC)
    since, until = wall - timedelta(days=1), wall + timedelta(days=1)
    authority = issue("An Authority", is_authority=True, since=since, until=until)
    server = issue("localhost", by=authority, names=["localhost"], since=since, until=until)
    merchant = issue("Merchant Identity", by=authority, since=since, until=until)
    trust, own = folder / "authority.pem", folder / "server.pem"
    await asyncio.to_thread(trust.write_text, authority.pem)
    await asyncio.to_thread(own.write_text, server.pem + server.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_verify_locations(trust)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(own)
    fake = FakeApple(trust, merchant)
    listening = await asyncio.start_server(fake.serve, "127.0.0.1", 0, ssl=context)
    fake.address = f"https://localhost:{listening.sockets[0].getsockname()[1]}"
    async with listening:
        yield fake
