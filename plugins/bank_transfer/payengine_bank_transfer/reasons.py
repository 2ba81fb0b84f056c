"""What does a bank's reason code mean for the next try?

ISO 20022's external codes as SEPA's rulebooks use them for rejects and returns, in the engine's
taxonomy. A code that is not listed keeps its own text: it is soft, counted and shown.
"""

from __future__ import annotations

from payengine.plugin import Decline

__all__ = ["NOT_PROCESSED", "NOT_PROCESSED_CODES", "decline_of"]

_CODES: dict[str, tuple[str, str]] = {
    "AC01": ("invalid_account", "The account number is wrong."),
    "AC04": ("invalid_account", "The account is closed."),
    "AC06": ("restricted_card", "The account is blocked."),
    "AC13": ("not_permitted", "The debtor is a consumer: a business debit is not allowed."),
    "AG01": ("transaction_not_allowed", "Direct debits are not allowed on this account."),
    "AG02": ("processing_error", "The transaction code or the sequence type is wrong."),
    "AM01": ("invalid_amount", "The amount is zero."),
    "AM02": ("invalid_amount", "The amount is more than is allowed."),
    "AM03": ("currency_not_supported", "The currency is not the account's."),
    "AM04": ("insufficient_funds", "There is not enough money on the account."),
    "AM05": ("duplicate_transaction", "The bank takes it for a duplicate."),
    "AM14": ("card_velocity_exceeded", "It is above a limit agreed with the bank."),
    "BE05": ("transaction_not_allowed", "The bank does not know the creditor identifier."),
    "CNOR": ("issuer_not_available", "The creditor's bank is not in the scheme."),
    "CUST": ("generic_decline", "The customer asked for it."),
    "DNOR": ("issuer_not_available", "The debtor's bank is not in the scheme."),
    "DUPL": ("duplicate_transaction", "The bank takes it for a duplicate."),
    "ED05": ("processing_error", "The settlement failed."),
    "FF01": ("processing_error", "The file's format is wrong."),
    "FF05": ("not_permitted", "The local instrument is wrong."),
    "FOCR": ("generic_decline", "Given back after a recall."),
    "FR01": ("fraudulent", "It is fraud."),
    "MD01": ("revocation_of_authorization", "There is no mandate, or it was withdrawn."),
    "MD02": ("processing_error", "Data of the mandate are missing or wrong."),
    "MD06": ("stop_payment_order", "The debtor asked for the money back."),
    "MD07": ("invalid_account", "The account's holder has died."),
    "MS02": ("do_not_honor", "The customer gave no reason."),
    "MS03": ("do_not_honor", "The bank gave no reason."),
    "NOAS": ("generic_decline", "The customer did not answer."),
    "NOOR": ("processing_error", "The original was never received."),
    "RC01": ("invalid_account", "The BIC is wrong."),
    "RR01": ("transaction_not_allowed", "Regulation: the debtor's account is missing."),
    "RR02": ("transaction_not_allowed", "Regulation: the debtor's name is missing."),
    "RR03": ("transaction_not_allowed", "Regulation: the creditor's name is missing."),
    "RR04": ("transaction_not_allowed", "Regulation."),
    "SL01": ("do_not_honor", "The debtor's bank blocks it at the debtor's wish."),
    "SL11": ("do_not_honor", "The creditor is not on the debtor's list."),
    "SL12": ("do_not_honor", "The creditor is on the debtor's list of the refused."),
    "SL13": ("card_velocity_exceeded", "Above the largest amount that the debtor allows."),
    "SL14": ("card_velocity_exceeded", "More often than the debtor allows."),
    "TECH": ("processing_error", "A technical problem."),
    "TM01": ("try_again_later", "The file came after the cut-off."),
    # Our own words, where no bank was asked.
    "EXPIRED": ("try_again_later", "No transfer came in time."),
    "CANCELED": ("generic_decline", "The payment was called off."),
}

#: Refused here, before any bank was told: nothing happened and nothing will.
NOT_PROCESSED: dict[str, str] = {
    "already_ordered": "The order is with the bank and cannot be called off.",
    "amount_out_of_range": "SEPA takes 0.01 to 999,999,999.99 euros.",
    "currency": "SEPA moves euros only.",
    "key_reused": "This key was used for another request.",
    "manual_capture": "A bank transfer cannot be held: capture is automatic.",
    "mandate_unknown": "There is no such mandate.",
    "mandate_unreadable": "The mandate cannot be read.",
    "mandate_used_up": "The mandate was for one debit, or its last one is made.",
    "no_payer_account": "The bank did not tell from which account the money came.",
    "not_booked": "Nothing was received that could be given back.",
    "order_refused": "No file that a bank would take can be made of this.",
    "refund_too_large": "That is more than is left of what was received.",
    "several_payers": "The money came from several accounts: give it back by hand.",
    "bank_refused": "The bank did not let us in.",
}
NOT_PROCESSED_CODES = tuple(NOT_PROCESSED)


def decline_of(code: str, text: str = "") -> Decline:
    """The decline for a bank's reason code; one that nobody knows keeps its own name."""
    raw = code.strip().upper()[:35] or "NARR"
    mapped = _CODES.get(raw)
    if mapped is None:
        return Decline(code=raw.lower(), raw_code=raw, raw_text=text)
    return Decline(code=mapped[0], raw_code=raw, raw_text=text or mapped[1])
