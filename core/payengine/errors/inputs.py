"""Which input is refused, and what is to be changed about it?"""

from __future__ import annotations

from payengine.errors.base import InputInvalid

__all__ = [
    "AmountNotPositive",
    "AmountTooLarge",
    "AmountTooSmall",
    "CurrencyMismatch",
    "CursorInvalid",
    "EventPeriodFinalized",
    "EventTimestampOutOfRange",
    "EvidenceRefused",
    "IdempotencyKeyMalformed",
    "PaymentMethodInvalid",
    "PluginSettingsInvalid",
    "PriceCurrencyNotAvailable",
    "RoutingPolicyInvalid",
    "SensitiveDataRefused",
    "SplitExceedsAmount",
    "SplitNotExhaustive",
    "UnknownCurrency",
    "WalletTokenRefused",
    "WebhookRejected",
    "WebhookUrlRefused",
]


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
    """The amount is worth less than one minor unit of the other currency; exchange more."""

    code = "AMOUNT_TOO_SMALL"


class SplitExceedsAmount(InputInvalid):
    """The parts of the split are together more than the amount; lower them."""

    code = "SPLIT_EXCEEDS_AMOUNT"


class SplitNotExhaustive(InputInvalid):
    """The parts of the split are together less than the amount; let one take the remainder."""

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
    """The price is not offered in this currency; nothing is converted: add another price."""

    code = "PRICE_CURRENCY_NOT_AVAILABLE"


class EventTimestampOutOfRange(InputInvalid):
    """A usage event lies at most 35 days in the past and 5 minutes in the future."""

    code = "EVENT_TIMESTAMP_OUT_OF_RANGE"


class EventPeriodFinalized(InputInvalid):
    """The usage event's period is invoiced and its meter takes no late ones; bill it by hand."""

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


class PluginSettingsInvalid(InputInvalid):
    """The plugin's settings do not fit its schema."""

    code = "PLUGIN_SETTINGS_INVALID"
