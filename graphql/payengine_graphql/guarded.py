"""What happens to a mutation that fails?

Typed errors become entries of the payload; what nobody foresaw becomes INTERNAL with a reference
that finds it in the log. Card numbers are looked for in every text of the input first.
"""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import structlog
from payengine.errors import PayengineError, SensitiveDataRefused
from payengine.screen import contains_card_number, screen_mapping

from payengine_graphql.context import Wire
from payengine_graphql.types.problems import Problem, problem

__all__ = ["guarded", "internal_message", "screen", "trace_of"]

T = TypeVar("T")

_FRAMES = 12

_log = structlog.get_logger(__name__)


def internal_message(reference: str) -> str:
    """The words for a failure that nobody foresaw."""
    return f"Something went wrong here; the reference {reference} finds it in the log."


def trace_of(failure: BaseException) -> list[str]:
    """Where it was raised, innermost last: no values, for those may be secret or personal."""
    frames = traceback.extract_tb(failure.__traceback__)
    return [f"{Path(at.filename).name}:{at.lineno} {at.name}" for at in frames[-_FRAMES:]]


def screen(given: object, path: tuple[str, ...] = ()) -> None:
    """Raise `SensitiveDataRefused` where a text of the input holds a card number."""
    if isinstance(given, str):
        if contains_card_number(given):
            raise SensitiveDataRefused(path=path)
    elif isinstance(given, Mapping | list):
        screen_mapping(given, path=path)
    elif dataclasses.is_dataclass(given):
        for name, value in vars(given).items():
            if value is None or isinstance(value, int | Enum):
                continue
            if isinstance(value, str) and not contains_card_number(value):
                continue
            screen(value, (*path, _camel(name)))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


async def guarded(
    info: Wire,
    mutation: str,
    given: Any,
    work: Callable[[], Awaitable[T]],
    *,
    scope: str,
) -> tuple[T | None, list[Problem]]:
    """What `work` gives, or why it gave nothing."""
    context = info.context
    try:
        context.require(scope)
        screen(given)
        return await work(), []
    except PayengineError as error:
        context.services.count(mutation, error.code)
        return None, [problem(error)]
    except Exception as failure:
        _log.error(
            "mutation_failed",
            mutation=mutation,
            reference=context.request_id,
            failure=type(failure).__name__,
            trace=trace_of(failure),
        )
        context.services.count(mutation, "INTERNAL")
        message = internal_message(context.request_id)
        return None, [Problem(code="INTERNAL", message=message, path=[], retryable=False)]
