"""How does PayPal refuse?

An error has a name that goes with its status, and issues in its details.
"""

from __future__ import annotations

import secrets
from typing import Any

__all__ = ["Dropped", "Problem", "bad", "missing", "refused"]

_NAMES = {
    400: (
        "INVALID_REQUEST",
        "Request is not well-formed, syntactically incorrect, or violates schema.",
    ),
    401: (
        "AUTHENTICATION_FAILURE",
        "Authentication failed due to missing authorization header, or invalid authentication"
        " credentials.",
    ),
    403: ("NOT_AUTHORIZED", "Authorization failed due to insufficient permissions."),
    404: ("RESOURCE_NOT_FOUND", "The specified resource does not exist."),
    409: (
        "RESOURCE_CONFLICT",
        "The server has detected a conflict while processing this request.",
    ),
    422: (
        "UNPROCESSABLE_ENTITY",
        "The requested action could not be performed, semantically incorrect, or failed business"
        " validation.",
    ),
    429: ("RATE_LIMIT_REACHED", "Too many requests. Blocked due to rate limiting."),
    500: ("INTERNAL_SERVER_ERROR", "An internal server error occurred."),
    503: ("SERVICE_UNAVAILABLE", "Service Unavailable."),
}


class Problem(Exception):
    """An error answer."""

    def __init__(self, status: int, issue: str = "", **detail: Any) -> None:
        super().__init__(f"{status} {issue}")
        self.status = status
        self.issue = issue
        self.detail = detail

    def body(self) -> dict[str, Any]:
        """The JSON body."""
        name, message = _NAMES[self.status]
        links = self.detail.pop("links", [])
        body: dict[str, Any] = {
            "name": name,
            "message": message,
            "debug_id": secrets.token_hex(7),
            "links": [
                {"href": f"https://developer.paypal.com/#error-{name}", "rel": "information_link"},
                *links,
            ],
        }
        if self.issue:
            body["details"] = [{"issue": self.issue, **self.detail}]
        return body


class Dropped(Exception):
    """The connection ends with no answer."""


def bad(issue: str, field: str = "") -> Problem:
    """400: the request is malformed."""
    return Problem(400, issue, **({"field": field} if field else {}))


def missing() -> Problem:
    """404."""
    return Problem(404, "INVALID_RESOURCE_ID")


def refused(issue: str) -> Problem:
    """422: understood, and not done."""
    return Problem(422, issue)
