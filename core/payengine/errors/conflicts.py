"""What is refused because of how things stand now?"""

from __future__ import annotations

from payengine.errors.base import Conflict

__all__ = [
    "AuthorizationExceeded",
    "CaptureExceedsAuthorized",
    "ChargesNotEnabled",
    "CreditNoteExceedsInvoice",
    "EvidenceDeadlinePassed",
    "FraudRefused",
    "FxQuoteExpired",
    "FxQuoteUsed",
    "HoldAlreadyResolved",
    "HoldExpired",
    "IdempotencyConflict",
    "InsufficientAvailableBalance",
    "InvoiceInvalidTransition",
    "LeaseLost",
    "LedgerAmountNotPositive",
    "LedgerTransactionConflict",
    "LedgerUnbalanced",
    "OperationInFlight",
    "PayoutsNotEnabled",
    "RateNotAvailable",
    "RefundExceedsCaptured",
    "RefundExceedsRemaining",
    "ReviewClaimed",
    "ReviewSettled",
    "TaxNotKnown",
    "TransitionRefused",
    "WalletTokenReplayed",
]


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


class FraudRefused(Conflict):
    """Fraud rules stop this; read their decision, and ask somebody who may let it go."""

    code = "FRAUD_REFUSED"


class RefundExceedsCaptured(Conflict):
    """The refund exceeds what is captured and not yet refunded, charged back or reserved."""

    code = "REFUND_EXCEEDS_CAPTURED"


class RefundExceedsRemaining(Conflict):
    """More would be given back than is still refundable; ask for less."""

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
    """The account's available balance is smaller than the amount; read it, and ask for less."""

    code = "INSUFFICIENT_AVAILABLE_BALANCE"


class ChargesNotEnabled(Conflict):
    """This account may not take payments until it is `ACTIVE`; its status says what is missing."""

    code = "CHARGES_NOT_ENABLED"


class PayoutsNotEnabled(Conflict):
    """This account may not be paid out until it is `ACTIVE`; its money stays available."""

    code = "PAYOUTS_NOT_ENABLED"


class FxQuoteExpired(Conflict):
    """The time in which this exchange rate was promised is over; make another quote."""

    code = "FX_QUOTE_EXPIRED"


class FxQuoteUsed(Conflict):
    """This quote was used before, and is for one conversion; make another one."""

    code = "FX_QUOTE_USED"


class RateNotAvailable(Conflict):
    """No exchange rate of these currencies is known for that day; push one, or enable a source."""

    code = "RATE_NOT_AVAILABLE"


class CreditNoteExceedsInvoice(Conflict):
    """The credit note exceeds what earlier ones left of the invoice; credit less."""

    code = "CREDIT_NOTE_EXCEEDS_INVOICE"


class TaxNotKnown(Conflict):
    """The tax of this invoice is not known, and none is guessed: it waits for the calculator."""

    code = "TAX_NOT_KNOWN"


class InvoiceInvalidTransition(Conflict):
    """The invoice's present status does not allow this; read it again."""

    code = "INVOICE_INVALID_TRANSITION"


class LeaseLost(Conflict):
    """This work was handed to another worker meanwhile; nothing was written."""

    code = "LEASE_LOST"
    retryable = True
