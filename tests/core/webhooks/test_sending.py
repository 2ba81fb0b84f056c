"""One exchange ends in time, follows nobody elsewhere, and keeps little of what it is told."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from payengine.webhooks import Addresses, Resolver, Sender
from payengine.webhooks.sending import MAX_RESPONSE, Channel, Reply

from tests.receivers import Answer, receiving

_TENANT = uuid.uuid4()


def _sender(
    resolver: Resolver | None = None,
    *,
    tls: ssl.SSLContext | None = None,
    total_s: float = 30.0,
) -> Sender:
    addresses = Addresses(allow_private=True, resolver=resolver)
    return Sender(addresses, connect_s=30.0, total_s=total_s, tls=tls)


async def _post(url: str, channel: Channel) -> Reply:
    return await channel.post(
        _TENANT, mode="test", url=url, headers={"webhook-id": "1"}, body=b"{}"
    )


@pytest.fixture
async def channel() -> AsyncIterator[Channel]:
    """Connections that may lead to this machine."""
    opened = _sender().channel()
    yield opened
    await opened.close()


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_two_hundreds_are_success(channel: Channel, status: int) -> None:
    with receiving() as receiver:
        receiver.answer = lambda got: Answer(status, b"" if status == 204 else b"ok")
        reply = await _post(receiver.url, channel)
    assert (reply.status_code, reply.error) == (status, None)


@pytest.mark.parametrize(
    ("status", "error"), [(400, "status"), (404, "status"), (500, "status"), (304, "redirect")]
)
async def test_anything_else_is_not(channel: Channel, status: int, error: str) -> None:
    with receiving() as receiver:
        receiver.answer = lambda got: Answer(status)
        reply = await _post(receiver.url, channel)
    assert (reply.status_code, reply.error) == (status, error)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(channel: Channel, status: int) -> None:
    with receiving() as receiver, receiving() as elsewhere:
        receiver.answer = lambda got: Answer(status, headers={"location": elsewhere.url})
        reply = await _post(receiver.url, channel)
    assert (reply.status_code, reply.error) == (status, "redirect")
    assert elsewhere.got == []


async def test_a_slow_endpoint_times_out() -> None:
    silence = threading.Event()
    channel = _sender(total_s=1.0).channel()
    with receiving() as receiver:
        receiver.answer = lambda got: Answer(200 if silence.wait(60) else 500)
        reply = await _post(receiver.url, channel)
        silence.set()
    await channel.close()
    assert (reply.status_code, reply.error) == (None, "timeout")
    assert 900 <= reply.latency_ms < 50_000


async def test_nobody_there(channel: Channel) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        reply = await _post(f"http://127.0.0.1:{free.getsockname()[1]}/", channel)
    assert reply.error == "connect_failed"


def _hear(connection: socket.socket) -> None:
    """Read the whole request: closing with some of it unread would reset the connection."""
    heard = b""
    while not heard.endswith(b"{}"):
        if not (more := connection.recv(65_536)):
            return
        heard += more


@contextmanager
def _speaking(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """The address of a server that says what `talk` says."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    connection.settimeout(60)
                    _hear(connection)
                    talk(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"hello there\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -4\r\n\r\n",
        b"HTTP/1.1 999999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 50_000 + b"\r\n",
        b"\x00" * 4_096,
    ],
)
async def test_nonsense_is_a_broken_answer(channel: Channel, words: bytes) -> None:
    with _speaking(lambda connection: connection.sendall(words)) as url:
        reply = await _post(url, channel)
    assert reply.error == "broken_answer", reply


async def test_a_body_without_end_is_cut(channel: Channel) -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"1000\r\n" + b"z" * 0x1000 + b"\r\n")

    with _speaking(talk) as url:
        reply = await _post(url, channel)
    assert (reply.status_code, reply.error) == (200, None)
    assert reply.response == "z" * MAX_RESPONSE


async def test_a_body_that_drips_costs_no_success() -> None:
    silence = threading.Event()
    channel = _sender(total_s=1.0).channel()

    def talk(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome")
        silence.wait(60)

    with _speaking(talk) as url:
        reply = await _post(url, channel)
        silence.set()
    await channel.close()
    assert reply.error in (None, "timeout")


async def test_what_is_kept_of_an_answer_is_screened(channel: Channel) -> None:
    with receiving() as receiver:
        receiver.answer = lambda got: Answer(200, b"paid 4242 4242 4242 4242\x00\xff ok")
        reply = await _post(receiver.url, channel)
    assert reply.response is not None
    assert "4242" not in reply.response
    assert "\x00" not in reply.response
    assert reply.response.endswith("ok")


async def test_a_packed_body_is_not_unpacked(channel: Channel) -> None:
    with receiving() as receiver:
        receiver.answer = lambda got: Answer(200, b"\x1f\x8b", {"content-encoding": "gzip"})
        assert (await _post(receiver.url, channel)).error is None
    assert receiver.got[0].headers["accept-encoding"] == "identity"


async def test_no_cookie_is_kept(channel: Channel) -> None:
    with receiving() as receiver:
        receiver.answer = lambda got: Answer(200, b"", {"set-cookie": "a=b; Path=/"})
        for _ in range(2):
            await _post(receiver.url, channel)
    assert all("cookie" not in got.headers for got in receiver.got)


async def test_a_name_that_moves_between_two_sends_is_refused() -> None:
    answers = iter([["127.0.0.1"], ["169.254.169.254"], ["127.0.0.1"]])
    sender = _sender(Resolver(lambda host: next(answers)))
    channel = sender.channel()
    with receiving() as receiver:
        url = receiver.url.replace("127.0.0.1", "moving.example.com")
        replies = [await _post(url, channel) for _ in range(3)]
    await channel.close()
    assert [reply.error for reply in replies] == [None, "address_refused", None]
    assert len(receiver.got) == 2
    port = url.partition("com:")[2].partition("/")[0]
    assert receiver.got[0].headers["host"] == f"moving.example.com:{port}"


async def test_an_unknown_name_is_said() -> None:
    def ask(host: str) -> list[str]:
        raise OSError("no such name")

    channel = _sender(Resolver(ask)).channel()
    assert (await _post("https://gone.example.com/", channel)).error == "name_unknown"
    await channel.close()


@contextmanager
def _secured(folder: Path, name: str) -> Iterator[tuple[int, ssl.SSLContext, list[str | None]]]:
    """A TLS server with a certificate for `name`: its port, whom to trust, the names asked for."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = dt.datetime.now(dt.UTC)
    try:
        names: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        names = x509.DNSName(name)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    chain = folder / "chain.pem"
    chain.write_bytes(
        pem
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    asked: list[str | None] = []
    context.sni_callback = lambda _socket, server_name, _context: asked.append(server_name)
    trust = ssl.create_default_context(cadata=pem.decode())

    def talk(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                plain, _ = listener.accept()
                with plain, suppress(OSError):
                    plain.settimeout(60)
                    with context.wrap_socket(plain, server_side=True) as connection:
                        _hear(connection)
                        talk(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], trust, asked
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


async def test_tls_is_for_the_name_though_the_address_is_pinned(tmp_path: Path) -> None:
    with _secured(tmp_path, "hooks.example.com") as (port, trust, asked):
        sender = _sender(Resolver(lambda host: ["127.0.0.1"]), tls=trust)
        channel = sender.channel()
        right = await _post(f"https://hooks.example.com:{port}/", channel)
        wrong = await _post(f"https://other.example.com:{port}/", sender.channel())
        await channel.close()
    assert (right.status_code, right.error) == (204, None)
    assert wrong.error == "tls_failed"
    assert asked == ["hooks.example.com", "other.example.com"]


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    tmp_path: Path, channel: Channel
) -> None:
    with _secured(tmp_path, "127.0.0.1") as (port, trust, _):
        assert (await _post(f"https://127.0.0.1:{port}/", channel)).error == "tls_failed"
        trusting = _sender(tls=trust).channel()
        assert (await _post(f"https://127.0.0.1:{port}/", trusting)).error is None
        await trusting.close()
