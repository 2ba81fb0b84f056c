"""What does the end of a payment's story say of fraud?

Pure. A dispute tells by its reason: the word of a gateway or the code of a card scheme. What no
list here names says nothing, for a buyer who never got the goods is no thief.
"""

from __future__ import annotations

import re
from datetime import datetime

import msgspec

from payengine.events.models import NewEvent
from payengine.ids import new_id
from payengine.plugin.fraud import Label

__all__ = ["OutcomeReport", "disputed_label", "labeled_event", "tells_of_fraud"]

#: The words that gateways use, without what is between the letters.
_WORDS = frozenset(
    {
        "fraud",
        "fraudulent",
        "cardabsentfraud",
        "cardpresentfraud",
        "norecognize",
        "notauthorised",
        "notauthorized",
        "unauthorised",
        "unauthorisedtransaction",
        "unauthorized",
        "unauthorizedtransaction",
        "unrecognised",
        "unrecognized",
    }
)
#: The schemes' own chapters and codes for fraud, by their published dispute guides, and of SEPA's
#: returns (ISO 20022) a debit without a mandate.
_CODES = re.compile(
    r"10\.[1-5]|48(37|40|63|70|71)"
    r"|F(10|14|24|29|30|31)|UA0[12356]|MD01",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"[\s_-]+")


class OutcomeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the tenant knows of a payment, and since when: `observed_at`, None for now."""

    idempotency_key: str
    payment_id: str
    is_fraud: bool
    observed_at: datetime | None = None


def tells_of_fraud(reason: str) -> bool:
    """Whether a dispute for this reason says that somebody else paid with the buyer's means."""
    plain = reason.strip()
    return bool(_CODES.fullmatch(plain)) or _BETWEEN.sub("", plain).lower() in _WORDS


def disputed_label(
    payment_id: str, *, reason: str, reason_before: str | None, won: bool, at: datetime
) -> Label | None:
    """What is learnt of a dispute at this instant, or None.

    `reason_before` is None where the dispute is new; `won` says that it has just been won: the
    buyer's own bank did not believe it.
    """
    if not tells_of_fraud(reason):
        return None
    if won:
        return Label(payment_id=payment_id, is_fraud=False, observed_at=at, source="dispute")
    if reason_before is not None and tells_of_fraud(reason_before):
        return None
    return Label(payment_id=payment_id, is_fraud=True, observed_at=at, source="dispute")


def labeled_event(label: Label, *, customer_id: str | None, at: datetime) -> NewEvent:
    """The event of a label that became known."""
    return NewEvent(
        id=new_id("evt"),
        type="fraud.labeled",
        payment_id=label.payment_id,
        customer_id=customer_id,
        occurred_at=at,
        data={
            "is_fraud": label.is_fraud,
            "source": label.source,
            "observed_at": label.observed_at.isoformat(),
        },
    )
