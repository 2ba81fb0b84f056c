"""What is a failure?

One closed table. Every error that the engine raises on purpose is a `PayengineError`; its class
carries a stable `code`, and the class docstring is its default message. What the gateway decided
(a decline) is a result and never an exception.
"""

from __future__ import annotations

import re
from typing import ClassVar

__all__ = [
    "AmountNotPositive",
    "AmountTooLarge",
    "AmountTooSmall",
    "AuthorizationExceeded",
    "CaptureExceedsAuthorized",
    "ConfigurationError",
    "Conflict",
    "CreditNoteExceedsInvoice",
    "CurrencyMismatch",
    "CursorInvalid",
    "DatabaseUnavailable",
    "EnvironmentProblem",
    "EventPeriodFinalized",
    "EventTimestampOutOfRange",
    "EvidenceDeadlinePassed",
    "EvidenceRefused",
    "FxQuoteExpired",
    "GatewayUnavailable",
    "HoldAlreadyResolved",
    "HoldExpired",
    "IdempotencyConflict",
    "IdempotencyKeyMalformed",
    "InputInvalid",
    "InsufficientAvailableBalance",
    "InvoiceInvalidTransition",
    "LeaseLost",
    "LedgerAmountNotPositive",
    "LedgerTransactionConflict",
    "LedgerUnbalanced",
    "NotFound",
    "OperationInFlight",
    "PayengineError",
    "PaymentMethodInvalid",
    "PayoutsNotEnabled",
    "PermissionDenied",
    "PluginIncompatible",
    "PluginNotEnabled",
    "PluginNotFound",
    "PluginSettingsInvalid",
    "PriceCurrencyNotAvailable",
    "QueryRefused",
    "RateLimited",
    "RateNotAvailable",
    "RefundExceedsCaptured",
    "RefundExceedsRemaining",
    "ReviewClaimed",
    "ReviewSettled",
    "RoutingPolicyInvalid",
    "SensitiveDataRefused",
    "SplitExceedsAmount",
    "SplitNotExhaustive",
    "TransitionRefused",
    "Unauthenticated",
    "UnknownCurrency",
    "VaultSealed",
    "WalletTokenRefused",
    "WalletTokenReplayed",
    "WalletUnavailable",
    "WebhookEndpointUnknown",
    "WebhookRejected",
    "WebhookUrlRefused",
    "all_errors",
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


class UnknownCurrency(InputInvalid):
    """The currency is not an active ISO 4217 code."""

    code = "CURRENCY_UNKNOWN"


class CurrencyMismatch(InputInvalid):
    """The currency differs from the currency of the payment."""

    code = "CURRENCY_MISMATCH"


class AmountNotPositive(InputInvalid):
    """The amount must be greater than zero, in minor units."""

    code = "AMOUNT_NOT_POSITIVE"


class AmountTooLarge(InputInvalid):
    """The amount exceeds the largest that can be charged: 999,999,999,999 minor units."""

    code = "AMOUNT_TOO_LARGE"


class AmountTooSmall(InputInvalid):
    """The amount is worth less than one minor unit of the other currency."""

    code = "AMOUNT_TOO_SMALL"


class SplitExceedsAmount(InputInvalid):
    """The parts of the split are together more than the amount."""

    code = "SPLIT_EXCEEDS_AMOUNT"


class SplitNotExhaustive(InputInvalid):
    """The parts of the split are together less than the amount, and none takes the remainder."""

    code = "SPLIT_NOT_EXHAUSTIVE"


class IdempotencyKeyMalformed(InputInvalid):
    """An idempotency key has 1 to 255 printable ASCII characters and no spaces at its ends."""

    code = "IDEMPOTENCY_KEY_MALFORMED"


class PaymentMethodInvalid(InputInvalid):
    """The payment method cannot be used for this payment."""

    code = "PAYMENT_METHOD_INVALID"


class WalletTokenRefused(PaymentMethodInvalid):
    """The wallet's token is not genuine, not fresh, or not meant for this merchant."""

    code = "WALLET_TOKEN_REFUSED"


class EvidenceRefused(InputInvalid):
    """This cannot be evidence: its type, its size or its content is not accepted."""

    code = "EVIDENCE_REFUSED"


class PriceCurrencyNotAvailable(InputInvalid):
    """The price is not offered in this currency; nothing is converted."""

    code = "PRICE_CURRENCY_NOT_AVAILABLE"


class EventTimestampOutOfRange(InputInvalid):
    """A usage event lies at most 35 days in the past and 5 minutes in the future."""

    code = "EVENT_TIMESTAMP_OUT_OF_RANGE"


class EventPeriodFinalized(InputInvalid):
    """The period of the usage event is invoiced already, and the meter takes no late ones."""

    code = "EVENT_PERIOD_FINALIZED"


class RoutingPolicyInvalid(InputInvalid):
    """The routing policy does not fit its form, or names what is not there."""

    code = "ROUTING_POLICY_INVALID"


class SensitiveDataRefused(InputInvalid):
    """The input contains what looks like a card number; send a token of the provider instead."""

    code = "SENSITIVE_DATA_REFUSED"


class CursorInvalid(InputInvalid):
    """The cursor was not issued by this feed, or the feed began anew since it was issued."""

    code = "CURSOR_INVALID"


class WebhookRejected(InputInvalid):
    """The call is not proved to come from the provider, or cannot be read; nothing was kept."""

    code = "WEBHOOK_REJECTED"


class WebhookUrlRefused(InputInvalid):
    """Webhooks cannot be sent to this URL."""

    code = "WEBHOOK_URL_REFUSED"


class Conflict(PayengineError):
    """The object is in a state that forbids this."""

    code = "CONFLICT"


class IdempotencyConflict(Conflict):
    """This idempotency key was used before with another input."""

    code = "IDEMPOTENCY_CONFLICT"


class WalletTokenReplayed(Conflict):
    """This wallet's token was used before; each pays once."""

    code = "WALLET_TOKEN_REPLAYED"


class TransitionRefused(Conflict):
    """The payment's present state does not allow this operation."""

    code = "TRANSITION_REFUSED"


class OperationInFlight(Conflict):
    """An earlier operation on this payment has no known outcome yet; nothing new may start."""

    code = "OPERATION_IN_FLIGHT"
    retryable = True


class AuthorizationExceeded(Conflict):
    """The authorization cannot be raised to this amount."""

    code = "AUTHORIZATION_EXCEEDED"


class CaptureExceedsAuthorized(Conflict):
    """The capture exceeds what is still authorized and not yet captured, voided or reserved."""

    code = "CAPTURE_EXCEEDS_AUTHORIZED"


class RefundExceedsCaptured(Conflict):
    """The refund exceeds what is captured and not yet refunded, charged back or reserved."""

    code = "REFUND_EXCEEDS_CAPTURED"


class RefundExceedsRemaining(Conflict):
    """More would be given back than is still refundable."""

    code = "REFUND_EXCEEDS_REMAINING"


class EvidenceDeadlinePassed(Conflict):
    """The last instant at which evidence counts in this dispute is over."""

    code = "EVIDENCE_DEADLINE_PASSED"


class ReviewClaimed(Conflict):
    """Somebody else has claimed this review; wait until the claim ends or is released."""

    code = "REVIEW_CLAIMED"
    retryable = True


class ReviewSettled(Conflict):
    """What is to be settled here has been settled meanwhile; read it again."""

    code = "REVIEW_SETTLED"


class HoldAlreadyResolved(Conflict):
    """The pending transfer was posted, voided or expired before."""

    code = "HOLD_ALREADY_RESOLVED"


class HoldExpired(Conflict):
    """The authorization, or the pending transfer behind it, has expired."""

    code = "HOLD_EXPIRED"


class LedgerUnbalanced(Conflict):
    """The entries do not balance in each currency."""

    code = "LEDGER_UNBALANCED"


class LedgerAmountNotPositive(Conflict):
    """Every ledger entry has an amount greater than zero."""

    code = "LEDGER_AMOUNT_NOT_POSITIVE"


class LedgerTransactionConflict(Conflict):
    """A ledger transaction with this id exists and has other transfers."""

    code = "LEDGER_TRANSACTION_CONFLICT"


class InsufficientAvailableBalance(Conflict):
    """The account's available balance is smaller than the amount."""

    code = "INSUFFICIENT_AVAILABLE_BALANCE"


class PayoutsNotEnabled(Conflict):
    """This account may not be paid out yet: it is not verified, or it is paused or rejected."""

    code = "PAYOUTS_NOT_ENABLED"


class FxQuoteExpired(Conflict):
    """The time in which this exchange rate was promised is over."""

    code = "FX_QUOTE_EXPIRED"


class RateNotAvailable(Conflict):
    """No exchange rate is known for this pair of currencies on that date or shortly before."""

    code = "RATE_NOT_AVAILABLE"


class CreditNoteExceedsInvoice(Conflict):
    """The credit note exceeds what earlier credit notes left of the invoice."""

    code = "CREDIT_NOTE_EXCEEDS_INVOICE"


class InvoiceInvalidTransition(Conflict):
    """The invoice's present status does not allow this."""

    code = "INVOICE_INVALID_TRANSITION"


class LeaseLost(Conflict):
    """This work was handed to another worker meanwhile; nothing was written."""

    code = "LEASE_LOST"
    retryable = True


class NotFound(PayengineError):
    """There is no such object in this tenant."""

    code = "NOT_FOUND"


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


class PluginSettingsInvalid(InputInvalid):
    """The plugin's settings do not fit its schema."""

    code = "PLUGIN_SETTINGS_INVALID"


class VaultSealed(PayengineError):
    """A secret cannot be opened: the master key is missing or is another one."""

    code = "VAULT_SEALED"


def all_errors() -> dict[str, type[PayengineError]]:
    """The closed table: every code with its class."""
    found: dict[str, type[PayengineError]] = {}
    queue: list[type[PayengineError]] = [PayengineError]
    while queue:
        error = queue.pop()
        found[error.code] = error
        queue.extend(error.__subclasses__())
    return dict(sorted(found.items()))
