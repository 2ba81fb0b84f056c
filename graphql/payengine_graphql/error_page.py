"""Which errors are there?

`python -m payengine_graphql.error_page > docs/errors/README.md` writes the page from the closed
table, so that the two cannot differ.
"""

from __future__ import annotations

import re
import sys

from payengine import errors
from payengine.errors import PayengineError, all_errors

from payengine_graphql import refusals

__all__ = ["error_page", "table"]

_HEAD = """# Errors

Each error has a stable `code`; programs read the code, people read the message, which may change.

- A mutation answers with its errors in the payload: `errors { code message path retryable }`,
  empty where it was done. `path` names the input's field at fault.
- A query answers with GraphQL errors: `errors[].extensions.code`.
- What is refused before a document is read has the same shape and an HTTP status.
- `retryable`: the same request may succeed later, unchanged. Send it with the same idempotency key.
- A decline is no error: the payment is `DECLINED` and says why in `decline`.
- `INTERNAL` carries a reference that finds the failure in the server's log, and nothing else.

| code | HTTP status | retryable | what it says |
|---|---|---|---|
"""


def error_page() -> str:
    """The page, as it is committed."""
    rows = [_row(error) for error in table().values()]
    return _HEAD + "\n".join(rows) + "\n"


def table() -> dict[str, type[PayengineError]]:
    """The engine's errors and the wire's; what a plugin or a test defines is not of the table."""
    homes = (errors.__name__, refusals.__name__)
    return {
        code: error
        for code, error in all_errors().items()
        if error.__module__ in homes or error.__module__.startswith(f"{errors.__name__}.")
    }


def _row(error: type[PayengineError]) -> str:
    words = re.sub(r"\s+", " ", error.__doc__ or "").strip().replace("|", "\\\\|")
    status = str(refusals.status_of(error())) if _stands_alone(error) else "200"
    return f"| `{error.code}` | {status} | {'yes' if error.retryable else 'no'} | {words} |"


def _stands_alone(error: type[PayengineError]) -> bool:
    """Whether the error can be the whole answer, with a status of its own."""
    return error().code in _ALONE


_ALONE = frozenset(
    {
        "BODY_TOO_LARGE",
        "DEADLINE_EXCEEDED",
        "METHOD_NOT_ALLOWED",
        "OVERLOADED",
        "RATE_LIMITED",
        "REQUEST_MALFORMED",
        "UNAUTHENTICATED",
        "UNSUPPORTED_MEDIA_TYPE",
        "WEBHOOK_ENDPOINT_UNKNOWN",
        "WEBHOOK_REJECTED",
    }
)


if __name__ == "__main__":
    sys.stdout.write(error_page())
