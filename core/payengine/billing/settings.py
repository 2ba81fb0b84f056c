"""How does a shop want to bill?

One document, of which the newest version holds; without one, the defaults do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import msgspec

from payengine.billing.dunning_policy import DunningPolicy
from payengine.billing.renewing import CatchUp
from payengine.billing.wall_clock import time_zone
from payengine.errors import InputInvalid
from payengine.money import currency as find_currency
from payengine.texts import check_text

__all__ = ["BillingSettings", "parse_billing_settings"]

_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_LANGUAGE = re.compile(r"[a-zA-Z]{2,3}(-[a-zA-Z0-9]{1,8}){0,3}")
_PREFIX = re.compile(r"[!-~]{0,20}")
_MOST_NET_DAYS = 366
_MOST_LINES = 12
_MOST_MINOR = 10**15


class BillingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a tenant may set.

    `minimum_charge` is, by currency and in minor units, the least that is worth a charge: what is
    below waits for the next invoice. `catch_up` says what becomes of a subscription whose clock
    jumped over several periods. An invoice that is not charged by itself is due after `net_days`.
    `tax_calculator` is the name of the plugin's calculator that says the rates; without one no tax
    is put on invoices. Invoices in a language without words of ours are written in English.
    """

    invoice_prefix: str = "INV-"
    credit_note_prefix: str = "CN-"
    language: str = "en"
    color: str = "#1f4e79"
    paper: Literal["a4", "us-letter"] = "a4"
    time_zone: str = "UTC"
    seller: tuple[str, ...] = ()
    footer: str = ""
    minimum_charge: dict[str, int] = {}
    catch_up: CatchUp = "all"
    net_days: int = 30
    tax_rounding: Literal["invoice", "line"] = "invoice"
    tax_calculator: str | None = None
    dunning: DunningPolicy = DunningPolicy()


def parse_billing_settings(plain: object) -> BillingSettings:
    """The settings that `plain` spells; raises `InputInvalid` with what is wrong."""
    try:
        found = msgspec.convert(plain, BillingSettings)
    except msgspec.ValidationError as problem:
        said = f"The settings do not fit their form: {problem}."
        raise InputInvalid(said, path=("document",)) from None
    for name in ("invoice_prefix", "credit_note_prefix"):
        if not _PREFIX.fullmatch(getattr(found, name)):
            raise _refused(name, "A prefix has at most 20 printable characters of ASCII.")
    if not _LANGUAGE.fullmatch(found.language):
        raise _refused("language", "A language is a tag such as de or de-AT.")
    if not _COLOR.fullmatch(found.color):
        raise _refused("color", "A colour is written #rrggbb.")
    if len(found.seller) > _MOST_LINES:
        raise _refused("seller", f"An address has at most {_MOST_LINES} lines.")
    with _inside("document"):
        for line in found.seller:
            check_text(line, field="seller")
        check_text(found.footer, field="footer")
        check_text(found.tax_calculator, field="tax_calculator", most=60)
    with _inside("document", "time_zone"):
        time_zone(found.time_zone)
    with _inside("document", "dunning"):
        found.dunning.check()
    for code, least in found.minimum_charge.items():
        with _inside("document", "minimum_charge", code[:12]):
            find_currency(code)
        if not 0 <= least <= _MOST_MINOR:
            raise _refused("minimum_charge", "A minimum charge is not negative.")
    if not 0 <= found.net_days <= _MOST_NET_DAYS:
        raise _refused("net_days", f"net_days is 0 to {_MOST_NET_DAYS}.")
    return found


@contextmanager
def _inside(*place: str) -> Iterator[None]:
    """What is refused here lies at this place of the input."""
    try:
        yield
    except InputInvalid as problem:
        own = () if problem.path == ("timeZone",) else problem.path
        raise type(problem)(problem.message, path=(*place, *own)) from None


def _refused(name: str, problem: str) -> InputInvalid:
    return InputInvalid(problem, path=("document", name))
