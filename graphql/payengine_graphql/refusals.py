"""What does the wire itself refuse, before any service is asked?

These join the closed table of `payengine.errors`; `status` is the HTTP status of the answer.
"""

from __future__ import annotations

from typing import ClassVar

from payengine.errors import (
    PayengineError,
    QueryRefused,
    RateLimited,
    Unauthenticated,
    WebhookEndpointUnknown,
    WebhookRejected,
)

__all__ = [
    "BodyTooLarge",
    "DeadlineExceeded",
    "MediaTypeUnsupported",
    "MethodNotAllowed",
    "Overloaded",
    "QueryInvalid",
    "RequestMalformed",
    "WireRefusal",
    "status_of",
]


class WireRefusal(PayengineError):
    """The request cannot be read."""

    code = "REQUEST_REFUSED"
    status: ClassVar[int] = 400


class RequestMalformed(WireRefusal):
    """The body is not one JSON object with a text `query`."""

    code = "REQUEST_MALFORMED"


class MethodNotAllowed(WireRefusal):
    """GraphQL requests are sent by POST."""

    code = "METHOD_NOT_ALLOWED"
    status = 405


class MediaTypeUnsupported(WireRefusal):
    """The body must be sent as `Content-Type: application/json`."""

    code = "UNSUPPORTED_MEDIA_TYPE"
    status = 415


class BodyTooLarge(WireRefusal):
    """The body is larger than is allowed."""

    code = "BODY_TOO_LARGE"
    status = 413


class QueryInvalid(WireRefusal):
    """The GraphQL document does not fit the schema."""

    code = "QUERY_INVALID"


class DeadlineExceeded(WireRefusal):
    """The request took too long. A mutation goes on: send the same idempotency key to see it."""

    code = "DEADLINE_EXCEEDED"
    retryable = True
    status = 504


class Overloaded(RateLimited):
    """The server has as many requests in flight as it takes; nothing was done, try again."""

    code = "OVERLOADED"


_STATUS: dict[type[PayengineError], int] = {
    Unauthenticated: 401,
    Overloaded: 503,
    RateLimited: 429,
    QueryRefused: 400,
    WebhookEndpointUnknown: 404,
    WebhookRejected: 400,
}


def status_of(error: PayengineError) -> int:
    """The HTTP status of an answer that consists of this error alone."""
    if isinstance(error, WireRefusal):
        return error.status
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 400)
