"""Where do the tests' servers live?

Not in pytest's `tmp_path`: that lies below a folder which only its owner may enter, and as root
the servers run as somebody else.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from payengine.embedded import running_servers
from payengine.settings import Settings

__all__ = ["HomeOfTest", "temporary_home", "test_home"]


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
    above = Path(tempfile.mkdtemp(prefix="payengine-test-", dir="/tmp"))  # short, for the sockets
    above.chmod(0o711)
    try:
        yield above / "home"
    finally:
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


test_home.__test__ = False  # type: ignore[attr-defined]  # pytest must not collect it
