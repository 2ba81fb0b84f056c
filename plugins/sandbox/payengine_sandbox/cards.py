"""What does a test token or a magic amount do?

Pure data and one function. Tokens act by their name; magic amounts act only on payments made with
`tok_magic`, where each operation is judged by its own amount in minor units, whatever the currency.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from payengine_sandbox.declines import DECLINES
from payengine_sandbox.fraud import FRAUD_TOKENS

__all__ = [
    "APPROVED_TOKENS",
    "CHECKS",
    "FIRST_DECLINE_AMOUNT",
    "MAGIC_AMOUNTS",
    "MAGIC_TOKEN",
    "NOT_PROCESSED_CODES",
    "PLAIN",
    "TOKENS",
    "Fault",
    "Script",
    "script_for",
]


class Fault(StrEnum):
    """How the provider misbehaves; the books stay right in every case."""

    ERROR_BEFORE = "error_before"
    ERROR_AFTER = "error_after"
    HANG_BEFORE = "hang_before"
    HANG_AFTER = "hang_after"
    LATE_SUCCESS = "late_success"
    LATE_SUCCESS_UNHEARD = "late_success_unheard"
    GARBAGE = "garbage"
    WRONG_AMOUNT = "wrong_amount"
    WRONG_CURRENCY = "wrong_currency"
    SLOW = "slow"


class Script(NamedTuple):
    """What happens to one operation.

    `result` is succeeded, declined, pending, pending_declined, requires_action or not_processed;
    `code` goes with a refusal. `fault` strikes the first try of a key, or each with `always`;
    `short` units less than asked are really moved; `blind` makes each lookup fail.
    """

    result: str = "succeeded"
    code: str | None = None
    fault: Fault | None = None
    always: bool = False
    short: int = 0
    blind: bool = False


PLAIN = Script()

MAGIC_TOKEN = "tok_magic"  # noqa: S105 - a test token's name, no secret

#: Errors that prove that nothing happened.
NOT_PROCESSED_CODES = ("invalid_request", "maintenance", "rate_limited")

APPROVED_TOKENS = ("tok_amex", "tok_mastercard", "tok_visa")

#: Tokens whose issuer checks the address and the card's code: whether each was right.
CHECKS: dict[str, tuple[bool, bool]] = {
    "tok_checks_pass": (True, True),
    "tok_address_fail": (False, True),
    "tok_cvc_fail": (True, False),
    "tok_checks_fail": (False, False),
}

TOKENS: dict[str, Script] = {
    **dict.fromkeys(APPROVED_TOKENS, PLAIN),
    **dict.fromkeys(CHECKS, PLAIN),
    **dict.fromkeys(FRAUD_TOKENS, PLAIN),
    "tok_challenge": Script("requires_action"),
    "tok_pending": Script("pending"),
    "tok_pending_declined": Script("pending_declined", "generic_decline"),
    "tok_not_processed": Script("not_processed", "rate_limited"),
    **{f"tok_decline_{code}": Script("declined", code) for code in DECLINES},
}

FIRST_DECLINE_AMOUNT = 2001

MAGIC_AMOUNTS: dict[int, Script] = {
    **{
        FIRST_DECLINE_AMOUNT + place: Script("declined", code)
        for place, code in enumerate(DECLINES)
    },
    3001: Script(fault=Fault.ERROR_BEFORE),
    3002: Script(fault=Fault.ERROR_AFTER),
    3003: Script(fault=Fault.HANG_BEFORE),
    3004: Script(fault=Fault.HANG_AFTER),
    3005: Script(fault=Fault.LATE_SUCCESS),
    3006: Script(fault=Fault.LATE_SUCCESS_UNHEARD),
    3007: Script(fault=Fault.GARBAGE),
    3008: Script(fault=Fault.WRONG_AMOUNT),
    3009: Script(fault=Fault.WRONG_CURRENCY),
    3010: Script(short=1),
    3011: Script("not_processed", "rate_limited"),
    3012: Script("not_processed", "maintenance"),
    3013: Script("requires_action"),
    3014: Script("pending"),
    3015: Script("pending_declined", "generic_decline"),
    3016: Script(fault=Fault.SLOW, always=True),
    3101: Script(fault=Fault.ERROR_BEFORE, always=True),
    3102: Script(fault=Fault.ERROR_AFTER, always=True),
    3103: Script(fault=Fault.HANG_BEFORE, always=True),
    3104: Script(fault=Fault.HANG_AFTER, always=True),
    3105: Script(fault=Fault.HANG_AFTER, always=True, blind=True),
}

_UNKNOWN_TOKEN = Script("declined", "incorrect_number")


def script_for(kind: str, token: str, amount_minor: int) -> Script:
    """What happens to an operation of this kind on a payment made with `token`.

    Tokens speak for the authorization only; magic amounts for every kind, except that only an
    authorization can ask the buyer for something.
    """
    if token == MAGIC_TOKEN:
        script = MAGIC_AMOUNTS.get(amount_minor, PLAIN)
        if script.result == "requires_action" and kind != "authorize":
            return PLAIN
        return script
    if kind != "authorize":
        return PLAIN
    return TOKENS.get(token, _UNKNOWN_TOKEN)
