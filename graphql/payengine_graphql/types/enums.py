"""Which words does the API use for the states of payments and operations?"""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry

__all__ = [
    "CaptureMethod",
    "DeclineCategory",
    "EvidenceSource",
    "OperationKind",
    "OperationStatus",
    "PaymentStatus",
]


def _value(value: str, description: str) -> Any:
    return strawberry.enum_value(value, description=description)


@strawberry.enum(description="Where a payment stands; refunds and disputes are amounts.")
class PaymentStatus(Enum):
    """See the description."""

    CREATED = _value("CREATED", "Nothing was sent to a gateway yet, or it is safe to try again.")
    PROCESSING = _value("PROCESSING", "A gateway's answer is awaited; do not pay in another way.")
    REQUIRES_ACTION = _value("REQUIRES_ACTION", "The buyer must act: follow `nextAction`.")
    IN_REVIEW = _value("IN_REVIEW", "Held until somebody has looked at it.")
    AUTHORIZED = _value("AUTHORIZED", "The amount is held and can be captured.")
    CAPTURED = _value("CAPTURED", "Money was taken, all of it or a part.")
    DECLINED = _value("DECLINED", "Refused; another method may be tried by `confirmPayment`.")
    CANCELED = _value("CANCELED", "Given up before any money was taken.")
    EXPIRED = _value("EXPIRED", "The hold ended before any money was taken.")


@strawberry.enum(description="When the money is taken.")
class CaptureMethod(Enum):
    """See the description."""

    AUTOMATIC = _value("AUTOMATIC", "At once, in the same request to the gateway.")
    MANUAL = _value("MANUAL", "Held first; `capturePayment` takes it.")


@strawberry.enum(description="What an operation asks of the gateway.")
class OperationKind(Enum):
    """See the description."""

    AUTHORIZE = _value("authorize", "Hold the amount, and take it where `captures` is set.")
    INCREMENT = _value("increment", "Raise what is held.")
    CAPTURE = _value("capture", "Take what is held, or a part of it.")
    VOID = _value("void", "Release what is held.")
    REFUND = _value("refund", "Give back what was captured, or a part of it.")
    DISPUTE = _value("dispute", "The buyer's bank takes money back.")


@strawberry.enum(description="What became of an operation.")
class OperationStatus(Enum):
    """See the description."""

    CREATED = _value("created", "Written down, not sent yet.")
    SENDING = _value("sending", "About to be sent, or under way.")
    UNKNOWN = _value("unknown", "No answer; only evidence ends this, never a guess.")
    PENDING = _value("pending", "The gateway has it and will decide later.")
    REQUIRES_ACTION = _value("requires_action", "The buyer must act first.")
    SUCCEEDED = _value("succeeded", "Done.")
    DECLINED = _value("declined", "Refused.")
    NOT_SENT = _value("not_sent", "Proved not to have reached the gateway.")
    CANCELED = _value("canceled", "Given up before it took effect.")
    EXPIRED = _value("expired", "Ended by time.")


@strawberry.enum(description="Where the outcome of an operation was found.")
class EvidenceSource(Enum):
    """See the description."""

    ANSWER = _value("answer", "The gateway's answer to the request.")
    LOOKUP = _value("lookup", "A question to the gateway about the operation's key.")
    RESEND = _value("resend", "The answer to the same request, sent again with its key.")
    WEBHOOK = _value("webhook", "A verified message from the gateway.")
    SETTLEMENT = _value("settlement", "A line of the gateway's settlement.")
    PERSON = _value("person", "A named person.")
    ENGINE = _value("engine", "The engine's own proof, such as a hold that ran out.")


@strawberry.enum(description="What a refusal means for the next try.")
class DeclineCategory(Enum):
    """See the description."""

    HARD = _value("hard", "Never present this card again.")
    NEW_METHOD = _value("new_method", "Another or an updated method may work.")
    CUSTOMER_ACTION = _value("customer_action", "The buyer has to do something first.")
    SOFT = _value("soft", "The same method may work later.")
    TECHNICAL = _value("technical", "Try again soon, or through another gateway.")
    INTEGRATION = _value("integration", "The set-up is at fault, not the buyer.")
