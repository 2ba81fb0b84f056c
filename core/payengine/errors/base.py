"""What can go wrong, whatever the room?

The base of all errors, and those that stand alone.
"""

from __future__ import annotations

import re
from typing import ClassVar

__all__ = [
    "ConfigurationError",
    "Conflict",
    "DatabaseUnavailable",
    "EnvironmentProblem",
    "GatewayUnavailable",
    "InputInvalid",
    "NotFound",
    "PayengineError",
    "PermissionDenied",
    "PluginIncompatible",
    "PluginNotEnabled",
    "PluginNotFound",
    "QueryRefused",
    "RateLimited",
    "RecoveryLinkInvalid",
    "Unauthenticated",
    "VaultSealed",
    "WalletUnavailable",
    "WebhookEndpointUnknown",
]


class PayengineError(Exception):
    """Something went wrong inside the engine."""

    code: ClassVar[str] = "INTERNAL"
    #: Whether the same request may be sent again unchanged with a hope of another result.
    retryable: ClassVar[bool] = False

    def __init__(self, message: str | None = None, *, path: tuple[str, ...] = ()) -> None:
        """`message` replaces the docstring; `path` names the input field that is at fault."""
        self.message = message or re.sub(r"\s+", " ", type(self).__doc__ or "").strip()
        self.path = path
        super().__init__(self.message)


class ConfigurationError(PayengineError):
    """A setting has a value that cannot be used."""

    code = "CONFIGURATION"


class EnvironmentProblem(PayengineError):
    """This machine lacks something that the engine needs."""

    code = "ENVIRONMENT"


class InputInvalid(PayengineError):
    """A field of the input has a value that cannot be accepted."""

    code = "INPUT_INVALID"


class Conflict(PayengineError):
    """The object is in a state that forbids this."""

    code = "CONFLICT"


class NotFound(PayengineError):
    """There is no such object in this tenant."""

    code = "NOT_FOUND"


class RecoveryLinkInvalid(NotFound):
    """This link has ended or is not whole; a newer message has a newer link."""

    code = "RECOVERY_LINK_INVALID"


class WebhookEndpointUnknown(NotFound):
    """No provider's webhooks are taken at this address; its endpoint may have been revoked."""

    code = "WEBHOOK_ENDPOINT_UNKNOWN"


class Unauthenticated(PayengineError):
    """A valid API key is needed: send `Authorization: Bearer <key>`."""

    code = "UNAUTHENTICATED"


class PermissionDenied(PayengineError):
    """The API key lacks the scope that this needs."""

    code = "PERMISSION_DENIED"


class RateLimited(PayengineError):
    """Too many requests; wait and try again."""

    code = "RATE_LIMITED"
    retryable = True


class QueryRefused(PayengineError):
    """The GraphQL document is larger or costlier than is allowed."""

    code = "QUERY_REFUSED"


class GatewayUnavailable(PayengineError):
    """No gateway can take this payment now; nothing was sent, so it is safe to try again."""

    code = "GATEWAY_UNAVAILABLE"
    retryable = True


class WalletUnavailable(PayengineError):
    """The wallet does not answer now; nothing was charged, so it is safe to try again."""

    code = "WALLET_UNAVAILABLE"
    retryable = True


class DatabaseUnavailable(PayengineError):
    """The database is away; ask again with the same idempotency key, and nothing happens twice."""

    code = "UNAVAILABLE"
    retryable = True


class PluginNotFound(PayengineError):
    """No plugin of this name is installed."""

    code = "PLUGIN_NOT_FOUND"


class PluginNotEnabled(PayengineError):
    """The plugin is not enabled for this tenant."""

    code = "PLUGIN_NOT_ENABLED"


class PluginIncompatible(PayengineError):
    """The plugin was built for another version of the plugin contract."""

    code = "PLUGIN_INCOMPATIBLE"


class VaultSealed(PayengineError):
    """A secret cannot be opened: the master key is missing or is another one."""

    code = "VAULT_SEALED"
