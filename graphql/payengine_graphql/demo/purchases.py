"""What did people buy?

20,000 synthetic card purchase attempts of six and a half days at three shops, by 10,546 customers.
Amounts are in the shop's base currency.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from decimal import Decimal
from importlib.resources import files
from itertools import count, islice

import msgspec

__all__ = ["Purchase", "purchases"]

#: The declines that the data does not name are spread over these, in turn.
_DECLINES = (
    "insufficient_funds",
    "do_not_honor",
    "generic_decline",
    "expired_card",
    "card_velocity_exceeded",
)


class Purchase(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt; `amount_minor` in hundredths, `token` a test token of the sandbox."""

    id: str
    tenant: int
    customer: str
    amount_minor: int
    token: str
    metadata: dict[str, str]


def purchases(number: int) -> Iterator[Purchase]:
    """`number` purchases in the order of time; after 20,000 they begin anew, with other ids."""
    return islice(_again_and_again(), number)


def _again_and_again() -> Iterator[Purchase]:
    for turn in count():
        with (files(__package__) / "purchases.csv.gz").open("rb") as packed:
            with gzip.open(packed, "rt", encoding="utf-8", newline="") as text:
                for row in csv.DictReader(text):
                    yield _purchase(row, turn)


def _purchase(row: dict[str, str], turn: int) -> Purchase:
    declined = row["declined"] == "1"
    reason = _DECLINES[int(row["payment_id"]) % len(_DECLINES)]
    if declined and row["cvc"] == "0":
        reason = "incorrect_cvc"
    elif declined and row["avs"] == "0":
        reason = "incorrect_address"
    return Purchase(
        id=f"{turn}-{row['payment_id']}",
        tenant=int(row["tenant"]),
        customer=row["customer"],
        amount_minor=max(int(Decimal(row["amount"]) * 100), 1),
        token=f"tok_decline_{reason}" if declined else "tok_visa",
        metadata={
            "seller": row["seller"],
            "device": row["device"],
            "ip_country": row["ip_country"],
            "ship_country": row["ship_country"],
        },
    )
