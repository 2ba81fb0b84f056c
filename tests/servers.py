"""Where do the tests' servers live?

Not in pytest's `tmp_path`: that lies below a folder which only its owner may enter, and as root
the servers run as somebody else.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from payengine.embedded import forget, running_servers
from payengine.errors import PayengineError
from payengine.settings import Settings
from payengine.storage import migrate

__all__ = ["HomeOfTest", "forget_the_dead", "migrated_home", "temporary_home", "test_home"]

_PREFIX = "payengine-test-"
_OLD_S = 3_600


class HomeOfTest(NamedTuple):
    """Settings whose home is temporary, and where its servers are."""

    settings: Settings
    home: Path
    owner_url: str
    login_url: str
    redis_url: str | None


@contextmanager
def temporary_home() -> Iterator[Path]:
    """The path of a data folder that does not exist yet, below a folder that all may enter."""
    above = Path(tempfile.mkdtemp(prefix=_PREFIX, dir="/tmp"))  # short, for the sockets
    above.chmod(0o711)
    try:
        yield above / "home"
    finally:
        shutil.rmtree(above)


def _old_folders() -> list[Path]:
    found = []
    for each in Path("/tmp").glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another run may be tidying up too
            if each.stat().st_mtime < time.time() - _OLD_S:
                found.append(each)
    return found


async def forget_the_dead() -> None:
    """Stop and delete what test runs left that were killed more than an hour ago."""
    for above in _old_folders():
        with suppress(OSError, PayengineError):
            await forget(Settings.from_environment({}, home=above / "home"))
            shutil.rmtree(above)


@asynccontextmanager
async def test_home(**overrides: Any) -> AsyncIterator[HomeOfTest]:
    """A new data folder with running servers; both are gone afterwards.

    `overrides` are settings. Variables of the caller's environment do not count.
    """
    with temporary_home() as home:
        settings = Settings.from_environment({}, home=home, **overrides)
        async with running_servers(settings) as servers:
            yield HomeOfTest(settings, settings.home, *servers)


@asynccontextmanager
async def migrated_home(**overrides: Any) -> AsyncIterator[HomeOfTest]:
    """As `test_home`, with the tables in place."""
    async with test_home(**overrides) as home:
        await migrate(owner_url=home.owner_url, login_url=home.login_url)
        yield home


test_home.__test__ = False  # type: ignore[attr-defined]  # pytest must not collect it
