"""How does an answer look, and what may an error tell?

Codes and sentences; never a traceback, SQL, a path or a value of the engine's. What nobody foresaw
is INTERNAL with a reference that finds it in the log.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import structlog
from payengine.errors import PayengineError
from payengine.screen import redact

from graphql import ExecutionResult, GraphQLError
from payengine_graphql.guarded import internal_message, trace_of

__all__ = ["encode", "error_answer", "plain_error", "plain_result", "shown_errors"]

_log = structlog.get_logger(__name__)
_encoder = msgspec.json.Encoder()

#: Failures of a document before anything ran, and of a value that a client sent.
_DOCUMENT = "QUERY_INVALID"
_VALUE = "INPUT_INVALID"


def plain_error(error: PayengineError) -> dict[str, Any]:
    """A typed error as an entry of `errors`."""
    extensions: dict[str, Any] = {"code": error.code}
    if error.path:
        extensions["path"] = [str(part) for part in error.path]
    if error.retryable:
        extensions["retryable"] = True
    return {"message": error.message, "extensions": extensions}


def error_answer(error: PayengineError) -> bytes:
    """An answer that consists of one typed error."""
    return encode({"errors": [plain_error(error)]})


def encode(answer: dict[str, Any]) -> bytes:
    """The answer as JSON."""
    return _encoder.encode(answer)


def plain_result(result: ExecutionResult, *, reference: str) -> dict[str, Any]:
    """What was executed, with its errors made presentable."""
    answer: dict[str, Any] = {}
    if result.errors:
        answer["errors"] = shown_errors(result.errors, reference=reference, code=_VALUE)
    answer["data"] = result.data
    return answer


def shown_errors(
    errors: Iterable[GraphQLError], *, reference: str, code: str = _DOCUMENT
) -> list[dict[str, Any]]:
    """Entries of `errors`; those that carry no typed error and blame the client get `code`."""
    return [_shown(error, reference=reference, code=code) for error in errors]


def _shown(error: GraphQLError, *, reference: str, code: str) -> dict[str, Any]:
    cause = _cause(error)
    if isinstance(cause, PayengineError):
        entry = plain_error(cause)
    elif cause is None or not error.path:
        # Without a path nothing was executed: the document or its variables are at fault.
        entry = {"message": redact(error.message), "extensions": {"code": code}}
    else:
        _log.error(
            "request_failed",
            reference=reference,
            path=".".join(str(part) for part in error.path),
            failure=type(cause).__name__,
            trace=trace_of(cause),
        )
        entry = {"message": internal_message(reference), "extensions": {"code": "INTERNAL"}}
    if error.path:
        entry["path"] = error.path
    if error.locations:
        entry["locations"] = [
            {"line": place.line, "column": place.column} for place in error.locations
        ]
    return entry


def _cause(error: GraphQLError) -> BaseException | None:
    """What was raised inside; None where graphql-core itself refuses what the client sent."""
    cause: BaseException | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error or cause.__cause__
    return cause
