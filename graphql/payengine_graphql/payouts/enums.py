"""Which words does the API of payouts use?"""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry

__all__ = [
    "PayoutDestinationStatus",
    "PayoutFinding",
    "PayoutHeldBecause",
    "PayoutInterval",
    "PayoutOrigin",
    "PayoutOutcome",
    "PayoutSource",
    "PayoutStatus",
    "PayoutWeekday",
]


def _value(value: str, description: str) -> Any:
    return strawberry.enum_value(value, description=description)


@strawberry.enum(description="Where a payout stands.")
class PayoutStatus(Enum):
    """See the description."""

    PENDING = _value("pending", "Its money is taken from the balance; it waits to be sent.")
    HELD = _value("held", "Its money is taken; a person must release it: see `heldBecause`.")
    SENDING = _value("sending", "It may have left; the rail has not answered yet.")
    UNKNOWN = _value("unknown", "The rail did not say whether it left; it is being looked up.")
    IN_TRANSIT = _value("in_transit", "The rail has it.")
    PAID = _value("paid", "It arrived; it may still come back.")
    FAILED = _value("failed", "It did not arrive; its money is back in the balance.")
    RETURNED = _value("returned", "It had arrived and came back; its money is in the balance.")
    CANCELED = _value("canceled", "It was called off before it left; its money is back.")


@strawberry.enum(description="Who wanted a payout.")
class PayoutOrigin(Enum):
    """See the description."""

    MANUAL = _value("manual", "Somebody called createPayout.")
    SCHEDULE = _value("schedule", "The account's schedule.")


@strawberry.enum(description="Why a payout is held.")
class PayoutHeldBecause(Enum):
    """See the description."""

    FRAUD_REVIEW = _value("fraud_review", "The fraud rules want a person to look.")
    HOLD = _value("hold", "A person has put the account's payouts on hold.")
    ACCOUNT_NOT_ACTIVE = _value("account_not_active", "The account may not be paid out now.")
    DESTINATION = _value("destination", "An earlier payout to its destination did not arrive.")
    RAIL_UNAVAILABLE = _value("rail_unavailable", "Its rail is not installed any more.")


@strawberry.enum(description="Whether money can go to a destination.")
class PayoutDestinationStatus(Enum):
    """See the description."""

    USABLE = _value("usable", "Nothing is known against it.")
    REQUIRES_UPDATE = _value("requires_update", "A payout did not arrive: save it once more.")
    REPLACED = _value("replaced", "Another one was saved since.")


@strawberry.enum(description="How often an account is paid out.")
class PayoutInterval(Enum):
    """See the description."""

    DAILY = _value("daily", "Every day.")
    WEEKLY = _value("weekly", "On `weekday`.")
    MONTHLY = _value("monthly", "On `anchorDay`, or the last day of a shorter month.")
    MANUAL = _value("manual", "Only by createPayout.")


@strawberry.enum(description="A day of the week.")
class PayoutWeekday(Enum):
    """See the description."""

    MONDAY = _value("monday", "Monday.")
    TUESDAY = _value("tuesday", "Tuesday.")
    WEDNESDAY = _value("wednesday", "Wednesday.")
    THURSDAY = _value("thursday", "Thursday.")
    FRIDAY = _value("friday", "Friday.")
    SATURDAY = _value("saturday", "Saturday.")
    SUNDAY = _value("sunday", "Sunday.")


@strawberry.enum(description="What a person says became of a payout.")
class PayoutOutcome(Enum):
    """See the description."""

    PAID = _value("paid", "It arrived.")
    FAILED = _value("failed", "It did not leave, or did not arrive.")
    RETURNED = _value("returned", "It arrived and came back.")


@strawberry.enum(description="Who told something of a payout.")
class PayoutSource(Enum):
    """See the description."""

    ANSWER = _value("answer", "The rail, when it was sent.")
    RESEND = _value("resend", "The rail, when it was sent again with the same key.")
    LOOKUP = _value("lookup", "The rail, when it was asked.")
    PERSON = _value("person", "A person: see `actor`.")


@strawberry.enum(description="What was told of a payout.")
class PayoutFinding(Enum):
    """See the description."""

    ACCEPTED = _value("accepted", "It is on its way.")
    PAID = _value("paid", "It arrived.")
    FAILED = _value("failed", "It will not arrive.")
    RETURNED = _value("returned", "It came back.")
    NOT_FOUND = _value("not_found", "The rail has no such payout.")
    NOT_SENT = _value("not_sent", "The rail has no such payout, which by then is proof.")
    UNKNOWN = _value("unknown", "Nothing that could be relied on.")
