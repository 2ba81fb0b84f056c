"""Which accounts are there?

An account is `type:owner`, or `type` alone where a tenant needs one, kept per tenant and currency.
The types are a closed table; families are named by the nature that their last word says.
"""

from __future__ import annotations

import re
from typing import Literal

from payengine.errors import InputInvalid

__all__ = ["ACCOUNT_TYPES", "FAMILIES", "AccountType", "account_type", "is_debit_normal"]

AccountType = Literal["asset", "liability", "income", "expense"]

#: The types that the engine itself posts to.
ACCOUNT_TYPES: dict[str, AccountType] = {
    "accounts_receivable": "asset",
    "bad_debt": "expense",
    "bank": "asset",
    "cash": "asset",
    "customer_credit": "liability",
    "deferred_revenue": "liability",
    "dispute_fee_recovery": "income",
    "dispute_fees": "expense",
    "dispute_hold": "liability",
    "dispute_losses": "expense",
    "dispute_receivable": "asset",
    "escrow": "liability",
    "fx_gain": "income",
    "fx_loss": "expense",
    "fx_markup_revenue": "income",
    "fx_position": "asset",
    "merchant_payable": "liability",
    "payouts_in_transit": "liability",
    "platform_fee_revenue": "income",
    "processor_fees": "expense",
    "psp_receivable": "asset",
    "refunds_in_transit": "liability",
    "reserve": "liability",
    "subscription_revenue": "income",
    "tax_payable": "liability",
    "usage_revenue": "income",
    "vendor_payable": "liability",
    "vendor_receivable": "asset",
}

#: A type that is not listed is read by its last word.
FAMILIES: dict[str, AccountType] = {
    "expense": "expense",
    "fees": "expense",
    "gain": "income",
    "hold": "liability",
    "loss": "expense",
    "losses": "expense",
    "payable": "liability",
    "receivable": "asset",
    "recovery": "income",
    "reserve": "liability",
    "revenue": "income",
    "transit": "liability",
}

_SHAPE = re.compile(r"([a-z][a-z0-9_]{0,59})(?::[A-Za-z0-9][A-Za-z0-9_.:-]{0,119})?")


def account_type(account: str) -> AccountType:
    """What kind of account `type:owner` is; raises `InputInvalid` for one outside the chart."""
    shape = _SHAPE.fullmatch(account)
    if shape is None:
        raise InputInvalid("A ledger account is named type:owner.")
    name = shape[1]
    found = ACCOUNT_TYPES.get(name)
    if found is None and "_" in name:
        found = FAMILIES.get(name.rpartition("_")[2])
    if found is None:
        raise InputInvalid(f"The chart of accounts has no type {name}.")
    return found


def is_debit_normal(account: str) -> bool:
    """Whether debits raise its balance: so in assets and expenses."""
    return account_type(account) in ("asset", "expense")
