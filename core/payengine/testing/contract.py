"""Which tests does a gateway plugin inherit?

Plain methods, each with an event loop of its own: they run under pytest with any plugins and any
configuration. pytest is imported only where a test is skipped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from payengine.testing.case import GatewayCase, NotApplicable
from payengine.testing.checks import CHECKS

__all__ = ["GatewayContract"]


class GatewayContract:
    """Inherit it in a class whose name starts with `Test`, and give `case`."""

    checks: ClassVar[dict[str, Callable[[GatewayCase], Coroutine[Any, Any, None]]]] = CHECKS

    def case(self) -> GatewayCase:
        """The gateway under test with its samples; made anew for each test."""
        raise NotImplementedError

    def _keeps(self, name: str) -> None:
        """Run one check in a loop of its own; the current event loop stays as it is."""
        case = self.case()
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(_checked(name, case))
        except NotApplicable as why:
            import pytest

            pytest.skip(str(why))
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()


async def _checked(name: str, case: GatewayCase) -> None:
    try:
        await CHECKS[name](case)
    finally:
        await case.aclose()


def _test(name: str) -> Callable[[GatewayContract], None]:
    def test(self: GatewayContract) -> None:
        self._keeps(name)

    test.__name__ = f"test_{name}"
    test.__qualname__ = f"GatewayContract.test_{name}"
    test.__doc__ = CHECKS[name].__doc__
    return test


for _name in CHECKS:
    setattr(GatewayContract, f"test_{_name}", _test(_name))
