"""Is the bank asked for no more than is needed, and believed in nothing but its own documents?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date

import pytest
from payengine.plugin import AskRates, Call, RateSource
from payengine_fx_ecb import rate_sources
from payengine_fx_ecb.document import Unreadable
from payengine_fx_ecb.source import EuropeanCentralBank

_ENVELOPE = (
    '<Envelope xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">'
    "<Cube>{}</Cube></Envelope>"
)
_DAYS = {
    date(2024, 1, 5): "<Cube currency='USD' rate='1.0921'/><Cube currency='JPY' rate='158.57'/>",
    date(2024, 1, 4): "<Cube currency='USD' rate='1.0953'/><Cube currency='ROL' rate='49753'/>",
}


def days(*chosen: date) -> bytes:
    """The bank's document of these days."""
    cubes = (f"<Cube time='{day.isoformat()}'>{_DAYS[day]}</Cube>" for day in chosen)
    return _ENVELOPE.format("".join(cubes)).encode()


class Bank:
    """A server in the bank's place: what it answers, and what it was asked."""

    def __init__(self) -> None:
        self.documents = {
            "/mirror/eurofxref-daily.xml": days(date(2024, 1, 5)),
            "/mirror/eurofxref-hist-90d.xml": days(*_DAYS),
        }
        self.status = "200 OK"
        self.asked: list[str] = []
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request and its answer."""
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split()[1].decode()
        self.asked.append(path.rpartition("/")[2])
        body = self.documents.get(path, b"")
        writer.write(
            f"HTTP/1.1 {self.status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
            "Location: http://127.0.0.1:1/\r\n\r\n".encode()
        )
        writer.write(body)
        await writer.drain()
        writer.close()


@pytest.fixture
async def bank() -> AsyncIterator[Bank]:
    """A bank on this machine."""
    found = Bank()
    server = await asyncio.start_server(found.answer, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mirror/"
    async with server:
        yield found


CALL = Call(account="a", settings=None, deadline_ms=2_000)


async def told(source: RateSource, day: date) -> list[date]:
    """The days that the source tells of."""
    return [one.day for one in (await source.daily_rates(CALL, AskRates(day=day))).days]


async def test_the_days_document_is_enough_for_today_and_the_weekend(bank: Bank) -> None:
    source = EuropeanCentralBank(url=bank.url)
    assert await told(source, date(2024, 1, 5)) == [date(2024, 1, 5)]
    assert await told(source, date(2024, 1, 7)) == [date(2024, 1, 5)]
    assert bank.asked == ["eurofxref-daily.xml"]


async def test_an_earlier_day_is_looked_up(bank: Bank) -> None:
    source = EuropeanCentralBank(url=bank.url)
    assert await told(source, date(2024, 1, 4)) == list(_DAYS)
    assert bank.asked == ["eurofxref-daily.xml", "eurofxref-hist-90d.xml"]


async def test_a_document_is_kept_for_a_quarter_of_an_hour(bank: Bank) -> None:
    now = [0.0]
    source = EuropeanCentralBank(url=bank.url, seconds=lambda: now[0])
    for seconds, asked in ((0, 1), (899, 1), (900, 2)):
        now[0] = float(seconds)
        await told(source, date(2024, 1, 5))
        assert len(bank.asked) == asked


@pytest.mark.parametrize("status", ["404 Not Found", "302 Found", "500 Oops"])
async def test_no_rates_come_of_another_status(bank: Bank, status: str) -> None:
    bank.status = status
    with pytest.raises(Exception, match=status[:3]):
        await told(EuropeanCentralBank(url=bank.url), date(2024, 1, 5))


async def test_a_document_without_end_is_not_read_to_its_end(bank: Bank) -> None:
    bank.documents = dict.fromkeys(bank.documents, b" " * 3_000_000)
    with pytest.raises(Unreadable, match="too large"):
        await told(EuropeanCentralBank(url=bank.url), date(2024, 1, 5))


def test_the_plugin_offers_the_bank() -> None:
    (source,) = rate_sources()
    manifest = source.describe()
    assert (manifest.name, manifest.base) == ("ecb", "EUR")


async def test_the_operator_names_a_mirror(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYENGINE_FX_ECB_URL", bank.url)
    assert await told(EuropeanCentralBank(), date(2024, 1, 5)) == [date(2024, 1, 5)]
