"""What does a tenant tell of its bank account?"""

from __future__ import annotations

from datetime import time
from typing import Annotated, Literal

import msgspec
from payengine.plugin import Call, PluginSettings, Secret

__all__ = ["BankTransferSettings", "cutoff_of", "settings_of"]


class BankTransferSettings(PluginSettings, frozen=True, kw_only=True):
    """The account, the rail, the rules and the secret that proves a webhook.

    `rail`: `folder` writes files for the bank and reads the bank's, `http` speaks to the bank's
    API at `bank_url`, `simulated` is a bank in this process, for test worlds only. `holder`,
    `iban` and `bic` are the tenant's own account; `creditor_id` is what direct debits need.
    `cutoff` is the bank's, in Frankfurt's time; `notice_days` how many days before a debit its
    debtor is told (14, unless another number was agreed with the debtor). `tolerance_minor` is how
    many cents may be missing, taken as charges on the way. A transfer is awaited for
    `pay_within_days`. `webhook_url` is a path on the platform: where an import tells what it found.
    """

    rail: Literal["folder", "http", "simulated"] = "folder"
    holder: Annotated[str, msgspec.Meta(max_length=70)] = ""
    iban: Annotated[str, msgspec.Meta(max_length=42)] = ""
    bic: Annotated[str, msgspec.Meta(max_length=11)] = ""
    creditor_id: Annotated[str, msgspec.Meta(max_length=35)] = ""
    local_instrument: Literal["CORE", "B2B"] = "CORE"
    cutoff: Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] = "15:00"
    notice_days: Annotated[int, msgspec.Meta(ge=1, le=60)] = 14
    tolerance_minor: Annotated[int, msgspec.Meta(ge=0, le=1_000)] = 0
    pay_within_days: Annotated[int, msgspec.Meta(ge=1, le=30)] = 6
    webhook_secret: Secret = ""
    webhook_url: Annotated[str, msgspec.Meta(max_length=300, pattern=r"^(/[!-~]*)?$")] = ""
    bank_url: Annotated[str, msgspec.Meta(max_length=300)] = ""
    bank_user: Annotated[str, msgspec.Meta(max_length=100)] = ""
    bank_password: Secret = ""
    submit_path: Annotated[str, msgspec.Meta(max_length=200, pattern=r"^/[!-~]*$")] = "/payments"
    messages_path: Annotated[str, msgspec.Meta(max_length=200, pattern=r"^/[!-~]*$")] = "/messages"


def settings_of(call: Call) -> BankTransferSettings:
    """The call's settings; the defaults where a caller passes none."""
    settings = call.settings
    return settings if isinstance(settings, BankTransferSettings) else BankTransferSettings()


def cutoff_of(settings: BankTransferSettings) -> time:
    """The bank's cut-off as a time of day."""
    hours, _, minutes = settings.cutoff.partition(":")
    return time(int(hours), int(minutes))
