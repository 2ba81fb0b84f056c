"""What does a worked example look like, and what does it say when it cannot run?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import pytest
from payengine.context import TenantContext
from payengine.storage import Database

from tests.engines import Till

__all__ = ["Case", "World", "choose", "compare", "not_built", "require_keys", "unknown_shape"]


class World(NamedTuple):
    """A real database and a tenant that nobody used before; `till` opens an engine apart."""

    database: Database
    context: TenantContext
    till: Callable[[], Awaitable[Till]] | None = None


class Case(NamedTuple):
    """One example: its name and the production code that it is put to."""

    id: str
    run: Callable[[World], Awaitable[None]]


def not_built(reason: str) -> NoReturn:
    """Skip aloud: the examples are ahead of the code."""
    pytest.skip(reason)


def unknown_shape(what: str) -> NoReturn:
    """Fail: an example that nothing reads is no proof of anything."""
    pytest.fail(f"unknown shape: {what}", pytrace=False)


def require_keys(given: dict[str, Any], known: set[str], *, of: str) -> None:
    """Fail on keys that the runner would pass over in silence."""
    surplus = sorted(set(given) - known)
    if surplus:
        unknown_shape(f"{of} has {surplus}")


def compare(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Everything that is expected was found; what nobody computes fails as an unknown shape."""
    if "error" in found or "error" in expected:
        assert found.get("error") == expected.get("error")
    surplus = sorted(set(expected) - set(found))
    if surplus:
        unknown_shape(f"what is expected has {surplus}")
    assert {name: found[name] for name in expected} == expected


def choose(
    inputs: dict[str, Any],
    shapes: Sequence[tuple[set[str], Callable[[dict[str, Any]], dict[str, Any]]]],
    *,
    of: str,
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The first shape whose keys the inputs have."""
    found = next((shape for needed, shape in shapes if needed <= set(inputs)), None)
    return found or unknown_shape(f"{of} of {sorted(inputs)}")
