"""What is kept of an operation, of a line and of a file?

Times are microseconds since 1970 in UTC, amounts cents.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["File", "KeptLine", "Notice", "Operation", "Refused", "Status"]

#: `awaited`: a buyer's transfer is to come. `ordered`: kept here, and maybe with the bank.
#: `submitted`: the bank has the file. `booked`: the money moved. `rejected`, `expired`, `canceled`
#: and `refused`: it did not and will not.
Status = Literal[
    "awaited",
    "ordered",
    "submitted",
    "booked",
    "rejected",
    "expired",
    "canceled",
    "refused",
]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation, in the order of the table's columns.

    `reference` is what the engine knows it by: the virtual reference of a transfer, else the
    EndToEndId. `received_minor` is what came in for it, `missing_minor` how much of the amount
    stayed away within the tolerance, `returned_minor` what the bank
    took back, and `return_fee_minor` what it took besides.
    """

    account: str
    reference: str
    key: str
    kind: Literal["authorize", "refund", "payout"]
    method: Literal["bank_transfer", "sepa_debit"]
    status: Status
    amount_minor: int
    fingerprint: str
    created_us: int
    message_id: str = ""
    parent: str = ""
    mandate_id: str = ""
    signed_on: str = ""
    sequence: str = ""
    day: str = ""
    iban: str = ""
    name: str = ""
    text: str = ""
    received_minor: int = 0
    missing_minor: int = 0
    returned_minor: int = 0
    return_fee_minor: int = 0
    reason: str = ""
    reason_text: str = ""
    return_reason: str = ""
    expires_us: int | None = None
    booked_us: int | None = None
    returned_us: int | None = None


class KeptLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a statement as it was first told; `rest_minor` is what nobody has explained."""

    account: str
    line_id: str
    direction: Literal["credit", "debit"]
    minor: int
    rest_minor: int
    booked_on: str
    source: str
    bank_ref: str
    fingerprint: str
    end_to_end_id: str
    party_name: str
    party_iban: str
    text: str
    note: str
    taken_us: int
    dismissed: str = ""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file for the bank: `message_id` names it, `sent_us` is when the bank's folder had it."""

    account: str
    message_id: str
    kind: Literal["transfers", "debits"]
    created_us: int
    sent_us: int | None = None


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine must be told: the operation `reference` was booked, rejected or returned."""

    account: str
    event_id: str
    body: bytes
    created_us: int
    told_us: int | None = None
    tries: int = 0


class Refused(Exception):
    """A request that is refused here, with a code of the manifest's `not_processed_codes`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
