"""A cursor names a place in one epoch, and everything else is refused."""

from __future__ import annotations

import base64

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.context import TenantContext
from payengine.errors import CursorInvalid, InputInvalid, PermissionDenied
from payengine.events import Cursor, EventLog
from payengine.storage import Database, migrate

from tests.core.events.writing import publish_all, write
from tests.servers import HomeOfTest

_PLACES = st.integers(min_value=0, max_value=2**63 - 1)


def _spelled(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@given(_PLACES, _PLACES)
def test_a_cursor_comes_back_as_it_was(epoch: int, position: int) -> None:
    assert Cursor.parse(str(Cursor(epoch, position))) == Cursor(epoch, position)


@given(st.text())
def test_any_other_text_is_refused_or_means_what_it_says(text: str) -> None:
    try:
        found = Cursor.parse(text)
    except CursorInvalid:
        return
    assert str(found) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.2",
        "MS4y=",
        "MS4y\n",
        "é",
        "A",
        _spelled("1"),
        _spelled("1."),
        _spelled(".1"),
        _spelled("1.-1"),
        _spelled("-1.1"),
        _spelled("+1.1"),
        _spelled("01.1"),
        _spelled("1_0.1"),
        _spelled("1.1.1"),
        _spelled("1.1 "),
        _spelled(f"1.{2**63}"),
        _spelled("1." + "9" * 5_000),
        _spelled("1.٣"),
    ],
)
def test_a_malformed_cursor_is_refused(text: str) -> None:
    with pytest.raises(CursorInvalid):
        Cursor.parse(text)


async def test_pages_follow_each_other_without_gap_or_double(
    event_database: Database, log: EventLog, seller: TenantContext
) -> None:
    written = await write(event_database, seller, 11)
    await publish_all(event_database)
    seen: list[str] = []
    after: str | None = None
    while page := await log.page(seller, after=after, first=4):
        seen += [event.id for event in page]
        after = page[-1].cursor
    assert seen == written


async def test_cursors_of_another_epoch_and_of_the_future_are_refused(
    event_database: Database, log: EventLog, seller: TenantContext
) -> None:
    await write(event_database, seller, 3)
    await publish_all(event_database)
    assert await log.page(seller, after=str(Cursor(log.epoch, 3))) == []
    for foreign in (Cursor(log.epoch - 1, 1), Cursor(log.epoch + 1, 1), Cursor(log.epoch, 4)):
        with pytest.raises(CursorInvalid):
            await log.page(seller, after=str(foreign))


async def test_a_page_is_asked_for_with_a_scope_and_within_bounds(
    log: EventLog, seller: TenantContext
) -> None:
    with pytest.raises(PermissionDenied):
        await log.page(TenantContext(seller.tenant_id, "test", "nobody", frozenset()))
    for first in (0, -1, 1_001):
        with pytest.raises(InputInvalid):
            await log.page(seller, first=first)


async def test_nobody_reads_another_tenants_events(
    event_database: Database, log: EventLog, seller: TenantContext, other_seller: TenantContext
) -> None:
    await write(event_database, seller, 3)
    await publish_all(event_database)
    assert await log.page(other_seller) == []
    assert await log.head(other_seller) == 0


async def test_a_restored_database_begins_a_new_epoch_once(
    event_home: HomeOfTest, event_database: Database, log: EventLog, seller: TenantContext
) -> None:
    await write(event_database, seller, 2)
    await publish_all(event_database)
    cursor = (await log.page(seller, first=1))[0].cursor
    owner = await asyncpg.connect(event_home.owner_url)
    try:
        await owner.execute("UPDATE installation SET fingerprint = 'where the dump was made'")
    finally:
        await owner.close()
    await migrate(owner_url=event_home.owner_url, login_url=event_home.login_url)
    restored = await EventLog.open(event_database)
    assert restored.epoch > log.epoch
    with pytest.raises(CursorInvalid, match="restored"):
        await restored.page(seller, after=cursor)
    await migrate(owner_url=event_home.owner_url, login_url=event_home.login_url)
    assert (await EventLog.open(event_database)).epoch == restored.epoch
