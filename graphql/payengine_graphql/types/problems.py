"""What does a mutation say when it did not do what was asked?"""

from __future__ import annotations

import strawberry
from payengine.errors import PayengineError

__all__ = ["Problem", "problem"]


@strawberry.type(
    name="UserError",
    description="Why a mutation did not do what was asked. A decline is no error but a result.",
)
class Problem:
    """See the description."""

    code: str = strawberry.field(description="A stable code of the closed table of errors.")
    message: str = strawberry.field(description="The reason in a sentence, for people.")
    path: list[str] = strawberry.field(description="The input's field at fault; empty if none is.")
    retryable: bool = strawberry.field(
        description="Whether the same request may succeed later, unchanged."
    )


def problem(error: PayengineError) -> Problem:
    """The error for the wire."""
    return Problem(
        code=error.code,
        message=error.message,
        path=[str(part) for part in error.path],
        retryable=error.retryable,
    )
